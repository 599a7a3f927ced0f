import dataclasses
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.storage import schema
from batchgen.storage.audit import check_files, settle
from batchgen.storage.landings import StoredPicture, store
from batchgen.storage.purchases import Begun, Ending, Intent, NewPicture, begin, bill
from batchgen.storage.queries import waiting

ALIVE, DEAD = 2000.0, 900.0
BILLED = Ending("billed", "", "", 200, 1.0, 1000.0)
WISH = Intent("t", "dev", "m/dev", "p/t", '{"params": {}, "prompt_id": "p"}', 1, 1, "CNY", "r1", ("life",), 1000.0)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    opened.row_factory = sqlite3.Row
    schema.migrate(opened)
    yield opened
    opened.close()


def buy(connection: sqlite3.Connection, wish: Intent, *, pictures: int = 1, expires_at: float = ALIVE) -> list[int]:
    begun = begin(connection, wish, ())
    assert isinstance(begun, Begun)
    links = [NewPicture(item, f"http://127.0.0.1/{item}", None) for item in range(pictures)]
    return bill(connection, begun.attempt_id, BILLED, links, expires_at)


def keep(connection: sqlite3.Connection, folder: Path, picture_id: int) -> Path:
    """The picture stored, with its file in the folder."""
    content = f"picture {picture_id}".encode()
    digest = hashlib.sha256(content).hexdigest()
    (folder / f"{picture_id}.png").write_bytes(content)
    picture = StoredPicture(picture_id, f"{picture_id}.png", len(content), 1, 1, "png", digest, digest, ())
    store(connection, [picture], 1001.0)
    return folder / f"{picture_id}.png"


def audited(connection: sqlite3.Connection, folder: Path) -> list[tuple[str, str]]:
    checked = check_files(connection, folder, 1500.0)
    settle(connection, checked.findings)
    return [(finding.file_name, finding.what) for finding in checked.findings]


def state(connection: sqlite3.Connection) -> str:
    found: str = connection.execute("SELECT state FROM tasks").fetchone()[0]
    return found


def test_a_missing_and_a_changed_picture_are_waited_for_while_their_links_live(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    whole, missing, changed = (keep(connection, tmp_path, each) for each in buy(connection, WISH, pictures=3))
    missing.unlink()
    changed.write_bytes(b"another")

    found = audited(connection, tmp_path)

    assert found == [(missing.name, "missing"), (changed.name, "changed")]
    assert [picture.picture_id for picture in waiting(connection)] == [2, 3]
    assert state(connection) == "billed"
    assert whole.exists()
    assert changed.read_bytes() == b"another"


def test_a_missing_picture_whose_link_is_dead_is_lost(connection: sqlite3.Connection, tmp_path: Path) -> None:
    keep(connection, tmp_path, buy(connection, WISH, expires_at=DEAD)[0]).unlink()

    audited(connection, tmp_path)

    assert state(connection) == "lost"
    assert waiting(connection) == []


def test_a_missing_picture_of_an_earlier_purchase_leaves_the_task_as_its_last_purchase_left_it(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    first, damaged = buy(connection, WISH, pictures=2)
    file = keep(connection, tmp_path, first)
    connection.execute("UPDATE pictures SET state = 'lost' WHERE picture_id = ?", (damaged,))
    connection.execute("UPDATE tasks SET state = 'lost'")
    again = dataclasses.replace(WISH, run_id="r2", rebuy=frozenset({"lost"}))
    assert buy(connection, again, pictures=0) == []  # paid, and nothing usable came
    file.unlink()

    audited(connection, tmp_path)
    assert [picture.picture_id for picture in waiting(connection)] == [first]
    assert state(connection) == "lost"

    keep(connection, tmp_path, first)
    assert waiting(connection) == []
    assert state(connection) == "lost"
