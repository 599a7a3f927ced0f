"""What becomes of a paid picture in the ledger: stored, expired, lost, or waiting a little longer.

Operations for `Ledger.write`, as in `purchases.py`. A task is stored when all pictures of its last purchase are.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Landing:
    """What `store` made of one picture: its flags with those that only the ledger can tell, and its task's state."""

    picture_id: int
    flags: tuple[str, ...]
    task_state: str


def store(connection: sqlite3.Connection, pictures: Sequence[StoredPicture], at: float) -> list[Landing]:
    """Pictures that are durable under their final names become `stored`; flags `duplicate` and `short` are added."""
    landings = []
    for picture in pictures:
        flags = picture.flags + _ledger_flags(connection, picture)
        connection.execute(
            "UPDATE pictures SET state = 'stored', file_name = ?, bytes = ?, width = ?, height = ?, format = ?,"
            " sha256 = ?, source_sha256 = ?, flags = ?, stored_at = ?, message = '' WHERE picture_id = ?",
            (
                picture.file_name,
                picture.bytes,
                picture.width,
                picture.height,
                picture.format,
                picture.sha256,
                picture.source_sha256,
                json.dumps(flags),
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
