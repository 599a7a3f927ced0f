"""Faults as bytes: what a client without any mercy sees on its socket, and what each costs."""

import asyncio
import gzip
import io
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Self

import aiohttp
import pytest

from batchgen.sandbox import wire
from batchgen.sandbox.bombs import BOMB_BYTES, gzip_bomb, pixel_bomb
from batchgen.sandbox.drawing import draw
from batchgen.sandbox.kinds import BILLED, DOWNLOAD, KINDS, NOT_BILLED
from batchgen.sandbox.links import read_link
from batchgen.sandbox.odd_json import ODD
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.server import Sandbox, start_sandbox
from batchgen.sandbox.sketch import Sketch

DEV = "black-forest-labs/flux.1-dev"
RIGHT = b'{"created":1700000000,"data":[{"url":"https://pictures.example/1.png"}],"usage":{}}'

ON_THE_WIRE = {
    *("slow", "drip", "endless", "gzip-bomb", "list-bomb", "stale", "stale-late", "idle-408", "whole-close"),
    *("bom", "rot13", "double-keys", "bad-utf8", "nan", "picture-drip", "picture-endless", "picture-gzip-bomb"),
    *("picture-whole-close", "picture-trailing", "picture-flipped", "picture-403-twice", "picture-pixel-bomb"),
    *("picture-tiff", "picture-gif"),
}
"""Kinds that an ordinary client does not notice, or does not survive."""


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    monkeypatch.setattr(wire, "DRIP_EVERY_S", 0.01)
    async with await start_sandbox(SandboxOptions(latency=0, scale=0.05)) as running:
        yield running


def content(kind: str, prompt: str = "a paper boat") -> bytes:
    return json.dumps({"model": DEV, "prompt": f"{prompt} [[fault:{kind}]]" if kind else prompt, "seed": 7}).encode()


def request(kind: str) -> bytes:
    body = content(kind)
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Line:
    """One connection to the sandbox, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def answer(self) -> tuple[bytes, bytes]:
        """The next answer's head, and its body by its Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length")]
        return head, await self.reader.readexactly(int(lengths[0]))


async def connect(sandbox: Sandbox, first: bytes) -> Line:
    line = Line(*await asyncio.open_connection("127.0.0.1", sandbox.port, limit=1 << 20))
    line.writer.write(first)
    return line


async def said(sandbox: Sandbox, first: bytes) -> bytes:
    """Everything up to the end of the connection."""
    async with await connect(sandbox, first) as line:
        return await line.reader.read()


async def link(sandbox: Sandbox, kind: str) -> str:
    """The path of the picture that a request with this fault gets."""
    async with await connect(sandbox, request(kind)) as line:
        url: str = json.loads((await line.answer())[1])["data"][0]["url"]
        return url.removeprefix(sandbox.root_url)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def picture(sandbox: Sandbox, kind: str = "") -> tuple[bytes, bytes]:
    """The bytes behind a link, as far as the answer's length says, and the picture that belongs there."""
    path = await link(sandbox, kind)
    async with await connect(sandbox, get(path)) as line:
        return (await line.answer())[1], draw(sketch_of(path))


@pytest.mark.parametrize("kind", KINDS)
async def test_each_fault_costs_what_its_table_says(sandbox: Sandbox, kind: str) -> None:
    async with await connect(sandbox, request(kind)) as line:
        if kind == "slow":
            while not sandbox.bill.pictures:  # noqa: ASYNC110  # the server runs in this loop
                await asyncio.sleep(0)
        else:
            await line.reader.read(1)

    # The only item of an answer that is an error item was not made.
    made = 0 if kind in NOT_BILLED or kind == "item-error" else 2 if kind == "more" else 1
    assert (sandbox.bill.requests, sandbox.bill.pictures) == (1, made)


def test_each_fault_stands_in_one_table_alone() -> None:
    assert len(KINDS) == len(NOT_BILLED) + len(BILLED) + len(DOWNLOAD)
    assert all(kind.startswith("picture-") for kind in DOWNLOAD)


async def test_an_answer_can_begin_as_no_answer_may(sandbox: Sandbox) -> None:
    assert await said(sandbox, request("half-status")) == b"HTTP/1.1 20"
    assert (await said(sandbox, request("not-http"))).startswith(b"220 ")
    lengths = [line for line in (await said(sandbox, request("two-lengths"))).splitlines() if b"Length" in line]
    assert len(set(lengths)) == 2
    assert max(map(len, (await said(sandbox, request("long-header"))).split(b"\r\n"))) > 20_000
    assert (await said(sandbox, request("many-headers"))).count(b"\r\nX-Padding") == 500


