"""Reads prompt files: .txt, .csv, .tsv and .jsonl, each line or record with its place and its text byte for byte.

It owns the file formats. What a column means is decided in `prompts.py`.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.errors import Problem

LARGEST_FILE = 256 * 1024 * 1024
KINDS = (".txt", ".csv", ".tsv", ".jsonl")

Note = Callable[[Problem], None]


@dataclass(frozen=True, slots=True)
class Record:
    """One prompt of a file: the line it begins in (from 1) and its cells by column; empty cells are absent.

    Cells are text, or in .jsonl any JSON value.
    """

    line: int
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A prompt file. Columns are in lower case, in the order of the file."""

    shown: str
    columns: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)


def read_table(path: Path, shown: str, encoding: str | None, note: Note) -> Table:
    """The prompts of a file. What is wrong with it is noted with its place; `shown` is its name in messages."""
    text = _read(path, shown, encoding, note)
    if text is None:
        return Table(shown)
    if path.suffix.lower() == ".txt":
        return Table(shown, ("prompt",), list(_lines(text)))
    if path.suffix.lower() == ".jsonl":
        return _objects(text, shown, note)
    return _columns(list(_cells(text, shown, path.suffix.lower(), note)), shown, note)


def _read(path: Path, shown: str, encoding: str | None, note: Note) -> str | None:
    try:
        if path.stat().st_size > LARGEST_FILE:
            note(Problem(shown, 0, 0, "this prompt file is larger than 256 MB", "split it", "unreadable file"))
            return None
        data = path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        note(Problem(shown, 0, 0, f"cannot read this prompt file: {reason}", "", "unreadable file"))
        return None
    if encoding is None and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        note(Problem(shown, 1, 1, "this file is UTF-16 text", "write `encoding: utf-16`", "unreadable file"))
        return None
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        named = encoding or "UTF-8"
        hint = "name its encoding, such as `encoding: gb18030`" if encoding is None else "name the right one"
        note(Problem(shown, line, column, f"this file is not {named} text", hint, "unreadable file"))
        return None
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        note(Problem(shown, line, 0, "a NUL character stands here; is this a text file?", "", "unreadable file"))
        return None
    return text


def _lines(text: str) -> Iterator[Record]:
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield Record(number, {"prompt": line})


def _cells(text: str, shown: str, suffix: str, note: Note) -> Iterator[tuple[int, list[str]]]:
    if suffix == ".tsv":
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
            if line.strip():
                yield number, line.split("\t")
        return
    csv.field_size_limit(LARGEST_FILE)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        message, hint = f"this record cannot be read: {error}", ""
        if "expected after" in str(error) or "end of data" in str(error):
            message = "the quotation marks of this record do not match"
            hint = 'a cell that holds quotation marks is written "with ""two"" of them, and quotes around all of it"'
        note(Problem(shown, line, 0, message, hint, "unreadable record"))


def _columns(rows: list[tuple[int, list[str]]], shown: str, note: Note) -> Table:
    if not rows:
        note(Problem(shown, 1, 0, "this file is empty", "its first line names the columns", "unreadable file"))
        return Table(shown)
    header = [cell.strip().lower() for cell in rows[0][1]]
    for name in dict.fromkeys(header):
        if name and header.count(name) > 1:
            note(Problem(shown, rows[0][0], 0, f"the column `{name}` stands twice", "rename one", "column"))
    table = Table(shown, tuple(dict.fromkeys(name for name in header if name)))
    for line, cells in rows[1:]:
        more = [cell for cell in cells[len(header) :] if cell.strip()]
        if more:
            message = f"this record has {len(cells)} cells, the first line names {len(header)} columns"
            note(Problem(shown, line, 0, message, "put a cell that holds a comma into quotes", "unreadable record"))
            continue
        pairs = zip(header, cells, strict=False)
        table.records.append(Record(line, {name: cell for name, cell in pairs if name and cell.strip()}))
    return table


def _objects(text: str, shown: str, note: Note) -> Table:
    columns: dict[str, None] = {}
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=_refuse, object_pairs_hook=_unique)
            line.encode("utf-8")
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            message = "this text holds half a character (\\ud800 to \\udfff)"
            note(Problem(shown, number, 0, message, "delete it", "unreadable record"))
            continue
        except (ValueError, RecursionError) as error:
            column = error.colno if isinstance(error, json.JSONDecodeError) else 0
            reason = str(error) if isinstance(error, _TwiceError) else "each line is one JSON object"
            note(Problem(shown, number, column, "this line is not JSON", reason, "unreadable record"))
            continue
        if not isinstance(value, dict):
            note(
                Problem(
                    shown, number, 0, "this line is not a JSON object", 'write {"prompt": "…"}', "unreadable record"
                )
            )
            continue
        cells = {key.strip().lower(): item for key, item in value.items() if item is not None and item != ""}
        columns.update(dict.fromkeys(cells))
        records.append(Record(number, cells))
    return Table(shown, tuple(columns), records)


class _TwiceError(ValueError):
    """A key of a JSON object stands twice."""


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _TwiceError("a key stands twice in it")
    return result
