"""The cells of a gallery, in order: what the job asks for now as the plan has it, then what was made before.

Tasks are looked at a few hundred at a time and not kept. A ledger may come from a stranger, so that nothing in it is
taken for what it should be: texts, numbers and records that are none become empty. It refuses to write anything.
"""

import itertools
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.engine.summary import as_money
from batchgen.outside import clean
from batchgen.spec.job import Job
from batchgen.spec.task import InputPicture, Task
from batchgen.storage.purchases import MILLION
from batchgen.views.gallery import values
from batchgen.views.gallery.data import STATES, VARIABLE, Cell

AT_ONCE = 500
_INPUT = re.compile(r"inputs/[0-9a-f]{64}\.[a-z]{3,4}")
_MISSING = "the file is missing or changed; `batchgen verify` says more"
_FREE = frozenset({"pending", "failed", "sending"})
"""States in which nothing was paid."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What cells are made with, beside the ledger: the same for all of them."""

    folder: Path
    job: Job | None
    running: bool
    """Whether a run is going: without one, a call in flight is one of unknown outcome."""
    reason: str
    """Why the last run left tasks pending; empty is unknown."""
    inputs: Mapping[str, str]
    """SHA-256 of an input picture -> its name in `inputs/`."""
    prices: Mapping[str, Decimal | None]
    """Label -> list price of one picture."""
    same_seeds: bool
    """Whether a try has the same seed under every prompt."""


@dataclass(slots=True)
class _Known:
    """What the ledger holds about one task."""

    task: sqlite3.Row
    pictures: list[sqlite3.Row] = field(default_factory=list)
    attempts: list[sqlite3.Row] = field(default_factory=list)


def chunks_of_job(connection: sqlite3.Connection, shown: Shown, tasks: Iterator[Task]) -> Iterator[list["Found"]]:
    """What the job asks for now, in plan order."""
    while chunk := list(itertools.islice(tasks, AT_ONCE)):
        known = _known(connection, [task.task_id for task in chunk])
        yield [found for task in chunk for found in _of_task(task, known.get(task.task_id), shown)]


def chunks_of_earlier(
    connection: sqlite3.Connection, shown: Shown, seen: set[bytes], *, now: bool
) -> Iterator[list["Found"]]:
    """Everything else that the ledger holds, by night and plan position. Ids in `seen` are left out."""
    total: int = connection.execute("SELECT COUNT(*) FROM tasks").fetchone()[0]
    if not total:
        return
    places: list[tuple[str, int, str]] = []
    for row in connection.execute(
        "SELECT task_id, CASE WHEN json_valid(record) THEN json_extract(record, '$.night') END AS night,"
        " CASE WHEN json_valid(record) THEN json_extract(record, '$.index') END AS place FROM tasks"
    ):
        task_id = values.text(row["task_id"])
        if key_of(task_id) not in seen:
            places.append((values.text(row["night"]), values.whole(row["place"]), task_id))
    places.sort()
    for start in range(0, len(places), AT_ONCE):
        ids = [task_id for _, _, task_id in places[start : start + AT_ONCE]]
        known = _known(connection, ids)
        yield [found for each in ids if each in known for found in _of_known(known[each], shown, now=now)]


def key_of(task_id: str) -> bytes:
    """A task's id, short enough to keep many of them."""
    return task_id[:32].encode("ascii", "replace")


def _known(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, _Known]:
    marks = ",".join("?" * len(ids))
    found = {
        row["task_id"]: _Known(row)
        for row in connection.execute(
            "SELECT task_id, state, kind, message, record, purchase, label, model"  # noqa: S608
            f" FROM tasks WHERE task_id IN ({marks})",
            ids,
        )
    }
    if not found:
        return found
    for row in connection.execute(
        "SELECT p.task_id, p.number, p.state, p.message, p.file_name, p.bytes, p.width, p.height, p.format, p.sha256,"  # noqa: S608
        " p.source_sha256, p.flags, p.billed_at, p.run_id, a.purchase, a.request_id, a.latency_s, a.price, a.currency"
        f" FROM pictures p JOIN attempts a USING (attempt_id) WHERE p.task_id IN ({marks}) ORDER BY p.number",
        ids,
    ):
        found[row["task_id"]].pictures.append(row)
    for row in connection.execute(
        "SELECT task_id, state, kind, posted, message, request_id, price, cost, currency, images, latency_s,"  # noqa: S608
        f" ended_at, sent_at, run_id FROM attempts WHERE task_id IN ({marks}) ORDER BY attempt_id",
        ids,
    ):
        found[row["task_id"]].attempts.append(row)
    return found