async def test_an_answer_can_end_before_its_end(sandbox: Sandbox) -> None:
    chunked = await said(sandbox, request("cut-chunks"))
    assert b"chunked" in chunked
    assert chunked.endswith(b"}\r\n")
    whole = (await said(sandbox, request("whole-close"))).partition(b"\r\n\r\n")[2]
    half = await said(sandbox, request("cut-close"))
    assert json.loads(whole)["data"]
    assert b"Content-Length" not in half
    with pytest.raises(json.JSONDecodeError):
        json.loads(half.partition(b"\r\n\r\n")[2])


async def test_a_dripping_answer_comes_byte_by_byte_and_goes_on_after_its_end(sandbox: Sandbox) -> None:
    async with await connect(sandbox, request("drip")) as line:
        await line.reader.readuntil(b"\r\n\r\n")
        first = [await line.reader.readline() for _ in range(6)]
        assert first == [b"1\r\n", b"{\r\n", b"1\r\n", b'"\r\n', b"1\r\n", b"c\r\n"]


@pytest.mark.parametrize("kind", ["endless", "picture-endless"])
async def test_an_endless_answer_ends_when_the_client_leaves(sandbox: Sandbox, kind: str) -> None:
    first = get(await link(sandbox, kind)) if kind in DOWNLOAD else request(kind)
    async with await connect(sandbox, first) as line:
        assert len(await line.reader.readexactly(8_000_000)) == 8_000_000
    came, right = await picture(sandbox)
    assert came == right


async def test_a_client_that_keeps_its_connection_is_given_somebody_elses_answer(sandbox: Sandbox) -> None:
    """What makes a connection of its own for each paid call necessary: without it, this happens."""
    url = f"{sandbox.base_url}/images/generations"
    shown = []
    async with aiohttp.ClientSession() as session:
        for each in (content("stale-late"), content("", "a red kite")):
            async with session.post(url, data=each) as response:
                shown.append(sketch_of(json.loads(await response.read())["data"][0]["url"]).text)
    assert shown == ["a paper boat [[fault:stale-late]]", "a picture that somebody else asked for"]


async def test_an_answer_to_another_prompt_can_follow_the_right_one(sandbox: Sandbox) -> None:
    async with await connect(sandbox, request("stale")) as line:
        shown = [sketch_of(json.loads((await line.answer())[1])["data"][0]["url"]).text for _ in range(2)]
    assert shown == ["a paper boat [[fault:stale]]", "a picture that somebody else asked for"]


def sketch_of(url: str) -> Sketch:
    """What the picture behind a link is drawn from, without its flaw."""
    _, _, token, _, name = url[url.index("/image/") :].split("/")
    return replace(read_link(token, name)[0], flaw="")


async def test_an_unasked_note_follows_the_answer_and_ends_the_connection(sandbox: Sandbox) -> None:
    async with await connect(sandbox, request("idle-408")) as line:
        assert (await line.answer())[0].startswith(b"HTTP/1.1 200")
        assert (await line.answer())[0].startswith(b"HTTP/1.1 408")
        assert await line.reader.read() == b""


async def test_a_wrong_character_set_is_named_and_not_used(sandbox: Sandbox) -> None:
    async with await connect(sandbox, request("rot13")) as line:
        head, body = await line.answer()
        assert b"charset=rot13" in head
        assert json.loads(body)["data"]


RETRY_AFTER = {
    "429": "1",
    "429-negative": "-5",
    "429-nan": "NaN",
    "429-inf": "inf",
    "429-words": "soon",
    "429-ages": "1e9",
    "429-hour": "3600",
    "429-past": "Mon, 01 Jan 2001 00:00:00 GMT",
}


async def test_a_429_can_say_nonsense_about_when_to_come_back(sandbox: Sandbox) -> None:
    found = {}
    for kind in (*RETRY_AFTER, "429-skewed"):
        async with await connect(sandbox, request(kind)) as line:
            head, _ = await line.answer()
            found[kind] = dict(row.decode().split(": ", 1) for row in head.splitlines() if b": " in row)
    skewed = found.pop("429-skewed")
    date, then = (parsedate_to_datetime(skewed[name]) for name in ("Date", "Retry-After"))
    assert {kind: headers["Retry-After"] for kind, headers in found.items()} == RETRY_AFTER
    assert (then - date).total_seconds() == 1


@pytest.mark.parametrize("kind", ["302", "307"])
async def test_a_redirect_of_the_paid_call_leads_back_to_it(sandbox: Sandbox, kind: str) -> None:
    async with await connect(sandbox, request(kind)) as line:
        head = await line.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {kind}".encode())
        assert b"Location: /v1/images/generations" in head


def test_odd_json_is_odd_in_the_way_that_it_says() -> None:
    for kind in ("empty", "cut-json", "bad-utf8"):
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|decode"):
            json.loads(ODD[kind](RIGHT))
    with pytest.raises(RecursionError):
        json.loads(ODD["deep-json"](RIGHT))
    with pytest.raises(ValueError, match="digits"):
        json.loads(ODD["long-number"](RIGHT))
    assert [json.loads(ODD[kind](RIGHT)) for kind in ("null", "empty-object")] == [None, {}]
    assert ODD["bom"](RIGHT) == b"\xef\xbb\xbf" + RIGHT
    assert b"NaN" in ODD["nan"](RIGHT)
    assert "\ud800" in json.loads(ODD["half-character"](RIGHT))["data"][0]["url"]
    assert not isinstance(json.loads(ODD["wrong-types"](RIGHT))["data"], list)
    assert ODD["list-bomb"](RIGHT).count(b"[]") > 10_000_000


