"""Answers whose headers are the attack: each is a picture, a failed download or an end of a call; nothing else is heard."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from batchgen.api import fetch
from batchgen.api.call import Caller
from batchgen.api.fetch import Downloader, FetchFailed, LinkDead
from batchgen.api.outcomes import Kind, classify

BODY = b"picture!" * 20
SECRET = "signature-9f8e7d"
LENGTH = b"Content-Length: %d" % len(BODY)


def ok(*headers: bytes, body: bytes = BODY, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *headers)) + b"\r\n\r\n" + body


COMES = {
    "a cookie that is none": ok(LENGTH, b"Set-Cookie: =; \x01;;; =\xff\xfe; Path=\\"),
    "a cookie with an illegal name": ok(LENGTH, b"Set-Cookie: a[]{}()<>@,;=b; Domain=.; Max-Age=nan; Expires=never"),
    "a hundred cookies": ok(LENGTH, *[b"Set-Cookie: c%d=%s" % (n, b"v" * 4000) for n in range(100)]),
    "a cookie of eight kilobytes": ok(LENGTH, b"Set-Cookie: a=" + b"x" * 8000),
    "headers that are not UTF-8": ok(LENGTH, b"Server: \xff\xfe\x80", b"X-Name: \xe4"),
    "a range that was not asked for": ok(LENGTH, b"Content-Range: bytes 0-5/999999"),
    "an encoding that says nothing": ok(LENGTH, b"Content-Encoding: "),
    "how the store once received it": ok(LENGTH, b"Content-Encoding: aws-chunked"),
    "a type with an absurd charset": ok(LENGTH, b"Content-Type: image/png; charset=rot13; boundary=\x22"),
    "no length, then the end": ok(b"Connection: close"),
    "a few notes on the way": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + ok(LENGTH),
    "chunks with extensions": ok(
        b"Transfer-Encoding: chunked", body=b"a0;x=y;z\r\n" + BODY + b"\r\n0;end\r\nX: y\r\n\r\n"
    ),
    "the same length twice in one header": ok(LENGTH + b"\r\nX: y"),
    "a refresh, an alternative and a policy": ok(LENGTH, b"Refresh: 0; url=http://x/", b"Alt-Svc: h3=x", b"NEL: {"),
}
FAILS = {
    "a length of 20 digits": ok(b"Content-Length: 99999999999999999999"),
    "a length of 5,000 digits": ok(b"Content-Length: " + b"9" * 5000),
    "a negative length": ok(b"Content-Length: -1"),
    "a length with a sign": ok(b"Content-Length: +160"),
    "a length in hex": ok(b"Content-Length: 0xa0"),
    "a length that is no number": ok(b"Content-Length: many"),
    "an empty length": ok(b"Content-Length: "),
    "two lengths that differ": ok(LENGTH, b"Content-Length: 3"),
    "two lengths in one": ok(b"Content-Length: 160, 3"),
    "a length and chunks": ok(LENGTH, b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "an unknown transfer coding": ok(b"Transfer-Encoding: rot13, chunked"),
    "a length that is too long": ok(b"Content-Length: 1000"),
    "a part": ok(LENGTH, b"Content-Range: bytes 0-5/999999", status=b"206 Partial Content"),
    "not modified": ok(b"ETag: x", status=b"304 Not Modified", body=b""),
    "no content": ok(status=b"204 No Content", body=b""),
    "many choices": ok(LENGTH, b"Location: /x", status=b"300 Multiple Choices"),
    "another protocol": ok(b"Upgrade: h2c", b"Connection: Upgrade", status=b"101 Switching Protocols"),
    "a proxy that wants a password": ok(LENGTH, b"Proxy-Authenticate: Basic", status=b"407 Proxy"),
    "a status of four digits": ok(LENGTH, status=b"2000 OK"),
    "a negative status": ok(LENGTH, status=b"-200 OK"),
    "HTTP/9.9": b"HTTP/9.9 200 OK\r\n\r\n",
    "HTTP/0.9": BODY,
    "a header of 100 kilobytes": ok(LENGTH, b"X: " + b"x" * 100_000),
    "a thousand headers": ok(LENGTH, *[b"X-%d: y" % n for n in range(1000)]),
    "a reason of a megabyte": ok(LENGTH, status=b"200 " + b"x" * 1_000_000),
    "a header's name that is none": ok(LENGTH, b"X Y\x00: z"),
    "a header without a name": ok(LENGTH, b": z"),
    "a header folded over lines": ok(LENGTH, b"X: a\r\n b\r\n\tc: d\x00"),
    "a NUL in a header": ok(LENGTH, b"X: a\x00b"),
    "a bare line feed and a forged header": ok(LENGTH, b"X: a\nContent-Length: 3"),
    "a chunk of a negative size": ok(b"Transfer-Encoding: chunked", body=b"-5\r\nabc\r\n0\r\n\r\n"),
    "a chunk of 2^64 bytes": ok(b"Transfer-Encoding: chunked", body=b"10000000000000000\r\nabc"),
    "a chunk's size of 5,000 digits": ok(b"Transfer-Encoding: chunked", body=b"0" * 5000 + b"g\r\nabc"),
    "a chunk longer than it says": ok(b"Transfer-Encoding: chunked", body=b"3\r\nabcdef\r\n0\r\n\r\n"),
    "a compressed picture": ok(LENGTH, b"Content-Encoding: gzip"),
    "an absurd encoding": ok(LENGTH, b"Content-Encoding: " + b"gzip, " * 100),
    "nothing": b"",
}


class Host:
    """Sends `raw` as it is, `times` over (or as often as anybody listens), and closes."""

    def __init__(self) -> None:
        self.raw = b""
        self.endless = b""
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.raw)
            while self.endless:
                writer.write(self.endless)
                await writer.drain()
                await asyncio.sleep(0)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    made.endless = b""
    server.close()
    await server.wait_closed()


@pytest.fixture
async def quiet(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Nothing is logged that would reach a terminal, and nothing falls out of the event loop."""
    fallen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: fallen.append(context))
    yield
    await asyncio.sleep(0)
    assert fallen == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def fetch_from(host: Host) -> bytes:
    blocks: list[bytes] = []

    async def write(block: bytes) -> None:
        blocks.append(block)

    async with Downloader(f"http://127.0.0.1:{host.port}/v1") as downloader:
        await downloader.fetch(f"/picture?sig={SECRET}", write)
    return b"".join(blocks)


