"""The key is found and hidden however a server spells it, and nothing else is."""

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.secret import NO_SECRET, Secret, without_signatures

KEY = "sk-canary/9f8e7d6c5b4a+=x<&"
SECRET = Secret(KEY)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS = {
    "plain": KEY,
    "in capitals": KEY.upper(),
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in full": "".join(f"%{ord(each):02x}" for each in KEY),
    "percent-encoded twice": quote(quote(KEY, safe=""), safe=""),
    "base64": in_base64(KEY),
    "base64 of a header": in_base64(f"Bearer {KEY}"),
    "base64 of a longer header": in_base64(f"x-api-key: {KEY}\r\n"),
    "base64 for links": base64.urlsafe_b64encode(f"?{KEY}?".encode()).decode(),
    "base64, percent-encoded": quote(in_base64(f"ab{KEY}"), safe=""),
    "JSON": json.dumps(KEY).replace("/", "\\/"),
    "JSON in escapes": "".join(f"\\u{ord(each):04x}" for each in KEY),
    "JSON within JSON": json.dumps("".join(f"\\u{ord(each):04x}" for each in KEY))[1:-1],
    "HTML": html.escape(KEY),
    "HTML in numbers": "".join(f"&#{ord(each)};" for each in KEY),
    "HTML in hex": "".join(f"&#x{ord(each):x};" for each in KEY),
    "hex": KEY.encode().hex(),
    "base64 in lines": base64.encodebytes(b"x" * 50 + KEY.encode()).decode().strip(),
    "base64 in lines of JSON": json.dumps(base64.encodebytes(b"x" * 50 + KEY.encode()).decode().strip())[1:-1],
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_key_is_hidden_in_every_spelling(spelling: str) -> None:
    text = f"before {spelling} after"

    assert SECRET.is_in(text)
    assert SECRET.hide(text).startswith("before ")
    assert SECRET.hide(text).endswith(" after")
    assert spelling not in SECRET.hide(text)
    assert not SECRET.is_in(SECRET.hide(text))


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("before", [0, 16_380, 16_384, 40_000])
def test_the_key_is_hidden_in_a_long_body_wherever_it_stands(spelling: str, before: int) -> None:
    body = b"\xff" * before + spelling.encode() + b"\x00" * 20_000

    assert SECRET.hide_in(body).rstrip(b"=") != body
    assert not SECRET.is_in(SECRET.hide_in(body).decode("latin-1"))
    assert SECRET.hide_in(body).startswith(b"\xff" * before)
    assert SECRET.hide_in(body).endswith(b"\x00" * 20_000)


@given(st.binary(max_size=2000))
def test_a_body_without_the_key_stays_what_it_was(body: bytes) -> None:
    assert SECRET.hide_in(body) == body
    assert NO_SECRET.hide_in(body) == body


WHOLE = [spelling for name, spelling in SPELLINGS.items() if "header" not in name and "lines" not in name]


@given(st.integers(0, 9000), st.sampled_from(WHOLE), st.integers(1, 600))
def test_a_cut_never_leaves_half_of_the_key(before: int, spelling: str, limit: int) -> None:
    kept = SECRET.beginning("." * before + spelling * 300, limit)

    assert len(kept) <= limit
    assert not any(spelling[at : at + 8] in kept for at in range(len(spelling) - 8))


def test_a_word_too_short_to_be_secret_is_not_searched_for() -> None:
    assert Secret("test").hide("this is a test") == "this is a test"
    assert not Secret(None).is_in("None")


def test_nothing_shows_the_key_of_a_secret() -> None:
    assert KEY not in f"{SECRET} {SECRET!r} {[SECRET]}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://x.org/p.png?Signature=abc&Expires=1 now", "see https://x.org/p.png?… now"),
        ("(HTTPS://x.org/p.png#token=abc)", "(HTTPS://x.org/p.png?…"),
        ('"https://x.org/p.png?a=1", "https://y.org/q?b=2"', '"https://x.org/p.png?…", "https://y.org/q?…"'),
        ("https://x.org/p.png and what?", "https://x.org/p.png and what?"),
    ],
)
def test_a_signed_link_loses_what_opens_it(text: str, shown: str) -> None:
    assert without_signatures(text) == shown


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-8"])
def test_the_key_is_hidden_in_a_body_of_wide_letters(encoding: str) -> None:
    assert KEY.encode(encoding) not in SECRET.hide_in(b"ab" + KEY.encode(encoding) + b"cd")


def test_a_body_that_was_cut_ends_before_half_of_the_key() -> None:
    kept = SECRET.hide_in(b"x" * 5000 + KEY.encode()[:-1], cut=True)

    assert kept.startswith(b"xxx")
    assert KEY.encode()[:4] not in kept


def test_a_picture_that_is_the_key_is_seen_at_any_length() -> None:
    for before in range(3):
        inline = base64.b64encode(b"p" * (300_000 + before) + KEY.encode() + b"q" * 10).decode()
        assert SECRET.is_in_base64(inline)
    assert not SECRET.is_in_base64(base64.b64encode(bytes(range(256)) * 1000).decode())
    assert not NO_SECRET.is_in_base64("")
