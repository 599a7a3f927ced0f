"""Runs and entries of ledgers, those of older versions too."""

import contextlib
import sqlite3

import pytest

from batchgen.storage import schema
from batchgen.storage.history import entries, runs_of


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
