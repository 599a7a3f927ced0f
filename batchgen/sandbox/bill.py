"""What the sandbox charged: a list in memory, and a file with one JSON line per billed request.

It refuses to decide when something is billed; it only writes it down, before the answer leaves.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.sandbox.later_page import EVERY_MODEL
from batchgen.sandbox.page import CURRENCY


@dataclass(frozen=True, slots=True)
class BillEntry:
    """One billed request. `at` is UTC seconds; `seed` is the one used, also where a random one was asked for."""

    at: float
    request_id: str
    model: str
    prompt: str
    seed: int
    n: int
    pictures: int
    cost: Decimal
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class BillSnapshot:
    """The bill at one moment. `requests` counts every paid call that arrived, `billed_requests` those that cost."""

    requests: int
    billed_requests: int
    pictures: int
    cost: Decimal
    currency: str
    by_model: dict[str, int] = field(default_factory=dict)
    """Billed pictures by model id; models without any are left out."""
    entries: tuple[BillEntry, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """A JSON object with money as text."""
        return {
            "requests": self.requests,
            "billed_requests": self.billed_requests,
            "pictures": self.pictures,
            "cost": str(self.cost),
            "currency": self.currency,
            "by_model": self.by_model,
            "entries": [_plain(entry) for entry in self.entries],
        }


class Bill:
    """The bill of one server, from its start or the last reset; the file goes on for ever."""

    def __init__(self, path: Path | None) -> None:
        self._entries: list[BillEntry] = []
        self._requests = 0
        self._file = path.open("a", encoding="utf-8") if path else None

    def count_request(self) -> int:
        """The number of the request that has just arrived, from 1."""
        self._requests += 1
        return self._requests

    def charge(self, entry: BillEntry) -> None:
        """Write down one billed request; the line is handed to the system before this returns."""
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(_plain(entry), ensure_ascii=False) + "\n")
            self._file.flush()

    def snapshot(self) -> BillSnapshot:
        """The bill now."""
        by_model: Counter[str] = Counter()
        for entry in self._entries:
            by_model[entry.model] += entry.pictures
        return BillSnapshot(
            requests=self._requests,
            billed_requests=len(self._entries),
            pictures=by_model.total(),
            cost=sum((entry.cost for entry in self._entries), Decimal(0)),
            currency=CURRENCY,
            by_model=dict(by_model),
            entries=tuple(self._entries),
        )

    def reset(self) -> None:
        """Start counting again; lines already in the file stay."""
        self._entries.clear()
        self._requests = 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def price(model: str, pictures: int) -> Decimal:
    """What `pictures` of a model cost in the page's currency, by the sandbox's own table."""
    return EVERY_MODEL[model].price * pictures


def _plain(entry: BillEntry) -> dict[str, Any]:
    return asdict(entry) | {"cost": str(entry.cost)}
