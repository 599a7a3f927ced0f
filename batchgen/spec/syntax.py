"""Why YAML could not go on, in words for people, with the line written right.

It owns the usual reasons (a brace, a quotation mark, a tab, a colon) and how a text is put into quotes. It refuses to
know what a job is, and it never repeats a line that may hold a key.
"""

import re
from collections.abc import Sequence

_LINE = re.compile(r"^(\s*(?:-\s+)*(?:[\w.-]+:\s+)?)(.*)$")
_CLOSED = {"{": re.compile(r"\{[^{}]*\}(.*)"), "[": re.compile(r"\[[^\[\]]*\](.*)")}
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*([^\s#:,\]}].*)""")
_WIDE_COLON = re.compile(r"^\s*(?:-\s+)?([A-Za-z_]+)\s*：")
_TIGHT_COLON = re.compile(r"^\s*(?:-\s+)?([A-Za-z_]+):(?=[^\s/:])")
SECRET_KEY = re.compile(
    r"^(?:(?:x[-_])?api[-_]?key|apikey|authorization|(?:access|auth|api|bearer)?[-_]?token|secret(?:[-_]?key)?|password|passwd"
    r"|credentials?|bearer)$",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(r"(?:^|[^\w-])(?:sk-[\w-]{6,}|Bearer\s+\S{6,})", re.IGNORECASE)

_SHORT = 40
_LONGEST_LINE = 2000
"""Of characters: longer lines are written by machines, and no line is shown that long."""

Explained = tuple[int, int, str, str]


def explain_syntax(lines: Sequence[str], line: int, column: int, start: int, problem: str) -> Explained:
    """Line and column (from 0), message and hint for a place where YAML could not go on."""
    line, start = min(line, len(lines) - 1), min(start, len(lines) - 1)
    if max(len(lines[number]) for number in {line, start}) > _LONGEST_LINE:
        return line, column, "YAML cannot be read on from here", "check the quotation marks and brackets before it"
    for number in dict.fromkeys((line, start, max(line - 1, 0))):
        found = _explain_line(lines[number][:_LONGEST_LINE], number)
        if found:
            return found
    for number in range(line, max(-1, line - 200), -1):
        found = explain_colon(lines[number][:_LONGEST_LINE], number)
        if found:
            return found
    if "mapping values" in problem:
        fixed = _fixed(lines[line], 0)
        return line, column, "a text with a colon and a space in it needs quotes", fixed
    before = next((at for at in range(line - 1, max(-1, line - 200), -1) if lines[at].strip()), line)
    lost = re.search(r"\S\s+(#.*)", lines[before]) if len(lines[before]) <= _LONGEST_LINE else None
    if lost:
        return before, lost.start(1), f"everything from ` #` on is a comment: {lost[1]}", _fixed(lines[before], 0)
    if "end of stream" in problem:
        return (
            start,
            0,
            "a quotation mark opens here and is never closed",
            "close it, or quote the text in the other kind",
        )
    if "',' or" in problem:
        bracket = problem.rstrip("'")[-1]
        return start, 0, f"the closing {bracket} is missing", "close it before the next line"
    return (
        line,
        column,
        "this line does not fit the ones above",
        "check how far it is indented, and text that needs quotes",
    )


def _explain_line(text: str, number: int) -> Explained | None:
    indent = text[: len(text) - len(text.lstrip())]
    if "\t" in indent:
        hint = "write: " + text.replace("\t", "  ", indent.count("\t")) if not looks_secret(text) else ""
        return number, indent.index("\t"), "this line is indented with a tab; YAML takes spaces only", hint
    lead, body = _split(text)
    if not body:
        return None
    at = len(lead)
    first = body[0]
    if first in _CLOSED:
        closed = _CLOSED[first].match(body)
        if body.startswith("{{") or (closed and re.match(r"\s*[^\s#,:\]}]", closed[1])):
            return number, at, f"a text that begins with {first} needs quotes", _fixed(text, at)
    if first in "\"'" and _QUOTED.match(body):
        return number, at, "a text that begins with a quotation mark needs quotes around all of it", _fixed(text, at)
    if first in "@`%&*!>|" and re.match(r".\s*\w", body):
        return number, at, f"a text that begins with {first} needs quotes", _fixed(text, at)
    return explain_colon(text, number) if "：" in text else None


def explain_colon(text: str, number: int) -> Explained | None:
    """What is wrong with the colon behind the key that a line begins with, if anything is."""
    wide = _WIDE_COLON.match(text)
    if wide:
        at = text.index("：")
        right = re.sub(r"\s*：\s*", ": ", text, count=1).rstrip()
        return number, at, "this is a full-width colon (：); YAML takes the plain one", _shown(right)
    tight = _TIGHT_COLON.match(text)
    if tight:
        return number, tight.end(), "a space is missing after the colon", _shown(text.replace(":", ": ", 1))
    return None


def _split(text: str) -> tuple[str, str]:
    found = _LINE.match(text)
    return (found[1], found[2].rstrip()) if found else ("", text)


def _fixed(text: str, at: int) -> str:
    """The line with its text in quotes."""
    lead, body = _split(text) if not at else (text[:at], text[at:].rstrip())
    if not at and re.match(r"^\s*-\s", text):
        lead = re.match(r"^\s*(?:-\s+)+", text)[0]  # type: ignore[index]
        body = text[len(lead) :].rstrip()
    if body.startswith("[") and body.endswith("]"):  # a list in one line: its last text was cut
        *others, last = body[1:-1].split(",")
        return _shown(lead + "[" + ", ".join([*(each.strip() for each in others), quoted(last.strip())]) + "]")
    return _shown(lead + quoted(body))


def _shown(right: str) -> str:
    return "" if looks_secret(right) else f"write: {right.strip()}"


def quoted(text: str) -> str:
    """`text` as YAML has to spell it to mean exactly itself."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def but_not(written: object) -> str:
    """`, not …` with what was written instead of what was expected, where that is short and no secret."""
    if written is None or isinstance(written, dict | list | tuple):
        return ""
    text = str(written)
    return f", not {text}" if text and len(text) <= _SHORT and text.isprintable() and not looks_secret(text) else ""


def looks_secret(text: str) -> bool:
    """Whether a line may hold a key: such a line is never repeated."""
    words = re.findall(r"[\w-]+", text)
    return any(SECRET_KEY.match(word) for word in words) or bool(SECRET_VALUE.search(text))
