"""Downloads against real servers on loopback: what is followed, what is refused, what comes whole."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from batchgen.api.fetch import PICTURE_AT_MOST, Downloader, FetchFailed, LinkDead

BODY = b"picture " * 1000


class Store:
    """A picture store that misbehaves by path; `seen` are the requests it got."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.origin = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        name = request.match_info["name"]
        if name.isdigit():
            return web.Response(status=int(name))
        if name.startswith("hop"):
            left = int(name.removeprefix("hop"))
            raise web.HTTPFound(f"/hop{left - 1}" if left else "/picture")
        if name == "inner":
            raise web.HTTPFound("http://169.254.169.254/latest")
        if name == "packed":
            return web.Response(body=BODY, headers={"Content-Encoding": "br"})
        if name == "huge":
            response = web.StreamResponse(headers={"Content-Length": str(PICTURE_AT_MOST + 1)})
            await response.prepare(request)
            return response
        return web.Response(body=BODY)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    app = web.Application()
    app.router.add_route("*", "/{name}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def fetch(base_url: str, link: str, proxy: str | None = None) -> bytes:
    blocks: list[bytes] = []

    async def write(block: bytes) -> None:
        blocks.append(block)

    async with Downloader(base_url, proxy=proxy) as downloader:
        size = await downloader.fetch(link, write)
    assert size == sum(map(len, blocks))
    return b"".join(blocks)


@pytest.mark.parametrize("link", ["/picture", "picture", "/hop2"])
async def test_a_picture_comes_whole_also_by_a_relative_link_and_three_redirects(store: Store, link: str) -> None:
    assert await fetch(f"{store.origin}/v1", link) == BODY
    assert "Authorization" not in store.seen[-1].headers
    assert "Cookie" not in store.seen[-1].headers


@pytest.mark.parametrize("name", ["403", "404", "410"])
async def test_a_dead_link_is_told_from_a_failed_download(store: Store, name: str) -> None:
    with pytest.raises(LinkDead):
        await fetch(store.origin, f"/{name}")

    with pytest.raises(FetchFailed) as failed:
        await fetch(store.origin, "/500")
    assert not failed.value.final


@pytest.mark.parametrize(
    "link",
    [
        "http://[broken",
        "ftp://x/y",
        "file:///etc/passwd",
        "http://10.0.0.1/x",
        "https://u:p@example.com/x",
        "https://x:99999999/y",
    ],
)
async def test_what_no_result_link_has_a_reason_to_be_is_refused_for_good(store: Store, link: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        await fetch(store.origin, link)

    assert failed.value.final


@pytest.mark.parametrize("link", ["/hop9", "/inner", "/packed", "/huge"])
async def test_what_a_server_should_never_give_is_odd_and_not_final(store: Store, link: str) -> None:
    """A captive portal or a broken cache may be in the way today: once is no proof that a paid picture is lost."""
    with pytest.raises(FetchFailed) as failed:
        await fetch(store.origin, link)

    assert failed.value.odd
    assert not failed.value.final


async def test_a_provider_elsewhere_may_not_link_to_this_machine(store: Store) -> None:
    with pytest.raises(FetchFailed) as failed:
        await fetch("https://api.example.com/v1", store.origin.replace("http:", "https:") + "/picture")

    assert failed.value.final
    assert store.seen == []


async def test_a_proxy_that_the_job_names_carries_downloads_too(store: Store) -> None:
    link = store.origin.replace("127.0.0.1", "localhost") + "/picture"

    assert await fetch(store.origin, link, proxy=store.origin) == BODY
    assert store.seen[0].headers["Host"].startswith("localhost")
