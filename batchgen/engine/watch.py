"""What goes on beside the buying: stopping it when the user asks, at the deadline, or when pictures cannot be stored.

It also notes in the ledger what each model is doing, for whoever asks from another terminal. It refuses to buy.
"""

import asyncio
import contextlib
from typing import Any

from batchgen.engine.context import RunContext
from batchgen.engine.downloads import Downloads
from batchgen.engine.endpoint import Stop
from batchgen.engine.pool import Pool
from batchgen.errors import Exit, StorageError
from batchgen.events import PoolState
from batchgen.storage.runs import note_pools

_NOTE_EVERY_S = 2.0
_LOOK_EVERY_S = 60.0


class Control:
    """The handle by which a signal stops a run: `stop` may be called from a signal handler."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self.exit_code: Exit | None = None

    def stop(self, exit_code: Exit) -> None:
        """Start nothing new; let what is in flight end."""
        self.exit_code = self.exit_code or exit_code
        self._stopping.set()

    async def wait(self) -> None:
        """Return when the run is to stop."""
        await self._stopping.wait()


class Watch:
    """Looks after the pools of one run; `pools` and `states` (the last news of each model) fill while it lasts."""

    def __init__(self, run: RunContext, control: Control, pools: list[Pool], states: dict[str, PoolState]) -> None:
        self._run = run
        self._control = control
        self._pools = pools
        self._states = states

    async def watch(self, downloads: Downloads) -> None:
        """Stop buying when the user asks, at the deadline, or when pictures cannot be stored any more."""
        run = self._run
        asked = asyncio.create_task(self._control.wait())
        broken = asyncio.create_task(downloads.broken.wait())
        late = asyncio.create_task(self._deadline())
        left = {asked, broken, late}
        try:
            while asked in left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                if broken in done:
                    self.stop_all(Stop("pictures cannot be stored", Exit.STORAGE))
                if late in done:
                    self.stop_all(run.deadline_stop())
                if asked in done:
                    self.stop_all(Stop("stopped by you", self._control.exit_code or Exit.SIGINT))
                    calls = run.calls_in_flight
                    waits = (
                        f"waiting for {calls} call{'s' if calls > 1 else ''} in flight: paid for, so the answer counts"
                    )
                    run.warn(f"stopping: {waits if calls else 'no call is in flight'}; again to leave now")
        finally:
            for task in (asked, broken, late):
                task.cancel()

    async def note_pools(self) -> None:
        """Keep in the ledger what each model is doing, so that `status` can tell it from another terminal."""
        noted: list[dict[str, Any]] = []
        while True:
            pools = [self._pool_now(pool) for pool in self._pools]
            if pools != noted:
                noted = pools
                with contextlib.suppress(StorageError):  # whoever buys or stores says so
                    await self._run.ledger.write(
                        lambda connection, pools=pools: note_pools(connection, self._run.run_id, pools)  # type: ignore[misc]
                    )
            await self._run.clock.sleep(_NOTE_EVERY_S)

    def _pool_now(self, pool: Pool) -> dict[str, Any]:
        label = pool.use.label
        last = self._states.get(label)
        return {
            "label": label,
            "state": last.state if last else "working",
            "reason": last.reason if last else "",
            "until": last.until if last else None,
            "at_once": pool.endpoint.statistics().limit,
        }

    async def _deadline(self) -> None:
        run = self._run
        if run.deadline is None:
            await asyncio.Event().wait()
        else:
            while (left := run.deadline - run.clock.monotonic()) > 0:
                await run.clock.sleep(min(left, _LOOK_EVERY_S))  # timers stand still while the machine sleeps

    def stop_all(self, stop: Stop) -> None:
        """Let no further call of any model leave."""
        for pool in self._pools:
            pool.endpoint.stop(stop)
