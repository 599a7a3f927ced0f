"""The server over the wire: answers, keys, links, bills and limits."""

import asyncio
import base64
import json
import sys
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from batchgen.clock import VirtualClock
from batchgen.errors import UsageError
from batchgen.sandbox.server import Sandbox, SandboxOptions, start_sandbox

GOLDEN = Path(__file__).parent.parent / "golden"
REQUESTS = json.loads((GOLDEN / "requests.json").read_text("utf-8"))
DEV = "black-forest-labs/flux.1-dev"
PRO_TEXT = "black-forest-labs/flux-kontext-pro/text-to-image"
BODY = {"model": DEV, "prompt": "a paper boat", "seed": 7}


def quick(**changes: Any) -> SandboxOptions:
    return SandboxOptions(**({"latency": 0, "scale": 0.1} | changes))


async def post(sandbox: Sandbox, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/images/generations", json=body or BODY, headers=headers) as response,
    ):
        return response.status, await response.json(), dict(response.headers)


async def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.read(), dict(response.headers)


async def test_every_golden_request_is_answered_with_pictures() -> None:
    async with await start_sandbox(quick()) as sandbox:
        for case in REQUESTS:
            status, answer, _ = await post(sandbox, case["body"])
            assert (200, {"created", "data", "usage"}) == (status, set(answer)), case["name"]
            assert case["body"].get("n", 1) == len(answer["data"])
            wanted = case["body"].get("response_format", "url")
            assert [{wanted}] * len(answer["data"]) == [set(item) for item in answer["data"]], case["name"]
            assert answer["usage"] == {"input_tokens_details": {}}
        assert sandbox.bill.pictures == sum(case["body"].get("n", 1) for case in REQUESTS)


async def test_a_link_gives_the_same_whole_picture_each_time() -> None:
    async with await start_sandbox(quick()) as sandbox:
        _, answer, _ = await post(sandbox)
        first, second = [await get(answer["data"][0]["url"]) for _ in range(2)]
        assert first[1] == second[1]
        assert first[2]["Content-Type"] == "image/png"
        assert int(first[2]["Content-Length"]) == len(first[1])
        with Image.open(BytesIO(first[1])) as picture:
            picture.load()
            assert picture.size == (102, 102)


async def test_part_of_a_picture_can_be_fetched() -> None:
    async with await start_sandbox(quick()) as sandbox:
        _, answer, _ = await post(sandbox)
        url = answer["data"][0]["url"]
        _, whole, _ = await get(url)
        status, part, headers = await get(url, Range="bytes=100-")
        assert (206, whole[100:]) == (status, part)
        assert headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"
        assert (await get(url, Range=f"bytes={len(whole)}-"))[0] == 416


async def test_links_work_after_a_restart_with_other_options() -> None:
    photo = (Path(__file__).parents[2] / "jobs" / "products" / "lamp.jpg").read_bytes()
    edit = {
        "model": "stepfun-ai/step1x-edit",
        "prompt": "a long description of the light in the room, " * 45,
        "seed": 3,
        "image": "data:image/jpeg;base64," + base64.b64encode(photo).decode(),
    }
    async with await start_sandbox(quick()) as sandbox:
        port = sandbox.port
        links = [(await post(sandbox, body))[1]["data"][0]["url"] for body in (BODY, edit)]
        before = [(await get(link))[1] for link in links]
    async with await start_sandbox(quick(port=port, scale=0.3, picture_format="jpeg")):
        assert [(await get(link))[1] for link in links] == before


async def test_a_link_dies_when_its_time_is_over() -> None:
    clock = VirtualClock()
    async with await start_sandbox(quick(), clock=clock) as sandbox:
        _, answer, _ = await post(sandbox)
        url = answer["data"][0]["url"]
        clock.elapsed += 7 * 86_400 - 1
        assert (await get(url))[0] == 200
        clock.elapsed += 1
        assert (await get(url))[0] == 404


async def test_a_changed_link_is_not_found() -> None:
    async with await start_sandbox(quick()) as sandbox:
        _, answer, _ = await post(sandbox)
        assert (await get(answer["data"][0]["url"].replace("/output/", "A/output/")))[0] == 404


