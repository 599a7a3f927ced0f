"""What becomes of a paid picture in the ledger: stored, expired, lost, or waiting a little longer.

Operations for `Ledger.write`, as in `purchases.py`. A task is stored when all pictures of its last purchase are.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from batchgen.storage.looks import NEAR, difference

_64_BITS = 1 << 64
_KIN_AT_MOST = 1000
"""The last so many tries of a prompt are compared: a prompt with 100,000 would take an hour of comparing otherwise."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture that stands whole and synced under `file_name` (relative to the folder): what the ledger keeps of it.

    `sha256` is the file's, `source_sha256` that of the bytes as received.
    """

    picture_id: int
    file_name: str
    bytes: int
    width: int
    height: int
    format: str
    sha256: str
    source_sha256: str
    flags: tuple[str, ...]
    look: int | None = None
    """The difference hash, 64 bits."""
    kin: str = ""
    """Equal for pictures of requests that differ in the seed alone."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What `store` made of one picture: its flags with those that only the ledger can tell, and its task's state."""

    picture_id: int
    flags: tuple[str, ...]
    task_state: str


def store(connection: sqlite3.Connection, pictures: Sequence[StoredPicture], at: float) -> list[Landing]:
    """Pictures that are durable under their final names become `stored`.

    Flags that need the ledger are added: `duplicate`, `near-duplicate` (nearly the picture of another seed) and `short`.
    """
    landings = []
    for picture in pictures:
        flags = picture.flags + _ledger_flags(connection, picture)
        connection.execute(
            "UPDATE pictures SET state = 'stored', file_name = ?, bytes = ?, width = ?, height = ?, format = ?,"
            " sha256 = ?, source_sha256 = ?, flags = ?, look = ?, kin = ?, stored_at = ?, message = '' WHERE picture_id = ?",
            (
                picture.file_name,
                picture.bytes,
                picture.width,
                picture.height,
                picture.format,
                picture.sha256,
                picture.source_sha256,
                json.dumps(flags),
                None if picture.look is None else _signed(picture.look),
                picture.kin,
                at,
                picture.picture_id,
            ),
        )
        landings.append(Landing(picture.picture_id, flags, _settle_task(connection, picture.picture_id)))
    return landings


def end_picture(connection: sqlite3.Connection, picture_id: int, state: str, message: str) -> str:
    """A paid picture that cannot be had: `expired` or `lost`. Returns its task's state."""
    connection.execute("UPDATE pictures SET state = ?, message = ? WHERE picture_id = ?", (state, message, picture_id))
    task_state = _settle_task(connection, picture_id)
    if task_state in {"expired", "lost"}:
        connection.execute(
            "UPDATE tasks SET kind = ?, message = ? WHERE task_id ="
            " (SELECT task_id FROM pictures WHERE picture_id = ?)",
            (state, message, picture_id),
        )
    return task_state


def note_tries(connection: sqlite3.Connection, picture_id: int, tries: int, message: str) -> None:
    """A picture whose downloads failed for now: it goes on waiting."""
    connection.execute(
        "UPDATE pictures SET tries = tries + ?, message = ? WHERE picture_id = ?", (tries, message, picture_id)
    )


def wait_again(connection: sqlite3.Connection, picture_id: int) -> None:
    """A stored picture whose file is missing or changed goes back to waiting, because its link may still live."""
    connection.execute("UPDATE pictures SET state = 'waiting', stored_at = NULL WHERE picture_id = ?", (picture_id,))
    connection.execute(
        "UPDATE tasks SET state = 'billed' WHERE task_id = (SELECT p.task_id FROM pictures p JOIN attempts a"
        " USING (attempt_id) WHERE p.picture_id = ? AND a.purchase = tasks.purchase)",
        (picture_id,),
    )


def _ledger_flags(connection: sqlite3.Connection, picture: StoredPicture) -> tuple[str, ...]:
    flags = []
    twin = connection.execute(
        "SELECT 1 FROM pictures WHERE source_sha256 = ? AND picture_id != ? AND state = 'stored'",
        (picture.source_sha256, picture.picture_id),
    ).fetchone()
    if twin:
        flags.append("duplicate")
    elif _has_near_kin(connection, picture):
        flags.append("near-duplicate")
    asked, came = connection.execute(
        # Through the task, which has an index: a search by call alone would read every picture of the folder.
        "SELECT a.images,"
        " (SELECT COUNT(*) FROM pictures q WHERE q.task_id = p.task_id AND q.attempt_id = p.attempt_id)"
        " FROM pictures p JOIN attempts a USING (attempt_id) WHERE p.picture_id = ?",
        (picture.picture_id,),
    ).fetchone()
    if came < asked:
        flags.append("short")
    return tuple(flags)


def _has_near_kin(connection: sqlite3.Connection, picture: StoredPicture) -> bool:
    """Whether a picture of another seed is nearly the same. What has nothing on it looks like all such."""
    if picture.look is None or not picture.kin or {"blank", "black"} & set(picture.flags):
        return False
    looks = connection.execute(
        "SELECT look FROM pictures WHERE kin = ? AND kin != '' AND state = 'stored' AND look IS NOT NULL"
        " AND picture_id != ? AND task_id != (SELECT task_id FROM pictures WHERE picture_id = ?)"
        " ORDER BY rowid DESC LIMIT ?",
        (picture.kin, picture.picture_id, picture.picture_id, _KIN_AT_MOST),
    )
    return any(difference(look % _64_BITS, picture.look) <= NEAR for (look,) in looks)


def _signed(look: int) -> int:
    return look - _64_BITS if look >= _64_BITS >> 1 else look


def _settle_task(connection: sqlite3.Connection, picture_id: int) -> str:
    """The state that a task's pictures give it, written when it changed."""
    rows = connection.execute(
        "SELECT p.state, t.task_id, t.state AS task_state FROM pictures q JOIN tasks t ON t.task_id = q.task_id"
        " JOIN pictures p ON p.task_id = t.task_id JOIN attempts a ON a.attempt_id = p.attempt_id"
        " WHERE q.picture_id = ? AND a.purchase = t.purchase",
        (picture_id,),
    ).fetchall()
    if not rows:  # a picture of an earlier purchase than the task's present one
        row = connection.execute(
            "SELECT state FROM tasks WHERE task_id = (SELECT task_id FROM pictures WHERE picture_id = ?)", (picture_id,)
        ).fetchone()
        return str(row["state"])
    states = {row["state"] for row in rows}
    state = next((word for word in ("waiting", "expired", "lost") if word in states), "stored")
    task_state = "billed" if state == "waiting" else state
    before = rows[0]["task_state"]
    if before in {"billed", "stored", "expired", "lost"} and before != task_state:
        connection.execute("UPDATE tasks SET state = ? WHERE task_id = ?", (task_state, rows[0]["task_id"]))
        return task_state
    return str(before)