@dataclass(slots=True)
class Found:
    """A cell with what is not known before the disk was looked at: whether its file and its thumbnail are there."""

    cell: Cell
    file_name: str = ""
    bytes: int = 0
    sha256: str = ""
    source_sha256: str = ""

    def drop_file(self) -> None:
        """The file is not there as the ledger has it: the cell stays, and says so."""
        self.cell.detail |= {"file": "", "message": _MISSING}
        self.file_name = ""


def _of_task(task: Task, known: _Known | None, shown: Shown) -> list[Found]:
    record = {
        "prompt_id": task.prompt_id,
        "row": task.row,
        "prompt": task.prompt,
        "vars": dict(task.vars),
        "provider": task.provider,
        "model": task.model,
        "label": task.label,
        "seed": task.seed,
        "try": task.try_number,
        "index": task.index,
        "night": task.night,
        "params": {name: _plain(value, shown) for name, value in task.params.items()},
        "extra_params": dict(task.extra_params),
    }
    if known is not None:
        return _cells(record, known, shown, now=True, pictures=task.pictures)
    cell = _cell(task.task_id, record, "pending", 1, shown, now=True)
    cell.detail |= {"message": shown.reason, "price": _price(shown.prices.get(task.label), task.pictures)}
    return [Found(cell)]


def _plain(value: Any, shown: Shown) -> Any:
    """A request field as the ledger would keep it: an input picture by the name of its copy, or by where it is."""
    if isinstance(value, tuple):
        return [_plain(item, shown) for item in value]
    if not isinstance(value, InputPicture):
        return value
    if value.sha256 and value.sha256 in shown.inputs:
        return f"inputs/{shown.inputs[value.sha256]}"
    if value.path:
        return str(value.path)
    return f"inputs/{value.sha256}" if value.sha256 else value.source


def _of_known(known: _Known, shown: Shown, *, now: bool) -> list[Found]:
    return _cells(values.record_of(known.task), known, shown, now=now, pictures=1)


def _cells(record: dict[str, Any], known: _Known, shown: Shown, *, now: bool, pictures: int) -> list[Found]:
    """The cells of a task that the ledger knows: its pictures, and what is missing of its present purchase."""
    task = known.task
    task_id = values.text(task["task_id"])
    found = []
    bought = False
    for row in known.pictures:
        present = row["purchase"] == task["purchase"]
        bought |= present
        if row["state"] == "pruned":  # rejected and deleted: there is nothing to look at, and nothing is missing
            continue
        if present or row["state"] == "stored":  # what an earlier purchase lost was bought again
            found.append(_picture(record, known, row, shown, now=now))
    if bought:
        return found
    number = max((values.small(row["number"]) for row in known.pictures), default=0) + 1
    state = _state(values.text(task["state"]), shown)
    cell = _cell(task_id, record, state, number, shown, now=now)
    last = known.attempts[-1] if known.attempts else None
    spent = sum(values.whole(row["cost"]) for row in known.attempts if row["state"] in {"unknown", "billed"})
    message = clean(values.text(task["message"]), 500) if state not in {"pending", "sending"} else ""
    price = _price(
        shown.prices.get(record["label"]) or _listed(last), values.whole(last["images"]) if last else pictures
    )
    cell.detail |= {
        "class": clean(values.text(task["kind"]), 60) if state not in {"pending", "sending"} else "",
        "message": message or (shown.reason if state == "pending" else ""),
        "cost": "" if state == "pending" else "0" if state in _FREE else as_money(spent) if spent else price,
        "price": price,
        **_calls(known),
    }
    if state == "unknown" and not message:
        cell.detail["message"] = "the run was killed while this call was in flight; it may have been billed"
    if last is not None:
        cell.detail |= _call(last) | {"at": values.time(last["ended_at"] or last["sent_at"])}
    return [*found, Found(cell)]


