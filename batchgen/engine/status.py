"""What a folder holds for a job right now, read only: the report of the last run, with today's counts."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from batchgen.engine.scopes import calendar_scopes
from batchgen.engine.summary import Ended, as_money, build_report, flags_of
from batchgen.errors import Exit
from batchgen.spec.job import Job
from batchgen.spec.task import Task
from batchgen.storage.queries import counts, failure_rows, states_of, waiting
from batchgen.storage.records import odd_ledger
from batchgen.storage.runs import noted_pools

_AT_ONCE = 500
_LISTED = 50


def status_of(
    connection: sqlite3.Connection, job: Job, tasks: Iterable[Task], *, going: bool, now: float
) -> dict[str, Any]:
    """The state of `job` in its folder: the keys of a report, and `pools`, `waiting`, `unknown` with what each is about.

    `flags` counts all stored pictures of the folder, not those of the last run.
    `now` is UTC seconds since the epoch. `going` says whether a run holds the folder now: without one, a call in flight
    is one of unknown outcome.
    """
    states: dict[str, dict[str, int]] = {}
    chunk: list[Task] = []

    def count() -> None:
        known = states_of(connection, [task.task_id for task in chunk])
        for task in chunk:
            by_state = states.setdefault(task.label, {})
            state = known.get(task.task_id, "pending")
            if state == "sending" and not going:
                state = "unknown"
            by_state[state] = by_state.get(state, 0) + 1
        chunk.clear()

    for task in tasks:
        chunk.append(task)
        if len(chunk) == _AT_ONCE:
            count()
    count()
    last = _last_run(connection, states, going=going)
    report = build_report(
        connection,
        job,
        str(job.output.folder),
        last,
        calendar_scopes(last.run_id, now + job.provider.utc_offset_s),
    )
    if last.reasons:
        report["exit_code"] = None
    soonest = waiting(connection)
    return report | {
        "flags": flags_of(connection),
        "pools": _pools(connection, last.run_id) if going else [],
        "waiting": [
            {"prompt_id": picture.prompt_id, "label": picture.label, "expires_at": picture.expires_at}
            for picture in soonest[:_LISTED]
        ],
        "unknown": [
            {key: row[key] for key in ("task_id", "prompt_id", "label", "message")}
            | {"cost": None if row["cost"] is None else as_money(row["cost"])}
            for row in failure_rows(connection)
            if row["state"] == "unknown"
        ][:_LISTED],
    }


def _pools(connection: sqlite3.Connection, run_id: str) -> list[dict[str, Any]]:
    """What the run's models were doing a moment ago, and their calls in flight at this one."""
    in_flight = {label: count for (label, state), count in counts(connection).items() if state == "sending"}
    return [pool | {"in_flight": in_flight.get(pool["label"], 0)} for pool in noted_pools(connection, run_id)]


def _last_run(connection: sqlite3.Connection, states: dict[str, dict[str, int]], *, going: bool) -> Ended:
    row = connection.execute("SELECT * FROM runs ORDER BY started_at DESC LIMIT 1").fetchone()
    ended_at = row["ended_at"] or row["started_at"]
    return Ended(
        run_id=row["run_id"],
        started_at=row["started_at"],
        ended_at=ended_at,
        duration_s=ended_at - row["started_at"],
        exit_code=_exit(row["exit_code"] or 0),
        reasons=("it is going on now",) if going else () if row["ended_at"] else ("it was killed before its end",),
        states=states,
        night=row["night"],
    )


def _exit(code: int) -> Exit:
    try:
        return Exit(code)
    except ValueError:
        raise odd_ledger("the end of a run") from None
