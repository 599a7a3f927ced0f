"""What the environment says to other programs: proxies, passwords by host. Neither a call nor a download hears it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.api.call import Caller
from batchgen.api.fetch import Downloader

from .canaries import Canaries


class Host:
    """Sets a cookie with every answer; `seen` are the headers of every request."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.origin = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(dict(request.headers))
        headers = {"Set-Cookie": "who=you; Path=/", "WWW-Authenticate": 'Basic realm="x"'}
        return web.Response(body=b"{}", headers=headers)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    app = web.Application()
    app.router.add_route("*", "/{name:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Canaries]:
    """A listener that every variable names as a proxy."""
    made = Canaries()
    await made.start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "SOCKS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{made.port}")
        monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{made.port}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.delenv("no_proxy", raising=False)
    yield made
    await made.stop()


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "machine 127.0.0.1 login me password pw\ndefault login me password pw\n"
    for name in (".netrc", "_netrc", "netrc"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


async def test_downloads_hear_nothing_of_it(host: Host, proxy: Canaries) -> None:
    async def write(_block: bytes) -> None: ...

    async with Downloader(f"{host.origin}/v1") as downloader:
        for _ in range(3):
            await downloader.fetch("/picture", write)

    assert proxy.heard == []
    assert len(host.seen) == 3
    for seen in host.seen:
        assert set(seen) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}


async def test_paid_calls_hear_nothing_of_it(host: Host, proxy: Canaries) -> None:
    async with Caller(f"{host.origin}/v1", "sk-123456789") as caller:
        for _ in range(2):
            await caller.post(b"{}", idempotency_key="k", timeout_s=20)

    assert proxy.heard == []
    assert len(host.seen) == 2
    for seen in host.seen:
        assert seen["Authorization"] == "Bearer sk-123456789"
        assert "Cookie" not in seen


async def test_a_call_without_a_key_finds_none_elsewhere(host: Host, proxy: Canaries) -> None:
    async with Caller(f"{host.origin}/v1", None) as caller:
        await caller.post(b"{}", idempotency_key="k", timeout_s=20)

    assert "Authorization" not in host.seen[0]
