"""YAML as it is read here: 1.2 scalars with places, bounds against hostile files, one message each."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.errors import JobError
from batchgen.spec.yaml_reader import Document, parse_scalar, read_yaml


def read(text: str | bytes) -> Document:
    return read_yaml(text if isinstance(text, bytes) else text.encode(), "job.yaml")


def said(text: str | bytes) -> str:
    with pytest.raises(JobError) as caught:
        read(text)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:9", "16:9"),
        ("12:30:45", "12:30:45"),
        ("no", "no"),
        ("on", "on"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("1..4", "1..4"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("3.", 3.0),
        ("..", ".."),
        ("-", "-"),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


def test_quoted_scalars_are_text_whatever_they_look_like() -> None:
    assert read("a: '42'\nb: \"no\"\nc: ''\nd: |\n  7\n").value == {"a": "42", "b": "no", "c": "", "d": "7\n"}


def test_every_value_and_key_knows_its_line_and_column() -> None:
    document = read("a:\n  - x\n  - {b: 1, c: [2, 30]}\nd: 0.50\n")

    assert document.place(("a", 1, "c", 1)) == (3, 19)
    assert document.place(("a", 1, "c"), key=True) == (3, 12)
    assert document.raw(("d",)) == "0.50"
    assert document.place(("a", "no such tag", 0)) == (2, 5)


def test_a_dropped_child_leaves_the_places_of_the_others_true() -> None:
    document = read("a:\n  - x\n  - y\n  - z\n")
    document.drop(("a", 1))

    assert document.value == {"a": ["x", "z"]}
    assert document.place(("a", 1)) == (4, 5)


def test_a_comment_is_seen_behind_unquoted_text_alone() -> None:
    document = read('a:\n  - red car #3 of four\n  - "blue" # fine\n  - green\n  - [x] # fine\n')

    assert [document.comment_after(("a", at)) for at in range(4)] == ["#3 of four", "", "", ""]
    assert document.comment_after(("a", 3, 0)) == ""


def test_a_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    document = read(b"\xef\xbb\xbfa: 1\r\nb:\r\n  - x\r\n")

    assert document.value == {"a": 1, "b": ["x"]}
    assert document.place(("b", 0)) == (3, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "job.yaml:3:1: the key `a` stands twice"),
        ("", "this file is empty"),
        ("# only a comment\n", "this file is empty"),
        ("a: 1\n---\nb: 2\n", "job.yaml:2:1: a second document begins here"),
        ("a: !!python/object:os.system x\n", "job.yaml:1:4: tags (words that begin with !) mean nothing here"),
        ("a: !wow x\n", "tags (words that begin with !)"),
        ("a: &x [*x]\n", "*x stands inside of what it repeats"),
        ("a: *x\n", "*x repeats a value that has no name &x above"),
        ("a: {<<: {b: 1}}\n", "`<<` means nothing here"),
        ("? [a]\n: 1\n", "a key must be a word"),
        ("a:\n\t- b\n", "job.yaml:2:1: this line is indented with a tab"),
        ("a: \x07\n", "an invisible control character (U+0007)"),
        ("a: x\u2028y\n", "an invisible control character (U+2028)"),
        ("a: x\x00y\n", "an invisible control character (U+0000)"),
        (f"a: {'9' * 5000}\n", "this number is too long"),
        ("a: [1, 2\n", "the closing ] is missing"),
        ("a: 'x\n", "a quotation mark opens here and is never closed"),
        ("a: 1\n  b: 2\n", "a text with a colon and a space in it needs quotes"),
        ("a:\n  - x\n b: 1\n", "this line does not fit the ones above"),
    ],
)
def test_a_file_that_is_wrong_is_said_to_be_so_with_its_place(text: str, message: str) -> None:
    assert message in said(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: 1".encode("utf-16"), "this file is UTF-16 text"),
        ("a: 1".encode("utf-16-be"), "this file is UTF-16 text"),
        ("ok: 1\na: é".encode("latin-1"), "job.yaml:2:4: this file is not UTF-8 text"),
        (b"a" * (20 * 1024 * 1024 + 1), "a job file has 20 MB at most"),
        (b'a: "\\ud800"\n', "job.yaml:1:"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, message: str) -> None:
    assert message in said(data)


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_deep_nesting_is_refused_and_harms_nothing(unit: str) -> None:
    assert "more than 50 deep" in said(unit * 200_000)


def test_fifty_levels_are_read() -> None:
    assert read("[" * 50 + "]" * 50).value is not None


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert "this file holds more than 200,000 values" in said("\n".join(lines))


def test_a_hundred_aliases_are_read_and_one_more_is_not() -> None:
    assert len(read("a: &a 1\nb: [" + ", ".join(["*a"] * 100) + "]").value["b"]) == 100
    assert "more than 100 times" in said("a: &a 1\nb: [" + ", ".join(["*a"] * 101) + "]")


def test_several_mistakes_are_told_at_once_in_the_order_of_lines() -> None:
    message = said("a: 1\na: 2\nb: !x 1\nb: 3\n")

    assert [line.split(":")[1] for line in message.splitlines() if line.startswith("job.yaml")] == ["2", "3", "4"]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts | st.floats(allow_nan=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_what_is_written_as_yaml_is_read_back_equal(value: Any) -> None:
    text = yaml.safe_dump({"a": value}, allow_unicode=False, default_flow_style=False)

    assert read(text).value == {"a": value}


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-#{}[]\"'|>&*!%@` \n\t,?x：\r"), max_size=40))
def test_no_text_makes_the_reader_raise_anything_but_a_job_error(text: str) -> None:
    problems = []
    try:
        read(text)
    except JobError as error:
        problems = [*error.problems]

    assert all(problem.line >= 1 and problem.message for problem in problems)


def test_a_long_text_that_is_repeated_counts_as_often_as_it_is_repeated() -> None:
    text = f"a: &a {'x' * 300_000}\nb: &b [*a, *a, *a, *a, *a, *a]\nc: ["

    assert read(text + "*b, " * 9 + "]").value["c"][8][5] == "x" * 300_000
    assert "values that are repeated with * make more than 20 MB" in said(text + "*b, " * 12 + "]")


def test_a_file_of_lines_without_end_is_refused() -> None:
    assert "more than 1,000,000 lines" in said("a: 1\n" + "\n" * 1_000_000)
    assert read("a: 1\n" + "\r\n" * 400_000).value == {"a": 1}


def test_a_comment_is_found_behind_its_own_value_on_a_long_line() -> None:
    document = read("a: [" + "x, " * 50_000 + "y] # said\n")

    assert document.comment_after(("a", 49_999)) == ""
    assert document.comment_after(("a", 50_000)) == ""
    assert read("a:\n  - " + "x" * 50_000 + " # said\n").comment_after(("a", 0)) == "# said"
