"""Which pictures are handed on: marked ones, whole ones, and none that lies elsewhere."""

import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import StorageError, UsageError
from batchgen.views.chosen import LARGEST_PICTURE, Choice, chosen
from batchgen.views.marks import Mark, mark_key

from .stored import RECORD, Folder, picture


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "foo")
    yield made
    made.ledger.close()


def names(folder: Folder, choice: Choice) -> list[str]:
    reader = folder.reader()
    try:
        with chosen(reader, folder.path, choice) as pictures:
            return [row.file_name.removeprefix("images/") for row, _ in pictures]
    finally:
        reader.close()


def read(folder: Folder) -> tuple[list[bytes | None], int]:
    reader = folder.reader()
    try:
        with chosen(reader, folder.path, Choice()) as pictures:
            return [pictures.read(row) for row, _ in pictures], pictures.left_out
    finally:
        reader.close()


def test_only_what_is_marked_to_be_kept_is_chosen_each_picture_of_a_task_by_itself(folder: Folder) -> None:
    folder.add(1)
    folder.add(2)
    folder.add_picture(2, 2, 3)
    folder.add(4, flags=("blank",))
    kept: dict[str, Mark] = {
        mark_key(f"{1:064x}", 1): "reject",
        mark_key(f"{2:064x}", 2): "keep",
        mark_key(f"{4:064x}", 1): "keep",
        mark_key(f"{9:064x}", 1): "keep",
    }

    assert names(folder, Choice(kept=kept)) == ["3.png", "4.png"]
    assert names(folder, Choice(without_flagged=True, kept=kept)) == ["3.png"]
    assert names(folder, Choice()) == ["1.png", "2.png", "3.png", "4.png"]


@pytest.mark.parametrize("kept", [{}, {mark_key(f"{1:064x}", 1): "reject"}])
def test_marks_that_keep_nothing_are_a_mistake(kept: dict[str, Mark], folder: Folder) -> None:
    folder.add(1)

    with pytest.raises(UsageError, match="--kept: none of the pictures") as caught:
        names(folder, Choice(kept=kept))

    assert "press K" in caught.value.hint


def test_the_bytes_of_a_picture_are_those_of_which_the_ledger_knows_the_hash(folder: Folder) -> None:
    data = [picture(number) for number in range(3)]
    paths = [
        folder.add(number, data=each, file_name=f"images/{name}")
        for (number, each), name in zip(enumerate(data, 1), ["a/b/1.png", "a/2.png", "3.png"], strict=True)
    ]
    changed = bytearray(data[1])
    changed[-1] ^= 1
    paths[1].write_bytes(changed)

    assert read(folder) == ([data[0], None, data[2]], 1)


def test_a_file_too_large_for_any_picture_is_not_read(folder: Folder) -> None:
    path = folder.add(1)
    os.truncate(path, LARGEST_PICTURE + 1)
    folder.ledger.execute("UPDATE pictures SET bytes = ?", (LARGEST_PICTURE + 1,))
    tracemalloc.start()
    try:
        assert read(folder) == ([None], 1)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def link_to_file(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def link_to_folder(path: Path, secret: Path) -> None:
    path.rename(path.with_name("x"))
    path.parent.rename(path.parents[1] / "moved")
    secret.with_name(path.name).write_bytes(secret.read_bytes())
    path.parent.symlink_to(secret.parent)


@pytest.mark.parametrize("plant", [link_to_file, link_to_folder])
def test_a_link_that_is_put_in_the_way_after_the_look_is_not_followed(
    plant: Callable[[Path, Path], None], folder: Folder, tmp_path: Path
) -> None:
    path = folder.add(1, file_name="images/a/1.png")
    secret = tmp_path / "elsewhere" / "secret.png"
    secret.parent.mkdir()
    secret.write_bytes(path.read_bytes())
    reader = folder.reader()

    with chosen(reader, folder.path, Choice()) as pictures:
        for row, _ in pictures:
            plant(path, secret)
            assert pictures.read(row) is None
        assert pictures.left_out == 1
    reader.close()


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("tasks", {"record": "[]"}),
        ("tasks", {"record": "{}"}),
        ("tasks", {"vars": []}),
        ("tasks", {"vars": {"a": 1}}),
        ("tasks", {"seed": "7"}),
        ("tasks", {"seed": 7.0}),
        ("tasks", {"prompt": None}),
        ("tasks", {"params": 1}),
        ("pictures", {"file_name": None}),
        ("pictures", {"file_name": b"images/1.png"}),
        ("pictures", {"bytes": "ten"}),
        ("pictures", {"width": 2.5}),
        ("pictures", {"format": "exe"}),
        ("pictures", {"number": 0}),
        ("pictures", {"billed_at": 1e30}),
    ],
)
def test_a_ledger_that_speaks_nonsense_is_said_in_words(table: str, change: dict[str, Any], folder: Folder) -> None:
    folder.add(1)
    if table == "tasks" and "record" not in change:
        change = {"record": json.dumps(RECORD | change)}
    column, value = next(iter(change.items()))
    folder.ledger.execute(f"UPDATE {table} SET {column} = ?", (value,))

    with pytest.raises(StorageError, match=r"the ledger .*(cannot be read|never writes)"):
        names(folder, Choice())


def test_a_seed_that_no_reader_can_hold_is_said_in_words(folder: Folder) -> None:
    folder.add(1, seed=2**63)

    with pytest.raises(StorageError, match=r"in a way that (no batchgen|batchgen never) writes"):
        names(folder, Choice())
