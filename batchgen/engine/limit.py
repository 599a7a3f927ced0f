"""How many calls at once: grown until the provider refuses, and cut only when the number is to blame.

A refusal has one of two reasons: too many calls at once, or too many in a while. What tells them apart is how many calls
the provider held when it refused: if it has lately taken more than that, the number cannot be the reason. It refuses to
know time.
"""

START = 4
STEP = 3.0
"""What each call that was taken adds before the number is ever to blame: 4 become 64 within two answers."""
CUT = 0.7
"""Of 0.5, 0.7 and 0.9, the one with few refusals and little time lost; simulated for 8 at once and for 30 a minute."""
RETURN_STEP = 0.25
"""What a call adds after a cut, up to the number that was held then: it was too many by one, not by a third."""
BEYOND_STEP = 0.1
"""What a call adds at most beyond that number: with one call at once, a tenth of the calls is the price of trying more."""
SPUR = 50
"""After so many calls without a refusal the growth has doubled, after twice as many it is five times as quick."""


class Limit:
    """The calls that one endpoint may have in flight. `level` is how many there were when a call left, itself included."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._value = float(min(START, most))
        self._proven = 0
        self._suspect = 0
        self._cut = False
        self._since_cut = 0

    @property
    def room(self) -> int:
        """Calls at once that are allowed now, at least 1."""
        return max(1, int(self._value))

    @property
    def may_grow(self) -> bool:
        """Whether it is below what the user allows."""
        return self._value < self._most

    def taken(self, level: int, *, fresh: bool) -> None:
        """The provider took a call; `fresh` ones left after the last refusal, and only they say something about more."""
        self._proven = max(self._proven, level)
        if not fresh:
            return
        if not self._cut:
            self._value = min(self._most, self._value + STEP)
        elif 2 * level >= self._value:  # a limit that is not used proves nothing about a higher one
            self._since_cut += 1
            step = RETURN_STEP if self._value < self._suspect else min(BEYOND_STEP, 1.0 / self._value)
            self._value = min(self._most, self._value + step * (1.0 + (self._since_cut / SPUR) ** 2))

    def refused(self, level: int) -> bool:
        """The provider refused a call. True if the number is to blame and was cut, False if it came too soon.

        The first refusal at a number never reached before is in doubt and counts as too soon; when the pause that
        follows it has not helped, the number is to blame.
        """
        held = level - 1
        # A few calls of tolerance, because an answer that is under way leaves here later than there.
        if held == 0 or held < self._proven - held // 4:
            self._proven = max(held, int(self._proven * CUT))
            return False
        if held > self._suspect:
            self._suspect = held
            return False
        self.cut(level)
        return True

    def cut(self, level: int) -> None:
        """The number is to blame: fewer than the provider held when it refused."""
        held = level - 1
        self._suspect = held
        self._cut = True
        self._since_cut = 0
        self._value = max(1.0, min(self._value, float(held)) * CUT)

    def restart(self) -> None:
        """Begin again with few, after an outage: what was known is old."""
        self._value = float(min(START, self._most))
        self._proven = self._suspect = 0
