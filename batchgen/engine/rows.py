"""The ledger's facts as rows of `manifest.jsonl` and `failures.jsonl`: the same in the same order, in fixed types."""

import dataclasses
import datetime
import json
from decimal import Decimal
from typing import Any

from batchgen.engine.summary import as_money
from batchgen.storage.manifest import FailureRow, ManifestRow
from batchgen.storage.purchases import dump_json


def manifest_row(facts: dict[str, Any]) -> ManifestRow:
    """One stored picture, as `storage.queries.manifest_rows` gives it."""
    return ManifestRow(
        **_task(facts),
        width=facts["width"],
        height=facts["height"],
        format=facts["format"],
        bytes=facts["bytes"],
        sha256=facts["sha256"],
        source_sha256=facts["source_sha256"],
        flags=dump_json(facts["flags"]),
        cost=_cost(facts["cost"]),
        currency=facts["currency"],
        request_id=facts["request_id"],
        created_at=iso(facts["created_at"]),
        latency_s=float(facts["latency_s"] or 0.0),
        attempts=facts["attempts"],
        maybe_billed=facts["maybe_billed"],
        job=facts["job"],
        run_id=facts["run_id"],
        version=facts["version"],
        picture=facts["picture"],
    )


def failure_row(facts: dict[str, Any]) -> FailureRow:
    """One task without its picture, as `storage.queries.failure_rows` gives it."""
    return FailureRow(
        **_task(facts | {"file_name": ""}),
        state=facts["state"],
        kind=facts["class"],
        message=facts["message"],
        request_id=facts["request_id"],
        attempts=facts["attempts"],
        maybe_billed=facts["maybe_billed"],
        cost="0" if facts["state"] == "failed" else _cost(facts["cost"]),
    )


def facts_of(row: ManifestRow) -> dict[str, Any]:
    """A manifest's row as `storage.rebuild.rebuild` takes it: the opposite of `manifest_row`."""
    facts = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return facts | {
        "try": facts.pop("try_number"),
        "vars": json.loads(row.vars),
        "params": json.loads(row.params),
        "flags": json.loads(row.flags),
        "cost": Decimal(row.cost) if row.cost else None,
        "created_at": datetime.datetime.fromisoformat(row.created_at).timestamp(),
    }


def iso(at: float) -> str:
    """UTC seconds since the epoch as ISO 8601 with a Z."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _task(facts: dict[str, Any]) -> dict[str, Any]:
    columns = ("file_name", "task_id", "prompt_id", "row", "prompt", "negative_prompt", "provider", "model", "label")
    return {name: facts[name] for name in columns} | {
        "vars": dump_json(facts["vars"]),
        "seed": facts["seed"],
        "try_number": facts["try"],
        "index": facts["index"],
        "night": facts["night"],
        "params": dump_json(facts["params"]),
    }


def _cost(millionths: int | None) -> str:
    return "" if millionths is None else as_money(millionths)
