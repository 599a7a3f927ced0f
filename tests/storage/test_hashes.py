"""Reading stored pictures again: a stranger's manifest names nothing outside of the folder, and nothing that never ends."""

import hashlib
import os
from pathlib import Path

import pytest

from batchgen.errors import StorageError
from batchgen.storage.disk import sha256_below

DATA = b"a picture"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "images" / "fox"
    path.mkdir(parents=True)
    (path / "a.png").write_bytes(DATA)
    (tmp_path / "secret.png").write_bytes(b"secret")
    return tmp_path / "out"


def test_a_file_below_the_folder_is_hashed(folder: Path) -> None:
    assert sha256_below(folder, "images/fox/a.png") == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "images/fox/b.png",
        "images/nowhere/a.png",
        "images/fox/a.png/x",
        "images/fox",
        "../secret.png",
        "images/../../secret.png",
        "/dev/zero",
        "/etc/passwd",
        "images//fox/a.png",
        "images/./fox/a.png",
        "images/fox/a.png\0",
        "images/fox/" + "x" * 300,
        "",
        "..",
    ],
)
def test_a_name_that_leads_out_or_to_nothing_is_no_file(name: str, folder: Path) -> None:
    assert sha256_below(folder, name) is None


def test_pipes_and_devices_are_no_files_and_hold_nobody_up(folder: Path) -> None:
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")

    assert [sha256_below(folder, name) for name in ("device.png", "pipe.png")] == [None] * 2


def test_a_picture_that_its_owner_moved_to_another_disk_is_still_there(folder: Path) -> None:
    (folder / "images" / "fox").rename(folder.parent / "fox")
    (folder / "images" / "fox").symlink_to(folder.parent / "fox")

    assert sha256_below(folder, "images/fox/a.png") == hashlib.sha256(DATA).hexdigest()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_an_error_and_not_missing(folder: Path) -> None:
    (folder / "images" / "fox" / "a.png").chmod(0)

    with pytest.raises(StorageError, match=r"a\.png"):
        sha256_below(folder, "images/fox/a.png")
