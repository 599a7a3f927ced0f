"""Which stored pictures of a folder are handed on, and their bytes: the start of every export and contact sheet.

It owns the choice, that only whole pictures of the folder itself pass, and that a ledger is read as it was at one
moment. It refuses to change the folder, and to follow anything that leads out of it: a ledger may be a stranger's.
"""

import dataclasses
import functools
import hashlib
import operator
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from batchgen.engine.rows import manifest_row
from batchgen.errors import StorageError, UsageError
from batchgen.spec.matching import TASK_WORDS, fits
from batchgen.spec.wording import harmless, listed, nearest
from batchgen.storage import disk
from batchgen.storage.manifest import ManifestRow
from batchgen.storage.queries import manifest_rows
from batchgen.views.marks import Mark, mark_key

LARGEST_PICTURE = 256 * 1024 * 1024
"""Bytes. No picture that passed the check comes near it; a ledger that somebody made up may name a file that does."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FIELDS = dataclasses.fields(ManifestRow)
_values = operator.attrgetter(*(field.name for field in _FIELDS))
_numbers = operator.attrgetter(*(field.name for field in _FIELDS if field.type is int))
_TYPES = tuple(field.type for field in _FIELDS)
_FORMATS = frozenset({"png", "jpeg", "webp"})
_MOST = 2**63
"""No whole number of a ledger reaches it, and many readers know none above it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which stored pictures are handed on: those that fit all of `only` (names in any case), flagged ones or not.

    With `kept`, the marks of the gallery by `marks.mark_key`, only those that are marked to be kept.
    """

    only: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_flagged: bool = False
    kept: Mapping[str, Mark] | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: how many pictures, and how many it left out because their file is missing or changed."""

    path: Path
    pictures: int
    left_out: int
    replaced: bool
    """Whether the export took the place of an earlier one."""
    notes: tuple[str, ...] = ()
    """What else the user should know, a line each."""


