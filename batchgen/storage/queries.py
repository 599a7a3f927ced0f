"""What the ledger knows, as values: states, waiting pictures, money, and the rows of the manifest.

Everything here only reads, through the writer's connection or a read-only one.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.storage.records import flag_words, odd_ledger, task_record

SPOOL_KEY = re.compile(r"[0-9]{1,18}-[0-9a-f]{1,32}")
"""How a kept answer is named: the number of its call and a part of the call's key."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A picture that is paid for and not on disk yet; times are UTC seconds since the epoch."""

    picture_id: int
    task_id: str
    attempt_id: int
    label: str
    prompt_id: str
    name: str
    number: int
    url: str | None
    spool: str | None
    item: int
    billed_at: float
    expires_at: float
    asked_size: str
    asked_format: str
    kin: str
    """Equal for pictures of requests that differ in the seed alone."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A call that was in flight when its run ended."""

    attempt_id: int
    idempotency_key: str
    task_id: str
    label: str
    model: str
    run_id: str
    sent_at: float


@dataclass(frozen=True, slots=True)
class Money:
    """One scope's spending in one currency: counts of pictures, and millionths of the currency."""

    currency: str
    calls: int
    images_reserved: int
    images_billed: int
    images_maybe: int
    reserved: int
    billed: int
    maybe: int


def states_of(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, str]:
    """The state of each of those tasks that the ledger knows; `held` is an unknown outcome that was tried again already.

    The one further try is a matter of the purchase: a deliberate one begins anew.
    """
    known: dict[str, str] = {}
    for start in range(0, len(task_ids), 500):
        part = task_ids[start : start + 500]
        marks = ",".join("?" * len(part))
        rows = connection.execute(
            "SELECT task_id, CASE WHEN state = 'unknown' AND (SELECT COUNT(*) FROM attempts a WHERE a.task_id = t.task_id"  # noqa: S608
            " AND a.purchase = t.purchase AND a.state = 'unknown') > 1 THEN 'held' ELSE state END AS state"
            f" FROM tasks t WHERE task_id IN ({marks})",
            part,
        )
        known.update((row["task_id"], row["state"]) for row in rows)
    return known


_WAITING = (
    "SELECT p.picture_id, p.task_id, p.attempt_id, p.number, p.url, p.spool, p.item, p.billed_at, p.expires_at,"
    " t.label, t.name, t.record FROM pictures p JOIN tasks t USING (task_id) WHERE p.state = 'waiting'"
)


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Every picture that is paid for and not on disk, the link that dies first in front."""
    return [_waiting(row) for row in connection.execute(f"{_WAITING} ORDER BY p.expires_at, p.picture_id")]


def waiting_of(connection: sqlite3.Connection, picture_ids: Sequence[int]) -> list[Waiting]:
    """Those of the given pictures that wait."""
    marks = ",".join("?" * len(picture_ids))
    return [_waiting(row) for row in connection.execute(f"{_WAITING} AND p.picture_id IN ({marks})", picture_ids)]


def _waiting(row: sqlite3.Row) -> Waiting:
    record = task_record(row["record"])
    return Waiting(
        picture_id=row["picture_id"],
        task_id=row["task_id"],
        attempt_id=row["attempt_id"],
        label=row["label"],
        prompt_id=record["prompt_id"],
        name=row["name"],
        number=row["number"],
        url=row["url"],
        spool=row["spool"],
        item=row["item"],
        billed_at=row["billed_at"],
        expires_at=row["expires_at"],
        asked_size=str(record["params"].get("size") or record["params"].get("aspect_ratio") or ""),
        asked_format=str(_field(record, "output_format")),
        kin=_kin(record),
    )


def _field(record: dict[str, Any], name: str) -> Any:
    """A request field, wherever the job wrote it; empty when it did not."""
    return record["params"].get(name) or record.get("extra_params", {}).get(name) or ""


def _kin(record: dict[str, Any]) -> str:
    same = [record.get(key) for key in ("provider", "model", "prompt", "params", "extra_params")]
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:24]


def records_of(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What was asked for with each of those tasks."""
    rows = connection.execute(
        "SELECT task_id, record FROM tasks WHERE task_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(task_ids)),),
    )
    return {row["task_id"]: json.loads(row["record"]) for row in rows}


