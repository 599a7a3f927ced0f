"""What nights made and cost, as rows: for a table, for a spreadsheet, for a program.

However rows are grouped, they are sums of the same entries and come to the same. It refuses to read ledgers.
"""

import csv
import dataclasses
import datetime
import io
import shlex
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchgen.engine.summary import as_money
from batchgen.errors import Exit
from batchgen.outside import clean, csv_cell, json_text, printable
from batchgen.spec.seeds import night_for, night_of
from batchgen.storage.history import Entry, Run, Spent, projected
from batchgen.storage.runs import Night
from batchgen.views.text import date

if TYPE_CHECKING:
    from batchgen.spec.job import Renew

_STEPS = {"daily": 1, "weekly": 7}
_SPAN = 14
"""Nights after which a day of the week without any run is taken for one on which none is meant to be."""
_CALENDAR = range(2000, 2200)
"""Years that a night may be of: a stranger's ledger may name any, and all between two of them would be missed."""
_SERIES = 2
"""Nights that make a job one that has nights: a single one may have been to try it out."""
_EXITS: Mapping[int, str] = {
    Exit.DONE: "done",
    Exit.BUG: "internal error",
    Exit.USAGE: "a mistake in the job",
    Exit.TASKS_FAILED: "not everything could be made",
    Exit.UNAVAILABLE: "the provider was not available, or the deadline came",
    Exit.BUDGET: "budget reached",
    Exit.STORAGE: "disk or folder",
    Exit.ACCOUNT: "key or account",
    Exit.HELD: "calls of unknown outcome wait for your decision",
    Exit.SIGINT: "stopped by hand",
    Exit.SIGTERM: "stopped by the system",
}
COLUMNS = [
    "kind",
    "job",
    "folder",
    "night",
    "day",
    "label",
    "model",
    "run_id",
    "started_at",
    "ended_at",
    "duration_s",
    "exit_code",
    "ended",
    "pictures",
    "calls",
    "billed_pictures",
    "maybe_billed_pictures",
    "refused",
    "not_bought",
    "missed",
    "currency",
    "billed",
    "maybe_billed",
]


@dataclass(frozen=True, slots=True)
class Folder:
    """One output folder: its runs and what they spent."""

    path: str
    job: str
    renew: "Renew"
    """`never`, `daily` or `weekly`: how often there should be a new night."""
    utc_offset_s: float
    """Of the provider's calendar."""
    going: bool
    """Whether a run works there now."""
    runs: Sequence[Run]
    entries: Sequence[Entry]
    nights: Sequence[Night] = ()
    waiting: int = 0
    unknown: int = 0
    night: str = ""
    """Where each night has a folder of its own, the night of this one."""
    named: str = ""
    """The folder as a command of the user names it."""


@dataclass(frozen=True, slots=True)
class History:
    """Rows of one kind, and their sums by currency."""

    by: str
    rows: Sequence[Mapping[str, Any]]
    totals: Mapping[str, Spent]
    runs: int
    missed: int
    pictures: int
    waiting: int
    unknown: int
    owing: Sequence[str] = ()
    """The commands that deal with what waits or is unknown."""
    month: str = ""
    so_far: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By currency: what the present month has cost, and will at this rate."""


def make_history(folders: Sequence[Folder], *, by: str = "run", month: str = "", now: float) -> History:
    """The history of some folders. `month` (`2026-05`) keeps what was spent in that month of the provider's calendar.

    `by` is `run`, `day`, `model` or `job`; `now` is UTC seconds since the epoch.
    """
    kept = [_in_month(folder, month) for folder in folders]
    totals: dict[str, Spent] = {}
    for folder in kept:
        for entry in folder.entries:
            totals.setdefault(entry.currency, Spent()).add(entry.spent)
    runs = [*(row for folder in kept for row in _run_rows(folder))]
    for group in _series(folders):
        runs += _missed(group, month, now)
    runs.sort(key=lambda row: (row["night"] or row["day"], row.get("started_at", 0.0)))
    missed = sum(row["missed"] for row in runs)
    return History(
        by=by,
        rows=runs if by == "run" else _grouped(kept, by),
        totals=totals,
        runs=sum(len(folder.runs) for folder in kept),
        missed=missed,
        pictures=sum(run.pictures for folder in kept for run in folder.runs),
        waiting=sum(folder.waiting for folder in kept),
        unknown=sum(folder.unknown for folder in kept),
        owing=[*_owing(folders)],
        month=month,
        so_far={} if month else _so_far(folders, now),
    )


def _in_month(folder: Folder, month: str) -> Folder:
    if not month:
        return folder
    entries = [entry for entry in folder.entries if entry.day.startswith(month)]
    paid = {entry.run_id for entry in entries}
    runs = [run for run in folder.runs if run.run_id in paid or _day(run.started_at, folder).startswith(month)]
    going = folder.going and runs[-1:] == list(folder.runs[-1:])
    return dataclasses.replace(folder, entries=entries, runs=runs, going=going)


def _day(at: float, folder: Folder) -> str:
    return datetime.datetime.fromtimestamp(at + folder.utc_offset_s, datetime.UTC).date().isoformat()


def _so_far(folders: Sequence[Folder], now: float) -> dict[str, tuple[int, int]]:
    by_day: dict[str, dict[str, int]] = {}
    for folder in folders:
        for entry in folder.entries:
            days = by_day.setdefault(entry.currency, {})
            days[entry.day] = days.get(entry.day, 0) + entry.spent.billed + entry.spent.maybe
    offset_s = folders[0].utc_offset_s if folders else 0.0
    today = datetime.datetime.fromtimestamp(now + offset_s, datetime.UTC).date()
    found = {}
    for currency, days in by_day.items():
        whole = projected(days, today)
        if whole is not None:
            found[currency] = (sum(cost for day, cost in days.items() if day.startswith(f"{today:%Y-%m}")), whole)
    return found


def _series(folders: Sequence[Folder]) -> list[list[Folder]]:
    """Folders of one job's nights together, others one by one."""
    series: dict[str, list[Folder]] = {}
    for folder in folders:
        key = folder.path.replace(folder.night, "{night}") if folder.night else folder.path
        series.setdefault(key, []).append(folder)
    return list(series.values())


