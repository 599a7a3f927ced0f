"""The control of one endpoint (provider, key and model): how many calls at once, when to wait, when to stop.

Three mechanisms, each fed by how calls end: a limit that finds the provider's own (additive increase, multiplicative
decrease), a gate that holds every call until a time (Retry-After), and a breaker that sends one probe at a time while
nothing works. It knows time through the clock alone, and refuses to know tasks, money and the network.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from batchgen.clock import Clock
from batchgen.errors import Exit

START_LIMIT = 4
CUT = 0.7
GATE_AT_MOST_S = 60.0
RETRY_AFTER_AT_MOST_S = 900.0
FAILURES_TO_OPEN = 5
COSTLY_TO_OPEN = 3
PROBE_AT_MOST_S = 120.0
GIVE_UP_AFTER_S = 1800.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an endpoint takes no more calls, in the user's words, and what that means for the exit code."""

    reason: str
    exit_code: Exit


class EndpointStopped(Exception):
    """No call may leave through this endpoint any more in this run."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to make one call; `epoch` tells calls sent before a cut from those after it."""

    epoch: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """An honest snapshot of an endpoint: what it allows now and what it waits for (monotonic seconds)."""

    limit: int
    in_flight: int
    paused_until: float | None
    reason: str


class Pace:
    """At most so many calls a minute, evenly; one may be shared by several endpoints."""

    def __init__(self, requests_per_minute: float) -> None:
        self._interval_s = 60.0 / requests_per_minute
        self.next_start = 0.0
        """When the next call may leave, in monotonic seconds."""

    def take(self, now: float) -> None:
        """A call leaves now."""
        self.next_start = max(now, self.next_start) + self._interval_s


StateListener = Callable[[str, str, float | None], None]
"""Takes state (`working`, `paused`, `stopped`), reason, and seconds from now until it goes on."""


