"""Turns the bytes of a YAML file into plain values and remembers where each of them stands.

It owns what YAML means here: the core schema of YAML 1.2 (`16:9` and `no` are text), duplicate keys refused, no tags, and
bounds that hold against hostile files. It refuses to know what a job is, and it never raises anything but JobError.
"""

import codecs
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml

from batchgen.errors import JobError, Problem
from batchgen.spec.syntax import explain_syntax
from batchgen.spec.wording import MOST_PROBLEMS, problem, too_many

LARGEST_FILE = 20 * 1024 * 1024
DEEPEST = 50
MOST_ALIASES = 100
MOST_NODES = 200_000
"""Of keys, texts, lists and mappings in one file, those that aliases repeat included: a hundred thousand prompts in lines
of their own, with room for some entries. More than that takes seconds to read, and belongs into a prompt file."""
MOST_LINES = 1_000_000

_BREAK = re.compile(r"\r\n|\r|\n")
# Everything that YAML forbids in a file, and the three line breaks of YAML 1.1 that YAML 1.2 takes for plain text.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER = 40
_COMMENT = re.compile(r"[ \t]*(#.*)")

Loc = Sequence[str | int]


class Mark(NamedTuple):
    """Where a child of a mapping or a list stands; lines and columns count from 0."""

    key_line: int
    key_column: int
    line: int
    column: int
    end_line: int
    end_column: int
    raw: str | None
    """The source text of a scalar, None for a mapping or a list."""
    plain: bool


class Document:
    """The values of one YAML file with their places. Children are addressed as pydantic does: `("models", 1, "id")`."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = _BREAK.split(text)
        self.value: Any = None
        self._marks: dict[int, Any] = {}

    def remember(self, container: Any, marks: Any) -> None:
        """Keep the marks of a mapping's (dict) or a list's (list) children."""
        self._marks[id(container)] = marks

    def find(self, loc: Loc) -> tuple[Any, Mark | None]:
        """The deepest value that `loc` reaches and its mark; parts of `loc` that name no child are skipped."""
        value: Any = self.value
        mark: tuple[Any, ...] | None = None
        for part in loc:
            marks: Any = self._marks.get(id(value))
            known = isinstance(part, int) and part < len(marks) if isinstance(marks, list) else part in (marks or ())
            if known:
                value, mark = value[part], marks[part]
        return value, None if mark is None else Mark._make(mark)

    def place(self, loc: Loc, *, key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at `loc`, or of its key."""
        mark = self.find(loc)[1]
        if mark is None:
            return 1, 1
        return (mark.key_line + 1, mark.key_column + 1) if key else (mark.line + 1, mark.column + 1)

    def holds(self, loc: Loc) -> bool:
        """Whether there is a child at exactly `loc`."""
        parent: Any = self.find(loc[:-1])[0]
        marks: Any = self._marks.get(id(parent))
        return (
            isinstance(loc[-1], int) and loc[-1] < len(marks) if isinstance(marks, list) else loc[-1] in (marks or ())
        )

    def raw(self, loc: Loc) -> str | None:
        """A scalar as it was written, `0.50` rather than 0.5; None for a mapping or a list."""
        mark = self.find(loc)[1]
        return None if mark is None else mark.raw

    def comment_after(self, loc: Loc) -> str:
        """What stands behind an unquoted scalar on its line, from the `#` on; empty for none."""
        mark = self.find(loc)[1]
        if mark is None or not mark.plain:
            return ""
        # Matched in place: a line may hold a hundred thousand values, and a copy of its rest for each would take hours.
        found = _COMMENT.match(self.lines[mark.end_line], mark.end_column)
        return found[1].strip() if found else ""

    def drop(self, loc: Loc) -> None:
        """Take the child at `loc` out of the values; the places of the others stay true."""
        parent: Any = self.find(loc[:-1])[0]
        if self.holds(loc):
            del parent[loc[-1]]
            del self._marks[id(parent)][loc[-1]]


def read_yaml(data: bytes, file: str) -> Document:
    """The one document in `data`. Raises JobError with every mistake that YAML itself can show."""
    text = _decode(data, file)
    document = Document(file, text)
    return _Builder(document).build(text)


def parse_scalar(text: str) -> Any:
    """What an unquoted scalar means in YAML 1.2. Raises ValueError for a number that is too long."""
    first = text[:1]
    if first in "-+.0123456789" and first:
        return _number(text)
    return _WORDS.get(text, text)


def _number(text: str) -> Any:
    if _INT.fullmatch(text):
        if len(text) > _LONGEST_NUMBER:
            raise ValueError("this number is too long")
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
        return float(text)
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return -math.inf if infinity[1] == "-" else math.inf
    return math.nan if text in _NAN else text


