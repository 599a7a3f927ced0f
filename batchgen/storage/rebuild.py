"""A ledger made anew from its latest copy, the pictures and the manifest, for a folder whose ledger was lost or damaged.

A copy knows what was paid for when it was made; whatever the manifest lists beside that came later, or there is no copy.
It takes only what can be seen: pictures whose file is there with the hash that the manifest names. What else was paid
for cannot be known from files, and is not invented. The new ledger is whole before the old one is moved, and nothing is
deleted: a failure leaves the folder as it was.
"""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from batchgen.errors import StorageError, UsageError
from batchgen.storage.backup import copies, take_copy
from batchgen.storage.disk import in_words, make_folder, sha256_below
from batchgen.storage.ledger import FILE_NAME, Ledger, sync_folder_at
from batchgen.storage.purchases import MILLION, dump_json, name_key
from batchgen.storage.queries import SPOOL_KEY
from batchgen.storage.schema import misfit_in

_NEW = f"{FILE_NAME}.new"
_SPOOL = "spool"
_PARTS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a new ledger was made of."""

    taken: int
    """Pictures that were entered from the manifest."""
    left_out: int
    """Those whose file is missing or changed."""
    known: int
    """Pictures of the manifest that the copy knew already."""
    copy: str
    """The name of the copy that it begins with; empty for none."""


async def rebuild_folder(folder: Path, rows: Iterable[dict[str, Any]], stamp: str) -> Rebuilt:
    """Give a folder a ledger made of its manifest's `rows`; the caller holds the folder's lock.

    What stood there is kept with `stamp` in its name: the old ledger with its log, and the answers in `spool/`, which
    belong to the old ledger's calls; those that its copy waits for stay in `spool/`, too. Raises StorageError when none
    of the pictures is there and no copy either, or when the disk refuses. Rows are taken in one at a time, in the
    ledger's thread, and once more from the first when that fails; what they raise is raised here, and the folder is as
    it was.
    """
    with in_words(folder):
        _remove_new(folder)
    try:
        copy = _copy_to_begin_with(folder)
        taken, left_out, known = await _entered(folder, rows)
        if left_out and not taken and not copy:
            raise StorageError(
                f"{folder}: none of the {left_out} pictures in the manifest is there unchanged; nothing was done",
                "put the pictures back; to buy all of them again, move the folder away",
            )
    except BaseException:
        with in_words(folder):
            _remove_new(folder)
        raise
    with in_words(folder):
        if (folder / f"{_NEW}-wal").exists():  # what stands only in a log would not move with the file
            raise StorageError(f"{folder / _NEW} could not be finished; nothing else was changed", "try again")
        _put_in_place(folder, stamp)
    return Rebuilt(taken, left_out, known, copy)


def _copy_to_begin_with(folder: Path) -> str:
    """Put the latest copy of the ledger that is sound in the new one's place, and give its name; empty without one."""
    for name in copies(folder):
        try:
            take_copy(folder, name, folder / _NEW)
            ledger = Ledger(folder / _NEW)
            ledger.close()
            with contextlib.closing(sqlite3.connect(folder / _NEW)) as connection:
                # Nothing is in flight at the end of a run: a copy that says so was made by something else.
                sending = connection.execute("SELECT 1 FROM attempts WHERE state = 'sending'").fetchone()
                if not sending and not misfit_in(connection):
                    return name
        except (StorageError, UsageError, sqlite3.Error):
            pass
        with in_words(folder):
            _remove_new(folder)
    return ""


async def _entered(folder: Path, rows: Iterable[dict[str, Any]]) -> tuple[int, int, int]:
    ledger = Ledger(folder / _NEW)
    try:
        return await ledger.write(
            lambda connection: rebuild(connection, rows, lambda name, sha256: sha256_below(folder, name) == sha256)
        )
    finally:
        ledger.close()


def _remove_new(folder: Path) -> None:
    for part in _PARTS:
        (folder / f"{_NEW}{part}").unlink(missing_ok=True)


def _put_in_place(folder: Path, stamp: str) -> None:
    kept = _unused(folder, stamp)
    # The ledger before its log: a folder without a ledger is refused, a ledger without its log looks whole and is not.
    for part in _PARTS:
        old = folder / f"{FILE_NAME}{part}"
        if old.exists():
            old.rename(folder / f"{FILE_NAME}.before-{kept}{part}")
    spool, aside = folder / _SPOOL, folder / f"{_SPOOL}.before-{kept}"
    if spool.is_dir() and any(spool.iterdir()):
        spool.rename(aside)
        for name in _spooled(folder):
            if (aside / name).is_file() and not (aside / name).is_symlink():
                make_folder(spool)
                _keep_both(aside / name, spool / name)
    sync_folder_at(folder)
    (folder / _NEW).replace(folder / FILE_NAME)
    sync_folder_at(folder)


def _spooled(folder: Path) -> list[str]:
    """The answers that pictures of the new ledger wait in."""
    with contextlib.closing(sqlite3.connect(folder / _NEW)) as connection:
        rows = connection.execute("SELECT DISTINCT spool FROM pictures WHERE state = 'waiting' AND spool IS NOT NULL")
        return [f"{key}.body" for (key,) in rows if SPOOL_KEY.fullmatch(key)]


