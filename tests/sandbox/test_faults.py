"""Faults: how they are written down, which requests they hit, and what each does over the wire."""

import asyncio
import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from batchgen.errors import UsageError
from batchgen.sandbox.faults import KINDS, Fault, FaultBook, parse_faults
from batchgen.sandbox.server import Sandbox, SandboxOptions, start_sandbox

from .test_wire import ON_THE_WIRE

NEAR = "picture-near"
"""Healthy but for its likeness, which a run flags: scenarios/test_flags.py."""

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "responses.json").read_text("utf-8"))
DEV = "black-forest-labs/flux.1-dev"


def body(kind: str = "", **fields: Any) -> dict[str, Any]:
    marker = f" [[fault:{kind}]]" if kind else ""
    return {"model": DEV, "prompt": f"a paper boat{marker}", "seed": 7} | fields


async def running(*faults: Fault) -> Sandbox:
    return await start_sandbox(SandboxOptions(latency=0, scale=0.05, faults=faults))


async def post(sandbox: Sandbox, request: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/images/generations", json=request) as response,
    ):
        return response.status, await response.read(), dict(response.headers)


async def get(url: str) -> tuple[int, bytes, str]:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as response:
        return response.status, await response.read(), response.content_type


async def items(sandbox: Sandbox, request: dict[str, Any]) -> list[dict[str, Any]]:
    status, answer, _ = await post(sandbox, request)
    assert status == 200
    data = json.loads(answer)["data"]
    assert isinstance(data, list)
    return data


def test_faults_are_read_from_text() -> None:
    faults = parse_faults("429:0.05, timeout:0.01,html, 500@3,504@2-4, black~harbour at dusk,")
    assert faults == (
        Fault("429", 0.05),
        Fault("408", 0.01),
        Fault("html"),
        Fault("500", first=3, last=3),
        Fault("504", first=2, last=4),
        Fault("picture-black", words="harbour at dusk"),
    )


@pytest.mark.parametrize("text", ["nonsense", "500:much", "500:1.2.3", "429:2", "500@", ":0.5", "500@x"])
def test_a_fault_that_cannot_be_read_is_explained(text: str) -> None:
    with pytest.raises(UsageError):
        parse_faults(text)


def test_a_rate_hits_about_that_share_and_the_same_requests_each_time() -> None:
    def hits(seed: int) -> list[bool]:
        book = FaultBook((Fault("429", 0.2),), seed)
        return [book.choose(DEV, f"prompt {index}", 1, index) is not None for index in range(1, 1001)]

    assert 150 < sum(hits(1)) < 250
    assert hits(1) == hits(1)
    assert hits(1) != hits(2)


def test_the_order_of_arrival_does_not_change_which_requests_a_rate_hits() -> None:
    def hit(prompts: list[int]) -> set[int]:
        book = FaultBook((Fault("429", 0.3),), 5)
        return {prompt for index, prompt in enumerate(prompts, 1) if book.choose(DEV, str(prompt), 1, index)}

    assert hit(list(range(50))) == hit(list(range(50))[::-1])


def test_a_fault_can_hit_by_number_by_words_and_by_marker() -> None:
    book = FaultBook(parse_faults("500@2-3,504~harbour"), 0)
    assert [book.choose(DEV, "boat" if index < 5 else "the harbour", 1, index) for index in range(1, 6)] == [
        None,
        "500",
        "500",
        None,
        "504",
    ]
    assert [book.choose(DEV, "x [[fault:503@1-2]]", 1, index) for index in (8, 9, 10)] == ["503", "503", None]
    assert [book.choose(DEV, "x [[fault:timeout]]", 1, index) for index in (8, 9)] == ["408", "408"]


ERROR_ROWS = {
    "400": (400, "param_error"),
    "400-content": (400, "invalid_messages"),
    "400-sensitive": (400, "sensitive_check_error"),
    "400-permission": (400, "model_error"),
    "400-quota": (400, "forbidden"),
    "401": (401, "auth_error"),
    "402": (402, "insufficient_balance"),
    "403-quota": (403, "forbidden"),
    "403-permission": (403, "forbidden"),
    "404": (404, "not_found"),
    "408": (408, "timeout"),
    "429": (429, "rate_limit"),
    "429-bare": (429, "rate_limit"),
    "500": (500, "internal_error"),
    "500-upstream": (500, "model_server_error"),
    "500-moderation": (500, "model_server_error"),
    "503": (503, "service_unavailable"),
    "504": (504, "gateway_timeout_error"),
    "error-200": (200, "model_server_error"),
}


