"""The rows of a history as a table that is read in a terminal, and what they come to in words.

It refuses to sum anything: `history.py` does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchgen.engine.summary import as_money
from batchgen.outside import clean
from batchgen.views.columns import Page
from batchgen.views.history import History
from batchgen.views.text import clock_time, count, duration, money

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def history_page(history: History) -> Page:
    """The rows as a table, and what they come to in words."""

    def build(width: int) -> "Sequence[RenderableType]":
        from rich.text import Text

        tables = _run_tables(history, width) if history.by == "run" else [_sums_table(history)]
        return [*tables, Text(), *(Text(line) for line in _words(history))]

    return Page(build)


def _words(history: History) -> Iterator[str]:
    parts = [count(history.runs, "run")]
    parts += [f"{count(history.missed, 'night')} missed"] if history.missed else []
    parts.append(f"{count(history.pictures, 'picture')} on disk")
    yield ", ".join(parts)
    for currency, spent in sorted(history.totals.items()):
        line = f"{money(as_money(spent.billed), currency)} billed for {count(spent.billed_pictures, 'picture')}"
        if spent.maybe_pictures:
            line += (
                f", {money(as_money(spent.maybe), currency)} maybe billed for {spent.maybe_pictures} of unknown outcome"
            )
        line += f"; {spent.refused} refused" if spent.refused else ""
        yield line + (f"; {spent.unpriced} calls of unknown price" if spent.unpriced else "")
    for currency, (so_far, whole) in history.so_far.items():
        yield (
            f"{money(as_money(so_far), currency)} this month so far, "
            f"{money(as_money(whole), currency)} at this rate by its end"
        )
    if history.waiting:
        yield f"{count(history.waiting, 'picture')} paid for, not yet downloaded: recover brings them home"
    if history.unknown:
        yield f"{count(history.unknown, 'call')} of unknown outcome, maybe billed: status says what to type"


def _run_tables(history: History, width: int) -> "Iterator[RenderableType]":
    from rich.text import Text

    by_job: dict[str, list[Mapping[str, Any]]] = {}
    for row in history.rows:
        by_job.setdefault(row["job"], []).append(row)
    for number, (job, rows) in enumerate(by_job.items()):
        if number:
            yield Text()
        yield Text(clean(job, max(20, width - 2)), style="bold")
        yield _table(
            (
                "night" if any(row["night"] for row in rows) else "day",
                "began",
                "took",
                "pictures",
                "billed",
                "maybe",
                "exit",
            ),
            "how it ended",
            ((_cells(row, with_currency=len(history.totals) > 1), clean(row["ended"], 300)) for row in rows),
        )


def _cells(row: Mapping[str, Any], *, with_currency: bool) -> Sequence[str]:
    if row["kind"] == "missed":
        return row["night"], "-", "-", "-", "-", "-", "-"
    exit_code = "-" if row["exit_code"] is None else str(row["exit_code"])
    began = clock_time(row["started_at"])[:5]
    maybe = row["maybe_billed"] if row["maybe_billed_pictures"] else "-"
    billed = money(row["billed"], row["currency"] if with_currency else "")
    return (
        clean(row["night"] or row["day"], 10),
        began,
        duration(row["duration_s"]),
        str(row["pictures"]),
        billed,
        maybe,
        exit_code,
    )


def _sums_table(history: History) -> "Table":
    labels = [row.get("label") for row in history.rows if row.get("currency") == history.rows[0].get("currency")]
    titles = ("calls", "billed for", "billed", "maybe for", "maybe billed", "refused")
    rows = (
        (
            (
                str(row["calls"]),
                str(row["billed_pictures"]),
                money(row["billed"], row["currency"]),
                str(row["maybe_billed_pictures"]),
                row["maybe_billed"],
                str(row["refused"]),
            ),
            _group_name(row, labels),
        )
        for row in history.rows
    )
    return _table(titles, {"day": "day", "model": "model", "job": "job"}[history.by], rows, first=True)


def _group_name(row: Mapping[str, Any], labels: Sequence[str | None]) -> str:
    """What a row sums up; a label that two models have, in different jobs, is told with its model."""
    name = clean(row.get("day") or row.get("label") or row.get("job", ""), 60)
    return f"{name} ({clean(row['model'], 80)})" if row.get("label") and labels.count(row["label"]) > 1 else name


def _table(
    titles: Sequence[str], words: str, rows: Iterable[tuple[Sequence[str], str]], *, first: bool = False
) -> "Table":
    """Numbers whole, at the right; the column of `words` is broken into lines where it has to be, at either end."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    if first:
        table.add_column(words, overflow="fold")
    for title in titles:
        table.add_column(title, justify="left" if title in {"night", "day"} else "right", no_wrap=True)
    if not first:
        table.add_column(words, overflow="fold")
    for cells, said in rows:
        texts = [Text(cell) for cell in cells]
        table.add_row(*([Text(said), *texts] if first else [*texts, Text(said)]))
    return table
