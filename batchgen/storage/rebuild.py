"""A ledger made anew from the pictures and the manifest, for a folder whose ledger was lost or damaged.

It takes only what can be seen: pictures whose file is there with the hash that the manifest names. What was paid for
and not yet stored cannot be known from files, and is not invented. The new ledger is whole before the old one is moved,
and nothing is deleted: a failure leaves the folder as it was.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from batchgen.errors import StorageError
from batchgen.storage.disk import in_words, sha256_below
from batchgen.storage.ledger import FILE_NAME, Ledger, sync_folder_at
from batchgen.storage.purchases import MILLION, dump_json, name_key

_NEW = f"{FILE_NAME}.new"
_SPOOL = "spool"
_PARTS = ("", "-wal", "-shm")


async def rebuild_folder(folder: Path, rows: Iterable[dict[str, Any]], stamp: str) -> tuple[int, int]:
    """Give a folder a ledger made of its manifest's `rows`; the caller holds the folder's lock.

    What stood there is kept with `stamp` in its name: the old ledger with its log, and the answers in `spool/`, which
    belong to the old ledger's calls. Returns how many pictures were taken and how many were left out. Raises
    StorageError when none of the pictures is there, or when the disk refuses. Rows are taken in one at a time, in the
    ledger's thread, and once more from the first when that fails; what they raise is raised here, and the folder is as
    it was.
    """
    with in_words(folder):
        _remove_new(folder)
    try:
        taken, left_out = await _entered(folder, rows)
        if left_out and not taken:
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
    return taken, left_out


async def _entered(folder: Path, rows: Iterable[dict[str, Any]]) -> tuple[int, int]:
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
    spool = folder / _SPOOL
    if spool.is_dir() and any(spool.iterdir()):
        spool.rename(folder / f"{_SPOOL}.before-{kept}")
    sync_folder_at(folder)
    (folder / _NEW).replace(folder / FILE_NAME)
    sync_folder_at(folder)


def _unused(folder: Path, stamp: str) -> str:
    """The stamp, with a number where a rebuild of the same second used it: nothing kept is ever overwritten."""
    number, unused = 1, stamp
    while any((folder / f"{name}.before-{unused}").exists() for name in (FILE_NAME, f"{FILE_NAME}-wal", _SPOOL)):
        number += 1
        unused = f"{stamp}-{number}"
    return unused


def rebuild(
    connection: sqlite3.Connection, rows: Iterable[dict[str, Any]], is_whole: Callable[[str, str], bool]
) -> tuple[int, int]:
    """Enter the manifest's rows whose file `is_whole(file_name, sha256)` into an empty ledger.

    Returns how many pictures were taken and how many were left out because their file is missing or changed.
    """
    taken = left_out = 0
    for row in rows:
        if not is_whole(row["file_name"], row["sha256"]):
            left_out += 1
            continue
        _enter(connection, row)
        taken += 1
    return taken, left_out


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