@pytest.mark.parametrize("kind", ERROR_ROWS)
async def test_error_faults_answer_in_the_documented_shape(kind: str) -> None:
    async with await running() as sandbox:
        status, answer, headers = await post(sandbox, body(kind))
        error = json.loads(answer)["error"]
        assert ERROR_ROWS[kind] == (status, error["code"])
        assert set(error) == {"message", "type", "param", "code"}
        assert ("Retry-After" in headers) == (kind == "429")
        assert sandbox.bill.pictures == (1 if kind == "504" else 0)


def test_error_faults_say_what_the_golden_answers_say() -> None:
    from batchgen.sandbox.answers import ERRORS

    golden = {}
    for case in GOLDEN:
        if case["status"] != 200 and case["body"].startswith('{"error"'):
            error = json.loads(case["body"])["error"]
            golden[case["status"], error["code"], error["message"].partition("key_id")[0]] = error["type"]
    undocumented = {"402", "404", "503"}
    for name, row in ERRORS.items():
        message = row.message.format(trace="0b7c1f9e-6a53-4f0e-9a51-2a4c1de1f0aa").partition("key_id")[0]
        found = [
            kind
            for (status, code, text), kind in golden.items()
            if (status, code) == (row.status, row.code) and text.startswith(message)
        ]
        assert (row.type in found) != (name in undocumented), name


@pytest.mark.parametrize(("kind", "status"), [("html", 200), ("502-html", 502)])
async def test_a_web_page_instead_of_json_costs_nothing(kind: str, status: int) -> None:
    async with await running() as sandbox:
        found, answer, headers = await post(sandbox, body(kind))
        assert (status, "text/html") == (found, headers["Content-Type"].partition(";")[0])
        assert answer.startswith(b"<html>")
        assert sandbox.bill.pictures == 0


@pytest.mark.parametrize(("kind", "billed"), [("disconnect", 1), ("refuse-disconnect", 0), ("truncated", 1)])
async def test_a_dropped_connection_is_an_error_for_the_client(kind: str, billed: int) -> None:
    async with await running() as sandbox:
        with pytest.raises(aiohttp.ClientError):
            await post(sandbox, body(kind))
        assert (sandbox.bill.requests, sandbox.bill.pictures) == (1, billed)


@pytest.mark.parametrize("kind", ["empty", "cut-json"])
async def test_an_answer_without_json_is_billed(kind: str) -> None:
    async with await running() as sandbox:
        status, answer, _ = await post(sandbox, body(kind))
        assert (200, kind == "empty") == (status, answer == b"")
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer)
        assert sandbox.bill.pictures == 1


async def test_a_silent_server_has_billed_and_lets_go_when_the_client_leaves() -> None:
    async with await running() as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        content = json.dumps(body("slow")).encode()
        head = f"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        while not sandbox.bill.pictures:  # noqa: ASYNC110  # the server runs in this loop
            await asyncio.sleep(0)
        assert not reader.at_eof()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(("kind", "n", "came"), [("fewer", 3, 2), ("fewer", 1, 1), ("more", 1, 2), ("no-data", 2, 0)])
async def test_answers_can_hold_another_number_of_pictures_than_asked(kind: str, n: int, came: int) -> None:
    async with await running() as sandbox:
        data = await items(sandbox, body(kind, n=n))
        assert came == len(data)
        assert sandbox.bill.pictures == (came or n)
        assert len({item["url"] for item in data}) == came


async def test_an_item_can_be_an_error() -> None:
    async with await running() as sandbox:
        good, bad = await items(sandbox, body("item-error", n=2))
        assert (set(good), set(bad["error"])) == ({"url"}, {"code", "message"})
        assert sandbox.bill.pictures == 1
        await items(sandbox, body("item-error"))
        assert sandbox.bill.pictures == 1


