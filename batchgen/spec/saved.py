"""A job as JSON and back: what a run keeps of it, so that its folder can be worked on when the job file is gone.

The text holds no secret, since a Job holds none. Models are stored by id: their facts are the catalogue's of the day.
A saved job may come from a stranger: on its way back it has to keep every bound that a job file has to keep.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.catalog.catalog import load_provider
from batchgen.spec.job import Budget, Job, Limits, Log, ModelUse, Notify, Output, PromptFile, Row, Seeds
from batchgen.spec.seeds import LARGEST_SEED, MOST_SEEDS
from batchgen.spec.shapes import Anything, Each, fits
from batchgen.spec.task import canonical_json

VERSION = 1
_LONGEST_AMOUNT = 40
_LONGEST_WAIT_S = 366 * 86400.0

_FIELDS = Each(Anything)
_TEXTS = Each(str)
_SEEDS = {"fixed": (None, [int]), "count": int, "renew": str}
_LIMITS = {
    "concurrency": (None, int),
    "requests_per_minute": (None, float),
    "timeout_s": (None, float),
    "give_up_after_s": (None, float),
}
_ROW = {
    "id": str,
    "prompt": str,
    "params": _FIELDS,
    "extra_params": _FIELDS,
    "models": (None, [str]),
    "seeds": (None, _SEEDS),
    "columns": _TEXTS,
    "literal": bool,
    "place": str,
}
_SHAPE = {
    "version": int,
    **dict.fromkeys(("name", "path", "provider", "identity", "base_url", "on_unknown"), str),
    **dict.fromkeys(("key_env", "proxy", "profile"), (None, str)),
    "rows": [_ROW],
    "variables": Each(_TEXTS),
    "models": [{"model": str, "label": str, "params": _FIELDS, "extra_params": _FIELDS, "limits": _LIMITS}],
    "seeds": _SEEDS,
    **dict.fromkeys(("params", "extra_params", "set_params"), _FIELDS),
    "exclude": [_TEXTS],
    "budgets": [{"images": (None, int), "cost": (None, str), "per": str}],
    "limits": _LIMITS,
    "output": dict.fromkeys(("folder", "name"), str)
    | dict.fromkeys(("ascii", "of_nights", "gallery", "embed", "is_named"), bool),
    "canary": (None, int),
    "deadline": (None, str),
    "log": {"format": str, "keep": int, "days": int},
    "notify": [{"to": str, **dict.fromkeys(("url_env", "secret_env", "command_env"), (None, str)), "on": [str]}],
    "pictures": _TEXTS,
    "files": [{"path": str, "rows": int, "sent": [str], "variables": [str], "unused": [str]}],
    "warnings": [str],
}


def job_to_json(job: Job) -> dict[str, Any]:
    """Everything about `job` in JSON's own types; `job_from_json` makes an equal Job of it."""
    plain = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    return {
        "version": VERSION,
        **plain,
        "path": str(job.path),
        "provider": job.provider.name,
        "profile": None if job.provider.profile == job.provider.profiles[0] else job.provider.profile,
        "rows": [_values(row) for row in job.rows],
        "variables": {name: dict(texts) for name, texts in job.variables.items()},
        "models": [_values(use) | {"model": use.model.id} for use in job.models],
        "seeds": _values(job.seeds),
        "params": dict(job.params),
        "extra_params": dict(job.extra_params),
        "set_params": dict(job.set_params),
        "exclude": [dict(entry) for entry in job.exclude],
        "budgets": [_values(budget) for budget in job.budgets],
        "limits": _values(job.limits),
        "output": _values(job.output),
        "canary": job.canary,
        "deadline": job.deadline,
        "log": _values(job.log),
        "notify": [_values(each) for each in job.notify],
        "pictures": dict(job.pictures),
        "files": [_values(file) for file in job.files],
        "warnings": list(job.warnings),
    }


def _values(value: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Seeds | Limits):
        return _values(value)
    return dict(value) if isinstance(value, Mapping) else value


def job_from_json(data: Mapping[str, Any]) -> Job:
    """The job that `job_to_json` described.

    Raises JobError for one that no job file could say, CatalogError when the catalogue no longer holds one of its models,
    and ValueError, KeyError or TypeError for what is no saved job at all.
    """
    if not fits(data, _SHAPE):
        raise ValueError("no saved job")
    job = _job(data)
    _check_bounds(job)
    return job


def _check_bounds(job: Job) -> None:
    """The bounds of `schema` and `load`, and all that `Checker` looks at in a job file."""
    everything = [job.seeds, *(row.seeds for row in job.rows if row.seeds is not None)]
    _check_numbers(job, everything)
    # What reads job files is not loaded by those who never see one.
    from batchgen.spec import checks
    from batchgen.spec.fields import PictureBook
    from batchgen.spec.mistakes import Mistakes
    from batchgen.spec.prompts import Origin
    from batchgen.spec.yaml_reader import Document

    mistakes = Mistakes(Document("the saved job", ""))
    origins = [Origin((), file=row.place) for row in job.rows]
    pictures = PictureBook(job.path.parent, dict(job.pictures))
    checks.Checker(job, origins, {use.label: ("models",) for use in job.models}, mistakes, pictures).check()
    mistakes.raise_if_any()


