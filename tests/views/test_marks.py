"""Marks of the gallery: read as they were saved, and nothing else is taken for them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import UsageError
from batchgen.views.marks import LARGEST_FILE, mark_key, marks_of, read_marks

TASK = "ab" * 32


def saved(path: Path, marks: Any, word: str = "marks/1") -> Path:
    path.write_text(json.dumps({"batchgen": word, "job": "foo", "marks": marks}))
    return path


def test_marks_are_read_by_task_and_picture(tmp_path: Path) -> None:
    path = saved(tmp_path / "marks.json", {f"{TASK}-1": "keep", f"{TASK}-12": "reject"})

    assert read_marks(path) == {mark_key(TASK, 1): "keep", mark_key(TASK, 12): "reject"}
    assert marks_of(tmp_path) == read_marks(path)


def test_a_file_that_is_named_is_read_in_place_of_the_folders_own(tmp_path: Path) -> None:
    saved(tmp_path / "marks.json", {f"{TASK}-1": "keep"})
    named = saved(tmp_path / "downloaded (1).json", {f"{TASK}-2": "keep"})
    named.write_bytes(b"\xef\xbb\xbf" + named.read_bytes())

    assert marks_of(tmp_path, named) == {f"{TASK}-2": "keep"}


def test_a_folder_without_marks_says_how_they_are_made_and_where_the_file_belongs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no marks\\.json") as caught:
        marks_of(tmp_path)

    for word in ("gallery", "press K", "save button", "into that folder", "--marks FILE"):
        assert word in caught.value.hint


@pytest.mark.parametrize(
    "marks",
    [
        None,
        [],
        {"ab-1": "keep"},
        {f"{TASK}-0": "keep"},
        {f"{TASK}-1": "KEEP"},
        {f"{TASK}-1": True},
        {f"{TASK}-1": ["keep"]},
        {f"../{TASK}-1": "keep"},
        {"\x1b[31m</script>": "keep"},
    ],
)
def test_what_is_no_mark_is_a_mistake_that_is_said_in_harmless_words(marks: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no ") as caught:
        read_marks(saved(tmp_path / "marks.json", marks))

    assert "save the marks again" in caught.value.hint
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "7", "null", '"keep"', '{"marks": {}}', "\xff\xfe"])
def test_a_file_that_is_no_list_of_marks_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "marks.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(UsageError, match="is no file of marks"):
        read_marks(tmp_path / "marks.json")


def test_marks_of_a_later_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no file of marks that this batchgen reads"):
        read_marks(saved(tmp_path / "marks.json", {}, "marks/2"))


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a pipe"),
        (too_large, "larger than 64 MB"),
        (lambda _: None, "no such file"),
    ],
    ids=["folder", "pipe", "large", "missing"],
)
def test_odd_files_are_not_waited_for_and_not_read(plant: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    plant(tmp_path / "marks.json")

    with pytest.raises(UsageError, match=words):
        read_marks(tmp_path / "marks.json")
