"""Bodies that are no answer, or one that is hard to read: pure functions from the right body to the wrong one.

It refuses to send anything; `misbehaviour` does that.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

DEPTH = 100_000
DIGITS = 5_000
LISTS = 10_000_000


def _with(body: bytes, **changes: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(body)
    return loaded | changes


def _wrong_types(body: bytes) -> bytes:
    return _bytes(_with(body, created="yesterday", data={"url": 7, "b64_json": [True]}))


def _nan(body: bytes) -> bytes:
    return _bytes(_with(body, created=float("nan")))


def _long_number(body: bytes) -> bytes:
    return _bytes(_with(body, created=0)).replace(b'"created":0', b'"created":' + b"7" * DIGITS)


def _double_keys(body: bytes) -> bytes:
    right = _bytes(_with(body))
    return b'{"created":null,"data":[],"usage":null,' + right[1:]


def _bad_utf8(body: bytes) -> bytes:
    return _bytes(_with(body, usage="?")).replace(b'"?"', b'"\xff\xfe\xc0"')


def _half_character(body: bytes) -> bytes:
    items = [{"url": item.get("url", "https://pictures.example/") + "\ud800.png"} for item in _with(body)["data"]]
    return json.dumps(_with(body, data=items)).encode("ascii")


def _many_lists(body: bytes) -> bytes:
    return _bytes(_with(body))[:-1] + b',"more":[' + b"[]," * LISTS + b"[]]}"


def _bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


ODD: Mapping[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut-json": lambda body: body[: len(body) // 2],
    "null": lambda _: b"null",
    "empty-object": lambda _: b"{}",
    "wrong-types": _wrong_types,
    "deep-json": lambda _: b"[" * DEPTH,
    "long-number": _long_number,
    "nan": _nan,
    "double-keys": _double_keys,
    "bom": lambda body: b"\xef\xbb\xbf" + body,
    "bad-utf8": _bad_utf8,
    "rot13": lambda body: body,
    "half-character": _half_character,
    "list-bomb": _many_lists,
}
"""How each kind of fault changes a right body, and nothing else of the answer."""
