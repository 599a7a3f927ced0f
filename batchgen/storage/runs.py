"""The executions that a folder has seen: when, of which job, how each ended. Operations for `Ledger.write`."""

import hashlib
import json
import sqlite3
import zlib
from typing import Any

from batchgen.storage.purchases import dump_json

_JOB_AT_MOST = 32 * 1024 * 1024
"""Bytes of one resolved job that is read back: some ninety thousand prompts. Larger ones need their job file."""
_PARTS_AT_MOST = 1_200_000
"""Lists, objects and values of it: each takes many times its text when it is read."""


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
    """The resolved job of the folder's last run, or None. Raises ValueError, RecursionError or zlib.error for what is none.

    A ledger may come from a stranger: the text is measured before it is unpacked, and its parts before it is parsed.
    """
    row = connection.execute(
        "SELECT CASE WHEN length(body) <= ? THEN body END AS body FROM jobs"
        " WHERE sha256 = (SELECT job_sha256 FROM runs ORDER BY started_at DESC LIMIT 1)",
        (_JOB_AT_MOST,),
    ).fetchone()
    if row is None:
        return None
    if row["body"] is None:
        raise OversizedJobError
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(row["body"], _JOB_AT_MOST + 1)
    if len(text) > _JOB_AT_MOST or sum(text.count(mark) for mark in (b"[", b"{", b",")) > _PARTS_AT_MOST:
        raise OversizedJobError
    loaded: dict[str, Any] = json.loads(text, parse_constant=_refused)
    return loaded


class OversizedJobError(ValueError):
    """A resolved job that is too large to be read back; its job file is needed."""


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
