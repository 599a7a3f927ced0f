"""Values as YAML that is read back as just these values, whatever they hold. It refuses to lay out whole files."""

import json
from typing import Any


def quoted(text: str) -> str:
    """A double-quoted scalar in one line; what cannot be seen is spelt out."""
    return "".join(map(_spelled, json.dumps(text, ensure_ascii=False)))


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
        return f"{{{', '.join(f'{quoted(str(key))}: {flow(each)}' for key, each in value.items())}}}"
    return json.dumps(value, allow_nan=False)
