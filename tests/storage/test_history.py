"""Runs and entries of ledgers, those of older versions too."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from batchgen.storage import schema
from batchgen.storage.history import entries, night_of_folder, runs_of
from batchgen.storage.runs import Night


@pytest.mark.parametrize("version", range(1, schema.VERSION + 1))
def test_a_ledger_of_every_version_can_be_asked(version: int) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        schema.migrate(connection, version)
        connection.execute("INSERT INTO jobs VALUES ('s', x'00')")
        connection.execute(
            "INSERT INTO runs(run_id, job, job_sha256, night, version, started_at, ended_at, exit_code)"
            " VALUES ('r', 'foo', 's', '', '0', 5.0, 9.0, 0)"
        )

        (run,) = runs_of(connection)
        assert (run.run_id, run.reason, run.last_sign_at, run.pictures) == ("r", "", 5.0, 0)
        assert entries(connection, 0.0) == []
        assert night_of_folder(connection, "2026-05-01") is None


def test_a_day_is_that_of_the_provider() -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        schema.migrate(connection)
        connection.execute(
            "INSERT INTO tasks(task_id, state, label, model, name, name_key, record, purchase, created_at)"
            " VALUES ('t', 'stored', 'dev', 'm/dev', 'n', 'n', '{}', 1, 0)"
        )
        for state, cost, sent_at in (
            ("billed", 30, 79_000),
            ("unknown", 20, 86_300),
            ("returned", None, 0),
            ("failed", None, 0),
        ):
            connection.execute(
                "INSERT INTO attempts(task_id, run_id, purchase, idempotency_key, state, from_state, again, images, price,"
                " currency, scopes, cost, sent_at) VALUES ('t', 'r', 1, 'k', ?, 'pending', 0, 2, 10, 'CNY', '', ?, ?)",
                (state, cost, sent_at),
            )

        found = {entry.day: entry.spent for entry in entries(connection, 8 * 3600)}

    # Three pictures came where two were asked for, and three were charged.
    assert (found["1970-01-02"].billed, found["1970-01-02"].billed_pictures) == (30, 3)
    assert (found["1970-01-02"].maybe, found["1970-01-02"].maybe_pictures) == (20, 2)
    assert (found["1970-01-01"].refused, found["1970-01-01"].calls) == (1, 1)


def test_runs_are_told_by_what_they_stored_and_not_by_what_they_paid_for(ledger: sqlite3.Connection) -> None:
    start(ledger, "night", 100.0, ended_at=None)
    start(ledger, "recovery", 900.0, ended_at=950.0)
    task(ledger, "a", "stored")
    call(ledger, "a", "night", sent_at=110.0, ended_at=130.0)
    picture(ledger, "a", "night", stored_at=140.0)
    picture(ledger, "a", "night", stored_at=910.0)

    night, recovery = runs_of(ledger)

    assert (night.pictures, night.last_sign_at, night.began_to_buy) == (1, 140.0, True)
    assert (recovery.pictures, recovery.last_sign_at, recovery.began_to_buy) == (1, 910.0, False)
    assert [entry.run_id for entry in entries(ledger, 0.0)] == ["night"]


def test_a_run_that_was_asked_for_tasks_began_to_buy_though_it_sent_nothing(ledger: sqlite3.Connection) -> None:
    start(ledger, "down", 100.0, ended_at=160.0, tasks=40)

    assert runs_of(ledger)[0].began_to_buy


def test_a_run_that_only_its_calls_are_left_of_is_a_run_all_the_same(ledger: sqlite3.Connection) -> None:
    start(ledger, "later", 900.0, ended_at=950.0)
    task(ledger, "a", "stored")
    call(ledger, "a", "earlier", sent_at=110.0, ended_at=130.0)
    picture(ledger, "a", "earlier", stored_at=131.0)

    earlier, later = runs_of(ledger)

    assert (earlier.run_id, earlier.started_at, earlier.pictures, later.pictures) == ("earlier", 110.0, 1, 0)
    assert "the ledger was made anew" in earlier.reason
    assert {entry.run_id for entry in entries(ledger, 0.0)} <= {run.run_id for run in runs_of(ledger)}


def test_a_folder_of_one_night_lacks_what_its_fullest_run_asked_for(ledger: sqlite3.Connection) -> None:
    start(ledger, "whole", 100.0, tasks=4)
    start(ledger, "limited", 200.0, tasks=1)
    for number, state in enumerate(("stored", "billed", "pending")):
        task(ledger, str(number), state)

    night = night_of_folder(ledger, "2026-05-01")

    assert night == Night("2026-05-01", asked=4, bought=2)
    assert night.not_bought == 2


@pytest.fixture
def ledger() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        schema.migrate(connection)
        connection.execute("INSERT INTO jobs VALUES ('s', x'00')")
        yield connection


def start(
    ledger: sqlite3.Connection, run_id: str, at: float, *, ended_at: float | None = None, tasks: int | None = None
) -> None:
    ledger.execute(
        "INSERT INTO runs(run_id, job, job_sha256, night, version, started_at, ended_at, exit_code, tasks)"
        " VALUES (?, 'foo', 's', '', '0', ?, ?, 0, ?)",
        (run_id, at, ended_at, tasks),
    )


def task(ledger: sqlite3.Connection, task_id: str, state: str) -> None:
    ledger.execute(
        "INSERT INTO tasks(task_id, state, label, model, name, name_key, record, purchase, created_at)"
        " VALUES (?, ?, 'dev', 'm/dev', ?, ?, '{}', 1, 0)",
        (task_id, state, task_id, task_id),
    )


def call(ledger: sqlite3.Connection, task_id: str, run_id: str, *, sent_at: float, ended_at: float) -> None:
    ledger.execute(
        "INSERT INTO attempts(task_id, run_id, purchase, idempotency_key, state, from_state, again, images, price,"
        " currency, scopes, cost, sent_at, ended_at)"
        " VALUES (?, ?, 1, 'k', 'billed', 'pending', 0, 2, 10, 'CNY', '', 20, ?, ?)",
        (task_id, run_id, sent_at, ended_at),
    )


def picture(ledger: sqlite3.Connection, task_id: str, run_id: str, *, stored_at: float) -> None:
    ledger.execute(
        "INSERT INTO pictures(task_id, attempt_id, run_id, number, state, item, billed_at, expires_at, stored_at)"
        " VALUES (?, 1, ?, 1, 'stored', 0, 120, 999, ?)",
        (task_id, run_id, stored_at),
    )
