"""Every spelling of a way inside, as a link and as a redirect: nothing on this machine hears a single connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from batchgen.api.fetch import Downloader, FetchFailed

from .canaries import Canaries, Network

PORT = "PORT"
"""Stands for the port on which the canaries listen."""

NUMBERS = [
    f"https://{host}:PORT/x"
    for host in (
        "127.0.0.1",
        "127.8.9.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7F.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "172.31.255.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.192",
        "192.88.99.1",
        "168.63.129.16",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[64:ff9b:1:7f00:0:100::]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::1]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        "[fe80::1]",
        "[fe80::1%25lo]",
        "[::1%25lo]",
        "[::1%lo]",
        "[fec0::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "[5f00::1]",
        "[100::1]",
    )
]
DISGUISES = [
    "https://①②⑦.⓪.⓪.①:PORT/x",
    "https://１２７.０.０.１:PORT/x",
    "https://１２７。１:PORT/x",
    "https://127。0。0。1:PORT/x",
    "https://127．0．0．1:PORT/x",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/x",
    "https://localhost:PORT/x",
    "https://LOCALHOST:PORT/x",
    "https://localhost.:PORT/x",
    "https://a.localhost:PORT/x",
    "https://%31%32%37.0.0.1:PORT/x",
    "https://127%2e0%2e0%2e1:PORT/x",
    "https://loc%61lhost:PORT/x",
    "https://api.example.com@127.0.0.1:PORT/x",
    "https://api.example.com:pw@127.0.0.1:PORT/x",
    "https://127.0.0.1:PORT@api.example.com/x",
    "https://api.example.com\\@127.0.0.1:PORT/x",
    "https://127.0.0.1:PORT\\@api.example.com/x",
    "https://127.0.0.1:PORT\\.api.example.com/x",
    "https:\\\\127.0.0.1:PORT\\x",
    "\\\\127.0.0.1:PORT\\x",
    "//127.0.0.1:PORT/x",
    "//[::1]:PORT/x",
    "///127.0.0.1:PORT/x",
    "https:///127.0.0.1:PORT/x",
    "https:/127.0.0.1:PORT/x",
    "https:127.0.0.1:PORT/x",
    "https://127.0.0.1:PORT#@api.example.com/",
    "https://127.0.0.1:PORT?@api.example.com/",
    "https://127.0.0.1\t:PORT/x",
    "https://12\n7.0.0.1:PORT/x",
    "ht\ttps://127.0.0.1:PORT/x",
    "\x01 https://127.0.0.1:PORT/x",
    "https://127.0.0.1 :PORT/x",
    "https://127.0.0.1\x00.example.com:PORT/x",
    "https://127.0.0.1%00.example.com:PORT/x",
    "https://127.0.0.1%0d%0aHost:PORT/x",
    "https://127.0.0.1\u2044:PORT/x",
    "https://127.0.0.1\u00ad:PORT/x",
    "https://127.0.0.1\u200b:PORT/x",
    "https://[127.0.0.1]:PORT/x",
    "https://[::1:PORT/x",
    "https://::1:PORT/x",
    "HTTPS://127.0.0.1:PORT/x",
    "http://127.0.0.1:PORT/x",
    "http://localhost:PORT/x",
    "http://api.example.com:PORT/x",
    "ws://127.0.0.1:PORT/x",
    "wss://127.0.0.1:PORT/x",
    "ftp://127.0.0.1:PORT/x",
    "gopher://127.0.0.1:PORT/_x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:image/png;base64,iVBORw0KGgo=",
    "unix:/var/run/docker.sock",
    "https://",
    "https://:PORT/x",
    "https://.:PORT/x",
    "https://..:PORT/x",
    "https://a..b:PORT/x",
    "https://\ud800:PORT/x",
    "https://127.0.0.1:PORT/\udfff",
    "https://xn--a:PORT/x",
    "https://\u2100:PORT/x",
    "https://" + "a" * 64 + ":PORT/x",
    "https://" + "a." * 200 + "example:PORT/x",
    "https://127.0.0.1:PORT/" + "x" * 1_000_000,
    "https://" + "①" * 30_000 + ":PORT/x",
    "https://127.0.0.1:99999/x",
    "https://127.0.0.1:-1/x",
    "https://127.0.0.1:PORT:443/x",
]
NAMES = {
    "inner.example": ["127.0.0.1"],
    "inner6.example": ["::1"],
    "both.example": ["::1", "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "nat64-local.example": ["64:ff9b:1::7f00:1"],
    "6to4.example": ["2002:7f00:1::"],
    "private.example": ["10.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "zero.example": ["0.0.0.0"],  # as some filters of names answer
    "site.example": ["fec0::1"],
}
"""Names that look harmless, and where a resolver says they are."""
BY_NAME = [f"https://{name}:PORT/x" for name in NAMES]


@pytest.fixture
async def canaries() -> AsyncIterator[Canaries]:
    made = Canaries()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, canaries: Canaries) -> Network:
    made = Network(monkeypatch)
    made.names = {name: [addresses] for name, addresses in NAMES.items()}
    made.names |= {"localhost": [["127.0.0.1"]], "a.localhost": [["127.0.0.1"]]}
    return made


async def write(_block: bytes) -> None:
    pytest.fail("a picture came from where none should")


async def refusal(downloader: Downloader, link: str) -> FetchFailed:
    with pytest.raises(FetchFailed) as failed:
        await downloader.fetch(link, write)
    message = str(failed.value)
    assert 0 < len(message) < 300, message
    return failed.value


async def test_no_spelling_of_a_way_inside_is_followed(network: Network, canaries: Canaries) -> None:
    async with Downloader("https://api.example.com/v1") as downloader:
        for link in NUMBERS + DISGUISES:
            await refusal(downloader, link.replace(PORT, str(canaries.port)))

    assert canaries.heard == []
    assert network.tried == []


@pytest.mark.parametrize("link", NUMBERS)
async def test_an_address_that_can_never_be_a_pictures_is_refused_for_good(link: str, network: Network) -> None:
    async with Downloader("https://api.example.com/v1") as downloader:
        failed = await refusal(downloader, link.replace(PORT, "443"))

    assert failed.final


async def test_a_proxy_is_asked_for_no_spelling_of_a_way_inside(network: Network, canaries: Canaries) -> None:
    """What a name means is the proxy's to know; an address is an address."""
    asked: set[str] = set()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.add((await reader.readline()).decode().split()[1].partition(":")[0])
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    async with Downloader("https://api.example.com/v1", proxy=f"http://127.0.0.1:{port}") as downloader:
        for link in NUMBERS + DISGUISES:
            await refusal(downloader, link.replace(PORT, str(canaries.port)))
    proxy.close()
    await proxy.wait_closed()

    assert canaries.heard == []
    assert asked <= {"api.example.com", "127.0.0.xn--1-zjn", "xn--a"}, "the provider itself, and names that nobody has"


