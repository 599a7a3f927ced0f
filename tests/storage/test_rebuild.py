import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import StorageError
from batchgen.storage.backup import back_up
from batchgen.storage.ledger import FILE_NAME, MANIFEST, Ledger, refuse_orphans
from batchgen.storage.rebuild import rebuild_folder

STAMP = "20260501T120000"


def fact(folder: Path, file_name: str, task: str, *, picture: int = 1, price: int | None = None) -> dict[str, Any]:
    """A row of the manifest, with its file in the folder."""
    content = f"{task} {file_name}".encode()
    (folder / file_name).parent.mkdir(parents=True, exist_ok=True)
    (folder / file_name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    texts = dict.fromkeys(("prompt_id", "row", "prompt", "provider", "night", "request_id", "run_id"), "")
    numbers = {"seed": 1, "try": 1, "index": 0, "bytes": len(content), "width": 1, "height": 1, "latency_s": 1.0}
    made = {"created_at": 1000.0, "label": "dev", "model": "m/dev", "currency": "CNY", "cost": price, "format": "png"}
    lists: dict[str, Any] = {"vars": {}, "params": {}, "flags": []}
    hashes = {"sha256": digest, "source_sha256": digest}
    who = {"file_name": file_name, "task_id": task.ljust(64, "0"), "picture": picture}
    return texts | numbers | made | lists | hashes | who


def rebuilt(folder: Path, rows: list[dict[str, Any]]) -> tuple[int, int]:
    made = asyncio.run(rebuild_folder(folder, rows, STAMP))
    return made.taken, made.left_out


def old_ledger(folder: Path, *, with_log: bool = False) -> None:
    """A ledger that knows a note, which stands in its log alone when a killed run left one."""
    ledger = Ledger(folder / "making.sqlite3")
    for suffix in ("", "-wal", "-shm") if with_log else ():
        shutil.copy(folder / f"making.sqlite3{suffix}", folder / f"{FILE_NAME}{suffix}")
    ledger.close()
    if not with_log:
        (folder / "making.sqlite3").rename(folder / FILE_NAME)


def values(path: Path, question: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(question)]
    finally:
        connection.close()


def test_a_second_picture_named_as_another_task_leaves_both_in_the_ledger(tmp_path: Path) -> None:
    rows = [
        fact(tmp_path, "images/p/foo-2.png", "aaa", picture=2),
        fact(tmp_path, "images/p/foo-2.webp", "bbb"),
        fact(tmp_path, "images/p/FOO-2.gif", "ccc"),
    ]

    assert rebuilt(tmp_path, rows) == (3, 0)

    names = values(tmp_path / FILE_NAME, "SELECT name FROM tasks ORDER BY task_id")
    assert names == ["p/foo-2", "p/foo-2-bbb00000", "p/FOO-2-ccc00000"]


def test_a_name_taken_with_its_short_id_too_gets_the_whole_id(tmp_path: Path) -> None:
    rows = [
        fact(tmp_path, "images/p/foo.png", "aaa"),
        fact(tmp_path, "images/p/foo-bbb00000.png", "ccc"),
        fact(tmp_path, "images/p/foo.webp", "bbb"),
    ]

    assert rebuilt(tmp_path, rows) == (3, 0)


def test_the_old_ledger_keeps_its_log_and_can_still_be_opened(tmp_path: Path) -> None:
    old_ledger(tmp_path, with_log=True)
    log = (tmp_path / f"{FILE_NAME}-wal").read_bytes()
    assert log

    rebuilt(tmp_path, [fact(tmp_path, "images/a.png", "aaa")])

    old = tmp_path / f"{FILE_NAME}.before-{STAMP}"
    assert Path(f"{old}-wal").read_bytes() == log
    assert values(old, "SELECT COUNT(*) FROM tasks") == [0]
    assert values(tmp_path / FILE_NAME, "SELECT state FROM tasks") == ["stored"]


def test_answers_of_the_old_ledger_are_kept_aside(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1-abc.body").write_bytes(b"paid for")

    rebuilt(tmp_path, [fact(tmp_path, "images/a.png", "aaa")])

    assert (tmp_path / f"spool.before-{STAMP}" / "1-abc.body").read_bytes() == b"paid for"
    assert not (tmp_path / "spool").exists()


def test_two_rebuilds_in_one_second_overwrite_nothing(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    first = (tmp_path / FILE_NAME).read_bytes()
    rows = [fact(tmp_path, "images/a.png", "aaa")]

    rebuilt(tmp_path, rows)
    second = (tmp_path / FILE_NAME).read_bytes()
    rebuilt(tmp_path, rows)

    assert (tmp_path / f"{FILE_NAME}.before-{STAMP}").read_bytes() == first
    assert (tmp_path / f"{FILE_NAME}.before-{STAMP}-2").read_bytes() == second


def test_without_any_of_its_pictures_nothing_is_changed(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()
    rows = [fact(tmp_path, "images/a.png", "aaa")]
    (tmp_path / "images" / "a.png").unlink()

    with pytest.raises(StorageError, match="none of the 1 pictures"):
        rebuilt(tmp_path, rows)

    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert [path.name for path in tmp_path.glob("ledger*")] == [FILE_NAME]


def test_a_picture_that_cannot_be_read_is_not_taken_for_missing(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    rows = [fact(tmp_path, "images/a.png", "aaa"), fact(tmp_path, "images/b.png", "bbb")]
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "images" / "b.png").symlink_to("b.png")  # a loop: the system refuses to say whether it is there

    with pytest.raises(StorageError, match=r"b\.png"):
        rebuilt(tmp_path, rows)

    assert not list(tmp_path.glob("*.before-*"))


def test_a_rebuild_cut_short_never_leaves_a_ledger_without_its_log(tmp_path: Path) -> None:
    old_ledger(tmp_path, with_log=True)
    (tmp_path / MANIFEST).write_text("a line\n")
    (tmp_path / f"{FILE_NAME}.before-{STAMP}-shm").mkdir()  # in the way of the third move

    with pytest.raises(StorageError):
        rebuilt(tmp_path, [fact(tmp_path, "images/a.png", "aaa")])

    assert not (tmp_path / FILE_NAME).exists()
    with pytest.raises(StorageError, match="no ledger"):
        refuse_orphans(tmp_path)


def test_what_an_earlier_rebuild_left_half_made_is_no_part_of_the_next(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half a ledger")
    (tmp_path / f"{FILE_NAME}.new-wal").write_bytes(b"half a log")

    assert rebuilt(tmp_path, [fact(tmp_path, "images/a.png", "aaa")]) == (1, 0)

    assert [path.name for path in tmp_path.glob("ledger*")] == [FILE_NAME]


@pytest.mark.parametrize("lines", ["", "a line\n"])
def test_a_manifest_without_a_ledger_is_never_started_afresh(tmp_path: Path, lines: str) -> None:
    (tmp_path / MANIFEST).write_text(lines)

    with pytest.raises(StorageError, match="no ledger") as caught:
        refuse_orphans(tmp_path)

    assert "--rebuild" in caught.value.hint


def test_a_ledger_without_tasks_is_refused_only_beside_a_manifest_with_lines(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    refuse_orphans(tmp_path)
    (tmp_path / MANIFEST).touch()
    refuse_orphans(tmp_path)
    (tmp_path / MANIFEST).write_text("a line\n")

    with pytest.raises(StorageError, match="its ledger is empty"):
        refuse_orphans(tmp_path)

    (tmp_path / FILE_NAME).write_bytes(b"")
    with pytest.raises(StorageError, match="its ledger is empty"):
        refuse_orphans(tmp_path)


def with_copy(folder: Path, *statements: str) -> None:
    """A ledger of which a copy was made, after these statements; then the ledger is lost."""
    ledger = Ledger(folder / FILE_NAME)
    ledger.close()
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    assert back_up(folder, 1_800_000_000.0) == ""
    (folder / FILE_NAME).unlink()


def task(task_id: str, state: str) -> str:
    return (
        "INSERT INTO tasks(task_id, state, label, model, name, name_key, record, purchase, created_at) VALUES"
        f" ('{task_id.ljust(64, '0')}', '{state}', 'dev', 'm/dev', '{task_id}', '{task_id}', '{{}}', 1, 0)"
    )


def attempt(number: int, task_id: str, state: str) -> str:
    return (
        "INSERT INTO attempts(attempt_id, task_id, run_id, purchase, idempotency_key, state, from_state, again, images,"
        f" price, currency, scopes, cost, sent_at) VALUES ({number}, '{task_id.ljust(64, '0')}', 'r', 1, 'abc', '{state}',"
        " 'pending', 0, 1, 10, 'CNY', 'life', 10, 0)"
    )


def picture(number: int, task_id: str, spool: str = "") -> str:
    return (
        "INSERT INTO pictures(task_id, attempt_id, run_id, number, state, url, spool, item, billed_at, expires_at) VALUES"
        f" ('{task_id.ljust(64, '0')}', {number}, 'r', 1, 'waiting', 'https://x.example/a', '{spool}', 0, 0, 9e9)"
    )


def test_a_copy_of_the_ledger_brings_back_what_no_file_tells(tmp_path: Path) -> None:
    with_copy(
        tmp_path,
        *(task("aaa", "billed"), attempt(1, "aaa", "billed"), picture(1, "aaa")),
        *(task("bbb", "unknown"), attempt(2, "bbb", "unknown")),
        *(task("ccc", "billed"), attempt(3, "ccc", "billed"), picture(3, "ccc", "3-abc")),
    )
    (tmp_path / "spool").mkdir()
    for key in ("3-abc.body", "9-def.body"):
        (tmp_path / "spool" / key).write_bytes(b"paid for")
    rows = [fact(tmp_path, "images/a.png", "aaa"), fact(tmp_path, "images/d.png", "ddd", price=10)]

    assert rebuilt(tmp_path, rows) == (2, 0)

    ledger = tmp_path / FILE_NAME
    states = dict(zip(values(ledger, "SELECT name FROM tasks"), values(ledger, "SELECT state FROM tasks"), strict=True))
    assert states == {"aaa": "stored", "bbb": "unknown", "ccc": "billed", "d": "stored"}
    # The first picture was paid for when the copy was made; only the one that came later is a new call.
    assert values(ledger, "SELECT COUNT(*) FROM attempts") == [4]
    assert values(ledger, "SELECT file_name FROM pictures WHERE state = 'stored' ORDER BY 1") == [
        "images/a.png",
        "images/d.png",
    ]
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["3-abc.body"]
    assert (tmp_path / f"spool.before-{STAMP}" / "9-def.body").exists()


def test_what_the_copy_says_of_a_later_picture_is_overtaken_by_the_manifest(tmp_path: Path) -> None:
    with_copy(tmp_path, task("bbb", "unknown"), attempt(2, "bbb", "unknown"))

    assert rebuilt(tmp_path, [fact(tmp_path, "images/b.png", "bbb", price=10)]) == (1, 0)

    assert values(tmp_path / FILE_NAME, "SELECT state FROM tasks") == ["stored"]
    assert sorted(values(tmp_path / FILE_NAME, "SELECT state FROM attempts")) == ["billed", "unknown"]


def test_a_damaged_copy_is_passed_over_for_an_older_one(tmp_path: Path) -> None:
    with_copy(tmp_path, task("bbb", "unknown"), attempt(2, "bbb", "unknown"))
    (tmp_path / "backups" / "ledger-2029-01-01.sqlite3").write_bytes(b"SQLite format 3\0 and then nothing")
    (tmp_path / "backups" / "ledger-2029-01-02.sqlite3").symlink_to("ledger-2029-01-01.sqlite3")

    made = asyncio.run(rebuild_folder(tmp_path, [], STAMP))

    assert made.copy == "ledger-2027-01-15.sqlite3"
    assert values(tmp_path / FILE_NAME, "SELECT state FROM tasks") == ["unknown"]


def test_a_copy_with_a_rule_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "backups" / "ledger-2029-01-01.sqlite3")) as connection:
        connection.execute("CREATE TABLE tasks(x)")

    rows = [fact(tmp_path, "images/a.png", "aaa")]

    assert rebuilt(tmp_path, rows) == (1, 0)
    assert values(tmp_path / FILE_NAME, "SELECT state FROM tasks") == ["stored"]
