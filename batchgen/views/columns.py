"""Lines of aligned columns whose numbers stay whole: text columns give way when the width is short.

It refuses to know what the columns mean.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from batchgen.views.text import fit

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

_MIN_TEXT = 12


class Page:
    """Something for `Console.print` that is laid out when its width is known."""

    def __init__(self, build: "Callable[[int], Sequence[RenderableType]]") -> None:
        self._build = build

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield from self._build(options.max_width)


def aligned(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    texts: frozenset[int] = frozenset({0}),
    shortest: int = _MIN_TEXT,
    total: bool = False,
) -> "list[Text]":
    """A header and a line a row. The first column gives way down to `shortest` cells, then the last ones are left out.

    Columns of `texts` stand at the left, all others are numbers, at the right and never cut; `total` makes the last
    row bold.
    """
    from rich.cells import cell_len

    table = [titles, *rows]
    sizes = [max(cell_len(row[index]) for row in table) for index in range(len(titles))]
    while len(sizes) > 1 and sum(sizes[1:]) + len(sizes) - 1 + min(sizes[0], shortest) > width:
        sizes.pop()
    numbers = sum(sizes[1:])
    gap = 2 if sizes[0] + numbers + 2 * (len(sizes) - 1) <= width else 1
    sizes[0] = min(sizes[0], max(shortest, width - numbers - gap * (len(sizes) - 1)))
    lines = []
    for row in table:
        cells = [fit(row[0], sizes[0]), *row[1:]]
        line = ""
        for index, (cell, size) in enumerate(zip(cells, sizes, strict=False)):
            space = " " * (size - cell_len(cell))
            line += " " * (gap if index else 0) + (cell + space if index in texts else space + cell)
        lines.append(_whole(line.rstrip()))
    lines[0].stylize("dim")
    if total:
        lines[-1].stylize("bold")
    return lines


def command_lines(command: str, width: int, indent: str = "") -> "list[Text]":
    """A command to be copied: one line, or lines that a shell reads as one where it is too long for the width."""
    from rich.text import Text

    lines = [""]
    for number, part in enumerate(command.split(" --")):
        option = f" --{part}" if number else part
        if lines[-1] and len(indent + lines[-1] + option) > width - 2:
            lines[-1] += " \\"
            lines.append(f"   {option}")
        else:
            lines[-1] += option
    # Only a path that is longer than a whole line is broken in the middle.
    return [Text(indent + line) for line in lines]


def _whole(line: str) -> "Text":
    """A line that is never broken, so that numbers stay whole and commands can be copied."""
    from rich.text import Text

    return Text(line, no_wrap=True, overflow="ignore")
