"""Writes values as YAML in the many ways that people and programs do, and remembers where each of them begins."""

import json
import re
from random import Random
from typing import Any

_PLAIN = re.compile(r"[A-Za-zÀ-ÿ一-龥](?:[\w /.;=-]*[\wÀ-ÿ一-龥])?")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_CLEAN_LINES = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ufeff][^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]*", re.DOTALL)
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\0": "\\0", "\x1b": "\\e", "\x07": "\\a", "\xa0": "\\_", "\x85": "\\N"}

Place = tuple[int, int]
Loc = tuple[str | int, ...]


class Writer:
    """One YAML file; `rng` decides how each value is spelled. `places` hold line and column (from 1) of every value."""

    def __init__(self, rng: Random, *, core: bool = False) -> None:
        self.rng = rng
        self.core = core
        """Only what YAML 1.1 and 1.2 read alike."""
        self.text = ""
        self.places: dict[Loc, Place] = {}
        self.keys: dict[Loc, Place] = {}
        self.anchors: list[tuple[str, Any]] = []
        self.aliases = 0

    def document(self, value: dict[str, Any]) -> str:
        """The whole file."""
        self.text = self.rng.choice(["", "", "# a comment\n", "---\n", "\n\n"])
        if value and self.rng.random() < 0.9:
            self._block(value, 0, ())
        else:
            self._flow(value, ())
        if not self.text.endswith("\n"):
            self.text += self.rng.choice(["", "\n", " # the end\n"])
        return self.text

    def _here(self) -> Place:
        return self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n")

    def _block(self, value: Any, indent: int, loc: Loc, *, begun: bool = False) -> None:
        """A mapping or a list over several lines; with `begun`, its first line stands behind a hyphen."""
        first = True
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if not (first and begun):
                if not self.text.endswith("\n") and self.text:
                    self.text += self.rng.choice(["\n", "\n", "  # said\n"])
                if self.rng.random() < 0.1:
                    # No deeper than the key: behind a block of lines it would be one of them.
                    self.text += " " * self.rng.randrange(min(indent, 3) + 1) + "# between\n"
                self.text += " " * indent
            if first:
                self.places[loc] = self._here()
            first = False
            self._entry(key, item, indent, loc, named=isinstance(value, dict))

    def _entry(self, key: Any, item: Any, indent: int, loc: Loc, *, named: bool) -> None:
        here = (*loc, key)
        if not named:
            self.text += "-"
        elif self.rng.random() < 0.1:
            self.text += "? "
            self._key(key, here)
            self.text += "\n" + " " * indent + ":"
        else:
            self._key(key, here)
            self.text += ":"
        if isinstance(item, dict | list) and item and self.rng.random() < 0.7:
            if not named and self.rng.random() < 0.5:
                self.text += " "
                self._block(item, indent + 2, here, begun=True)
            else:
                self.text += "\n"
                self._block(item, indent + 2, here)
        else:
            self.text += " "
            self._value(item, here, indent)

    def _key(self, key: str, loc: Loc) -> None:
        self.keys[loc] = self._here()
        self.text += self._one_line(key)

    def _value(self, value: Any, loc: Loc, indent: int | None) -> None:
        """A value behind a colon, a hyphen or a comma; `indent` is None inside of brackets."""
        known = [name for name, other in self.anchors if type(other) is type(value) and other == value]
        self.places[loc] = self._here()
        if known and self.aliases < 50 and self.rng.random() < 0.5:
            self.aliases += 1
            self.text += f"*{known[0]}" + (" " if indent is None else "")
            return
        if not isinstance(value, dict | list) and value is not None and self.rng.random() < 0.15:
            name = f"a{len(self.anchors)}"
            self.anchors.append((name, value))
            self.text += f"&{name} "
        if isinstance(value, dict | list):
            self._flow(value, loc)
        elif (
            isinstance(value, str) and indent is not None and _CLEAN_LINES.fullmatch(value) and self.rng.random() < 0.4
        ):
            self._folded(value, indent) if self._foldable(value) else self._literal(value, indent)
        else:
            self.text += self._one_line(value) if isinstance(value, str) else self._other(value)

    def _flow(self, value: Any, loc: Loc) -> None:
        self.places.setdefault(loc, self._here())
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        self.text += opening
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for number, (key, item) in enumerate(items):
            self.text += self.rng.choice(["", " "]) if number == 0 else self.rng.choice([", ", ","])
            if self.rng.random() < 0.05:
                self.text += "\n" + " " * 60  # deeper than anything that is open here
            if isinstance(value, dict):
                self._key(key, (*loc, key))
                self.text += ": "
            self._value(item, (*loc, key), None)
        self.text += closing

    def _literal(self, text: str, indent: int) -> None:
        body = text.rstrip("\n")
        end = text[len(body) :]
        self.text += "|" + ("-" if not end else "" if end == "\n" else "+") + "\n"
        self.text += "".join(f"{' ' * (indent + 2)}{line}\n" if line else "\n" for line in body.split("\n"))
        self.text += "\n" * (len(end) - 1)

    def _foldable(self, text: str) -> bool:
        return "\n" not in text and all(text.split(" ")) and self.rng.random() < 0.5

    def _folded(self, text: str, indent: int) -> None:
        lines = "".join(self.rng.choice([" ", "\n" + " " * (indent + 2)]) if char == " " else char for char in text)
        self.text += ">-\n" + " " * (indent + 2) + lines + "\n"

    def _one_line(self, text: str) -> str:
        ways = [self._double(text)]
        if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
            ways += [text, text]
        if text.isprintable() and "\ufeff" not in text:
            ways.append("'" + text.replace("'", "''") + "'")
        return self.rng.choice(ways)

    def _double(self, text: str) -> str:
        return '"' + "".join(map(self._escaped, text)) + '"'

    def _escaped(self, char: str) -> str:
        number = ord(char)
        ways = [f"\\U{number:08x}"]
        if number < 0x10000:
            ways.append(f"\\u{number:04x}")
        if number < 0x100:
            ways.append(f"\\x{number:02x}")
        if char in _SHORT_ESCAPES:
            ways.append(_SHORT_ESCAPES[char])
        if char in '"\\':
            ways.append("\\" + char)
        elif char.isprintable() and char != "\ufeff":
            ways += [char] * 20
        return self.rng.choice(ways)

    def _other(self, value: Any) -> str:
        if value is None:
            return self.rng.choice(["null", "~", "Null", "NULL"])
        if isinstance(value, bool):
            return self.rng.choice([str(value).lower(), str(value), str(value).upper()])
        if isinstance(value, int) and not self.core:
            ways = [str(value)] + ([f"0x{value:x}", f"0o{value:o}", f"+{value}", f"00{value}"] if value >= 0 else [])
            return self.rng.choice(ways)
        return json.dumps(value)