def _owing(folders: Sequence[Folder]) -> Iterator[str]:
    """What to type for what is paid for and not here, and for what nobody knows."""
    for verb in ("recover", "status"):
        for folder in folders:
            if folder.waiting if verb == "recover" else folder.unknown:
                yield f"batchgen {verb} {printable(shlex.quote(folder.named or folder.path))}"


def _run_rows(folder: Folder) -> Iterator[dict[str, Any]]:
    """A row a run and currency."""
    spent: dict[str, dict[str, Spent]] = {}
    for entry in folder.entries:
        spent.setdefault(entry.run_id, {}).setdefault(entry.currency, Spent()).add(entry.spent)
    last_of_night = {run.night: run.run_id for run in folder.runs if run.began_to_buy}
    lacking = {last_of_night.get(night.night): night.not_bought for night in folder.nights}
    for run in folder.runs:
        for number, (currency, sums) in enumerate(sorted(spent.get(run.run_id, {"": Spent()}).items())):
            yield _run_row(folder, run, currency, sums, lacking.get(run.run_id, 0), first=not number)


def _run_row(folder: Folder, run: Run, currency: str, spent: Spent, not_bought: int, *, first: bool) -> dict[str, Any]:
    ended_at = run.ended_at
    took = (run.last_sign_at if ended_at is None else ended_at) - run.started_at
    if _is_going(folder, run):
        # What it has not bought yet, it may still buy.
        ended, not_bought = "it is going on now", 0
    elif ended_at is None:
        ended = f"killed; last sign of life {date(run.last_sign_at)}"
    else:
        ended = clean(run.reason, 200).rstrip(".") or _ended(run, spent)
    if not_bought:
        ended += f"; {not_bought} not bought"
    return {
        "kind": "run",
        "job": run.job or folder.job,
        "folder": folder.path,
        "night": run.night or folder.night,
        "day": _day(run.started_at, folder),
        "run_id": run.run_id,
        "started_at": run.started_at,
        "ended_at": ended_at,
        "duration_s": round(max(0.0, took), 3),
        "exit_code": run.exit_code,
        "ended": ended,
        "pictures": run.pictures if first else 0,
        "not_bought": not_bought if first else 0,
        "missed": 0,
        **_sums(currency, spent),
    }


def _is_going(folder: Folder, run: Run) -> bool:
    return folder.going and run.ended_at is None and run is folder.runs[-1]


def _ended(run: Run, spent: Spent) -> str:
    if run.exit_code == Exit.TASKS_FAILED and spent.refused:
        return f"{spent.refused} refused"
    if run.exit_code == Exit.DONE and not run.began_to_buy:
        return "done; bought nothing"
    return "not known" if run.exit_code is None else _EXITS.get(run.exit_code, f"exit code {run.exit_code}")


def _sums(currency: str, spent: Spent) -> dict[str, Any]:
    return {
        "calls": spent.calls,
        "billed_pictures": spent.billed_pictures,
        "maybe_billed_pictures": spent.maybe_pictures,
        "refused": spent.refused,
        "currency": currency,
        "billed": as_money(spent.billed),
        "maybe_billed": as_money(spent.maybe),
    }


