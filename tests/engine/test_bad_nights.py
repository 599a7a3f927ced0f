"""What a hostile or failing world does to the paid path."""

import asyncio
import base64
import sqlite3
import time
from typing import Any

import pytest
from aiohttp import web

from batchgen.api.dialects import parse_generation
from batchgen.clock import VirtualClock
from batchgen.engine.endpoint import Endpoint, EndpointStopped
from batchgen.errors import Exit, StorageError
from batchgen.secret import Secret
from batchgen.storage.files import ResultFolder

from .conftest import Bench
from .hostile import good, hostile, png, prompts

__all__ = ["hostile"]


async def test_retry_unknown_buys_each_task_once_per_command(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if "bad" in body["prompt"]:
            return web.Response(status=500, text="{}")
        return good(number)

    server = await hostile(answer)
    await bench.go("on_unknown: hold\n" + prompts("bad lamp"), server)
    assert server.posts == 1
    before = server.posts
    text = prompts("bad lamp") + "limits: {give_up_after: 2}\n"
    await asyncio.wait_for(bench.go(text, server, rebuy=frozenset({"unknown"})), 20)
    assert server.posts - before <= 2


async def test_a_link_that_no_parser_takes_is_lost_and_does_not_hang_the_run(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return web.json_response({"data": [{"url": "https://[broken"}]})

    report = await asyncio.wait_for(bench.go(prompts("lamp"), await hostile(answer)), 5)
    assert report["counts"]["lost"] == 1


async def test_a_link_with_half_a_character_does_not_end_the_run(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return web.Response(text='{"data":[{"url":"https://a.example/\\ud800.png"}]}', content_type="application/json")

    report = await asyncio.wait_for(bench.go(prompts("lamp"), await hostile(answer)), 5)
    assert report["counts"]["lost"] == 1


async def test_an_absurd_date_in_retry_after_does_not_end_the_run(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if number == 1:
            headers = {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}
            return web.Response(status=429, text="{}", headers=headers)
        return good(number)

    report = await bench.go(prompts("lamp"), await hostile(answer))
    assert report["counts"]["done"] == 1


async def test_one_call_that_cannot_be_written_down_lets_the_others_end(bench: Bench, hostile: Any) -> None:
    """A failing ledger operation of one worker must not throw away the paid answers of the others."""
    gate = asyncio.Event()

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if "first" in body["prompt"]:
            gate.set()
            return web.json_response({"data": [{"url": "/p/1"}]})
        await gate.wait()
        await asyncio.sleep(0.5)
        return good(number)

    server = await hostile(answer)
    text = prompts("first", "b", "c", "d")
    await bench.go(prompts("zero"), await hostile(lambda n, b: _ok(n)))
    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    ledger.execute(
        "CREATE TRIGGER full BEFORE INSERT ON pictures WHEN NEW.url = '/p/1' AND NEW.picture_id IS NOT NULL"
        " BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
    )
    ledger.execute("DELETE FROM pictures")
    ledger.commit()
    ledger.close()
    try:
        await bench.go(text, server)
    except BaseException as error:  # noqa: BLE001
        print("RAISED", type(error), error)
    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    unknown = ledger.execute("SELECT COUNT(*) FROM attempts WHERE kind = 'interrupted'").fetchone()[0]
    ledger.close()
    assert unknown == 0


async def _ok(number: int) -> web.Response:
    return good(7)


async def test_a_disk_that_refuses_is_told_as_a_storage_error(bench: Bench, hostile: Any) -> None:
    server = await hostile(lambda n, b: _ok(n))
    await bench.go(prompts("zero"), server)
    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    pages = ledger.execute("PRAGMA page_count").fetchone()[0]
    ledger.close()
    import batchgen.storage.ledger as ledger_module

    real = ledger_module._open

    def small(path: Any) -> sqlite3.Connection:
        connection = real(path)
        connection.execute(f"PRAGMA max_page_count={pages + 8}")
        return connection

    ledger_module._open = small
    try:
        report = await bench.go(prompts(*[f"lamp {n}" for n in range(300)]), server)
    finally:
        ledger_module._open = real
    assert report["exit_code"] == Exit.STORAGE
    assert "cannot be written" in report["error"]["message"]
    assert report["error"]["hint"]


async def test_two_storers_that_die_do_not_hang_a_run_with_calls_in_flight(bench: Bench, hostile: Any) -> None:
    asyncio.Event()

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if "late" in body["prompt"]:
            await asyncio.sleep(1.5)
        return good(number)

    server = await hostile(answer)

    real = ResultFolder.store_batch

    def full(self: ResultFolder, items: Any) -> Any:
        raise StorageError("the disk is full")

    ResultFolder.store_batch = full  # type: ignore[method-assign]
    try:
        report = await asyncio.wait_for(bench.go(prompts("a", "b", "late c", "late d"), server), 8)
    finally:
        ResultFolder.store_batch = real  # type: ignore[method-assign]
    assert report["error"] == {"message": "the disk is full", "hint": ""}
    assert report["counts"]["waiting"] == report["this_run"]["calls"]


async def test_two_404s_far_apart_do_not_stop_a_model(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if "gone" in body["prompt"]:
            return web.Response(status=404, text='{"error":{"message":"input not found"}}')
        return good(number)

    names = ["gone 1", *[f"lamp {n}" for n in range(20)], "gone 2", *[f"cup {n}" for n in range(20)]]
    report = await bench.go("limits: {concurrency: 1}\n" + prompts(*names), await hostile(answer))
    assert report["counts"]["done"] == 40, report["counts"]


def test_one_failure_after_a_long_quiet_time_is_no_reason_to_give_up() -> None:
    clock = VirtualClock()

    async def main() -> None:
        endpoint = Endpoint(clock, most=4)
        endpoint.succeed(await endpoint.enter())
        ticket = await endpoint.enter()
        await clock.sleep(8 * 3600)  # the laptop slept
        endpoint.fail(ticket, "closed", costly=True)
        try:
            await endpoint.enter()
        except EndpointStopped:
            pytest.fail(f"gave up at once: {endpoint.stopped}")

    clock.run(main())


async def test_requests_per_minute_of_the_run_bound_all_models_together(bench: Bench, hostile: Any) -> None:
    times: list[float] = []

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return good(number)

    text = (
        "prompts: [lamp]\nseeds: {count: 3}\nlimits: {requests_per_minute: 120}\n"
        "models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]\n"
    )

    async def slow(seconds: float) -> None:
        await asyncio.sleep(seconds)

    bench.clock.sleep = slow  # type: ignore[method-assign]
    await bench.go(text, await hostile(answer))
    assert times[-1] - times[0] > 2.2


async def test_cancelled_while_a_paid_answer_is_parsed_keeps_it(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = base64.b64encode(png(3)).decode()
    parsing = asyncio.Event()

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return web.json_response({"data": [{"b64_json": inline}], "pad": "x" * 400_000})

    loop = asyncio.get_running_loop()

    def slow(body: bytes, secret: Secret) -> Any:
        loop.call_soon_threadsafe(parsing.set)
        time.sleep(0.3)
        return parse_generation(body, secret)

    monkeypatch.setattr("batchgen.engine.life.parse_generation", slow)
    running = asyncio.create_task(bench.go(prompts("lamp"), await hostile(answer)))
    await parsing.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    state = ledger.execute("SELECT state FROM attempts").fetchone()
    ledger.close()
    assert state[0] == "billed"
