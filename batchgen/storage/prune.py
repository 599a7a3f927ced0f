"""What may go from an output folder to make room: old logs, thumbnails of no picture, unfinished files, chosen pictures.

It owns what counts as each of these, and how a picture goes: the ledger first, as `pruned`, then the file. So its task
stays stored and is not bought again, whatever comes in between. It refuses to delete a row of the ledger, a file whose
name or content is not this program's, and anything that lies behind a link.
"""

import errno
import hashlib
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.storage import run_logs
from batchgen.storage.disk import Folders, holds, in_words, names, open_root
from batchgen.storage.looks import thumbnail_name

PICTURE_AT_MOST = 256 * 1024**2
"""Bytes. No picture that passed the check comes near it; a ledger that somebody made up may name a file that does."""
_OWN = re.compile(
    r"runs/\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?\.(log|jsonl)|gallery/thumbs/[0-9a-f]{2}/[0-9a-f]{32}\.webp"
    r"|parts/[^/]+\.part|images/.+",
    re.DOTALL,
)
"""What is deleted at all, whoever asks for it."""
_THUMBS = ("gallery", "thumbs")
_ABSENT = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}
"""Nothing there, or a link or a file where a folder belongs: what lies behind it is not this folder's to delete."""


@dataclass(frozen=True, slots=True)
class Files:
    """Files of one kind: names relative to the output folder, and their bytes in all."""

    names: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on disk as the ledger knows it, whole; `name` is its file, `sha256` that file's."""

    picture_id: int
    name: str
    bytes: int
    sha256: str


def old_logs(folder: Path, days: float, now: float) -> Files:
    """The logs in `runs/` that are older than so many days. Raises StorageError."""
    found = run_logs.log_names(folder)
    stale = run_logs.stale_logs(found, len(found), days, now)
    return _measured(folder, [f"{run_logs.FOLDER}/{name}" for name in stale])


def unfinished(folder: Path) -> Files:
    """What a killed run left in `parts/`; while a run is going it is that run's. Raises StorageError."""
    with _below(folder) as folders:
        found = [f"parts/{name}" for name in _names(folders, ("parts",)) if name.endswith(".part")]
    return _measured(folder, found)


def unused_thumbnails(connection: sqlite3.Connection, folder: Path, without: Sequence[Picture]) -> Files:
    """Thumbnails that belong to no stored picture, or only to some of `without`. Raises StorageError, sqlite3.Error."""
    gone = {picture.picture_id for picture in without}
    rows = connection.execute("SELECT picture_id, source_sha256 FROM pictures WHERE state = 'stored'")
    used = {thumbnail_name(str(source)) for picture_id, source in rows if picture_id not in gone}
    found = []
    with _below(folder) as folders:
        for above in _names(folders, _THUMBS):
            for name in _names(folders, (*_THUMBS, above)):
                path = "/".join((*_THUMBS, above, name))
                if _OWN.fullmatch(path) and path not in used:
                    found.append(path)
    return _measured(folder, found)


def chosen_pictures(
    connection: sqlite3.Connection, folder: Path, is_chosen: Callable[[str, int], bool]
) -> tuple[list[Picture], int]:
    """The pictures that `is_chosen(task_id, number)` means and that are on disk, and how many are missing or changed.

    Those which an earlier call noted as pruned and did not come to delete are among them. Every file is read. Raises
    StorageError, sqlite3.Error.
    """
    rows = connection.execute(
        "SELECT picture_id, task_id, number, state, file_name, bytes, sha256 FROM pictures"
        " WHERE state IN ('stored', 'pruned') ORDER BY picture_id"
    )
    chosen = [row for row in rows if is_chosen(row["task_id"], row["number"])]
    ids, files = {row["picture_id"] for row in chosen}, {row["file_name"] for row in chosen}
    # A name that is free may have been given to another picture since, even to one with the same bytes.
    stored = connection.execute("SELECT picture_id, file_name FROM pictures WHERE state = 'stored'")
    taken = {name for picture_id, name in stored if name in files and picture_id not in ids}
    found, missing = [], 0
    with _below(folder) as folders:
        for row in chosen:
            name, size = row["file_name"], row["bytes"]
            if name not in taken and _holds(folders, name, size, row["sha256"]):
                found.append(Picture(row["picture_id"], name, size, row["sha256"]))
            else:
                missing += row["state"] == "stored"
    return found, missing