def _missed(series: Sequence[Folder], month: str, now: float) -> Iterator[dict[str, Any]]:
    """A row for all nights in a row on which no run began, from the first night to the last that is over, and why.

    Why is told by the run that was going on at that time, where there was one.
    """
    renew: Renew = "daily" if series[0].night else series[0].renew
    step = datetime.timedelta(days=_STEPS.get(renew, 0))
    every = [(run, folder) for folder in series for run in folder.runs]
    every.sort(key=lambda each: each[0].started_at)
    begun: dict[datetime.date, float] = {}
    for run, folder in every if step else ():
        night = _date_of(run.night or folder.night, renew)
        if night and run.began_to_buy:
            begun.setdefault(night, run.started_at)
    if len(begun) < _SERIES:
        return
    first, last = min(begun), max(begun)
    weekdays = {night.weekday() for night in begun} if (last - first).days >= _SPAN else set(range(7))
    streaks: list[tuple[str, list[str]]] = []
    is_new, usual_at, night = True, begun[first], first
    while (night := night + step) <= max(last, _tonight(now, renew) - step):
        usual_at = begun.get(night, usual_at + step.total_seconds())
        if night in begun:
            is_new = True
        elif night.weekday() in weekdays and night.isoformat().startswith(month):
            over = _going_at(usual_at, every, now)
            if is_new or over != streaks[-1][0]:
                streaks.append((over, []))
            streaks[-1][1].append(night.isoformat())
            is_new = False
    for over, nights in streaks:
        until = f" until {nights[-1]}, {len(nights)} nights" if len(nights) > 1 else ""
        why = f"the run of {over} was still going" if over else "no run began"
        about = {"job": series[0].job, "folder": series[0].path, "night": nights[0], "missed": len(nights)}
        yield {"kind": "missed", **about, "ended": f"missed{until}: {why}"}


def _date_of(night: str, renew: "Renew") -> datetime.date | None:
    try:
        date = datetime.date.fromisoformat(night_for(renew, night))
    except ValueError:
        return None
    return date if date.year in _CALENDAR else None


def _tonight(now: float, renew: "Renew") -> datetime.date:
    offset = datetime.datetime.fromtimestamp(now, datetime.UTC).astimezone().utcoffset()
    return datetime.date.fromisoformat(night_of(now, renew, offset.total_seconds() if offset else 0.0))


def _going_at(at: float, every: Sequence[tuple[Run, Folder]], now: float) -> str:
    """The night or day of the run that went on at that time, or nothing. The last one to begin holds the folder."""
    run, folder = every[bisect_left(every, at, key=lambda each: each[0].started_at) - 1]
    end = now if _is_going(folder, run) else run.ended_at or run.last_sign_at
    return clean(run.night or folder.night or _day(run.started_at, folder), 10) if at <= end else ""


def _grouped(folders: Sequence[Folder], by: str) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], Spent] = {}
    for folder in folders:
        for entry in folder.entries:
            what = {"day": (entry.day,), "model": (entry.label, entry.model), "job": (folder.job,)}[by]
            groups.setdefault((*what, entry.currency), Spent()).add(entry.spent)
    names = {"day": ("day",), "model": ("label", "model"), "job": ("job",)}[by]
    return [
        {"kind": by, **dict(zip(names, key[:-1], strict=True)), **_sums(key[-1], spent)}
        for key, spent in sorted(groups.items())
    ]


def as_json(history: History) -> str:
    """One JSON object: `rows`, `totals` by currency, and what is open; times are ISO 8601 in UTC."""
    whole = {
        "by": history.by,
        "month": history.month or None,
        "rows": [_plain(row) for row in history.rows],
        "totals": [_sums(currency, spent) for currency, spent in sorted(history.totals.items())],
        "runs": history.runs,
        "missed": history.missed,
        "pictures": history.pictures,
        "waiting": history.waiting,
        "unknown": history.unknown,
        "next": history.owing,
        "this_month": {
            currency: {"spent": as_money(so_far), "projected": as_money(whole)}
            for currency, (so_far, whole) in history.so_far.items()
        },
    }
    return json_text(whole, indent=2)


def as_csv(history: History) -> str:
    """A line a row, always with the same columns; no cell is a formula."""
    file = io.StringIO(newline="")
    table = csv.writer(file, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row in history.rows:
        values = _plain(row)
        table.writerow(
            [csv_cell(value) if isinstance(value := values.get(name, ""), str) else value for name in COLUMNS]
        )
    return file.getvalue()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        name: clean(value, 1000) if isinstance(value, str) else value for name, value in row.items()
    }
    for name in ("started_at", "ended_at"):
        if plain.get(name) is not None:
            at = datetime.datetime.fromtimestamp(plain[name], datetime.UTC)
            plain[name] = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return plain