class Endpoint:
    """Lets calls of one model through; `enter` before each, `leave` or one of its kin after."""

    def __init__(
        self,
        clock: Clock,
        *,
        most: int,
        paces: tuple[Pace, ...] = (),
        give_up_after_s: float | None = None,
        listener: StateListener = lambda _state, _reason, _seconds: None,
    ) -> None:
        self._clock = clock
        self._most = most
        self._limit = float(min(START_LIMIT, most))
        self._grown_by_steps = True
        self._paces = paces
        self._give_up_after_s = GIVE_UP_AFTER_S if give_up_after_s is None else give_up_after_s
        self._listener = listener
        self._in_flight = 0
        self._queued = 0
        self._epoch = 0
        self._cuts_in_a_row = 0
        self._gate = 0.0
        self._gate_reason = ""
        self._failures = 0
        self._costly = 0
        self._probes: int | None = None
        self._trouble_since: float | None = None
        self._stop: Stop | None = None
        self._stopping = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def stopped(self) -> Stop | None:
        """Why it stopped, or None while it works."""
        return self._stop

    def statistics(self) -> Statistics:
        """What it allows and waits for at this moment."""
        waiting = self._gate if self._gate > self._clock.monotonic() else None
        return Statistics(self._room(), self._in_flight, waiting, self._gate_reason if waiting else "")

    async def enter(self) -> Ticket:
        """Wait until a call may leave. Raises EndpointStopped when none ever will in this run."""
        while True:
            await self._wait_for_gate()
            async with self._changed:
                if self._stop is not None:
                    raise EndpointStopped
                now = self._clock.monotonic()
                if self._gate > now:
                    continue
                if self._in_flight < self._room():
                    next_start = max((pace.next_start for pace in self._paces), default=now)
                    if next_start <= now:
                        for pace in self._paces:
                            pace.take(now)
                        self._in_flight += 1
                        return Ticket(self._epoch, self._probes is not None)
                else:
                    self._queued += 1
                    try:
                        await self._changed.wait()
                    finally:
                        self._queued -= 1
                    continue
            await self._sleep(next_start - now)

    async def leave(self, ticket: Ticket) -> None:
        """A call ended in a way that says nothing of the endpoint: it did not leave, or its task alone was refused."""
        await self._after(ticket)

    async def succeed(self, ticket: Ticket) -> None:
        """A call brought a picture: the endpoint works."""
        self._trouble_since = None
        self._failures = self._costly = self._cuts_in_a_row = 0
        if self._probes is not None:
            self._probes = None
            self._limit = float(min(START_LIMIT, self._most))
        elif self._queued:  # a limit that nobody waits for proves nothing about a higher one
            self._limit += 1.0 if self._grown_by_steps else 1.0 / self._limit
            self._limit = min(self._limit, float(self._most))
        if self._gate_reason:
            self._gate_reason = ""
            self._listener("working", "", None)
        await self._after(ticket)

    async def throttle(self, ticket: Ticket, reason: str, retry_after_s: float | None) -> None:
        """The provider asked for fewer calls: cut the limit once per episode and hold all calls for a while."""
        if retry_after_s is not None and retry_after_s > RETRY_AFTER_AT_MOST_S:
            await self.stop(
                Stop(f"{reason}; the provider asks to wait {retry_after_s / 60:.0f} minutes", Exit.UNAVAILABLE)
            )
        if ticket.epoch == self._epoch:
            self._epoch += 1
            self._cuts_in_a_row += 1
            self._grown_by_steps = False
            self._limit = max(1.0, self._limit * CUT)
            pause = min(GATE_AT_MOST_S, 2.0 ** (self._cuts_in_a_row - 1)) * self._clock.jitter(0.5, 1.0)
            if retry_after_s is not None:
                pause = retry_after_s + self._clock.jitter(0.0, 0.25)
            self._hold(pause, reason)
        elif retry_after_s is not None:
            self._hold(retry_after_s, reason)
        await self._after(ticket)

    async def fail(self, ticket: Ticket, reason: str, *, costly: bool) -> None:
        """A call did not get through. `costly` ones may have cost money, so fewer of them open the breaker."""
        self._failures += 1
        self._costly = self._costly + 1 if costly else 0
        is_open = self._probes is not None
        if ticket.probe or (not is_open and (self._failures >= FAILURES_TO_OPEN or self._costly >= COSTLY_TO_OPEN)):
            self._probes = 0 if self._probes is None else self._probes + 1
            pause = min(PROBE_AT_MOST_S, 5.0 * 2.0**self._probes) * self._clock.jitter(0.5, 1.0)
            self._hold(pause, reason)
        elif not is_open:
            self._hold(self._clock.jitter(0.2, 0.5) * self._failures, reason)
        await self._after(ticket)

    async def stop(self, stop: Stop) -> None:
        """Let no further call leave; the first reason stays."""
        if self._stop is None:
            self._stop = stop
            self._listener("stopped", stop.reason, None)
        self._stopping.set()
        async with self._changed:
            self._changed.notify_all()

    def _room(self) -> int:
        return 1 if self._probes is not None else max(1, int(self._limit))

    def _hold(self, seconds: float, reason: str) -> None:
        now = self._clock.monotonic()
        if self._trouble_since is None:
            self._trouble_since = now
        until = now + seconds
        if until > self._gate:
            self._gate = until
            self._gate_reason = reason
            self._listener("paused", reason, seconds)

    async def _wait_for_gate(self) -> None:
        while self._stop is None:
            now = self._clock.monotonic()
            if self._gate <= now:
                return
            give_up = (now if self._trouble_since is None else self._trouble_since) + self._give_up_after_s
            if give_up <= now:
                minutes = self._give_up_after_s / 60
                waited = f"{minutes:.0f} min" if minutes >= 1 else f"{self._give_up_after_s:.0f} s"
                await self.stop(Stop(f"{self._gate_reason}; gave up after {waited}", Exit.UNAVAILABLE))
                return
            await self._sleep(min(self._gate, give_up) - now)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or return at once when the endpoint stops."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()

    async def _after(self, _ticket: Ticket) -> None:
        self._in_flight -= 1
        async with self._changed:
            self._changed.notify(2)