def with_copies(folder: Path, pictures: Sequence[Picture], elsewhere: Path) -> list[Picture]:
    """Those of the pictures of which a file below `elsewhere` has the same bytes. Raises StorageError.

    Links are no copies; a second name of the very file (a hard link) is one.
    """
    wanted = {picture.bytes: set[str]() for picture in pictures}
    own = set()
    with _below(folder) as folders:
        for picture in pictures:
            wanted[picture.bytes].add(picture.sha256)
            *above, base = picture.name.split("/")
            facts = os.stat(base, dir_fd=folders.open(tuple(above)), follow_symlinks=False)
            if facts.st_nlink == 1:
                own.add((facts.st_dev, facts.st_ino))
    copied: set[str] = set()
    for path, facts in _regular_files(elsewhere):
        if facts.st_size in wanted and (facts.st_dev, facts.st_ino) not in own:
            copied |= {_hash(path)} & wanted[facts.st_size]
    return [picture for picture in pictures if picture.sha256 in copied]


def note_pruned(connection: sqlite3.Connection, pictures: Sequence[Picture], message: str) -> None:
    """Write into the ledger that these pictures go: an operation for `Ledger.write`. What was paid for them stays."""
    connection.executemany(
        "UPDATE pictures SET state = 'pruned', message = ? WHERE picture_id = ? AND state = 'stored'",
        [(message, picture.picture_id) for picture in pictures],
    )


def delete(folder: Path, files: Sequence[str]) -> None:
    """Delete files of an output folder, those that are there; the caller holds its lock. Raises StorageError."""
    with _below(folder) as folders:
        for file in files:
            *above, base = file.split("/")
            if _OWN.fullmatch(file):
                with suppress(FileNotFoundError):
                    os.unlink(base, dir_fd=folders.open(tuple(above)))


@contextmanager
def _below(folder: Path) -> Iterator[Folders]:
    with in_words(folder):
        root = open_root(folder)
        try:
            with Folders(root, set()) as folders:
                yield folders
        finally:
            os.close(root)


def _names(folders: Folders, parts: tuple[str, ...]) -> list[str]:
    try:
        return sorted(names(folders.open(parts)))
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise


def _measured(folder: Path, found: Sequence[str]) -> Files:
    total, there = 0, []
    with _below(folder) as folders:
        for name in found:
            *above, base = name.split("/")
            with suppress(FileNotFoundError):
                facts = os.stat(base, dir_fd=folders.open(tuple(above)), follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    there.append(name)
                    total += facts.st_size
    return Files(tuple(there), total)


def _holds(folders: Folders, name: object, size: object, sha256: object) -> bool:
    """Whether a file below `images/` has the content that the ledger says; what a ledger says may be of any type."""
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(sha256, str) and _OWN.fullmatch(name)):
        return False
    *above, base = name.split("/")
    if above[:1] != ["images"] or any(part in {"", ".", ".."} or "\0" in part for part in (*above, base)):
        return False
    try:
        return 0 < size <= PICTURE_AT_MOST and holds(base, folders.open(tuple(above)), size, sha256)
    except OSError as error:
        if error.errno in _ABSENT | {errno.ENAMETOOLONG}:
            return False
        raise


def _regular_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    def stop(error: OSError) -> None:
        raise error

    with in_words(folder):
        for above, _, files in os.walk(folder, onerror=stop):
            for name in files:
                path = os.path.join(above, name)  # noqa: PTH118  # one for each file of an export
                facts = os.lstat(path)
                if stat.S_ISREG(facts.st_mode):
                    yield path, facts


def _hash(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
