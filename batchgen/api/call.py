"""One paid call over the network, and nothing around it: no retry, no redirect, no second connection.

Every call has a connection of its own: an answer that comes late on a kept-alive one would be filed under another
prompt. Whether the request left is asked of the transport's own hooks, because it decides whether money may be gone.
The key goes to the provider's origin alone, and into no message.
"""

import asyncio
import errno
import io
import os
import socket
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp

from batchgen import __version__
from batchgen.api.addresses import AddressInfo, guarded_socket, is_loopback, server_name
from batchgen.api.dialects import parse_error
from batchgen.api.memory import Memory
from batchgen.api.outcomes import Facts
from batchgen.api.tls import client_context
from batchgen.secret import Secret

CONNECT_TIMEOUT_S = 10.0
ERROR_BODY_AT_MOST = 64 * 1024
ANSWER_AT_MOST = 64 * 1024 * 1024
"""Four large pictures in base64. Of a body that is longer only the beginning is kept, as a proof of what came."""
_PROOF = 1024 * 1024
_HELD_FREELY = 1024 * 1024
"""What every call may hold of its answer without asking. Links take a few kilobytes, most pictures little more."""
_UNPACKED_AT_MOST_TIMES = 20
"""JSON of links or base64 never packs better; what does is there to fill the memory."""
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_STREAMED_FROM = 512 * 1024
"""Request bodies from this size on are written in pieces, so that the event loop is not held up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one call ended: the facts for `outcomes.classify`, and the body when it was a complete success answer."""

    facts: Facts
    body: bytes = field(default=b"", repr=False)
    latency_s: float = 0.0
    retry_after: str = ""
    date: str = ""
    """The server's own clock, as its `Date` header says it."""
    held: int = 0
    """Bytes of the caller's `Memory` that the body takes up, until `Caller.let_go`."""


class Caller:
    """The session that paid calls go through; an async context manager.

    Raises nothing for what a provider or a network does: every end of a call is an `Answer`.
    """

    def __init__(
        self, url: str, key: str | None, *, proxy: str | None = None, at_once: int = 64, memory: Memory | None = None
    ) -> None:
        self._memory = memory or Memory()
        self._url = url
        self._secret = Secret(key)
        self._secure_url = url.lower().startswith("https:")
        self._proxy = proxy
        self._at_once = at_once
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"batchgen/{__version__}",
        }
        secure = self._secure_url or (self._proxy or "").lower().startswith("https:")
        tls = await asyncio.to_thread(client_context) if secure else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                force_close=True, limit=self._at_once + 8, ttl_dns_cache=60, ssl=tls, socket_factory=self._guard()
            ),
            headers=headers,
            trace_configs=[trace],
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

    def _guard(self) -> Callable[[AddressInfo], socket.socket] | None:
        """Plain http is for this machine: a look-up that says otherwise of `localhost` is not believed."""
        return guarded_socket(is_loopback) if not self._secure_url and not self._proxy else None

    async def post(self, body: bytes, *, idempotency_key: str, timeout_s: float) -> Answer:
        """Send one paid request and wait for its end, at most `timeout_s` seconds.

        Cancelling it leaves the outcome unknown; the caller has to record that.
        """
        data = body if len(body) < _STREAMED_FROM else io.BytesIO(body)
        return await self._exchange("POST", self._url, data, {"Idempotency-Key": idempotency_key}, timeout_s)

    async def ask(self, url: str, *, timeout_s: float, with_key: bool = True) -> Answer:
        """Ask something that costs nothing (GET); `url` is of the origin that paid calls go to."""
        return await self._exchange("GET", url, None, {}, timeout_s, with_key=with_key)

    async def _exchange(
        self,
        method: str,
        url: str,
        data: bytes | io.BytesIO | None,
        headers: dict[str, str],
        timeout_s: float,
        *,
        with_key: bool = True,
    ) -> Answer:
        assert self._session is not None, "used outside its context"
        loop = asyncio.get_running_loop()
        started = loop.time()
        state = _CallState()
        # The key is a header of each request: those of the session would be shown to a proxy, too.
        if self._secret.value and with_key:
            headers = {**headers, "Authorization": f"Bearer {self._secret.value}"}
        try:
            async with self._session.request(
                method,
                url,
                data=data,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
                trace_request_ctx=state,
            ) as response:
                state.status = response.status
                answer = await self._read(response, state)
        except Exception as error:  # noqa: BLE001  # the transport's errors are many; each only means "no complete answer"
            facts = Facts(
                sent=state.sent,
                complete=False,
                status=state.status,
                trouble=describe(error, url, timeout_s),
                # A handshake that broke off may work the next time; a certificate does not become better by itself.
                certificate=isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError),
                no_files=_errno(error) in {errno.EMFILE, errno.ENFILE},
            )
            self._memory.give_back(state.held)
            return Answer(facts, latency_s=loop.time() - started)
        except BaseException:
            self._memory.give_back(state.held)
            raise
        return replace(answer, latency_s=loop.time() - started, held=state.held)

    def let_go(self, answer: Answer) -> None:
        """The answer's body is not needed any more; to be said of every answer once."""
        self._memory.give_back(answer.held)

    async def _read(self, response: aiohttp.ClientResponse, state: "_CallState") -> Answer:
        success = 200 <= response.status < 300
        packed = response.headers.get("Content-Encoding", "").lower() in _PACKED
        body = await self._body(response, state, ANSWER_AT_MOST if success else ERROR_BODY_AT_MOST, packed=packed)
        if packed:
            # Not asked for; but inside a paid answer is a link that is worth money.
            body = _inflated(body) if len(body) < _STREAMED_FROM else await asyncio.to_thread(_inflated, body)
        retry_after = response.headers.get("Retry-After", "")[:100]
        date = response.headers.get("Date", "")[:100]
        if success:
            return Answer(Facts(sent=True, complete=True, status=response.status), body, 0.0, retry_after, date)
        error = parse_error(body, self._secret)
        state.sent = True
        return Answer(Facts(sent=True, complete=True, status=response.status, error=error), b"", 0.0, retry_after, date)

    async def _body(self, response: aiohttp.ClientResponse, state: "_CallState", most: int, *, packed: bool) -> bytes:
        """The body, or the beginning of one that is longer than `most`. What is large waits for room before it is read."""
        blocks: list[bytes] = []
        size = 0
        async for block in response.content.iter_any():
            blocks.append(block)
            size += len(block)
            if size > most:
                # What is cut may end in half of the key.
                return await asyncio.to_thread(self._secret.hide_in, b"".join(_beginning(blocks)), cut=True)
            if size > _HELD_FREELY and not state.held:
                length = None if packed else response.content_length
                state.held = await self._memory.take(ANSWER_AT_MOST if length is None else length)
        return b"".join(blocks)


