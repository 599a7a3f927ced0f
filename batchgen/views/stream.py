"""Writing lines to a stream that may be closed, full or slow, without the run ever noticing.

A reader that stops reading (a paused pager, a stuck pipe) would block the event loop and turn calls in flight into
calls of unknown outcome, so a thread of its own does the writing. It refuses to know what a line means.
"""

import contextlib
import queue
import threading
from typing import TextIO

_WAITING_LINES = 20_000
"""Lines kept for a reader that does not read; news beyond that are dropped, because events are not the truth."""


class LineWriter:
    """Writes lines in order in the background. No method raises because of the stream, and `put` never waits."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING_LINES)
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, line: str) -> None:
        """Take one line, without its line break, to be written soon."""
        if self._closed:
            return
        self._start()
        # A full queue means a reader that stopped reading: the newest line is dropped.
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line)

    def close(self, last: str | None = None) -> None:
        """Write what was taken and then `last`, waiting for the reader, and take nothing more."""
        if self._closed:
            return
        self._closed = True
        if last is not None:
            self._start()
            self._lines.put(last)
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            # A daemon: a reader that never reads again must not keep the process from ending.
            self._thread = threading.Thread(target=self._write_all, name="batchgen-lines", daemon=True)
            self._thread.start()

    def _write_all(self) -> None:
        broken = False
        while (line := self._lines.get()) is not None:
            broken = broken or not write_safely(self._stream, line + "\n")


def write_safely(stream: TextIO, text: str) -> bool:
    """Write and flush `text`; False when the stream cannot take it any more (closed, gone, full disk).

    What the stream's encoding lacks is written as `?`.
    """
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        return False
    return True
