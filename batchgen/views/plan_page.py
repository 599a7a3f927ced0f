"""The plan of a job for people: one line before a run, one page for `plan`.

It refuses to count and to price: the plan's numbers are shown as they are, and a price that nobody knows as `unknown`.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from batchgen.catalog.catalog import load_provider, provider_names
from batchgen.outside import clean
from batchgen.spec.job import bounds_in_words
from batchgen.spec.plan import ModelPlan, Plan, Room
from batchgen.views.columns import Page, aligned
from batchgen.views.text import about, amount, count, estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

_PLAY_MONEY = "(sandbox: nothing is billed)"
_ENDED = (
    ("unknown", "unknown", "of unknown outcome, maybe billed", "unknown"),
    ("failed", "refused", "refused before, not billed", "failed"),
    ("lost", "lost", "paid for and gone", "lost --retry expired"),
)
"""Count, its word in one line, its words on the page, and the option that buys again."""


def one_line(plan: Plan, time_s: float | None = None) -> str:
    """`312 pictures: 280 done, 2 to download, 30 new; about CNY 10.50; ~4 min`; `time_s` is how long it may take."""
    counts = [f"{plan.total('done')} done"]
    if plan.total("waiting"):
        counts.append(f"{plan.total('waiting')} to download")
    counts += [f"{plan.total(key)} {word}" for key, word, _, _ in _ENDED if plan.total(key)]
    counts.append(f"{plan.total('new')} new")
    line = f"{count(plan.total('pictures'), 'picture')}: {', '.join(counts)}; {_cost(plan)}"
    if time_s is not None:
        line += f"; ~{estimate(time_s)}"
    return f"{line} {_PLAY_MONEY}" if _play_money(plan) else line


def plan_table(plan: Plan, time_s: float | None = None) -> Page:
    """The plan: a row per model, then what may be free, what stays as it is, what is not sent, files and warnings."""

    def build(width: int) -> "Sequence[RenderableType]":
        from rich.text import Text

        lines: list[RenderableType] = [Text(f"{clean(plan.job, 80)}: {one_line(plan, time_s)}", style="bold"), Text()]
        titles = ("model", "pictures", "done", "waiting", "new", "price", "cost")
        lines += aligned(titles, _rows(plan), width, total=len(_rows(plan)) > 1)
        notes = [
            *((line, "") for line in _labels(plan)),
            *((line, "") for line in _money_notes(plan)),
            *((line, "") for room in plan.rooms if plan.fits(room) for line in [_budget(room, plan)]),
            *((line, "yellow") for room in plan.rooms if not plan.fits(room) for line in [_budget(room, plan)]),
            *((line, "yellow") for line in _stays(plan)),
            *((line, "yellow") for line in _not_sent(plan)),
            *((line, "") for line in _files(plan)),
            *((f"warning: {clean(warning, 500)}", "yellow") for warning in plan.warnings),
        ]
        if notes:
            lines.append(Text())
        return [*lines, *(Text(line, style=style) for line, style in notes)]

    return Page(build)


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    rows = [
        (clean(model.label, 80), *_counts(model), amount(model.price), amount(model.cost))
        for model in plan.models
        if model.tasks or not plan.total("tasks")
    ]
    if len(rows) > 1:
        sums = [str(plan.total(key)) for key in ("pictures", "done", "waiting", "new")]
        cost = "unknown" if plan.price_unknown else amount(plan.known_cost)
        rows.append((f"all {len(rows)} models", *sums, "", cost))
    return rows


def _counts(model: ModelPlan) -> tuple[str, ...]:
    return str(model.pictures), str(model.done), str(model.waiting), str(model.new)


def _cost(plan: Plan) -> str:
    if not plan.total("new"):
        return "nothing to buy"
    known = about(plan.known_cost, plan.currency)
    if not plan.price_unknown:
        return f"about {known}"
    return f"{known} and a part of unknown price" if plan.known_cost else "price unknown"


def _labels(plan: Plan) -> list[str]:
    """What stands behind labels that do not tell the model."""
    return [
        f"{clean(model.label, 80)} is {clean(model.model)}"
        for model in plan.models
        if model.label != (model.model.partition("/")[2].replace("/", "-") or model.model)
    ]


def _money_notes(plan: Plan) -> list[str]:
    lines = []
    free = 0 if _play_money(plan) else sum(model.maybe_free for model in plan.models)
    if free:
        lines.append(f"up to {free} of the new pictures may be free: the first ones of a model are, once per account")
    unknown = [clean(model.label, 80) for model in plan.models if model.cost is None]
    if unknown:
        lines.append(f"nobody knows the price of {', '.join(unknown)}")
    if plan.total("new"):
        lines.append(f"prices are list prices in {clean(plan.currency, 8)} per picture")
    return lines


def _budget(room: Room, plan: Plan) -> str:
    cost = None if room.cost is None else Decimal(amount(room.cost))
    left = bounds_in_words(room.images, cost, clean(plan.currency, 8))
    return f"budget of {room.words}: {left} left" + ("" if plan.fits(room) else "; the run will stop at it")


def _stays(plan: Plan) -> list[str]:
    return [
        f"{number} {words}: left as they are; `--retry {retry}` buys them again"
        for key, _, words, retry in _ENDED
        if (number := plan.total(key))
    ]


def _not_sent(plan: Plan) -> list[str]:
    labels: dict[str, list[str]] = {}
    for left in plan.left_out:
        labels.setdefault(clean(left.field, 60), []).append(clean(left.label, 80))
    return [
        f"{field} is not sent to {', '.join(takers)}: {'they do' if len(takers) > 1 else 'it does'} not take it"
        for field, takers in labels.items()
    ]


def _files(plan: Plan) -> list[str]:
    lines = []
    for file in plan.files:
        kinds = (("sent", file.sent), ("variables", file.variables), ("unused", file.unused))
        columns = "; ".join(f"{kind}: {', '.join(clean(name, 60) for name in names)}" for kind, names in kinds if names)
        lines.append(f"{clean(file.path)}: {count(file.rows, 'row')}" + (f"; {columns}" if columns else ""))
    return lines


def _play_money(plan: Plan) -> bool:
    name = plan.provider.partition("@")[0]
    return name in provider_names() and load_provider(name).play_money
