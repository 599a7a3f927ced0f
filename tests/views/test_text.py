"""Labels fit, and numbers read as a person would write them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from batchgen.views.text import about, amount, duration, eta, fit, moment, money


@given(st.text(st.characters(categories=["L", "N"]), min_size=1), st.integers(1, 40))
def test_a_fitted_label_never_takes_more_cells_than_it_has(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) <= width


def test_a_fitted_label_keeps_both_its_ends() -> None:
    assert fit("flux-kontext-pro-text-to-image", 20) == "flux-kontext…o-image"
    assert fit("flux.1-dev", 20) == "flux.1-dev"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("10.5"), "10.50"),
        ("0.035", "0.035"),
        (0, "0.00"),
        (None, "unknown"),
        ("NaN", "unknown"),
        (Decimal("1E+2"), "100.00"),
    ],
)
def test_amounts_have_two_decimals_and_more_only_where_they_need_them(value: object, shown: str) -> None:
    assert amount(value) == shown


def test_money_names_its_currency_and_an_estimate_is_rounded() -> None:
    assert money("3.5", "CNY") == "CNY 3.50"
    assert money(None, "CNY") == "unknown"
    assert about(Decimal(10) / 3, "CNY") == "CNY 3.33"
    assert about(Decimal("0.035"), "CNY") == "CNY 0.035"


@pytest.mark.parametrize(
    ("length", "shown"),
    [(0, "0 s"), (45.4, "45 s"), (75, "1 min 15 s"), (600, "10 min"), (4800, "1 h 20 min"), (183_600, "2 d 3 h")],
)
def test_durations_have_at_most_two_units(length: float, shown: str) -> None:
    assert duration(length) == shown


def test_a_moment_of_another_day_says_which_day(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = 1_700_049_600.0
    assert moment(noon + 60, noon)[2:3] == ":"
    assert len(moment(noon + 60, noon)) == len("14:03:20")
    assert moment(noon + 2 * 86_400, noon)[:4] in {"Thu ", "Fri ", "Sat "}


def test_an_unknown_time_left_is_a_dash() -> None:
    assert eta(None, 0) == "ETA -"
    assert eta(540, 0).endswith("(9 min)")