def _picture(record: dict[str, Any], known: _Known, row: sqlite3.Row, shown: Shown, *, now: bool) -> Found:
    state = values.text(row["state"])
    state = state if state in {"stored", "waiting", "expired", "lost"} else "lost"
    cell = _cell(values.text(known.task["task_id"]), record, state, values.small(row["number"]), shown, now=now)
    cost = None if row["price"] is None else as_money(values.whole(row["price"]))
    cell.detail |= _calls(known) | _call(row)
    cell.detail |= {"cost": cost or "", "price": cost or "", "at": values.time(row["billed_at"])}
    if state != "stored":
        ended = state in {"expired", "lost"}
        message = values.text(row["message"]) or (values.text(known.task["message"]) if ended else "")
        cell.detail |= {"class": state if ended else "", "message": clean(message, 500)}
        return Found(cell)
    cell.flags = values.flags(row["flags"])
    cell.width, cell.height = values.small(row["width"]), values.small(row["height"])
    file_name = values.inside(values.text(row["file_name"]))
    cell.detail |= {
        "file": file_name,
        "bytes": values.whole(row["bytes"]),
        "format": values.line(row["format"], 20),
        "flags": list(cell.flags),
    }
    source = values.text(row["source_sha256"])
    return Found(
        cell,
        file_name,
        values.whole(row["bytes"]),
        values.text(row["sha256"]),
        source if values.SHA256.fullmatch(source) else "",
    )


def _cell(task_id: str, record: dict[str, Any], state: str, number: int, shown: Shown, *, now: bool) -> Cell:
    params = record["params"]
    places = {
        "prompt": (record["prompt_id"], record["prompt"]),
        "model": (record["label"], record["model"]),
        "try": (str(record["try"]), f"seed {record['seed']}" if shown.same_seeds else str(record["try"])),
        "night": (record["night"], record["night"]),
        "row": (record["row"], record["row"]),
    }
    for name, short in record["vars"].items():
        places[VARIABLE + name] = (short, _meaning(name, short, shown.job))
    detail = {
        "task": task_id,
        "file": "",
        "prompt_id": record["prompt_id"],
        "row": record["row"],
        "prompt": record["prompt"],
        "negative": str(params.get("negative_prompt") or ""),
        "seed": record["seed"],
        "try": record["try"],
        "index": record["index"],
        "night": record["night"],
        "vars": record["vars"],
        "model": record["model"],
        "label": record["label"],
        "params": params,
        "extra": record["extra_params"],
        "provider": record["provider"],
        "cost": "",
        "currency": shown.job.provider.currency if shown.job else "",
        "latency": None,
        "request_id": "",
        "at": "",
        "attempts": 0,
        "maybe_billed": 0,
        "run": "",
        "bytes": 0,
        "format": "",
        "flags": [],
        "message": "",
        "class": "",
        "price": "",
        "inputs": _inputs(params, shown.folder),
    }
    return Cell(task_id, number, places, state, (), now, "", 0, 0, detail)


def _meaning(name: str, short: str, job: Job | None) -> str:
    texts = None if job is None else job.variables.get(name)
    return short if texts is None else texts.get(short, short)


def _inputs(params: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The input pictures by the field that they were sent in: absolute paths of files, links as they are."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, str) and _INPUT.fullmatch(value):
            found[name] = str(folder / value)
        elif (
            isinstance(value, list)
            and value
            and all(isinstance(each, str) and _INPUT.fullmatch(each) for each in value)
        ):
            found[name] = [str(folder / each) for each in value]
    return found


def _calls(known: _Known) -> dict[str, int]:
    return {
        "attempts": sum(row["posted"] == 1 and row["kind"] != "rate_limited" for row in known.attempts),
        "maybe_billed": sum(row["state"] == "unknown" for row in known.attempts),
    }


def _call(row: sqlite3.Row) -> dict[str, Any]:
    latency = row["latency_s"]
    return {
        "request_id": values.line(row["request_id"], 200),
        "latency": round(latency, 3) if isinstance(latency, float) and math.isfinite(latency) else None,
        "currency": values.line(row["currency"], 8),
        "run": values.line(row["run_id"], 40),
    }


def _state(state: str, shown: Shown) -> str:
    """The word of a task without a picture."""
    if state == "sending" and not shown.running:
        return "unknown"
    return {"billed": "waiting"}.get(state, state if state in STATES and state != "stored" else "lost")


def _price(price: Decimal | None, pictures: int) -> str:
    return "" if price is None else as_money(int(price * MILLION) * pictures)


def _listed(row: sqlite3.Row | None) -> Decimal | None:
    return None if row is None or row["price"] is None else Decimal(values.whole(row["price"])) / MILLION
