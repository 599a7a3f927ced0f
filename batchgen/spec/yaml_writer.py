"""Values as YAML that is read back as just these values, whatever they hold. It refuses to lay out whole files."""

import json
import re
from typing import Any

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_TEXT = {"true", "false", "null", "yes", "no", "on", "off"}


def quoted(text: str) -> str:
    """A double-quoted scalar in one line; what cannot be seen is spelt out."""
    return "".join(map(_spelled, json.dumps(text, ensure_ascii=False)))


def _key(text: str) -> str:
    """A key without quotes, where no reader of YAML takes it for anything but text."""
    return text if _WORD.fullmatch(text) and text.lower() not in _NO_TEXT else quoted(text)


def _spelled(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"


def flow(value: Any) -> str:
    """Any JSON value in one line."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(str(key))}: {flow(each)}' for key, each in value.items())}}}"
    return json.dumps(value, allow_nan=False)
