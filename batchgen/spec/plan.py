"""What a run of a job would do and cost, before it does: counts and money per model.

Pure values. It refuses to render them, to know a ledger (it asks a function for the states of tasks), and to keep tasks.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batchgen.spec.cells import Cells
from batchgen.spec.job import Job, PromptFile
from batchgen.spec.task import Task

States = Callable[[Sequence[str]], Mapping[str, str]]
"""Task ids -> state of each: done, waiting, failed, unknown, lost, expired or new. Ids that are not in it are new."""

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """The plan of one model use. Everything but `tasks` and `new_tasks` counts pictures."""

    label: str
    model: str
    tasks: int
    pictures: int
    done: int
    waiting: int
    """Paid for and not yet on disk."""
    failed: int
    unknown: int
    """Calls of unknown outcome: maybe billed."""
    lost: int
    """Paid for and gone: lost or expired."""
    new: int
    new_tasks: int
    price: Decimal | None
    free_images: int
    """How many pictures of this model the provider gives away, once."""

    @property
    def cost(self) -> Decimal | None:
        """List price of the new pictures; None when the price is unknown and there are any."""
        if self.price is None:
            return Decimal(0) if self.new == 0 else None
        return self.price * self.new

    @property
    def maybe_free(self) -> int:
        """How many of the new pictures may be free."""
        return min(self.free_images, self.new)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A field of the job, of prompts or of `--set` that a model does not take: it is not sent there."""

    field: str
    label: str
    rows: int


@dataclass(frozen=True, slots=True)
class Room:
    """What a budget still allows; None bounds nothing. `words` is the budget as people say it."""

    words: str
    images: int | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: one entry per model of the job, in its order."""

    job: str
    provider: str
    currency: str
    models: tuple[ModelPlan, ...]
    left_out: tuple[LeftOut, ...]
    files: tuple[PromptFile, ...]
    warnings: tuple[str, ...] = field(default=())
    rooms: tuple[Room, ...] = ()
    """One for each budget of the job."""

    def fits(self, room: Room) -> bool:
        """Whether all that is new fits into what a budget still allows."""
        images_fit = room.images is None or self.total("new") <= room.images
        return images_fit and (room.cost is None or (not self.price_unknown and self.known_cost <= room.cost))

    def total(self, count: str) -> int:
        """The sum of one count, such as `pictures` or `new`, over all models."""
        return sum(getattr(model, count) for model in self.models)

    @property
    def known_cost(self) -> Decimal:
        """List price of the new pictures whose price is known."""
        return sum((model.cost for model in self.models if model.cost is not None), Decimal(0))

    @property
    def price_unknown(self) -> bool:
        """Whether something would be bought at a price that nobody knows."""
        return any(model.cost is None for model in self.models)

    def time_s(self, seconds_per_call: Mapping[str, float], at_once: int) -> float | None:
        """How long the new tasks take with `at_once` calls in flight, by each model's mean; None when one is unknown."""
        buying = [model for model in self.models if model.new_tasks]
        if not all(model.model in seconds_per_call for model in buying):
            return None
        return sum(model.new_tasks * seconds_per_call[model.model] for model in buying) / at_once


def make_plan(job: Job, tasks: Iterable[Task], states: States) -> Plan:
    """The plan of `tasks`, which are taken one chunk at a time; `states` is asked about each chunk."""
    counts: dict[str, Counter[str]] = {use.label: Counter() for use in job.models}
    remaining = iter(tasks)
    while chunk := list(itertools.islice(remaining, _CHUNK)):
        found = states([task.task_id for task in chunk])
        for task in chunk:
            counter = counts[task.label]
            state = found.get(task.task_id, "new")
            counter["tasks"] += 1
            counter["pictures"] += task.pictures
            counter[state] += task.pictures
            counter["new_tasks"] += state == "new"
    return Plan(
        job=job.name,
        provider=job.identity,
        currency=job.provider.currency,
        models=tuple(
            ModelPlan(
                label=use.label,
                model=use.model.id,
                tasks=counts[use.label]["tasks"],
                pictures=counts[use.label]["pictures"],
                done=counts[use.label]["done"],
                waiting=counts[use.label]["waiting"],
                failed=counts[use.label]["failed"],
                unknown=counts[use.label]["unknown"],
                lost=counts[use.label]["lost"] + counts[use.label]["expired"],
                new=counts[use.label]["new"],
                new_tasks=counts[use.label]["new_tasks"],
                price=use.model.price,
                free_images=use.model.free_images,
            )
            for use in job.models
        ),
        left_out=left_out(job),
        files=job.files,
        warnings=job.warnings,
    )


def left_out(job: Job) -> tuple[LeftOut, ...]:
    """The fields that are not sent to a model because it does not take them, with the prompts they were written for."""
    cells = Cells(job)
    counts = Counter((name, cell.use.label) for row in job.rows for cell in cells.of(row) for name in cell.left_out)
    return tuple(LeftOut(name, label, rows) for (name, label), rows in counts.items())


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan in JSON's own types; money is text, an unknown price is null."""
    models = [
        dataclasses.asdict(model)
        | {
            "price": None if model.price is None else str(model.price),
            "cost": None if model.cost is None else str(model.cost),
        }
        for model in plan.models
    ]
    return {
        "job": plan.job,
        "provider": plan.provider,
        "currency": plan.currency,
        "pictures": plan.total("pictures"),
        "new": plan.total("new"),
        "known_cost": str(plan.known_cost),
        "price_unknown": plan.price_unknown,
        "models": models,
        "left_out": [dataclasses.asdict(entry) for entry in plan.left_out],
        "files": [dataclasses.asdict(entry) for entry in plan.files],
        "budgets": [
            {
                "budget": room.words,
                "images_left": room.images,
                "cost_left": None if room.cost is None else str(room.cost),
                "fits": plan.fits(room),
            }
            for room in plan.rooms
        ],
        "warnings": list(plan.warnings),
    }
