"""Wrong answers to the paid call on order: which kind of fault is given how.

It refuses to decide which request is hit (`faults`) and what is billed (`server`).
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any

from aiohttp import web

from batchgen.sandbox.answers import ERRORS, HTML_ERROR, as_bytes, error_body
from batchgen.sandbox.bombs import gzip_bomb
from batchgen.sandbox.odd_json import ODD
from batchgen.sandbox.wire import (
    LATER_S,
    answer_and_note,
    answer_twice,
    break_off,
    drip,
    flood,
    hang_up,
    head,
    keep_silent,
    say_and_close,
    with_length,
    without_last_chunk,
    without_length,
)

_JSON = "application/json"
_DAY_S = 86_400.0
_RETRY_AFTER: Mapping[str, str] = {
    "429-negative": "-5",
    "429-nan": "NaN",
    "429-inf": "inf",
    "429-words": "soon",
    "429-ages": "1e9",
    "429-hour": "3600",
    "429-past": "Mon, 01 Jan 2001 00:00:00 GMT",
}
_REDIRECTS = frozenset({"302", "307"})
BEFORE_WORK = frozenset(
    {"502-html", "html", "error-200", "refuse-disconnect", "204", "999", "429-skewed", *_RETRY_AFTER, *_REDIRECTS}
)
"""Faults that end a request before anything is made, other than plain error answers."""

STALE = frozenset({"stale", "stale-late"})
"""Faults that need the answer to another prompt."""
_WIRE = frozenset(
    {
        "half-status",
        "not-http",
        "two-lengths",
        "long-header",
        "many-headers",
        "cut-chunks",
        "cut-close",
        "whole-close",
    }
)
_CONNECTION: Mapping[str, Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]] = {
    "disconnect": lambda request, _: hang_up(request),
    "slow": lambda request, _: keep_silent(request),
    "drip": lambda request, body: drip(request, body, _JSON),
    "endless": lambda request, body: flood(request, body[:-1], _JSON),
    "truncated": lambda request, body: break_off(request, body, _JSON),
    "idle-408": answer_and_note,
}
AFTER_WORK = STALE | _WIRE | frozenset(_CONNECTION) | frozenset(ODD) | {"504", "gzip-bomb"}
"""Faults that take away or spoil the answer when the picture has been made and billed."""


async def instead_of_work(kind: str, request: web.Request, now: float) -> web.StreamResponse:
    """The answer for a fault of `BEFORE_WORK`; `now` is UTC seconds."""
    if kind == "refuse-disconnect":
        return await hang_up(request)
    if kind == "error-200":
        return web.Response(body=as_bytes(error_body(ERRORS["500-upstream"])), content_type=_JSON)
    if kind.startswith("429-"):
        body = as_bytes(error_body(ERRORS["429"]))
        return web.Response(status=429, body=body, content_type=_JSON, headers=_come_back(kind, now))
    if kind in _REDIRECTS:
        return web.Response(status=int(kind), headers={"Location": request.path})
    if kind == "204":
        return web.Response(status=204)
    if kind == "999":
        return web.Response(status=999, body=b'{"error":{"message":"request denied"}}', content_type=_JSON)
    status, title = (502, "502 Bad Gateway") if kind == "502-html" else (200, "Sign in to the network")
    return web.Response(status=status, text=HTML_ERROR.format(title=title), content_type="text/html")


def _come_back(kind: str, now: float) -> dict[str, str]:
    if kind == "429-skewed":
        ahead = now + _DAY_S
        return {"Date": formatdate(ahead, usegmt=True), "Retry-After": formatdate(ahead + 1, usegmt=True)}
    return {"Retry-After": _RETRY_AFTER[kind]}


async def instead_of_answer(kind: str, request: web.Request, body: bytes, unasked: bytes = b"") -> web.StreamResponse:
    """The answer for a fault of `AFTER_WORK`.

    `body` is what a healthy server would have sent, `unasked` the answer to another prompt for a fault of `STALE`.
    """
    if kind in _CONNECTION:
        return await _CONNECTION[kind](request, body)
    if kind in _WIRE:
        return await say_and_close(request, _broken(kind, body))
    if kind in STALE:
        later_s = LATER_S if kind == "stale-late" else 0.0
        return await answer_twice(request, body, with_length(unasked, _JSON), later_s=later_s)
    if kind == "504":
        return web.Response(status=504, body=as_bytes(error_body(ERRORS["504"])), content_type=_JSON)
    if kind == "gzip-bomb":
        packed = await asyncio.to_thread(gzip_bomb, body[:-1], body[-1:])
        return web.Response(body=packed, content_type=_JSON, headers={"Content-Encoding": "gzip"})
    charset = "; charset=rot13" if kind == "rot13" else ""
    return web.Response(body=ODD[kind](body), headers={"Content-Type": _JSON + charset})


def _broken(kind: str, body: bytes) -> bytes:
    """The bytes of an answer whose head or end breaks the rules of HTTP."""
    if kind == "half-status":
        return b"HTTP/1.1 20"
    if kind == "not-http":
        return b"220 pictures.example ready\r\n" + body
    if kind == "two-lengths":
        return head(_JSON, f"Content-Length: {len(body)}", f"Content-Length: {len(body) // 2}") + body
    if kind == "long-header":
        return with_length(body, _JSON, "X-Padding: " + "p" * 20_000)
    if kind == "many-headers":
        return with_length(body, _JSON, *(f"X-Padding-{number}: p" for number in range(500)))
    if kind == "cut-chunks":
        return without_last_chunk(body, _JSON)
    return without_length(body if kind == "whole-close" else body[: len(body) // 2], _JSON)


def spoil(kind: str | None, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answer's items as a fault leaves them; unchanged for any other kind."""
    if kind == "no-data":
        return []
    if kind == "bad-b64":
        return [{"b64_json": "data:image/png;base64,this-is-not-base64!"} for _ in items]
    if kind == "item-error":
        row = ERRORS["400-content"]
        return [*items[:-1], {"error": {"code": row.code, "message": row.message}}]
    return items


def inline(picture: bytes, format_name: str, *, prefixed: bool) -> str:
    """A picture in base64, with the data URI prefix that the page shows or without."""
    text = base64.b64encode(picture).decode("ascii")
    return f"data:image/{format_name.lower()};base64,{text}" if prefixed else text
