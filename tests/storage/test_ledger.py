import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.errors import StorageError, UsageError
from batchgen.storage import schema
from batchgen.storage.ledger import FILE_NAME, Ledger, open_reader


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
