"""A run as a Prometheus text file, for the textfile collector of node_exporter or whatever reads that format.

The file is replaced whole, every few seconds at most and once more at the end, by a thread of its own: what nobody can
write delays no paid call. It refuses to serve anything, and to count what the run's report counts better.
"""

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchgen.errors import UsageError
from batchgen.events import CallBilled, CallReturned, CallUnknown, Event, RunEnded, RunStarted, TaskFailed
from batchgen.outside import clean
from batchgen.views.tally import Snapshot, Tally
from batchgen.views.text import decimal

_EVERY_S = 5.0
_LAST_WRITE_S = 5.0
_OUTCOMES: dict[type[Event], str] = {
    CallBilled: "billed",
    CallReturned: "returned",
    CallUnknown: "unknown",
    TaskFailed: "refused",
}
_STATES = ("done", "left", "in_flight", "downloading", "failed", "unknown", "expired", "lost", "set_aside")


@dataclass(slots=True)
class _Job:
    """What is known of one job of the command."""

    name: str
    tally: Tally = field(default_factory=Tally)
    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    last_success: float | None = None
    exit_code: int | None = None
    ended_at: float | None = None
    snapshot: Snapshot | None = None


class MetricsFile:
    """A listener that keeps `path` up to date, for one job after another; use it as a context manager.

    Raises UsageError where the folder of `path` is not there. Later trouble with the file is in `warning`, and changes
    nothing of the run.
    """

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise UsageError(
                f"--metrics {path}: there is no folder {path.parent}", "make it first, or name another file"
            )
        if path.is_dir():
            raise UsageError(f"--metrics {path}: this is a folder", f"name a file in it: {path / 'batchgen.prom'}")
        self.warning = ""
        self._path = path
        self._jobs: dict[str, _Job] = {}
        self._job: _Job | None = None
        self._written_at: float | None = None
        self._texts: queue.Queue[str | None] = queue.Queue(maxsize=2)
        self._thread = threading.Thread(target=self._write_all, name="metrics", daemon=True)

    def begin(self, job: str, last_success: float | None) -> None:
        """Go on with this job; `last_success` is when a run of it last ended well (UTC seconds), None for never."""
        self._job = self._jobs.setdefault(job, _Job(job))
        self._job.last_success = last_success

    def __call__(self, event: Event) -> None:
        """Take one event of the job that was begun last."""
        job = self._job
        if job is None:
            return
        job.tally.add(event)
        outcome = _OUTCOMES.get(type(event))
        if outcome is not None:
            key = (clean(getattr(event, "label", ""), 80), outcome)
            job.calls[key] = job.calls.get(key, 0) + 1
        if isinstance(event, RunStarted | RunEnded) or self._is_due(event.at):
            self._put(event.at)

    def _is_due(self, at: float) -> bool:
        # A clock that was set back must not stop the file for hours.
        return self._written_at is None or not 0 <= at - self._written_at < _EVERY_S

    def end(self, exit_code: int, at: float) -> None:
        """Note how the job ended, also where its run never began."""
        if self._job is not None:
            self._job.exit_code, self._job.ended_at = exit_code, at
            self._job.last_success = at if exit_code == 0 else self._job.last_success
            self._put(at)

    def _put(self, at: float) -> None:
        if self._job is not None:
            self._job.snapshot = self._job.tally.snapshot(at)
        self._written_at = at
        text = "".join(f"{line}\n" for line in _lines(self._jobs.values(), at))
        with contextlib.suppress(queue.Empty):
            if self._texts.full():  # a disk that is slower than we are gets the latest
                self._texts.get_nowait()
        with contextlib.suppress(queue.Full):
            self._texts.put_nowait(text)

    def _write_all(self) -> None:
        while (text := self._texts.get()) is not None:
            try:
                self._write(text)
                self.warning = ""
            except OSError as error:
                self.warning = f"{self._path} was not written: {(error.strerror or 'refused').lower()}"

    def _write(self, text: str) -> None:
        # Not `.prom`: a collector that looks in between must not find half of it. Others have to be able to read it.
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with open(unfinished, "w", encoding="utf-8", opener=_for_everyone) as file:
                file.write(text)
            unfinished.replace(self._path)
        finally:
            unfinished.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(queue.Full):
            self._texts.put(None, timeout=_LAST_WRITE_S)
        self._thread.join(_LAST_WRITE_S)


