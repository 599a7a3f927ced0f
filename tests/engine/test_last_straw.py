"""What a paid answer costs when the disk, or the user, comes in between: nothing."""

import asyncio
import errno
import sqlite3
from typing import Any

import pytest
from aiohttp import web

from batchgen.errors import StorageError
from batchgen.events import CallSent, Event, Notice
from batchgen.storage.files import ResultFolder

from .conftest import Bench
from .hostile import good, hostile, prompts

__all__ = ["hostile"]


async def test_a_proof_that_cannot_be_kept_does_not_make_a_billed_call_unknown(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    real = ResultFolder.write_atomically

    def full(self: ResultFolder, name: str, data: bytes) -> None:
        if name.startswith("unusable/"):
            raise StorageError("the disk is full")
        real(self, name, data)

    monkeypatch.setattr(ResultFolder, "write_atomically", full)
    server = await hostile(answer)
    first = await bench.go(prompts("lamp"), server)
    second = await bench.go(prompts("lamp"), server)

    assert first["counts"]["lost"] == second["counts"]["lost"] == 1
    assert server.posts == 1
    said = [event.message for event in bench.events if isinstance(event, Notice)]
    assert any("cannot be kept: the disk is full" in message for message in said)


async def test_no_room_for_the_reserve_is_no_reason_not_to_download(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ResultFolder) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(ResultFolder, "reserve", full)

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    report = await bench.go(prompts("lamp"), await hostile(answer))

    assert report["exit_code"] == 0


async def test_leaving_between_the_intent_and_the_call_costs_nothing(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    server = await hostile(answer)
    running: asyncio.Task[Any] | None = None
    for cut_after in range(1, 12):
        running = asyncio.create_task(bench.go(prompts("lamp"), server))
        for _ in range(cut_after * 40):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    unknown = ledger.execute("SELECT COUNT(*) FROM attempts WHERE state = 'unknown'").fetchone()[0]
    ledger.close()

    assert unknown <= server.posts


async def test_a_shortage_of_files_while_an_input_is_read_leaves_no_task_out(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortages = 2

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    from batchgen.engine.inputs import Inputs

    real = Inputs.resolve

    async def short(self: Inputs, params: Any) -> Any:
        nonlocal shortages
        if shortages:
            shortages -= 1
            raise StorageError("too many files are open") from OSError(errno.EMFILE, "too many open files")
        return await real(self, params)

    monkeypatch.setattr(Inputs, "resolve", short)
    report = await bench.go(prompts("lamp", "cup"), await hostile(answer))

    assert report["counts"]["done"] == 2
    sent: list[Event] = [event for event in bench.events if isinstance(event, CallSent)]
    assert len(sent) == 2
