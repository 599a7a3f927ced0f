"""Building the gallery of one output folder: page, data, thumbnails; only what changed is written.

It reads the ledger as it is at one moment, also while a run goes on; a folder without a ledger is shown from its
manifest alone. It refuses to change anything outside `gallery/`, and to know arguments and terminals.
"""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from batchgen import __version__
from batchgen.clock import RealClock
from batchgen.engine.rows import facts_of, iso
from batchgen.errors import BatchgenError, StorageError, UsageError
from batchgen.outside import clean
from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.seeds import job_renew
from batchgen.spec.task import Task
from batchgen.storage import schema
from batchgen.storage.derived import DerivedFolder
from batchgen.storage.ledger import FILE_NAME, MANIFEST, open_reader
from batchgen.storage.manifest import read_manifest
from batchgen.storage.rebuild import rebuild
from batchgen.views.gallery.cells import Found, Shown, chunks_of_earlier, chunks_of_job, key_of
from batchgen.views.gallery.data import (
    CELLS_PER_FILE,
    DETAILS_PER_FILE,
    STATES,
    VARIABLE,
    Columns,
    Details,
    script,
)
from batchgen.views.gallery.summary import Counts, summary_of
from batchgen.views.gallery.thumbnails import Thumbnails, whole_in
from batchgen.views.marks import MARKS, read_marks

GALLERY = "gallery"
PAGE = "index.html"
_PACKAGED = Path(__file__).parent / "page"
_AXES = ("prompt", "model", "try", "night", "row")
_DATA_FILE = re.compile(r"(cells|details)-(\d+)\.js")
_REPORT_AT_MOST = 4 * 1024**2
_BUILT_AT = re.compile(rb'"built_at":"[^"]*"')
_INPUT = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
_NIGHT = re.compile(r"\d{4}-\d\d-\d\d")


def build_gallery(
    folder: Path,
    job: Job | None,
    *,
    night: str = "",
    running: bool = False,
    thumbnails: int | None = None,
    warn: Callable[[str], object] = lambda _: None,
) -> Path:
    """Write or renew `gallery/` in an output folder; the path of its page.

    `job` says what is asked for now: None shows all there is. `night` is the night of a job that renews its seeds; empty
    is that of the last run. `running` says whether a run is going. At most `thumbnails` missing small pictures are made,
    None is no bound; `warn` is told what could not be shown. Raises UsageError for a folder that holds nothing yet, and
    StorageError for its disk and ledger.
    """
    folder = folder.absolute()
    with _opened(folder) as connection, DerivedFolder(folder, GALLERY) as derived:
        _Build(connection, folder, job, derived, warn).run(night, running=running, thumbnails=thumbnails)
        _copy_page(derived)
    return folder / GALLERY / PAGE


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The folder's ledger at one moment, or one in memory made from its manifest."""
    with closing(_reader(folder)) as connection:
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StorageError(
                f"the ledger in {clean(folder, 1000)} cannot be read: {clean(error)}",
                "the gallery was not finished; try again, and `batchgen verify` if it stays so",
            ) from None


def _reader(folder: Path) -> sqlite3.Connection:
    if not (folder / FILE_NAME).exists() and (folder / MANIFEST).exists():
        return _from_manifest(folder)
    reader = open_reader(folder)
    if reader is None:
        message = f"{clean(folder, 1000)}: nothing was made there yet, so there is nothing to show"
        raise UsageError(message, "run the job first")
    return reader


