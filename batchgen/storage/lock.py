"""One run at a time on an output folder.

The system holds the lock and frees it however the process ends; the text in the lock file only says whom to wait for.
The file is never deleted, because a deleted one that another process still holds makes two owners. This module refuses
to wait: who asks decides what to do when the folder is taken.
"""

import errno
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from batchgen.clock import Clock
from batchgen.errors import LockedError, StorageError
from batchgen.storage.disk import FILE_MODE, in_words, make_folder, open_root, read, refuse_planted

LOCK_FILE = ".batchgen.lock"
_SIGNATURE_AT_MOST = 4096


class FolderLock:
    """The lock of one output folder, held from `acquire` to `release` by this process and not by its children."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = FileLock(
            folder / LOCK_FILE,
            mode=FILE_MODE,
            blocking=False,
            thread_local=False,
            fallback_to_soft=False,
            on_acquired=self._sign,
        )

    def acquire(self) -> None:
        """Take the lock; the folder is made if missing.

        Raises `LockedError` with who holds it, and `StorageError` when the folder cannot be written or locked.
        """
        with in_words(self._folder):
            make_folder(self._folder)
            refuse_planted(
                self._folder / LOCK_FILE, to_write=True
            )  # what opens it next would empty whatever it is a name of
            try:
                self._lock.acquire()
            except Timeout:
                raise LockedError(
                    f"{self._folder}: {self._owner()} is working on it",
                    "Wait for it to end, or stop it with Ctrl-C in its own window. `--if-locked skip` makes it no error.",
                ) from None
            except OSError as error:
                if error.errno not in {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}:
                    raise
                raise StorageError(
                    f"{self._folder}: this disk knows no locks, so two runs could pay for the same pictures",
                    "Choose an `output.folder` on a local disk.",
                ) from error

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _sign(self, descriptor: int) -> None:
        owner = {"pid": os.getpid(), "host": os.uname().nodename, "since": self._clock.now()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode() + b"\n", 0)

    def _owner(self) -> str:
        try:
            owner = json.loads(_signature(self._folder))
            age = self._clock.now() - float(owner["since"])
            host = "".join(filter(str.isprintable, str(owner["host"])))[:80]
            return f"another run (process {int(owner['pid'])} on {host}, for {_in_words(age)})"
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return "another run"  # it has not signed yet, or on a disk that forgot its signature


def _signature(folder: Path) -> bytes:
    root = open_root(folder)
    try:
        return read(LOCK_FILE, root, _SIGNATURE_AT_MOST) or b""
    finally:
        os.close(root)


def is_held(folder: Path) -> bool:
    """Whether a run holds the folder's lock now. Changes nothing."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _in_words(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
