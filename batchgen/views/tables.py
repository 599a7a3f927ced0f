"""Pages for a terminal or a pipe: the plan, the catalogue, the state of a folder, the end of a run.

Values go in, something for `Console.print` comes out; all of it reads well at 80 columns without colour, and no number
is broken over two lines. It refuses to print, to count, and to show outside text as anything but text.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from batchgen.catalog.catalog import Field, Model, Provider
from batchgen.outside import clean
from batchgen.views.columns import Page, aligned, command_lines
from batchgen.views.plan_page import one_line, plan_table
from batchgen.views.report import (
    decisions,
    endings,
    failure_lines,
    flag_line,
    headline,
    money_line,
    month_line,
    next_commands,
    night_line,
    pool_lines,
    spending_line,
    status_line,
    unknown_lines,
)
from batchgen.views.text import amount, date, decimal, money, seconds

__all__ = ["model_page", "models_table", "one_line", "plan_table", "status_table", "summary"]

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text


def models_table(provider: Provider) -> Page:
    """Every model of a provider: price, free pictures, and what a request of it needs."""
    titles = ("model", "price", "free", "needs")
    rows = [
        (model.id, amount(model.price), str(model.free_images), " + ".join(sorted(model.required, reverse=True)))
        for model in provider.models.values()
    ]

    def build(width: int) -> "Sequence[RenderableType]":
        from rich.text import Text

        longest = max(len(model_id) for model_id, *_ in rows)
        table = aligned(titles, rows, width, texts=frozenset({0, 3}), shortest=longest)
        note = (
            f"Prices are in {provider.currency} per picture, as of {provider.prices_as_of}: {provider.prices_source}."
        )
        lines: list[RenderableType] = [Text(f"{clean(provider.title)}, {provider.profile}", style="bold"), Text()]
        lines += [*table, Text(), Text(clean(note, 500))]
        if provider.play_money:
            lines.append(Text("Nothing is billed here."))
        lines += [
            Text(f"By other pages of the provider: `batchgen models --profile {name}`.")
            for name in provider.profiles
            if name != provider.profile
        ]
        return [*lines, Text("`batchgen models ID` shows the fields that a model takes.", style="dim")]

    return Page(build)


def model_page(model: Model, provider: Provider, others: Sequence[Provider] = ()) -> Page:
    """One model: what it costs and every field it takes, with type, default and range; and how `others` differ."""

    def build(_width: int) -> "Sequence[RenderableType]":
        from rich.text import Text

        price = f"{money(model.price, provider.currency)} a picture" if model.price is not None else "price unknown"
        free = f", the first {model.free_images} free" if model.free_images else ""
        lives = "" if model.link_lifetime_s is None else f"; its links live {model.link_lifetime_s / 3600:g} hours"
        words = f"{price}{free}; its label in a job is {model.short_name}{lives}"
        head = [Text(f"{clean(model.id)}, {provider.profile}", style="bold"), Text(words)]
        return [*head, Text(), _field_table(model), *map(Text, _differences(model, others))]

    return Page(build)


def _differences(model: Model, others: Sequence[Provider]) -> Iterator[str]:
    """What a job would have to know that takes another profile of the same provider."""
    for other in others:
        twin = other.models.get(model.id)
        yield ""
        if twin is None:
            yield f"With the profile {other.profile} there is no such model."
            continue
        yield f"With the profile {other.profile} (in a job: provider: {{name: {other.name}, profile: {other.profile}}}):"
        changes = [f"  {name}: not taken" for name in model.fields if name not in twin.fields]
        for name, field in twin.fields.items():
            words = ", ".join(filter(None, [_range(field), _default(field) and f"default {_default(field)}"]))
            if name not in model.fields:
                changes.append(f"  {name}: taken too ({words})" if words else f"  {name}: taken too")
            elif (field.default, _range(field)) != (model.fields[name].default, _range(model.fields[name])):
                changes.append(f"  {name}: {words or 'no range'}")
        yield from changes or ["  the same"]


def _field_table(model: Model) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("field", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("default", no_wrap=True)
    table.add_column("range", max_width=18)
    table.add_column("")
    for field in model.fields.values():
        default = "required" if field.name in model.required else _default(field)
        cells = (field.name, field.type, default, _range(field), field.about)
        table.add_row(*(Text(clean(cell, 300)) for cell in cells))
    return table


def _default(field: Field) -> str:
    if isinstance(field.default, bool):
        return "true" if field.default else "false"
    return "" if field.default is None else str(field.default)


def _range(field: Field) -> str:
    if field.choices:
        return ", ".join(field.choices)
    if field.minimum is not None and field.maximum is not None:
        return f"{field.minimum:.10g} to {field.maximum:.10g}"
    if field.minimum is not None:
        return f"from {field.minimum:.10g}"
    return f"up to {field.maximum:.10g}" if field.maximum is not None else ""


def status_table(status: Mapping[str, Any], now: float) -> Page:
    """The state of an output folder: a report's keys, of which those about one run may be missing.

    `now` is UTC seconds since the epoch. `waiting` may list the pictures to download, each with `expires_at`, when its link dies (UTC seconds).
    """
    dies = [float(picture["expires_at"]) for picture in status.get("waiting") or () if picture.get("expires_at")]
    notes = [*pool_lines(status, now), *([f"the first link dies {date(min(dies))}"] if dies else [])]
    # Each unknown call is named once: in the list below, with its price, and not among the failures.
    others = [failure for failure in status.get("failures") or () if failure.get("state") != "unknown"]
    return _page({**status, "this_run": {}, "failures": others}, status_line(status), notes, spending_line(status))


def summary(report: Mapping[str, Any]) -> Page:
    """The end of a run: what happened, a row per model, money, what is missing and the command for it."""
    return _page(report, headline(report), [])


def _page(report: Mapping[str, Any], head: str, notes: list[str], spending: str = "") -> Page:
    def build(width: int) -> "Sequence[RenderableType]":
        from rich.padding import Padding
        from rich.text import Text

        lines: list[RenderableType] = [Text(head, style="bold"), Text()]
        models = _model_rows(report)
        if models:
            titles = ("model", "done", "failed", "unknown", "waiting", "to make", "spent", "s/pic")
            lines += [*aligned(titles, models, width, total=len(models) > 1), Text()]
        paid, _, note = money_line(report).partition(" (")
        beside = len(paid) + len(note) + 2 <= width
        lines += [Text(money_line(report))] if beside or not note else [Text(paid), Text(f"({note}")]
        lines += [Text(spending)] if spending else []
        lines += [*_missing(report, width), *(Text(note, style="yellow") for note in notes)]
        listed = [*unknown_lines(report), *failure_lines(report)]
        lines += [Padding(Text(line), (0, 0, 0, 4), expand=False) for line in listed]
        lines += [Text(line) for line in [month_line(report)] if line]
        lines += [Text(line, style="yellow") for line in [night_line(report), flag_line(report)] if line]
        lines.append(Text(f"pictures are in {clean(report.get('folder', ''), 1000)}"))
        for command in next_commands(report):
            lines += command_lines(command, width)
        return lines

    return Page(build)


def _missing(report: Mapping[str, Any], width: int) -> "list[Text]":
    """What is missing and the command for it: beside it where all of them fit, else below."""
    from rich.text import Text

    # The decision about unknown outcomes stands right below them.
    missing = [row for ending in endings(report) for row in (ending, *_others(ending, report))]
    size = max((len(words) for words, _ in missing), default=0)
    beside = all(size + 2 + len(command) <= width for _, command in missing)
    lines = []
    for words, command in missing:
        if beside:
            lines.append(Text.assemble((words.ljust(size), "yellow"), f"  {command}"))
        else:
            lines += [Text(words, style="yellow"), *command_lines(command, width, "    ")]
    return lines


def _others(ending: tuple[str, str], report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return decisions(report) if ending[1].endswith("--retry unknown") else []


def _model_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    models: Sequence[Mapping[str, Any]] = report.get("models") or ()
    counted = ("done", "failed", "unknown", "waiting", "pending")
    rows = []
    for model in models:
        counts = [str(int(model.get(key) or 0)) for key in counted]
        pace = model.get("seconds_per_picture")
        rows.append((clean(model.get("label", ""), 80), *counts, amount(model.get("spent")), seconds(pace)))
    if len(rows) > 1:
        sums = [str(sum(int(model.get(key) or 0) for model in models)) for key in counted]
        spent = sum((decimal(model.get("spent")) or Decimal(0) for model in models), Decimal(0))
        rows.append((f"all {len(models)} models", *sums, amount(spent), ""))
    return rows
