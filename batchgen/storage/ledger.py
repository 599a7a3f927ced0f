"""The durable truth about every task, call and picture of one output folder: an SQLite file with one writer.

One thread holds the one writing connection; operations that arrive together are committed together, each fsynced
before anyone is told (WAL with synchronous=FULL). What the operations do stands in `purchases.py`; this module owns the
file, the thread and the transaction, and refuses to know what is stored.
"""

import asyncio
import contextlib
import os
import queue
import shlex
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from batchgen.errors import StorageError, UsageError
from batchgen.storage import schema
from batchgen.storage.disk import open_own, refuse_planted

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

FILE_NAME = "ledger.sqlite3"
MANIFEST = "manifest.jsonl"
_GROUP_AT_MOST = 256
_VALUE_AT_MOST = 128 * 1024**2
"""Bytes of one value and of one row: a longer one is there to fill the memory."""


@dataclass(slots=True)
class _Waiting:
    operation: Operation[Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Ledger:
    """An open ledger. `write` runs an operation in a transaction and returns when it is durable."""

    def __init__(self, path: Path) -> None:
        """Open or create the ledger at `path`. Raises StorageError when it is corrupt or not writable, UsageError for a newer one.

        The caller holds the folder's lock: two writing connections could corrupt the file on older SQLite.
        """
        self.path = path
        self._connection = _open(path)
        self._file = _identity(path)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._closed = False
        self._thread.start()

    async def write(self, operation: Operation[T]) -> T:
        """Run `operation` in the writer's next transaction; its result, once the transaction is on the disk.

        What it raises is raised here, with nothing of it written. Raises StorageError when the disk refuses.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Waiting(operation, loop, future))
        # A cancelled caller must not leave half of a purchase recorded: only its waiting ends, the operation is queued.
        return await future

    def check_place(self) -> None:
        """Raise StorageError when the file that is open is not the one under the ledger's name any more.

        A deleted file takes writes like any other, and all of them are gone with the process.
        """
        if _identity(self.path) != self._file:
            raise StorageError(
                f"{self.path.parent} was moved or deleted while the run was going",
                "put it back, then run the same command again; what was bought until then is in the folder that was moved",
            )

    def close(self) -> None:
        """Finish what is queued, fold the log into the file and close it. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            last = False
            while len(group) < _GROUP_AT_MOST and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    last = True
                    break
                group.append(item)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Waiting]) -> None:
        """Run a group in one transaction; when one of them fails, each in one of its own, so that it fails alone."""
        try:
            self._transaction(group)
        except BaseException:  # noqa: BLE001  # whatever it is belongs to the caller whose operation raised it
            for item in group:
                try:
                    self._transaction([item])
                except BaseException as error:  # noqa: BLE001
                    item.error = _translated(error, self.path)
        by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        for item in group:
            by_loop.setdefault(item.loop, []).append(item)
        for loop, items in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle_all, items)

    def _transaction(self, group: list[_Waiting]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for item in group:
                item.result = item.operation(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has already rolled back; a second ROLLBACK would hide it
                connection.execute("ROLLBACK")
            raise


def _settle_all(items: list[_Waiting]) -> None:
    for item in items:
        item.settle()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def refuse_orphans(folder: Path) -> None:
    """Raise StorageError for a folder with a manifest and no ledger, or an empty one: a run would buy all of it again."""
    manifest, ledger = folder / MANIFEST, folder / FILE_NAME
    refuse_planted(manifest, to_write=False)
    _refuse_planted(ledger, to_write=False)
    if not manifest.exists():
        return
    if not ledger.exists():  # an empty manifest, too: pictures may be paid for and not on disk yet
        what = "no ledger"
    elif manifest.stat().st_size and _knows_nothing(ledger):
        what = "its ledger is empty"
    else:
        return
    raise StorageError(
        f"{folder} holds a manifest of pictures, but {what}: starting afresh would buy them all again",
        f"put the right {FILE_NAME} back, or make a new one with `batchgen verify {shlex.quote(str(folder))} --rebuild`",
    )


def _knows_nothing(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as ledger:
            _refuse_foreign(ledger, path)  # what is called `tasks` may be no table
            return ledger.execute("SELECT 1 FROM tasks LIMIT 1").fetchone() is None
    except sqlite3.OperationalError as error:
        return "no such table" in str(error)
    except (sqlite3.DatabaseError, UsageError):
        return False  # damaged, or of another version: whoever opens it says so


def open_reader(folder: Path) -> sqlite3.Connection | None:
    """A read-only connection to a folder's ledger, or None for a folder where nothing was made yet.

    Raises what `Ledger` and `refuse_orphans` raise.
    """
    path = folder / FILE_NAME
    refuse_orphans(folder)
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None)
    except sqlite3.Error as error:
        raise _translated(error, path) from None
    try:
        connection.row_factory = sqlite3.Row
        _refuse_foreign(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _translated(error, path) from None
    except UsageError:
        connection.close()
        raise
    return connection


def _open(path: Path) -> sqlite3.Connection:
    _refuse_planted(path, to_write=True)
    try:
        # Its own permissions, whatever the umask: it holds links that are worth money.
        os.close(open_own(path, os.O_CREAT | os.O_RDWR))
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise _translated(error, path) from None
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        _refuse_foreign(connection, path)
        check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(check)
        schema.migrate(connection)
        sync_folder_at(path.parent)
    except sqlite3.Error as error:
        connection.close()
        raise _translated(error, path) from None
    except UsageError:
        connection.close()
        raise
    return connection


def _refuse_planted(path: Path, *, to_write: bool) -> None:
    """SQLite keeps its log and the index of it beside the ledger, under names that somebody may have taken."""
    refuse_planted(path, to_write=to_write)
    for suffix in ("-wal", "-shm", "-journal"):  # a reader writes into them too
        refuse_planted(path.with_name(path.name + suffix), to_write=True)


def sync_folder_at(folder: Path) -> None:
    """Return when the names in a folder are on the disk itself."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what was made by a later batchgen, and what was made by something else: a rule of it could change totals."""
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_AT_MOST)
    found = schema.version_of(connection)
    if found > schema.VERSION:
        raise UsageError(
            f"{path} was written by a newer batchgen (ledger version {found}, this one knows {schema.VERSION})",
            "update batchgen; nothing was changed",
        )
    odd = schema.stranger_in(connection)
    if odd:
        raise sqlite3.DatabaseError(f"it holds {odd}")


def _translated(error: BaseException, path: Path) -> BaseException:
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError | sqlite3.IntegrityError
    ):
        return StorageError(
            f"{path} is damaged: {error}",
            f"nothing was sent; keep the file and make a new ledger with `batchgen verify {shlex.quote(str(path.parent))} --rebuild`",
        )
    if isinstance(error, sqlite3.OperationalError):
        return StorageError(f"{path} cannot be written: {error}", "check free space and permissions, then run again")
    if isinstance(error, OSError):
        words = (error.strerror or "the system refused").lower()
        return StorageError(f"{path} cannot be opened: {words}", "check the folder's permissions")
    return error
