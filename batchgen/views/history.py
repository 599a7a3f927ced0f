"""What nights made and cost, as rows: for a table, for a spreadsheet, for a program; and in words for a tired person.

However rows are grouped, they are sums of the same entries and come to the same. It refuses to read ledgers.
"""

import csv
import datetime
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchgen.engine.summary import as_money
from batchgen.errors import Exit
from batchgen.outside import clean, csv_cell, json_text
from batchgen.storage.history import Entry, Run, Spent, projected
from batchgen.storage.runs import Night
from batchgen.views.columns import Page
from batchgen.views.text import clock_time, count, date, duration, money

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_DAY_S = 86_400.0
_STEPS = {"daily": 1, "weekly": 7}
_SPAN = 14
"""Nights after which a day of the week without any run is taken for one on which none is meant to be."""
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
    "currency",
    "billed",
    "maybe_billed",
]


@dataclass(frozen=True, slots=True)
class Folder:
    """One output folder: its runs and what they spent."""

    path: str
    job: str
    renew: str
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
    runs = [row for group in _series(kept) for row in _run_rows(group)]
    missed = sum(row["kind"] == "missed" for row in runs)
    return History(
        by=by,
        rows=runs if by == "run" else _grouped(kept, by),
        totals=totals,
        runs=sum(len(folder.runs) for folder in kept),
        missed=missed,
        pictures=sum(run.pictures for folder in kept for run in folder.runs),
        waiting=sum(folder.waiting for folder in kept),
        unknown=sum(folder.unknown for folder in kept),
        month=month,
        so_far={} if month else _so_far(folders, now),
    )


def _in_month(folder: Folder, month: str) -> Folder:
    if not month:
        return folder
    entries = [entry for entry in folder.entries if entry.day.startswith(month)]
    paid = {entry.run_id for entry in entries}
    runs = [run for run in folder.runs if run.run_id in paid or _day(run.started_at, folder).startswith(month)]
    return Folder(**{name: getattr(folder, name) for name in Folder.__slots__} | {"entries": entries, "runs": runs})


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


def _run_rows(series: Sequence[Folder]) -> list[dict[str, Any]]:
    """A row a run and currency, and one for each night that was missed, in the order of their beginnings."""
    found: list[dict[str, Any]] = []
    for folder in series:
        spent: dict[str, dict[str, Spent]] = {}
        for entry in folder.entries:
            spent.setdefault(entry.run_id, {}).setdefault(entry.currency, Spent()).add(entry.spent)
        last_of_night = {run.night: run.run_id for run in folder.runs}
        lacking = {last_of_night.get(night.night): night.not_bought for night in folder.nights}
        for run in folder.runs:
            for number, (currency, sums) in enumerate(sorted(spent.get(run.run_id, {"": Spent()}).items())):
                found.append(_run_row(folder, run, currency, sums, lacking.get(run.run_id, 0), first=not number))
    found += _missed(series)
    return sorted(found, key=lambda row: (row["night"] or row["day"], row.get("started_at", 0.0)))


def _run_row(folder: Folder, run: Run, currency: str, spent: Spent, not_bought: int, *, first: bool) -> dict[str, Any]:
    is_last = run is folder.runs[-1]
    ended_at = run.ended_at
    if ended_at is None and not (folder.going and is_last):
        ended, took = f"killed; last sign of life {date(run.last_sign_at)}", run.last_sign_at - run.started_at
    elif ended_at is None:
        ended, took = "it is going on now", run.last_sign_at - run.started_at
    else:
        took = ended_at - run.started_at
        ended = clean(run.reason, 200).rstrip(".") or _ended(run.exit_code or 0, spent)
    if not_bought:
        ended += f"; {not_bought} not bought"
    return {
        "kind": "run",
        "job": run.job,
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
        **_sums(currency, spent),
    }


def _ended(exit_code: int, spent: Spent) -> str:
    if exit_code == Exit.TASKS_FAILED and spent.refused:
        return f"{spent.refused} refused"
    return _EXITS.get(exit_code, f"exit code {exit_code}")


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


def _missed(series: Sequence[Folder]) -> Iterator[dict[str, Any]]:
    """Nights between the first and the last one that had no run, and why, where another run says so."""
    step = 1 if series[0].night else _STEPS.get(series[0].renew, 0)
    runs = sorted(
        ((run.night or folder.night, run, folder) for folder in series for run in folder.runs),
        key=lambda each: each[1].started_at,
    )
    had = {night for night, _, _ in runs if night}
    if not step or len(had) < 2:
        return
    first, last = (datetime.date.fromisoformat(night) for night in (min(had), max(had)))
    weekdays = {datetime.date.fromisoformat(night).weekday() for night in had}
    for days in range(step, (last - first).days, step):
        night = first + datetime.timedelta(days=days)
        is_meant = step > 1 or (last - first).days < _SPAN or night.weekday() in weekdays
        if night.isoformat() in had or not is_meant:
            continue
        before = max(
            ((name, run) for name, run, _ in runs if name and name < night.isoformat()), key=lambda each: each[0]
        )
        expected = before[1].started_at + _DAY_S * (night - datetime.date.fromisoformat(before[0])).days
        over = next(
            (name for name, run, _ in runs if run.started_at < expected <= (run.ended_at or run.last_sign_at)), ""
        )
        why = f"missed: the run of {over} was still going" if over else "missed: no run began"
        about = {"job": series[0].job, "folder": series[0].path, "night": night.isoformat()}
        yield {"kind": "missed", **about, "ended": why}


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


