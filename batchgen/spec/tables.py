"""Reads prompt files: .txt, .csv, .tsv and .jsonl, each line or record with its place and its text byte for byte.

It owns the file formats and the bounds that hold against hostile files. What a column means is decided in `prompts.py`.
"""

import codecs
import csv
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.errors import Problem
from batchgen.spec.files import in_words, open_regular
from batchgen.spec.wording import problem
from batchgen.spec.yaml_reader import wide_encoding

LARGEST_FILE = 64 * 1024 * 1024
LONGEST_CELL = 20 * 1024 * 1024
"""Characters of one cell, or of one line of .jsonl: room for a picture as a data URI."""
MOST_RECORDS = 200_000
"""Of all prompt files of a job together, as the two that follow."""
MOST_CELLS = 2_000_000
MOST_TEXT = 96 * 1024 * 1024
"""Bytes that the texts of the files take in memory, where one emoji makes four bytes of each letter."""
MOST_LINES = 2_000_000
MOST_COLUMNS = 1_000
MOST_COMMAS = 200_000
"""In one record of .csv or .jsonl, those inside of its texts included."""
DEEPEST = 50
MOST_VALUES = 10_000
"""In one line of .jsonl."""
KINDS = (".txt", ".csv", ".tsv", ".jsonl")

Note = Callable[[Problem], None]
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")
APOSTROPHES = "apostrophe_before"
"""A column of tables that batchgen exports: a JSON list of the record's cells that got an apostrophe in front, so that
no spreadsheet takes them for formulas. It is no column of the prompts."""
_HALF = re.compile("[\ud800-\udfff]")
_HALF_SAID = "this text holds half a character (\\ud800 to \\udfff)"


@dataclass(frozen=True, slots=True)
class Record:
    """One prompt of a file: the line it begins in (from 1) and its cells by column; empty cells are absent.

    Cells are text, or in .jsonl any JSON value.
    """

    line: int
    cells: Mapping[str, Any]


@dataclass(slots=True)
class Allowance:
    """What the prompt files of one job may still hold."""

    records: int = field(default_factory=lambda: MOST_RECORDS)
    cells: int = field(default_factory=lambda: MOST_CELLS)
    text: int = field(default_factory=lambda: MOST_TEXT)


@dataclass(frozen=True, slots=True)
class Table:
    """A prompt file. Columns are in lower case, in the order of the file."""

    shown: str
    columns: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)


def read_table(path: Path, shown: str, encoding: str | None, note: Note, allowance: Allowance | None = None) -> Table:
    """The prompts of a file. What is wrong with it is noted with its place; `shown` is its name in messages.

    Files of one job share an `allowance`.
    """
    allowance = allowance or Allowance()
    text = _read(path, shown, encoding, note)
    if text is None:
        return Table(shown)
    allowance.text -= sys.getsizeof(text)
    if allowance.text < 0:
        message = f"the prompt files of this job take more than {MOST_TEXT // 1024**2} MB of memory"
        note(problem(shown, 0, 0, message, "make several jobs of them", "unreadable file"))
        return Table(shown)
    kind = path.suffix.lower()
    if kind == ".jsonl":
        table = _objects(text, shown, note, allowance)
    elif kind == ".txt":
        table = Table(shown, ("prompt",))
        _keep(table, _prompts(text), note, allowance)
    else:
        table = _columns(text, shown, kind, note, allowance)
    return table


def _keep(table: Table, records: Iterator[Record], note: Note, allowance: Allowance) -> None:
    for record in records:
        allowance.records -= 1
        allowance.cells -= len(record.cells)
        if allowance.records < 0 or allowance.cells < 0:
            most, what = (MOST_RECORDS, "prompts") if allowance.records < 0 else (MOST_CELLS, "filled cells")
            message = f"up to here the files of this job have more than {most:,} {what}"
            note(problem(table.shown, record.line, 0, message, "make several jobs of it", "unreadable file"))
            table.records.clear()
            return
        table.records.append(record)