def file_names_like(connection: sqlite3.Connection, stem: str) -> set[str]:
    """The files of stored pictures whose name begins with `stem` (below `images/`), whichever task they belong to."""
    start = f"images/{stem}"
    rows = connection.execute(
        "SELECT file_name FROM pictures WHERE state = 'stored' AND substr(file_name, 1, ?) = ?", (len(start), start)
    )
    return {row["file_name"] for row in rows}


def spool_in_use(connection: sqlite3.Connection, spool: str) -> bool:
    """Whether a picture still waits for that spooled answer; never for one whose name is no answer's."""
    if not SPOOL_KEY.fullmatch(spool):
        return False
    row = connection.execute(
        "SELECT 1 FROM attempts a JOIN pictures p USING (task_id)"
        " WHERE a.attempt_id = ? AND p.attempt_id = a.attempt_id AND p.spool = ? AND p.state = 'waiting'",
        (int(spool.partition("-")[0]), spool),
    ).fetchone()
    return row is not None


def sending(connection: sqlite3.Connection) -> list[Sending]:
    """The calls whose end nobody wrote down: their process died."""
    rows = connection.execute(
        "SELECT a.attempt_id, a.idempotency_key, a.task_id, t.label, t.model, a.run_id, a.sent_at"
        " FROM attempts a JOIN tasks t USING (task_id) WHERE a.state = 'sending' ORDER BY a.attempt_id"
    )
    return [Sending(*row) for row in rows]


def money(connection: sqlite3.Connection, scope: str) -> tuple[Money, ...]:
    """What a scope (`life`, `run:ID`, `day:2026-05-01`, …) holds, per currency."""
    rows = connection.execute(
        "SELECT currency, calls, images_reserved, images_billed, images_maybe, reserved, billed, maybe"
        " FROM totals WHERE scope = ? ORDER BY currency",
        (scope,),
    )
    return tuple(Money(*row) for row in rows)


