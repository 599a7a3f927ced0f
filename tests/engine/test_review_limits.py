"""Bounds of memory and files, and what a re-buy leaves; each test fails while its defect stands."""

import asyncio
import io
import os
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from batchgen.events import Event, PictureStored

from .conftest import Bench
from .test_review_money import DEV, Hostile, good, hostile, prompts

__all__ = ["hostile"]


async def test_resuming_many_waiting_pictures_keeps_few_files_open(bench: Bench, hostile: Any) -> None:
    out = io.BytesIO()
    Image.effect_noise((1500, 1500), 90).convert("RGB").save(out, "PNG", compress_level=0)
    big = out.getvalue()
    works = False

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    async def picture(self: Hostile, request: web.Request) -> web.Response:
        return web.Response(body=big) if works else web.Response(status=500)

    Hostile.picture = picture  # type: ignore[method-assign]
    server = await hostile(answer)
    await bench.go(prompts(*[f"p{n}" for n in range(150)]), server)
    works = True
    most = 0

    def watch(event: Event) -> None:
        nonlocal most
        if isinstance(event, PictureStored):
            most = max(most, sum("part" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")))

    bench.listeners.append(watch)
    report = await bench.go(prompts(*[f"p{n}" for n in range(150)]), server)
    print("size", len(big), "parts open at once:", most, report["counts"])
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
    report = await bench.go("limits: {give_up_after: 1}\n" + prompts("bad lamp", *[f"p{n}" for n in range(60)]), server, rebuy=frozenset({"unknown"}))
    print("bad bought again", bad, report["money"], report["counts"])
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
    print(report["counts"])
    assert report["counts"]["failed"] == 1


async def test_five_seconds_of_403_do_not_cost_a_paid_picture(bench: Bench, hostile: Any) -> None:
    slept = 0.0

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    async def picture(self: Hostile, request: web.Request) -> web.Response:
        return web.Response(status=403)

    Hostile.picture = picture  # type: ignore[method-assign]
    report = await bench.go(prompts("lamp"), await hostile(answer))
    print(report["counts"], "slept", bench.clock.slept_s)
    assert bench.clock.slept_s > 60


async def test_a_dead_picture_host_stops_the_buying(bench: Bench, hostile: Any) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    async def picture(self: Hostile, request: web.Request) -> web.Response:
        return web.Response(status=500)

    Hostile.picture = picture  # type: ignore[method-assign]
    server = await hostile(answer)
    report = await bench.go(prompts(*[f"p{n}" for n in range(300)]), server)
    print(server.posts, report["counts"])
    assert server.posts < 150


async def test_an_unknown_price_under_max_cost_buys_nothing(bench: Bench, hostile: Any, monkeypatch: Any) -> None:
    import dataclasses
    from decimal import Decimal

    from . import conftest

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    server = await hostile(answer)
    real = conftest.load_job

    def without_price(*args: Any, **kwargs: Any) -> Any:
        job = real(*args, **kwargs)
        models = tuple(dataclasses.replace(use, model=dataclasses.replace(use.model, price=None)) for use in job.models)
        return dataclasses.replace(job, models=models)

    monkeypatch.setattr(conftest, "load_job", without_price)
    try:
        report = await bench.go(prompts("a", "b", "c"), server, max_cost=Decimal("0.01"))
        print(report["exit_code"], report["counts"])
    except Exception as error:
        print(type(error), error)
    assert server.posts == 0
