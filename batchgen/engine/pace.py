"""How fast calls may leave: at a rate that the user knows, or at one that is learned from refusals.

Pure arithmetic on times that are passed in; it refuses to wait.
"""

from collections import deque

_FEWEST = 8
"""Calls from which a rate can be read: with fewer, one more or less is too much of a difference."""
_RECENT_S = 5.0
"""How far back a rate is read: at the end of a stretch it is what was refused, at its beginning it was less."""
_FIRST_S = 1.0
"""How far back at the first refusal, which comes while calls are still becoming more; nor is any stretch shorter."""
_REMEMBERED = 1000
_DOUBLES_AFTER_S = 8.0
_DOUBLES_AFTER_CALLS = 40


class Pace:
    """At most so many calls a minute, evenly; one may be shared by several endpoints."""

    def __init__(self, requests_per_minute: float) -> None:
        self._interval_s = 60.0 / requests_per_minute
        self.next_start = 0.0
        """When the next call may leave, in monotonic seconds."""

    def take(self, now: float) -> None:
        """A call leaves now."""
        self.next_start = max(now, self.next_start) + self._interval_s


class LearnedPace:
    """A rate read between two refusals: an allowance that was used up at both ends has given out what flowed into it.

    From there it grows with the third power, almost not at all at first and then ever faster, so that a rate that is
    right is rarely passed and one that is too low is soon left behind. It grows with time, and no faster than with
    calls, so that a slow pace is not refused every few calls.
    """

    def __init__(self) -> None:
        self.next_start = 0.0
        """When the next call may leave, in monotonic seconds."""
        self._starts: dict[int, float] = {}
        self._cuts: deque[float] = deque(maxlen=16)
        self._found: float | None = None
        self._binds = False
        self._taken = 0

    def per_second(self, now: float) -> float | None:
        """Calls per second at this moment; None while calls may leave as they like."""
        if not self._binds:
            return None
        if self._found is None:
            self._found = self._read()
        grown = (now - self._cuts[-1]) / _DOUBLES_AFTER_S
        if len(self._cuts) > 1:  # the first reading is a guess, often far too low, that one refusal corrects
            grown = min(grown, self._taken / _DOUBLES_AFTER_CALLS)
        return self._found * (1.0 + grown**3)

    def take(self, call: int, now: float) -> None:
        """A call leaves now; `call` is its number."""
        self._starts[call] = now
        if len(self._starts) > _REMEMBERED:
            del self._starts[next(iter(self._starts))]
        per_second = self.per_second(now)
        if per_second is not None:
            self.next_start = max(now, self.next_start) + 1.0 / per_second

    def taken(self) -> None:
        """A call that left after the last cut was taken."""
        self._taken += 1

    def refused(self, call: int) -> None:
        """A call was turned away; it may have left before the last cut, whose reading it then corrects."""
        self._starts.pop(call, None)
        self._found = None

    def cut(self, now: float, *, binds: bool) -> None:
        """An episode of refusals begins: what went through is the rate. `binds` is False if time is not to blame."""
        self._cuts.append(now)
        self._found = None
        self._binds = binds
        self._taken = 0
        self.next_start = now

    def skip(self, seconds: float) -> None:
        """A pause begins that is no part of any rate: what came before it moves up to its end."""
        self._starts = {call: start + seconds for call, start in self._starts.items()}
        self._cuts = deque((cut + seconds for cut in self._cuts), maxlen=self._cuts.maxlen)

    def _read(self) -> float:
        """Calls a second that were taken up to the last cut: lately, or over as many stretches as it needs."""
        *earlier, end = self._cuts
        starts = [start for start in self._starts.values() if start < end]
        lately = max(end - _RECENT_S, earlier[-1]) if earlier else end - _FIRST_S
        since, taken = lately, 0
        for since in (lately, *reversed(earlier), *starts[:1]):
            taken = sum(start >= since for start in starts)
            if taken >= _FEWEST:
                break
        return max(1, taken) / max(_FIRST_S, end - since)
