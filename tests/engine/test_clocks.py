"""A wall clock that jumps in the middle of a run: nothing expires, nothing waits for hours, the counts stay right."""

from typing import Any

import pytest
from aiohttp import web

from .conftest import Bench
from .hostile import good, hostile, prompts

__all__ = ["hostile"]

DAY_S = 86_400.0


@pytest.mark.parametrize("jump_s", [-30 * DAY_S, -3600.0, 3600.0, 30 * DAY_S])
async def test_a_clock_that_is_set_in_the_middle_costs_nothing(bench: Bench, hostile: Any, jump_s: float) -> None:
    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        if number == 5:
            bench.clock.ahead_s += jump_s
        if number in {3, 6}:
            return web.Response(status=429, text="{}", headers={"Retry-After": "7"})
        return good(number)

    server = await hostile(answer)
    first = await bench.go(prompts(*[f"lamp {number}" for number in range(12)]), server)
    bench.clock.ahead_s = 0.0
    second = await bench.go(prompts(*[f"lamp {number}" for number in range(12)]), server)

    assert first["exit_code"] == second["exit_code"] == 0
    assert first["counts"]["new_stored"] == 12
    assert first["duration_s"] >= 0
    assert second["counts"]["new_stored"] == 0
    assert server.posts == 14


async def test_a_link_that_the_clock_calls_dead_is_tried_once_all_the_same(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = False

    async def answer(number: int, body: dict[str, Any]) -> web.Response:
        return good(number)

    server = await hostile(answer)
    real = type(server).picture

    async def picture(self: Any, request: web.Request) -> web.Response:
        if not works:
            return web.Response(status=500)
        answered: web.Response = await real(self, request)
        return answered

    monkeypatch.setattr(type(server), "picture", picture)
    await bench.go(prompts("lamp"), server)
    works = True
    bench.clock.ahead_s = 30 * DAY_S
    report = await bench.go(prompts("lamp"), server)

    assert report["counts"]["done"] == 1
    assert server.posts == 1
