"""Copies of the ledger: whole, private, seven of them, and no reason for a run to fail."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from batchgen.storage.backup import back_up, copies
from batchgen.storage.ledger import FILE_NAME, Ledger

DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Ledger(tmp_path / FILE_NAME).close()
    return tmp_path


def test_a_copy_holds_what_the_ledger_holds_and_is_private(folder: Path) -> None:
    ledger = Ledger(folder / FILE_NAME)  # open, as after a run
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")

    assert back_up(folder, NOW) == ""
    ledger.close()

    (copy,) = (folder / "backups").iterdir()
    assert copy.name == "ledger-2027-01-15.sqlite3"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (folder / "backups").stat().st_mode & 0o777 == 0o700
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'a'").fetchone() == ("b",)


def test_seven_days_are_kept_and_one_copy_of_each(folder: Path) -> None:
    for day in range(10):
        for _ in range(2):
            assert back_up(folder, NOW + day * DAY) == ""
    (folder / "backups" / "mine.txt").touch()

    assert back_up(folder, NOW + 10 * DAY) == ""

    assert len(copies(folder)) == 7
    assert copies(folder)[0] == "ledger-2027-01-25.sqlite3"
    assert (folder / "backups" / "mine.txt").exists()


def test_what_a_killed_run_left_goes(folder: Path) -> None:
    assert back_up(folder, NOW) == ""
    (folder / "backups" / ".ledger-01234567.part").touch()

    assert back_up(folder, NOW + DAY) == ""

    assert sorted(path.name for path in (folder / "backups").iterdir()) == copies(folder)[::-1]


def test_a_full_disk_a_planted_link_and_a_missing_ledger_are_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        usage = shutil.disk_usage(folder)._replace(free=1)
        patched.setattr("batchgen.storage.backup.shutil.disk_usage", lambda _: usage)
        assert "too little room" in back_up(folder, NOW)
    (tmp_path / "elsewhere").mkdir()
    (folder / "backups").symlink_to(tmp_path / "elsewhere")
    assert "was not backed up" in back_up(folder, NOW)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (folder / "backups").unlink()
    (folder / FILE_NAME).unlink()
    assert "was not backed up" in back_up(folder, NOW)
