"""What is left when the dust has settled: the provider's bills, the ledger's rows, the manifest's lines, the files.

Everything is read from the disk, from other processes' files, with the product's code nowhere in between. It judges
nothing: that is `invariants.py`.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEDGER = "ledger.sqlite3"
SPENT = ("billed", "unknown")
"""States of an attempt that count as spent."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One picture that the provider charged for."""

    bill: int
    task: int
    key: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of the ledger's `attempts`; `task` is the number in the prompt."""

    attempt_id: int
    task_id: str
    task: int
    purchase: int
    key: str
    state: str
    images: int
    price: int | None
    cost: int | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of the ledger's `pictures`."""

    picture_id: int
    task_id: str
    attempt_id: int
    state: str
    file_name: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Further:
    """One more run over a finished folder: how it ended, how many requests it sent, whether it changed a picture."""

    exit_code: int | None
    requests: int
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about one output folder and the provider it bought from."""

    folder: Path
    wanted: frozenset[int]
    """The numbers of the tasks that the job asks for, without those that the provider refuses for good."""
    bills: tuple[Bill, ...]
    attempts: tuple[Attempt, ...]
    states: dict[str, str]
    """Task id to state."""
    pictures: tuple[Picture, ...]
    totals: dict[str, dict[str, int]]
    integrity: str
    kills: int = 0
    concurrency: int = 8
    ambiguous: int = 0
    """Calls that the provider itself left without a complete answer after it had billed them."""
    honours_keys: bool = False
    bought_again: bool = False
    """Whether the user asked, with `--retry`, that calls of unknown outcome be bought once more."""
    further: Further | None = None
    downloaded: frozenset[int] = frozenset()
    """The bills whose pictures were asked for by their links."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Task id to the number in its prompt."""

    @property
    def stored(self) -> tuple[Picture, ...]:
        return tuple(picture for picture in self.pictures if picture.state == "stored")


def gather(folder: Path, provider: Path, wanted: frozenset[int], **how: Any) -> Evidence:
    """Read an output folder and the provider's folder; `how` are the fields that only the caller knows."""
    calls = tuple(read_lines(provider / "calls.jsonl"))
    with open_ledger(folder) as ledger:
        numbers = {
            row["task_id"]: _number(json.loads(row["record"])["prompt"])
            for row in ledger.execute("SELECT task_id, record FROM tasks")
        }
        return Evidence(
            folder=folder,
            wanted=wanted,
            bills=tuple(read_bills(provider)),
            attempts=tuple(_attempts(ledger, numbers)),
            states={row["task_id"]: row["state"] for row in ledger.execute("SELECT task_id, state FROM tasks")},
            pictures=tuple(
                Picture(*row)
                for row in ledger.execute(
                    "SELECT picture_id, task_id, attempt_id, state, file_name, sha256 FROM pictures ORDER BY picture_id"
                )
            ),
            totals={row["scope"]: dict(row) for row in ledger.execute("SELECT * FROM totals")},
            integrity=str(ledger.execute("PRAGMA integrity_check").fetchone()[0]),
            ambiguous=sum(str(call.get("fault", "")).endswith("-billed") for call in calls),
            downloaded=frozenset(call["bill"] for call in calls if call["call"] == "get"),
            numbers=numbers,
            **how,
        )


@contextmanager
def open_ledger(folder: Path) -> Iterator[sqlite3.Connection]:
    """The ledger of a folder, for reading alone."""
    uri = f"{(folder / LEDGER).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def read_bills(provider: Path) -> Iterator[Bill]:
    """What the provider charged for, in order."""
    for line in read_lines(provider / "bills.jsonl"):
        yield Bill(line["bill"], line["task"], line["key"])


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _attempts(ledger: sqlite3.Connection, numbers: dict[str, int]) -> Iterator[Attempt]:
    rows = ledger.execute(
        "SELECT attempt_id, task_id, purchase, idempotency_key, state, images, price, cost, scopes"
        " FROM attempts ORDER BY attempt_id"
    )
    for row in rows:
        yield Attempt(
            attempt_id=row["attempt_id"],
            task_id=row["task_id"],
            task=numbers[row["task_id"]],
            purchase=row["purchase"],
            key=row["idempotency_key"],
            state=row["state"],
            images=row["images"],
            price=row["price"],
            cost=row["cost"],
            scopes=tuple(row["scopes"].split(",")),
        )


def _number(prompt: str) -> int:
    found = re.search(r"\btask (\d+)\b", prompt)
    assert found, f"a prompt of these tests names its task: {prompt}"
    return int(found[1])
