"""The executions that a folder has seen: when, of which job, how each ended. Operations for `Ledger.write`."""

import hashlib
import json
import sqlite3
import zlib
from typing import Any

from batchgen.storage.purchases import dump_json

_JOB_AT_MOST = 128 * 1024 * 1024
"""Bytes of one resolved job."""


def start_run(
    connection: sqlite3.Connection,
    *,
    run_id: str,
    job: str,
    resolved: dict[str, Any],
    night: str,
    version: str,
    at: float,
) -> None:
    """Note that a run begins, with its resolved job (kept once however often it runs)."""
    text = dump_json(resolved).encode("utf-8")
    digest = hashlib.sha256(text).hexdigest()
    connection.execute("INSERT OR IGNORE INTO jobs(sha256, body) VALUES (?, ?)", (digest, zlib.compress(text)))
    connection.execute(
        "INSERT INTO runs(run_id, job, job_sha256, night, version, started_at) VALUES (?, ?, ?, ?, ?, ?)",
        (run_id, job, digest, night, version, at),
    )


def note_pools(connection: sqlite3.Connection, run_id: str, pools: list[dict[str, Any]]) -> None:
    """Note what each model of a run is doing, for whoever asks while it goes on."""
    connection.execute(
        "INSERT INTO meta(key, value) VALUES ('pools', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (dump_json({"run_id": run_id, "pools": pools}),),
    )


def noted_pools(connection: sqlite3.Connection, run_id: str) -> list[dict[str, Any]]:
    """What `note_pools` noted last for that run."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'pools'").fetchone()
    noted: dict[str, Any] = json.loads(row["value"]) if row else {}
    return list(noted["pools"]) if noted.get("run_id") == run_id else []


def end_run(connection: sqlite3.Connection, *, run_id: str, exit_code: int, at: float) -> None:
    """Note how a run ended. A run without an end was killed."""
    connection.execute("UPDATE runs SET ended_at = ?, exit_code = ? WHERE run_id = ?", (at, exit_code, run_id))


def last_job(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """The resolved job of the folder's last run, or None. Whatever is wrong with it raises whatever it likes."""
    row = connection.execute(
        "SELECT body FROM jobs WHERE sha256 = (SELECT job_sha256 FROM runs ORDER BY started_at DESC LIMIT 1)"
    ).fetchone()
    if row is None:
        return None
    # Cut off, it is no JSON any more: a ledger that came from somewhere may hold a bomb.
    loaded: dict[str, Any] = json.loads(zlib.decompressobj().decompress(row["body"], _JOB_AT_MOST))
    return loaded
