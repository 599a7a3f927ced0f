"""The budget holds however often the run dies: what may have been billed counts as spent."""

import random
from collections.abc import Callable

import pytest

from .evidence import gather
from .harness import Bench, Shape
from .invariants import contradictions

Make = Callable[[Shape], Bench]
ROOM = 10
A_DOZEN = 12
BUDGETS = {"pictures": "budget: {images: 10}", "money": "budget: {cost: 1.00}"}
"""Room for ten pictures; one costs 0.10."""
BUDGET_REACHED = 5


def shape(budget: str) -> Shape:
    return Shape(tasks=60, concurrency=32, latency_s=0.05, extra=BUDGETS[budget])


def broken(spent: Bench) -> list[str]:
    """What contradicts the promises that a job which is not done has to keep, too."""
    spent.provider.wait_until_quiet()
    evidence = gather(
        spent.output, spent.provider.folder, frozenset(), kills=spent.kills, concurrency=spent.shape.concurrency
    )
    return contradictions(evidence, leaving_out=("I1", "I7"))


@pytest.mark.parametrize("budget", BUDGETS)
def test_32_workers_never_buy_more_than_the_ten_pictures_there_is_room_for(bench: Make, budget: str) -> None:
    spent = bench(shape(budget))

    end = spent.run()

    assert end.exit_code == BUDGET_REACHED, end.output
    assert spent.provider.billed() == ROOM
    assert broken(spent) == []


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_dozen_kills_never_make_it_more(bench: Make, budget: str) -> None:
    places = random.Random(7)
    kills = 0
    while kills < A_DOZEN:
        spent = bench(shape(budget))
        for call in (2, 1, 1, 1):
            end = spent.run(failpoint={"name": places.choice(["call sent", "answer read"]), "call": call})
            spent.provider.wait_until_quiet()
            assert spent.provider.billed() <= ROOM
            assert end.killed or end.exit_code == BUDGET_REACHED, end.output
        kills += spent.kills

        end = spent.run()
        assert end.exit_code == BUDGET_REACHED, end.output
        assert spent.provider.billed() <= ROOM
        assert broken(spent) == []
