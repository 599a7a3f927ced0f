"""The wire: a request's body from plain values, and what an answer's bytes say. Pure functions, no network.

One dialect so far: `modelverse-images`, the JSON of `POST /v1/images/generations`. Answers come from outside and are
never trusted: whatever is wrong with one becomes `UnusableAnswer` or an empty `ErrorAnswer`, never another exception.
"""

import base64
import binascii
import codecs
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from batchgen.api.links import LINK_AT_MOST
from batchgen.outside import clean
from batchgen.secret import NO_SECRET, Secret

PICTURES_AT_MOST = 100
"""In one answer. Nobody asks for so many at once; thousands are there to keep the downloads busy."""
_DATA_URI = re.compile(r"\s*data:([^,]{0,300}),", re.IGNORECASE)
_NESTED_ERROR = re.compile(r"err:\s{0,10}(\{.*\})", re.DOTALL)
_NESTED_WITHIN = 2000
_TEXT_AT_MOST = 500
_PAGE_AT_MOST = 4096
_MODELS_AT_MOST = 10_000
_LARGE = 1024 * 1024
_PARTS_AT_MOST = 100_000
"""Lists, objects and values of a large answer. A few hundred are real; tens of millions are there to fill the memory."""
_ESCAPES_AT_MOST = 4_000_000
"""Of a large answer: reading them takes a hundred times as long as plain text, and nothing else runs meanwhile."""
_INLINE_AT_MOST = 96 * 1024 * 1024
"""Characters of base64 in one picture, checked before any of it is decoded."""
_SHORT_PICTURE = 64 * 1024
_TEXT_IN_LARGE_AT_MOST = 1024 * 1024
"""Bytes that are not ASCII in a large answer; a single one makes Python take four times the memory for all of it."""
_ASCII = bytes(range(128))
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
_NOT_READ = str.maketrans("", "", "\t\r\n")
_SPACE = re.compile(r"\s+")


class UnusableAnswer(Exception):
    """A complete answer with a success status that holds no picture; `str()` of it says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of an answer: a link, the picture itself in base64 (without prefix), both, or an error instead."""

    url: str | None = None
    inline: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a paid answer held, in the answer's order."""

    items: tuple[Item, ...]
    """At most `PICTURES_AT_MOST`."""
    created: int | None
    """When the provider says it was made, in seconds since the epoch."""
    left_out: int = 0
    """How many more entries the answer had."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What an error body says; every field may be empty. `nested` is an upstream's error quoted in the message."""

    code: str = ""
    type: str = ""
    message: str = ""
    request_id: str = ""
    nested: str = ""


def request_body(
    model: str, prompt: str, seed: int | None, params: Mapping[str, Any], extra_params: Mapping[str, Any]
) -> bytes:
    """The JSON body of one paid call, without a seed for a model that takes none; pictures in `params` are already links or data URIs."""
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    for key, value in params.items():
        body[key] = list(value) if isinstance(value, tuple) else value
    if seed is not None:
        body["seed"] = seed
    body.update(extra_params)
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")


