"""The ledger's facts as rows of `manifest.jsonl` and `failures.jsonl`: the same in the same order, in fixed types."""

import dataclasses
import datetime
import json
import re
from decimal import Decimal
from typing import Any

from batchgen.engine.summary import as_money
from batchgen.spec.shapes import Anything, Each, fits
from batchgen.storage.manifest import FailureRow, ManifestRow
from batchgen.storage.purchases import dump_json

_LARGEST = 2**63 - 1
_COST = re.compile(r"([0-9]{1,7}(\.[0-9]{1,6})?)?")
_HALF = re.compile(r"[\ud800-\udfff]")
_PARAMS = Each(Anything)


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
    """A manifest's row as `storage.rebuild.rebuild` takes it: the opposite of `manifest_row`.

    Raises ValueError for a row that no run wrote: a manifest may come from a stranger.
    """
    facts = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    if not all(0 <= value <= _LARGEST for value in facts.values() if isinstance(value, int)):
        raise ValueError("a number that is none of a picture")
    if not 0 <= row.latency_s <= _LARGEST or not _COST.fullmatch(row.cost):
        raise ValueError("a time or a cost that is none")
    return facts | {
        "try": facts.pop("try_number"),
        "vars": _read(row.vars, Each(str)),
        "params": _read(row.params, _PARAMS),
        "flags": _read(row.flags, [str]),
        "cost": Decimal(row.cost) if row.cost else None,
        "created_at": _seconds(row.created_at),
    }


def _read(text: str, shape: Any) -> Any:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("lists that are too deep") from None
    # Half a character can be stored by nobody.
    if not fits(value, shape) or not _is_text(text):
        raise ValueError("a column of another type")
    return value


def _is_text(text: str) -> bool:
    return "\\ud" not in text.lower() or not _HALF.search(dump_json(json.loads(text)))


def _seconds(text: str) -> float:
    try:
        at = datetime.datetime.fromisoformat(text).timestamp()
    except OverflowError:
        raise ValueError("a time of no calendar") from None
    if at < 0:
        raise ValueError("a time before there were such pictures")
    return at


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