def test_the_second_of_two_equal_keys_is_the_right_one() -> None:
    pairs = json.loads(ODD["double-keys"](RIGHT), object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert (names[:3], dict(pairs)["data"]) == (names[3:][::1], [[("url", "https://pictures.example/1.png")]])


def test_a_gzip_bomb_is_small_and_unpacks_to_what_it_wraps() -> None:
    packed = gzip_bomb(b"begin", b"end")
    size, tail = 0, b""
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as opened:
        first = opened.read(5)
        while block := opened.read(1 << 20):
            size, tail = size + len(block), block
    assert len(packed) < 500_000
    assert (first, tail[-3:], size) == (b"begin", b"end", BOMB_BYTES + 3)


def test_a_pixel_bomb_is_a_small_png_that_claims_to_be_vast() -> None:
    assert len(pixel_bomb()) < 1000
    assert struct.unpack_from(">4sII", pixel_bomb(), 12) == (b"IHDR", 50_000, 50_000)


@pytest.mark.parametrize("kind", ["gzip-bomb", "picture-gzip-bomb"])
async def test_a_gzip_bomb_says_that_it_is_packed(sandbox: Sandbox, kind: str) -> None:
    first = get(await link(sandbox, kind)) if kind in DOWNLOAD else request(kind)
    async with await connect(sandbox, first) as line:
        head, body = await line.answer()
        assert b"Content-Encoding: gzip" in head
        assert body.startswith(b"\x1f\x8b")


async def test_a_download_can_be_cut_or_whole_without_a_length(sandbox: Sandbox) -> None:
    came = {}
    for kind in ("picture-cut-close", "picture-whole-close", "picture-cut-chunks"):
        path = await link(sandbox, kind)
        came[kind] = (await said(sandbox, get(path))).partition(b"\r\n\r\n")[2], draw(sketch_of(path))
    cut, right = came["picture-cut-close"]
    assert cut == right[: len(right) // 2]
    whole, right = came["picture-whole-close"]
    assert whole == right
    chunked, right = came["picture-cut-chunks"]
    assert chunked == f"{len(right):x}\r\n".encode() + right + b"\r\n"


async def test_a_download_can_drip(sandbox: Sandbox) -> None:
    async with await connect(sandbox, get(await link(sandbox, "picture-drip"))) as line:
        await line.reader.readuntil(b"\r\n\r\n")
        assert [await line.reader.readline() for _ in range(4)] == [b"1\r\n", b"\x89\r\n", b"1\r\n", b"P\r\n"]


async def test_a_picture_can_have_a_wrong_bit_or_a_script_behind_it(sandbox: Sandbox) -> None:
    flipped, right = await picture(sandbox, "picture-flipped")
    assert [(one ^ other).bit_count() for one, other in zip(flipped, right, strict=True) if one != other] == [1]
    trailing, right = await picture(sandbox, "picture-trailing")
    assert trailing == right + b"<script>alert(1)</script>"


async def test_a_link_can_be_refused_twice_and_then_work(sandbox: Sandbox) -> None:
    path = await link(sandbox, "picture-403-twice")
    heads = []
    for _ in range(3):
        async with await connect(sandbox, get(path)) as line:
            heads.append((await line.answer())[0].split()[1])
    assert heads == [b"403", b"403", b"200"]


OTHER_FILES = {
    "picture-eps": b"%!PS",
    "picture-svg": b"<svg",
    "picture-tiff": b"II*\0",
    "picture-gif": b"GIF8",
    "picture-pixel-bomb": b"\x89PNG",
}


@pytest.mark.parametrize("kind", OTHER_FILES)
async def test_a_link_can_give_another_kind_of_file(sandbox: Sandbox, kind: str) -> None:
    assert (await picture(sandbox, kind))[0].startswith(OTHER_FILES[kind])


@pytest.mark.parametrize(
    ("kind", "leads_to"),
    [
        ("picture-redirect-inner", "http://169.254.169.254/"),
        ("picture-redirect-file", "file:///"),
        ("picture-redirect-plain", "http://pictures.example/"),
        ("picture-redirect-loop", "/image/"),
    ],
)
async def test_a_link_can_lead_where_no_link_may(sandbox: Sandbox, kind: str, leads_to: str) -> None:
    async with await connect(sandbox, get(await link(sandbox, kind))) as line:
        head, _ = await line.answer()
        assert f"Location: {leads_to}".encode() in head
