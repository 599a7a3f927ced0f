"""The folder `runs/`: one log for each run, the oldest taken away by count and by age.

It gives out an open text file and refuses to know what is written into it. Links that were planted there are not followed,
and nothing is deleted that is not named like a log of this program.
"""

import datetime
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from batchgen.storage.disk import Folders, create, in_words, names, open_root

FOLDER = "runs"
_OWN = re.compile(r"(\d{4}-\d\d-\d\dT\d{6}Z)(?:-\d+)?\.(?:log|jsonl)")
_FORM = "%Y-%m-%dT%H%M%SZ"
_DAY_S = 86_400.0


def open_log(folder: Path, ending: str, now: float) -> TextIO:
    """A new log in `folder`/runs, open for writing; its `name` says where it is.

    It is named by the moment `now` (UTC seconds since the epoch), such as `2026-05-03T020000Z.log`. Raises StorageError.
    """
    stem = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime(_FORM)
    with in_words(folder / FOLDER):
        root = open_root(folder)
        try:
            with Folders(root, set()) as folders:
                runs = folders.open_to_change((FOLDER,))
                taken = set(names(runs))
                number = 1
                while (name := f"{stem}{'' if number == 1 else f'-{number}'}.{ending}") in taken:
                    number += 1
                descriptor = create(name, runs)
        finally:
            os.close(root)
    # Opened by number, shown by name: a path could lead elsewhere by now.
    stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n")
    stream.reconfigure(line_buffering=True)
    return stream


def log_names(folder: Path) -> list[str]:
    """The logs in `folder`/runs, the oldest first; none where there is no such folder. Raises StorageError."""
    with in_words(folder / FOLDER):
        root = open_root(folder)
        try:
            with Folders(root, set()) as folders, suppress(FileNotFoundError):
                return sorted(name for name in names(folders.open((FOLDER,))) if _OWN.fullmatch(name))
        finally:
            os.close(root)
    return []


def stale_logs(found: list[str], keep: int, days: float, now: float) -> list[str]:
    """Which of the logs `found` (the oldest first) are too many or too old; `days` of 0 is no bound."""
    oldest = (
        datetime.datetime.fromtimestamp(max(0.0, now - days * _DAY_S), datetime.UTC).strftime(_FORM) if days else ""
    )
    cut = len(found) - keep
    return [name for number, name in enumerate(found) if number < cut or name[: len(oldest)] < oldest]


def delete_logs(folder: Path, stale: list[str]) -> None:
    """Take these logs away. Raises StorageError."""
    if not stale:
        return
    with in_words(folder / FOLDER):
        root = open_root(folder)
        try:
            with Folders(root, set()) as folders:
                runs = folders.open((FOLDER,))
                for name in stale:
                    if _OWN.fullmatch(name):
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=runs)
        finally:
            os.close(root)
