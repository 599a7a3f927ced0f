"""The key and signed links, and how they are kept out of everything that is written or shown.

A provider may repeat the key in an error, a header, a link or a page, in spellings of its own. Whatever comes from outside passes through here
before it is cut, kept or told. It refuses to know where the key comes from and where it is sent.
"""

import base64
import re
from collections.abc import Iterator
from html.entities import codepoint2name
from typing import Final

SHORTEST = 8
"""Characters. A shorter word is nobody's secret, and hiding it would tear holes into ordinary text."""
HIDDEN = "***"

_PIECE = 16 * 1024
_LONGEST_FORM = 12
"""Characters that one character may be written in."""


class Secret:
    """The key of one provider, or none. Its `repr` shows nothing."""

    __slots__ = ("_in_base64", "_longest", "_spellings", "value")

    def __init__(self, value: str | None) -> None:
        self.value: Final = value
        hides = value is not None and len(value) >= SHORTEST
        self._longest = 2 * _LONGEST_FORM * len(value or "")
        self._in_base64 = tuple(_in_base64((value or "").encode())) if hides else ()
        self._spellings = re.compile(_any_spelling(value or ""), re.IGNORECASE) if hides else None

    def __repr__(self) -> str:
        return "Secret()"

    def hide(self, text: str) -> str:
        """`text` with `***` for the key: plain, in base64 at any offset, percent-encoded, escaped, or in hex."""
        return text if self._spellings is None else self._spellings.sub(HIDDEN, text)

    def beginning(self, text: str, limit: int) -> str:
        """At most the first `limit` characters of `text`, without the key and without half of it at the end."""
        looked_at = text[: 16 * limit]
        hidden = self.hide(looked_at)
        if len(looked_at) < len(text):
            hidden = hidden[: max(0, len(hidden) - self._longest)]
        return hidden[:limit]

    def hide_in(self, body: bytes, *, cut: bool = False) -> bytes:
        """The same for the bytes of an answer; of one that is `cut` the end goes, where half of the key may stand."""
        if self._spellings is None or self.value is None:
            return body
        for wide in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
            body = body.replace(self.value.encode(wide), HIDDEN.encode())
        # In pieces, so that a thread which does this lets the others go on; a spelling across a seam is found by both.
        text = body.decode("latin-1")
        at, kept = 0, []
        while at < len(text):
            found = self._spellings.search(text, at, at + _PIECE + self._longest)
            end = min(found.start() if found else at + _PIECE, len(text))
            kept.append(text[at:end])
            if found:
                kept.append(HIDDEN)
            at = found.end() if found else end
        hidden = "".join(kept).encode("latin-1")
        return hidden[: max(0, len(hidden) - self._longest)] if cut else hidden

    def is_in_base64(self, inline: str) -> bool:
        """Whether base64 of a picture holds the key's own base64: one look at each of a few spellings, however long it is."""
        return any(word in inline for word in self._in_base64)

    def is_in(self, text: str) -> bool:
        """Whether the key stands in `text`, in any of those spellings."""
        return self._spellings is not None and self._spellings.search(text) is not None


NO_SECRET: Final = Secret(None)

_UNSEEN = "[\u200b-\u200f\u2060-\u2064\u2800\u3164\ufe00-\ufe0f\u00ad]{0,3}"
"""What shows nothing between two letters, and is left in texts because some scripts and emoji need it."""
_LINE_END = r"(?:\\[rn]|[\r\n]){0,2}"
"""Base64 comes in lines."""

_QUERY = re.compile(r"(https?:(?:\\?/){1,2}[^\s?#\"'<>]{1,8000})[?#][^\s\"'<>]+", re.IGNORECASE)


def without_signatures(text: str) -> str:
    """`text` with every link cut off at its query, which is what opens a signed one."""
    return _QUERY.sub(r"\1?…", text)


def _any_spelling(key: str) -> str:
    """A pattern for the whole key in any way in which it may be written."""
    words = [key, key.encode().hex()]
    base64_words = list(_in_base64(key.encode()))
    # Most positions of a text are passed over by one look at one character.
    first = "".join({re.escape(word[0]) for word in (*words, *base64_words)})
    patterns = [_UNSEEN.join(map(_any_form, word)) for word in words]
    patterns += [_LINE_END.join(map(_any_form, word)) for word in base64_words]
    return rf"(?=[{first}%\\&])(?:{'|'.join(patterns)})"


def _in_base64(data: bytes) -> Iterator[str]:
    """The characters that depend on `data` alone, for each place it may have within a longer text; both alphabets."""
    for before, dropped in ((0, 0), (1, 2), (2, 3)):
        whole = (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data)[dropped:whole].decode()


def _any_form(character: str) -> str:
    """One character as it is, percent-encoded (also twice), escaped as in JSON, or as an HTML entity.

    Repetitions are bounded: a text of nothing but backslashes must not take longer than another.
    """
    number = ord(character)
    forms = [
        re.escape(character),
        rf"%(?:25){{0,3}}{number:02x}",
        rf"\\\\?(?:u00{number:02x}|x{number:02x}|{re.escape(character)})",
        rf"&(?:amp;)?#(?:0{{0,4}}{number}|x0{{0,4}}{number:x});?",
    ]
    if number in codepoint2name:
        forms.append(f"&{codepoint2name[number]};")
    return f"(?:{'|'.join(forms)})"