def _for_everyone(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o644)


def _lines(jobs: Iterable[_Job], at: float) -> Iterator[str]:
    """Each family of metrics in one place, as the format wants it."""
    known = list(jobs)
    for name, kind, about, samples in _FAMILIES:
        found = [(labels | {"job": job.name}, value) for job in known for labels, value in samples(job)]
        if found:
            yield f"# HELP {name} {about}"
            yield f"# TYPE {name} {kind}"
            yield from (f"{name}{_labels(labels)} {_number(value)}" for labels, value in found)
    yield "# HELP batchgen_updated_timestamp_seconds When this file was written."
    yield "# TYPE batchgen_updated_timestamp_seconds gauge"
    yield f"batchgen_updated_timestamp_seconds {_number(at)}"


def _labels(labels: Mapping[str, str]) -> str:
    escaped = ((name, _escaped(clean(labels[name]))) for name in sorted(labels))
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float | Decimal) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


_Sample = tuple[dict[str, str], float | Decimal]


def _tasks(job: _Job) -> Iterator[_Sample]:
    for pool in job.snapshot.pools if job.snapshot else ():
        for state in _STATES:
            yield {"label": pool.label, "state": state}, getattr(pool, state)


def _calls(job: _Job) -> Iterator[_Sample]:
    for (label, outcome), number in sorted(job.calls.items()):
        yield {"label": label, "outcome": outcome}, number


def _pictures(job: _Job) -> Iterator[_Sample]:
    for pool in job.snapshot.pools if job.snapshot else ():
        yield {"label": pool.label}, pool.pictures


def _waiting(job: _Job) -> Iterator[_Sample]:
    for pool in job.snapshot.pools if job.snapshot else ():
        yield {"label": pool.label}, pool.waiting


def _money(job: _Job) -> Iterator[_Sample]:
    if job.snapshot is not None and job.snapshot.started_at is not None:
        money = job.snapshot.money
        for kind, value in (
            ("billed", money.spent),
            ("maybe_billed", money.maybe_billed),
            ("reserved", money.reserved),
        ):
            yield {"currency": money.currency, "kind": kind}, value


def _month(job: _Job) -> Iterator[_Sample]:
    report: Mapping[str, Any] = (job.snapshot.report if job.snapshot else None) or {}
    for scope, sums in (report.get("by_scope") or {}).items():
        if scope.startswith("month:"):
            for kind, key in (("billed", "spent"), ("maybe_billed", "maybe_billed")):
                labels = {"currency": clean(report.get("currency", ""), 8), "kind": kind}
                yield labels, decimal(sums.get(key)) or Decimal(0)


def _started(job: _Job) -> Iterator[_Sample]:
    if job.snapshot is not None and job.snapshot.started_at is not None:
        yield {}, job.snapshot.started_at


def _ended(job: _Job) -> Iterator[_Sample]:
    if job.ended_at is not None:
        yield {}, job.ended_at


def _exit_code(job: _Job) -> Iterator[_Sample]:
    if job.exit_code is not None:
        yield {}, job.exit_code


def _last_success(job: _Job) -> Iterator[_Sample]:
    if job.last_success is not None:
        yield {}, job.last_success


_FAMILIES: tuple[tuple[str, str, str, Callable[[_Job], Iterator[_Sample]]], ...] = (
    ("batchgen_tasks", "gauge", "Tasks of the job by what became of them.", _tasks),
    ("batchgen_pictures_stored", "gauge", "Pictures that this run has stored.", _pictures),
    ("batchgen_pictures_waiting", "gauge", "Pictures that are paid for and not yet on disk.", _waiting),
    ("batchgen_calls", "gauge", "Paid calls of this run by how they ended.", _calls),
    ("batchgen_money", "gauge", "Money of this run.", _money),
    ("batchgen_month_money", "gauge", "Money of this month, as of the end of the run.", _month),
    ("batchgen_run_started_timestamp_seconds", "gauge", "When this run began.", _started),
    ("batchgen_run_ended_timestamp_seconds", "gauge", "When this run ended; not there while it goes on.", _ended),
    ("batchgen_run_exit_code", "gauge", "How this run ended; not there while it goes on.", _exit_code),
    ("batchgen_last_success_timestamp_seconds", "gauge", "When a run last ended with exit code 0.", _last_success),
)