class Chosen:
    """The chosen pictures, in the order they were stored. `left_out` counts those that were not whole, so far."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, choice: Choice) -> None:
        self.folder = folder
        self.variables = _variables(connection)
        """The names of all variables and columns of the folder's stored pictures, whatever is chosen of them."""
        self.left_out = 0
        self._connection = connection
        self._choice = dataclasses.replace(choice, only=_checked(choice.only, self.variables))
        self._is_whole = _whole_in(folder)
        self._root = os.open(folder, _FOLDER)
        self._above: tuple[str, int] = ("", self._root)

    def __iter__(self) -> Iterator[tuple[ManifestRow, dict[str, Any]]]:
        """Each whole picture as the manifest lists it, and as `storage.queries.manifest_rows` does.

        Raises UsageError after the last one when the choice fits no picture at all.
        """
        stored = chosen = 0
        for row, facts in self._rows():
            stored += 1
            if not self._is_chosen(row, facts):
                continue
            chosen += 1
            if self._is_whole(row):
                yield row, facts
            else:
                self.left_out += 1
        if chosen:
            return
        if self._choice.only:
            raise UsageError("--only fits no stored picture", "leave it out to export all of them")
        if self._choice.kept is not None and stored:
            raise UsageError(
                "--kept: none of the pictures that are stored here is marked to be kept",
                "press K on some in the gallery and save the marks, or leave --kept out to export all pictures",
            )

    def read(self, row: ManifestRow) -> bytes | None:
        """The bytes of a picture, as the ledger knows them; None (and counted in `left_out`) when they changed."""
        try:
            with self.open_folder_of(row) as (folder, name):
                data = disk.read(name, folder, min(row.bytes, LARGEST_PICTURE))
        except (OSError, ValueError):
            data = None
        if data is None or len(data) != row.bytes or hashlib.sha256(data).hexdigest() != row.sha256:
            self.left_out += 1
            return None
        return data

    @contextmanager
    def open_folder_of(self, row: ManifestRow) -> Iterator[tuple[int, str]]:
        """An open folder and the picture's name in it, reached without a link. Raises OSError where there is none."""
        above, _, name = row.file_name.rpartition("/")
        if self._above[0] != above:
            self._let_go()
            self._above = (above, _descend(self._root, above.split("/")))
        yield self._above[1], name

    def _rows(self) -> Iterator[tuple[ManifestRow, dict[str, Any]]]:
        rows = manifest_rows(self._connection)
        row: ManifestRow | None
        while True:
            try:
                facts = next(rows)
                row = manifest_row(facts)
            except StopIteration:
                return
            except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError):
                row, facts = None, {}  # written by another program
            if row is None or not _has_its_types(row, facts):
                raise unreadable(self.folder, "a picture is described there in a way that no batchgen writes")
            yield row, facts

    def _is_chosen(self, row: ManifestRow, facts: Mapping[str, Any]) -> bool:
        kept = self._choice.kept
        if kept is not None and kept.get(mark_key(row.task_id, row.picture)) != "keep":
            return False
        if self._choice.without_flagged and facts["flags"]:
            return False
        return self.is_meant(facts)

    def is_meant(self, facts: Mapping[str, Any]) -> bool:
        """Whether `only` means that task, stored or not; `facts` as `storage.queries.task_columns` gives them."""
        return all(
            any(fits(text, pattern) for text in _texts(facts, key)) for key, pattern in self._choice.only.items()
        )

    def _let_go(self) -> None:
        above, self._above = self._above, ("", self._root)
        if above[1] != self._root:
            os.close(above[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        os.close(self._root)


@contextmanager
def chosen(connection: sqlite3.Connection, folder: Path, choice: Choice) -> Iterator[Chosen]:
    """The whole pictures of a folder that a choice means, as a value to iterate over inside of a `with` block.

    While it lasts the ledger is read as it was at one moment, though a run may go on writing into it. Raises UsageError
    for a choice that fits nothing, StorageError for a ledger that cannot be read.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # the user's own links stay in it
    try:
        connection.execute("BEGIN")
        try:
            with Chosen(connection, folder, choice) as pictures:
                yield pictures
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise unreadable(folder, str(error)) from None


def unreadable(folder: Path, why: str) -> StorageError:
    """What is raised for a ledger of which nothing can be made."""
    return StorageError(
        f"the ledger in {harmless(str(folder))} cannot be read: {harmless(why)}",
        "nothing was exported; try again, and `batchgen verify` if it stays so",
    )


def _has_its_types(row: ManifestRow, facts: Mapping[str, Any]) -> bool:
    if tuple(map(type, _values(row))) != _TYPES or not isinstance(facts["vars"], dict):
        return False
    numbers = _numbers(row)
    return (
        all(isinstance(text, str) for text in facts["vars"].values())
        and min(numbers) >= -_MOST
        and max(numbers) < _MOST
        and row.format in _FORMATS
        and row.picture > 0
    )


def _variables(connection: sqlite3.Connection) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT DISTINCT v.key FROM tasks t, json_each(t.record, '$.vars') v"
        " WHERE EXISTS (SELECT 1 FROM pictures p WHERE p.task_id = t.task_id AND p.state = 'stored')"
    )
    return tuple(sorted(str(row[0]) for row in rows))


def _checked(only: Mapping[str, str], variables: tuple[str, ...]) -> dict[str, str]:
    known = [*TASK_WORDS, *variables]
    for written, value in only.items():
        if written.lower() not in known:
            near = nearest(written.lower(), known)
            hint = f"did you mean {near}?" if near else f"known are: {listed(known)}"
            message = f"--only {written}={value}: no stored picture has {written}"
            raise UsageError(harmless(message), harmless(hint))
    return {written.lower(): value for written, value in only.items()}


def _texts(facts: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """What `--only` may name a picture by, under one key."""
    if key == "model":
        return facts["model"], facts["label"]
    if key in TASK_WORDS:
        return (str(facts[key]),)
    return (facts["vars"][key],) if key in facts["vars"] else ()


def _whole_in(folder: Path) -> Callable[[ManifestRow], bool]:
    """Says of a picture whether its file is in the folder itself, with its size.

    What a ledger names may have been planted: it leads out neither by `..` nor by a link, because an export is made to be
    given to programs that open what it names.
    """
    real = os.path.realpath(folder)

    @functools.lru_cache(maxsize=4096)
    def is_inside(above: str) -> bool:
        return os.path.realpath(f"{folder}/{above}") == f"{real}/{above}"

    def is_whole(row: ManifestRow) -> bool:
        above = row.file_name.rpartition("/")[0]
        try:
            facts = os.stat(f"{folder}/{row.file_name}", follow_symlinks=False)  # noqa: PTH116  # one for each of a million
            return stat.S_ISREG(facts.st_mode) and facts.st_size == row.bytes and is_inside(above)
        except (OSError, ValueError):
            return False

    return is_whole


def _descend(root: int, parts: list[str]) -> int:
    """An open folder below another one. Raises OSError, also where a link stands in the way."""
    folder = os.dup(root)
    for part in parts:
        try:
            below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder
