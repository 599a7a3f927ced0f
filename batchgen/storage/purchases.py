"""The life of a paid call in the ledger: what is written before it leaves, and after each way it can end.

Every function here is one operation for `Ledger.write`: it takes the connection inside a transaction and leaves the
totals equal to the sum of the rows. Money is integer millionths. It refuses to know why a call ended as it did.
"""

import json
import sqlite3
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MILLION = 1_000_000
UNKNOWN_RETRY_SHARE = 0.05
"""Calls of unknown outcome that one run may send again on its own, as a share of all calls in the ledger."""

DONE_STATES = frozenset({"stored", "expired", "lost"})


@dataclass(frozen=True, slots=True)
class Cap:
    """A bound on one scope of spending; None bounds nothing."""

    scope: str
    images: int | None = None
    cost: int | None = None
    words: str = ""
    """What the user wrote to set it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a paid call is about to buy, written before it leaves. `price` is of one picture; None is unknown."""

    task_id: str
    label: str
    model: str
    name: str
    record: str
    images: int
    price: int | None
    currency: str
    run_id: str
    scopes: tuple[str, ...]
    at: float
    rebuy: frozenset[str] = frozenset()
    """States, beside new and pending, that the user asked to buy again."""
    retry_unknown: bool = True


@dataclass(frozen=True, slots=True)
class Begun:
    """An intent that is durable: the call may leave. `number` counts the task's calls, from 1."""

    attempt_id: int
    idempotency_key: str
    number: int
    name: str
    again: bool
    """Whether it repeats a call of unknown outcome."""


@dataclass(frozen=True, slots=True)
class Declined:
    """An intent that was not taken: `budget`, `held` (an unknown outcome waits for a decision), or `settled`."""

    reason: str
    words: str = ""
    """Of a budget: what the user wrote to set it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended, in words and numbers for the record."""

    kind: str
    message: str
    request_id: str
    status: int | None
    latency_s: float
    at: float
    posted: bool = True
    """Whether anything left this machine."""


@dataclass(frozen=True, slots=True)
class NewPicture:
    """One picture of a paid answer: a link, or the name of a spooled answer, or both; `item` is its place in it."""

    item: int
    url: str | None
    spool: str | None


def begin(connection: sqlite3.Connection, intent: Intent, caps: Sequence[Cap]) -> Begun | Declined:
    """Reserve the price and write the intent of one call, in state `sending`; or say why not, with nothing written."""
    row = connection.execute("SELECT state, purchase, name FROM tasks WHERE task_id = ?", (intent.task_id,)).fetchone()
    state = row["state"] if row else "pending"
    rebuying = state in intent.rebuy and not _bought_in_this_run(connection, intent)
    again = state == "unknown" and not rebuying
    if again and not (intent.retry_unknown and _may_retry_unknown(connection, intent)):
        return Declined("held")
    if not again and state != "pending" and not rebuying:
        return Declined("settled")
    full = _full(connection, intent, caps)
    if full is not None:
        return Declined("budget", full.words)
    purchase = row["purchase"] if row else 1
    if rebuying:
        purchase += 1
    name = row["name"] if row else _reserve_name(connection, intent)
    if row:
        connection.execute(
            "UPDATE tasks SET state = 'sending', purchase = ?, kind = '', message = '' WHERE task_id = ?",
            (purchase, intent.task_id),
        )
    else:
        connection.execute(
            "INSERT INTO tasks(task_id, state, label, model, name, name_key, record, purchase, created_at)"
            " VALUES (?, 'sending', ?, ?, ?, ?, ?, ?, ?)",
            (intent.task_id, intent.label, intent.model, name, name_key(name), intent.record, purchase, intent.at),
        )
    key, number = _idempotency_key(connection, intent.task_id, purchase) if row else (uuid.uuid4().hex, 1)
    cursor = connection.execute(
        "INSERT INTO attempts(task_id, run_id, purchase, idempotency_key, state, from_state, again, images, price,"
        " currency, scopes, sent_at) VALUES (?, ?, ?, ?, 'sending', ?, ?, ?, ?, ?, ?, ?)",
        (
            intent.task_id,
            intent.run_id,
            purchase,
            key,
            state,
            int(again),
            intent.images,
            intent.price,
            intent.currency,
            ",".join(intent.scopes),
            intent.at,
        ),
    )
    _add(connection, intent.scopes, intent.currency, calls=1, images_reserved=intent.images, reserved=_money(intent))
    assert cursor.lastrowid is not None
    return Begun(cursor.lastrowid, key, number, name, again)