async def test_links_can_start_at_the_root_of_the_server() -> None:
    async with await start_sandbox(quick(absolute_links=False)) as sandbox:
        _, answer, _ = await post(sandbox)
        url = answer["data"][0]["url"]
        assert url.startswith("/image/")
        assert (await get(sandbox.root_url + url))[0] == 200


@pytest.mark.parametrize(
    ("response", "keys"), [("url", {"url"}), ("b64_json", {"b64_json"}), ("both", {"url", "b64_json"})]
)
async def test_answers_hold_links_or_base64_or_both(response: Any, keys: set[str]) -> None:
    async with await start_sandbox(quick(response=response)) as sandbox:
        _, answer, _ = await post(sandbox)
        (item,) = answer["data"]
        assert keys == set(item)
        if keys == {"url", "b64_json"}:
            prefix, _, text = item["b64_json"].partition(",")
            assert prefix == "data:image/png;base64"
            assert base64.b64decode(text) == (await get(item["url"]))[1]


@pytest.mark.parametrize(
    ("choice", "formats"), [("png", ["PNG", "PNG"]), ("jpeg", ["JPEG", "JPEG"]), ("by-model", ["PNG", "JPEG"])]
)
async def test_the_format_of_pictures_can_be_chosen(choice: Any, formats: list[str]) -> None:
    async with await start_sandbox(quick(picture_format=choice)) as sandbox:
        found = []
        for model in (DEV, PRO_TEXT):
            _, answer, _ = await post(sandbox, BODY | {"model": model})
            with Image.open(BytesIO((await get(answer["data"][0]["url"]))[1])) as picture:
                found.append(picture.format)
        assert formats == found


async def test_a_random_seed_is_on_the_bill() -> None:
    async with await start_sandbox(quick()) as sandbox:
        links = {(await post(sandbox, BODY | {"seed": -1}))[1]["data"][0]["url"] for _ in range(2)}
        seeds = {entry.seed for entry in sandbox.bill.entries}
        assert (len(links), len(seeds)) == (2, 2)
        assert min(seeds) >= 0


@pytest.mark.parametrize("given", ["Bearer sk-right", "sk-right", "bearer  sk-right"])
async def test_the_right_key_opens_with_or_without_bearer(given: str) -> None:
    async with await start_sandbox(quick(key="sk-right")) as sandbox:
        assert (await post(sandbox, Authorization=given))[0] == 200


@pytest.mark.parametrize("given", ["Bearer sk-wrong", "", "Bearer"])
async def test_a_wrong_key_is_refused_in_the_documented_shape_and_costs_nothing(given: str) -> None:
    async with await start_sandbox(quick(key="sk-right")) as sandbox:
        status, answer, _ = await post(sandbox, Authorization=given)
        error = answer["error"]
        assert (status, error["code"], error["message"]) == (401, "auth_error", "Validate Certification failed")
        assert set(error) == {"message", "type", "param", "code"}
        assert str(uuid.UUID(error["param"])) == error["param"]
        assert (sandbox.bill.requests, sandbox.bill.pictures) == (1, 0)


async def test_a_wrong_request_is_told_what_is_wrong() -> None:
    async with await start_sandbox(quick()) as sandbox:
        status, answer, _ = await post(sandbox, BODY | {"n": 9})
        assert (status, answer["error"]["code"]) == (400, "param_error")
        assert answer["error"]["message"] == "Invalid param: n must be a whole number between 1 and 4"
        status, answer, _ = await post(sandbox, BODY | {"aspect_ratio": "1:1"})
        assert status == 400
    async with await start_sandbox(quick(unsupported="ignore")) as sandbox:
        assert (await post(sandbox, BODY | {"aspect_ratio": "1:1"}))[0] == 200


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"seed": ' + b"9" * 5000 + b"}"])
async def test_a_body_that_is_not_json_is_refused(raw: bytes) -> None:
    async with (
        await start_sandbox(quick()) as sandbox,
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/images/generations", data=raw) as response,
    ):
        assert response.status == 400


async def test_a_large_picture_inside_a_request_is_accepted() -> None:
    target = BytesIO()
    Image.effect_noise((1400, 1400), 90).save(target, "PNG")
    data = "data:image/PNG;base64," + base64.b64encode(target.getvalue()).decode()
    assert len(data) > 2_000_000
    content = BytesIO(json.dumps(BODY | {"image": data}).encode())
    async with (
        await start_sandbox(quick()) as sandbox,
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/images/generations", data=content) as response,
    ):
        assert response.status == 200