def data_uri(data: bytes, media_type: str) -> str:
    """A picture's bytes, unchanged, as a request carries them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def inline_bytes(text: str) -> bytes:
    """The bytes of an inline picture. Raises ValueError when the text is too long or not base64.

    Line breaks within it, and a padding that was left out, are let pass: the picture is paid for.
    """
    if len(text) > _INLINE_AT_MOST:
        raise ValueError(f"the picture inside the answer has {len(text):,} characters, which no picture has")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        text = _SPACE.sub("", text).rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the picture inside the answer is not valid base64") from None


def kept_answer(items: Sequence[Item]) -> bytes:
    """A paid answer as it is kept until its pictures are stored: the pictures and links alone, for `parse_generation`."""
    return json.dumps({"data": [{"url": item.url, "b64_json": item.inline} for item in items]}).encode("ascii")


def parse_generation(body: bytes, secret: Secret = NO_SECRET) -> Generation:
    """The pictures in a success answer: as many as came. Raises UnusableAnswer when there is none.

    A link that holds the key is no picture: to follow it would carry the key elsewhere.
    """
    data = _parse_json(body, secret)
    try:
        return _generation(data, secret)
    except UnusableAnswer:
        raise
    except Exception:  # noqa: BLE001  # lists in one another, numbers without end: what can be read may be unfit to use
        raise UnusableAnswer("an answer that cannot be made sense of") from None


def _generation(data: Any, secret: Secret) -> Generation:
    raw_items = data.get("data") if isinstance(data, dict) else None
    found = raw_items if isinstance(raw_items, list) else []
    items = tuple(_item(raw, secret) for raw in found[:PICTURES_AT_MOST])
    if not any(item.url or item.inline for item in items):
        if isinstance(data, dict) and data.get("error"):
            error = _error_answer(data, secret)
            what = error.message or error.code or "no message"
            raise UnusableAnswer(f"a success status with an error inside: {what}")
        if not isinstance(raw_items, list):
            raise UnusableAnswer("the answer has no list of pictures")
        reasons = "; ".join(sorted({item.error for item in items if item.error}))
        raise UnusableAnswer(reasons or "the answer holds no picture")
    created = data.get("created")
    is_time = isinstance(created, int) and not isinstance(created, bool) and 0 < created < 1 << 40
    return Generation(items, created if is_time else None, max(0, len(found) - PICTURES_AT_MOST))


def parse_models(body: bytes) -> tuple[str, ...] | None:
    """The ids in a list of models (`GET /models`); None for what is no such list."""
    try:
        entries = json.loads(body)["data"]
        return tuple(clean(entry["id"], _TEXT_AT_MOST) for entry in entries[:_MODELS_AT_MOST])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def parse_error(body: bytes, secret: Secret = NO_SECRET) -> ErrorAnswer:
    """What an error answer says, whatever its shape and without the key; empty where it says nothing."""
    try:
        return _error_answer(_parse_json(body, secret), secret)
    except Exception:  # noqa: BLE001  # as in `parse_generation`
        return ErrorAnswer(message=_page_text(body, secret))


def _error_answer(data: Any, secret: Secret) -> ErrorAnswer:
    error = data.get("error", data.get("detail", data)) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return ErrorAnswer(message=_text(error, secret))
    message = error.get("message") or error.get("msg") or error.get("error")
    return ErrorAnswer(
        code=_text(error.get("code"), secret),
        type=_text(error.get("type"), secret),
        message=_text(message, secret),
        request_id=_text(error.get("param"), secret)[:100],
        nested=_nested(message, secret) if isinstance(message, str) else "",
    )


def _parse_json(body: bytes, secret: Secret) -> Any:
    if len(body) > _LARGE:
        parts = body.count(b",") + body.count(b"[") + body.count(b"{")
        if parts > _PARTS_AT_MOST or body.count(b"\\") > _ESCAPES_AT_MOST:
            raise UnusableAnswer("an answer of far too many parts")
        if len(body.translate(None, _ASCII)) > _TEXT_IN_LARGE_AT_MOST:
            raise UnusableAnswer("an answer of far too much text")
    try:
        if len(body) > _LARGE and not body.isascii():
            body = _NOT_ASCII.sub(_escaped, body.removeprefix(codecs.BOM_UTF8))
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except Exception:  # noqa: BLE001  # RecursionError, ValueError, UnicodeDecodeError: a hostile body may raise any
        raise UnusableAnswer(_not_json(body, secret)) from None


def _escaped(found: re.Match[bytes]) -> bytes:
    """Characters within a text of JSON, as escapes."""
    return json.dumps(found[0].decode("utf-8"))[1:-1].encode("ascii")


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _not_json(body: bytes, secret: Secret) -> str:
    start = body.lstrip()[:1] if len(body) <= _LARGE else body[:1]
    if not start:
        return "an empty answer"
    if start == b"<":
        return f"a web page instead of JSON: {_page_text(body, secret)}"
    return "an answer that is not JSON, or cut off"


def _page_text(body: bytes, secret: Secret) -> str:
    """The words of an HTML error page or of plain text, short enough for one line."""
    text = secret.beginning(clean(body[:_LARGE].decode("utf-8", "replace"), 20 * _PAGE_AT_MOST), _PAGE_AT_MOST)
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    words = title[1] if title else re.sub(r"<[^>]*>", " ", text)
    return " ".join(words.split())[:200]


def _text(value: Any, secret: Secret) -> str:
    if value is None or isinstance(value, dict | list):
        text = "" if not value else json.dumps(value, ensure_ascii=True, default=str)
    else:
        text = str(value).encode("utf-8", "replace").decode("utf-8")
    # Cleaned first: what is dropped may be what keeps the letters of the key apart.
    return secret.beginning(clean(text, 40 * _TEXT_AT_MOST), _TEXT_AT_MOST)


def _nested(message: str, secret: Secret) -> str:
    """An upstream's error object quoted in a message: its words, or empty."""
    match = _NESTED_ERROR.search(secret.beginning(clean(message, 20 * _NESTED_WITHIN), _NESTED_WITHIN))
    if not match:
        return ""
    try:
        inner = json.loads(match[1])
    except (ValueError, RecursionError):
        return match[1][:_TEXT_AT_MOST]
    return " ".join(_text(value, secret) for value in inner.values()) if isinstance(inner, dict) else ""