class _FileError(Exception):
    """A file that is no text: what is wrong, what to do, and where (from 1; 0 is unknown)."""

    def __init__(self, message: str, hint: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line
        self.column = column


def _read(path: Path, shown: str, encoding: str | None, note: Note) -> str | None:
    try:
        return _text_of(_bytes_of(path), encoding)
    except _FileError as error:
        note(problem(shown, error.line, error.column, str(error), error.hint, "unreadable file"))
        return None


def _bytes_of(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise _FileError(f"cannot read this prompt file: {in_words(error)}") from None
    if len(data) > LARGEST_FILE:
        raise _FileError(f"this prompt file is larger than {LARGEST_FILE // 1024 // 1024} MB", "split it")
    return data


def _text_of(data: bytes, encoding: str | None) -> str:
    wide = wide_encoding(data) if encoding is None else ""
    if wide:
        raise _FileError(f"this file is {wide} text", f"write `encoding: {wide.lower()}`", 1, 1)
    try:
        if encoding is None:
            data = data.removeprefix(codecs.BOM_UTF8)
        text = data.decode(encoding or "utf-8")
        text = text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        named = encoding or "UTF-8"
        hint = "name its encoding, such as `encoding: gb18030`" if encoding is None else "name the right one"
        raise _FileError(f"this file is not {named} text", hint, line, column) from None
    except UnicodeError:
        raise _FileError(f"this file is not {encoding} text", "name the right encoding", 1) from None
    bad = text.find("\0")
    if bad >= 0:
        raise _FileError("a NUL character stands here; is this a text file?", "", text.count("\n", 0, bad) + 1)
    if text.count("\n") + text.count("\r") > MOST_LINES:
        raise _FileError(f"this file has more than {MOST_LINES:,} lines", "split it")
    return text


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Line by line, since a list of all of them would take more memory than the text."""
    for number, line in enumerate(_LINE.finditer(text), 1):
        yield number, line[0].rstrip("\r\n")


def _prompts(text: str) -> Iterator[Record]:
    for number, line in _lines(text):
        if line.strip() and not line.lstrip().startswith("#"):
            yield Record(number, {"prompt": line})


class _Commas:
    """The lines of a .csv, and how many commas were read since `count` was last set to 0."""

    def __init__(self, text: str) -> None:
        self._lines = _LINE.finditer(text)
        self.count = 0

    def __iter__(self) -> "_Commas":
        return self

    def __next__(self) -> str:
        line = next(self._lines)[0]
        self.count += line.count(",")
        if self.count > MOST_COMMAS:
            raise csv.Error("commas")
        return line


def _cells(text: str, shown: str, kind: str, note: Note) -> Iterator[tuple[int, list[str]]]:
    if kind == ".tsv":
        for number, record in _lines(text):
            if record.strip():
                yield number, record.split("\t", MOST_COLUMNS + 1)
        return
    csv.field_size_limit(LONGEST_CELL)
    lines = _Commas(text)
    reader = csv.reader(lines, strict=True)
    line = 1
    try:
        for cells in reader:
            lines.count = 0
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        message, hint = f"this record cannot be read: {error}", ""
        if "commas" in str(error):
            message, hint = f"this record has more than {MOST_COMMAS:,} commas", "is a quotation mark missing?"
        elif any(words in str(error) for words in ("expected after", "end of data", "field limit")):
            message = "the quotation marks of this record do not match"
            hint = 'a cell that holds quotation marks is written "with ""two"" of them, and quotes around all of it'
        note(problem(shown, line, 0, message, hint, "unreadable record"))


def _columns(text: str, shown: str, kind: str, note: Note, allowance: Allowance) -> Table:
    rows = _cells(text, shown, kind, note)
    first = next(rows, None)
    if first is None:
        if not text.strip():
            note(problem(shown, 1, 0, "this file is empty", "its first line names the columns", "unreadable file"))
        return Table(shown)
    header = [cell.strip().lower() for cell in first[1]]
    if len(header) > MOST_COLUMNS:
        note(_too_wide(shown, first[0]))
        return Table(shown)
    for name in dict.fromkeys(header):
        if name and header.count(name) > 1:
            note(problem(shown, first[0], 0, f"the column `{name}` stands twice", "rename one", "column"))
    table = Table(shown, tuple(dict.fromkeys(name for name in header if name not in {"", APOSTROPHES})))
    _keep(table, _records(rows, header, shown, note), note, allowance)
    return table


def _too_wide(shown: str, line: int) -> Problem:
    message = f"this file has more than {MOST_COLUMNS:,} columns"
    return problem(shown, line, 0, message, "keep those that the prompts use", "unreadable file")


def _records(rows: Iterator[tuple[int, list[str]]], header: list[str], shown: str, note: Note) -> Iterator[Record]:
    for line, cells in rows:
        more = any(cell.strip() for cell in cells[len(header) :])
        if more:
            message = f"this record has {len(cells)} cells, the first line names {len(header)} columns"
            note(problem(shown, line, 0, message, "put a cell that holds a comma into quotes", "unreadable record"))
            continue
        pairs = zip(header, cells, strict=False)
        named = {name: cell for name, cell in pairs if name and cell.strip()}
        try:
            _take_off_apostrophes(named)
        except ValueError:
            message = f"`{APOSTROPHES}` must be a list of this file's columns, as batchgen writes it"
            note(problem(shown, line, 0, message, "export the pictures again, or delete that column", "column"))
            continue
        yield Record(line, named)


def _take_off_apostrophes(cells: dict[str, str]) -> None:
    """Give an exported record back its own texts. Raises ValueError when what stands in `APOSTROPHES` is not its list."""
    listed = cells.pop(APOSTROPHES, "")
    if not listed:
        return
    try:
        names = json.loads(listed)
    except RecursionError:
        raise ValueError(listed) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(listed)
    for name in {name.strip().lower() for name in names}:
        # A person who edited the cell may have taken the apostrophe off already.
        text = cells.get(name, "").removeprefix("'")
        if text.strip():
            cells[name] = text
        else:
            cells.pop(name, None)


def _objects(text: str, shown: str, note: Note, allowance: Allowance) -> Table:
    columns: dict[str, None] = {}

    def records() -> Iterator[Record]:
        for number, line in _lines(text):
            if not line.strip():
                continue
            try:
                cells = _object(line)
            except _LineError as error:
                note(problem(shown, number, error.column, str(error), error.hint, "unreadable record"))
                continue
            columns.update(dict.fromkeys(cells))
            if len(columns) > MOST_COLUMNS:
                note(_too_wide(shown, number))
                return
            yield Record(number, cells)

    found = Table(shown)
    _keep(found, records(), note, allowance)
    return Table(shown, tuple(columns), found.records)


class _LineError(ValueError):
    """A line of .jsonl that is no record: what is wrong, what to write, and the column (from 1; 0 is unknown)."""

    def __init__(self, message: str, hint: str, column: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.column = column


def _object(line: str) -> dict[str, Any]:
    value = _parsed(line)
    if not isinstance(value, dict):
        raise _LineError("this line is not a JSON object", 'write {"prompt": "…"}')
    _check_bounds(value)
    cells: dict[str, Any] = {}
    for key, item in value.items():
        name = key.strip().lower()
        if name in cells:
            raise _LineError(f"`{key}` stands twice in this line", "names ignore case")
        if item is not None and item != "":
            cells[name] = item
    return cells


def _parsed(line: str) -> Any:
    if len(line) > LONGEST_CELL:
        raise _LineError(f"this line has more than {LONGEST_CELL:,} characters", "keep large pictures in files")
    # Counted before they are read: twenty million values take seconds to make.
    if line.count(",") > MOST_COMMAS:
        raise _LineError(f"this line holds more than {MOST_VALUES:,} values", "one prompt is one line")
    try:
        return json.loads(line, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _LineError("this line is not JSON", "each line is one JSON object", error.colno) from None
    except RecursionError:
        raise _LineError(f"lists and objects stand more than {DEEPEST} deep in one another", "") from None
    except _LineError:
        raise
    except ValueError:  # Python refuses whole numbers of thousands of digits
        raise _LineError("this line holds a number that is too long", "write text in quotes") from None


def _check_bounds(value: dict[str, Any]) -> None:
    """Raise _LineError for an object that is too deep or too large to be a prompt, or holds half a character."""
    level: list[Any] = [value]
    seen = 0
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for holder in level:
            items = [*holder, *holder.values()] if isinstance(holder, dict) else holder
            seen += len(items)
            if seen > MOST_VALUES:
                raise _LineError(f"this line holds more than {MOST_VALUES:,} values", "one prompt is one line")
            for item in items:
                if isinstance(item, dict | list):
                    inner.append(item)
                elif isinstance(item, str) and not item.isascii() and _HALF.search(item):
                    raise _LineError(_HALF_SAID, "delete it")
        if not inner:
            return
        level = inner
    raise _LineError(f"lists and objects stand more than {DEEPEST} deep in one another", "")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _LineError(f"the number {text} is too large", "write text in quotes")
    return number


def _refuse(word: str) -> Any:
    raise _LineError("this line is not JSON", f"{word} is no number of JSON; write text in quotes")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _LineError("this line is not JSON", "a key stands twice in it")
    return result
