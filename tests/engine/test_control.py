"""What the control loop makes of providers with limits that it is not told: nothing fails, little is refused."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.clock import VirtualClock
from batchgen.engine.endpoint import Endpoint, EndpointStopped, Stop, Ticket
from batchgen.engine.pace import Pace
from batchgen.engine.pool import retry_after_seconds
from batchgen.errors import Exit

from .virtual_provider import VirtualProvider, make_all

SEEDS = range(10)


def run(
    tasks: int, *, most: int = 64, seed: int = 0, paces: tuple[Pace, ...] = (), **provider_options: Any
) -> tuple[VirtualProvider, float]:
    """The provider after so many tasks, and how long they took."""
    clock = VirtualClock(seed=seed)
    provider = VirtualProvider(clock, seed=seed, **provider_options)
    clock.run(make_all(Endpoint(clock, most=most, paces=paces), provider, tasks, most))
    assert provider.made == tasks
    return provider, clock.monotonic()


LATENCIES_S = [0.05, 0.3, 1.0, 3.0, 8.0]


def check_600_a_minute(latency_s: tuple[float, float], *, tells_when: bool, seed: int) -> None:
    mean_s = sum(latency_s) / 2
    ideal_s = max((300 - 10) / 10, 300 * mean_s / 64) + mean_s

    provider, took_s = run(300, seed=seed, per_second=10.0, latency_s=latency_s, tells_when=tells_when)

    assert provider.refused <= 0.1 * provider.sent
    assert took_s <= 1.25 * ideal_s


@pytest.mark.parametrize("tells_when", [False, True], ids=["no-header", "retry-after"])
@pytest.mark.parametrize("latency_s", LATENCIES_S)
@pytest.mark.parametrize("seed", SEEDS)
def test_600_a_minute_in_bursts_of_10_is_found_at_64_workers(latency_s: float, tells_when: bool, seed: int) -> None:
    check_600_a_minute((latency_s / 2, latency_s * 1.5), tells_when=tells_when, seed=seed)


@pytest.mark.parametrize("tells_when", [False, True], ids=["no-header", "retry-after"])
@pytest.mark.parametrize("latency_s", LATENCIES_S)
def test_600_a_minute_is_found_when_answers_come_in_waves(latency_s: float, tells_when: bool) -> None:
    """Pictures that all take the same time come back together, so that the next calls would leave together."""
    check_600_a_minute((latency_s, latency_s), tells_when=tells_when, seed=0)


@pytest.mark.parametrize("latency_s", [0.3, 1.0, 3.0, 8.0])
def test_a_provider_that_allows_no_bursts_is_found(latency_s: float) -> None:
    provider, took_s = run(300, per_second=10.0, burst=1.0, latency_s=(latency_s / 2, latency_s * 1.5))

    assert provider.refused <= 0.1 * provider.sent
    assert took_s <= 2.5 * max(30.0, 300 * latency_s / 64)


@pytest.mark.parametrize("most", [1, 2])
def test_very_few_at_once_are_found(most: int) -> None:
    provider, _ = run(100, at_once=most, latency_s=(0.5, 1.5))

    assert provider.refused <= 0.25 * provider.sent


@pytest.mark.parametrize("latency_s", [0.3, 3.0, 8.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_8_at_once_is_found_at_64_workers(latency_s: float, seed: int) -> None:
    provider, _ = run(400, seed=seed, at_once=8, latency_s=(latency_s / 2, latency_s * 1.5))

    assert provider.refused <= 0.1 * provider.sent


@pytest.mark.parametrize("latency_s", [3.0, 8.0])
def test_30_a_minute_without_a_header_is_found(latency_s: float) -> None:
    provider, took_s = run(300, per_second=0.5, latency_s=(latency_s / 2, latency_s * 1.5))

    assert provider.refused <= 0.25 * provider.sent
    assert took_s <= 1.25 * ((300 - 10) / 0.5 + latency_s)


def test_both_limits_at_once_are_found() -> None:
    provider, took_s = run(300, per_second=2.0, at_once=8, latency_s=(1.5, 4.5))

    assert provider.refused <= 0.1 * provider.sent
    assert took_s <= 1.25 * (290 / 2 + 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_limit_that_changes_in_the_middle_is_found_again(seed: int) -> None:
    def at_once(now: float) -> float:
        return 8 if now < 100 else 2 if now < 200 else 32

    provider, took_s = run(800, seed=seed, at_once=at_once, latency_s=(1.5, 4.5))

    assert provider.refused <= 0.1 * provider.sent
    assert took_s <= 1.75 * (200 + (800 - 267 - 67) * 3 / 32)


def test_a_provider_without_limits_is_used_in_full_soon() -> None:
    _, took_s = run(300, latency_s=(1.0, 1.0))

    assert took_s <= 1.3 * (300 / 64 + 1)


@pytest.mark.parametrize("latency_s", [0.05, 1.0, 8.0])
def test_limits_that_the_job_gives_are_never_passed(latency_s: float) -> None:
    by_minute, _ = run(300, per_second=10.0, paces=(Pace(600),), latency_s=(latency_s, latency_s))
    by_number, _ = run(300, most=8, at_once=8, latency_s=(latency_s / 2, latency_s * 1.5))

    assert by_minute.refused == by_number.refused == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_refusals_at_random_do_not_stop_the_work(seed: int) -> None:
    """A twentieth refused whatever one does: slower than without, and still many pictures a minute."""
    _, took_s = run(300, seed=seed, at_random=0.05, latency_s=(0.5, 1.5))

    assert took_s <= 300


@pytest.mark.parametrize("wait_s", [None, 300.0])
def test_after_a_storm_of_refusals_the_work_goes_on_as_before(wait_s: float | None) -> None:
    """Refused for twenty minutes whatever one does, then well again: no pace was learned from that."""
    clock = VirtualClock()

    async def main() -> float:
        endpoint = Endpoint(clock, most=16)
        left = 600
        well_at = 1200.0

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                ticket = await endpoint.enter()
                if 30.0 < clock.monotonic() < well_at:
                    left += 1
                    endpoint.throttle(ticket, "rate limited", wait_s)
                else:
                    await clock.sleep(8.0)
                    endpoint.succeed(ticket)

        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(worker())
        return clock.monotonic() - well_at

    assert clock.run(main()) <= 2.5 * 600 * 8 / 16 + 300


def test_refusals_without_end_neither_break_nor_hammer() -> None:
    clock = VirtualClock()
    sent = 0

    async def main() -> None:
        nonlocal sent
        endpoint = Endpoint(clock, most=4)
        while True:
            try:
                ticket = await endpoint.enter()
            except EndpointStopped:
                return
            sent += 1
            endpoint.throttle(ticket, "rate limited", 0.0)

    clock.run(main())

    assert sent <= 200


def test_a_task_that_is_refused_shows_that_the_provider_is_there() -> None:
    clock = VirtualClock()

    async def main() -> Stop | None:
        endpoint = Endpoint(clock, most=1)
        endpoint.fail(await endpoint.enter(), "connection reset", costly=False)
        for _ in range(400):
            ticket = await endpoint.enter()
            await clock.sleep(5.0)
            endpoint.refuse(ticket)
        endpoint.fail(await endpoint.enter(), "connection reset", costly=False)
        endpoint.succeed(await endpoint.enter())
        return endpoint.stopped

    assert clock.run(main()) is None


def test_a_call_that_waited_for_the_runs_slot_does_not_pass_a_gate_that_closed_meanwhile() -> None:
    clock = VirtualClock()

    async def main() -> tuple[float, float]:
        slots = asyncio.Semaphore(1)
        endpoint = Endpoint(clock, most=4, slots=slots)
        first = await endpoint.enter()
        waiting = asyncio.create_task(endpoint.enter())
        await clock.sleep(1.0)
        closed_at = clock.monotonic()
        endpoint.throttle(first, "rate limited", 30.0)
        await waiting
        return closed_at, clock.monotonic()

    closed_at, left_at = clock.run(main())

    assert left_at >= closed_at + 30.0


def test_a_model_that_waits_for_its_gate_holds_no_slot_of_the_run() -> None:
    clock = VirtualClock()

    async def main() -> float:
        slots = asyncio.Semaphore(1)
        paused, other = Endpoint(clock, most=4, slots=slots), Endpoint(clock, most=4, slots=slots)
        paused.throttle(await paused.enter(), "rate limited", 600.0)
        waiting = asyncio.create_task(paused.enter())
        await clock.sleep(0.1)
        other.succeed(await other.enter())
        waiting.cancel()
        return clock.monotonic()

    assert clock.run(main()) < 1.0


def test_time_that_the_machine_slept_is_no_trouble() -> None:
    clock = VirtualClock()

    async def main() -> Stop | None:
        endpoint = Endpoint(clock, most=1)
        endpoint.fail(await endpoint.enter(), "cannot connect", costly=False)
        waiting = asyncio.create_task(endpoint.enter())
        await asyncio.sleep(0)
        clock.elapsed += 8 * 3600  # the lid is closed
        endpoint.fail(await waiting, "cannot connect", costly=False)
        endpoint.succeed(await endpoint.enter())
        return endpoint.stopped

    assert clock.run(main()) is None


def test_a_machine_that_slept_during_a_probe_goes_on_probing() -> None:
    clock = VirtualClock()

    async def main() -> Stop | None:
        endpoint = Endpoint(clock, most=1)
        endpoint.fail(await endpoint.enter(), "cannot connect", costly=False)
        probe = await endpoint.enter()
        await clock.sleep(8 * 3600)  # the lid is closed
        endpoint.fail(probe, "no answer", costly=True)
        endpoint.succeed(await endpoint.enter())
        return endpoint.stopped

    assert clock.run(main()) is None


def test_statistics_say_what_is_allowed_and_waited_for() -> None:
    clock = VirtualClock()

    async def main() -> None:
        endpoint = Endpoint(clock, most=8)
        ticket = await endpoint.enter()
        assert (endpoint.statistics().state, endpoint.statistics().in_flight) == ("working", 1)
        endpoint.throttle(ticket, "rate limited", 20.0)
        paused = endpoint.statistics()
        assert (paused.state, paused.reason, paused.in_flight, paused.refused) == ("paused", "rate limited", 0, 1)
        assert paused.resumes_in_s is not None
        assert 20.0 <= paused.resumes_in_s <= 20.25
        endpoint.stop(Stop("stopped by you", Exit.SIGINT))
        assert endpoint.statistics().state == "stopped"

    clock.run(main())


SERVER_DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("Sun, 22 Nov 2026 10:01:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", None),
        ("-5", None),
        ("NaN", None),
        ("inf", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_by_the_servers_own_clock_and_nonsense_is_ignored(
    header: str, seconds: float | None
) -> None:
    assert retry_after_seconds(header, SERVER_DATE) == seconds


def test_a_date_without_the_servers_own_clock_is_not_believed() -> None:
    assert retry_after_seconds("Sun, 22 Nov 2026 10:01:30 GMT", "") is None


ENDS = st.sampled_from(["ok", "ok", "ok", "429", "429 after 3", "fail", "costly", "leave"])


@settings(deadline=None, max_examples=60)
@given(st.lists(ENDS, min_size=1, max_size=60), st.integers(1, 12), st.integers(0, 1000))
def test_whatever_happens_the_rules_hold_and_nobody_waits_for_ever(ends: list[str], most: int, seed: int) -> None:
    clock = VirtualClock(seed=seed)
    script = iter(ends)
    gate = 0.0
    in_flight = worst = 0
    cuts = 0

    def listen(state: str, _reason: str, seconds: float | None) -> None:
        nonlocal gate, cuts
        if state == "paused" and seconds is not None:
            gate = max(gate, clock.monotonic() + seconds)
            cuts += 1

    async def one(endpoint: Endpoint) -> None:
        nonlocal in_flight, worst
        ticket: Ticket = await endpoint.enter()
        assert clock.monotonic() >= gate
        in_flight += 1
        worst = max(worst, in_flight)
        assert in_flight <= endpoint.statistics().limit <= most
        await clock.sleep(clock.jitter(0.1, 2.0))
        in_flight -= 1
        end = next(script, "ok")
        if end == "ok":
            endpoint.succeed(ticket)
        elif end.startswith("429"):
            endpoint.throttle(ticket, "rate limited", 3.0 if end.endswith("3") else None)
        elif end == "leave":
            endpoint.leave(ticket)
        else:
            endpoint.fail(ticket, "broken", costly=end == "costly")

    async def main() -> None:
        endpoint = Endpoint(clock, most=most, listener=listen, give_up_after_s=1e9)
        async with asyncio.TaskGroup() as group:
            for _ in range(len(ends) + 5):
                group.create_task(one(endpoint))
        assert endpoint.statistics().in_flight == 0

    clock.run(main())
    assert cuts <= len(ends)


def test_a_stopped_endpoint_lets_nobody_out_and_keeps_nobody() -> None:
    clock = VirtualClock()

    async def main() -> list[Any]:
        endpoint = Endpoint(clock, most=2)
        tickets = [await endpoint.enter(), await endpoint.enter()]
        waiting = [asyncio.create_task(endpoint.enter()) for _ in range(50)]
        await asyncio.sleep(0)
        endpoint.stop(Stop("by you", Exit.SIGINT))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        for ticket in tickets:
            endpoint.leave(ticket)
        return results

    assert all(isinstance(result, EndpointStopped) for result in clock.run(main()))