def counts(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Tasks of the folder by (label, state)."""
    rows = connection.execute("SELECT label, state, COUNT(*) FROM tasks GROUP BY label, state")
    return {(row[0], row[1]): row[2] for row in rows}


def mean_latency(connection: sqlite3.Connection) -> dict[str, float]:
    """Seconds that a paid call of each model took on average, for the models that were ever billed."""
    rows = connection.execute(
        "SELECT t.model, AVG(a.latency_s) FROM attempts a JOIN tasks t USING (task_id)"
        " WHERE a.state = 'billed' AND a.latency_s > 0 GROUP BY t.model"
    )
    return {row[0]: row[1] for row in rows}


def mean_picture_bytes(connection: sqlite3.Connection) -> float:
    """How large a stored picture of the folder is on average; 0 without one."""
    row = connection.execute("SELECT AVG(bytes) FROM pictures WHERE state = 'stored'").fetchone()
    return float(row[0] or 0.0)


def stored_pictures(connection: sqlite3.Connection) -> int:
    """How many pictures are stored: the lines that the manifest has to have."""
    count: int = connection.execute("SELECT COUNT(*) FROM pictures WHERE state = 'stored'").fetchone()[0]
    return count


_MANIFEST = (
    "SELECT p.*, t.record, t.label, t.model, a.request_id, a.latency_s, a.price, a.currency,"
    " (SELECT COUNT(*) FROM attempts b WHERE b.task_id = p.task_id AND b.posted = 1 AND b.kind != 'rate_limited')"
    " AS posts, (SELECT COUNT(*) FROM attempts b WHERE b.task_id = p.task_id AND b.state = 'unknown') AS unknowns,"
    " r.job AS run_job, r.version AS run_version FROM pictures p JOIN tasks t USING (task_id)"
    " JOIN attempts a USING (attempt_id) LEFT JOIN runs r ON r.run_id = p.run_id WHERE p.state = 'stored'"
)


def manifest_rows(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Every stored picture as the manifest lists it, in the order they were stored."""
    for row in connection.execute(f"{_MANIFEST} ORDER BY p.stored_at, p.picture_id"):
        yield _manifest_row(row)


def manifest_rows_of(connection: sqlite3.Connection, picture_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The manifest's rows of some pictures that were just stored."""
    marks = ",".join("?" * len(picture_ids))
    rows = connection.execute(f"{_MANIFEST} AND p.picture_id IN ({marks}) ORDER BY p.picture_id", picture_ids)
    return [_manifest_row(row) for row in rows]


def _manifest_row(row: sqlite3.Row) -> dict[str, Any]:
    record = task_record(row["record"])
    return {
        "file_name": row["file_name"],
        "task_id": row["task_id"],
        **task_columns(record),
        "width": row["width"],
        "height": row["height"],
        "format": row["format"],
        "bytes": row["bytes"],
        "sha256": row["sha256"],
        "source_sha256": row["source_sha256"],
        "flags": flag_words(row["flags"]),
        "cost": row["price"],
        "currency": row["currency"],
        "request_id": row["request_id"],
        "created_at": row["billed_at"],
        "latency_s": row["latency_s"],
        "attempts": row["posts"],
        "maybe_billed": row["unknowns"],
        "job": row["run_job"] or "",
        "run_id": row["run_id"],
        "version": row["run_version"] or "",
        "picture": row["number"],
    }


def task_columns(record: dict[str, Any]) -> dict[str, Any]:
    """The columns that the manifest and the list of failures share: what was asked for."""
    try:
        return {
            "prompt_id": record["prompt_id"],
            "row": record["row"],
            "prompt": record["prompt"],
            "negative_prompt": str(record["params"].get("negative_prompt", "")),
            "vars": record["vars"],
            "provider": record["provider"],
            "model": record["model"],
            "label": record["label"],
            "seed": record["seed"],
            "try": record["try"],
            "index": record["index"],
            "night": record["night"],
            "params": record["params"] | ({"extra_params": record["extra_params"]} if record["extra_params"] else {}),
        }
    except KeyError:
        raise odd_ledger("the description of a task") from None


def failure_rows(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Every task that ended without its picture, or whose outcome is unknown, as `failures.jsonl` lists it."""
    rows = connection.execute(
        "SELECT t.*, a.request_id, a.price, a.currency, a.images,"
        " (SELECT COUNT(*) FROM attempts b WHERE b.task_id = t.task_id AND b.posted = 1 AND b.kind != 'rate_limited')"
        " AS posts, (SELECT COUNT(*) FROM attempts b WHERE b.task_id = t.task_id AND b.state = 'unknown') AS unknowns"
        ", (SELECT SUM(cost) FROM attempts b WHERE b.task_id = t.task_id AND b.state IN ('unknown', 'billed')) AS spent"
        " FROM tasks t JOIN attempts a ON a.attempt_id ="
        " (SELECT MAX(attempt_id) FROM attempts b WHERE b.task_id = t.task_id)"
        " WHERE t.state IN ('failed', 'unknown', 'expired', 'lost') ORDER BY a.attempt_id"
    )
    for row in rows:
        yield {
            "task_id": row["task_id"],
            **task_columns(task_record(row["record"])),
            "state": row["state"],
            "class": row["kind"],
            "message": row["message"],
            "request_id": row["request_id"],
            "attempts": row["posts"],
            "maybe_billed": row["unknowns"],
            "cost": row["spent"],
            "currency": row["currency"],
        }