def _keep_both(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without second names
        shutil.copyfile(source, target)
        with target.open("rb") as copy:
            os.fsync(copy.fileno())


def _unused(folder: Path, stamp: str) -> str:
    """The stamp, with a number where a rebuild of the same second used it: nothing kept is ever overwritten."""
    number, unused = 1, stamp
    while any((folder / f"{name}.before-{unused}").exists() for name in (FILE_NAME, f"{FILE_NAME}-wal", _SPOOL)):
        number += 1
        unused = f"{stamp}-{number}"
    return unused


def rebuild(
    connection: sqlite3.Connection, rows: Iterable[dict[str, Any]], is_whole: Callable[[str, str], bool]
) -> tuple[int, int, int]:
    """Enter the manifest's rows whose file `is_whole(file_name, sha256)` into a ledger that does not know them.

    Returns how many pictures were taken, left out because their file is missing or changed, and known already.
    """
    taken = left_out = known = 0
    for row in rows:
        if _is_known(connection, row):
            known += 1
        elif not is_whole(row["file_name"], row["sha256"]):
            left_out += 1
        elif _came_home(connection, row):
            taken += 1
        else:
            _enter(connection, row)
            taken += 1
    return taken, left_out, known


def _is_known(connection: sqlite3.Connection, row: dict[str, Any]) -> bool:
    found = connection.execute(
        "SELECT 1 FROM pictures WHERE task_id = ? AND file_name = ? AND state IN ('stored', 'pruned')",
        (row["task_id"], row["file_name"]),
    )
    return found.fetchone() is not None


def _came_home(connection: sqlite3.Connection, row: dict[str, Any]) -> bool:
    """Note a picture as stored that still waited when the copy was made; False when none did. It is paid for already."""
    waiting = connection.execute(
        "SELECT picture_id FROM pictures WHERE task_id = ? AND number = ? AND state = 'waiting'",
        (row["task_id"], row["picture"]),
    ).fetchone()
    if waiting is None:
        return False
    facts = ("file_name", "bytes", "width", "height", "format", "sha256", "source_sha256")
    connection.execute(
        f"UPDATE pictures SET state = 'stored', {', '.join(f'{name} = ?' for name in facts)}, flags = ?, stored_at = ?"  # noqa: S608  # own words
        " WHERE picture_id = ?",
        (*(row[name] for name in facts), json.dumps(row["flags"]), row["created_at"], waiting[0]),
    )
    _settle(connection, row["task_id"])
    return True


def _settle(connection: sqlite3.Connection, task_id: str) -> None:
    """A task is stored when none of its pictures waits any more."""
    connection.execute(
        "UPDATE tasks SET state = 'stored', kind = '', message = '' WHERE task_id = ? AND NOT EXISTS"
        " (SELECT 1 FROM pictures p WHERE p.task_id = tasks.task_id AND p.state = 'waiting')",
        (task_id,),
    )


def _enter(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    task_id = row["task_id"]
    price = None if row["cost"] is None else int(row["cost"] * MILLION)
    new = connection.execute("SELECT 1 FROM tasks WHERE task_id = ?", (task_id,)).fetchone() is None
    if new:
        name = _free_name(connection, _name(row["file_name"]), task_id)
        connection.execute(
            "INSERT INTO tasks(task_id, state, label, model, name, name_key, record, purchase, created_at)"
            " VALUES (?, 'stored', ?, ?, ?, ?, ?, 1, ?)",
            (task_id, row["label"], row["model"], name, name_key(name), dump_json(_record(row)), row["created_at"]),
        )
    cursor = connection.execute(
        "INSERT INTO attempts(task_id, run_id, purchase, idempotency_key, state, from_state, again, images, price,"
        " currency, scopes, cost, posted, status, kind, request_id, latency_s, sent_at, ended_at)"
        " VALUES (?, ?, 1, '', 'billed', 'pending', 0, 1, ?, ?, 'life', ?, 1, 200, 'billed', ?, ?, ?, ?)",
        (
            task_id,
            row["run_id"],
            price,
            row["currency"],
            price,
            row["request_id"],
            row["latency_s"],
            row["created_at"],
            row["created_at"],
        ),
    )
    connection.execute(
        "INSERT INTO pictures(task_id, attempt_id, run_id, number, state, item, billed_at, expires_at, file_name, bytes,"
        " width, height, format, sha256, source_sha256, flags, stored_at)"
        " VALUES (?, ?, ?, ?, 'stored', 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            task_id,
            cursor.lastrowid,
            row["run_id"],
            row["picture"],
            row["created_at"],
            row["created_at"],
            row["file_name"],
            row["bytes"],
            row["width"],
            row["height"],
            row["format"],
            row["sha256"],
            row["source_sha256"],
            json.dumps(row["flags"]),
            row["created_at"],
        ),
    )
    connection.execute(
        "INSERT INTO totals(scope, currency, calls, images_billed, billed) VALUES ('life', ?, 1, 1, ?)"
        " ON CONFLICT (scope, currency) DO UPDATE SET calls = calls + 1, images_billed = images_billed + 1,"
        " billed = billed + excluded.billed",
        (row["currency"], price or 0),
    )
    if not new:
        _settle(connection, task_id)


def _name(file_name: str) -> str:
    path = PurePosixPath(file_name)
    return str(path.with_suffix("").relative_to("images")) if path.parts[0] == "images" else str(path.with_suffix(""))


def _free_name(connection: sqlite3.Connection, name: str, task_id: str) -> str:
    """The name, with the task's id where another task holds it: `foo-2` may be a name or another's second picture."""
    for free in (name, f"{name}-{task_id[:8]}"):
        if connection.execute("SELECT 1 FROM tasks WHERE name_key = ?", (name_key(free),)).fetchone() is None:
            return free
    return f"{name}-{task_id}"


def _record(row: dict[str, Any]) -> dict[str, Any]:
    params = dict(row["params"])
    extra = params.pop("extra_params", {})
    keys = ("prompt_id", "row", "prompt", "vars", "provider", "model", "label", "seed", "try", "index", "night")
    return {key: row[key] for key in keys} | {"params": params, "extra_params": extra}