async def test_base64_comes_with_or_without_prefix_or_broken() -> None:
    async with await running() as sandbox:
        ((prefixed,), (bare,), (broken,), (both,)) = [
            await items(sandbox, body(kind)) for kind in ("b64-prefix", "b64-bare", "bad-b64", "both")
        ]
        assert [{"b64_json"}] * 3 + [{"url", "b64_json"}] == [set(item) for item in (prefixed, bare, broken, both)]
        assert base64.b64decode(prefixed["b64_json"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
        assert base64.b64decode(bare["b64_json"]).startswith(b"\x89PNG")
        with pytest.raises(ValueError, match=r"base64|padd|Only"):
            base64.b64decode(broken["b64_json"].partition(",")[2], validate=True)


async def test_a_link_can_be_dead_or_lead_to_a_web_page() -> None:
    async with await running() as sandbox:
        (dead,) = await items(sandbox, body("picture-404"))
        assert (await get(dead["url"]))[0] == 404
        (page,) = await items(sandbox, body("picture-html"))
        assert [(await get(page["url"]))[index] for index in (0, 2)] == [200, "text/html"]
        assert sandbox.bill.pictures == 2


async def test_a_download_can_break_off_each_time() -> None:
    async with await running() as sandbox:
        (item,) = await items(sandbox, body("picture-truncated"))
        for _ in range(2):
            with pytest.raises(aiohttp.ClientPayloadError):
                await get(item["url"])


async def test_a_download_can_fail_once_and_then_work() -> None:
    async with await running() as sandbox:
        (item,) = await items(sandbox, body("picture-500-once"))
        assert [(await get(item["url"]))[0] for _ in range(3)] == [500, 200, 200]


async def test_a_picture_can_be_black_the_same_again_or_of_the_wrong_size() -> None:
    async with await running() as sandbox:

        async def picture(kind: str, seed: int = 7) -> tuple[bytes, Image.Image]:
            (item,) = await items(sandbox, body(kind, seed=seed))
            data = (await get(item["url"]))[1]
            with Image.open(BytesIO(data)) as opened:
                return data, opened.convert("RGB")

        assert (await picture("picture-black"))[1].getextrema() == ((0, 0),) * 3
        assert (await picture("picture-same", 1))[0] == (await picture("picture-same", 2))[0]
        assert [(await picture(kind))[1].size for kind in ("picture-wrong-size", "")] == [(25, 25), (51, 51)]


async def test_every_kind_of_fault_changes_something() -> None:
    """No kind is only a name: each differs from the healthy answer in status, body or the picture behind it.

    Those that this client would not notice, or not survive, are looked at in test_wire.py.
    """
    async with await running() as sandbox:

        async def seen(kind: str) -> str:
            request = body("", prompt="a boat") | {"n": 2}
            marked = request | {"prompt": f"a boat [[fault:{kind}]]"}
            try:
                status, answer, headers = await post(sandbox, marked)
                if status != 200 or "json" not in headers["Content-Type"]:
                    return f"{status}"
                data = json.loads(answer).get("data", "no list")
                if not isinstance(data, list) or len(data) != 2 or any(set(item) != {"url"} for item in data):
                    return "another answer"
                status, raw, content_type = await get(data[0]["url"])
                if (status, content_type) != (200, "image/png"):
                    return "a bad link"
                with Image.open(BytesIO(raw)) as opened:
                    healthy = opened.size == (51, 51) and opened.convert("L").getextrema() != (0, 0)
                same = raw == (await get((await items(sandbox, marked | {"seed": 8}))[0]["url"]))[1]
                return "nothing" if healthy and not same else "another picture"
            except (aiohttp.ClientError, OSError, ValueError, AttributeError, RecursionError):
                return "no answer"

        assert {
            kind: what for kind in set(KINDS) - ON_THE_WIRE - {NEAR} if (what := await seen(kind)) == "nothing"
        } == {}


async def test_a_marker_with_an_unknown_fault_is_refused() -> None:
    async with await running() as sandbox:
        assert (await post(sandbox, body("nonsense")))[0] == 400


async def test_faults_of_the_options_hit_by_number() -> None:
    async with await running(*parse_faults("503@2")) as sandbox:
        assert [(await post(sandbox, body()))[0] for _ in range(3)] == [200, 503, 200]
