"""The control of one endpoint (provider, key and model): how many calls at once, how fast, when to wait, when to stop.

Fed by how calls end: a limit that finds the provider's own number of calls at once (`limit.py`), a pace that finds its
calls per minute (`pace.py`), a gate that holds every call until a time (Retry-After), and a breaker that sends one probe
at a time while nothing works. It knows time through the clock alone, and refuses to know tasks, money and the network.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from batchgen.clock import Clock
from batchgen.engine.limit import Limit
from batchgen.engine.pace import LearnedPace, Pace
from batchgen.errors import Exit

GATE_AT_MOST_S = 60.0
LONG_PAUSE_S = 5.0
"""What is not sent in a longer pause says nothing about how many calls a minute are taken."""
SILENT_S = 1.0
"""A refusal comes at once. A call that has had no answer for so long was taken, if calls are known to get through."""
RETRY_AFTER_BELIEVED = 5
"""Refusals in a row that are answered with no more than the pause that was asked for."""
RETRY_AFTER_AT_MOST_S = 900.0
FAILURES_TO_OPEN = 5
COSTLY_TO_OPEN = 3
PROBE_AT_MOST_S = 120.0
GIVE_UP_AFTER_S = 1800.0
ASLEEP_FROM_S = 60.0
"""A pause that lasted so much longer than asked was the machine's sleep, which is nobody's trouble."""
LOOK_EVERY_S = 60.0
"""Timers stand still while the machine sleeps: a long pause is looked at now and then."""
CALL_AT_MOST_S = 900.0
"""A call that lasted longer slept with the machine, too: one call never uses up `give_up_after`."""
_SHORTEST_S = 0.001


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an endpoint takes no more calls, in the user's words, and what that means for the exit code."""

    reason: str
    exit_code: Exit