def _from_manifest(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None)  # its own file, which SQLite takes away
    try:
        connection.row_factory = sqlite3.Row
        schema.migrate(connection)
        connection.execute("BEGIN")
        rows = (facts_of(row) for row in read_manifest(folder / MANIFEST))
        rebuild(connection, rows, lambda name, _: bool(name.strip("/.")))
        connection.execute("COMMIT")
    except (ValueError, TypeError, ArithmeticError, RecursionError, sqlite3.Error) as error:
        connection.close()
        raise StorageError(
            f"{clean(folder / MANIFEST, 1000)} holds a line that no run wrote: {clean(error)}",
            "take the line out, then try again",
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


class _Build:
    """One pass over all cells, and the files that come of it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path,
        job: Job | None,
        derived: DerivedFolder,
        warn: Callable[[str], object],
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._job = job
        self._derived = derived
        self._warn = warn
        self._counts = Counts()
        self._columns = Columns(_AXES)
        self._details = Details(lambda name, data: derived.write(f"data/{name}", data))

    def run(self, night: str, *, running: bool, thumbnails: int | None) -> None:
        job = self._job
        shown = self._shown(running=running)
        small = Thumbnails(self._folder, self._derived, thumbnails)
        is_whole = whole_in(self._folder)
        if job is not None:
            self._columns.expect("model", ((use.label, use.model.id) for use in job.models))
            for name, texts in job.variables.items():
                self._columns.expect(VARIABLE + name, iter(texts.items()))
        for chunk in self._chunks(shown, night):
            whole = []
            for found in chunk:
                if found.cell.state != "stored":
                    continue
                if is_whole(found):
                    whole.append(found)
                else:
                    found.drop_file()
            small.add(whole)
            for found in chunk:
                self._columns.add(found.cell)
                self._counts.add(found.cell)
                self._details.add(found.cell.detail)
        self._details.flush()
        self._write(shown, small)

    def _chunks(self, shown: Shown, night: str) -> Iterator[list[Found]]:
        seen: set[bytes] = set()
        if self._job is not None:
            tasks = self._tasks(self._job, night or self._night(self._job), seen)
            yield from chunks_of_job(self._connection, shown, tasks)
        yield from chunks_of_earlier(self._connection, shown, seen, now=self._job is None)

    def _tasks(self, job: Job, night: str, seen: set[bytes]) -> Iterator[Task]:
        for task in expand(job, night=night):
            seen.add(key_of(task.task_id))
            yield task

    def _night(self, job: Job) -> str:
        """The night that was last bought for: the present one has not begun for a person who looks in the afternoon."""
        if job_renew(job) == "never":
            return ""
        row = (
            self._connection.execute(
                "SELECT night FROM runs WHERE night != '' AND EXISTS (SELECT 1 FROM totals WHERE scope = 'run:' || run_id)"
                " ORDER BY started_at DESC LIMIT 1"
            ).fetchone()
            or self._connection.execute(
                "SELECT MAX(CASE WHEN json_valid(record) THEN json_extract(record, '$.night') END) AS night FROM tasks"
            ).fetchone()
        )
        night = row["night"]
        if not isinstance(night, str) or not _NIGHT.fullmatch(night):
            raise UsageError(
                "the seeds of this job are renewed each night, and no night was named", "name one with --night"
            )
        return night

    def _shown(self, *, running: bool) -> Shown:
        job = self._job
        return Shown(
            folder=self._folder,
            job=job,
            running=running,
            reason=self._reason(running=running),
            inputs=self._inputs(),
            prices={use.label: use.model.price for use in job.models} if job else {},
            same_seeds=job is not None and job.seeds.fixed is not None and not any(row.seeds for row in job.rows),
        )

    def _reason(self, *, running: bool) -> str:
        """Why what is pending is pending: how the last run ended, in the words of its report."""
        if running:
            return "not made yet"
        try:
            report = json.loads(self._derived.read_beside("report.json", _REPORT_AT_MOST) or b"{}")
            last = self._connection.execute("SELECT run_id FROM runs ORDER BY started_at DESC LIMIT 1").fetchone()
            if last is not None and report.get("run_id") == last["run_id"] and isinstance(report.get("reason"), str):
                return clean(report["reason"], 300) or "not made yet"
        except (ValueError, AttributeError, RecursionError, OSError):
            pass  # a report is a help, no truth
        return "not made yet"

    def _inputs(self) -> dict[str, str]:
        try:
            names = [path.name for path in (self._folder / "inputs").iterdir()]
        except OSError:
            return {}
        return {name[:64]: name for name in names if _INPUT.fullmatch(name)}

    def _write(self, shown: Shown, small: Thumbnails) -> None:
        axes = self._columns.axes({"try": _by_number, "night": _by_id})
        cells = 0
        for name, data in self._columns.files():
            self._derived.write(f"data/{name}", data)
            cells += 1
        index = self._index(axes, running=shown.running)
        try:
            data = script("index", index)
        except ValueError:  # a number that JSON lacks, out of a stranger's ledger
            index["summary"] = {}
            data = script("index", index)
        self._write_index(data)
        written = {"cells": cells, "details": self._details.files}
        self._derived.tidy("data", lambda name: _is_stale(name, written))
        if small.refused:
            noun = "picture is" if small.refused == 1 else "pictures are"
            self._warn(f"{small.refused:,} {noun} not what the ledger says; `batchgen verify` says which")

    def _index(self, axes: list[Any], *, running: bool) -> dict[str, Any]:
        job = self._job
        summary = summary_of(self._connection, job, self._counts)
        return {
            "schema": "gallery/1",
            "job": clean(job.name if job else self._folder.name, 200),
            "built_at": iso(RealClock().now()),
            "version": __version__,
            "folder": clean(self._folder.name, 200),
            "root": "../",
            "running": running,
            "axes": axes,
            "default": {"rows": ["prompt"], "columns": ["model", "try"], "pages": []},
            "states": list(STATES),
            "flags": self._columns.flags,
            "classes": list(self._counts.classes),
            "currency": job.provider.currency if job else summary["money"]["currency"],
            "play_money": bool(job and job.provider.play_money),
            "cells": len(self._columns),
            "cells_per_file": CELLS_PER_FILE,
            "details_per_file": DETAILS_PER_FILE,
            "marks": self._marks(),
            "summary": summary,
            "job_path": clean(job.path.name, 200) if job else "",
        }

    def _marks(self) -> dict[str, str]:
        path = self._folder / MARKS
        if not os.path.lexists(path):
            return {}
        try:
            return dict(read_marks(path))
        except BatchgenError as error:
            self._warn(f"the marks were left out: {error.message}")
            return {}

    def _write_index(self, data: bytes) -> None:
        """Write the index, unless nothing but the time in it would change."""
        old = self._derived.read("data/index.js", len(data) + 100)
        if old is None or _BUILT_AT.sub(b"", old, 1) != _BUILT_AT.sub(b"", data, 1):
            self._derived.write("data/index.js", data)


def _by_number(value: tuple[str, str]) -> tuple[int, str]:
    return (int(value[0]) if value[0].isdecimal() else 0, value[0])


def _by_id(value: tuple[str, str]) -> str:
    return value[0]


def _is_stale(name: str, written: dict[str, int]) -> bool:
    found = _DATA_FILE.fullmatch(name)
    return found is not None and int(found[2]) >= written[found[1]]


def _copy_page(derived: DerivedFolder) -> None:
    """The page as the package has it: `index.html` beside the data, what it loads in `page/`."""
    kept = set()
    for source in sorted(_PACKAGED.iterdir()) if _PACKAGED.is_dir() else ():
        if source.suffix in {".html", ".css", ".js"}:
            kept.add(source.name)
            derived.write(source.name if source.name == PAGE else f"page/{source.name}", source.read_bytes())
    derived.tidy("page", lambda name: name.endswith((".css", ".js")) and name not in kept)
