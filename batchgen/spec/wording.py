"""How a mistake is said: one harmless line of bounded length, however hostile or long the words in it are.

It owns what happens to the words of job files and prompt files on their way into a message, and how many mistakes are
collected. It refuses to decide what a mistake is.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any

from batchgen.catalog import catalog
from batchgen.errors import JobError, Problem
from batchgen.outside import clean
from batchgen.spec.syntax import SECRET_VALUE

LONGEST_MESSAGE = 500
MOST_PROBLEMS = 200
"""Reading stops at so many mistakes: nobody repairs more of them by hand, and a file made of mistakes costs no hours."""

_LONGEST_NAME = 300
_LONGEST_WORD = 80
_MOST_WORDS = 500
_SHOWN_WORDS = 30


def problem(file: object, line: int, column: int, message: str, hint: str = "", kind: str = "mistake") -> Problem:
    """A mistake at a line and column (from 1; 0 is unknown), with nothing in it that a terminal obeys and no key."""
    return Problem(clean(file, _LONGEST_NAME), line, column, harmless(message), harmless(hint), clean(kind))


def harmless(text: str) -> str:
    """Words of a message, with outside text in them, as one line of at most 500 characters."""
    line = clean(text, LONGEST_MESSAGE)
    return SECRET_VALUE.sub(" …", line)


def too_many(problems: Iterable[Problem]) -> JobError:
    """What is raised when reading stopped because of the number of mistakes."""
    return JobError(
        list(problems), f"repair these first: reading stopped at {MOST_PROBLEMS} mistakes, and there may be more"
    )


def nearest(word: str, known: Mapping[str, Any] | Collection[str]) -> str | None:
    """The known word that was most likely meant; None for none, and for words that nobody mistypes."""
    if len(word) > _LONGEST_WORD:
        return None
    return catalog.nearest(word, [name for name in islice(known, _MOST_WORDS) if len(name) <= 2 * _LONGEST_WORD])


def listed(words: Collection[str]) -> str:
    """The first thirty of some words, for a hint."""
    shown = ", ".join(clean(word, _LONGEST_WORD) for word in islice(words, _SHOWN_WORDS))
    return shown if len(words) <= _SHOWN_WORDS else f"{shown} and {len(words) - _SHOWN_WORDS} more"
