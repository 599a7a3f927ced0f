"""What all kill tests of a session did together: kills, bills, stored pictures, maybe-billed calls.

Tests run in several processes; what each did travels with its report, and the lines are made of the reports.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from .evidence import gather
from .harness import Bench

_PROPERTY = "kills"
LEFT_OUT = "kills left out"
"""The property of a test that could not kill here; its value is the reason."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over benches."""

    kills: int = 0
    bills: int = 0
    stored: int = 0
    maybe_billed: int = 0

    @classmethod
    def of(cls, bench: Bench) -> Self:
        """What one bench saw so far."""
        if not (bench.output / "ledger.sqlite3").exists():
            return cls(bench.kills)
        evidence = gather(bench.output, bench.provider.folder, frozenset())
        unknown = sum(attempt.state == "unknown" for attempt in evidence.attempts)
        return cls(bench.kills, len(evidence.bills), len(evidence.stored), unknown)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.kills + other.kills,
            self.bills + other.bills,
            self.stored + other.stored,
            self.maybe_billed + other.maybe_billed,
        )

    def __str__(self) -> str:
        return f"kills {self.kills}, bills {self.bills}, stored {self.stored}, maybe billed {self.maybe_billed}"

    def as_property(self) -> tuple[str, object]:
        """In a form that a test's report carries from one process to another."""
        return _PROPERTY, [self.kills, self.bills, self.stored, self.maybe_billed]


def lines(properties: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The lines of a session, from the properties of all its reports; none when no kill test ran."""
    found = list(properties)
    tallies = [Tally(*value) for name, value in found if name == _PROPERTY]
    if tallies:
        yield str(sum(tallies, Tally()))
    left_out = [value for name, value in found if name == LEFT_OUT]
    for reason in sorted(set(left_out)):
        yield f"{left_out.count(reason)} kill tests were left out: {reason}"
