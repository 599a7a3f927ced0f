"""Text with `{x}` in it: parsing, the names it uses, and putting values in.

`{{` and `}}` are braces; names ignore case. Values that are put in are never looked at again. It refuses to know what the
names stand for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """A brace that opens or closes nothing; the text says which and what to write."""


@dataclass(frozen=True, slots=True)
class Template:
    """`literals[0] names[0] literals[1] names[1] … literals[-1]`: one more literal than names."""

    literals: tuple[str, ...]
    names: tuple[str, ...] = ()

    def render(self, values: Mapping[str, str]) -> str:
        """The text with every name replaced by its value. Raises KeyError for a name without one."""
        if not self.names:
            return self.literals[0]
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts.extend((values[name], literal))
        return "".join(parts)

    def filled(self, values: Mapping[str, str]) -> "Template":
        """The template with the values of some names put in for good; the other names stay."""
        if not any(name in values for name in self.names):
            return self
        literals: list[str] = []
        names: list[str] = []
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            if name in values:
                parts += values[name], literal
            else:
                names.append(name)
                literals.append("".join(parts))
                parts = [literal]
        return Template((*literals, "".join(parts)), tuple(names))

    def longest(self, longest_of: Mapping[str, int]) -> int:
        """How many characters the text can have at most, when no value of a name is longer than `longest_of` says."""
        return sum(map(len, self.literals)) + sum(longest_of.get(name, 0) for name in self.names)

    @property
    def anonymous(self) -> str:
        """The text with its names numbered by first appearance, so that a renamed variable is the same text."""
        if not self.names:
            return self.literals[0]
        numbers: dict[str, str] = {}
        for name in self.names:
            numbers.setdefault(name, f"\0{len(numbers)}\0")
        return self.render(numbers)


def parse(text: str) -> Template:
    """The template that `text` spells. Raises TemplateError for a stray brace."""
    if "{" not in text and "}" not in text:
        return Template((text,))
    return _parse(text)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Template:
    literals: list[str] = []
    names: list[str] = []
    parts: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        parts.append(text[at : token.start()])
        at = token.end()
        word = token[0]
        if word in {"{{", "}}"}:
            parts.append(word[0])
        elif token[1] is not None and token[1].strip():
            names.append(token[1].strip().lower())
            literals.append("".join(parts))
            parts = []
        else:
            doubled = "{{}}" if word == "{}" else word * 2
            raise TemplateError(f"the brace {word} names no variable; write {doubled} for a brace, or `literal: true`")
    return Template((*literals, "".join([*parts, text[at:]])), tuple(names))


def plain(text: str) -> Template:
    """A template of `text` exactly as it stands, braces and all."""
    return Template((text,))


def compile_value(value: Any, *, literal: bool = False) -> tuple[Any, tuple[str, ...]]:
    """A request field's value with a Template in place of every text that names something, and the names in order.

    Lists and mappings are looked through. Raises TemplateError.
    """
    if isinstance(value, str):
        if literal:
            return value, ()
        template = parse(value)
        return (template, template.names) if template.names else (template.literals[0], ())
    if isinstance(value, list | tuple):
        parts = [compile_value(item, literal=literal) for item in value]
        return [part for part, _ in parts], tuple(name for _, names in parts for name in names)
    if isinstance(value, Mapping):
        pairs = {key: compile_value(item, literal=literal) for key, item in value.items()}
        names = tuple(name for _, found in pairs.values() for name in found)
        return {key: part for key, (part, _) in pairs.items()}, names
    return value, ()


def render_value(value: Any, values: Mapping[str, str]) -> Any:
    """The opposite of `compile_value`: every Template in `value` becomes its text."""
    if isinstance(value, Template):
        return value.render(values)
    if isinstance(value, list):
        return [render_value(item, values) for item in value]
    if isinstance(value, dict):
        return {key: render_value(item, values) for key, item in value.items()}
    return value


def longest_value(value: Any, longest_of: Mapping[str, int]) -> int:
    """`Template.longest` over all texts of a compiled value."""
    if isinstance(value, Template):
        return value.longest(longest_of)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(longest_value(item, longest_of) for item in items)
