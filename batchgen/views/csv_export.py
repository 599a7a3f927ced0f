"""`pictures.csv`: one row for each whole stored picture, for spreadsheets, for other programs, and as a prompt file again.

It owns which pictures of a folder are handed on, the columns, and how the file gets its name. It refuses to change the
folder that it reads, to write through a link, and to replace a file that is no export.
"""

import csv
import dataclasses
import functools
import io
import json
import operator
import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from batchgen.engine.rows import manifest_row
from batchgen.errors import StorageError, UsageError
from batchgen.outside import csv_cell
from batchgen.spec.matching import TASK_WORDS, fits
from batchgen.spec.tables import APOSTROPHES
from batchgen.spec.wording import harmless, listed, nearest
from batchgen.storage.disk import refuse_planted, sync_file, sync_folder
from batchgen.storage.manifest import ManifestRow
from batchgen.storage.queries import manifest_rows

FILE = "pictures.csv"
VARIABLE = "var:"
"""What stands before a variable's name in its column: no column of the manifest and no request field begins so."""
IMAGE = "image"
"""The picture's whole path. A prompt file's `image` is relative to the file, one put in by `{image}` to the job."""
_NAMES = {"try_number": "try", "model": "from_model", "seed": "from_seed"}
"""In a prompt file, `model` and `seed` would bind the new pictures to the model and the seed of the old ones."""
_FIELDS = tuple(field.name for field in dataclasses.fields(ManifestRow))
_BEFORE, _AFTER = _FIELDS[: _FIELDS.index("vars")], _FIELDS[_FIELDS.index("vars") + 1 :]
_before, _after = operator.attrgetter(*_BEFORE), operator.attrgetter(*_AFTER)
_KNOWN_BY = ("file_name", "task_id", "prompt_id")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Choice:
    """Which stored pictures are handed on: those that fit all of `only` (names in any case), flagged ones or not."""

    only: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_flagged: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: how many pictures, and how many it left out because their file is missing or changed."""

    path: Path
    pictures: int
    left_out: int
    replaced: bool
    """Whether the export took the place of an earlier one."""


def export_csv(connection: sqlite3.Connection, folder: Path, choice: Choice, output: Path) -> Exported:
    """Write the chosen pictures of an output folder to `pictures.csv` in the folder `output`, which is made if missing.

    UTF-8, RFC 4180, one header row, every text in quotes. The columns are the manifest's, with one `var:NAME` for each
    variable in the place of `vars`, then `image` and `apostrophe_before`. The file is there whole or not at all; being
    made to be handed on, it has the permissions that the umask gives. An earlier export is replaced, anything else is not.
    Raises UsageError for a choice that fits nothing and for a file of somebody else, StorageError for disk and ledger.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # the user's own links stay in it
    if not _is_text(folder):
        raise UsageError(
            f"{harmless(str(folder))}: the name of this folder is not UTF-8 text, and a table cannot name its pictures",
            "rename it, then export again",
        )
    written = left_out = 0
    with _one_moment(connection, folder), _replacing(output / FILE) as (file, replaced):
        variables = _variables(connection)
        only = _checked(choice.only, variables)
        is_whole = _whole_in(folder)
        # Text in quotes, numbers not: programs that split at `;` or tabs as well leave what stands in quotes alone.
        table = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
        columns = _columns(variables)
        table.writerow([csv_cell(name) for name in (*columns, APOSTROPHES)])
        for facts in manifest_rows(connection):
            if not _fits(facts, only) or (choice.without_flagged and facts["flags"]):
                continue
            row = manifest_row(facts)
            if not is_whole(row):
                left_out += 1
                continue
            texts = [facts["vars"].get(name, "") for name in variables]
            values = (*_before(row), *texts, *_after(row), f"{folder}/{row.file_name}")
            table.writerow(_cells(columns, values))
            written += 1
        if only and not written + left_out:
            raise UsageError("--only fits no stored picture", "leave it out to export all of them")
    return Exported(output / FILE, written, left_out, replaced)


def _columns(variables: tuple[str, ...]) -> tuple[str, ...]:
    """The names of all columns but the last."""
    before, after = ([_NAMES.get(field, field) for field in fields] for fields in (_BEFORE, _AFTER))
    return (*before, *(VARIABLE + name for name in variables), *after, IMAGE)