class EndpointStopped(Exception):
    """No call may leave through this endpoint any more in this run."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to make one call; `epoch` tells calls that left before a cut from those after it."""

    number: int
    epoch: int
    level: int
    """Calls in flight when it left, itself included."""
    probe: bool
    left_at: float
    """When it left, in monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """An honest snapshot of an endpoint."""

    state: str
    """`working`, `paused` or `stopped`."""
    reason: str
    resumes_in_s: float | None
    limit: int
    """Calls that it may have in flight now."""
    in_flight: int
    per_minute: float | None
    """The pace it has learned, or None while it knows none."""
    sent: int
    refused: int
    """Calls that the provider turned away because there were too many."""


StateListener = Callable[[str, str, float | None], None]
"""Takes state (`working`, `paused`, `stopped`), reason, and seconds from now until it goes on."""


class Endpoint:
    """Lets calls of one model through; `enter` before each, `leave` or one of its kin after.

    `slots` is what the whole run may have in flight. A call holds one from the moment it leaves, never while it waits for
    its own endpoint, so that a model in trouble starves no other.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        most: int,
        slots: asyncio.Semaphore | None = None,
        paces: tuple[Pace, ...] = (),
        give_up_after_s: float | None = None,
        listener: StateListener = lambda _state, _reason, _seconds: None,
    ) -> None:
        self._clock = clock
        self._slots = slots or asyncio.Semaphore(most)
        self._limit = Limit(most)
        self._pace = LearnedPace()
        self._paces = paces
        self._give_up_after_s = GIVE_UP_AFTER_S if give_up_after_s is None else give_up_after_s
        self._listener = listener
        self._in_flight = 0
        self._unanswered: dict[int, Ticket] = {}
        self._works = False
        self._epoch = 0
        self._cuts_in_a_row = 0
        self._gate = 0.0
        self._gate_reason = ""
        self._failures = 0
        self._costly = 0
        self._probes: int | None = None
        self._trouble_since: float | None = None
        self._stop: Stop | None = None
        self._sent = 0
        self._refused = 0
        self._door = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def stopped(self) -> Stop | None:
        """Why it stopped, or None while it works."""
        return self._stop

    def statistics(self) -> Statistics:
        """What it allows and waits for at this moment."""
        now = self._clock.monotonic()
        state, reason, resumes_in_s = "working", "", None
        if self._stop is not None:
            state, reason = "stopped", self._stop.reason
        elif self._gate > now:
            state, reason, resumes_in_s = "paused", self._gate_reason, self._gate - now
        per_second = self._pace.per_second(now)
        return Statistics(
            state=state,
            reason=reason,
            resumes_in_s=resumes_in_s,
            limit=self._room(),
            in_flight=self._in_flight,
            per_minute=None if per_second is None else per_second * 60,
            sent=self._sent,
            refused=self._refused,
        )

    async def enter(self) -> Ticket:
        """Wait until a call may leave, which it then has to do. Raises EndpointStopped when none ever will in this run."""
        # One caller waits for all conditions and the others for it: a crowd that woke for every call would cost
        # more than the calls.
        async with self._door:
            while True:
                await self._until_open()
                await self._slots.acquire()
                now = self._clock.monotonic()
                if self._stop is None and self._wait_s(now) == 0.0:
                    return self._let_out(now)
                self._slots.release()

    def _let_out(self, now: float) -> Ticket:
        self._in_flight += 1
        self._sent += 1
        for pace in self._paces:
            pace.take(now)
        self._pace.take(self._sent, now)
        ticket = Ticket(self._sent, self._epoch, self._in_flight, self._probes is not None, now)
        self._unanswered[ticket.number] = ticket
        return ticket

    async def _until_open(self) -> None:
        while True:
            now = self._clock.monotonic()
            self._give_up_if_due(now)
            if self._stop is not None:
                raise EndpointStopped
            wait_s = self._wait_s(now)
            if wait_s == 0.0:
                return
            if self._gate > now:
                wait_s = min(wait_s, self._given_up_at(now) - now)
            await self._sleep(wait_s)

    def _wait_s(self, now: float) -> float:
        """Seconds until a call may leave as things stand; 0 is now, infinity is until a call in flight ends."""
        self._take_the_silent(now)
        if self._in_flight >= self._room():
            return self._next_silent_at() - now
        next_start = max([self._pace.next_start, *(pace.next_start for pace in self._paces)])
        return max(0.0, self._gate - now, next_start - now)

    def _take_the_silent(self, now: float) -> None:
        while self._next_silent_at() <= now:
            self._taken(next(iter(self._unanswered.values())))

    def _next_silent_at(self) -> float:
        """When the oldest call without an answer counts as taken; infinity while no call is known to get through."""
        if not self._works or not self._unanswered:
            return math.inf
        return next(iter(self._unanswered.values())).left_at + SILENT_S

    def _taken(self, ticket: Ticket) -> None:
        """The provider did not refuse the call for being one too many."""
        if self._unanswered.pop(ticket.number, None) is None:
            return
        fresh = ticket.epoch == self._epoch
        if fresh:
            self._cuts_in_a_row = 0
            self._pace.taken()
        self._limit.taken(ticket.level, fresh=fresh)

    def leave(self, ticket: Ticket) -> None:
        """A call did not leave after all, or ended in a way that says nothing of the endpoint."""
        self._end(ticket)

    def refuse(self, ticket: Ticket) -> None:
        """The provider refused one task for good: a complete answer, so it is there and works."""
        self._is_there()
        self._end(ticket)

    def succeed(self, ticket: Ticket) -> None:
        """A call brought a picture: the endpoint works."""
        self._is_there()
        self._works = True
        self._taken(ticket)
        if self._gate_reason and self._gate <= self._clock.monotonic():
            self._gate_reason = ""
            self._listener("working", "", None)
        self._end(ticket)

    def _is_there(self) -> None:
        self._trouble_since = None
        self._failures = self._costly = 0
        if self._probes is not None:
            self._probes = None
            self._limit.restart()

    def throttle(self, ticket: Ticket, reason: str, retry_after_s: float | None, *, by_the_minute: bool = True) -> None:
        """The provider asked for fewer calls: cut limit or pace once per episode and hold all calls for a while.

        `by_the_minute` says whether it may be a limit on calls per minute; one that is overloaded has none.
        """
        self._refused += 1
        if retry_after_s is not None and retry_after_s > RETRY_AFTER_AT_MOST_S:
            self.stop(Stop(f"{reason}; the provider asks to wait {retry_after_s / 60:.0f} minutes", Exit.UNAVAILABLE))
        self._pace.refused(ticket.number)
        if ticket.epoch == self._epoch:
            self._cut(ticket, by_the_minute=by_the_minute)
            pause = min(GATE_AT_MOST_S, 2.0 ** min(10, self._cuts_in_a_row - 1)) * self._clock.jitter(0.5, 1.0)
            if retry_after_s is not None:
                # A provider that says "at once" again and again is not believed for ever.
                patience = pause if self._cuts_in_a_row > RETRY_AFTER_BELIEVED else 0.0
                pause = max(patience, retry_after_s) + self._clock.jitter(0.0, 0.25)
            self._hold(pause, reason)
        elif retry_after_s is not None:
            self._hold(retry_after_s, reason)
        self._end(ticket)

    def _cut(self, ticket: Ticket, *, by_the_minute: bool) -> None:
        now = self._clock.monotonic()
        self._take_the_silent(now)
        self._epoch += 1
        self._cuts_in_a_row += 1
        if by_the_minute:
            self._pace.cut(now, binds=not self._limit.refused(ticket.level))
        else:
            self._limit.cut(ticket.level)

    def fail(self, ticket: Ticket, reason: str, *, costly: bool) -> None:
        """A call did not get through. `costly` ones may have cost money, so fewer of them open the breaker."""
        self._forgive(self._clock.monotonic() - ticket.left_at - CALL_AT_MOST_S)
        self._failures += 1
        self._costly = self._costly + 1 if costly else 0
        is_open = self._probes is not None
        if ticket.probe or (not is_open and (self._failures >= FAILURES_TO_OPEN or self._costly >= COSTLY_TO_OPEN)):
            self._probes = 0 if self._probes is None else self._probes + 1
            self._works = False
            pause = min(PROBE_AT_MOST_S, 5.0 * 2.0**self._probes) * self._clock.jitter(0.5, 1.0)
            self._hold(pause, reason)
        elif not is_open:
            self._hold(self._clock.jitter(0.2, 0.5) * self._failures, reason)
        self._end(ticket)

    def stop(self, stop: Stop) -> None:
        """Let no further call leave; the first reason stays."""
        if self._stop is None:
            self._stop = stop
            self._listener("stopped", stop.reason, None)
        self._changed.set()

    def _room(self) -> int:
        return 1 if self._probes is not None else self._limit.room

    def _hold(self, seconds: float, reason: str) -> None:
        now = self._clock.monotonic()
        if self._trouble_since is None:
            self._trouble_since = now
        until = now + seconds
        if until > self._gate:
            if seconds > LONG_PAUSE_S:
                self._pace.skip(until - max(now, self._gate))
            self._gate = until
            self._gate_reason = reason
            self._listener("paused", reason, seconds)

    def _given_up_at(self, now: float) -> float:
        return (now if self._trouble_since is None else self._trouble_since) + self._give_up_after_s

    def _give_up_if_due(self, now: float) -> None:
        if self._stop is None and self._gate > now and self._given_up_at(now) <= now:
            minutes = self._give_up_after_s / 60
            waited = f"{minutes:.0f} min" if minutes >= 1 else f"{self._give_up_after_s:.0f} s"
            self.stop(Stop(f"{self._gate_reason}; gave up after {waited}", Exit.UNAVAILABLE))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or return as soon as a call ends or the endpoint stops."""
        self._changed.clear()
        before = self._clock.monotonic()
        if seconds != math.inf:
            # A timer may fire a little early; asked for the rest again and again it would take no time at all.
            seconds = max(_SHORTEST_S, min(seconds, LOOK_EVERY_S))
        changed = asyncio.ensure_future(self._changed.wait())
        sleeping = None if seconds == math.inf else asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait(
                {changed} if sleeping is None else {changed, sleeping}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            changed.cancel()
            if sleeping is not None:
                sleeping.cancel()
        asleep = self._clock.monotonic() - before - seconds
        if asleep > ASLEEP_FROM_S:
            self._forgive(asleep)

    def _forgive(self, asleep_s: float) -> None:
        """Do not count the time that the machine slept as trouble."""
        if self._trouble_since is not None and asleep_s > 0.0:
            self._trouble_since = min(self._trouble_since + asleep_s, self._clock.monotonic())

    def _end(self, ticket: Ticket) -> None:
        self._unanswered.pop(ticket.number, None)
        self._in_flight -= 1
        self._slots.release()
        self._changed.set()
