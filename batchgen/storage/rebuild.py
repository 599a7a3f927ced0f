"""A ledger made anew from the pictures and the manifest, for a folder whose ledger was lost or damaged.

It takes only what can be seen: pictures whose file is there with the hash that the manifest names. What was paid for
and not yet stored cannot be known from files, and is not invented.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from batchgen.storage.purchases import MILLION, dump_json, name_key


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
    """The name, with the task's id where another task holds it already."""
    taken = connection.execute("SELECT 1 FROM tasks WHERE name_key = ?", (name_key(name),)).fetchone()
    return f"{name}-{task_id[:8]}" if taken else name


def _record(row: dict[str, Any]) -> dict[str, Any]:
    params = dict(row["params"])
    extra = params.pop("extra_params", {})
    keys = ("prompt_id", "row", "prompt", "vars", "provider", "model", "label", "seed", "try", "index", "night")
    return {key: row[key] for key in keys} | {"params": params, "extra_params": extra}