def history_page(history: History) -> Page:
    """The rows as a table, and what they come to in words."""

    def build(width: int) -> "Sequence[RenderableType]":
        from rich.text import Text

        tables = _run_tables(history, width) if history.by == "run" else [_sums_table(history)]
        return [*tables, Text(), *(Text(line) for line in _words(history))]

    return Page(build)


def _words(history: History) -> Iterator[str]:
    parts = [count(history.runs, "run")]
    parts += [f"{count(history.missed, 'night')} missed"] if history.missed else []
    parts.append(f"{count(history.pictures, 'picture')} on disk")
    yield ", ".join(parts)
    for currency, spent in sorted(history.totals.items()):
        line = f"{money(as_money(spent.billed), currency)} billed for {count(spent.billed_pictures, 'picture')}"
        if spent.maybe_pictures:
            line += (
                f", {money(as_money(spent.maybe), currency)} maybe billed for {spent.maybe_pictures} of unknown outcome"
            )
        line += f"; {spent.refused} refused" if spent.refused else ""
        yield line + (f"; {spent.unpriced} calls of unknown price" if spent.unpriced else "")
    for currency, (so_far, whole) in history.so_far.items():
        yield (
            f"{money(as_money(so_far), currency)} this month so far, "
            f"{money(as_money(whole), currency)} at this rate by its end"
        )
    if history.waiting:
        yield f"{count(history.waiting, 'picture')} paid for, not yet downloaded: `batchgen recover` brings them home"
    if history.unknown:
        yield f"{count(history.unknown, 'call')} of unknown outcome, maybe billed: `batchgen status` lists them"


def _run_tables(history: History, width: int) -> "Iterator[RenderableType]":
    from rich.text import Text

    by_job: dict[str, list[Mapping[str, Any]]] = {}
    for row in history.rows:
        by_job.setdefault(row["job"], []).append(row)
    for number, (job, rows) in enumerate(by_job.items()):
        if number:
            yield Text()
        yield Text(clean(job, max(20, width - 2)), style="bold")
        yield _table(
            (
                "night" if any(row["night"] for row in rows) else "day",
                "began",
                "took",
                "pictures",
                "billed",
                "maybe",
                "exit",
            ),
            "how it ended",
            ((_cells(row, with_currency=len(history.totals) > 1), clean(row["ended"], 300)) for row in rows),
        )


def _cells(row: Mapping[str, Any], *, with_currency: bool) -> Sequence[str]:
    if row["kind"] == "missed":
        return row["night"], "-", "-", "-", "-", "-", "-"
    exit_code = "-" if row["exit_code"] is None else str(row["exit_code"])
    began = clock_time(row["started_at"])[:5]
    maybe = row["maybe_billed"] if row["maybe_billed_pictures"] else "-"
    billed = money(row["billed"], row["currency"] if with_currency else "")
    return (
        clean(row["night"] or row["day"], 10),
        began,
        duration(row["duration_s"]),
        str(row["pictures"]),
        billed,
        maybe,
        exit_code,
    )


def _sums_table(history: History) -> "Table":
    titles = ("calls", "billed for", "billed", "maybe for", "maybe billed", "refused")
    rows = (
        (
            (
                str(row["calls"]),
                str(row["billed_pictures"]),
                money(row["billed"], row["currency"]),
                str(row["maybe_billed_pictures"]),
                row["maybe_billed"],
                str(row["refused"]),
            ),
            clean(row.get("day") or row.get("label") or row.get("job", ""), 60),
        )
        for row in history.rows
    )
    return _table(titles, {"day": "day", "model": "model", "job": "job"}[history.by], rows, first=True)


def _table(
    titles: Sequence[str], words: str, rows: Iterable[tuple[Sequence[str], str]], *, first: bool = False
) -> "Table":
    """Numbers whole, at the right; the column of `words` is broken into lines where it has to be, at either end."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    if first:
        table.add_column(words, overflow="fold")
    for title in titles:
        table.add_column(title, justify="left" if title in {"night", "day"} else "right", no_wrap=True)
    if not first:
        table.add_column(words, overflow="fold")
    for cells, said in rows:
        texts = [Text(cell) for cell in cells]
        table.add_row(*([Text(said), *texts] if first else [*texts, Text(said)]))
    return table
