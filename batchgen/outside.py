"""What came from outside, made harmless for the place where it is going to stand: a line of text, of JSON, of CSV.

Prompts, messages, file names and links are written by people and machines that nobody here knows. This is the one place
where they lose what a terminal would obey, what would begin another line, and what a spreadsheet would calculate. It
refuses to know where the text is shown, and to hide what is secret: that is `secret.py`.
"""

import json
import re
from typing import Any

_BREAKS = re.compile(r"(?:\r\n|[\t\n\v\f\r\x85\u2028\u2029])")
_MARKS = (
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # change the direction in which the rest of the line is read
    r"\u00ad\u200b\u2060-\u2064\ufeff\ufff9-\ufffb"  # no width: two different texts would look the same
    r"\U000e0000-\U000e0fff"
)
_OBEYED = re.compile(rf"[\x00-\x1f\x7f-\x9f{_MARKS}]")
"""C0, DEL and C1, where escape sequences begin; and marks that nobody sees."""
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
_SPACES = re.compile(r"[ \xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0]{2,}")
_ESCAPED = re.compile(rf"[\x7f-\x9f\u2028\u2029\ud800-\udfff{_MARKS}]")
"""Legal in JSON, yet obeyed by terminals, taken for a line's end by some readers, or not encodable."""
_CALCULATED = re.compile(r"\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n]")
"""How a cell begins that a spreadsheet takes for a formula; some programs strip white space first, or widths."""
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")


def clean(text: object, limit: int = 200) -> str:
    """Outside text as one harmless line of at most `limit` characters; what is cut off ends in `…`.

    Tabs, line breaks and rows of spaces become one space; control characters, escape sequences' beginnings, direction
    marks and characters without width are dropped; what cannot be encoded becomes the replacement character.
    """
    # Cut before the work: a message may be megabytes, and what is dropped must not cost more than what is shown.
    line = _BREAKS.sub(" ", str(text)[: limit * 4])
    line = _SPACES.sub(" ", printable(line)).strip()
    return line if len(line) <= limit else line[: max(0, limit - 1)].rstrip() + "…"


def printable(line: str) -> str:
    """A line of ours with outside text in it, such as the name of a folder: its layout stays, what is obeyed goes."""
    return _LONE_SURROGATES.sub("\ufffd", _OBEYED.sub("", line))


def json_text(value: Any, *, indent: int | None = None, compact: bool = False) -> str:
    """`value` as JSON in which every text comes back as it was and none is obeyed by a terminal or ends a line.

    It is one line unless `indent` is given. Raises ValueError for a number that JSON lacks (NaN, infinity).
    """
    separators = (",", ":") if compact else None
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators, default=str)
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def csv_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet calculates: one that begins like a formula gets an apostrophe in front.

    A plain number stays as it is.
    """
    return f"'{text}" if _CALCULATED.match(text) and not _NUMBER.fullmatch(text) else text
