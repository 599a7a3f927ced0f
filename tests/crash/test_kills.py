"""A run dies at any moment and any step, and what is left in the end keeps every promise."""

from collections.abc import Callable

import pytest

from .failpoints import arm
from .harness import Bench, Shape
from .kills import WAYS, any_shape, die_at_random, shape_for

Make = Callable[[Shape], Bench]


@pytest.mark.parametrize(("name", "way"), WAYS, ids=[name for name, _ in WAYS])
def test_a_kill_at_a_step_of_the_protocol_breaks_no_promise(
    bench: Make, name: str, way: Callable[[Bench, str], None]
) -> None:
    killed = bench(shape_for(name))

    way(killed, name)
    killed.finish(patient=killed.shape.keys)

    assert killed.contradictions() == []


@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_moments_break_no_promise(bench: Make, seed: int) -> None:
    killed = bench(any_shape(seed))

    die_at_random(killed, seed, at_most=5)
    killed.finish(patient=killed.shape.keys)

    assert killed.contradictions() == []


@pytest.mark.parametrize("answers", ["url", "base64"])
def test_one_kill_with_a_provider_that_honours_keys_costs_nothing(bench: Make, answers: str) -> None:
    killed = bench(Shape(answers=answers, keys=True))

    killed.die_at("answer read", 20)
    killed.finish(patient=True)

    assert not killed.bought_again
    assert killed.contradictions() == []
    assert killed.provider.billed() == killed.shape.tasks


def test_a_failpoint_that_the_product_does_not_have_is_said_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    from . import failpoints

    monkeypatch.setitem(failpoints.FAILPOINTS, "gone", failpoints.Failpoint("after", "engine.life:no_such_function"))

    with pytest.raises(LookupError, match="does not exist any more"):
        arm("gone", 1)


def test_a_failpoint_that_is_never_reached_is_no_kill(bench: Make) -> None:
    killed = bench(Shape(tasks=3))

    with pytest.raises(AssertionError, match="never came to call 4"):
        killed.die_at("answer committed", 4)
