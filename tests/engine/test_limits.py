"""Bounds of memory and files, of money without a price, and what a re-buy leaves."""

import asyncio
import dataclasses
import io
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from batchgen.errors import Exit
from batchgen.events import Event, PictureStored
from batchgen.spec.load import load_job

from .conftest import Bench
from .hostile import Hostile, good, hostile, prompts

__all__ = ["hostile"]


async def test_resuming_many_waiting_pictures_keeps_few_files_open(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    Image.effect_noise((1500, 1500), 90).convert("RGB").save(out, "PNG", compress_level=0)
    big = out.getvalue()
    works = False

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    async def picture(self: Hostile, request: web.Request) -> web.Response:
        return web.Response(body=big) if works else web.Response(status=500)

    monkeypatch.setattr(Hostile, "picture", picture)
    server = await hostile(answer)
    await bench.go(prompts(*[f"p{n}" for n in range(150)]), server)
    works = True
    most = 0

    def watch(event: Event) -> None:
        nonlocal most
        if isinstance(event, PictureStored):
            most = max(most, len(list((bench.folder / "parts").glob("*.part"))))

    bench.listeners.append(watch)
    await bench.go(prompts(*[f"p{n}" for n in range(150)]), server)
    assert most < 64


async def test_retry_unknown_beside_working_calls(bench: Bench, hostile: Any) -> None:
    bad = 0

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        nonlocal bad
        if "bad" in body["prompt"]:
            bad += 1
            return web.Response(status=500, text="{}")
        await asyncio.sleep(0.01)
        return good(number)

    server = await hostile(answer)
    await bench.go("on_unknown: hold\n" + prompts("bad lamp"), server)
    bad = 0
    await bench.go(
        "limits: {give_up_after: 1}\n" + prompts("bad lamp", *[f"p{n}" for n in range(60)]),
        server,
        rebuy=frozenset({"unknown"}),
    )
    assert bad <= 2


async def test_a_rebuy_that_was_only_refused_for_now_leaves_the_task_as_it_was(bench: Bench, hostile: Any) -> None:
    mode = "400"

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if mode == "400":
            return web.Response(status=400, text='{"error":{"message":"no"}}')
        return web.Response(status=401, text="{}")

    server = await hostile(answer)
    await bench.go(prompts("lamp"), server)
    mode = "401"
    report = await bench.go(prompts("lamp"), server, rebuy=frozenset({"failed"}))
    assert report["counts"]["failed"] == 1


async def test_five_seconds_of_403_do_not_cost_a_paid_picture(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    async def picture(self: Hostile, request: web.Request) -> web.Response:
        return web.Response(status=403)

    monkeypatch.setattr(Hostile, "picture", picture)
    await bench.go(prompts("lamp"), await hostile(answer))
    assert bench.clock.slept_s > 60


async def test_a_dead_picture_host_stops_the_buying(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    async def picture(self: Hostile, request: web.Request) -> web.Response:
        return web.Response(status=500)

    monkeypatch.setattr(Hostile, "picture", picture)
    server = await hostile(answer)
    await bench.go(prompts(*[f"p{n}" for n in range(300)]), server)
    assert server.posts < 150


async def test_an_unknown_price_under_max_cost_buys_nothing(bench: Bench, hostile: Any, monkeypatch: Any) -> None:
    from . import conftest

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    server = await hostile(answer)
    real = load_job

    def without_price(*args: Any, **kwargs: Any) -> Any:
        job = real(*args, **kwargs)
        models = tuple(dataclasses.replace(use, model=dataclasses.replace(use.model, price=None)) for use in job.models)
        return dataclasses.replace(job, models=models)

    monkeypatch.setattr(conftest, "load_job", without_price)
    report = await bench.go(prompts("a", "b", "c"), server, max_cost=Decimal("0.01"))

    assert report["exit_code"] == Exit.BUDGET
    assert server.posts == 0