def give_back(connection: sqlite3.Connection, attempt_id: int, ending: Ending) -> None:
    """A call that was not billed and may be made again, free: not sent, or refused for now. The task is as before."""
    attempt = _end(connection, attempt_id, "returned", ending, cost=None)
    _release(connection, attempt, calls=-1)
    task_id, state = attempt["task_id"], attempt["from_state"]
    before = connection.execute(
        "SELECT kind, message, purchase FROM attempts WHERE task_id = ? AND state != 'returned'"
        " ORDER BY attempt_id DESC LIMIT 1",
        (task_id,),
    ).fetchone()
    if state == "pending" or before is None:
        connection.execute("UPDATE tasks SET state = ? WHERE task_id = ?", (state, task_id))
        return
    connection.execute(
        "UPDATE tasks SET state = ?, kind = ?, message = ?, purchase = ? WHERE task_id = ?",
        (state, before["kind"], before["message"], before["purchase"], task_id),
    )


def fail(connection: sqlite3.Connection, attempt_id: int, ending: Ending) -> None:
    """A call that the provider refused for good, free: its task is `failed` and is not bought again by itself."""
    attempt = _end(connection, attempt_id, "failed", ending, cost=None)
    _release(connection, attempt)
    _set_task(connection, attempt["task_id"], "failed", ending)


def lose_track(connection: sqlite3.Connection, attempt_id: int, ending: Ending) -> None:
    """A call whose outcome is unknown: it may have been billed, and its price counts as spent."""
    cost = _price_of(connection, attempt_id)
    attempt = _end(connection, attempt_id, "unknown", ending, cost=cost)
    _release(connection, attempt, images_maybe=attempt["images"], maybe=cost or 0)
    _set_task(connection, attempt["task_id"], "unknown", ending)


def close_unknown(connection: sqlite3.Connection, task_ids: Sequence[str] | None = None) -> int:
    """Those of the tasks (None: of all) whose outcome is unknown become `lost`; their money stays maybe billed. How many."""
    if task_ids is None:
        task_ids = [row["task_id"] for row in connection.execute("SELECT task_id FROM tasks WHERE state = 'unknown'")]
    return sum(
        connection.execute(
            "UPDATE tasks SET state = 'lost', kind = 'dropped',"
            " message = 'outcome unknown, closed by you as paid and lost' WHERE state = 'unknown' AND task_id = ?",
            (task_id,),
        ).rowcount
        for task_id in task_ids
    )


def bill(
    connection: sqlite3.Connection, attempt_id: int, ending: Ending, pictures: Sequence[NewPicture], expires_at: float
) -> list[int]:
    """A complete paid answer: its pictures wait from now on. Without a usable one the task is `lost`.

    Returns the new pictures' ids. The cost is the list price of what was asked for, or of what came if that is more.
    """
    row = connection.execute("SELECT images, price FROM attempts WHERE attempt_id = ?", (attempt_id,)).fetchone()
    count = max(row["images"], len(pictures))
    cost = None if row["price"] is None else row["price"] * count
    attempt = _end(connection, attempt_id, "billed", ending, cost=cost)
    _release(connection, attempt, images_billed=count, billed=cost or 0)
    task_id = attempt["task_id"]
    if not pictures:
        _set_task(connection, task_id, "lost", ending)
        return []
    _set_task(connection, task_id, "billed", ending)
    number: int = connection.execute("SELECT COUNT(*) FROM pictures WHERE task_id = ?", (task_id,)).fetchone()[0]
    ids = []
    for offset, picture in enumerate(pictures, start=1):
        cursor = connection.execute(
            "INSERT INTO pictures(task_id, attempt_id, run_id, number, state, url, spool, item, billed_at, expires_at)"
            " VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?)",
            (
                task_id,
                attempt_id,
                attempt["run_id"],
                number + offset,
                picture.url,
                picture.spool,
                picture.item,
                ending.at,
                expires_at,
            ),
        )
        assert cursor.lastrowid is not None
        ids.append(cursor.lastrowid)
    return ids


def name_key(name: str) -> str:
    """Two names with one key are one file on some file system: case and Unicode form do not tell them apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def spool_key(attempt_id: int, idempotency_key: str) -> str:
    """The name of a kept answer: of this call in this ledger, and of no other ledger's."""
    return f"{attempt_id}-{idempotency_key[:12]}"


def scopes_of(run_id: str, day: str, week: str, month: str) -> tuple[str, ...]:
    """The scopes that a call's money counts in: everything ever, this run, and the provider's calendar."""
    return ("life", f"run:{run_id}", f"day:{day}", f"week:{week}", f"month:{month}")


def _bought_in_this_run(connection: sqlite3.Connection, intent: Intent) -> bool:
    """Whether the run has bought the task already: a wish to buy again is granted once in a run."""
    row = connection.execute(
        "SELECT 1 FROM attempts WHERE task_id = ? AND run_id = ? AND state != 'returned'",
        (intent.task_id, intent.run_id),
    ).fetchone()
    return row is not None