def _cells(columns: tuple[str, ...], values: Sequence[Any]) -> list[Any]:
    """One row of the table: numbers as they are, texts as a spreadsheet takes them for texts."""
    cells: list[Any] = []
    changed: list[str] = []
    for column, value in zip(columns, values, strict=True):
        cell = csv_cell(value) if isinstance(value, str) else value
        if cell != value:
            changed.append(column)
        cells.append(cell)
    cells.append(json.dumps(changed, ensure_ascii=False) if changed else "")
    return cells


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _one_moment(connection: sqlite3.Connection, folder: Path) -> Iterator[None]:
    """While it lasts, the ledger is read as it was at one moment, though a run may go on writing into it."""
    try:
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StorageError(
            f"the ledger in {harmless(str(folder))} cannot be read: {harmless(str(error))}",
            "nothing was exported; try again, and `batchgen verify` if it stays so",
        ) from None


def _variables(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names of all variables and columns of the folder's stored pictures; the choice does not change the table."""
    rows = connection.execute(
        "SELECT DISTINCT v.key FROM tasks t, json_each(t.record, '$.vars') v"
        " WHERE EXISTS (SELECT 1 FROM pictures p WHERE p.task_id = t.task_id AND p.state = 'stored')"
    )
    return tuple(sorted(row[0] for row in rows))


def _checked(only: Mapping[str, str], variables: tuple[str, ...]) -> dict[str, str]:
    known = [*TASK_WORDS, *variables]
    for written, value in only.items():
        if written.lower() not in known:
            near = nearest(written.lower(), known)
            hint = f"did you mean {near}?" if near else f"known are: {listed(known)}"
            message = f"--only {written}={value}: no stored picture has {written}"
            raise UsageError(harmless(message), harmless(hint))
    return {written.lower(): value for written, value in only.items()}


def _fits(facts: Mapping[str, Any], only: Mapping[str, str]) -> bool:
    return all(any(fits(text, pattern) for text in _texts(facts, key)) for key, pattern in only.items())


def _texts(facts: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """What `--only` may name a picture by, under one key."""
    if key == "model":
        return facts["model"], facts["label"]
    if key in TASK_WORDS:
        return (str(facts[key]),)
    return (facts["vars"][key],) if key in facts["vars"] else ()


def _whole_in(folder: Path) -> Callable[[ManifestRow], bool]:
    """Says of a picture whether its file is in the folder itself, with its size.

    What a ledger names may have been planted: it leads out neither by `..` nor by a link, because the table is made to be
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


@contextmanager
def _replacing(path: Path) -> Iterator[tuple[TextIO, bool]]:
    """A file that gets its name when it is whole and on the disk, and whether it replaces an earlier export."""
    part = f".{path.name}.{secrets.token_hex(4)}.part"
    with _in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, _FOLDER)
        try:
            replaced = _refuse_foreign(path, folder)
            descriptor = os.open(part, _NEW, 0o666, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
                    yield file, replaced
                    file.flush()
                    sync_file(descriptor)
                os.replace(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(part, dir_fd=folder)
                raise
            sync_folder(folder)
        finally:
            os.close(folder)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or "the system refused").lower()
        raise StorageError(
            f"{harmless(str(path))} cannot be written: {reason}",
            "nothing was changed; repair that, or name another folder with --output",
        ) from None


def _refuse_foreign(path: Path, folder: int) -> bool:
    """Whether an earlier export has the name. Raises StorageError or UsageError when something else has it."""
    refuse_planted(path, to_write=False)
    try:
        descriptor = os.open(path.name, _LOOK, dir_fd=folder)
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        begins = file.read(4096).decode("utf-8", "replace").removeprefix("\ufeff")
    header = next(csv.reader(io.StringIO(begins, newline="")), [])
    if tuple(header[: len(_KNOWN_BY)]) != _KNOWN_BY:
        raise UsageError(
            f"{harmless(str(path))} is no export of batchgen, and is not replaced",
            "move it away, or name another folder with --output",
        )
    return True
