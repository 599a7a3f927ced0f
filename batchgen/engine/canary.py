"""The first pictures of a run: one of each model, the cheapest first, before the rest is bought.

A key that no longer works, a field that changed or a model that is gone shows at the price of a few pictures. It refuses
to judge a model by a prompt that its provider does not want: such a canary says that the model works.
"""

import asyncio

from batchgen.engine.context import RunContext
from batchgen.engine.pool import Pool

UNWATCHED_AT_MOST = 100
"""Pictures to buy up to which a job that says nothing about canaries is run without."""
_PATIENCE_S = 60.0
"""How long the other models wait for the canary of one: a model in trouble starves no other."""


async def buy_all(run: RunContext, pools: list[Pool], canaries: int) -> None:
    """Let every pool work to its end, with `canaries` pictures of each before all others."""
    async with asyncio.TaskGroup() as group:
        if not canaries:
            for pool in pools:
                group.create_task(pool.work())
            return
        run.info(
            f"first {'one picture' if canaries == 1 else f'{canaries} pictures'} of each model, the cheapest first"
        )
        sent: list[tuple[Pool, asyncio.Task[None]]] = []
        for pool in sorted(pools, key=_price):
            canary = group.create_task(pool.send_canaries(canaries))
            sent.append((pool, canary))
            await _settled(run, canary)
        for pool, canary in sent:
            group.create_task(_work_after(canary, pool))


async def _settled(run: RunContext, canary: "asyncio.Task[None]") -> None:
    """Wait until a model's canaries have answered, but not for long."""
    patience = asyncio.ensure_future(run.clock.sleep(_PATIENCE_S))
    try:
        await asyncio.wait({canary, patience}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        patience.cancel()
        await asyncio.gather(patience, return_exceptions=True)


async def _work_after(canary: "asyncio.Task[None]", pool: Pool) -> None:
    await canary
    await pool.work()


def _price(pool: Pool) -> tuple[bool, object]:
    """For sorting: known prices first, the smallest in front."""
    price = pool.use.model.price
    return price is None, price
