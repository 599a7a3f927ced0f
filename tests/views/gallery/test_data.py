"""The data files are scripts that say what they were given, whatever that is, and obey none of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from batchgen.views.gallery.data import CELLS_PER_FILE, Cell, Columns, Details, script

HOSTILE = [
    '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>',
    "<!-- <script>",
    "a line\u2028and another\u2029end \x00\x1b[31m \x7f\x9f",
    "half of a pair \ud800, and \udfff",
    "quotes \" ' ` ${x} \\",
    "雪 🌆 \u202e",
    '","__proto__":',
    '{"__proto__":',
]


def call(data: bytes) -> tuple[str, list[Any]]:
    """A data file read back: what it calls, and with what."""
    found = re.fullmatch(r"batchgen\.(\w+)\((.*)\);\n", data.decode("ascii"))
    assert found is not None, data[:200]
    arguments: list[Any] = json.loads(f"[{found[2]}]")
    return found[1], arguments


def cell(number: int, places: dict[str, tuple[str, str]], state: str = "stored", flags: tuple[str, ...] = ()) -> Cell:
    return Cell(f"{number:064x}", 1, places, state, flags, now=True, thumb="", width=4, height=3, detail={})


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_back_as_it_was_and_no_markup_or_line_end_stands_in_the_script(text: str) -> None:
    data = script("details", 0, [{"prompt": text, "vars": {text: text}}])

    assert call(data) == ("details", [0, [{"prompt": text, "vars": {text: text}}]])
    assert not re.search(rb"[<\x00-\x09\x0b-\x1f\x7f-\xff]", data)
    assert data.count(b"\n") == 1


def test_a_name_that_would_change_an_objects_prototype_is_a_name_like_any_other() -> None:
    data = script("details", 0, [{"__proto__": {"x": 1}, "vars": {"a": "b", "__proto__": "c"}}])

    assert data == b'batchgen.details(0,[{["__proto__"]:{"x":1},"vars":{"a":"b",["__proto__"]:"c"}}]);\n'


def test_an_axis_holds_the_values_that_occur_in_the_order_that_is_known_and_cells_without_one_have_a_value_for_it() -> (
    None
):
    columns = Columns(("prompt",))
    columns.expect("var:style", iter([("ink", "black ink"), ("oil", "thick oil"), ("never", "never")]))
    columns.add(cell(1, {"prompt": ("b", "a boat")}))
    columns.add(cell(2, {"prompt": ("a", "a lamp"), "var:style": ("oil", "thick oil")}))
    columns.add(cell(3, {"prompt": ("a", "a lamp"), "var:style": ("ink", "black ink"), "try": ("10", "10")}))
    columns.add(cell(4, {"prompt": ("a", "another lamp"), "try": ("9", "9")}))

    axes = columns.axes({"try": lambda value: int(value[0])})
    ((name, data),) = columns.files()

    values = {axis["key"]: [(value["id"], value["text"]) for value in axis["values"]] for axis in axes}
    _, (number, content) = call(data)
    assert (name, number) == ("cells-0.js", 0)
    assert values == {
        "prompt": [("b", "a boat"), ("a", "a lamp"), ("a~2", "another lamp")],
        "var:style": [("ink", "black ink"), ("oil", "thick oil"), ("", "–")],
        "try": [("9", "9"), ("10", "10"), ("", "–")],
    }
    assert content["axis"] == {"prompt": [0, 1, 1, 2], "var:style": [2, 1, 0, 2], "try": [2, 2, 1, 0]}


def test_flags_are_bits_and_more_kinds_of_them_than_fit_do_no_harm() -> None:
    columns = Columns(())
    columns.add(cell(1, {}, flags=tuple(f"flag {number}" for number in range(40))))
    columns.add(cell(2, {}, flags=("flag 1", "flag 39")))

    ((_, data),) = columns.files()

    assert columns.flags == [f"flag {number}" for number in range(30)]
    assert call(data)[1][1]["flags"] == [2**30 - 1, 2]


def test_cells_and_details_are_split_into_files_of_a_fixed_size() -> None:
    written: dict[str, bytes] = {}
    columns, details = Columns(("prompt",)), Details(written.__setitem__)
    for number in range(CELLS_PER_FILE + 1):
        columns.add(cell(number, {"prompt": ("a", "a")}))
        details.add({"task": number})
    details.flush()
    columns.axes({})

    cells = [call(data)[1] for _, data in columns.files()]
    assert [(number, len(content["id"])) for number, content in cells] == [(0, 5000), (1, 1)]
    assert [name for name, _ in columns.files()] == ["cells-0.js", "cells-1.js"]
    assert details.files == len(written) == 21
    assert [each["task"] for name in written for each in call(written[name])[1][1]] == list(range(5001))
    assert Path("details-20.js").name in written


def test_fields_that_are_nested_too_deep_are_left_out_and_the_rest_is_written() -> None:
    written: dict[str, bytes] = {}
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    details = Details(written.__setitem__)
    details.add({"task": "a", "params": {"x": deep}, "extra": {}})

    details.flush()

    assert call(written["details-0.js"])[1] == [0, [{"task": "a", "params": {}, "extra": {}}]]
