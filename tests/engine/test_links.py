"""Links die: the oldest is fetched first, a day before its death is warned of, and what died is not bought by itself."""

from typing import Any

import pytest
from aiohttp import web

from batchgen.events import Notice

from .conftest import Bench
from .hostile import Hostile, good, hostile, prompts

__all__ = ["hostile"]

DAY_S = 86_400.0


class Shelf:
    """What the provider's picture host says, and in which order it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status = 200
        self.asked: list[int] = []
        real = Hostile.picture

        async def picture(server: Hostile, request: web.Request) -> web.Response:
            self.asked.append(int(request.match_info["n"]))
            return await real(server, request) if self.status == 200 else web.Response(status=self.status)

        monkeypatch.setattr(Hostile, "picture", picture)


async def answer(number: int, body: dict[str, Any]) -> web.Response:
    return good(number)


async def test_less_than_a_day_to_live_is_warned_of(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, server = Shelf(monkeypatch), await hostile(answer)
    shelf.status = 500
    await bench.go(prompts("lamp", "cup"), server)
    shelf.status = 200
    bench.clock.ahead_s = 7 * DAY_S - 5.5 * 3600
    bench.events.clear()

    report = await bench.go(prompts("lamp", "cup"), server)

    said = [event.message for event in bench.events if isinstance(event, Notice)]
    assert "2 links die within 24 hours, the first in 5 h: a picture whose link is dead is paid and lost" in said
    assert report["counts"]["done"] == 2


async def test_a_link_with_days_to_live_is_no_reason_to_warn(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, server = Shelf(monkeypatch), await hostile(answer)
    shelf.status = 500
    await bench.go(prompts("lamp"), server)
    shelf.status = 200
    bench.events.clear()

    await bench.go(prompts("lamp"), server)

    assert not [event for event in bench.events if isinstance(event, Notice) and event.level == "warning"]


async def test_the_link_that_dies_first_is_fetched_first_and_before_anything_is_bought(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, server = Shelf(monkeypatch), await hostile(answer)
    shelf.status = 500
    one_at_once = "limits: {concurrency: 1}\n"
    await bench.go(one_at_once + prompts("a", "b", "c"), server)
    bench.clock.ahead_s = -DAY_S  # what was answered by a clock that was behind dies first
    await bench.go(one_at_once + prompts("a", "b", "c", "d"), server)
    bench.clock.ahead_s = 0.0
    shelf.status = 200
    shelf.asked.clear()

    await bench.go(one_at_once + prompts("a", "b", "c", "d", "e"), server)

    assert shelf.asked[0] == 4
    assert sorted(shelf.asked[:4]) == [1, 2, 3, 4]


@pytest.mark.parametrize(("status", "state"), [(403, "expired"), (404, "expired"), (410, "expired")])
async def test_a_dead_link_is_never_bought_again_without_being_asked(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch, status: int, state: str
) -> None:
    shelf, server = Shelf(monkeypatch), await hostile(answer)
    shelf.status = status
    first = await bench.go(prompts("lamp"), server)
    shelf.status = 200
    second = await bench.go(prompts("lamp"), server)

    assert first["exit_code"] == second["exit_code"] == 3
    assert second["counts"][state] == 1
    assert second["next"] == [f"batchgen run {second['job_file']} --retry {state}"]
    assert server.posts == 1

    third = await bench.go(prompts("lamp"), server, rebuy=frozenset({state}))
    assert third["counts"]["done"] == 1
    assert server.posts == 2


@pytest.mark.parametrize("fault", ["packed", "too large", "elsewhere"])
async def test_one_odd_answer_does_not_make_a_paid_picture_lost(
    bench: Bench, hostile: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """A captive portal, a broken cache: believed when it is there again two minutes later."""
    answers = {
        "packed": lambda: web.Response(body=b"x", headers={"Content-Encoding": "gzip"}),
        "too large": lambda: web.Response(headers={"Content-Length": str(65 * 1024 * 1024)}),
        "elsewhere": lambda: web.Response(status=302, headers={"Location": "http://portal.example/login"}),
    }
    asked = 0
    real = Hostile.picture

    async def picture(server: Hostile, request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return answers[fault]() if asked == 1 else await real(server, request)

    monkeypatch.setattr(Hostile, "picture", picture)
    server = await hostile(answer)
    report = await bench.go(prompts("lamp"), server)

    assert report["counts"]["done"] == 1
    assert server.posts == 1