@dataclass(slots=True)
class _CallState:
    """What the transport's hooks learn about one call while it runs."""

    sent: bool = False
    status: int | None = None
    held: int = 0


async def _mark_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.sent = True


def _beginning(blocks: list[bytes]) -> list[bytes]:
    """As many of the first blocks as a proof needs, cut to its length."""
    kept, size = [], 0
    for block in blocks:
        kept.append(block[: _PROOF - size])
        size += len(kept[-1])
        if size == _PROOF:
            break
    return kept


def _inflated(body: bytes) -> bytes:
    """A compressed body, at most as large as an answer may be; as it is when it cannot be read."""
    most = min(ANSWER_AT_MOST, _PROOF + _UNPACKED_AT_MOST_TIMES * len(body))
    try:
        return zlib.decompressobj(47).decompress(body, most)
    except zlib.error:
        return body


def describe(error: BaseException, url: str, timeout_s: float | None = None) -> str:
    """A transport error in plain words, without anything secret: never the library's own text of a request."""
    host = server_name(url)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return _tls_words(error, host)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {host} cannot be looked up"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"{host} did not accept a connection within {CONNECT_TIMEOUT_S:.0f} s"
    broke_off = isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionError)
    if broke_off and url.lower().startswith("https:") and _errno(error) is None:
        return f"{host} broke off the secure connection before it began (perhaps it speaks no TLS 1.2)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {host}: {_os_words(error.os_error)}"
    if isinstance(error, TimeoutError):
        return f"no complete answer from {host} within {timeout_s:g} s" if timeout_s else f"{host} was too slow"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"the answer of {host} was cut off"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return f"{host} closed the connection before its answer was complete"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{host} answered with something that is not HTTP"
    return f"the connection to {host} failed ({type(error).__name__})"


def _errno(error: BaseException) -> int | None:
    return getattr(getattr(error, "os_error", error), "errno", None)


_CERTIFICATE_WORDS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by nobody but itself",
    19: "is signed by nobody whom this machine trusts",
    20: "is signed by nobody whom this machine trusts",
    21: "is signed by nobody whom this machine trusts",
    62: "is for another host",
    64: "is for another host",
}
"""What OpenSSL's verdicts on a certificate mean."""


def _tls_words(error: BaseException, host: str) -> str:
    """Why there is no trusted connection: the certificate, or a server that speaks nothing that is safe."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = _CERTIFICATE_WORDS.get(cause.verify_code, f"is not trusted ({cause.verify_message})")
        return f"the certificate of {host} {words}"
    reason = str(getattr(cause, "reason", None) or "").replace("_", " ").lower()
    if "protocol" in reason or "version" in reason:
        return f"{host} does not speak TLS 1.2 or newer"
    return f"no secure connection to {host} ({reason or 'the handshake failed'})"


def _os_words(error: Any) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else "the connection failed"
