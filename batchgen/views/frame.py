"""Draws a snapshot of a run as a few aligned lines that fit a terminal of any size.

It owns what is shown, where, and what gives way when space is short. It refuses to know the terminal, time and events:
a snapshot and a size go in, lines come out, none longer than the width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from batchgen.views.pool_tally import PoolSnapshot
from batchgen.views.tally import Snapshot
from batchgen.views.text import about, clock_time, count, eta, fit, money, seconds, speed

_QUIET = "dim"
_GOOD = "green"
_PENDING = "cyan"
_WARNING = "yellow"
_BAD = "red"
_MIN_LABEL = 12
_MIN_BAR = 8
_WAITS_SHOWN = 3
_NOTICES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    value: Callable[[PoolSnapshot], str]
    style: str = ""


_COLUMNS = (
    _Column("done", lambda pool: f"{pool.done}/{pool.total}"),
    _Column("in flight", lambda pool: str(pool.in_flight)),
    _Column("waiting", lambda pool: str(pool.waiting), _PENDING),
    _Column("failed", lambda pool: str(pool.failed), _BAD),
    _Column("pic/min", lambda pool: speed(pool.per_minute)),
    _Column("s/pic", lambda pool: seconds(pool.seconds_per_picture)),
)


def frame(snapshot: Snapshot, width: int, height: int, *, ascii_only: bool = False) -> list[Text]:
    """The run in at most `height` lines of at most `width` cells: what matters most stays when space is short."""
    width = max(20, width)
    if snapshot.started_at is None:
        return _notices(snapshot, width) or [Text("starting", style=_QUIET)]
    head = [_head(snapshot, width, ascii_only=ascii_only)]
    tail = [*_ended(snapshot, width), _money(snapshot, width), *_waits(snapshot, width), *_notices(snapshot, width)]
    room = height - len(head) - len(tail)
    table = _table(snapshot, width, room - 2, ascii_only=ascii_only)
    roomy = room >= len(table) + 2
    lines = [*head, Text(), *table, Text(), *tail] if roomy else [*head, *table, *tail]
    return lines[: max(1, height)]


def bar(progress: float, width: int, *, ascii_only: bool = False) -> Text:
    """A bar of `width` cells; its unfinished part is of another character, for terminals without colour."""
    full, rest = ("#", "-") if ascii_only else ("━", "─")
    filled = min(width, int(progress * width)) if progress < 1 else width
    return Text.assemble((full * filled, _GOOD), (rest * (width - filled), _QUIET))


def _head(snapshot: Snapshot, width: int, *, ascii_only: bool) -> Text:
    total = snapshot.total
    figures = Text.assemble(
        f" {int(total.progress * 100):3d}%",
        (f"  {total.done} of {total.total} done", "bold"),
        "  " + ("ended" if snapshot.report is not None else eta(snapshot.eta_s, snapshot.now)),
    )
    name = Text(fit(snapshot.job, max(_MIN_LABEL, width - figures.cell_len - _MIN_BAR - 2)), style="bold")
    room = width - figures.cell_len - name.cell_len - 2
    if room < _MIN_BAR:
        return _cut(Text.assemble(name, figures), width)
    return Text.assemble(name, "  ", bar(total.progress, room, ascii_only=ascii_only), figures)


def _table(snapshot: Snapshot, width: int, height: int, *, ascii_only: bool) -> list[Text]:
    pools = _most_alive(snapshot.pools, max(1, height - 2))
    hidden = len(snapshot.pools) - len(pools)
    rows: list[PoolSnapshot] = [*pools, snapshot.total] if len(snapshot.pools) > 1 else list(pools)
    names = [*(pool.label for pool in pools), f"all {len(snapshot.pools)} models"]
    if hidden:
        names[-1] += f", {hidden} not shown"
    columns, sizes = _columns_that_fit(rows, width)
    taken = sum(size + gap for size, gap in sizes)
    wanted = max([len("model"), *(cell_len(name) for name in names[: len(rows)])])
    label_width = min(wanted, width - taken)
    bar_width = min(30, width - taken - label_width - 2)
    bar_width = bar_width if bar_width >= _MIN_BAR else 0
    header = Text(_pad("model", label_width), style=_QUIET)
    if bar_width:
        header.append(" " * (bar_width + 2))
    for column, (size, gap) in zip(columns, sizes, strict=True):
        header.append(" " * gap + column.title.rjust(size))
    lines = [header]
    for name, pool in zip(names, rows, strict=False):
        line = Text(_pad(fit(name, label_width), label_width))
        if bar_width:
            line.append("  ").append_text(bar(pool.progress, bar_width, ascii_only=ascii_only))
        for column, (size, gap) in zip(columns, sizes, strict=True):
            value = column.value(pool)
            line.append(" " * gap + value.rjust(size), style=_QUIET if value in {"0", "-"} else column.style)
        lines.append(line)
    if len(rows) > len(pools):
        lines[-1].stylize("bold")
    return lines


def _columns_that_fit(rows: Sequence[PoolSnapshot], width: int) -> tuple[list[_Column], list[tuple[int, int]]]:
    """The columns, and for each its width and the gap before it: wide gaps where a long label has room beside them."""
    columns = list(_COLUMNS)
    while True:
        sizes = [max(len(column.title), *(len(column.value(row)) for row in rows), 1) for column in columns]
        gap = 2 if width - sum(sizes) - 2 * len(sizes) >= 32 else 1
        if width - sum(sizes) - gap * len(sizes) >= _MIN_LABEL or len(columns) == 1:
            return columns, [(size, gap) for size in sizes]
        columns.pop()


def _most_alive(pools: Sequence[PoolSnapshot], shown: int) -> list[PoolSnapshot]:
    """At most `shown` pools in their order, those with something left to do first to be kept."""
    if len(pools) <= shown:
        return list(pools)
    by_need = sorted(range(len(pools)), key=lambda index: (pools[index].progress >= 1, index))
    return [pools[index] for index in sorted(by_need[:shown])]


def _money(snapshot: Snapshot, width: int) -> Text:
    sums = snapshot.money
    parts: list[tuple[str, str]] = [("spent", money(sums.spent, sums.currency))]
    if sums.unpriced:
        parts.append(("and", f"{count(sums.unpriced, 'call')} of unknown price"))
    parts.append(("reserved", about(sums.reserved, "")))
    if sums.maybe_billed:
        parts.append(("maybe billed", about(sums.maybe_billed, "")))
    parts.append(("projected", about(sums.projected, sums.currency)))
    line = Text()
    for word, value in parts:
        line.append(f"{word} ", style=_QUIET).append(f"{value}   ")
    if snapshot.play_money:
        notes = ("(sandbox: nothing is billed)", "(nothing is billed)", "(no bill)")
        line.append(next((note for note in notes if line.cell_len + len(note) <= width), ""), style=_QUIET)
    return _cut(line, width)


def _ended(snapshot: Snapshot, width: int) -> list[Text]:
    """What ended otherwise than stored or refused, and what was noticed about pictures; no line for nothing."""
    total = snapshot.total
    counts = (
        (total.unknown, "outcome unknown, maybe billed", _WARNING),
        (total.expired, "link expired", _BAD),
        (total.lost, "paid and lost", _BAD),
        (snapshot.postponed, "put off to the next run", _WARNING),
        *((number, f"flagged {flag}", _WARNING) for flag, number in snapshot.flags),
        (total.set_aside, "left from before", _QUIET),
    )
    line = Text()
    for number, words, style in counts:
        if number:
            line.append(f"{number} {words}   ", style=style)
    return [_cut(line, width)] if line else []


def _waits(snapshot: Snapshot, width: int) -> list[Text]:
    waits = snapshot.waits
    shown = waits if len(waits) <= _WAITS_SHOWN else waits[: _WAITS_SHOWN - 1]
    lines = [_cut(Text(wait.sentence(snapshot.now), style=_BAD if wait.stopped else _WARNING), width) for wait in shown]
    if len(shown) < len(waits):
        lines.append(Text(f"and {len(waits) - len(shown)} more wait", style=_WARNING))
    return lines


def _notices(snapshot: Snapshot, width: int) -> list[Text]:
    lines = []
    for notice in snapshot.notices[-_NOTICES_SHOWN:]:
        style = _WARNING if notice.level == "warning" else ""
        lines.append(_cut(Text.assemble((f"{clock_time(notice.at)} ", _QUIET), (notice.message, style)), width))
    return lines


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _cut(line: Text, width: int) -> Text:
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    return line
