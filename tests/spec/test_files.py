"""What may be opened: regular files of a job, and pipes that the user names."""

import os
import sys
import threading
from pathlib import Path

import pytest

from batchgen.spec import files
from batchgen.spec.files import OddFileError, in_words, open_regular, read_named


def test_a_regular_file_is_opened_and_a_link_to_one_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to("a")

    with open_regular(tmp_path / "a") as first, open_regular(str(tmp_path / "b")) as second:
        assert first.read() == second.read() == b"text"


@pytest.mark.parametrize("name", ["pipe", "folder", "device", "link"])
def test_what_is_no_regular_file_is_refused_and_never_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to("pipe")

    with pytest.raises(OddFileError, match="it is a"):
        open_regular(tmp_path / name)


def test_a_file_is_read_to_its_bound_and_one_byte_further(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678")

    assert read_named(tmp_path / "a", 4) == b"12345"
    assert read_named(tmp_path / "a", 8) == b"12345678"
    assert read_named(Path("/dev/zero"), 4) == bytes(5)
    assert read_named(Path("/dev/null"), 4) == b""


def test_a_pipe_that_the_user_names_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"x" * 200_000,))
    writer.start()

    data = read_named(pipe, 1_000_000)
    writer.join()

    assert data == b"x" * 200_000


def test_a_pipe_that_nobody_writes_into_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE_S", 0.01)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OddFileError, match="nothing came out of it"):
        read_named(tmp_path / "pipe", 10)


def test_reasons_are_words() -> None:
    assert in_words(FileNotFoundError(2, "x")) == "there is no such file"
    assert in_words(PermissionError(13, "Permission denied")) == "Permission denied"
    assert in_words(ValueError("embedded null byte")) == "this is no file name"


def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    opened: list[str] = []
    wanted = {str(tmp_path / "pipe"), str(tmp_path / "file")}
    sys.addaudithook(
        lambda event, given: opened.append(str(given[0])) if event == "open" and str(given[0]) in wanted else None
    )

    open_regular(tmp_path / "file").close()
    with pytest.raises(OddFileError):
        open_regular(tmp_path / "pipe")

    assert opened == [str(tmp_path / "file")]
