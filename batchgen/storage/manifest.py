"""`manifest.jsonl`, one line for each stored picture, and `failures.jsonl`: views of the ledger for other programs.

Columns, their order and their types never change within a file, because readers guess types from the first lines:
free-form maps and lists are JSON text, money is decimal text, nothing is null. Both files can be made again from the
ledger at any time, so that a lost last line costs nothing. This module refuses to know where the rows come from.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchgen.errors import StorageError
from batchgen.outside import clean, json_text
from batchgen.storage.disk import in_words, open_own, sync_file, write_all
from batchgen.storage.files import ResultFolder

MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"

_BLOCK = 1 << 20
_LINE_AT_MOST = 16 * 1024**2
"""Bytes of a line that is read back; a manifest may come from a stranger, and be one line without end."""
_PARTS_AT_MOST = 1_000_000
"""Lists, objects and values of a line, its texts' commas among them: each takes many times its text when it is read."""
_COLUMN_NAMES = {"try_number": "try", "kind": "class"}
"""Fields whose column is a word that Python keeps for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """How one stored picture was made; the fields are the columns, in order. Times are UTC, sizes pixels and bytes."""

    file_name: str
    """Relative to the output folder, with `/`."""
    task_id: str
    prompt_id: str
    row: str
    prompt: str
    negative_prompt: str
    vars: str
    """A JSON object of texts."""
    provider: str
    model: str
    label: str
    seed: int
    try_number: int
    """Column `try`."""
    index: int
    night: str
    params: str
    """A JSON object of the other request fields."""
    width: int
    height: int
    format: str
    bytes: int
    sha256: str
    """Of the file."""
    source_sha256: str
    """Of the bytes received."""
    flags: str
    """A JSON list of words: `blank`, `wrong_size`, …"""
    cost: str
    """Decimal text in `currency`; empty is unknown."""
    currency: str
    request_id: str
    created_at: str
    """`2025-11-03T22:14:05.123Z`: always with milliseconds, which keep readers from guessing a type of their own."""
    latency_s: float
    attempts: int
    """POSTs that left the machine and were not answered with a 429."""
    maybe_billed: int
    """Those of unknown outcome among them."""
    job: str
    run_id: str
    version: str
    picture: int
    """From 1, among the pictures of one answer."""

    def to_line(self) -> str:
        """One line with its end."""
        return _line(self)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The row of one line. Raises ValueError when it is not one; columns of later versions are passed over."""
        return cls(**_values(cls, line))


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """A task or picture that did not end in a file; up to `params` the columns are those of the manifest."""

    file_name: str
    task_id: str
    prompt_id: str
    row: str
    prompt: str
    negative_prompt: str
    vars: str
    provider: str
    model: str
    label: str
    seed: int
    try_number: int
    """Column `try`."""
    index: int
    night: str
    params: str
    state: str
    """`failed`, `unknown`, `expired` or `lost`."""
    kind: str
    """Column `class`: the kind of refusal or damage."""
    message: str
    request_id: str
    attempts: int
    maybe_billed: int
    cost: str
    """What it cost or may have cost: decimal text; empty is unknown."""

    def to_line(self) -> str:
        """One line with its end."""
        return _line(self)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The row of one line. Raises ValueError when it is not one."""
        return cls(**_values(cls, line))


class ManifestWriter:
    """The manifest of one output folder, open for appending by the one run that holds its lock, one thread at a time.

    Opening cuts off a last line that was only half written. Methods raise `StorageError`.
    """

    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder
        self._path = folder.path / MANIFEST
        with in_words(self._path):
            self._descriptor = self._open()
            self._cut_torn_line()

    def append(self, rows: Iterable[ManifestRow]) -> None:
        """Add lines, all or none of them, in one write. Power cuts may take them: see `sync`."""
        data = "".join(row.to_line() for row in rows).encode()
        with in_words(self._path):
            before = os.fstat(self._descriptor).st_size
            try:
                write_all(self._descriptor, data)
            except OSError:
                os.ftruncate(self._descriptor, before)
                raise

    def is_whole(self, expected_lines: int) -> bool:
        """Whether the file has as many lines as the ledger has stored pictures."""
        with in_words(self._path):
            return expected_lines == sum(block.count(b"\n") for block in self._blocks())

    def rebuild(self, rows: Iterable[ManifestRow]) -> None:
        """Write the whole file anew; a reader sees the old or the new one."""
        _replace(self._folder, MANIFEST, rows)
        with in_words(self._path):
            os.close(self._descriptor)
            self._descriptor = self._open()

    def sync(self) -> None:
        """Return when all lines are on the disk itself."""
        with in_words(self._path):
            sync_file(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        with in_words(self._path):
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> int:
        return open_own(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def _blocks(self) -> Iterator[bytes]:
        position = 0
        while block := os.pread(self._descriptor, _BLOCK, position):
            yield block
            position += len(block)

    def _cut_torn_line(self) -> None:
        whole = position = 0
        for block in self._blocks():
            whole = position + block.rfind(b"\n") + 1 if b"\n" in block else whole
            position += len(block)
        if whole < position:
            os.ftruncate(self._descriptor, whole)


def read_manifest(path: Path) -> Iterator[ManifestRow]:
    """The rows of a manifest, without a last line that is only half there; none if there is no file.

    Raises `StorageError` for a line that is not a manifest's.
    """
    if not os.path.lexists(path):
        return
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        for number in itertools.count(1):
            line = file.readline(_LINE_AT_MOST + 1)
            if not line.endswith(b"\n") and len(line) <= _LINE_AT_MOST:
                return
            try:
                yield _row_of(line)
            except (ValueError, RecursionError) as error:
                raise StorageError(
                    f"{path}:{number}: not a line of a manifest ({clean(error)})",
                    "Repair or remove that one line, then give the same command again. Keep the other lines.",
                ) from None


def _row_of(line: bytes) -> ManifestRow:
    if len(line) > _LINE_AT_MOST:
        raise ValueError(f"it is longer than {_LINE_AT_MOST // 1024**2} MB")
    if sum(line.count(mark) for mark in (b"[", b"{", b",")) > _PARTS_AT_MOST:
        raise ValueError("it has more parts than any line of a manifest")
    text = line.decode()
    row = ManifestRow.from_line(text)
    if "\\ud" in text.lower():  # the only way to half a character, which nothing can store
        for name, _, kind in _COLUMNS[ManifestRow]:
            if kind is str:
                getattr(row, name).encode()
    return row


def write_failures(folder: ResultFolder, rows: Iterable[FailureRow]) -> None:
    """Replace `failures.jsonl` by these rows; without any it is an empty file."""
    _replace(folder, FAILURES, rows)


def _replace(folder: ResultFolder, name: str, rows: Iterable[ManifestRow | FailureRow]) -> None:
    with folder.replacing(name) as part:
        pieces, size = [], 0
        for row in rows:
            pieces.append(row.to_line())
            size += len(pieces[-1])
            if size >= _BLOCK:
                part.write("".join(pieces).encode())
                pieces, size = [], 0
        part.write("".join(pieces).encode())


def _columns(kind: type[Any]) -> tuple[tuple[str, str, Any], ...]:
    fields = dataclasses.fields(kind)
    return tuple((field.name, _COLUMN_NAMES.get(field.name, field.name), field.type) for field in fields)


_COLUMNS = {kind: _columns(kind) for kind in (ManifestRow, FailureRow)}
"""For each kind of row: field, column and type, in order."""


def _line(row: ManifestRow | FailureRow) -> str:
    content: dict[str, Any] = {}
    for name, column, kind in _COLUMNS[type(row)]:
        value = getattr(row, name)
        # 5 and 5.0 are different types to a reader of JSON
        content[column] = float(value) if kind is float else value
    return json_text(content, compact=True) + "\n"


def _values(kind: type[ManifestRow | FailureRow], line: str) -> dict[str, Any]:
    content = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004  # one error for every line that is not a row
    values = {}
    for name, column, expected in _COLUMNS[kind]:
        value = content.get(column)
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is not expected:
            raise ValueError(f"“{column}” is missing or of another type")
        values[name] = value
    return values
