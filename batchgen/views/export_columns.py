"""The columns of exported data sets: those of the manifest, then one for each variable; names and types never vary.

It owns what readers of data sets would take for something else: half characters, texts like times, and columns whose
name makes a picture of them. It refuses to know the files that the columns stand in.
"""

import dataclasses
import hashlib
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from batchgen.storage.manifest import ManifestRow
from batchgen.views.marks import mark_key

VARIABLE: Final = "var:"
"""What stands before a variable's name in its column: no column of the manifest begins so."""
ENDINGS: Mapping[str, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
"""What the name of a picture of each format ends in."""

_FIELDS = tuple((field.name, field.type) for field in dataclasses.fields(ManifestRow))
_NAMES = {"try_number": "try"}
_row_values = operator.attrgetter(*(name for name, _ in _FIELDS))
_HALVES = re.compile("[\ud800-\udfff]")
_PICTURES = ("_file_name", "_file_names")
"""`datasets` opens what stands in a column with such a name as a picture."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:?\d\d(:?\d\d)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)
_TASK = re.compile(r"[0-9a-f]{64}")


def columns(variables: Sequence[str]) -> tuple[tuple[str, type], ...]:
    """Name and type (text, whole number, number) of each column, in order."""
    fixed = ((_NAMES.get(name, name), kind) for name, kind in _FIELDS if isinstance(kind, type))
    return (*fixed, *((name, str) for name in _variable_columns(variables)))


def values(row: ManifestRow, facts: Mapping[str, Any], variables: Sequence[str]) -> list[Any]:
    """What one picture has in those columns; a variable that its prompt does not use is empty."""
    given = facts["vars"]
    both = (*_row_values(row), *(given.get(name, "") for name in variables))
    return [whole_text(value) if type(value) is str else value for value in both]


def whole_text(text: str) -> str:
    """`text` with the replacement character for what no file of text can hold."""
    return text if text.isascii() else _HALVES.sub("\ufffd", text)


def no_time(text: str) -> str:
    """`text` as readers of JSON lines leave it a text: what is wholly a date or a time gets a space after it.

    They make a column of times out of one in which every text is a time, and a data set has to have one type.
    """
    return f"{text} " if text[4:5] == "-" and _TIME.fullmatch(text) else text


def _variable_columns(variables: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for variable in variables:
        name = VARIABLE + whole_text(variable)
        while name in names or name.endswith(_PICTURES):
            name += "_"
        names[name] = None
    return list(names)


def picture_name(row: ManifestRow) -> str:
    """What a picture is called in a data set: its task's id and its number, safe in every path and the same for ever.

    The names of the output folder come from the user's words, in which readers see splits (`dev`, `test`) and endings.
    """
    task_id = row.task_id
    if not _TASK.fullmatch(task_id):  # written by another program
        task_id = hashlib.sha256(task_id.encode("utf-8", "replace")).hexdigest()
    return mark_key(task_id, row.picture)
