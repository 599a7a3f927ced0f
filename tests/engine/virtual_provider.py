"""A provider on virtual time: so many calls a minute in bursts, so many at once, or both; it says so only by refusing."""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from batchgen.clock import VirtualClock
from batchgen.engine.endpoint import Endpoint, EndpointStopped

Limit = float | Callable[[float], float] | None
"""A number, or one by the time since the start."""
_TRIP_S = 0.02
"""How long a refusal is under way."""


@dataclass
class VirtualProvider:
    """`latency_s` is the shortest and the longest time that a picture takes."""

    clock: VirtualClock
    per_second: Limit = None
    burst: float = 10.0
    at_once: Limit = None
    latency_s: tuple[float, float] = (1.0, 1.0)
    tells_when: bool = False
    at_random: float = 0.0
    """The share of calls that it refuses whatever one does."""
    seed: int = 0
    sent: int = 0
    refused: int = 0
    made: int = 0
    starts: list[float] = field(default_factory=list)
    _busy: int = 0
    _tokens: float = math.inf
    _filled_at: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._tokens = self.burst

    async def call(self) -> tuple[bool, float | None]:
        """Whether a picture was made; if not, how long to wait, where the provider says so."""
        self.sent += 1
        self.starts.append(self.clock.monotonic())
        await self.clock.sleep(_TRIP_S / 2)
        wait_s = self._too_many(self.clock.monotonic())
        if wait_s is not None:
            self.refused += 1
            await self.clock.sleep(_TRIP_S / 2)
            return False, float(max(1, math.ceil(wait_s))) if self.tells_when else None
        self._busy += 1
        await self.clock.sleep(self._random.uniform(*self.latency_s))
        self._busy -= 1
        self.made += 1
        return True, None

    def _too_many(self, now: float) -> float | None:
        if self._random.random() < self.at_random:
            return 0.5
        at_once = self.at_once(now) if callable(self.at_once) else self.at_once
        if at_once is not None and self._busy >= at_once:
            return 1.0
        rate = self.per_second(now) if callable(self.per_second) else self.per_second
        if rate is None:
            return None
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return None


async def make_all(endpoint: Endpoint, provider: VirtualProvider, tasks: int, workers: int) -> None:
    """Make so many pictures; a refused task is made later."""
    left = tasks

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            try:
                ticket = await endpoint.enter()
            except EndpointStopped:
                return
            made, wait_s = await provider.call()
            if made:
                endpoint.succeed(ticket)
            else:
                left += 1
                endpoint.throttle(ticket, "rate limited", wait_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())