async def test_the_bill_counts_pictures_money_and_models(tmp_path: Path) -> None:
    bill_file = tmp_path / "bill.jsonl"
    async with await start_sandbox(quick(bill_file=bill_file)) as sandbox:
        await post(sandbox, BODY | {"n": 3})
        await post(sandbox, BODY | {"model": PRO_TEXT}, **{"Idempotency-Key": "k-1"})
        await post(sandbox, BODY | {"n": 7})
        lines = [json.loads(line) for line in bill_file.read_text("utf-8").splitlines()]
        _, shown, _ = await get(f"{sandbox.root_url}/sandbox/bill")
        bill = json.loads(shown)
        assert tuple(bill[key] for key in ("requests", "billed_requests", "pictures", "cost", "currency")) == (
            3,
            2,
            4,
            "0.65",
            "CNY",
        )
        assert bill["by_model"] == {DEV: 3, PRO_TEXT: 1}
        assert bill["entries"] == lines
        assert [
            (entry["prompt"], entry["seed"], entry["n"], entry["pictures"], entry["idempotency_key"]) for entry in lines
        ] == [("a paper boat", 7, 3, 3, ""), ("a paper boat", 7, 1, 1, "k-1")]
        async with aiohttp.ClientSession() as session, session.post(f"{sandbox.root_url}/sandbox/reset") as response:
            assert response.status == 200
        assert (sandbox.bill.requests, sandbox.bill.pictures) == (0, 0)
    assert len(bill_file.read_text("utf-8").splitlines()) == 2


async def test_requests_over_the_rate_wait_for_their_turn() -> None:
    clock = VirtualClock()
    async with await start_sandbox(quick(requests_per_minute=6, burst=2), clock=clock) as sandbox:
        answers = [await post(sandbox) for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 429]
        assert answers[2][1]["error"]["code"] == "rate_limit"
        assert answers[2][2]["Retry-After"] == "10"
        clock.elapsed += 10
        assert (await post(sandbox))[0] == 200
        assert sandbox.bill.pictures == 3


async def test_a_429_can_come_without_retry_after() -> None:
    async with await start_sandbox(quick(requests_per_minute=1, burst=1, retry_after=False)) as sandbox:
        await post(sandbox)
        status, _, headers = await post(sandbox)
        assert (status, "Retry-After" in headers) == (429, False)


async def test_more_requests_at_once_than_allowed_are_refused() -> None:
    async with await start_sandbox(quick(concurrency=2)) as sandbox:
        statuses = [status for status, _, _ in await asyncio.gather(*(post(sandbox) for _ in range(12)))]
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) == sandbox.bill.pictures
        assert sandbox.most_at_work <= 2


async def test_models_are_listed_as_openai_lists_them() -> None:
    async with await start_sandbox(quick()) as sandbox:
        _, shown, _ = await get(f"{sandbox.base_url}/models")
        listed = json.loads(shown)
        assert (listed["object"], len(listed["data"])) == ("list", 8)
        assert {entry["object"] for entry in listed["data"]} == {"model"}


async def test_a_port_that_is_taken_is_said_in_words() -> None:
    async with await start_sandbox(quick()) as sandbox:
        with pytest.raises(UsageError, match="cannot listen"):
            await start_sandbox(quick(port=sandbox.port))


async def test_a_sandbox_link_as_input_shows_the_picture_behind_it() -> None:
    async with await start_sandbox(quick()) as sandbox:
        _, answer, _ = await post(sandbox)
        link = answer["data"][0]["url"]
        edit = {"model": "black-forest-labs/flux-kontext-pro", "prompt": "in winter", "seed": 1, "image": link}
        status, edited, _ = await post(sandbox, edit)
        assert status == 200
        elsewhere = await post(sandbox, edit | {"image": "https://pictures.example.com/x.png"})
        assert edited["data"][0]["url"] != elsewhere[1]["data"][0]["url"]


async def test_a_process_that_starts_no_sandbox_does_not_import_pillow() -> None:
    code = "import sys, batchgen.sandbox.server, batchgen.sandbox.main; sys.exit('PIL' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
