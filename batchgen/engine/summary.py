"""What a run came to: the report that is printed, written as `report.json`, and told as the last event.

Everything comes from the ledger and from how the run's pools ended; money is text with its currency named once.
"""

import datetime
import shlex
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchgen.errors import BatchgenError, Exit
from batchgen.outside import json_text
from batchgen.spec.job import Job
from batchgen.storage.history import projected
from batchgen.storage.purchases import MILLION
from batchgen.storage.queries import failure_rows, money
from batchgen.storage.records import flag_words
from batchgen.storage.runs import nights_of

_FAILURES_SHOWN = 20
_RUNS_SHOWN = 10
_DAYS_SHOWN = 14


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, from the engine's side. `states` counts the job's tasks by label and state."""

    run_id: str
    started_at: float
    ended_at: float
    duration_s: float
    exit_code: Exit
    reasons: tuple[str, ...]
    states: Mapping[str, Mapping[str, int]]
    night: str = ""
    """The date of the night that the run belongs to, where its job has nights."""
    new_stored: int = 0
    """Pictures that the run stored."""
    error: BatchgenError | None = None
    """What broke the run: this machine's disk, as a rule."""

    @property
    def reason(self) -> str:
        """Why the run ended before its tasks did, in words; empty when it did not."""
        return "; ".join(dict.fromkeys(self.reasons))


def build_report(
    connection: sqlite3.Connection, job: Job, folder: str, ended: Ended, scopes: tuple[str, ...]
) -> dict[str, Any]:
    """The report of a run as a JSON object."""
    counts = _counts(ended.states)
    job_path = str(job.output.folder if job.output.is_named else job.path)
    return {
        "job": job.name,
        "job_file": job_path,
        "folder": folder,
        "run_id": ended.run_id,
        "started_at": _time(ended.started_at),
        "ended_at": _time(ended.ended_at),
        "duration_s": round(ended.duration_s, 3),
        "exit_code": int(ended.exit_code),
        "reason": ended.reason,
        "error": None if ended.error is None else {"message": ended.error.message, "hint": ended.error.hint},
        "provider": job.identity,
        "play_money": job.provider.play_money,
        "currency": job.provider.currency,
        "counts": counts | {"new_stored": ended.new_stored},
        "money": _scope(connection, "life", job.provider.currency),
        "this_run": _scope(connection, f"run:{ended.run_id}", job.provider.currency),
        "by_scope": {scope: _scope(connection, scope, job.provider.currency) for scope in scopes[2:]},
        "projected_month": _projected(connection, job, ended.ended_at),
        "night": ended.night,
        "not_bought": [
            {"night": each.night, "tasks": each.not_bought}
            for each in nights_of(connection, _DAYS_SHOWN)
            if each.not_bought
        ],
        "by_run": _by_run(connection, job.provider.currency),
        "by_day": _by_day(connection, job.provider.currency),
        "models": [_model(connection, use.label, use.model.id, ended.states.get(use.label, {})) for use in job.models],
        "flags": flags_of(connection, ended.run_id),
        "failures": _failures(connection),
        "next": _next_steps(job_path, counts),
    }


def report_bytes(report: dict[str, Any]) -> bytes:
    """The report as its file holds it."""
    return (json_text(report, indent=2) + "\n").encode("utf-8")


