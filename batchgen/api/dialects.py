"""The wire: a request's body from plain values, and what an answer's bytes say. Pure functions, no network.

One dialect so far: `modelverse-images`, the JSON of `POST /v1/images/generations`. Answers come from outside and are
never trusted: whatever is wrong with one becomes `UnusableAnswer` or an empty `ErrorAnswer`, never another exception.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DATA_URI = re.compile(r"\s*data:[^,;]{0,100}(?:;[^,;]{0,100})*,", re.IGNORECASE)
_NESTED_ERROR = re.compile(r"err:\s*(\{.*\})", re.DOTALL)
_TEXT_AT_MOST = 500
_LARGE = 1024 * 1024
_PARTS_AT_MOST = 100_000
"""Lists, objects and values of a large answer. A few hundred are real; tens of millions are there to fill the memory."""


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
    created: int | None
    """When the provider says it was made, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What an error body says; every field may be empty. `nested` is an upstream's error quoted in the message."""

    code: str = ""
    type: str = ""
    message: str = ""
    request_id: str = ""
    nested: str = ""


def request_body(
    model: str, prompt: str, seed: int, params: Mapping[str, Any], extra_params: Mapping[str, Any]
) -> bytes:
    """The JSON body of one paid call; pictures in `params` are already links or data URIs."""
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    for key, value in params.items():
        body[key] = list(value) if isinstance(value, tuple) else value
    body["seed"] = seed
    body.update(extra_params)
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")


def data_uri(data: bytes, media_type: str) -> str:
    """A picture's bytes, unchanged, as a request carries them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def inline_bytes(text: str) -> bytes:
    """The bytes of an inline picture. Raises ValueError when the text is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the picture inside the answer is not valid base64") from None


def parse_generation(body: bytes) -> Generation:
    """The pictures in a success answer: as many as came. Raises UnusableAnswer when there is none."""
    data = _parse_json(body)
    if isinstance(data, dict) and data.get("error"):
        error = parse_error(body)
        raise UnusableAnswer(f"a success status with an error inside: {error.message or error.code or 'no message'}")
    raw_items = data.get("data") if isinstance(data, dict) else None
    if not isinstance(raw_items, list):
        raise UnusableAnswer("the answer has no list of pictures")
    items = tuple(_item(raw) for raw in raw_items)
    if not any(item.url or item.inline for item in items):
        reasons = "; ".join(sorted({item.error for item in items if item.error}))
        raise UnusableAnswer(reasons or "the answer holds no picture")
    created = data.get("created")
    is_time = isinstance(created, int) and not isinstance(created, bool) and 0 < created < 1 << 40
    return Generation(items, created if is_time else None)


def parse_error(body: bytes) -> ErrorAnswer:
    """What an error answer says, whatever its shape; empty where it says nothing."""
    try:
        data = _parse_json(body)
    except UnusableAnswer:
        return ErrorAnswer(message=_page_text(body))
    error = data.get("error", data.get("detail", data)) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return ErrorAnswer(message=_text(error))
    message = _text(error.get("message") or error.get("msg") or error.get("error"))
    return ErrorAnswer(
        code=_text(error.get("code")),
        type=_text(error.get("type")),
        message=message,
        request_id=_text(error.get("param"))[:100],
        nested=_nested(str(error.get("message") or "")[:10_000]),
    )


def _parse_json(body: bytes) -> Any:
    if len(body) > _LARGE and body.count(b",") + body.count(b"[") + body.count(b"{") > _PARTS_AT_MOST:
        raise UnusableAnswer("an answer of far too many parts")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except Exception:  # noqa: BLE001  # RecursionError, ValueError, UnicodeDecodeError: a hostile body may raise any
        raise UnusableAnswer(_not_json(body)) from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _not_json(body: bytes) -> str:
    if not body.strip():
        return "an empty answer"
    if body.lstrip()[:1] == b"<":
        return f"a web page instead of JSON: {_page_text(body)}"
    return "an answer that is not JSON, or cut off"


def _page_text(body: bytes) -> str:
    """The words of an HTML error page or of plain text, short enough for one line."""
    text = body[:4096].decode("utf-8", "replace")
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    words = title[1] if title else re.sub(r"<[^>]*>", " ", text)
    return " ".join(words.split())[:200]


def _text(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return "" if not value else json.dumps(value, ensure_ascii=True, default=str)[:_TEXT_AT_MOST]
    return str(value).encode("utf-8", "replace").decode("utf-8")[:_TEXT_AT_MOST]


def _nested(message: str) -> str:
    """An upstream's error object quoted in a message: its words, or empty."""
    match = _NESTED_ERROR.search(message)
    if not match:
        return ""
    try:
        inner = json.loads(match[1])
    except (ValueError, RecursionError):
        return match[1][:_TEXT_AT_MOST]
    return " ".join(_text(value) for value in inner.values()) if isinstance(inner, dict) else ""


def _item(raw: Any) -> Item:
    if isinstance(raw, str):
        return _item({"url": raw})
    if not isinstance(raw, dict):
        return Item(error="an item that is not an object")
    url, inline = raw.get("url"), raw.get("b64_json")
    if isinstance(url, str) and url.strip().lower().startswith("data:"):
        inline, url = inline or url, None
    error = raw.get("error")
    if isinstance(url, str) and not _is_text(url):
        return Item(error="a link that is not text")
    return Item(
        url=url.strip() if isinstance(url, str) and url.strip() else None,
        inline=_without_prefix(inline) if isinstance(inline, str) and inline.strip() else None,
        error=_text(error.get("message") or error.get("code")) if isinstance(error, dict) else _text(error),
    )


def _is_text(value: str) -> bool:
    """Whether a text can be written down: JSON lets halves of characters through."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _without_prefix(inline: str) -> str:
    match = _DATA_URI.match(inline[:400])
    return inline[match.end() :].strip() if match else inline.strip()
