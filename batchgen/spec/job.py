"""The job as values: everything that a job file says, resolved, checked and frozen.

It refuses to read files (see `load.py`) and to know the network. A `Job` holds no secret: of the key it knows the name
of the variable alone.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from batchgen.catalog.catalog import Model, Provider

DEFAULT_CONCURRENCY = 16
"""Paid calls in flight at once where the job says nothing else."""

Renew = Literal["never", "daily", "weekly"]
OnUnknown = Literal["retry", "hold"]
Period = Literal["life", "run", "day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on how hard a provider is used; None leaves it to what the provider allows."""

    concurrency: int | None = None
    """Paid calls in flight at once."""
    requests_per_minute: float | None = None
    timeout_s: float | None = None
    """How long one paid call may take before its outcome counts as unknown."""
    give_up_after_s: float | None = None
    """How long a run waits for a provider that answers nothing."""


def bounds_in_words(images: int | None, cost: Decimal | None, currency: str) -> str:
    """`500 pictures and CNY 50`, or the one of them that is not None."""
    bounds = [] if images is None else [f"{images} picture{'' if images == 1 else 's'}"]
    return " and ".join(bounds + ([] if cost is None else [f"{currency} {cost}"]))


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent within `per`; in flight and maybe billed count as spent. None is no bound."""

    images: int | None = None
    cost: Decimal | None = None
    per: Period = "life"

    def words(self, currency: str) -> str:
        """The budget as people say it: `500 pictures and CNY 50 per month`."""
        return bounds_in_words(self.images, self.cost, currency) + ("" if self.per == "life" else f" per {self.per}")


@dataclass(frozen=True, slots=True)
class Seeds:
    """Which seeds every prompt is made with: `fixed` ones, or `count` derived ones."""

    fixed: tuple[int, ...] | None = None
    count: int = 1
    renew: Renew = "never"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One entry of `models:`."""

    model: Model
    label: str
    params: Mapping[str, Any]
    extra_params: Mapping[str, Any]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt of the job before its variables are filled in.

    `prompt`, `params` and `extra_params` may hold `{x}` unless `literal`; `columns` are the row's own variables, by their
    names in lower case. Relative input pictures are relative to the job file's folder.
    """

    id: str
    prompt: str
    params: Mapping[str, Any]
    extra_params: Mapping[str, Any]
    models: tuple[str, ...] | None
    """Ids, labels or globs that this row is for; None is every model."""
    seeds: Seeds | None
    """The row's own seeds; None is the job's."""
    columns: Mapping[str, str]
    literal: bool
    place: str
    """`file:line`, for messages."""


NIGHT = "{night}"
"""What stands in `output.folder` for the date of the night in which a run starts."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go and how they are named."""

    folder: Path
    """Absolute; holds `NIGHT` where each night has a folder of its own."""
    name: str
    ascii: bool
    of_nights: bool = False
    """Whether `folder` is that of one night among others."""
    gallery: bool = True
    """Whether each run leaves a page to look at, and pictures get thumbnails."""
    embed: bool = True
    """Whether each picture carries its recipe."""
    is_named: bool = False
    """Whether the user named this folder and no job file: so do the commands that are advised."""

    @property
    def nightly(self) -> bool:
        """Whether each night has a folder of its own, and so buys the same set anew."""
        return NIGHT in str(self.folder)

    def of_night(self, night: str) -> "Output":
        """The output of one night, named by its date."""
        return dataclasses.replace(self, folder=Path(str(self.folder).replace(NIGHT, night)), of_nights=self.nightly)


@dataclass(frozen=True, slots=True)
class Log:
    """The log that each run leaves in `runs/`; `days` of 0 is no bound."""

    format: Literal["plain", "json"] = "plain"
    keep: int = 60
    days: int = 400


@dataclass(frozen=True, slots=True)
class Notify:
    """Somebody who is told how runs end: names of variables, never what they hold."""

    to: str
    url_env: str | None
    secret_env: str | None
    command_env: str | None
    on: tuple[str, ...]
    """Of `start`, `success`, `failure` and `change`; empty for a heartbeat, which hears of all."""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """What became of one prompt file's columns: `plan` shows it."""

    path: str
    rows: int
    sent: tuple[str, ...]
    variables: tuple[str, ...]
    unused: tuple[str, ...]


def in_night(job: "Job", night: str) -> "Job":
    """The job with the folder of that night, where each night has one of its own."""
    return dataclasses.replace(job, output=job.output.of_night(night))


@dataclass(frozen=True, slots=True)
class Job:
    """A validated job.

    Relative input pictures are relative to the folder of `path`, which is absolute. `identity` names the provider in task
    ids: `name`, or `name@local` on a loopback address.
    """

    name: str
    path: Path
    provider: Provider
    identity: str
    base_url: str
    key_env: str | None
    proxy: str | None
    rows: tuple[Row, ...]
    variables: Mapping[str, Mapping[str, str]]
    """Variable -> short name -> text, in the order of the file."""
    models: tuple[ModelUse, ...]
    seeds: Seeds
    params: Mapping[str, Any]
    extra_params: Mapping[str, Any]
    set_params: Mapping[str, Any]
    """Fields given with `--set`: they win over every other place."""
    exclude: tuple[Mapping[str, str], ...]
    budgets: tuple[Budget, ...]
    on_unknown: OnUnknown
    limits: Limits
    output: Output
    canary: int | None = None
    """Pictures of each model that are bought before the rest; None leaves it to the size of the job."""
    deadline: str | None = None
    """When no call leaves any more, as it was written: a length of time or a time of day."""
    log: Log = Log()
    notify: tuple[Notify, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Input pictures of the job: absolute path -> SHA-256 of the file's bytes when the job was read."""
    files: tuple[PromptFile, ...] = ()
    warnings: tuple[str, ...] = ()
