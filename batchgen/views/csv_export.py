"""`pictures.csv`: one row for each whole stored picture, for spreadsheets, for other programs, and as a prompt file again.

It owns the columns and how the file gets its name; which pictures are in it is for `chosen.py` to say. It refuses to
write through a link, and to replace a file that is no export.
"""

import csv
import dataclasses
import io
import json
import operator
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from batchgen.errors import UsageError
from batchgen.outside import csv_cell
from batchgen.spec.tables import APOSTROPHES
from batchgen.spec.wording import harmless
from batchgen.storage.disk import refuse_planted, sync_file, sync_folder
from batchgen.storage.manifest import ManifestRow
from batchgen.views.chosen import Choice, Exported, chosen
from batchgen.views.export_columns import VARIABLE
from batchgen.views.export_folder import write_errors_in_words

FILE = "pictures.csv"
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
    written = 0
    with chosen(connection, folder, choice) as pictures, _replacing(output / FILE) as (file, replaced):
        # Text in quotes, numbers not: programs that split at `;` or tabs as well leave what stands in quotes alone.
        table = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
        columns = _columns(pictures.variables)
        table.writerow([csv_cell(name) for name in (*columns, APOSTROPHES)])
        for row, facts in pictures:
            texts = [facts["vars"].get(name, "") for name in pictures.variables]
            values = (*_before(row), *texts, *_after(row), f"{folder}/{row.file_name}")
            table.writerow(_cells(columns, values))
            written += 1
    return Exported(output / FILE, written, pictures.left_out, replaced)


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
def _replacing(path: Path) -> Iterator[tuple[TextIO, bool]]:
    """A file that gets its name when it is whole and on the disk, and whether it replaces an earlier export."""
    part = f".{path.name}.{secrets.token_hex(4)}.part"
    with write_errors_in_words(path):
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
