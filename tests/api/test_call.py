"""The paid call against a server of raw bytes: whether it left, how it ended, what is told."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from batchgen.api.call import Answer, Caller
from batchgen.api.outcomes import Kind, classify

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY = "sk-canary-9f8e7d"


@asynccontextmanager
async def raw_server(handle: Handler) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1/images/generations"
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        (int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length:")), 0
    )
    return head, await reader.readexactly(length)


async def post(url: str, body: bytes = b"{}", timeout_s: float = 5.0) -> Answer:
    async with Caller(url, KEY) as caller:
        return await caller.post(body, idempotency_key="k1", timeout_s=timeout_s)


def answering(raw: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    return handle


def http(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def test_a_call_carries_key_body_and_idempotency_key_and_closes_its_connection() -> None:
    seen: list[tuple[str, bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(http("200 OK", b'{"data": []}'))
        await writer.drain()

    async with raw_server(handle) as url:
        answer = await post(url, b'{"prompt": "x"}')

    head, body = seen[0]
    assert (answer.facts.status, answer.body) == (200, b'{"data": []}')
    assert body == b'{"prompt": "x"}'
    assert f"Authorization: Bearer {KEY}" in head
    assert "Idempotency-Key: k1" in head
    assert "connection: close" in head.lower()
    assert "accept-encoding: identity" in head.lower()


async def test_a_body_of_many_megabytes_arrives_whole() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await read_request(reader))[1])
        writer.write(http("200 OK", b"{}"))
        await writer.drain()

    body = b'{"image": "' + b"A" * 3_000_000 + b'"}'
    async with raw_server(handle) as url:
        await post(url, body)

    assert seen == [body]


async def test_nothing_that_listens_means_nothing_was_sent() -> None:
    answer = await post("http://127.0.0.1:9/v1/images/generations")

    assert classify(answer.facts).kind is Kind.NOT_SENT
    assert "127.0.0.1:9" in answer.facts.trouble


CUT = {
    "closed at once": b"",
    "half a status line": b"HTTP/1.1 20",
    "headers alone": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
    "half a body": http("200 OK", b'{"data": []}')[:-4],
    "a chunk that is cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a header of twenty kilobytes": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "half an error answer": http("400 Bad Request", b'{"error": {}}')[:-4],
}


@pytest.mark.parametrize("raw", CUT.values(), ids=CUT.keys())
async def test_an_answer_that_is_not_whole_leaves_the_outcome_unknown(raw: bytes) -> None:
    async with raw_server(answering(raw)) as url:
        answer = await post(url)

    assert answer.facts.sent
    assert classify(answer.facts).kind is Kind.UNKNOWN
    assert answer.facts.trouble


async def test_a_server_that_never_answers_is_waited_for_no_longer_than_asked() -> None:
    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async with raw_server(handle) as url:
        answer = await post(url, timeout_s=0.2)

    assert classify(answer.facts).kind is Kind.UNKNOWN
    assert "no complete answer" in answer.facts.trouble


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else() -> None:
    visits: list[str] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((await read_request(reader))[0])
        writer.write(http("200 OK", b"{}"))

    async with raw_server(elsewhere) as other:
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            async with raw_server(answering(http(status, b"", f"Location: {other}"))) as url:
                answer = await post(url)
            assert classify(answer.facts).reason == "moved"

    assert visits == []


async def test_a_late_answer_is_never_taken_for_the_next_call() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        writer.write(http("200 OK", b'{"for": ' + body + b"}"))
        writer.write(http("200 OK", b'{"for": "nobody"}'))
        await writer.drain()
        await reader.read()

    async with raw_server(handle) as url, Caller(url, KEY) as caller:
        answers = [await caller.post(b'"%d"' % turn, idempotency_key="k", timeout_s=5) for turn in range(3)]

    assert [answer.body for answer in answers] == [b'{"for": "0"}', b'{"for": "1"}', b'{"for": "2"}']


async def test_the_wish_to_wait_and_the_servers_clock_are_told() -> None:
    raw = http("429 Too Many Requests", b"{}", "Retry-After: 7", "Date: Mon, 01 Jan 2024 00:00:00 GMT")
    async with raw_server(answering(raw)) as url:
        answer = await post(url)

    assert (answer.retry_after, answer.date) == ("7", "Mon, 01 Jan 2024 00:00:00 GMT")


async def test_an_answer_that_came_compressed_is_read_all_the_same() -> None:
    body = gzip.compress(b'{"data": [{"url": "https://x/1"}]}')
    async with raw_server(answering(http("200 OK", body, "Content-Encoding: gzip"))) as url:
        answer = await post(url)

    assert answer.body == b'{"data": [{"url": "https://x/1"}]}'


async def test_no_trouble_ever_names_the_key() -> None:
    raws = [*CUT.values(), b"HTTP/1.1 401 " + KEY.encode() + b"\r\nContent-Length: 9999999\r\n\r\n"]
    for raw in raws:
        async with raw_server(answering(raw)) as url:
            answer = await post(url)
        assert KEY not in repr(answer)


async def test_a_proxy_sees_where_a_call_goes_and_neither_key_nor_prompt() -> None:
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http("502 Bad Gateway", b""))
        await writer.drain()

    async with raw_server(proxy) as url, Caller("https://api.example.com/v1", KEY, proxy=url) as caller:
        answer = await caller.post(b'{"prompt": "a secret lamp"}', idempotency_key="x", timeout_s=10)

    assert not answer.facts.complete
    assert seen[0].startswith(b"CONNECT api.example.com:443")
    assert KEY.encode() not in seen[0]
    assert b"lamp" not in seen[0]


async def test_a_look_up_that_lies_about_this_machine_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def lying(host: str, port: int, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lying)
    async with Caller("http://localhost:9/v1", KEY) as caller:
        answer = await caller.post(b"{}", idempotency_key="x", timeout_s=10)

    assert not answer.facts.sent
    assert "cannot connect to localhost" in answer.facts.trouble
