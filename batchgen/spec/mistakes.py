"""Collects what is wrong with a job, each with its place, so that the user sees all of it at once.

It refuses to decide what a mistake is.
"""

from collections.abc import Sequence

from batchgen.errors import JobError, Problem
from batchgen.spec.wording import MOST_PROBLEMS, problem, too_many
from batchgen.spec.yaml_reader import Document


class Mistakes:
    """The mistakes found so far in one job file and in the files that it names."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.damaged: set[str] = set()
        """Keys at the top of the file under which something was wrong: what depends on them is not judged."""

    def add(
        self, loc: Sequence[str | int], message: str, hint: str = "", *, kind: str = "mistake", key: bool = False
    ) -> None:
        """Note a mistake at `loc` of the job file, or at its key."""
        line, column = self.document.place(loc, key=key)
        if loc:
            self.damaged.add(str(loc[0]))
        self.add_at(problem(self.document.file, line, column, message, hint, kind))

    def add_line(self, line: int, column: int, message: str, hint: str = "") -> None:
        """Note a mistake at a line and column of the job file, counted from 0."""
        self.add_at(problem(self.document.file, line + 1, column + 1, message, hint))

    def add_at(self, found: Problem) -> None:
        """Note a mistake of another file. Raises JobError when there are so many that reading on helps nobody."""
        self.problems.append(found)
        if len(self.problems) >= MOST_PROBLEMS:
            raise too_many(self._in_order())

    def touched(self, key: str, loc: Sequence[str | int]) -> bool:
        """Whether something was already said about `key` at the top of the file."""
        return not loc and key in self.damaged

    def raise_if_any(self) -> None:
        """Raise JobError with all mistakes, in the order of the files' lines, each once."""
        if self.problems:
            raise JobError(self._in_order())

    def _in_order(self) -> list[Problem]:
        unique = dict.fromkeys(self.problems)
        return sorted(unique, key=lambda found: (found.file, found.line, found.column))
