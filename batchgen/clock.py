"""The only source of time, sleep and jitter.

Everything that waits or stamps a time takes a `Clock`, so that tests run hours of waiting in milliseconds. It refuses
to format times for people and to know what they are for.
"""

import asyncio
import random
import selectors
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Time as the engine sees it. Durations are seconds as float."""

    def now(self) -> float:
        """Wall time in seconds since the epoch (UTC): for records and for the expiry of links."""

    def monotonic(self) -> float:
        """Seconds that only go forward and go on while the machine sleeps: for durations and deadlines."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""

    def jitter(self, low: float, high: float) -> float:
        """A random number between `low` and `high`: keeps many workers from moving in step."""


class RealClock:
    """The machine's clock. Suspended time counts as passed where the system can tell (Linux)."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._clock_id: int | None = getattr(time, "CLOCK_BOOTTIME", None)

    def now(self) -> float:
        """Wall time in seconds since the epoch (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since boot, suspended time included on Linux."""
        return time.monotonic() if self._clock_id is None else time.clock_gettime(self._clock_id)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)

    def jitter(self, low: float, high: float) -> float:
        """A random number between `low` and `high`."""
        return self._random.uniform(low, high)


class VirtualClock:
    """A clock that jumps to the next timer as soon as nothing else is left to do.

    `run` drives a coroutine on a loop of its own whose timers follow this clock; code under it must not do real
    input or output. Jitter is seeded, so that a run repeats exactly.
    """

    def __init__(self, start: float = 1_700_000_000.0, seed: int = 0) -> None:
        self.elapsed = 0.0
        self._start = start
        self._random = random.Random(seed)  # noqa: S311  # repeatable on purpose

    def now(self) -> float:
        """The virtual wall time."""
        return self._start + self.elapsed

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made."""
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has moved on by `seconds`."""
        await asyncio.sleep(seconds)

    def jitter(self, low: float, high: float) -> float:
        """A number between `low` and `high`, the same in every run."""
        return self._random.uniform(low, high)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end in virtual time and return its result."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(main)


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves the clock to it."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._virtual = clock

    def select(self, timeout: float | None = None) -> "list[tuple[selectors.SelectorKey, int]]":
        ready = super().select(0)
        if not ready and timeout is None:
            return super().select(None)
        if not ready and timeout is not None and timeout > 0:
            self._virtual.elapsed += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._virtual = clock

    def time(self) -> float:
        return self._virtual.elapsed
