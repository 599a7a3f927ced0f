"""Outside text becomes harmless, and numbers read as a person would write them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from batchgen.views.text import about, amount, clean, duration, eta, fit, moment, money

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x1b]8;;https://example.org\x1b\\link",
    "\x9b31mC1",
    "a\u202eb\u2066c",
    "one\ntwo\r\nthree\u2028four\x85five",
    "bell\x07 null\x00 backspace\x08 delete\x7f",
    "lone \ud800 surrogate",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    cleaned = clean(text)

    assert cleaned.isprintable()
    assert cleaned.encode("utf-8")


@given(st.text())
def test_any_text_becomes_one_printable_line_of_bounded_length(text: str) -> None:
    cleaned = clean(text, limit=30)

    assert len(cleaned) <= 30
    assert len(cleaned.splitlines()) <= 1
    assert not {ord(character) for character in cleaned} & {*range(32), *range(0x7F, 0xA0), 0x202E, 0x2028}


def test_words_on_two_lines_stay_two_words() -> None:
    assert clean("a city\nat\tnight") == "a city at night"


def test_text_of_any_script_and_markup_stay_as_they_are() -> None:
    assert clean("一座城市 [bold]مدينة[/bold] {x}") == "一座城市 [bold]مدينة[/bold] {x}"


def test_a_huge_text_is_cut_with_a_sign_of_it() -> None:
    assert clean("x" * 10_000_000, limit=10) == "xxxxxxxxx…"


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
