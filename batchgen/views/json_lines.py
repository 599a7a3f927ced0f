"""Events as JSON for programs: one object a line, in the order in which things happened, the report last.

It refuses to choose: every event is written with all its fields, `event` and `at` first. Nothing in a line is obeyed by
a terminal that it ends up on.
"""

import math
from types import TracebackType
from typing import Any, Self, TextIO

from batchgen.events import Event, RunEnded
from batchgen.outside import json_text
from batchgen.views.stream import LineWriter


class JsonLines:
    """A listener that writes every event as a line of JSON. A stream that is closed or not read never disturbs the run.

    The report of `RunEnded` is the last line; when it is written, everything before it is too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._lines = LineWriter(stream)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        line = as_line(event)
        if isinstance(event, RunEnded):
            self._lines.close(line)
        else:
            self._lines.put(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lines.close()


def as_line(event: Event) -> str:
    """One event as a line of JSON without its line break; numbers that JSON lacks become null."""
    return json_text(_finite(event.as_json()))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
