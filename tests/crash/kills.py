"""The ways to kill a run: at a moment, at a named place, while it recovers from an earlier kill.

Each function takes a fresh bench and returns when the last kill was made; finishing and judging is the caller's.
`make test` and `make kill-test` share them.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from .failpoints import END, FAILPOINTS, LANDING, PURCHASE, RECOVERY, START
from .harness import Bench, Shape

FIRST, MIDDLE, LATE = 1, 14, 4
"""The calls at which three runs in a row die; the last is a late one of the job, whose first half is done by then."""
LATEST_S = 0.4
"""A run of 40 tasks takes about as long."""

_RUINS: dict[str, tuple[str, int]] = {
    "one call settled": ("call sent", 8),
    "unknown written": ("call sent", 8),
    "unknown committed": ("answer read", 8),
    "spooled answer committed": ("answer written", 8),
    "manifest about to be rebuilt": ("stored committed", 8),
    "manifest rebuilt": ("manifest about to grow", 2),
}
"""Where a run has to die for the next one to come to a place of the recovery; elsewhere `answer committed` does."""

_SHAPES = (
    Shape(),
    Shape(answers="base64", keys=True),
    Shape(answers="mixed", large_every=5),
    Shape(answers="both"),
    Shape(keys=True, large_every=5),
    Shape(answers="base64", large_every=5),
)
"""Answers of every kind, with and without key support, small and large pictures."""


def shape_for(name: str, turn: int = 0) -> Shape:
    """A shape in which a named place is reached; another `turn` gives another one where there is a choice."""
    needs = FAILPOINTS[name].needs
    place = list(FAILPOINTS).index(name) + turn
    fitting = [shape for shape in _SHAPES if not needs or shape.answers == needs]
    return fitting[place % len(fitting)]


def any_shape(turn: int) -> Shape:
    """The shapes by turns."""
    return replace(_SHAPES[turn % len(_SHAPES)], seed=turn)


def die_three_times(bench: Bench, name: str) -> None:
    """At a place that every purchase passes: at the first, a middle and a late call, in three runs on end."""
    for call in (FIRST, MIDDLE, LATE):
        bench.die_at(name, call)


def die_at_the_start(bench: Bench, name: str) -> None:
    """At a place before the buying: in a new folder, and again in one that a killed run left half full."""
    bench.die_at(name, 1)
    bench.die_at("answer committed", MIDDLE)
    bench.die_at(name, 1)


def die_at_the_end(bench: Bench, name: str) -> None:
    """At a place after the buying: of the run that did it all, and of one that finds all done."""
    bench.die_at(name, 1)
    bench.provider.wait_until_quiet()
    bench.die_at(name, 1)


def die_in_recovery(bench: Bench, name: str) -> None:
    """A run dies at work, the next one while it settles what that left, the one after it again."""
    bench.die_at(*_RUINS.get(name, ("answer committed", 8)))
    bench.die_at(name, 1)
    if name not in {"manifest rebuilt", "spooled answer committed"}:  # those leave nothing to settle of their kind
        bench.die_at(name, 1)


def die_at_random(bench: Bench, seed: int, *, at_most: int) -> None:
    """Again and again at random moments, until a run is quicker than its death, or often enough."""
    moments = random.Random(seed)
    for _ in range(at_most):
        if not bench.run(kill_after_s=moments.uniform(0.02, LATEST_S)).killed:
            return


def die_alone(bench: Bench, name: str, call: int) -> None:
    """Once, at one call of one place; of the recovery after the kill that makes it necessary."""
    if name in RECOVERY:
        bench.die_at(*_RUINS.get(name, ("answer committed", 8)))
    bench.die_at(name, call)


def every_place() -> Iterator[tuple[str, int]]:
    """Each named place with each call at which a run of 40 tasks dies there, alone."""
    for name, point in FAILPOINTS.items():
        for call in (1,) if point.once or name in RECOVERY else (1, 2, 9, 17, 25, 33, 40):
            yield name, call


WAYS = (
    *((name, die_at_the_start) for name in START),
    *((name, die_three_times) for name in PURCHASE | LANDING),
    *((name, die_at_the_end) for name in END),
    *((name, die_in_recovery) for name in RECOVERY),
)
"""Every named place with the way to die there in `make test`."""
