import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from batchgen.clock import VirtualClock
from batchgen.engine.endpoint import Endpoint, EndpointStopped, Stop
from batchgen.engine.pace import Pace
from batchgen.errors import Exit

Call = Callable[[], Coroutine[Any, Any, str]]


async def _use(endpoint: Endpoint, clock: VirtualClock, tasks: int, workers: int, answer: Call) -> list[float]:
    """Workers that make `tasks` calls; the virtual times at which calls left."""
    left = [tasks]
    starts: list[float] = []

    async def worker() -> None:
        while left[0] > 0:
            left[0] -= 1
            try:
                ticket = await endpoint.enter()
            except EndpointStopped:
                return
            starts.append(clock.monotonic())
            kind = await answer()
            if kind == "ok":
                endpoint.succeed(ticket)
            elif kind == "429":
                left[0] += 1
                endpoint.throttle(ticket, "rate limited", None)
            elif kind == "429 after 7":
                left[0] += 1
                endpoint.throttle(ticket, "rate limited", 7.0)
            else:
                left[0] += 1
                endpoint.fail(ticket, "nothing there", costly=kind == "unknown")

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())
    return starts


def test_it_starts_with_four_calls_and_grows_while_all_goes_well() -> None:
    clock = VirtualClock()
    most = [0, 0]

    async def answer() -> str:
        most[0] += 1
        most[1] = max(most)
        await clock.sleep(8.0)
        most[0] -= 1
        return "ok"

    async def main() -> list[float]:
        return await _use(Endpoint(clock, most=32), clock, 300, 32, answer)

    starts = clock.run(main())

    assert sum(start < 1.0 for start in starts) == 4
    assert most[1] == 32


def test_a_provider_that_allows_eight_at_once_loses_nothing_and_refuses_little() -> None:
    clock = VirtualClock()
    running = [0]
    counts = {"ok": 0, "429": 0}

    async def answer() -> str:
        if running[0] >= 8:
            counts["429"] += 1
            return "429"
        running[0] += 1
        await clock.sleep(clock.jitter(6.0, 10.0))
        running[0] -= 1
        counts["ok"] += 1
        return "ok"

    async def main() -> list[float]:
        return await _use(Endpoint(clock, most=32), clock, 400, 32, answer)

    clock.run(main())

    assert counts["ok"] == 400
    assert counts["429"] < 0.1 * 400


def test_nothing_leaves_before_the_time_that_the_provider_asked_for() -> None:
    clock = VirtualClock()
    answers = iter(["429 after 7"])

    async def answer() -> str:
        return next(answers, "ok")

    async def main() -> list[float]:
        return await _use(Endpoint(clock, most=1), clock, 2, 1, answer)

    first, *later = clock.run(main())

    assert all(start >= first + 7.0 for start in later)


def test_known_limits_per_minute_are_kept() -> None:
    clock = VirtualClock()

    async def answer() -> str:
        return "ok"

    async def main() -> list[float]:
        return await _use(Endpoint(clock, most=16, paces=(Pace(60),)), clock, 50, 16, answer)

    starts = clock.run(main())

    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert min(gaps) >= 0.999


def test_a_dead_provider_gets_few_requests_and_the_run_gives_up() -> None:
    clock = VirtualClock()
    sent = [0]

    async def answer() -> str:
        sent[0] += 1
        await clock.sleep(0.05)
        return "refused connection"

    async def main() -> Stop | None:
        endpoint = Endpoint(clock, most=16)
        await _use(endpoint, clock, 200, 16, answer)
        return endpoint.stopped

    stopped = clock.run(main())

    assert stopped is not None
    assert Exit.UNAVAILABLE is stopped.exit_code
    assert sent[0] <= 40
    assert 1800 <= clock.monotonic() < 2000


def test_after_an_outage_everything_is_made() -> None:
    clock = VirtualClock()
    probes = [0]
    made = [0]

    async def answer() -> str:
        if 60 < clock.monotonic() < 360:
            probes[0] += 1
            return "down"
        await clock.sleep(1.0)
        made[0] += 1
        return "ok"

    async def main() -> list[float]:
        return await _use(Endpoint(clock, most=8), clock, 1000, 8, answer)

    clock.run(main())

    assert made[0] == 1000
    assert probes[0] <= 8 + 12


def test_three_calls_that_may_have_cost_money_open_the_breaker() -> None:
    clock = VirtualClock()
    times: list[float] = []

    async def answer() -> str:
        times.append(clock.monotonic())
        return "unknown" if len(times) <= 3 else "ok"

    async def main() -> list[float]:
        return await _use(Endpoint(clock, most=1), clock, 1, 1, answer)

    clock.run(main())

    assert times[3] - times[2] >= 2.5


def test_a_wait_longer_than_a_quarter_of_an_hour_ends_the_run_instead() -> None:
    clock = VirtualClock()

    async def main() -> Stop | None:
        endpoint = Endpoint(clock, most=1)
        ticket = await endpoint.enter()
        endpoint.throttle(ticket, "rate limited", 3600.0)
        with pytest.raises(EndpointStopped):
            await endpoint.enter()
        return endpoint.stopped

    stopped = clock.run(main())

    assert stopped is not None
    assert "60 minutes" in stopped.reason


def test_stopping_wakes_everyone_who_waits() -> None:
    clock = VirtualClock()

    async def main() -> int:
        endpoint = Endpoint(clock, most=1)
        ticket = await endpoint.enter()
        waiting = [asyncio.create_task(endpoint.enter()) for _ in range(5)]
        await asyncio.sleep(0)
        endpoint.stop(Stop("by you", Exit.SIGINT))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        endpoint.leave(ticket)
        return sum(isinstance(result, EndpointStopped) for result in results)

    assert clock.run(main()) == 5
