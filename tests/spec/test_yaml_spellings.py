"""The reader against every way of writing the same value, against another reader, and against bytes of any kind."""

import re
from random import Random
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.errors import JobError
from batchgen.spec.yaml_reader import Document, read_yaml

from .spellings import Writer

letters = st.characters(codec="utf-8", exclude_categories=["Cs"])
texts = (
    st.text(letters, max_size=30)
    | st.from_regex(r"[A-Za-z一-龥][a-z 0-9]{0,12}", fullmatch=True)
    | st.from_regex(r"(?:[a-z]{1,5}[ \n]){1,6}\n{0,2}", fullmatch=True)
    | st.sampled_from(
        ["no", "2024-01-01", "1_000", "12:30", "=", "<<", "#", "a: b", "- x", "{a}", "yes", "0o7", ".inf"]
    )
)
keys = st.text(letters, max_size=12) | st.from_regex(r"[a-z]{1,8}", fullmatch=True)
core_scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts
scalars = core_scalars | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.recursive(
        leaves, lambda node: st.lists(node, max_size=4) | st.dictionaries(keys, node, max_size=4), max_leaves=15
    )
    return st.dictionaries(keys, inner, min_size=1, max_size=4)


randoms = st.randoms(use_true_random=False)


@settings(max_examples=120, deadline=None)
@given(trees(scalars), randoms, st.booleans(), st.booleans())
def test_however_a_value_is_spelled_it_is_read_back_equal_with_its_place(
    value: dict[str, Any], rng: Random, crlf: bool, mark: bool
) -> None:
    writer = Writer(rng)
    text = writer.document(value)
    data = (text.replace("\n", "\r\n") if crlf else text).encode()

    document = read_yaml(b"\xef\xbb\xbf" + data if mark else data, "job.yaml")

    assert repr(document.value) == repr(value)
    assert {loc: document.place(loc) for loc in writer.places if loc} == {
        loc: place for loc, place in writer.places.items() if loc
    }
    assert {loc: document.place(loc, key=True) for loc in writer.keys} == writer.keys


@settings(max_examples=60, deadline=None)
@given(trees(core_scalars), randoms)
def test_where_the_versions_of_yaml_agree_another_reader_reads_the_same(value: dict[str, Any], rng: Random) -> None:
    text = Writer(rng, core=True).document(value)

    assert read_yaml(text.encode(), "job.yaml").value == yaml.safe_load(text) == value


def outcome(data: bytes) -> Document | str:
    try:
        return read_yaml(data, "job.yaml")
    except JobError as error:
        lines = re.split(rb"\r\n|\r|\n", data)
        for problem in error.problems:
            assert 0 <= problem.line <= len(lines) + 1
            assert problem.message
            assert len(problem.message) <= 500
            assert (problem.message + problem.hint).isprintable()
        return error.message


fragments = st.lists(
    st.sampled_from(
        [b"a", b": ", b"- ", b"\n", b"\n  ", b"[", b"]", b"{", b"}", b",", b"&a ", b"*a", b"!!str ", b"!x ", b"'", b'"', b"|", b">",
         b"# ", b"---\n", b"...\n", b"%YAML 1.1\n", b"<<: ", b"? ", b"\t", b"\\x1b", b"\xff", b"\x00", b"\xc3\xa9", b"\r", b"9" * 120,
         b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xc2\x9b", b"\xed\xa0\x80", b"@", b"`", b"1e999", b"\xff\xfe", b"\\ud800", b"=", b"\x1b[2J"]
    ),
    max_size=25,
).map(b"".join)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=60) | fragments)
def test_any_bytes_are_a_document_or_a_job_error_and_always_the_same_one(data: bytes) -> None:
    first, second = outcome(data), outcome(data)

    if isinstance(first, Document) and isinstance(second, Document):
        assert repr(first.value) == repr(second.value)
    else:
        assert first == second
