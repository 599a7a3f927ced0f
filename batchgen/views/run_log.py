"""The log that each run leaves in `runs/`: what a person wants to know of a night that nobody watched.

The same lines as on a pipe, with more room for trouble, and the summary at the end; or every event as JSON. Losing it
loses nothing: a disk that takes no log is said once, and the run goes on.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from batchgen import __version__
from batchgen.errors import StorageError
from batchgen.events import Event, RunEnded
from batchgen.spec.job import Log
from batchgen.storage.run_logs import delete_logs, log_names, open_log, stale_logs
from batchgen.views.json_lines import JsonLines
from batchgen.views.plain import PlainLines
from batchgen.views.report import summary_lines
from batchgen.views.stream import write_safely
from batchgen.views.text import full_date

_TROUBLES_SHOWN = 5_000


class RunLog:
    """A listener that writes one run's log below the output folder; use it as a context manager.

    `at` is now, in UTC seconds since the epoch; `notes` are lines for its head, such as the job's warnings.
    `warning` is what kept it from being written, or empty: the caller says it.
    """

    def __init__(self, folder: Path, log: Log, *, at: float, notes: Sequence[str] = ()) -> None:
        self.warning = ""
        self._stack = ExitStack()
        self._stream: TextIO | None = None
        self._is_plain = log.format == "plain"
        try:
            delete_logs(folder, stale_logs(log_names(folder), log.keep - 1, log.days, at))
            self._stream = self._stack.enter_context(open_log(folder, "log" if self._is_plain else "jsonl", at))
        except StorageError as error:
            self.warning = f"this run leaves no log: {error.message}"
            return
        if self._is_plain:
            head = [f"batchgen {__version__}, {full_date(at)}", *notes]
            write_safely(self._stream, "".join(f"{line}\n" for line in head))
            self._lines: PlainLines | JsonLines = PlainLines(self._stream, troubles_shown=_TROUBLES_SHOWN)
        else:
            self._lines = JsonLines(self._stream)
        self._stack.enter_context(self._lines)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if self._stream is None:
            return
        self._lines(event)
        if isinstance(event, RunEnded) and self._is_plain:
            write_safely(self._stream, "\n" + "".join(f"{line}\n" for line in summary_lines(event.report)))

    def note(self, line: str) -> None:
        """A line of what is said around the run. JSON lines are events alone."""
        if self._stream is not None and self._is_plain:
            write_safely(self._stream, f"{line}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