def _decode(data: bytes, file: str) -> str:
    if len(data) > LARGEST_FILE:
        hint = "put the prompts into a .csv, .tsv or .jsonl file"
        raise _fatal(file, 0, 0, "this file is too large; a job file has 20 MB at most", hint)
    wide = wide_encoding(data)
    if wide:
        raise _fatal(file, 1, 1, f"this file is {wide} text", "save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = _position(before, len(before))
        raise _fatal(file, line, column, "this file is not UTF-8 text", "save it as UTF-8") from None
    if text.count("\n") + text.count("\r") > MOST_LINES:
        hint = "put the prompts into a .csv, .tsv or .jsonl file"
        raise _fatal(file, 0, 0, f"this file has more than {MOST_LINES:,} lines", hint)
    bad = _FORBIDDEN.search(text)
    if bad:
        line, column = _position(text, bad.start())
        name = f"U+{ord(bad[0]):04X}"
        raise _fatal(file, line, column, f"an invisible control character ({name}) stands here", "delete it")
    return text


def wide_encoding(data: bytes) -> str:
    """`UTF-16` or `UTF-32` for bytes that begin like text in it; empty for others."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or data[:3] == b"\0\0\0" or data[1:4] == b"\0\0\0":
        return "UTF-32"
    half = data[:1] != b"\0" and data[1:2] == b"\0" and data[3:4] == b"\0"
    other = data[:1] == b"\0" and data[1:2] != b"\0"
    return "UTF-16" if half or other or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""


def _position(text: str, index: int) -> tuple[int, int]:
    lines = _BREAK.split(text[:index])
    return len(lines), len(lines[-1]) + 1


def _fatal(file: str, line: int, column: int, message: str, hint: str = "") -> JobError:
    return JobError([problem(file, line, column, message, hint, "unreadable file")])


class _Builder:
    """One pass over the parse events: no recursion, so depth is bounded before anything is built from it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Any, int, int, Any]] = {}
        self.open_anchors: set[str] = set()
        self.aliases = 0
        self.nodes = 0
        self.letters = 0

    def build(self, text: str) -> Document:
        try:
            self.document.value = self._whole(self._events(text))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line, mark.column) if mark else (0, 0)
            start = error.context_mark.line if error.context_mark else line
            self.problems.append(_syntax_problem(self.document, line, column, start, str(error.problem)))
        except yaml.YAMLError:
            self._problem(0, 0, "this is not a YAML file", "")
        if self.problems:
            raise JobError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))
        return self.document

    def _events(self, text: str) -> Iterator[Any]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            event = None
            while type(event) is not yaml.StreamEndEvent:
                event = loader.get_event()
                yield event
        finally:
            loader.dispose()

    def _problem(self, line: int, column: int, message: str, hint: str, kind: str = "YAML mistake") -> None:
        self.problems.append(problem(self.document.file, line + 1, column + 1, message, hint, kind))
        if len(self.problems) >= MOST_PROBLEMS:
            raise too_many(self.problems)

    def _whole(self, events: Iterator[Any]) -> Any:
        next(events)
        begin = next(events)
        if type(begin) is yaml.StreamEndEvent:
            self._problem(0, 0, "this file is empty", "`batchgen init` writes one to begin with")
            return None
        value = self._nodes(events)
        next(events)
        more = next(events)
        if type(more) is not yaml.StreamEndEvent:
            hint = "delete the line `---`, or make two files of it"
            self._problem(more.start_mark.line, 0, "a second document begins here; a job file is one", hint)
        return value

    def _nodes(self, events: Iterator[Any]) -> Any:
        """The value that begins with the next event. Open containers stand on a list of our own, at most `DEEPEST`."""
        stack: list[_Open] = []
        for event in events:
            kind = type(event)
            start = event.start_mark
            if kind is yaml.ScalarEvent:
                value, raw = self._scalar(event), event.value
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                done = stack.pop()
                self.document.remember(done.value, done.marks)
                if done.anchor:
                    self.open_anchors.discard(done.anchor)
                    letters = self.letters - done.letters_before
                    self.anchors[done.anchor] = (done.value, self.nodes - done.nodes_before, letters, None)
                value, raw, start = done.value, None, done.start
            elif kind is yaml.AliasEvent:
                value, raw = self._alias(event)
            else:
                self._check_tag(event)
                stack.append(_Open({} if kind is yaml.MappingStartEvent else [], event, self.nodes, self.letters))
                self._check_bounds(len(stack), start)
                if event.anchor:
                    self.open_anchors.add(event.anchor)
                continue
            if not stack:
                return value
            plain = kind is yaml.ScalarEvent and not event.style
            end = event.end_mark
            parent = stack[-1]
            if type(parent.value) is list:
                parent.value.append(value)
                parent.marks.append((0, 0, start.line, start.column, end.line, end.column, raw, plain))
            elif parent.key is None:
                parent.key = (self._key(raw, start, plain=plain), start.line, start.column)
            else:
                self._pair(parent, value, (start.line, start.column, end.line, end.column, raw, plain))
        return None

    def _check_bounds(self, depth: int, mark: Any) -> None:
        self.nodes += 1
        if self.letters > LARGEST_FILE:
            raise self._stop(mark, "values that are repeated with * make more than 20 MB of this file", "")
        if self.nodes > MOST_NODES:
            hint = "put the prompts into a .csv, .tsv or .jsonl file"
            raise self._stop(mark, f"this file holds more than {MOST_NODES:,} values", hint)
        if depth > DEEPEST:
            raise self._stop(mark, f"lists and mappings stand more than {DEEPEST} deep in one another", "")

    def _stop(self, mark: Any, message: str, hint: str) -> JobError:
        self._problem(mark.line, mark.column, message, hint, kind="unreadable file")
        return JobError(self.problems)

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            mark = event.start_mark
            hint = "a text that begins with ! needs quotes"
            self._problem(mark.line, mark.column, "tags (words that begin with !) mean nothing here", hint)

    def _scalar(self, event: Any) -> Any:
        raw: str = event.value
        value: Any = raw
        self.letters += len(raw)
        self._check_bounds(0, event.start_mark)
        if event.tag is not None:
            self._check_tag(event)
        if event.implicit[0]:
            try:
                value = parse_scalar(raw)
            except ValueError:
                mark = event.start_mark
                self._problem(mark.line, mark.column, "this number is too long", "write text in quotes")
        elif not raw.isascii() and any("\ud800" <= char <= "\udfff" for char in raw):
            mark = event.start_mark
            self._problem(mark.line, mark.column, "this text holds half a character (\\ud800 to \\udfff)", "delete it")
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, len(raw), raw)
        return value

    def _alias(self, event: Any) -> tuple[Any, str | None]:
        mark = event.start_mark
        self.aliases += 1
        name = event.anchor
        if self.aliases > MOST_ALIASES:
            raise self._stop(mark, f"this file repeats values with * more than {MOST_ALIASES} times", "")
        if name in self.open_anchors:
            raise self._stop(mark, f"*{name} stands inside of what it repeats", "")
        if name not in self.anchors:
            hint = "a text that begins with * needs quotes"
            self._problem(mark.line, mark.column, f"*{name} repeats a value that has no name &{name} above", hint)
            return None, None
        value, size, letters, raw = self.anchors[name]
        self.nodes += size - 1
        self.letters += letters
        self._check_bounds(0, mark)
        return value, raw

    def _pair(self, parent: "_Open", value: Any, rest: tuple[int, int, int, int, str | None, bool]) -> None:
        assert parent.key is not None
        key, line, column = parent.key
        parent.key = None
        if key in parent.value:
            hint = f"the first stands in line {parent.marks[key][0] + 1}"
            self._problem(line, column, f"the key `{key}` stands twice", hint, "key that stands twice")
            return
        parent.value[key] = value
        parent.marks[key] = (line, column, *rest)

    def _key(self, raw: str | None, mark: Any, *, plain: bool) -> str:
        if raw is None:
            hint = "a text that begins with { or [ needs quotes"
            self._problem(mark.line, mark.column, "a key must be a word, not a list or a mapping", hint)
            return f"\0{mark.line}:{mark.column}"
        if raw == "<<" and plain:
            self._problem(mark.line, mark.column, "`<<` means nothing here", "write the keys out")
        return raw


class _Open:
    """A mapping or a list whose end has not come yet."""

    __slots__ = ("anchor", "key", "letters_before", "marks", "nodes_before", "start", "value")

    def __init__(self, value: Any, event: Any, nodes: int, letters: int) -> None:
        self.value = value
        self.marks: Any = type(value)()
        self.key: tuple[str, int, int] | None = None
        self.anchor: str | None = event.anchor
        self.start = event.start_mark
        self.nodes_before = nodes
        self.letters_before = letters


def _syntax_problem(document: Document, line: int, column: int, start: int, said: str) -> Problem:
    at, where, message, hint = explain_syntax(document.lines, line, column, start, said)
    return problem(document.file, at + 1, where + 1, message, hint, "YAML mistake")
