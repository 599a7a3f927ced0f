"""What a folder's runs were, and what its calls cost, by run, day and model: enough to explain a bill.

All sums come from the rows of single calls, so that however they are grouped they come to the same. It only reads, and
refuses to guess what a provider's bill says.
"""

import calendar
import datetime
import sqlite3
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from batchgen.storage.runs import Night
from batchgen.storage.schema import version_of

_COUNTED_SINCE = 3
_DAYS_TO_PROJECT = 2
_REBUILT = "not known: the ledger was made anew, and of this run only pictures are left"


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times are UTC seconds since the epoch."""

    run_id: str
    job: str
    night: str
    """The date of its night, or empty."""
    started_at: float
    ended_at: float | None
    """None for one that goes on, or was killed."""
    exit_code: int | None
    reason: str
    last_sign_at: float
    """When it last sent, heard or stored something."""
    pictures: int
    """Pictures that it stored, whichever run paid for them."""
    began_to_buy: bool = True
    """False for one that sent nothing and was asked for nothing: it fetched what was paid for."""


@dataclass(slots=True)
class Spent:
    """Calls and what they cost; amounts are millionths of `currency`."""

    calls: int = 0
    billed_pictures: int = 0
    billed: int = 0
    maybe_pictures: int = 0
    """Of calls of unknown outcome."""
    maybe: int = 0
    refused: int = 0
    unpriced: int = 0
    """Billed calls whose price nobody knew."""

    def add(self, other: "Spent") -> None:
        """Count `other` in."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Entry:
    """What the calls of one run, day, label and currency came to."""

    run_id: str
    day: str
    """In the provider's time zone, where days of its bill begin."""
    label: str
    model: str
    currency: str
    spent: Spent = field(hash=False)


def entries(connection: sqlite3.Connection, utc_offset_s: float) -> list[Entry]:
    """Every call, summed up. `utc_offset_s` is that of the provider's calendar."""
    rows = connection.execute(
        "SELECT a.run_id, strftime('%Y-%m-%d', a.sent_at + ?, 'unixepoch') AS day, t.label, t.model, a.currency,"
        " COUNT(*) AS calls,"
        # An answer may bring more than was asked for, and then it costs more.
        " SUM(CASE a.state WHEN 'billed' THEN CASE WHEN a.price > 0 THEN a.cost / a.price ELSE a.images END ELSE 0 END)"
        " AS billed_pictures,"
        " SUM(CASE a.state WHEN 'billed' THEN COALESCE(a.cost, 0) ELSE 0 END) AS billed,"
        " SUM(CASE a.state WHEN 'unknown' THEN a.images ELSE 0 END) AS maybe_pictures,"
        " SUM(CASE a.state WHEN 'unknown' THEN COALESCE(a.cost, 0) ELSE 0 END) AS maybe,"
        " SUM(a.state = 'failed') AS refused, SUM(a.state = 'billed' AND a.cost IS NULL) AS unpriced"
        " FROM attempts a JOIN tasks t USING (task_id) WHERE a.state != 'returned' GROUP BY 1, 2, 3, 4, 5",
        (utc_offset_s,),
    )
    return [
        Entry(
            row["run_id"],
            row["day"],
            row["label"],
            row["model"],
            row["currency"],
            Spent(**{name: row[name] for name in Spent.__slots__}),
        )
        for row in rows
    ]


def runs_of(connection: sqlite3.Connection) -> list[Run]:
    """Every run, the first one first; also those that a rebuilt ledger knows from their calls alone."""
    calls = {
        row["run_id"]: row
        for row in connection.execute(
            # A call that a kill cut off is ended by the next run, and that is no sign of life of this one.
            "SELECT run_id, MIN(sent_at) AS first,"
            " MAX(MAX(sent_at, CASE kind WHEN 'killed' THEN 0 ELSE COALESCE(ended_at, 0) END)) AS last"
            " FROM attempts GROUP BY run_id"
        )
    }
    since = "reason, tasks" if version_of(connection) >= _COUNTED_SINCE else "'' AS reason, NULL AS tasks"
    rows = connection.execute(
        f"SELECT run_id, job, night, started_at, ended_at, exit_code, {since} FROM runs"  # noqa: S608  # own words
    )
    runs = []
    for row in rows:
        own = calls.pop(row["run_id"], None)
        runs.append(
            Run(
                run_id=row["run_id"],
                job=row["job"],
                night=row["night"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
                exit_code=row["exit_code"],
                reason=row["reason"],
                last_sign_at=max(row["started_at"], own["last"] if own else 0.0),
                pictures=0,
                began_to_buy=own is not None or row["tasks"] is not None or row["ended_at"] is None,
            )
        )
    # Their money would be missing from the sums of runs.
    runs += [
        Run(run_id, "", "", own["first"], own["last"], None, _REBUILT, own["last"], 0) for run_id, own in calls.items()
    ]
    return _with_pictures(connection, sorted(runs, key=lambda run: (run.started_at, run.run_id)))


def _with_pictures(connection: sqlite3.Connection, runs: Sequence[Run]) -> list[Run]:
    """The runs with what each stored. A folder has one run at a time, so that it is the last one that had begun."""
    starts = [run.started_at for run in runs]
    stored, latest = [0] * len(runs), [0.0] * len(runs)
    rows = connection.execute("SELECT COALESCE(stored_at, billed_at) FROM pictures WHERE state = 'stored'")
    for (at,) in rows if runs else ():
        number = max(0, bisect_right(starts, at) - 1)
        stored[number] += 1
        latest[number] = max(latest[number], at)
    return [
        replace(run, pictures=pictures, last_sign_at=max(run.last_sign_at, at))
        for run, pictures, at in zip(runs, stored, latest, strict=True)
    ]


def night_of_folder(connection: sqlite3.Connection, night: str) -> Night | None:
    """What became of the tasks of a folder that is one night's alone; None where no run of it counted them."""
    if version_of(connection) < _COUNTED_SINCE:
        return None
    (asked,) = connection.execute("SELECT MAX(tasks) FROM runs").fetchone()
    (bought,) = connection.execute("SELECT COUNT(*) FROM tasks WHERE state NOT IN ('pending', 'sending')").fetchone()
    return None if asked is None else Night(night, asked, bought)


def projected(by_day: Mapping[str, int], today: datetime.date) -> int | None:
    """What the month of `today` will cost if it goes on as it began; None before two of its days have cost something.

    `by_day` holds millionths by ISO date. The days since the first one that cost something count, whether something was
    bought on them or not.
    """
    month = {day: cost for day, cost in by_day.items() if cost and day.startswith(today.strftime("%Y-%m-"))}
    if len(month) < _DAYS_TO_PROJECT:
        return None
    spent = sum(month.values())
    first = datetime.date.fromisoformat(min(month))
    last_day = calendar.monthrange(today.year, today.month)[1]
    return int(spent + Decimal(spent) / ((today - first).days + 1) * (last_day - today.day))
