"""Seeds and nights."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import UsageError
from batchgen.spec.job import Seeds
from batchgen.spec.seeds import derive, named_night, night_of, parse_seeds, parse_seeds_text, seed_of, tries


def test_derived_seeds_are_pinned_because_changing_them_costs_every_user_money() -> None:
    assert [derive("a neon city in the rain", k) for k in (1, 2, 3)] == [1756391881, 1210553394, 664714907]
    assert derive("a neon city in the rain", 1, "2026-03-24") == 1650302274


@given(st.text(), st.integers(1, 10_000))
def test_derived_seeds_are_in_range_and_tries_of_a_prompt_never_share_one(text: str, k: int) -> None:
    first, second = derive(text, k), derive(text, k + 1)

    assert 0 <= first <= 2_147_483_646
    assert first != second


def test_four_tries_begin_eight() -> None:
    four, eight = Seeds(count=4), Seeds(count=8)

    assert [seed_of(four, "x", k) for k in range(1, 5)] == [seed_of(eight, "x", k) for k in range(1, 9)][:4]


@pytest.mark.parametrize(
    ("value", "seeds"),
    [
        (7, Seeds(fixed=(7,))),
        (-1, Seeds()),
        ([1, 2, 1], Seeds(fixed=(1, 2))),
        ("1..4", Seeds(fixed=(1, 2, 3, 4))),
        (["1..2", 9], Seeds(fixed=(1, 2, 9))),
        (9_999_999_999, Seeds(fixed=(9_999_999_999,))),
        ({"count": 4}, Seeds(count=4)),
        ({"count": 4, "renew": "daily"}, Seeds(count=4, renew="daily")),
        ({"renew": "weekly"}, Seeds(renew="weekly")),
    ],
)
def test_seeds_are_written_in_these_ways(value: object, seeds: Seeds) -> None:
    assert parse_seeds(value) == seeds


@pytest.mark.parametrize(
    "value", [-5, True, 1.5, "x", [], [-1], [[1]], "4..1", {"count": 0}, {"count": True}, 10**10, None, "1..200000"]
)
def test_other_seeds_are_refused_with_what_was_expected(value: object) -> None:
    with pytest.raises(ValueError, match=r"seed|count|smaller"):
        parse_seeds(value)


def test_a_cell_says_seeds_in_text() -> None:
    assert parse_seeds_text("7") == Seeds(fixed=(7,))
    assert parse_seeds_text("-1") == Seeds()
    assert parse_seeds_text("1|3") == Seeds(fixed=(1, 3))
    assert tries(parse_seeds_text("1..4")) == 4


@pytest.mark.parametrize("value", [["1..100000", 7], ["1..100000"] * 5000, list(range(100_001))])
def test_seeds_are_bounded_however_they_are_written(value: list[object]) -> None:
    with pytest.raises(ValueError, match="at most 100000 seeds"):
        parse_seeds(value)
    with pytest.raises(ValueError, match="at most 100000 seeds"):
        parse_seeds_text("|".join(map(str, value)))


def utc(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "offset_h", "night"),
    [
        ("2026-03-24T23:00", 0, "2026-03-24"),
        ("2026-03-25T03:00", 0, "2026-03-24"),
        ("2026-03-25T11:59", 0, "2026-03-24"),
        ("2026-03-25T12:00", 0, "2026-03-25"),
        ("2026-03-25T05:00", 8, "2026-03-25"),
        ("2026-03-25T13:00", -5, "2026-03-24"),
    ],
)
def test_a_night_runs_from_noon_to_noon_local_time(now: str, offset_h: float, night: str) -> None:
    assert night_of(utc(now), "daily", offset_h * 3600) == night


def test_a_week_has_the_date_of_its_monday_and_nothing_renewed_has_none() -> None:
    assert night_of(utc("2026-03-30T11:00"), "weekly", 0) == "2026-03-23"
    assert night_of(utc("2026-03-30T13:00"), "weekly", 0) == "2026-03-30"
    assert night_of(utc("2026-03-30T13:00"), "never", 0) == ""


def test_a_night_can_be_named_and_must_be_a_date() -> None:
    assert named_night("2025-12-31", "daily") == "2025-12-31"
    assert named_night("2025-12-31", "weekly") == "2025-12-29"
    for text in ("yesterday", "2025-13-01", "20251231", "2025-1-1"):
        with pytest.raises(UsageError, match="is not a date"):
            named_night(text, "daily")
