"""Copies of the ledger in `backups/`, one for each of the last seven days with paid calls.

A copy is whole before it has its name, and readable by its owner alone, since it holds links that are worth money. What
keeps one from being made is said and fails no run. It refuses to put a copy back: `rebuild` does, with what came later.
"""

import datetime
import os
import re
import secrets
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from batchgen.errors import BatchgenError, StorageError
from batchgen.storage.disk import Folders, create, in_words, names, open_own, open_root, sync_file, sync_folder
from batchgen.storage.ledger import FILE_NAME, open_reader

FOLDER = "backups"
_KEPT = 7
_OWN = re.compile(r"ledger-\d{4}-\d\d-\d\d\.sqlite3")
_UNFINISHED = re.compile(r"\.ledger-[0-9a-f]{8}\.part")
_ROOM = 2
"""Times its size that has to be free: what is paid for needs the disk more."""


def back_up(folder: Path, now: float) -> str:
    """Copy the ledger of an output folder, in the place of the copy of the same day; why not, or the empty text.

    The caller holds the folder's lock. `now` is UTC seconds since the epoch.
    """
    day = datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
    try:
        with in_words(folder / FOLDER):
            size = (folder / FILE_NAME).stat().st_size
            if shutil.disk_usage(folder).free < _ROOM * size:
                return f"the ledger was not backed up: too little room in {folder}"
            root = open_root(folder)
            try:
                with Folders(root, set()) as folders:
                    _copy(folder, folders.open_to_change((FOLDER,)), f"ledger-{day}.sqlite3")
            finally:
                os.close(root)
    except (BatchgenError, sqlite3.Error) as error:
        return f"the ledger was not backed up: {error}"
    return ""


def _copy(folder: Path, backups: int, name: str) -> None:
    for old in names(backups):  # what a killed run left
        if _UNFINISHED.fullmatch(old):
            os.unlink(old, dir_fd=backups)
    part = f".ledger-{secrets.token_hex(4)}.part"
    descriptor = create(part, backups)
    try:
        reader = open_reader(folder)
        if reader is None:
            raise StorageError("its folder holds no ledger")
        with closing(reader), closing(sqlite3.connect(folder / FOLDER / part)) as copy:
            copy.execute("PRAGMA journal_mode=OFF")  # it is synced as a whole, or thrown away
            reader.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        sync_file(descriptor)
        os.replace(part, name, src_dir_fd=backups, dst_dir_fd=backups)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=backups)
        raise
    finally:
        os.close(descriptor)
    for old in sorted(each for each in names(backups) if _OWN.fullmatch(each))[:-_KEPT]:
        os.unlink(old, dir_fd=backups)
    sync_folder(backups)


def copies(folder: Path) -> list[str]:
    """The names of a folder's copies, the latest first. Raises StorageError."""
    with in_words(folder / FOLDER):
        root = open_root(folder)
        try:
            with Folders(root, set()) as folders, suppress(FileNotFoundError):
                return sorted((each for each in names(folders.open((FOLDER,))) if _OWN.fullmatch(each)), reverse=True)
        finally:
            os.close(root)
    return []


def take_copy(folder: Path, name: str, target: Path) -> None:
    """Write one of `copies` to `target`, which must not be there. Raises StorageError."""
    with in_words(folder / FOLDER / name):
        source = open_own(folder / FOLDER / name, os.O_RDONLY)
        with os.fdopen(source, "rb") as copy, open(target, "xb", opener=_private) as file:
            shutil.copyfileobj(copy, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
