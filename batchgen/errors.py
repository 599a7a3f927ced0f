"""The error tree and the exit codes. Every message here is read by a person, often in the morning after.

    BatchgenError
    ├── UsageError            2  nothing was started; the user edits something
    │   ├── JobError          2  mistakes in a job file or a prompt file, each with its place
    │   └── CatalogError      2  a provider or model that the catalogue does not know
    ├── StorageError          6  this machine's disk, folder or ledger
    ├── CredentialsError      7  no key, or a key or account that the provider refuses
    ├── BudgetError           5  money that the job may not spend
    ├── LockedError           8  another run holds the output folder
    ├── ProviderError         4  the provider cannot be reached, or not in the way it is configured
    └── PictureError          3  bytes that are not a whole picture

It refuses to know how an error is shown: `cli/` prints `message` and `hint`, and nothing else of it.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import Any, ClassVar


class Exit(IntEnum):
    """Exit codes of the command line: what a script may conclude without reading a word."""

    DONE = 0
    BUG = 1
    USAGE = 2
    TASKS_FAILED = 3
    UNAVAILABLE = 4
    BUDGET = 5
    STORAGE = 6
    ACCOUNT = 7
    LOCKED = 8
    HELD = 9
    SIGINT = 130
    SIGTERM = 143


_PRECEDENCE = (
    Exit.SIGINT,
    Exit.SIGTERM,
    Exit.BUG,
    Exit.USAGE,
    Exit.STORAGE,
    Exit.ACCOUNT,
    Exit.BUDGET,
    Exit.LOCKED,
    Exit.UNAVAILABLE,
    Exit.HELD,
    Exit.TASKS_FAILED,
)


def worst(codes: "set[Exit]") -> Exit:
    """The one exit code that says most when several apply; `Exit.DONE` for none."""
    return next((code for code in _PRECEDENCE if code in codes), Exit.DONE)


class BatchgenError(Exception):
    """Anything that batchgen tells the user about: what happened, to what, and what to do next.

    `message` is one or more lines; `hint` is the next step, or empty: a traceback, as in a notebook, shows it below the message.
    """

    exit_code: ClassVar[Exit] = Exit.BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"next: {hint}")

    def __reduce__(self) -> tuple[Any, ...]:  # a pool of processes hands errors on as the arguments that made them
        return type(self), (self.message, self.hint)


class UsageError(BatchgenError):
    """Nothing was started: the command line or a file has to be edited first."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: where it stands (lines and columns count from 1; 0 is unknown) and what to write instead."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    kind: str = "mistake"
    """What the mistake is one of ("unknown key", "missing picture"): counts are given by kind when there are many."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = f"{place}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


class JobError(UsageError):
    """Mistakes in a job file or in a prompt file: all of them, each with its place."""

    shown_at_most = 20

    def __init__(self, problems: "list[Problem]", hint: str = "") -> None:
        self.problems = tuple(problems)
        first = problems[: self.shown_at_most]
        # The same advice for mistake after mistake is given once, behind the last of them.
        same = [each.hint == after.hint for each, after in pairwise(first)]
        shown = [
            str(replace(problem, hint="") if repeated else problem)
            for problem, repeated in zip(first, [*same, False], strict=False)
        ]
        rest: dict[str, int] = {}
        for problem in problems[self.shown_at_most :]:
            rest[problem.kind] = rest.get(problem.kind, 0) + 1
        if rest:
            shown.append("and more: " + ", ".join(f"{count} × {kind}" for kind, count in rest.items()))
        super().__init__("\n".join(shown), hint)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.problems), self.hint)


class CatalogError(UsageError):
    """A provider, a profile or a model that the catalogue does not know."""


class StorageError(BatchgenError):
    """The disk, the output folder or the ledger of this machine does not do what is needed."""

    exit_code = Exit.STORAGE


class CredentialsError(BatchgenError):
    """No key was found, or the provider refuses the key or the account behind it."""

    exit_code = Exit.ACCOUNT


class BudgetError(BatchgenError):
    """Money that the job is not allowed to spend, or a price that nobody knows under a cost budget."""

    exit_code = Exit.BUDGET


class LockedError(BatchgenError):
    """Another run works on the same output folder."""

    exit_code = Exit.LOCKED


class ProviderError(BatchgenError):
    """The provider cannot be reached, or not in the way it is configured."""

    exit_code = Exit.UNAVAILABLE


class PictureError(BatchgenError):
    """Bytes that are not a whole picture of an accepted format."""

    exit_code = Exit.TASKS_FAILED
