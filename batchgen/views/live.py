"""The display of a run on a terminal.

It owns the terminal while a run goes on: a frame at most four times a second, and the terminal as it was found at the
end, whatever ends the run. Events only add to the tally; a thread draws, so that a slow terminal slows nothing. It
refuses to decide what is shown (`frame.py`) and whether there is a terminal (the command line does).
"""

import io
import threading
from types import TracebackType
from typing import IO, Self, TextIO, cast

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType

from batchgen.clock import Clock, RealClock
from batchgen.events import Event
from batchgen.views.frame import frame
from batchgen.views.stream import write_safely
from batchgen.views.tables import summary
from batchgen.views.tally import Tally

_FRAMES_PER_SECOND = 4


class LiveView:
    """A listener that shows one run on a terminal; use it as a context manager around the run.

    When the run has ended, its summary takes the place of the bars; when something else ends it, the last frame stays.
    """

    def __init__(self, console: Console | None = None, clock: Clock | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._file = self._console.file
        self._clock = clock or RealClock()
        self._tally = Tally()
        self._lock = threading.Lock()
        self._drawn: list[int] = []
        self._drawn_width = 0
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
        )

    def __call__(self, event: Event) -> None:
        """Take one event; it is on the screen within a quarter of a second."""
        with self._lock:
            self._tally.add(event)

    def __enter__(self) -> Self:
        self._console.file = cast("IO[str]", _Unbreakable(cast("TextIO", self._file)))
        self._drawn = []
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._live.stop()
            self._drawn = []
            with self._lock:
                report = self._tally.snapshot(self._clock.now()).report
            self._console.print(self._draw() if report is None else summary(report))
        finally:
            self._console.file = self._file

    def _draw(self) -> Group:
        with self._lock:
            snapshot = self._tally.snapshot(self._clock.now())
        width, height = self._console.size
        self._take_back_reflowed(width)
        lines = frame(snapshot, width, height, ascii_only=self._console.options.ascii_only)
        self._drawn, self._drawn_width = [line.cell_len for line in lines], width
        return Group(*lines)

    def _take_back_reflowed(self, width: int) -> None:
        """Erase the rows that a frame gained because its lines were broken when the window became narrower."""
        if width >= self._drawn_width:
            return
        gained = sum(max(0, cells - 1) // width for cells in self._drawn)
        up = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        self._console.control(Control(ControlType.CARRIAGE_RETURN, *(up * gained)))


class _Unbreakable(io.TextIOBase):
    """A terminal that may be closed while the run goes on: what cannot be written is forgotten."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        write_safely(self._stream, text)
        return len(text)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
