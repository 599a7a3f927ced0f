"""Who may ask the sandbox: programs, and no web page that happens to be open in the same machine's browser.

A page can send requests to a port of this machine, and read the answers when its own name is made to resolve to it. It
refuses to know what is asked for.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def only_from_here(listening_on: str) -> Middleware:
    """A middleware that turns away pages of other origins and, on a loopback address, requests for any other name."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        foreign_name = is_loopback(listening_on) and not is_loopback(urlsplit(f"//{request.host}").hostname or "")
        if foreign_name or (origin and not is_loopback(urlsplit(origin).hostname or "")):
            words = "the sandbox is for programs of this machine, not for web pages"
            return web.json_response({"error": {"message": words, "code": "foreign_origin"}}, status=403)
        return await handler(request)

    return check


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its own word."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
