"""Names that are safe as files and folders on Linux, macOS and Windows, whatever text they are made from.

It owns the cleaning of a single part, the default id of a prompt, and the template of `output.name`. It refuses to look
at a disk: whether a name is taken is the ledger's to know.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from batchgen.spec import template

LONGEST_PART = 80
"""Bytes of UTF-8 in one part of a path."""
NAME_WORDS = ("prompt_id", "row", "model", "seed", "id", "try", "index", "night")
"""What `output.name` may name besides variables and columns."""

_SLUG_BYTES = 40
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,78}[A-Za-z0-9_-]|[A-Za-z0-9_]")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\..*)?", re.IGNORECASE)
_SEPARATORS = frozenset('<>:"/\\|?*')
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but part of how words of some scripts and many emoji are written."""
_NOT_SLUG = re.compile(r"[\W_]+")


def clean_part(text: str, ascii: bool = False) -> str:  # noqa: A002  # the key of the job file
    """`text` as one part of a path: never empty, never `.` or `..`, no separator, at most 80 bytes.

    Letters of any script stay; with `ascii` only a-z, A-Z, digits, `.`, `_` and `-` do.
    """
    if _SAFE.fullmatch(text) and not _RESERVED.fullmatch(text):
        return text
    cleaned = unicodedata.normalize("NFC", "".join(map(_safe_character, unicodedata.normalize("NFC", text))))
    if ascii:
        cleaned = _to_ascii(cleaned)
    cleaned = _cut(_trim(cleaned), LONGEST_PART)
    if _RESERVED.fullmatch(cleaned):
        cleaned = _cut("_" + cleaned, LONGEST_PART)
    return cleaned or "_"


def _safe_character(character: str) -> str:
    if character in _SEPARATORS:
        return "-"
    if character.isascii():
        return character if " " <= character < "\x7f" else ("-" if character.isspace() else "")
    if unicodedata.category(character) in _UNSEEN and character not in _JOINERS:
        return ""
    return " " if character.isspace() else character


def _trim(text: str) -> str:
    """Windows drops trailing dots and spaces, a leading dot hides, a leading hyphen is taken for an option."""
    return text.strip().lstrip(".- ").rstrip(". ")


def _to_ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = _trim(re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-"))
    # A name in another script would vanish: its hash keeps two of them apart.
    return plain or "u" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def _cut(text: str, limit: int) -> str:
    data = text.encode("utf-8")
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "ignore").rstrip(". \u200c\u200d")


def slug(text: str, limit: int = _SLUG_BYTES) -> str:
    """The words of `text` in lower case with hyphens between them; empty when it has none."""
    normal = unicodedata.normalize("NFC", text).lower()
    words = _cut(_NOT_SLUG.sub("-", normal[: 4 * limit]).strip("-"), limit + 1)
    if len(words.encode()) > limit:
        words = words.rpartition("-")[0] or _cut(words, limit)
    return words.strip("-")


def default_row_id(prompt: template.Template) -> str:
    """The id of a prompt that was given none: a slug of its text and 4 hex digits of its hash."""
    words = slug(" ".join(prompt.literals))
    digest = hashlib.sha256(prompt.anonymous.encode("utf-8")).hexdigest()[:4]
    return f"{words}-{digest}" if words else digest


def short_ids(names: Iterable[str]) -> dict[str, str]:
    """What stands for each short name of one variable in a prompt id: all different, none longer than a slug."""
    result: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        part = name if _SAFE.fullmatch(name) and len(name) <= _SLUG_BYTES else slug(name)
        if not part or part.lower() in taken:
            digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:4]
            part = f"{part}-{digest}" if part else digest
        taken.add(part.lower())
        result[name] = part
    return result


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """`output.name`, ready to be filled in: one template per folder level."""

    parts: tuple[template.Template, ...]
    ascii: bool

    @property
    def names(self) -> frozenset[str]:
        """Everything that the template names."""
        return frozenset(name for part in self.parts for name in part.names)


def parse_name(text: str, *, ascii: bool = False) -> NameTemplate:  # noqa: A002
    """The template of `output.name`. Raises TemplateError for a stray brace; slashes make folders."""
    parts = [template.parse(part) for part in text.replace("\\", "/").split("/") if part]
    return NameTemplate(tuple(parts) or (template.parse("{id}"),), ascii)


def task_name(name: NameTemplate, values: Mapping[str, str]) -> str:
    """The path of a task's picture below `images/`, without extension. A name without a value leaves nothing.

    `values` hold cleaned parts (`clean_part`); the result never leaves the folder it is put into.
    """
    return "/".join([_part(part, values, ascii=name.ascii) for part in name.parts])


def _part(part: template.Template, values: Mapping[str, str], *, ascii: bool) -> str:  # noqa: A002
    if len(part.names) == 1 and part.literals == ("", ""):
        text = values.get(part.names[0], "")
    else:
        text = _joined(part.literals, [values.get(name, "") for name in part.names])
    if _SAFE.fullmatch(text) and not _RESERVED.fullmatch(text):
        return text
    filled = [values.get(name, "") for name in part.names]
    while filled and len(text.encode("utf-8")) > LONGEST_PART:
        longest = max(range(len(filled)), key=lambda at: len(filled[at].encode("utf-8")))
        size = len(filled[longest].encode("utf-8"))
        over = len(text.encode("utf-8")) - LONGEST_PART
        if size <= 8:
            break
        filled[longest] = _cut(filled[longest], max(size - over, 8))
        text = _joined(part.literals, filled)
    return clean_part(text, ascii)


def _joined(literals: Sequence[str], filled: Sequence[str]) -> str:
    text = literals[0]
    for value, literal in zip(filled, literals[1:], strict=True):
        text += value + literal
    return text
