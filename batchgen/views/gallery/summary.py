"""What a gallery adds up: money, time, models, failures, and the numbers behind its small charts.

States are counted as cells pass by, the rest is read from the ledger. It refuses to draw: numbers and texts come out.
"""

import math
import sqlite3
from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any

from batchgen.engine.summary import as_money
from batchgen.outside import clean
from batchgen.spec.job import Job
from batchgen.storage.queries import Money, money
from batchgen.views.gallery import values
from batchgen.views.gallery.data import Cell

_FAILED = frozenset({"failed", "unknown", "expired", "lost"})
_STATES = ("stored", "failed", "unknown", "lost", "expired", "pending", "waiting", "sending")
_FAILURES = 200
_BARS = 24
_MINUTES = 240
_NIGHTS = 400


class Counts:
    """What is counted while the cells pass by; failures and states are of what the job asks for now."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, str], Counter[str]] = {}
        self.failures: Counter[tuple[str, str, str]] = Counter()
        self.nights: dict[str, Counter[str]] = {}
        self.classes: dict[str, None] = {}

    def add(self, cell: Cell) -> None:
        """Take one cell."""
        detail = cell.detail
        if cell.state in _FAILED and detail["class"]:
            self.classes[detail["class"]] = None
        if detail["night"] in self.nights or len(self.nights) < _NIGHTS:
            self.nights.setdefault(detail["night"], Counter())[cell.state] += 1
        if not cell.now:
            return
        self.models.setdefault((detail["label"], detail["model"]), Counter())[cell.state] += 1
        if cell.state in _FAILED:
            failure = (detail["label"], detail["class"], detail["message"])
            if failure in self.failures or len(self.failures) < _FAILURES:
                self.failures[failure] += 1
            else:
                self.failures[detail["label"], "", "other messages"] += 1


def summary_of(connection: sqlite3.Connection, job: Job | None, counts: Counts) -> dict[str, Any]:
    """The summary of a folder, as the page takes it."""
    latencies = _latencies(connection)
    return {
        "money": _money(connection, job),
        "time": _time(connection),
        "models": _models(connection, job, counts, latencies),
        "failures": [
            {"label": label, "class": kind, "message": message, "count": count}
            for (label, kind, message), count in counts.failures.most_common()
        ],
        "charts": {
            "latency": _histograms(latencies),
            "per_minute": _per_minute(connection),
            "nights": [
                {"night": night} | {state: by_state[state] for state in _STATES}
                for night, by_state in sorted(counts.nights.items())
            ],
        },
    }


def _money(connection: sqlite3.Connection, job: Job | None) -> dict[str, Any]:
    by_currency = {clean(entry.currency, 8): entry for entry in money(connection, "life")}
    currency = job.provider.currency if job else next(iter(by_currency), "")
    entry = by_currency.pop(currency, Money(currency, 0, 0, 0, 0, 0, 0, 0))
    return {
        "currency": currency,
        "calls": _number(entry.calls),
        "pictures": _number(entry.images_billed),
        "maybe_pictures": _number(entry.images_maybe),
        "billed": _amount(entry.billed),
        "maybe": _amount(entry.maybe),
        "reserved": _amount(entry.reserved),
        "other": {name: _amount(_number(other.billed) + _number(other.maybe)) for name, other in by_currency.items()},
    }


def _time(connection: sqlite3.Connection) -> dict[str, Any]:
    row = connection.execute(
        "SELECT COUNT(*) AS runs, MIN(started_at) AS first, MAX(COALESCE(ended_at, started_at)) AS last,"
        " SUM(COALESCE(ended_at, started_at) - started_at) AS seconds FROM runs"
    ).fetchone()
    return {
        "runs": row["runs"],
        "started_at": values.time(row["first"]),
        "ended_at": values.time(row["last"]),
        "seconds": round(_number(row["seconds"]), 1),
    }


def _models(
    connection: sqlite3.Connection, job: Job | None, counts: Counts, latencies: Mapping[str, "array[float]"]
) -> list[dict[str, Any]]:
    spent = {
        row["label"]: row["spent"]
        for row in connection.execute(
            "SELECT t.label, SUM(a.cost) AS spent FROM attempts a JOIN tasks t USING (task_id)"
            " WHERE a.state = 'billed' GROUP BY t.label"
        )
    }
    order = {(use.label, use.model.id): place for place, use in enumerate(job.models)} if job else {}
    shown = sorted(counts.models, key=lambda each: (order.get(each, len(order)), each))
    return [
        {"label": label, "model": model}
        | {state: counts.models[label, model][state] for state in _STATES}
        | {
            "billed": _amount(spent.get(label)),
            "latency_p50": _quantile(latencies.get(label), 0.5),
            "latency_p95": _quantile(latencies.get(label), 0.95),
        }
        for label, model in shown
    ]


def _latencies(connection: sqlite3.Connection) -> dict[str, "array[float]"]:
    """Seconds of each billed call, ascending, by label."""
    found: dict[str, array[float]] = {}
    for label, latency in connection.execute(
        "SELECT t.label, a.latency_s FROM attempts a JOIN tasks t USING (task_id)"
        " WHERE a.state = 'billed' AND a.latency_s > 0 ORDER BY a.latency_s"
    ):
        if isinstance(latency, float) and math.isfinite(latency):
            found.setdefault(str(label), array("d")).append(latency)
    return found


def _quantile(values: "array[float] | None", share: float) -> float | None:
    return round(values[min(len(values) - 1, int(share * len(values)))], 3) if values else None


def _histograms(latencies: Mapping[str, "array[float]"]) -> list[dict[str, Any]]:
    """Bars of equal width, the same for all models; the last one holds whatever took longer."""
    slow = max((_quantile(values, 0.98) or 0.0 for values in latencies.values()), default=0.0)
    if not slow:
        return []
    rough = slow / _BARS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    bars = max(1, math.ceil(slow / step))
    charts = []
    for label, seconds in latencies.items():
        counts = [0] * bars
        for value in seconds:
            counts[min(bars - 1, int(value / step))] += 1
        charts.append({"label": label, "edges": [round(step * edge, 6) for edge in range(bars + 1)], "counts": counts})
    return charts


def _per_minute(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Pictures per minute over the run that stored last; of a long one, the mean of several minutes at a time."""
    last = connection.execute(
        "SELECT run_id FROM pictures WHERE state = 'stored' ORDER BY stored_at DESC LIMIT 1"
    ).fetchone()
    if last is None:
        return []
    rows = connection.execute(
        "SELECT CAST(stored_at / 60 AS INTEGER) AS minute, COUNT(*) AS count FROM pictures"
        " WHERE state = 'stored' AND run_id = ? GROUP BY minute ORDER BY minute",
        (last["run_id"],),
    ).fetchall()
    by_minute = {int(_number(row["minute"])): row["count"] for row in rows}
    first, end = min(by_minute), max(by_minute) + 1
    width = max(1, -(-(end - first) // _MINUTES))
    bars = [0] * -(-(end - first) // width)
    for minute, count in by_minute.items():
        bars[(minute - first) // width] += count
    return [
        {"at": values.time((first + place * width) * 60), "count": round(bar / width, 2)}
        for place, bar in enumerate(bars[:_MINUTES])
    ]


def _amount(millionths: object) -> str:
    return as_money(int(_number(millionths)))


def _number(value: object) -> int | float:
    """A number of the ledger; 0 for what is none."""
    return value if isinstance(value, int | float) and math.isfinite(value) else 0
