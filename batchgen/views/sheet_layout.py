"""How large everything on a contact sheet is, and where one sheet ends and the next begins. Pixels throughout.

It refuses to draw.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batchgen.views.sheet_grid import Frame, Grid

MAX_PIXELS = 24_000_000
MAX_SIDE = 8_000
MAX_CELLS = 240
"""A sheet beyond any of these is no longer looked at, and some programs refuse to open it."""
MIN_CELL, MAX_CELL = 48, 2048
_WIDE = 2400
"""How wide a sheet is meant to be, unless that makes its pictures too small."""
_SMALLEST, _LARGEST = 176, 512
_PAGE = 1.414
"""Width by height of paper that lies on its side."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The measures of all sheets of one export."""

    cell_width: int
    cell_height: int
    text: int
    """Height of letters."""
    margin: int
    gap: int
    side: int
    """Room for the labels of rows; 0 when pictures follow each other."""
    top: int
    """Room for the labels of columns."""
    below: int
    """Room for a label below each picture."""
    columns: int
    """At most, on one sheet."""
    rows: int

    @property
    def title(self) -> int:
        """Room for the title of a sheet."""
        return round(self.text * 4.2)

    def width(self, columns: int) -> int:
        """Of a sheet with so many columns."""
        return 2 * self.margin + self.side + columns * (self.cell_width + self.gap) - self.gap

    def height(self, rows: int) -> int:
        """Of a sheet with so many rows."""
        return 2 * self.margin + self.title + self.top + rows * (self.cell_height + self.below + self.gap) - self.gap


@dataclass(frozen=True, slots=True)
class Part:
    """What stands on one sheet: for each place its frame; for a flow, rows are lines of pictures."""

    rows: Sequence[int]
    columns: Sequence[int]


def make_layout(grid: Grid, frames: Sequence[Frame], cell: int | None) -> Layout:
    """Measures that show the pictures as large as a sheet allows; `cell` is the longer side of a picture, if given."""
    ratio = _ratio(frames)
    count = len(grid.rows) if grid.flows else len(grid.columns)
    across = _across(count, ratio) if grid.flows else count
    longest = cell or _cell(across, ratio, side=not grid.flows)
    width, height = (longest, round(longest / ratio)) if ratio >= 1 else (round(longest * ratio), longest)
    text = min(30, max(13, round(longest / 17)))
    gap = max(8, round(longest / 22)) + (0 if not grid.flows else text // 2)
    side = 0 if grid.flows else min(26 * text, max(13 * text, width)) + gap
    layout = Layout(
        cell_width=width,
        cell_height=height,
        text=text,
        margin=max(24, text * 2),
        gap=gap,
        side=side,
        top=0 if grid.flows else round(text * 3.4),
        below=round(text * 4.6) if grid.flows else 0,
        columns=1,
        rows=1,
    )
    return _bounded(layout, across)


def parts_of(grid: Grid, layout: Layout) -> Iterator[Part]:
    """The sheets, in the order in which they are read."""
    if grid.flows:
        lines = -(-len(grid.rows) // layout.columns)
        for first in range(0, lines, layout.rows):
            yield Part(range(first, min(lines, first + layout.rows)), range(min(layout.columns, len(grid.rows))))
        return
    for first in range(0, len(grid.rows), layout.rows):
        rows = range(first, min(len(grid.rows), first + layout.rows))
        for left in _fair(len(grid.columns), layout.columns):
            yield Part(rows, left)


def _fair(count: int, at_most: int) -> Iterator[range]:
    """Columns in groups of about the same size."""
    groups = -(-count // at_most)
    edges = [round(place * count / groups) for place in range(groups + 1)]
    return (range(start, stop) for start, stop in itertools.pairwise(edges))


def _bounded(layout: Layout, across: int) -> Layout:
    """The same measures with as many columns and rows as a sheet may have."""
    columns = max(1, min(across, MAX_CELLS))
    while columns > 1 and layout.width(columns) > MAX_SIDE:
        columns -= 1
    rows = max(1, MAX_CELLS // columns)
    while rows > 1 and (layout.height(rows) > MAX_SIDE or layout.height(rows) * layout.width(columns) > MAX_PIXELS):
        rows -= 1
    measures = {name: getattr(layout, name) for name in Layout.__slots__}
    return Layout(**measures | {"columns": columns, "rows": rows})


def _ratio(frames: Sequence[Frame]) -> float:
    """Width by height of the usual picture, within what a grid bears."""
    rows = [frame.row for frame in frames if frame.row is not None]
    ratios = [row.width / row.height for row in rows if row.width > 0 and row.height > 0]
    middle = statistics.median(ratios) if ratios else 1.0
    return min(2.5, max(0.4, middle))


def _across(count: int, ratio: float) -> int:
    """How many pictures stand in a line, so that all together look like a page."""
    on_a_sheet = min(count, MAX_CELLS)
    return max(1, min(count, 16, round(math.sqrt(on_a_sheet * _PAGE / (ratio * 0.85)))))


def _cell(across: int, ratio: float, *, side: bool) -> int:
    room = _WIDE - (420 if side else 0)
    width = room / across - 20
    longest = width if ratio >= 1 else width / ratio
    return round(min(_LARGEST, max(_SMALLEST, longest)))
