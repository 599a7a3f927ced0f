"""A job as JSON and back: what a run keeps of it, so that its folder can be worked on when the job file is gone.

The text holds no secret, since a Job holds none. Models are stored by id: their facts are the catalogue's of the day.
"""

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.catalog.catalog import load_provider
from batchgen.spec.job import Budget, Job, Limits, ModelUse, Output, PromptFile, Row, Seeds
from batchgen.spec.task import canonical_json

VERSION = 1


def job_to_json(job: Job) -> dict[str, Any]:
    """Everything about `job` in JSON's own types; `job_from_json` makes an equal Job of it."""
    plain = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    return {
        "version": VERSION,
        **plain,
        "path": str(job.path),
        "provider": job.provider.name,
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
    """The job that `job_to_json` described. Raises CatalogError when the catalogue no longer holds one of its models."""
    provider = load_provider(data["provider"])
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
            Budget(**{**budget, "cost": None if budget["cost"] is None else Decimal(budget["cost"])})
            for budget in data["budgets"]
        ),
        on_unknown=data["on_unknown"],
        limits=Limits(**data["limits"]),
        output=Output(**{**data["output"], "folder": Path(data["output"]["folder"])}),
        pictures=data["pictures"],
        files=tuple(_prompt_file(file) for file in data["files"]),
        warnings=tuple(data["warnings"]),
    )


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