def _check_numbers(job: Job, seeds: Sequence[Seeds]) -> None:
    from batchgen.spec.durations import until
    from batchgen.spec.schema import MOST_CANARIES, MOST_RULES, BudgetItem, LimitsItem
    from batchgen.spec.unattended import MOST_TOLD, LogItem, NotifyItem, misfits

    good = bool(job.rows and job.models) and len(job.exclude) <= MOST_RULES
    for each in seeds:
        good = good and 1 <= each.count <= MOST_SEEDS and each.renew in {"never", "daily", "weekly"}
        good = good and all(0 <= seed <= LARGEST_SEED for seed in each.fixed or ())
    for limits in (job.limits, *(use.limits for use in job.models)):
        LimitsItem(concurrency=limits.concurrency, requests_per_minute=limits.requests_per_minute)
        waits = [wait for wait in (limits.timeout_s, limits.give_up_after_s) if wait is not None]
        good = good and all(0 < wait <= _LONGEST_WAIT_S for wait in waits)
    for budget in job.budgets:
        BudgetItem(images=budget.images, cost=None if budget.cost is None else float(budget.cost), per=budget.per)
    LogItem(format=job.log.format, keep=job.log.keep, days=job.log.days)
    for told in job.notify:
        NotifyItem(to=told.to, on=list(told.on) or None)  # type: ignore[arg-type]  # that is what is checked
        good = good and not misfits(told)
    good = good and len(job.notify) <= MOST_TOLD and 0 <= (job.canary or 0) <= MOST_CANARIES
    good = good and (job.deadline is None or until(job.deadline, 0.0) is not None)
    if not good or job.on_unknown not in {"retry", "hold"}:
        raise ValueError("a number out of its bounds")


def _job(data: Mapping[str, Any]) -> Job:
    provider = load_provider(data["provider"], data.get("profile"))
    shared: dict[str, Any] = {}
    return Job(
        name=data["name"],
        path=Path(data["path"]),
        provider=provider,
        identity=data["identity"],
        base_url=data["base_url"],
        key_env=data["key_env"],
        proxy=data["proxy"],
        rows=tuple(_row(row, shared) for row in data["rows"]),
        variables=data["variables"],
        models=tuple(
            ModelUse(**{**use, "model": provider.model(use["model"]), "limits": Limits(**use["limits"])})
            for use in data["models"]
        ),
        seeds=_seeds(data["seeds"]),
        params=data["params"],
        extra_params=data["extra_params"],
        set_params=data["set_params"],
        exclude=tuple(data["exclude"]),
        budgets=tuple(
            Budget(**{**budget, "cost": None if budget["cost"] is None else _money(budget["cost"])})
            for budget in data["budgets"]
        ),
        on_unknown=data["on_unknown"],
        limits=Limits(**data["limits"]),
        output=Output(**{**data["output"], "folder": Path(data["output"]["folder"])}),
        canary=data.get("canary"),
        deadline=data.get("deadline"),
        log=Log(**data.get("log", {})),
        notify=tuple(Notify(**{**each, "on": tuple(each["on"])}) for each in data.get("notify", ())),
        pictures=data["pictures"],
        files=tuple(_prompt_file(file) for file in data["files"]),
        warnings=tuple(data["warnings"]),
    )


def _money(text: str) -> Decimal:
    if len(text) > _LONGEST_AMOUNT:  # a large exponent is a number of a million digits
        raise ValueError("no amount of money")
    amount = Decimal(text)
    if not amount.is_finite() or amount.adjusted() > _LONGEST_AMOUNT:
        raise ValueError("no amount of money")
    return amount


def _row(data: Mapping[str, Any], shared: dict[str, Any]) -> Row:
    """One row. Rows of one prompt file share their fields again: expansion prepares those once."""
    same = {key: shared.setdefault(canonical_json(data[key]), data[key]) for key in ("params", "extra_params")}
    models = None if data["models"] is None else tuple(data["models"])
    models = shared.setdefault(canonical_json(["models", data["models"]]), models)
    seeds = None if data["seeds"] is None else _seeds(data["seeds"])
    return Row(**{**data, **same, "models": models, "seeds": seeds})


def _prompt_file(data: Mapping[str, Any]) -> PromptFile:
    return PromptFile(
        path=data["path"],
        rows=data["rows"],
        sent=tuple(data["sent"]),
        variables=tuple(data["variables"]),
        unused=tuple(data["unused"]),
    )


def _seeds(data: Mapping[str, Any]) -> Seeds:
    fixed = None if data["fixed"] is None else tuple(data["fixed"])
    return Seeds(fixed=fixed, count=data["count"], renew=data["renew"])
