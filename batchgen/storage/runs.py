"""The executions that a folder has seen: when, of which job, how each ended. Operations for `Ledger.write`."""

import hashlib
import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any, Literal

from batchgen.storage.purchases import dump_json
from batchgen.storage.schema import version_of

_COUNTED_SINCE = 3

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


def note_tasks(connection: sqlite3.Connection, *, run_id: str, tasks: int, renewed: int) -> None:
    """Note how many tasks a run is asked for, and how many of them no other night has, whatever becomes of them."""
    connection.execute("UPDATE runs SET tasks = ?, renewed = ? WHERE run_id = ?", (tasks, renewed, run_id))


@dataclass(frozen=True, slots=True)
class Night:
    """What became of the tasks that belong to one night alone."""

    night: str
    """Its date, `2026-05-03`; the first one of a week for seeds that renew weekly."""
    asked: int
    bought: int
    """Tasks that were sent to their end: stored, waiting, refused for good, or of unknown outcome."""

    @property
    def not_bought(self) -> int:
        """Tasks that were asked for and never bought; a later night does not buy them."""
        return max(0, self.asked - self.bought)


def nights_of(connection: sqlite3.Connection, latest: int | None = None) -> list[Night]:
    """The nights with renewed seeds that a folder has seen, the last one first; at most `latest` of them.

    Nothing for a ledger older than version 3, which did not count them.
    """
    if version_of(connection) < _COUNTED_SINCE:
        return []
    asked = connection.execute(
        "SELECT night, MAX(renewed) AS asked FROM runs WHERE night != '' AND renewed > 0"
        " GROUP BY night ORDER BY night DESC LIMIT ?",
        (-1 if latest is None else latest,),
    ).fetchall()
    if not asked:
        return []
    bought = dict.fromkeys((row["night"] for row in asked), 0)
    # One pass over all tasks: a night is a part of their records, which no index knows.
    rows = connection.execute(
        "SELECT json_extract(record, '$.night') AS night, COUNT(*) AS number FROM tasks"
        " WHERE state NOT IN ('pending', 'sending') AND json_valid(record) GROUP BY 1"
    )
    bought |= {row["night"]: row["number"] for row in rows if row["night"] in bought}
    return [Night(row["night"], row["asked"], bought[row["night"]]) for row in asked]


def end_run(connection: sqlite3.Connection, *, run_id: str, exit_code: int, reason: str, at: float) -> None:
    """Note how a run ended, and why it did before its tasks. A run without an end was killed."""
    connection.execute(
        "UPDATE runs SET ended_at = ?, exit_code = ?, reason = ? WHERE run_id = ?", (at, exit_code, reason, run_id)
    )


def last_success(connection: sqlite3.Connection) -> float | None:
    """When a run last ended with exit code 0 (UTC seconds since the epoch); None for never."""
    (at,) = connection.execute("SELECT MAX(ended_at) FROM runs WHERE exit_code = 0").fetchone()
    return float(at) if isinstance(at, int | float) else None


def last_exit(connection: sqlite3.Connection) -> int | Literal["killed"] | None:
    """How the last run ended: its exit code, or `killed` where it had no end; None before the first run."""
    row = connection.execute("SELECT ended_at, exit_code FROM runs ORDER BY started_at DESC LIMIT 1").fetchone()
    if row is None:
        return None
    return row["exit_code"] if isinstance(row["exit_code"], int) and row["ended_at"] is not None else "killed"


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
