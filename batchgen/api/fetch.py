"""One result link to bytes: free, repeatable, and without anything secret.

The session carries no key, no cookie and no proxy of the environment. Every link and redirect is read once and checked
(see `links.py`), every socket is checked again (see `addresses.py`). It refuses to decide whether to try again and to
know what a picture is.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from batchgen import __version__
from batchgen.api.addresses import AddressInfo, AddressRefused, guarded_socket, is_loopback, is_public, server_name
from batchgen.api.call import CONNECT_TIMEOUT_S, describe
from batchgen.api.links import LinkRefused, Links
from batchgen.api.tls import client_context
from batchgen.secret import NO_SECRET, Secret

BLOCK = 1024 * 1024
PICTURE_AT_MOST = 64 * 1024 * 1024
REDIRECTS_AT_MOST = 3
_SLOWEST_BYTES_PER_S = 50_000
_READ_TIMEOUT_S = 30.0
HEADERS_WITHIN_S = 60.0
"""From the look-up of the name to the end of the headers: notes on the way to an answer are no answer."""
SLOW_FOR_S = 30.0
SLOW_BYTES_PER_S = 10_000
"""A download that stays below this speed for so long is broken off: another try may find a better server."""
_AS_IT_IS = frozenset({"", "identity", "aws-chunked"})
"""Content encodings that say nothing of the bytes; some stores keep the last one from how a file was sent to them."""
_GONE = frozenset({403, 404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class LinkDead(Exception):
    """The server says that the picture is not there (403, 404, 410)."""


class FetchFailed(Exception):
    """The picture did not come this time; another try may bring it.

    `final` says that no try ever will, because of the link itself; `odd` that the server gave what it never should,
    which is believed when it does so again.
    """

    def __init__(self, message: str, *, final: bool = False, odd: bool = False) -> None:
        super().__init__(message)
        self.final = final
        self.odd = odd


class Downloader:
    """The session that pictures are downloaded through; an async context manager.

    `base_url` is the provider's: relative links are resolved against it, and only a provider on this machine may link
    to this machine or use plain http; to other ports than its own only if it has `neighbours` there.
    """

    def __init__(
        self,
        base_url: str,
        *,
        proxy: str | None = None,
        at_once: int = 16,
        secret: Secret = NO_SECRET,
        neighbours: bool = True,
    ) -> None:
        self._secret = secret
        self._links = Links(base_url, neighbours=neighbours)
        self._proxy = proxy
        self._at_once = at_once
        self._tls: ssl.SSLContext | None = None
        self._open: aiohttp.ClientSession | None = None
        self._home: aiohttp.ClientSession | None = None
        self._sessions = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Behind a proxy it is the proxy that connects; this machine's sockets lead to the proxy alone.
        guard = None if self._proxy else guarded_socket(is_public)
        at_home = guarded_socket(is_loopback) if self._links.local and not self._proxy else None
        self._open = await self._sessions.enter_async_context(_session(self._at_once, guard))
        self._home = await self._sessions.enter_async_context(_session(self._at_once, at_home))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sessions.aclose()

    async def fetch(self, link: str, write: Callable[[bytes], Awaitable[None]]) -> int:
        """Pass the picture behind `link` to `write` in blocks and return its length in bytes.

        The blocks are whole only when this returns. Raises LinkDead or FetchFailed; errors of `write` pass through.
        """
        url = None
        for hop in range(REDIRECTS_AT_MOST + 1):
            try:
                url = self._links.follow(link, url)
                if self._secret.is_in(str(url)):
                    raise LinkRefused("the link holds the key, which must not leave with it")
            except LinkRefused as error:
                # What is wrong with the link stays wrong; where a server leads to may be another place tomorrow.
                raise FetchFailed(str(error), final=hop == 0, odd=hop > 0) from None
            async with await self._ask(url) as response:
                if response.status not in _REDIRECTS:
                    return await _receive(response, url, write)
                link = response.headers.get("Location", "")
        raise FetchFailed(f"more than {REDIRECTS_AT_MOST} redirects", odd=True)

    async def _ask(self, url: URL) -> aiohttp.ClientResponse:
        """The answer to a request for `url`, up to its headers; raises FetchFailed."""
        session = self._home if self._links.is_home(url) else self._open
        assert session is not None, "used outside its context"
        try:
            async with asyncio.timeout(HEADERS_WITHIN_S):
                tls = await self._secure(url)
                return await session.get(
                    url, allow_redirects=False, timeout=_timeout(), proxy=self._proxy, ssl=True if tls is None else tls
                )
        except Exception as error:  # noqa: BLE001  # a hostile server finds errors that the transport does not document
            if isinstance(getattr(error, "os_error", None), AddressRefused):
                # Neither final nor odd: a hijacked or filtering look-up says nothing about tomorrow.
                message = f"the link leads to {server_name(str(url))}, which is not an address of the open internet"
                raise FetchFailed(message) from None
            raise FetchFailed(describe(error, str(url))) from None

    async def _secure(self, url: URL) -> ssl.SSLContext | None:
        if url.scheme != "https" and not (self._proxy or "").lower().startswith("https:"):
            return None
        if self._tls is None:
            self._tls = await asyncio.to_thread(client_context)
        return self._tls


def _session(at_once: int, guard: Callable[[AddressInfo], socket.socket] | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=at_once, ttl_dns_cache=60, socket_factory=guard),
        headers={"Accept-Encoding": "identity", "User-Agent": f"batchgen/{__version__}"},
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _timeout() -> aiohttp.ClientTimeout:
    total = 60 + PICTURE_AT_MOST / _SLOWEST_BYTES_PER_S
    return aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S)


async def _receive(response: aiohttp.ClientResponse, url: URL, write: Callable[[bytes], Awaitable[None]]) -> int:
    if response.status in _GONE:
        raise LinkDead(f"the server says {response.status} for this link")
    if response.status != 200:
        raise FetchFailed(f"the server says {response.status} for this link")
    if response.headers.get("Content-Encoding", "").strip().lower() not in _AS_IT_IS:
        raise FetchFailed("the picture came compressed, which was not asked for", odd=True)
    length = response.content_length
    if length is not None and length > PICTURE_AT_MOST:
        raise FetchFailed(f"the picture has {length:,} bytes, more than the {PICTURE_AT_MOST:,} allowed", odd=True)
    held: list[bytes] = []
    held_size = size = 0
    blocks = _Blocks(response.content, url)
    while block := await blocks.next():
        size += len(block)
        if size > PICTURE_AT_MOST:
            raise FetchFailed(f"the picture has more than the {PICTURE_AT_MOST:,} bytes allowed", odd=True)
        held.append(block)
        held_size += len(block)
        if held_size >= BLOCK:
            await write(b"".join(held))
            held, held_size = [], 0
    if held:
        await write(b"".join(held))
    if length is not None and size != length:
        raise FetchFailed(f"cut off after {size:,} of {length:,} bytes")
    return size


class _Blocks:
    """A body's blocks, from a server that has to keep up a speed: a trickle, or what is no body at all, ends.

    Only the waiting for the server counts, not what the disk takes.
    """

    def __init__(self, content: aiohttp.StreamReader, url: URL) -> None:
        self._content = content
        self._url = url
        self._patience_s = SLOW_FOR_S
        self._bytes = 0

    async def next(self) -> bytes:
        """The next block, empty at the end. Raises FetchFailed when the body breaks off or is too slow."""
        time = asyncio.get_running_loop().time
        started = time()
        try:
            async with asyncio.timeout(self._patience_s):
                block = await self._content.readany()
        except TimeoutError:
            raise FetchFailed(f"too slow: {self._bytes:,} bytes in {SLOW_FOR_S:.0f} s") from None
        except Exception as error:  # noqa: BLE001  # as in `_ask`
            raise FetchFailed(describe(error, str(self._url))) from None
        self._patience_s -= time() - started
        self._bytes += len(block)
        if self._bytes >= SLOW_BYTES_PER_S * SLOW_FOR_S:
            self._patience_s, self._bytes = SLOW_FOR_S, 0
        return block
