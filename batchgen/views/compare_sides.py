"""One side of a comparison: what an output folder holds, out of its ledger, or out of its manifest alone.

It owns which of several purchases counts, and where a picture's file may lie: inside the folder and nowhere else,
whatever a stranger's ledger says. It refuses to write, and to know what a folder is compared with.
"""

import functools
import json
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.errors import PictureError, StorageError, UsageError
from batchgen.outside import clean
from batchgen.storage.disk import Folders, in_words, open_root, read
from batchgen.storage.ledger import FILE_NAME, MANIFEST, open_reader
from batchgen.storage.looks import thumbnail_name
from batchgen.storage.manifest import ManifestRow, read_manifest
from batchgen.storage.pictures import check_picture

_PICTURE_AT_MOST = 64 * 1024**2
_HASH = re.compile(r"[0-9a-f]{64}")
_LOOKS = 1 << 64
_ROWS = (
    "SELECT t.task_id, t.state AS task_state, t.message AS task_message, t.record, p.state, p.message, p.number,"
    " p.file_name, p.bytes, p.width, p.height, p.format, p.source_sha256, p.flags, {look}"
    " FROM tasks t LEFT JOIN pictures p ON p.task_id = t.task_id"
    " ORDER BY t.task_id, p.number, p.state = 'stored', p.picture_id"
)
"""The last row of a picture is the one that counts: a stored one, else that of the last purchase."""
_TASK_WORDS = {"billed": "waiting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture that a folder has or was to have. Sizes are pixels and bytes; 0 and "" where there is no picture."""

    task_id: str
    number: int
    """From 1, among the pictures of one task."""
    state: str
    """`stored`, `waiting`, `failed`, `unknown`, `expired`, `lost`, `sending` or `pending`."""
    prompt_id: str
    prompt: str
    variables: tuple[tuple[str, str], ...]
    model: str
    label: str
    seed: int
    try_number: int
    night: str
    index: int
    reason: str = ""
    """Why there is no picture, in the provider's words."""
    file_name: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    format: str = ""
    source_sha256: str = ""
    flags: tuple[str, ...] = ()
    look: int | None = None

    @property
    def size(self) -> str:
        """Such as `1024x768`; empty without a picture."""
        return f"{self.width}x{self.height}" if self.width else ""


@dataclass(frozen=True, slots=True)
class Side:
    """A folder and the pictures that it has or was to have, in the order of its plan."""

    folder: Path
    """The real path."""
    shots: tuple[Shot, ...]
    is_there: Callable[[Shot], bool] = field(repr=False)
    """Whether the file of a stored picture is in the folder itself, with its size."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name or "root"

    def look(self, shot: Shot) -> int | None:
        """The difference hash of a stored picture; None where nobody noted it and the file is missing or no picture."""
        if shot.look is not None or shot.state != "stored":
            return shot.look
        data = self._read(shot.file_name)
        if data is None:
            return None
        return _look_of(data)

    def thumbnail(self, shot: Shot) -> str:
        """The name of a picture's thumbnail, relative to the folder; empty when there is none."""
        if not _HASH.fullmatch(shot.source_sha256):
            return ""
        name = thumbnail_name(shot.source_sha256)
        try:
            is_file = stat.S_ISREG((self.folder / name).lstat().st_mode)
        except OSError:
            return ""
        return name if is_file and _leads_inside(self.folder, name.rpartition("/")[0]) else ""

    def _read(self, file_name: str) -> "bytes | None":
        """The content of a file of the folder; no link below the folder is followed."""
        *above, base = _parts_of(file_name) or [""]
        if not base:
            return None
        with in_words(self.folder):
            root = open_root(self.folder)
            try:
                with Folders(root, set()) as folders:
                    return read(base, folders.open(tuple(above)), _PICTURE_AT_MOST)
            except (FileNotFoundError, NotADirectoryError):
                return None
            finally:
                os.close(root)


def read_side(folder: Path) -> Side:
    """What lies in an output folder. Raises UsageError when nothing was made there, StorageError for what cannot be read."""
    real = Path(os.path.realpath(folder))
    if not real.is_dir():
        message = f"{folder}: there is no such folder; nothing was made there yet"
        raise UsageError(message, "look for a slip in the name, or run the job first")
    if not os.path.lexists(real / FILE_NAME) and os.path.lexists(real / MANIFEST):
        shots = _of_manifest(real)
    else:
        shots = _of_ledger(real, folder)
    return Side(real, tuple(sorted(shots, key=lambda shot: (shot.index, shot.task_id, shot.number))), _is_there(real))


def _of_ledger(real: Path, shown: Path) -> list[Shot]:
    connection = open_reader(real)
    if connection is None:
        message = f"{shown} holds neither a ledger nor a manifest: nothing was made there yet"
        raise UsageError(message, "name the output folder of a job, or run the job first")
    try:
        # A folder that no run has opened since an older version lacks the column, and reading never changes a ledger.
        columns = {row["name"] for row in connection.execute("PRAGMA table_info(pictures)")}
        query = _ROWS.format(look="p.look" if "look" in columns else "NULL AS look")
        last = {(row["task_id"], row["number"]): row for row in connection.execute(query)}
        return [_shot(row) for row in last.values()]
    except (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"the ledger in {shown} cannot be read: {clean(error)}", f"batchgen verify {shown} looks at it closer"
        ) from None
    finally:
        connection.close()


def _shot(row: sqlite3.Row) -> Shot:
    record = json.loads(row["record"])
    stored = row["state"] == "stored"
    state = row["state"] or _TASK_WORDS.get(row["task_state"], row["task_state"])
    facts: dict[str, Any] = {}
    if stored:
        facts = {name: str(row[name] or "") for name in ("file_name", "format", "source_sha256")}
        facts |= {name: int(row[name] or 0) for name in ("width", "height", "bytes")}
        facts["flags"] = tuple(map(str, json.loads(row["flags"])))
        facts["look"] = None if row["look"] is None else int(row["look"]) % _LOOKS
    return Shot(
        **_asked(record),
        task_id=str(row["task_id"]),
        number=int(row["number"] or 1),
        state=str(state),
        reason="" if stored else str(row["message"] or row["task_message"] or ""),
        **facts,
    )


def _of_manifest(real: Path) -> list[Shot]:
    try:
        # A picture that was bought again has a later line of its own.
        return list(
            {(shot.task_id, shot.number): shot for shot in map(_of_row, read_manifest(real / MANIFEST))}.values()
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise StorageError(
            f"{real / MANIFEST}: a line holds a value that cannot be read", "repair or remove that line"
        ) from None


def _of_row(row: ManifestRow) -> Shot:
    record = {name: getattr(row, name) for name in ("prompt_id", "prompt", "model", "label", "seed", "night", "index")}
    return Shot(
        **_asked(record | {"vars": json.loads(row.vars), "try": row.try_number}),
        task_id=row.task_id,
        number=row.picture,
        state="stored",
        file_name=row.file_name,
        width=row.width,
        height=row.height,
        bytes=row.bytes,
        format=row.format,
        source_sha256=row.source_sha256,
        flags=tuple(map(str, json.loads(row.flags))),
    )


def _asked(record: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: str(record[name]) for name in ("prompt_id", "prompt", "model", "label", "night")}
    variables = sorted((str(name), str(value)) for name, value in record["vars"].items())
    numbers = {"seed": int(record["seed"]), "try_number": int(record["try"]), "index": int(record["index"])}
    return texts | numbers | {"variables": tuple(variables)}


def _look_of(data: bytes) -> int | None:
    """The look of a picture after the full check, out of the same decode as when it is stored."""
    try:
        return check_picture(data, thumbnail=True).look
    except (PictureError, StorageError):
        return None


def _parts_of(file_name: str) -> list[str] | None:
    """The way to a file below its folder; None for a name that could lead elsewhere."""
    parts = file_name.split("/")
    return None if any(part in {"", ".", ".."} or "\0" in part for part in parts) else parts


def _leads_inside(real: Path, above: str) -> bool:
    return os.path.realpath(real / above) == str(real / above)


def _is_there(real: Path) -> Callable[[Shot], bool]:
    is_inside = functools.lru_cache(maxsize=4096)(functools.partial(_leads_inside, real))

    def is_there(shot: Shot) -> bool:
        if shot.state != "stored" or _parts_of(shot.file_name) is None:
            return False
        try:
            facts = (real / shot.file_name).lstat()
            return stat.S_ISREG(facts.st_mode) and is_inside(shot.file_name.rpartition("/")[0])
        except (OSError, ValueError):
            return False

    return is_there