def _may_retry_unknown(connection: sqlite3.Connection, intent: Intent) -> bool:
    """One further try in a purchase's life, and a bounded number of them in a run."""
    times: int = connection.execute(
        "SELECT COUNT(*) FROM attempts a JOIN tasks t USING (task_id)"
        " WHERE a.task_id = ? AND a.purchase = t.purchase AND a.state = 'unknown'",
        (intent.task_id,),
    ).fetchone()[0]
    if times != 1:
        return False
    used: int = connection.execute(
        "SELECT COUNT(*) FROM attempts WHERE run_id = ? AND again = 1 AND state != 'returned'", (intent.run_id,)
    ).fetchone()[0]
    row = connection.execute("SELECT SUM(calls) FROM totals WHERE scope = 'life'").fetchone()
    return used < max(1, (row[0] or 0) * UNKNOWN_RETRY_SHARE)


def _full(connection: sqlite3.Connection, intent: Intent, caps: Sequence[Cap]) -> Cap | None:
    """The first bound that the call would pass; what is reserved and what is maybe billed count as spent."""
    for cap in caps:
        row = connection.execute(
            "SELECT SUM(images_reserved + images_billed + images_maybe) AS images,"
            " SUM(CASE WHEN currency = ? THEN reserved + billed + maybe ELSE 0 END) AS cost"
            " FROM totals WHERE scope = ?",
            (intent.currency, cap.scope),
        ).fetchone()
        if cap.images is not None and (row["images"] or 0) + intent.images > cap.images:
            return cap
        if cap.cost is not None and intent.price is None:
            return cap
        if cap.cost is not None and (row["cost"] or 0) + _money(intent) > cap.cost:
            return cap
    return None


def _money(intent: Intent) -> int:
    return (intent.price or 0) * intent.images


def _reserve_name(connection: sqlite3.Connection, intent: Intent) -> str:
    """The task's file name; one that another task holds gets the task's id appended."""
    for name in (intent.name, f"{intent.name}-{intent.task_id[:8]}", f"{intent.name}-{intent.task_id}"):
        taken = connection.execute("SELECT 1 FROM tasks WHERE name_key = ?", (name_key(name),)).fetchone()
        if taken is None:
            return name
    raise AssertionError("a name that ends in the task's own id cannot be taken")


def _idempotency_key(connection: sqlite3.Connection, task_id: str, purchase: int) -> tuple[str, int]:
    """The key of this purchase, made once and repeated by its retries, and the number of the task's next call."""
    rows = connection.execute(
        "SELECT purchase, idempotency_key, state FROM attempts WHERE task_id = ? ORDER BY attempt_id", (task_id,)
    ).fetchall()
    number = 1 + sum(row["state"] != "returned" for row in rows)
    own = next((row["idempotency_key"] for row in rows if row["purchase"] == purchase), None)
    return own or uuid.uuid4().hex, number


def _end(
    connection: sqlite3.Connection, attempt_id: int, state: str, ending: Ending, *, cost: int | None
) -> sqlite3.Row:
    attempt: sqlite3.Row = connection.execute("SELECT * FROM attempts WHERE attempt_id = ?", (attempt_id,)).fetchone()
    if attempt["state"] != "sending":
        raise AssertionError(f"attempt {attempt_id} ended twice: {attempt['state']}, then {state}")
    connection.execute(
        "UPDATE attempts SET state = ?, cost = ?, posted = ?, status = ?, kind = ?, message = ?, request_id = ?,"
        " latency_s = ?, ended_at = ? WHERE attempt_id = ?",
        (
            state,
            cost,
            int(ending.posted),
            ending.status,
            ending.kind,
            ending.message,
            ending.request_id,
            ending.latency_s,
            ending.at,
            attempt_id,
        ),
    )
    return attempt


def _set_task(connection: sqlite3.Connection, task_id: str, state: str, ending: Ending) -> None:
    connection.execute(
        "UPDATE tasks SET state = ?, kind = ?, message = ? WHERE task_id = ?",
        (state, ending.kind, ending.message, task_id),
    )


def _price_of(connection: sqlite3.Connection, attempt_id: int) -> int | None:
    row = connection.execute("SELECT images, price FROM attempts WHERE attempt_id = ?", (attempt_id,)).fetchone()
    return None if row["price"] is None else row["price"] * row["images"]


def _release(connection: sqlite3.Connection, attempt: sqlite3.Row, **gained: int) -> None:
    _add(
        connection,
        tuple(attempt["scopes"].split(",")),
        attempt["currency"],
        images_reserved=-attempt["images"],
        reserved=-(attempt["price"] or 0) * attempt["images"],
        **gained,
    )


def _add(connection: sqlite3.Connection, scopes: tuple[str, ...], currency: str, **amounts: int) -> None:
    changes = ", ".join(f"{column} = {column} + excluded.{column}" for column in amounts)
    columns = ", ".join(amounts)
    marks = ", ".join("?" * len(amounts))
    connection.executemany(
        f"INSERT INTO totals(scope, currency, {columns}) VALUES (?, ?, {marks})"  # noqa: S608  # column names are ours
        f" ON CONFLICT (scope, currency) DO UPDATE SET {changes}",
        [(scope, currency, *amounts.values()) for scope in scopes],
    )


def dump_json(value: Any) -> str:
    """A JSON column: sorted keys, text as it is."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
