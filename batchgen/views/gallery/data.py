"""The data files of a gallery: classic scripts, each one call with JSON in it, because pages from `file://` load no other.

It owns the form of those files and nothing else. Outside text in them is data: no markup ends the script, no character
ends a line, and no name reaches an object's prototype.
"""

import json
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

STATES = ("stored", "waiting", "pending", "failed", "unknown", "expired", "lost", "sending")
VARIABLE = "var:"
"""What stands before a variable's name in the key of its axis."""
CELLS_PER_FILE = 5000
DETAILS_PER_FILE = 250
_MOST_FLAGS = 30
"""What fits into a number on which scripts work bit by bit."""
_NO_FIELDS: Mapping[str, Any] = {"params": {}, "extra": {}}
_ABSENT = {"id": "", "text": "–"}
"""The value of a cell on an axis that it has no value on."""

_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def script(call: str, *arguments: Any) -> bytes:
    """A script that calls `batchgen.<call>` with the arguments, in ASCII. Raises ValueError for a number JSON lacks."""
    text = ",".join([_encode(argument) for argument in arguments]).replace("<", "\\u003c")
    if (
        "__proto__" in text
    ):  # as a key of a literal it would not be one; after `{` or `,` a quote begins a key or a text
        text = text.replace('{"__proto__":', '{["__proto__"]:').replace(',"__proto__":', ',["__proto__"]:')
    return f"batchgen.{call}({text});\n".encode("ascii")


@dataclass(slots=True)
class Cell:
    """One place of the grid: a picture, or a task without one. `detail` is what the page shows of it on its own."""

    task_id: str
    number: int
    """Of the picture in its task, from 1."""
    places: Mapping[str, tuple[str, str]]
    """Axis -> (id, text) of the cell's value; variables as `var:NAME`."""
    state: str
    flags: tuple[str, ...]
    now: bool
    """Whether the job asks for it now."""
    thumb: str
    """Relative to `gallery/thumbs/`; empty is none."""
    width: int
    height: int
    detail: dict[str, Any]


@dataclass(slots=True)
class _Axis:
    values: list[tuple[str, str]] = field(default_factory=list)
    known: dict[tuple[str, str], int] = field(default_factory=dict)
    column: "array[int]" = field(default_factory=lambda: array("i"))

    def index(self, value: tuple[str, str]) -> int:
        found = self.known.get(value)
        if found is None:
            found = self.known[value] = len(self.values)
            self.values.append(value)
        return found


class Columns:
    """The cells of a gallery as columns, a few dozen bytes for each; `first` names axes in order."""

    def __init__(self, first: tuple[str, ...]) -> None:
        self._axes: dict[str, _Axis] = {key: _Axis() for key in first}
        self._ids: list[str] = []
        self._numbers = array("i")
        self._states = bytearray()
        self._masks = array("l")
        self._now = bytearray()
        self._thumbs: list[str] = []
        self._widths = array("i")
        self._heights = array("i")
        self.flags: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def expect(self, key: str, values: Iterator[tuple[str, str]]) -> None:
        """Values of an axis whose order is known beforehand. They are shown if a cell has them."""
        axis = self._axes.setdefault(key, _Axis())
        for value in values:
            axis.index(value)

    def add(self, cell: Cell) -> None:
        """Take one cell, in order."""
        count = len(self._ids)
        for key, value in cell.places.items():
            axis = self._axes.get(key)
            if axis is None:
                axis = self._axes[key] = _Axis()
            if missing := count - len(axis.column):
                axis.column.extend([-1] * missing)
            axis.column.append(axis.index(value))
        self._ids.append(cell.task_id[:16])
        self._numbers.append(cell.number)
        self._states.append(STATES.index(cell.state))
        self._masks.append(self._mask(cell.flags) if cell.flags else 0)
        self._now.append(cell.now)
        self._thumbs.append(cell.thumb)
        self._widths.append(cell.width)
        self._heights.append(cell.height)

    def _mask(self, flags: tuple[str, ...]) -> int:
        mask = 0
        for flag in flags:
            if flag not in self.flags:
                if len(self.flags) == _MOST_FLAGS:
                    continue
                self.flags.append(flag)
            mask |= 1 << self.flags.index(flag)
        return mask

    def axes(self, sort: Mapping[str, Callable[[tuple[str, str]], Any]]) -> list[Any]:
        """The axes with the values that occur, in the order of `sort` where it has one; call it once, after the last cell."""
        described = []
        for key, axis in self._axes.items():
            axis.column.extend([-1] * (len(self) - len(axis.column)))
            present = sorted(set(axis.column) - {-1})
            if key in sort:
                present.sort(key=lambda at, axis=axis, key=key: sort[key](axis.values[at]))  # type: ignore[misc]
            values = _named(axis.values[at] for at in present)
            moved = {at: place for place, at in enumerate(present)}
            if -1 in axis.column:
                moved[-1] = len(values)
                values.append(_ABSENT)
            axis.column = array("i", [moved[at] for at in axis.column])
            described.append({"key": key, "title": key.removeprefix(VARIABLE), "values": values})
        return described

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each file of cells; `axes` comes first."""
        for number, start in enumerate(range(0, len(self), CELLS_PER_FILE)):
            part = slice(start, start + CELLS_PER_FILE)
            content = {
                "id": self._ids[part],
                "n": self._numbers[part].tolist(),
                "axis": {key: axis.column[part].tolist() for key, axis in self._axes.items()},
                "state": list(self._states[part]),
                "flags": self._masks[part].tolist(),
                "now": list(self._now[part]),
                "thumb": self._thumbs[part],
                "w": self._widths[part].tolist(),
                "h": self._heights[part].tolist(),
            }
            yield f"cells-{number}.js", script("cells", number, content)


def _named(values: Iterator[tuple[str, str]]) -> list[dict[str, str]]:
    """The values of an axis with ids that differ: a prompt that was rewritten keeps its id, and is another value."""
    taken: set[str] = set()
    named = []
    for name, text in values:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}~{number}"
        taken.add(unique)
        named.append({"id": unique, "text": text})
    return named


class Details:
    """The details of all cells in their order, written a file at a time; none is kept."""

    def __init__(self, write: Callable[[str, bytes], object]) -> None:
        self._write = write
        self._part: list[Any] = []
        self.files = 0

    def add(self, detail: dict[str, Any]) -> None:
        """Take the next cell's details."""
        self._part.append(detail)
        if len(self._part) == DETAILS_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what is left."""
        if self._part:
            try:
                data = script("details", self.files, self._part)
            except RecursionError:  # fields that somebody nested a thousand deep
                data = script("details", self.files, [detail | _NO_FIELDS for detail in self._part])
            self._write(f"details-{self.files}.js", data)
            self.files += 1
            self._part = []