def _counts(states: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for by_state in states.values():
        for state, count in by_state.items():
            total[state] = total.get(state, 0) + count
    return {
        "tasks": sum(total.values()),
        "done": total.get("stored", 0),
        "failed": total.get("failed", 0),
        "unknown": total.get("unknown", 0) + total.get("held", 0),
        "held": total.get("held", 0),
        "expired": total.get("expired", 0),
        "lost": total.get("lost", 0),
        "waiting": total.get("billed", 0),
        "pending": total.get("pending", 0) + total.get("sending", 0),
    }


def _scope(connection: sqlite3.Connection, scope: str, currency: str) -> dict[str, Any]:
    """One scope's calls, pictures and money in the job's currency; another currency's follow under `other`."""
    found = {entry.currency: entry for entry in money(connection, scope)}
    entry = found.pop(currency, None)
    return {
        "calls": entry.calls if entry else 0,
        "pictures": entry.images_billed if entry else 0,
        "maybe_billed_pictures": entry.images_maybe if entry else 0,
        "spent": as_money(entry.billed if entry else 0),
        "maybe_billed": as_money(entry.maybe if entry else 0),
        "reserved": as_money(entry.reserved if entry else 0),
        "other": {name: as_money(other.billed + other.maybe) for name, other in found.items()},
    }


def _projected(connection: sqlite3.Connection, job: Job, now: float) -> str | None:
    """What the provider's month will cost if it goes on as it began: None before that can be said."""
    today = datetime.datetime.fromtimestamp(now + job.provider.utc_offset_s, datetime.UTC).date()
    rows = connection.execute(
        "SELECT scope, billed + maybe AS spent FROM totals WHERE scope LIKE ? AND currency = ?",
        (f"day:{today:%Y-%m}-%", job.provider.currency),
    )
    found = projected({row["scope"].removeprefix("day:"): row["spent"] for row in rows}, today)
    return None if found is None else as_money(found)


def _by_run(connection: sqlite3.Connection, currency: str) -> list[dict[str, Any]]:
    """What each of the latest runs spent, the last one first."""
    rows = connection.execute(
        "SELECT run_id, started_at, exit_code FROM runs ORDER BY started_at DESC LIMIT ?", (_RUNS_SHOWN,)
    ).fetchall()
    return [
        {"run_id": row["run_id"], "started_at": _time(row["started_at"]), "exit_code": row["exit_code"]}
        | _spent(connection, f"run:{row['run_id']}", currency)
        for row in rows
    ]


def _by_day(connection: sqlite3.Connection, currency: str) -> list[dict[str, Any]]:
    """What was spent on each of the latest days of the provider's calendar, the last one first."""
    rows = connection.execute(
        "SELECT DISTINCT scope FROM totals WHERE scope LIKE 'day:%' ORDER BY scope DESC LIMIT ?", (_DAYS_SHOWN,)
    ).fetchall()
    return [{"day": row["scope"].removeprefix("day:")} | _spent(connection, row["scope"], currency) for row in rows]


def _spent(connection: sqlite3.Connection, scope: str, currency: str) -> dict[str, Any]:
    sums = _scope(connection, scope, currency)
    return {key: sums[key] for key in ("calls", "pictures", "spent", "maybe_billed")}


def as_money(millionths: int) -> str:
    """Millionths as text with at least two decimals, such as `3.50`."""
    exact = Decimal(millionths) / MILLION
    return f"{exact:.2f}" if exact == round(exact, 2) else f"{exact.normalize():f}"


def _model(connection: sqlite3.Connection, label: str, model: str, states: Mapping[str, int]) -> dict[str, Any]:
    row = connection.execute(
        "SELECT COALESCE(SUM(a.cost), 0) AS spent, AVG(a.latency_s) AS latency FROM attempts a"
        " JOIN tasks t USING (task_id) WHERE t.label = ? AND a.state = 'billed'",
        (label,),
    ).fetchone()
    return {
        "label": label,
        "model": model,
        "done": states.get("stored", 0),
        "failed": states.get("failed", 0) + states.get("expired", 0) + states.get("lost", 0),
        "unknown": states.get("unknown", 0) + states.get("held", 0),
        "waiting": states.get("billed", 0),
        "pending": states.get("pending", 0) + states.get("sending", 0),
        "spent": as_money(row["spent"]),
        "seconds_per_picture": None if row["latency"] is None else round(row["latency"], 2),
    }


def flags_of(connection: sqlite3.Connection, run_id: str | None = None) -> dict[str, int]:
    """How many stored pictures have each flag: those of one run, or all of the folder."""
    counts: dict[str, int] = {}
    chosen = "flags != '[]' AND state = 'stored'" + ("" if run_id is None else " AND run_id = ?")
    rows = connection.execute(
        f"SELECT flags FROM pictures WHERE {chosen}",  # noqa: S608  # two fixed texts
        () if run_id is None else (run_id,),
    )
    for row in rows:
        for flag in flag_words(row["flags"]):
            counts[flag] = counts.get(flag, 0) + 1
    return counts


def _failures(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for row in failure_rows(connection):
        if len(shown) == _FAILURES_SHOWN:
            break
        shown.append(
            {
                "task_id": row["task_id"],
                "prompt_id": row["prompt_id"],
                "label": row["label"],
                "state": row["state"],
                "kind": row["class"],
                "message": row["message"],
                "request_id": row["request_id"],
            }
        )
    return shown


def _next_steps(job: str, counts: Mapping[str, int]) -> list[str]:
    """The commands that deal with what has no picture yet."""
    run = f"batchgen run {shlex.quote(job)}"
    steps = [f"batchgen recover {shlex.quote(job)}"] if counts["waiting"] else []
    if counts["pending"]:
        steps.append(run)
    steps += [f"{run} --retry {state}" for state in ("unknown", "failed", "expired", "lost") if counts[state]]
    return steps + ([f"{run} --drop unknown"] if counts["unknown"] else [])


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
