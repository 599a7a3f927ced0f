"""A link is read once: what is checked is what is asked for, spelled as it came."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from batchgen.api.fetch import Downloader, FetchFailed
from batchgen.api.links import LINK_AT_MOST, LinkRefused, Links

from .canaries import Network


async def keep_nothing(_block: bytes) -> None:
    pytest.fail("a picture came from where none should")


ELSEWHERE = "https://api.example.com/v1"
PRIVATE = "https://10.0.0.5:8443/v1"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("https://store.example/a/b.png", "https://store.example/a/b.png"),
        ("HTTPS://Store.Example:443/A", "https://store.example:443/A"),
        ("https://bücher.example/ü?ß", "https://xn--bcher-kva.example/%C3%BC?%C3%9F"),
        ("https://store.example/a b", "https://store.example/a%20b"),
        ("https://store.example", "https://store.example/"),
        ("https://store.example?sig=a%2Fb", "https://store.example/?sig=a%2Fb"),
        ("  https://store.example/a\n", "https://store.example/a"),
        ("https://store.example/a\tb\n%7E?s=%2F", "https://store.example/ab%7E?s=%2F"),
        ("https://store.example/a#https://127.0.0.1/", "https://store.example/a"),
        ("https://[2606:4700:4700::1111]/a", "https://[2606:4700:4700::1111]/a"),
        ("/p/1.png?x=y", "https://api.example.com/p/1.png?x=y"),
        ("p/1.png", "https://api.example.com/p/1.png"),
        ("//store.example/a", "https://store.example/a"),
        ("//", "https://api.example.com/"),
    ],
)
def test_a_link_means_what_a_browser_takes_it_for(link: str, address: str) -> None:
    url = Links(ELSEWHERE).follow(link)

    assert f"{url.origin()}{url.raw_path_qs}" == address.replace(":443", "")


SPELLED = "/a%2Fb/%7Ec/%41//x;y=1,2?sig=a%2Bb+c%2f%3D%3d&Key=~!*'()[]|%20&&=&e&f=%C3%BC%zz"


@pytest.fixture
async def store() -> AsyncIterator[tuple[str, list[str]]]:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.raw_path)
        if request.raw_path.startswith("/hop"):
            return web.Response(status=302, headers={"Location": SPELLED})
        return web.Response(body=b"picture")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    await runner.cleanup()


@pytest.mark.parametrize("link", ["{}" + SPELLED, SPELLED, "{}/hop"], ids=["whole", "relative", "redirected"])
async def test_a_signed_link_is_asked_for_in_the_very_spelling_that_was_signed(
    link: str, store: tuple[str, list[str]]
) -> None:
    async def write(_block: bytes) -> None: ...

    origin, seen = store
    async with Downloader(f"{origin}/v1") as downloader:
        await downloader.fetch(link.replace("{}", origin), write)

    assert seen[-1] == SPELLED


@pytest.mark.parametrize(
    "link",
    [
        "https://10.0.0.5:8443/p/1",
        "HTTPS://10.0.0.5:8443",
        "//10.0.0.5:8443/p/1",
        "/p/1",
        "https://store.example/p/1",
    ],
)
def test_a_provider_on_a_private_address_may_link_to_its_own_origin_and_to_the_open_internet(link: str) -> None:
    Links(PRIVATE).follow(link)


@pytest.mark.parametrize(
    "link",
    [
        "https://10.0.0.5/p/1",
        "https://10.0.0.5:8444/p/1",
        "http://10.0.0.5:8443/p/1",
        "https://10.0.0.6:8443/p/1",
        "https://127.0.0.1:8443/p/1",
        "https://localhost:8443/p/1",
        "https://[::ffff:10.0.0.5]:8443/p/1",
        "https://169.254.169.254/p/1",
    ],
)
def test_and_to_nothing_else_that_is_private(link: str) -> None:
    links = Links(PRIVATE)

    with pytest.raises(LinkRefused):
        links.follow(link)
    with pytest.raises(LinkRefused):
        links.follow(link, links.follow("/p/1"))


async def test_only_a_providers_own_origin_leads_to_a_private_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By address and by name: what is tried, and that nothing else is."""
    network = Network(monkeypatch)
    network.names = {name: [["10.0.0.5"]] for name in ("api.corp.example", "other.corp.example")}

    async def tried(base_url: str, link: str) -> list[str]:
        network.tried.clear()
        async with Downloader(base_url) as downloader:
            with pytest.raises(FetchFailed):
                await downloader.fetch(link, keep_nothing)
        return network.tried[:]

    assert await tried(PRIVATE, "/p/1") == ["10.0.0.5"]
    assert await tried(PRIVATE, "https://10.0.0.5/p/1") == []
    for own in ("/p/1", "https://API.corp.example.:443/p/1"):
        assert await tried("https://api.corp.example/v1", own) == ["10.0.0.5"]
    for other in ("https://api.corp.example:8443/p/1", "https://other.corp.example/p/1"):
        assert await tried("https://api.corp.example/v1", other) == []


