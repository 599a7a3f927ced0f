import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.errors import StorageError, UsageError
from batchgen.storage import schema
from batchgen.storage.ledger import FILE_NAME, MANIFEST, Ledger, open_reader


async def test_writes_that_arrive_together_are_each_answered(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / FILE_NAME)

    def put(number: int) -> Callable[[sqlite3.Connection], int]:
        def operation(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO meta VALUES (?, ?)", (f"k{number}", str(number)))
            return number

        return operation

    results = await asyncio.gather(*(ledger.write(put(number)) for number in range(300)))
    ledger.close()

    reader = open_reader(tmp_path)
    assert reader is not None
    count = reader.execute("SELECT COUNT(*) FROM meta").fetchone()[0]
    reader.close()
    assert list(range(300)) == results
    assert count == 300


async def test_an_operation_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / FILE_NAME)

    def good(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO meta VALUES ('good', '1')")
        return "done"

    def bad(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('half', '1')")
        raise ValueError("in the middle")

    results = await asyncio.gather(ledger.write(good), ledger.write(bad), return_exceptions=True)
    keys = await ledger.write(lambda connection: [row[0] for row in connection.execute("SELECT key FROM meta")])
    ledger.close()

    assert results[0] == "done"
    assert isinstance(results[1], ValueError)
    assert keys == ["good"]


def test_a_damaged_ledger_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is not a database, it only looks long enough to be one" * 100)

    with pytest.raises(StorageError) as caught:
        Ledger(tmp_path / FILE_NAME)

    assert "damaged" in caught.value.message
    assert "--rebuild" in caught.value.hint


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.commit()
    connection.close()

    with pytest.raises(UsageError) as caught:
        Ledger(tmp_path / FILE_NAME)

    assert "newer batchgen" in caught.value.message


def test_the_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    Ledger(tmp_path / FILE_NAME).close()

    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_commit_is_on_the_disk_before_anyone_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / FILE_NAME)

    async def settings() -> tuple[str, int]:
        return await ledger.write(
            lambda connection: (
                connection.execute("PRAGMA journal_mode").fetchone()[0],
                connection.execute("PRAGMA synchronous").fetchone()[0],
            )
        )

    found = asyncio.run(settings())
    ledger.close()

    assert found == ("wal", 2)


@pytest.mark.parametrize(
    "what",
    [
        "TRIGGER free AFTER UPDATE ON totals BEGIN UPDATE totals SET billed = 0; END",
        "VIEW spent AS SELECT 0 AS billed",
    ],
)
def test_a_ledger_with_rules_of_somebody_else_is_refused(what: str, tmp_path: Path) -> None:
    """An output folder may come from a stranger, and a trigger could take back what a budget counts."""
    Ledger(tmp_path / FILE_NAME).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute(f"CREATE {what}")
    connection.close()

    for read in (lambda: Ledger(tmp_path / FILE_NAME), lambda: open_reader(tmp_path)):
        with pytest.raises(StorageError, match="never made"):
            read()


def altered(path: Path, table: str, old: str, new: str) -> None:
    """The ledger with another text for one of its tables, and the table made by it."""
    Ledger(path).close()
    connection = sqlite3.connect(path)
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    assert old in sql
    connection.execute(f"DROP TABLE {table}")
    connection.execute(sql.replace(old, new))
    connection.close()


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        (
            "totals",
            "PRIMARY KEY (scope, currency)",
            "PRIMARY KEY (scope, currency), UNIQUE(currency) ON CONFLICT REPLACE",
        ),
        ("totals", "billed INTEGER NOT NULL DEFAULT 0", "billed INTEGER CHECK (billed < 5)"),
        ("jobs", "body BLOB NOT NULL", "body BLOB AS (zeroblob(400000000))"),
        ("meta", "key TEXT", "key TEXT COLLATE NOCASE"),
    ],
    ids=["conflict", "check", "generated", "collation"],
)
def test_a_table_with_another_constraint_is_refused(table: str, old: str, new: str, tmp_path: Path) -> None:
    altered(tmp_path / FILE_NAME, table, old, new)

    for read in (lambda: Ledger(tmp_path / FILE_NAME), lambda: open_reader(tmp_path)):
        with pytest.raises(StorageError, match=f"“{table}” that batchgen never made"):
            read()


@pytest.mark.parametrize(
    "what",
    [
        "CREATE UNIQUE INDEX one ON totals(currency)",
        "CREATE TABLE more(id)",
        "CREATE VIRTUAL TABLE words USING fts5(text)",
        "DROP INDEX attempts_again",
        "PRAGMA user_version = -1",
        "PRAGMA user_version = 0",
    ],
)
def test_what_stands_beside_the_tables_or_is_missing_is_refused(what: str, tmp_path: Path) -> None:
    Ledger(tmp_path / FILE_NAME).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute(what)
    connection.close()

    for read in (lambda: Ledger(tmp_path / FILE_NAME), lambda: open_reader(tmp_path)):
        with pytest.raises(StorageError, match="damaged"):
            read()


def test_a_ledger_of_an_earlier_version_and_one_with_statistics_are_the_programs_own(tmp_path: Path) -> None:
    for version in range(1, schema.VERSION + 1):
        path = tmp_path / f"{version}.sqlite3"
        connection = sqlite3.connect(path, isolation_level=None)
        schema.migrate(connection, version)
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")
        connection.execute("ANALYZE")
        connection.close()

        Ledger(path).close()

        connection = sqlite3.connect(path)
        assert schema.version_of(connection) == schema.VERSION
        connection.close()


def test_a_view_in_the_place_of_the_tasks_holds_nobody_up(tmp_path: Path) -> None:
    Ledger(tmp_path / FILE_NAME).close()
    (tmp_path / MANIFEST).write_text("{}\n")
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("DROP TABLE tasks")
    connection.execute(
        "CREATE VIEW tasks AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"
    )
    connection.close()

    with pytest.raises(StorageError, match="never made"):
        open_reader(tmp_path)


async def test_a_value_longer_than_any_of_a_ledger_is_not_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / FILE_NAME)

    with pytest.raises(StorageError):
        await ledger.write(lambda connection: connection.execute("SELECT zeroblob(200000000)").fetchone()[0])

    ledger.close()


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("UPDATE meta SET value = x'00'", "meta.value"),
        ("INSERT INTO runs VALUES ('r', 'j', 'k', '', '', 'noon', NULL, NULL, NULL, NULL, '')", "runs.started_at"),
        ("INSERT INTO runs VALUES ('r', 'j', 'k', '', '', 9e999, NULL, NULL, NULL, NULL, '')", "runs.started_at"),
        ("INSERT INTO runs VALUES ('r', 'j', 'k', '', '', 1, NULL, 'seven', NULL, NULL, '')", "runs.exit_code"),
    ],
)
def test_a_value_of_another_type_than_its_column_is_found(what: str, where: str, tmp_path: Path) -> None:
    Ledger(tmp_path / FILE_NAME).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("INSERT INTO meta VALUES ('a', 'b')")
    connection.execute("INSERT INTO runs VALUES ('q', 'j', 'k', '', '', 1, NULL, 0, NULL, NULL, '')")
    sound = schema.misfit_in(connection)
    connection.execute(what)

    found = schema.misfit_in(connection)
    connection.close()

    assert (sound, found) == ("", where)
