"""Wrong answers on order: pages instead of JSON, answers that break off, links that fail.

It refuses to decide which request is hit (`faults`) and what is billed (`server`).
"""

import asyncio
import base64
import uuid
from typing import Any

from aiohttp import web

from batchgen.sandbox.answers import ERRORS, HTML_ERROR, as_bytes, error_body

BEFORE_WORK = frozenset({"502-html", "html", "error-200", "refuse-disconnect"})
"""Faults that end a request before anything is made, other than plain error answers."""
AFTER_WORK = frozenset({"504", "empty", "truncated", "cut-json", "disconnect", "slow"})
"""Faults that take away the answer when the picture has been made and billed."""
_CHECK_EVERY_S = 0.05


async def instead_of_work(kind: str, request: web.Request) -> web.StreamResponse:
    """The answer for a fault of `BEFORE_WORK`."""
    if kind == "refuse-disconnect":
        return _hang_up(request)
    if kind == "error-200":
        return web.Response(body=as_bytes(error_body(ERRORS["500-upstream"])), content_type="application/json")
    status, title = (502, "502 Bad Gateway") if kind == "502-html" else (200, "Sign in to the network")
    return web.Response(status=status, text=HTML_ERROR.format(title=title), content_type="text/html")


async def instead_of_answer(kind: str, request: web.Request, body: bytes) -> web.StreamResponse:
    """The answer for a fault of `AFTER_WORK`; `body` is what a healthy server would have sent."""
    if kind == "disconnect":
        return _hang_up(request)
    if kind == "slow":
        # The server does not cancel its work when a client leaves, as a real one would not: it has to look.
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(_CHECK_EVERY_S)
        return web.Response()
    if kind == "truncated":
        return await break_off(request, body, "application/json")
    if kind == "504":
        return web.Response(status=504, body=as_bytes(error_body(ERRORS["504"])), content_type="application/json")
    return web.Response(body=body[: len(body) // 2] if kind == "cut-json" else b"", content_type="application/json")


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


async def spoiled_picture(flaw: str, request: web.Request, picture: bytes, content_type: str) -> web.StreamResponse:
    """What a download gets whose link has the flaw; raises web.HTTPNotFound for a dead one."""
    if flaw == "picture-404":
        raise web.HTTPNotFound
    if flaw == "picture-html":
        return web.Response(text=HTML_ERROR.format(title="Not here"), content_type="text/html")
    if flaw == "picture-500-once":
        return web.Response(status=500, text=f"error {uuid.uuid4()}")
    return await break_off(request, picture, content_type)


async def break_off(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """Announce the whole body, send half of it and close the connection."""
    response = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
