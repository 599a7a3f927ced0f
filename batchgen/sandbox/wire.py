"""Answers written byte by byte past the server's own HTTP: heads that break the rules, bodies that end early or never.

Each function answers one request and leaves the connection as the fault wants it. It refuses to know kinds of fault,
pictures and the bill.
"""

import asyncio
import contextlib

from aiohttp import web

from batchgen.sandbox.answers import ERRORS, as_bytes, error_body

DRIP_EVERY_S = 0.2
LATER_S = 0.05
_FLOOD_BLOCK = 256 * 1024
_LOOK_EVERY_S = 0.05


def head(content_type: str, *lines: str) -> bytes:
    """The first lines of a successful answer, up to its body."""
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {content_type}", *lines]).encode("latin-1") + b"\r\n\r\n"


def with_length(body: bytes, content_type: str, *lines: str) -> bytes:
    """A whole answer with its length, and the given further header lines."""
    return head(content_type, f"Content-Length: {len(body)}", *lines) + body


def without_last_chunk(body: bytes, content_type: str) -> bytes:
    """A chunked answer that holds the whole body and lacks the chunk that says so."""
    return head(content_type, "Transfer-Encoding: chunked") + f"{len(body):x}\r\n".encode() + body + b"\r\n"


def without_length(body: bytes, content_type: str) -> bytes:
    """An answer whose end is the end of the connection."""
    return head(content_type, "Connection: close") + body


async def say_and_close(request: web.Request, raw: bytes) -> web.StreamResponse:
    """Write exactly these bytes and close the connection."""
    if request.transport is not None:
        request.transport.write(raw)
        request.transport.close()
    return web.Response()


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Drop the connection without another byte."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def keep_silent(request: web.Request) -> web.StreamResponse:
    """Say nothing until the client leaves."""
    # The server does not cancel its work when a client leaves, as a real one would not: it has to look.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY_S)
    return web.Response()


async def break_off(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """Announce the whole body, send half of it and close the connection."""
    whole = with_length(body, content_type)
    return await say_and_close(request, whole[: len(whole) - (len(body) + 1) // 2])


async def drip(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """The body one byte at a time, and zeros after it, until the client leaves."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        place = 0
        while True:
            await response.write(body[place : place + 1] or b"\0")
            place += 1
            await asyncio.sleep(DRIP_EVERY_S)
    return response


async def flood(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """The body and spaces after it, as fast as the client reads, until it leaves."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(body)
        while True:
            await response.write(b" " * _FLOOD_BLOCK)
            await asyncio.sleep(0)
    return response


async def answer_twice(request: web.Request, body: bytes, unasked: bytes, *, later_s: float) -> web.StreamResponse:
    """A right answer on a connection that stays open, and after `later_s` seconds bytes that nobody asked for.

    A client that uses the connection again takes them for the answer to its next request.
    """
    response = web.Response(body=body, content_type="application/json")
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()
        if later_s:
            await asyncio.sleep(later_s)
        if request.transport is not None and not request.transport.is_closing():
            request.transport.write(unasked)
    return response


async def answer_and_note(request: web.Request, body: bytes) -> web.StreamResponse:
    """A right answer, and behind it what some servers write to a connection that was idle for too long."""
    error = as_bytes(error_body(ERRORS["408"]))
    lines = ("HTTP/1.1 408 Request Timeout", "Connection: close", f"Content-Length: {len(error)}")
    note = "\r\n".join(lines).encode() + b"\r\n\r\n" + error
    response = await answer_twice(request, body, note, later_s=0.0)
    if request.transport is not None:
        request.transport.close()
    return response
