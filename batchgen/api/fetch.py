"""One result link to bytes: free, repeatable, and without anything secret.

The session carries no key, no cookie and no proxy of the environment; every socket it opens is checked (see
`addresses.py`), also after a redirect. It refuses to decide whether to try again and to know what a picture is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from batchgen import __version__
from batchgen.api.addresses import AddressRefused, guarded_socket, is_inner_literal, is_loopback_host, origin
from batchgen.api.call import CONNECT_TIMEOUT_S, describe

BLOCK = 1024 * 1024
PICTURE_AT_MOST = 64 * 1024 * 1024
REDIRECTS_AT_MOST = 3
_SLOWEST_BYTES_PER_S = 50_000
_READ_TIMEOUT_S = 30.0
SLOW_FOR_S = 30.0
SLOW_BYTES_PER_S = 10_000
"""A download that stays below this speed for so long is broken off: another try may find a better server."""
_GONE = frozenset({403, 404, 410})


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
    to this machine or use plain http.
    """

    def __init__(self, base_url: str, *, proxy: str | None = None, at_once: int = 16) -> None:
        self._base_url = base_url
        self._proxy = proxy
        self._local = is_loopback_host(urlsplit(base_url).hostname or "")
        self._at_once = at_once
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Behind a proxy it is the proxy that connects; this machine's sockets lead to the proxy alone.
        guard = None if self._proxy else guarded_socket(allow_loopback=self._local)
        connector = aiohttp.TCPConnector(limit=self._at_once, ttl_dns_cache=60, socket_factory=guard)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"Accept-Encoding": "identity", "User-Agent": f"batchgen/{__version__}"},
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, link: str, write: Callable[[bytes], Awaitable[None]]) -> int:
        """Pass the picture behind `link` to `write` in blocks and return its length in bytes.

        The blocks are whole only when this returns. Raises LinkDead or FetchFailed; errors of `write` pass through.
        """
        assert self._session is not None, "used outside its context"
        url = _absolute(origin(self._base_url), link)
        for hop in range(REDIRECTS_AT_MOST + 1):
            # What is wrong with the link stays wrong; where a server leads to may be another place tomorrow.
            try:
                self._check(url)
            except FetchFailed as error:
                raise FetchFailed(str(error), final=hop == 0, odd=hop > 0) from None
            try:
                async with self._session.get(
                    url, allow_redirects=False, timeout=_timeout(), proxy=self._proxy
                ) as response:
                    if response.status in {301, 302, 303, 307, 308}:
                        url = _redirected(url, response.headers.get("Location", ""))
                        continue
                    return await _receive(response, write)
            except AddressRefused as error:
                raise FetchFailed(str(error), final=hop == 0, odd=hop > 0) from None
            except (aiohttp.ClientError, TimeoutError) as error:
                refused = getattr(error, "os_error", None)
                if isinstance(refused, AddressRefused):
                    raise FetchFailed(str(refused), final=hop == 0, odd=hop > 0) from None
                raise FetchFailed(describe(error, url)) from None
        raise FetchFailed(f"more than {REDIRECTS_AT_MOST} redirects", odd=True)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        plain_is_fine = parts.scheme == "http" and self._local and is_loopback_host(host)
        if not host or (parts.scheme != "https" and not plain_is_fine):
            scheme = parts.scheme[:20] or "no scheme"
            raise FetchFailed(f"the link uses {scheme}; only https is followed", final=True)
        if self._proxy and not plain_is_fine and is_inner_literal(host):
            raise FetchFailed(f"the link leads to {host}, which is not an address of the open internet", final=True)
        if parts.username or parts.password:
            raise FetchFailed("the link carries a user name", final=True)


def _absolute(base: str, link: str) -> str:
    """A link with scheme and host. Raises FetchFailed for one that is no address."""
    try:
        url = link if link.startswith(("https://", "http://")) else urljoin(base, link)
        urlsplit(url).port  # noqa: B018  # a bad port is found only when it is asked for
    except ValueError:
        raise FetchFailed("the link is not an address", final=True) from None
    return url


def _redirected(url: str, location: str) -> str:
    try:
        return _absolute(url, location)
    except FetchFailed as error:
        raise FetchFailed(str(error), odd=True) from None


def _timeout() -> aiohttp.ClientTimeout:
    total = 60 + PICTURE_AT_MOST / _SLOWEST_BYTES_PER_S
    return aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S)


async def _receive(response: aiohttp.ClientResponse, write: Callable[[bytes], Awaitable[None]]) -> int:
    if response.status in _GONE:
        raise LinkDead(f"the server says {response.status} for this link")
    if response.status != 200:
        raise FetchFailed(f"the server says {response.status} for this link")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("the picture came compressed, which was not asked for", odd=True)
    length = response.content_length
    if length is not None and length > PICTURE_AT_MOST:
        raise FetchFailed(f"the picture has {length:,} bytes, more than the {PICTURE_AT_MOST:,} allowed", odd=True)
    held: list[bytes] = []
    held_size = size = 0
    speed = _Speed()
    async for block in response.content.iter_any():
        size += len(block)
        if size > PICTURE_AT_MOST:
            raise FetchFailed(f"the picture has more than the {PICTURE_AT_MOST:,} bytes allowed", odd=True)
        speed.note(len(block))
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


class _Speed:
    """Watches that a download does not trickle: the wait for a single block is bounded, the sum of such waits is not."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._since = self._time()
        self._bytes = 0

    def note(self, size: int) -> None:
        """So many bytes came now. Raises FetchFailed when too few did for too long."""
        self._bytes += size
        passed = self._time() - self._since
        if passed < SLOW_FOR_S:
            return
        if self._bytes < SLOW_BYTES_PER_S * passed:
            raise FetchFailed(f"too slow: {self._bytes:,} bytes in {passed:.0f} s")
        self._since, self._bytes = self._time(), 0