async def test_a_name_that_leads_inside_is_refused_where_the_socket_is_made(
    network: Network, canaries: Canaries
) -> None:
    async with Downloader("https://api.example.com/v1") as downloader:
        for link in BY_NAME:
            failed = await refusal(downloader, link.replace(PORT, str(canaries.port)))
            assert "not an address of the open internet" in str(failed)

    assert canaries.heard == []
    assert network.tried == []


async def test_a_name_that_leads_inside_today_does_not_make_a_paid_picture_lost(network: Network) -> None:
    """A hotel's network and a filter of advertisements answer so for any name."""
    async with Downloader("https://api.example.com/v1") as downloader:
        failed = await refusal(downloader, "https://zero.example/x")

    assert not failed.final
    assert not failed.odd


async def test_a_name_that_changes_its_mind_is_judged_at_every_look_up(network: Network, canaries: Canaries) -> None:
    network.names["rebind.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    network.names["mixed.example"] = [["127.0.0.1", "93.184.216.34", "::1"]]
    for link in ("https://rebind.example:PORT/x",) * 3 + ("https://mixed.example:PORT/x",):
        async with Downloader("https://api.example.com/v1") as downloader:
            await refusal(downloader, link.replace(PORT, str(canaries.port)))

    assert canaries.heard == []
    assert set(network.tried) == {"93.184.216.34"}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


class Redirector:
    """The provider itself, by TLS: its one answer leads to `target`; `heads` are the requests it got."""

    def __init__(self) -> None:
        self.target = b""
        self.heads: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        writer.write(b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b; Domain=example.com\r\n")
        writer.write(b"Location: " + self.target + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()


@pytest.fixture
async def redirector(authority: trustme.CA, network: Network) -> AsyncIterator[Redirector]:
    made = Redirector()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("api.example.com").configure_cert(context)
    network.names["api.example.com"] = [["127.0.0.1"]]
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


async def test_no_redirect_leads_where_a_link_may_not(
    redirector: Redirector, network: Network, canaries: Canaries
) -> None:
    async with Downloader(f"https://api.example.com:{redirector.port}/v1") as downloader:
        for link in NUMBERS + DISGUISES + BY_NAME:
            redirector.target = link.replace(PORT, str(canaries.port)).encode("utf-8", "surrogatepass")
            redirector.heads.clear()
            failed = await refusal(downloader, "/picture")
            assert not failed.final, "where a server leads to may be another place tomorrow"
            assert 1 <= len(redirector.heads) <= 4

    assert canaries.heard == []
    assert set(network.tried) == {"127.0.0.1"}


@pytest.mark.parametrize("target", [b"", b" ", b"\x80\xff", b"https://e.example/\xff", b"x" * 1_000_000, b"#", b"?"])
async def test_a_redirect_to_nowhere_is_a_failed_download(redirector: Redirector, target: bytes) -> None:
    redirector.target = target
    async with Downloader(f"https://api.example.com:{redirector.port}/v1") as downloader:
        failed = await refusal(downloader, "/picture")

    assert not failed.final
    assert len(redirector.heads) <= 4


async def test_three_redirects_are_followed_without_a_word_about_where_they_came_from(redirector: Redirector) -> None:
    redirector.target = b"/again?signature=abc"
    async with Downloader(f"https://api.example.com:{redirector.port}/v1") as downloader:
        failed = await refusal(downloader, "/picture?signature=first")

    assert failed.odd
    assert len(redirector.heads) == 4
    for head in redirector.heads:
        names = {line.partition(":")[0].lower() for line in head.splitlines()[1:] if line}
        assert names == {"host", "accept", "accept-encoding", "user-agent"}