@pytest.mark.parametrize(
    ("base_url", "link"),
    [
        ("https://API.Example.com./v1", "https://api.example.com:443/p"),
        ("https://api.example.com:443", "https://api.example.com/p"),
        ("http://localhost:8000/v1", "http://LOCALHOST.:8000/p"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/p"),
        ("https://[2001:db8::1]/v1", "https://[2001:DB8:0::0:1]:443/p"),
    ],
)
def test_one_origin_has_many_spellings(base_url: str, link: str) -> None:
    links = Links(base_url)

    assert links.is_home(links.follow(link))


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000/v1", "http://localhost:8000", "http://api.localhost/v1"])
def test_a_provider_on_this_machine_may_use_any_port_of_it_and_nothing_else_inside(base_url: str) -> None:
    links = Links(base_url)

    for link in ("http://127.0.0.1:9/p", "http://[::1]:9/p", "https://localhost/p", "/p", "https://store.example/p"):
        links.follow(link)
    for link in ("http://10.0.0.1/p", "https://10.0.0.1/p", "http://store.example/p", "https://169.254.169.254/p"):
        with pytest.raises(LinkRefused):
            links.follow(link)


async def test_a_foreign_name_does_not_lead_to_this_machine_for_a_provider_here_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network(monkeypatch)
    network.names = {"rebind.example": [["127.0.0.1"]], "api.localhost": [["93.184.216.34"]]}
    async with Downloader("http://127.0.0.1:9/v1") as downloader:
        for link in ("https://rebind.example:9/p", "http://api.localhost:9/p"):
            with pytest.raises(FetchFailed, match="not an address of the open internet"):
                await downloader.fetch(link, keep_nothing)

    assert network.tried == []


def test_no_redirect_leads_from_a_safe_connection_to_an_open_one() -> None:
    links = Links(ELSEWHERE)
    came_from = links.follow("https://store.example/p")

    for link in ("http://store.example/p", "http://api.example.com/p"):
        with pytest.raises(LinkRefused, match="only https"):
            links.follow(link, came_from)


@pytest.mark.parametrize("link", ["", " ", "\t\n", "https://store.example/\ud800", "\ud800"])
def test_what_is_no_text_is_no_link(link: str) -> None:
    with pytest.raises(LinkRefused):
        Links(ELSEWHERE).follow(link)


@pytest.mark.parametrize("scheme", ["ws", "ftp", "file", "data", "javascript"])
def test_no_other_scheme_is_followed_to_this_machine_either(scheme: str) -> None:
    with pytest.raises(LinkRefused, match=f"the link uses {scheme}; only https is followed"):
        Links("http://127.0.0.1:8000/v1").follow(f"{scheme}://127.0.0.1:8000/p")


def test_a_link_may_be_long_and_no_longer() -> None:
    links = Links(ELSEWHERE)
    start = "https://store.example/"

    links.follow(start + "x" * (LINK_AT_MOST - len(start)))
    with pytest.raises(LinkRefused, match="32,769 characters"):
        links.follow(start + "x" * (LINK_AT_MOST - len(start) + 1))


@pytest.mark.parametrize("base_url", ["", "https://", "https://[", "nonsense", "https://\ud800/v1"])
def test_a_provider_at_no_address_has_no_home(base_url: str) -> None:
    links = Links(base_url)

    assert not links.is_home(links.follow("https://store.example/p"))
    with pytest.raises(LinkRefused):
        links.follow("/p")
    with pytest.raises(LinkRefused):
        links.follow("https://127.0.0.1/p")


def test_plain_http_is_followed_to_no_provider_elsewhere() -> None:
    """A job out of a stranger's folder may name any address of the inner network as its provider."""
    with pytest.raises(LinkRefused):
        Links("http://192.168.7.7/v1").follow("http://192.168.7.7/admin/reboot")
