"""How fast calls may leave: at a rate that the user knows, or at one that is learned from refusals.

Pure arithmetic on times that are passed in; it refuses to wait.
"""

_DOUBLES_AFTER = 50
"""Calls without a refusal after which the pace is twice what was found."""
_ENOUGH = 5
"""Calls that a rate is read from: with fewer, one more or less is too much of a difference."""
_THE_SAME = 1.2
"""Two rates this close are one; those of refusals at random seldom are."""
_AS_EXPECTED = 0.9
_SHORTEST_S = 0.25


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
    """A rate found between two refusals: a bucket that was empty at both ends has given out what flowed into it.

    It is believed when two stretches in a row say the same; a provider that refuses at random does not. From there it
    grows, slowly at first and then faster, so that a rate that is right is rarely passed and one that is too low is soon
    left behind.
    """

    def __init__(self) -> None:
        self.next_start = 0.0
        """When the next call may leave, in monotonic seconds."""
        self._found: float | None = None
        self._last: float | None = None
        self._since: float | None = None
        self._taken = 0
        self._successes = 0

    @property
    def per_second(self) -> float | None:
        """Calls per second now; None while nothing is known."""
        if self._found is None:
            return None
        return self._found * (1.0 + (self._successes / _DOUBLES_AFTER) ** 3)

    def take(self, now: float) -> None:
        """A call leaves now."""
        if self._since is None:
            self._since = now
        self._taken += 1
        per_second = self.per_second
        if per_second is not None:
            self.next_start = max(now, self.next_start) + 1.0 / per_second

    def succeed(self) -> None:
        """A call that left after the last refusal was taken."""
        self._successes += 1

    def refuse(self) -> None:
        """A call that left after the last refusal was turned away."""
        self._taken -= 1

    def learn(self, now: float) -> bool:
        """There were too many calls in the time since the last refusal. Whether the pace now accounts for that."""
        self.next_start = now
        if self._since is None or self._taken < _ENOUGH:
            return self._found is not None
        rate, before = self._taken / max(_SHORTEST_S, now - self._since), self._last
        self.restart(now)
        self._last = rate
        the_same = before is not None and max(rate, before) <= _THE_SAME * min(rate, before)
        if the_same or (self._found is not None and rate >= _AS_EXPECTED * self._found):
            self._found, self._successes = rate, 0
            return True
        return False

    def restart(self, at: float) -> None:
        """Begin to count anew at that time: after a refusal or a pause that says nothing about calls in a while."""
        self._since = at
        self._taken = 0
        self.next_start = at
