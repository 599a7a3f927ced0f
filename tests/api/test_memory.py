"""Bytes are lent first come, first served, and none is lost when somebody stops waiting."""

import asyncio

from batchgen.api.memory import Memory


async def test_who_asks_for_more_than_is_free_waits_for_it() -> None:
    memory = Memory(100)
    assert await memory.take(60) == 60
    waiting = asyncio.ensure_future(memory.take(50))
    await asyncio.sleep(0)
    assert not waiting.done()

    memory.give_back(60)

    assert await waiting == 50


async def test_a_small_wish_does_not_pass_a_large_one_by() -> None:
    memory = Memory(100)
    await memory.take(60)
    large = asyncio.ensure_future(memory.take(100))
    await asyncio.sleep(0)
    small = asyncio.ensure_future(memory.take(1))
    await asyncio.sleep(0)
    assert not small.done()

    memory.give_back(60)
    await large
    assert not small.done()
    memory.give_back(100)

    assert await small == 1


async def test_more_than_there_is_means_all_of_it() -> None:
    memory = Memory(100)

    assert await memory.take(10_000) == 100


async def test_nothing_is_lost_when_somebody_stops_waiting_or_is_stopped_with_it_in_hand() -> None:
    memory = Memory(100)
    await memory.take(100)
    leaving = [asyncio.ensure_future(memory.take(70)) for _ in range(3)]
    staying = asyncio.ensure_future(memory.take(100))
    await asyncio.sleep(0)
    leaving[0].cancel()
    memory.give_back(100)  # the second is served now, and cancelled before it runs
    leaving[1].cancel()
    leaving[2].cancel()
    await asyncio.gather(*leaving, return_exceptions=True)

    assert await asyncio.wait_for(staying, 5) == 100
