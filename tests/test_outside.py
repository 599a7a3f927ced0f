"""Outside text becomes harmless for a line of text, of JSON and of CSV."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.outside import clean, csv_cell, json_text

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


def test_words_on_two_lines_stay_two_words_and_rows_of_spaces_forge_no_column() -> None:
    assert clean("a city\nat\tnight") == "a city at night"
    assert clean("a city" + " " * 60 + "done 100 %") == "a city done 100 %"


def test_text_of_any_script_and_markup_stay_as_they_are() -> None:
    assert clean("一座城市 [bold]مدينة[/bold] {x}") == "一座城市 [bold]مدينة[/bold] {x}"


def test_a_huge_text_is_cut_with_a_sign_of_it() -> None:
    assert clean("x" * 10_000_000, limit=10) == "xxxxxxxxx…"


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_what_is_written_as_json_is_one_line_that_comes_back_as_it_was(value: dict[str, Any]) -> None:
    line = json_text(value)

    assert len(line.splitlines()) <= 1
    assert not {ord(character) for character in line} & {*range(32), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F}
    assert json.loads(line.encode()) == value


def test_a_number_that_json_lacks_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text({"x": float("nan")})


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "＝1+1",
        "＋1",
        "－1",
        "＠a",
        "=-1",
    ],
)
def test_a_cell_that_begins_like_a_formula_is_text_for_a_spreadsheet(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a lamp = a light", "-12.50", "+3", "0", "", "'quoted", "一座城市", "a\tb"])
def test_other_cells_and_plain_numbers_stay_as_they_are(text: str) -> None:
    assert csv_cell(text) == text


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_no_cell_that_csv_readers_bring_back_begins_like_a_formula(cells: list[str]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow(map(csv_cell, cells))

    (row,) = csv.reader(io.StringIO(stream.getvalue(), newline=""))

    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell[:1] in {"=", "@", "\t", "\r"} for cell in row)
