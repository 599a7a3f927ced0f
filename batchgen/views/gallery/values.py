"""What a ledger says, with the types it should have: one that comes from a stranger may hold anything in any column.

Whatever is not a text, a number or a record of the expected kind becomes empty. It refuses to raise.
"""

import json
import math
import re
import sqlite3
from typing import Any

from batchgen.engine.rows import iso
from batchgen.outside import clean

SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1_000_000
"""No side of a picture has more pixels, and no answer more pictures."""


def record_of(task: sqlite3.Row) -> dict[str, Any]:
    """What the ledger keeps of a task, with every field of the type it should have."""
    try:
        loaded = json.loads(task["record"], parse_constant=lambda _: None, parse_float=finite)
    except (ValueError, TypeError, RecursionError):
        loaded = {}
    kept: dict[str, Any] = loaded if isinstance(loaded, dict) else {}
    texts = ("prompt_id", "row", "prompt", "provider", "model", "label", "night")
    maps = {name: kept[name] if isinstance(kept.get(name), dict) else {} for name in ("params", "extra_params")}
    variables = kept.get("vars") if isinstance(kept.get("vars"), dict) else {}
    assert isinstance(variables, dict)
    record = {name: text(kept.get(name)) for name in texts} | maps
    record["label"] = record["label"] or text(task["label"])
    record["model"] = record["model"] or text(task["model"])
    return record | {
        "vars": {name: value for name, value in variables.items() if isinstance(value, str)},
        **{name: whole(kept.get(name)) for name in ("seed", "try", "index")},
    }


def text(value: object) -> str:
    """A text as it is."""
    return value if isinstance(value, str) else ""


def line(value: object, limit: int) -> str:
    """What should be a word, as one harmless line; most are."""
    word = text(value)
    return word if word.isascii() and word.isalnum() and len(word) <= limit else clean(word, limit)


def whole(value: object) -> int:
    """A whole number from 0 on, no larger than seeds are."""
    return value if isinstance(value, int) and 0 <= value <= 9_999_999_999 else 0


def small(value: object) -> int:
    """One that counts pixels or pictures."""
    return min(whole(value), _LARGEST)


def flags(value: object) -> tuple[str, ...]:
    """A JSON list of words, each once."""
    try:
        loaded = json.loads(text(value))
    except (ValueError, RecursionError):
        return ()
    words = [clean(flag, 40) for flag in loaded if isinstance(flag, str)] if isinstance(loaded, list) else []
    return tuple(dict.fromkeys(words))


def inside(name: str) -> str:
    """A file's name relative to the folder, or nothing for one that may lead out of it, on any system's reading."""
    parts = name.split("/")
    wrong = any(part in {"", ".", ".."} for part in parts) or "\0" in name or "\\" in name
    return "" if wrong or len(parts) == 1 else name


def time(value: object) -> str:
    """UTC seconds since the epoch as ISO 8601."""
    try:
        return iso(value) if isinstance(value, int | float) and value else ""
    except (ValueError, OverflowError, OSError):
        return ""


def finite(written: str) -> float | None:
    """A number as JSON writes it; None for one that is too large to be any."""
    number = float(written)
    return number if math.isfinite(number) else None