def _item(raw: Any, secret: Secret) -> Item:
    if isinstance(raw, str):
        return _item({"url": raw}, secret)
    if not isinstance(raw, dict):
        return Item(error="an item that is not an object")
    url, inline = raw.get("url"), raw.get("b64_json")
    if isinstance(url, str) and url.strip()[:5].lower() == "data:":
        inline, url = inline or url, None
    error = raw.get("error")
    words = _text(error.get("message") or error.get("code") if isinstance(error, dict) else error, secret)
    link = url.strip() if isinstance(url, str) else ""
    inline = inline.strip() if isinstance(inline, str) else ""
    wrong = _wrong_link(link, secret) or _wrong_inline(inline, secret)
    return Item(
        url=link if link and not _wrong_link(link, secret) else None,
        inline=_without_prefix(inline) if inline and not _wrong_inline(inline, secret) else None,
        error=wrong or words,
    )


def _wrong_link(link: str, secret: Secret) -> str:
    """Why a link cannot be kept and followed; empty for a good one."""
    if not _is_text(link):
        return "a link that is not text"
    if len(link) > LINK_AT_MOST:
        return f"a link of {len(link):,} characters"
    # As it will be read: without line breaks and tabs, and a host in ordinary letters.
    read = link.translate(_NOT_READ)
    if any(map(secret.is_in, (link, read, unicodedata.normalize("NFKC", read)))):
        return "a link that holds the key, which must not leave with it"
    return ""


def _wrong_inline(inline: str, secret: Secret) -> str:
    """Why a picture inside an answer cannot be kept; empty for a good one."""
    if secret.is_in_base64(inline) or (len(inline) <= _SHORT_PICTURE and secret.is_in(inline)):
        return "a picture that holds the key"
    if inline[:5].lower() == "data:" and ";base64" not in inline[:400].lower() and len(inline) > _LARGE:
        return "a picture that is percent-encoded and far too long"
    return ""


def _is_text(value: str) -> bool:
    """Whether a text can be written down: JSON lets halves of characters through."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _without_prefix(inline: str) -> str:
    match = _DATA_URI.match(inline[:400])
    if match is None:
        return inline.strip()
    payload = inline[match.end() :].strip()
    if "base64" in match[1].lower():
        return payload
    return base64.b64encode(unquote_to_bytes(payload)).decode("ascii")
