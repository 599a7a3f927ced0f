"""An output folder for tests of what is handed on: a real ledger filled with SQL, and files where it says they are."""

import hashlib
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

from PIL import Image

from batchgen.storage.ledger import open_reader
from batchgen.storage.schema import migrate

RECORD = {
    "prompt_id": "fox.ink",
    "row": "fox",
    "prompt": "a fox",
    "vars": {"style": "ink"},
    "provider": "sandbox",
    "model": "black-forest-labs/flux.1-dev",
    "label": "dev",
    "seed": 7,
    "try": 1,
    "index": 1,
    "night": "",
    "params": {"size": "256x256"},
    "extra_params": {},
}
_TASK = ("task_id", "state", "label", "model", "name", "name_key", "record", "purchase", "created_at")
_ATTEMPT = {
    "run_id": "r", "purchase": 1, "idempotency_key": "k", "state": "billed", "from_state": "pending", "again": 0, "images": 1,
    "price": 80000, "currency": "CNY", "scopes": "[]", "cost": 80000, "posted": 1, "status": 200, "request_id": "q",
    "latency_s": 1.5, "sent_at": 1, "ended_at": 2,
}  # fmt: skip
_PICTURE = {
    "run_id": "r", "state": "stored", "item": 0, "billed_at": 1.5, "expires_at": 2, "width": 8, "height": 8,
    "source_sha256": "cd", "manifest_line": 1,
}  # fmt: skip


def picture(number: int, format: str = "png", side: int = 8) -> bytes:  # noqa: A002
    """A small picture of its own colour."""
    made = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 151 % 256)
    Image.new("RGB", (side, side), colour).save(made, format)
    return made.getvalue()


class Folder:
    """An output folder whose ledger is filled with SQL; a picture is ten bytes unless others are given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "images").mkdir(parents=True)
        self.ledger = sqlite3.connect(path / "ledger.sqlite3", isolation_level=None)
        self.ledger.execute("PRAGMA journal_mode=WAL")
        migrate(self.ledger)

    def insert(self, table: str, values: dict[str, Any]) -> None:
        marks = ",".join("?" * len(values))
        self.ledger.execute(f"INSERT INTO {table}({','.join(values)}) VALUES ({marks})", tuple(values.values()))

    def add(
        self,
        number: int = 1,
        /,
        *,
        file_name: str = "",
        flags: tuple[str, ...] = (),
        data: bytes = b"0123456789",
        format: str = "png",  # noqa: A002
        **facts: Any,
    ) -> Path:
        """Note a task with a stored picture, and put it there."""
        record = json.dumps(RECORD | {name.removesuffix("_number"): value for name, value in facts.items()})
        task = (f"{number:064x}", "stored", "dev", "m", f"n{number}", f"n{number}", record, 1, 1)
        self.insert("tasks", dict(zip(_TASK, task, strict=True)))
        self.insert("attempts", {"attempt_id": number, "task_id": f"{number:064x}"} | _ATTEMPT)
        return self.add_picture(number, 1, number, file_name=file_name, flags=flags, data=data, format=format)

    def add_picture(
        self,
        task: int,
        number: int,
        picture_id: int,
        *,
        file_name: str = "",
        flags: tuple[str, ...] = (),
        data: bytes = b"0123456789",
        format: str = "png",  # noqa: A002
    ) -> Path:
        """Note one picture of a task, and put it there."""
        file_name = file_name or f"images/{picture_id}.{format}"
        own = {
            "picture_id": picture_id,
            "task_id": f"{task:064x}",
            "attempt_id": task,
            "number": number,
            "file_name": file_name,
            "bytes": len(data),
            "format": format,
            "sha256": hashlib.sha256(data).hexdigest(),
            "flags": json.dumps(flags),
            "stored_at": float(picture_id),
        }
        self.insert("pictures", _PICTURE | own)
        path = self.path / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def fill(self, count: int, prompt: str) -> None:
        """Note many pictures at once, all of one file."""
        self.add(1)
        numbers = "WITH RECURSIVE k(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM k WHERE i < ?)"
        with self.ledger:
            self.ledger.execute("BEGIN")
            self.ledger.execute(
                f"{numbers} INSERT INTO tasks({','.join(_TASK)}) SELECT printf('%064x', i), state, label, model, 'n' || i,"
                " 'n' || i, ?, purchase, created_at FROM k, tasks WHERE name = 'n1'",
                (count, json.dumps(RECORD | {"prompt": prompt})),
            )
            for table in ("attempts", "pictures"):
                names = [row[1] for row in self.ledger.execute(f"PRAGMA table_info({table})")]
                changed = {names[0]: "i", "task_id": "printf('%064x', i)", "attempt_id": "i"}
                chosen = ", ".join(changed.get(name, f"{table}.{name}") for name in names)
                self.ledger.execute(
                    f"{numbers} INSERT INTO {table} SELECT {chosen} FROM k, {table} WHERE {names[0]} = 1",
                    (count,),
                )

    def reader(self) -> sqlite3.Connection:
        reader = open_reader(self.path)
        assert reader is not None
        return reader
