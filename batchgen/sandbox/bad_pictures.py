"""What a download gets whose link has a flaw: refusals, redirects, other files, bytes that end early or never.

It refuses to draw: the right picture is given. How often a link was asked for is counted by the server.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from io import BytesIO

from aiohttp import web

from batchgen.sandbox.answers import HTML_ERROR
from batchgen.sandbox.bombs import gzip_bomb, pixel_bomb
from batchgen.sandbox.wire import break_off, drip, flood, say_and_close, without_last_chunk, without_length

IN_THE_DRAWING = frozenset({"picture-black", "picture-same", "picture-near", "picture-wrong-size"})
"""Flaws that are drawn, and need nothing from here."""
PASSING: Mapping[str, int] = {"picture-500-once": 1, "picture-403-twice": 2}
"""Flaws that only the first downloads of a link have, and how many of them."""

_REDIRECTS: Mapping[str, str] = {
    "picture-redirect-inner": "http://169.254.169.254/latest/meta-data/",
    "picture-redirect-file": "file:///etc/hostname",
    "picture-redirect-plain": "http://pictures.example/picture.png",
    "picture-redirect-loop": "",
}
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><script>alert(1)</script></svg>'
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n0 0 64 64 rectfill\nshowpage\n%%EOF\n"
_TRAIL = b"<script>alert(1)</script>"


async def bad_picture(flaw: str, request: web.Request, picture: bytes, content_type: str) -> web.StreamResponse:
    """The answer for a link with this flaw. Raises web.HTTPNotFound for a dead one."""
    if flaw == "picture-404":
        raise web.HTTPNotFound
    if flaw == "picture-403-twice":
        raise web.HTTPForbidden
    if flaw == "picture-500-once":
        return web.Response(status=500, text=f"error {uuid.uuid4()}")
    if flaw == "picture-html":
        return web.Response(text=HTML_ERROR.format(title="Not here"), content_type="text/html")
    if flaw in _REDIRECTS:
        return web.Response(status=302, headers={"Location": _REDIRECTS[flaw] or request.path})
    if flaw == "picture-gzip-bomb":
        packed = await asyncio.to_thread(gzip_bomb, picture)
        return web.Response(body=packed, content_type=content_type, headers={"Content-Encoding": "gzip"})
    if flaw == "picture-drip":
        return await drip(request, picture, content_type)
    if flaw == "picture-endless":
        return await flood(request, picture, content_type)
    if flaw in _OTHER_BYTES:
        return web.Response(body=_OTHER_BYTES[flaw](picture), content_type=content_type)
    return await _cut(flaw, request, picture, content_type)


async def _cut(flaw: str, request: web.Request, picture: bytes, content_type: str) -> web.StreamResponse:
    if flaw == "picture-cut-chunks":
        return await say_and_close(request, without_last_chunk(picture, content_type))
    if flaw == "picture-cut-close":
        return await say_and_close(request, without_length(picture[: len(picture) // 2], content_type))
    if flaw == "picture-whole-close":
        return await say_and_close(request, without_length(picture, content_type))
    return await break_off(request, picture, content_type)


def _flipped(picture: bytes) -> bytes:
    place = len(picture) // 2
    return picture[:place] + bytes([picture[place] ^ 0x10]) + picture[place + 1 :]


def _as_format(picture: bytes, name: str) -> bytes:
    from PIL import Image

    target = BytesIO()
    with Image.open(BytesIO(picture)) as opened:
        opened.save(target, name)
    return target.getvalue()


_OTHER_BYTES: Mapping[str, Callable[[bytes], bytes]] = {
    "picture-pixel-bomb": lambda _: pixel_bomb(),
    "picture-eps": lambda _: _EPS,
    "picture-svg": lambda _: _SVG,
    "picture-tiff": lambda picture: _as_format(picture, "TIFF"),
    "picture-gif": lambda picture: _as_format(picture, "GIF"),
    "picture-flipped": _flipped,
    "picture-trailing": lambda picture: picture + _TRAIL,
}
