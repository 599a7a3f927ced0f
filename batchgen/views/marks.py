"""The marks that a person put on pictures in the gallery: `marks.json`, written by the page and read by the verbs.

It owns the file's form and its bounds, for the file may come from anybody. It refuses to guess: a file that is not
wholly a list of marks is a mistake that is said, because choosing wrong pictures in silence is worse.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from batchgen.errors import UsageError
from batchgen.spec.files import in_words, open_regular
from batchgen.spec.wording import harmless

Mark = Literal["keep", "reject"]
MARKS: Final = "marks.json"
SCHEMA: Final = "marks/1"
LARGEST_FILE = 64 * 1024 * 1024
"""Bytes: some 700,000 marks."""

_KEY = re.compile(r"[0-9a-f]{64}-[1-9][0-9]{0,8}")
_WORDS: Mapping[str, Mark] = {"keep": "keep", "reject": "reject"}
_SAVE_AGAIN = "save the marks again with the button in the gallery"


def mark_key(task_id: str, picture: int) -> str:
    """What a picture is called in the file; `picture` counts from 1 within its task."""
    return f"{task_id}-{picture}"


def read_marks(path: Path) -> Mapping[str, Mark]:
    """The marks in a file, by `mark_key`. Raises UsageError when it cannot be read or is no file of marks."""
    shown = harmless(str(path))
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown}: the marks cannot be read: {in_words(error)}", _SAVE_AGAIN) from None
    if len(data) > LARGEST_FILE:
        raise UsageError(f"{shown} is larger than {LARGEST_FILE // 1024 // 1024} MB: no file of marks is", _SAVE_AGAIN)
    return _checked(_loaded(data), shown)


def marks_of(folder: Path, file: Path | None = None) -> Mapping[str, Mark]:
    """The marks of an output folder: those in `file` if one is named, else those in the folder's own `marks.json`.

    Raises UsageError as `read_marks` does, and where there are none.
    """
    if file is not None:
        return read_marks(file)
    own = folder / MARKS
    if not own.is_file():
        raise UsageError(
            f"{harmless(str(folder))} holds no {MARKS}: nobody has said yet which pictures to keep",
            "open its gallery (`batchgen gallery`), press K on each picture to keep, press the save button, and put"
            f" {MARKS} into that folder, or name the file with --marks FILE",
        )
    return read_marks(own)


def _loaded(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _checked(content: Any, shown: str) -> Mapping[str, Mark]:
    marks = content.get("marks") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(marks, dict) or content.get("batchgen") != SCHEMA:
        raise UsageError(f"{shown} is no file of marks that this batchgen reads", _SAVE_AGAIN)
    checked: dict[str, Mark] = {}
    for key, word in marks.items():
        mark = _WORDS.get(word) if isinstance(word, str) else None
        if mark is None or not _KEY.fullmatch(key):
            raise UsageError(
                harmless(f"{shown}: “{key[:100]}” is no mark of a picture (a task's id, its picture, keep or reject)"),
                _SAVE_AGAIN,
            )
        checked[key] = mark
    return checked