@pytest.mark.parametrize("raw", COMES.values(), ids=COMES.keys())
async def test_odd_headers_around_a_whole_picture_do_not_matter(raw: bytes, host: Host, quiet: None) -> None:
    host.raw = raw

    assert await fetch_from(host) == BODY


@pytest.mark.parametrize("raw", FAILS.values(), ids=FAILS.keys())
async def test_what_is_no_sound_answer_is_a_failed_download(raw: bytes, host: Host, quiet: None) -> None:
    host.raw = raw

    with pytest.raises(FetchFailed) as failed:
        await fetch_from(host)

    message = str(failed.value)
    assert not failed.value.final
    assert 0 < len(message) < 300
    assert message.isprintable()
    assert SECRET not in message


@pytest.mark.parametrize("raw", [*COMES.values(), *FAILS.values()], ids=[*COMES, *FAILS])
async def test_a_paid_call_ends_in_a_class_whatever_the_headers_are(raw: bytes, host: Host, quiet: None) -> None:
    host.raw = raw

    async with Caller(f"http://127.0.0.1:{host.port}/v1?sig={SECRET}", "sk-123456789") as caller:
        answer = await caller.post(b"{}", idempotency_key="k", timeout_s=20)

    outcome = classify(answer.facts)
    assert outcome.kind is not Kind.NOT_SENT
    assert len(outcome.message) < 600
    assert SECRET not in outcome.message


ENDLESS = {
    "notes on the way": (b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 50),
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 50),
    "an extension of a chunk": (ok(b"Transfer-Encoding: chunked", body=b"1;"), b"x" * 1000),
    "trailers": (ok(b"Transfer-Encoding: chunked", body=b"0\r\n"), b"X: y\r\n" * 50),
    "empty lines": (b"", b"\r\n" * 50),
    "zeros of a chunk's size": (ok(b"Transfer-Encoding: chunked", body=b""), b"0" * 1000),
}


@pytest.mark.parametrize(("raw", "endless"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_never_ends_and_is_no_picture_is_broken_off(
    raw: bytes, endless: bytes, host: Host, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "HEADERS_WITHIN_S", 0.2)
    monkeypatch.setattr(fetch, "SLOW_FOR_S", 0.2)
    host.raw, host.endless = raw, endless

    with pytest.raises(FetchFailed):
        await fetch_from(host)


async def test_a_gone_picture_with_a_hostile_page_is_gone_all_the_same(host: Host, quiet: None) -> None:
    host.raw = ok(b"Content-Length: 99999999999", b"Content-Encoding: gzip", status=b"404 " + b"\xff" * 1000)

    with pytest.raises(LinkDead):
        await fetch_from(host)
