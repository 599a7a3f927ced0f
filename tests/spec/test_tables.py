"""Prompt files as bytes: bounds, encodings, and that nothing but notes comes of any of them."""

import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.errors import Problem
from batchgen.spec import tables
from batchgen.spec.job import Job
from batchgen.spec.tables import Table, read_table


def table_of(data: bytes, name: str, encoding: str | None = None) -> tuple[Table, list[Problem]]:
    problems: list[Problem] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        table = read_table(path, name, encoding, problems.append)
    return table, problems


pieces = st.lists(
    st.sampled_from(
        [b"a", b",", b'"', b'""', b"\n", b"\r", b"\r\n", b"\t", b"{", b"}", b"[", b"]", b":", b'{"a":', b"null", b"1e999", b"NaN"]
    )
    | st.binary(max_size=4),
    max_size=20,
).map(b"".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(pieces, st.sampled_from(tables.KINDS), st.sampled_from([None, "utf-8", "utf-16", "gb18030", "cp1252"]))
def test_any_bytes_are_records_or_notes_with_a_place(data: bytes, kind: str, encoding: str | None) -> None:
    table, problems = table_of(data, f"p{kind}", encoding)

    unnamed = data.split(b"\n")[0].strip().startswith((b"\t", b",")) or data.startswith((b"\t", b","))
    assert all(record.cells for record in table.records) or kind == ".jsonl" or unnamed
    for record in table.records:
        for cell in itertools.chain(record.cells, filter(lambda cell: isinstance(cell, str), record.cells.values())):
            cell.encode("utf-8")
    for problem in problems:
        assert problem.file == f"p{kind}"
        assert (problem.message + problem.hint).isprintable()


def test_a_formula_stays_the_text_that_it_is() -> None:
    table, problems = table_of(b"prompt\n=1+1\n@x\n-2+3\n", "p.csv")

    assert [record.cells["prompt"] for record in table.records] == ["=1+1", "@x", "-2+3"]
    assert problems == []


def test_line_ends_of_every_system_count_alike_and_other_breaks_are_text() -> None:
    table, _ = table_of("a\r\nb\rc\nd\u2028e\x0bf\x85g".encode(), "p.txt")

    assert [(record.line, record.cells["prompt"]) for record in table.records] == [
        (1, "a"), (2, "b"), (3, "c"), (4, "d\u2028e\x0bf\x85g"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "value", "name", "data", "said"),
    [
        ("LARGEST_FILE", 5, "p.txt", b"123456", "larger than"),
        ("MOST_LINES", 3, "p.txt", b"\n\n\n\n", "more than 3 lines"),
        ("MOST_RECORDS", 2, "p.txt", b"a\nb\nc\n", "more than 2 prompts"),
        ("MOST_RECORDS", 2, "p.csv", b"prompt\na\nb\nc\n", "more than 2 prompts"),
        ("MOST_RECORDS", 1, "p.jsonl", b'{"a": 1}\n{"a": 2}\n', "more than 1 prompts"),
        ("MOST_COLUMNS", 2, "p.tsv", b"a\tb\tc\n1\t2\t3\n", "more than 2 columns"),
        ("MOST_COLUMNS", 2, "p.jsonl", b'{"a": 1}\n{"b": 2}\n{"c": 3}\n', "more than 2 columns"),
        ("LONGEST_CELL", 5, "p.csv", b'prompt\n"1234567"\n', "quotation marks"),
        ("MOST_COMMAS", 3, "p.csv", b'prompt\n"a,b\nc,d\ne,f,g"\n', "more than 3 commas"),
    ],
)
def test_each_bound_holds(
    bound: str, value: int, name: str, data: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, none = table_of(data, name)
    monkeypatch.setattr(tables, bound, value)
    cut, problems = table_of(data, name)

    assert whole.records or bound == "MOST_LINES"
    assert none == []
    assert len(cut.records) < max(1, len(whole.records))
    assert said in problems[0].message


def test_commas_are_counted_for_each_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_COMMAS", 2)

    table, problems = table_of(b"a,b\n" + b"1,2\n" * 10, "p.csv")

    assert (len(table.records), problems) == (10, [])


@pytest.mark.parametrize(
    "encoding", ["unicode_escape", "raw_unicode_escape", "utf-7", "idna", "punycode", "rot13", "hex"]
)
def test_ways_to_hide_text_inside_of_text_are_no_encodings(encoding: str, complaints: Callable[..., str]) -> None:
    said = complaints(f"prompts: [{{file: p.txt, encoding: {encoding}}}]", {"p.txt": b"\\ud800 a"})

    assert f"there is no encoding {encoding}" in said


def test_a_thousand_equal_prompts_have_ids_of_their_own(read: Callable[..., Job]) -> None:
    ids = [row.id for row in read("prompts: [{file: p.txt}]", {"p.txt": "fox\n" * 1000}).rows]

    assert len(set(ids)) == 1000
    assert ids[1:3] == [f"{ids[0]}-2", f"{ids[0]}-3"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a": ' + b"[" * 49 + b"]" * 49 + b"}", ""),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", "more than 50 deep"),
        (b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}", "more than 50 deep"),
        (b'{"a": [' + b"1," * 9_000 + b"1]}", ""),
        (b'{"a": [' + b"1," * 10_000 + b"1]}", "more than 10,000 values"),
        (b'{"a": [' + b"1," * 300_000 + b"1]}", "more than 10,000 values"),
        (b'{"a": 1e308}', ""),
        (b'{"a": -1e309}', "the number -1e309 is too large"),
        (b'{"a": ["x", {"b": "\\ud800"}]}', "half a character"),
        (b'{"a": 1, " A": 2}', "stands twice"),
    ],
)
def test_a_line_of_json_is_bounded_in_depth_number_and_size(line: bytes, said: str) -> None:
    table, problems = table_of(line, "p.jsonl")

    assert [problem.message for problem in problems if said not in problem.message] == []
    assert len(table.records) == (not said)
    assert len(problems) == bool(said)


def test_apostrophes_of_an_export_are_taken_off_and_no_others() -> None:
    listed = '"[""prompt"", ""note""]"'
    data = f"prompt,note,apostrophe_before\n'=1+1,'-x,{listed}\n'quoted,'=y,\n=edited,' ,{listed}\n"

    table, problems = table_of(data.encode(), "pictures.csv")

    assert problems == []
    assert table.columns == ("prompt", "note")
    assert [record.cells for record in table.records] == [
        {"prompt": "=1+1", "note": "-x"},
        {"prompt": "'quoted", "note": "'=y"},
        {"prompt": "=edited"},
    ]


@pytest.mark.parametrize("listed", ["prompt", "{}", "[1]", "[", "[" * 100_000])
def test_a_list_of_apostrophes_that_is_none_is_a_mistake_with_its_line(listed: str) -> None:
    data = f'prompt,apostrophe_before\n\'=1,"{listed}"\n'

    _, problems = table_of(data.encode(), "pictures.csv")

    assert [(problem.line, "export the pictures again" in problem.hint) for problem in problems] == [(2, True)]
