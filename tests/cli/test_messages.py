"""What is said on stderr when it is not batchgen that speaks."""

import logging
import warnings

import pytest

from batchgen.cli.messages import logs_in_words
from batchgen.secret import Secret

KEY = "sk-canary/9f8e7d6c5b4a+=x"


def test_what_a_library_logs_is_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("some.library")
    with warnings.catch_warnings(action="always"), logs_in_words(Secret(KEY)):
        log.info("nobody asked")
        log.warning("odd cookie %r at https://x.example/p?Signature=s1gn\x1b[31m\nAuthorization: Bearer %s", KEY, KEY)
        try:
            raise ValueError(f"Bearer {KEY}")
        except ValueError:
            log.exception("a call broke")
        warnings.warn(f"deprecated {KEY}", DeprecationWarning, stacklevel=1)
    said = capsys.readouterr().err.splitlines()

    assert said[0] == "batchgen: some.library: odd cookie '***' at https://x.example/p?…"
    assert said[1].startswith("batchgen: some.library: a call broke (ValueError in test_messages.py:")
    assert "DeprecationWarning" in said[2]
    assert len(said) == 3
    assert KEY not in "".join(said)
