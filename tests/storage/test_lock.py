import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchgen.clock import VirtualClock
from batchgen.errors import Exit, LockedError, StorageError
from batchgen.storage.lock import LOCK_FILE, FolderLock, is_held

HOLD = """
import subprocess, sys
from pathlib import Path
from batchgen.clock import VirtualClock
from batchgen.storage.lock import FolderLock
with FolderLock(Path(sys.argv[1]), VirtualClock()):
    child = subprocess.Popen(["cat"]) if sys.argv[2:] else None
    print(child.pid if child else "held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A second process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_a_second_run_is_told_who_holds_the_folder_and_since_when(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "neon-city"
    later = VirtualClock()
    later.elapsed = 12 * 60 + 5
    with hold(folder) as other:
        assert said(other) == "held"
        with pytest.raises(LockedError) as caught:
            FolderLock(folder, later).acquire()
        other.communicate()

    host = os.uname().nodename
    assert caught.value.message == (
        f"{folder}: another run (process {other.pid} on {host}, for 12 minutes) is working on it"
    )
    assert caught.value.exit_code == Exit.LOCKED
    with FolderLock(folder, later):
        assert (folder / LOCK_FILE).exists()


def test_a_killed_run_frees_the_folder(tmp_path: Path) -> None:
    with hold(tmp_path) as other:
        assert said(other) == "held"
        os.kill(other.pid, signal.SIGKILL)

    with FolderLock(tmp_path, VirtualClock()):
        pass


def test_a_child_that_outlives_a_killed_run_does_not_keep_the_folder(tmp_path: Path) -> None:
    other = hold(tmp_path, "with a child")
    child = int(said(other))
    other.kill()
    other.wait()
    try:
        os.kill(child, 0)  # it lives, waiting for input that this test still holds open
        with FolderLock(tmp_path, VirtualClock()):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        other.communicate()


def test_the_lock_file_stays_when_the_run_ends(tmp_path: Path) -> None:
    with FolderLock(tmp_path, VirtualClock()):
        first = (tmp_path / LOCK_FILE).stat().st_ino

    assert (tmp_path / LOCK_FILE).stat().st_ino == first
    assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o600


def test_two_runs_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path, VirtualClock()), FolderLock(tmp_path, VirtualClock())
    with first, pytest.raises(LockedError, match="less than a minute"):
        second.acquire()
    with second:
        pass
    first.release()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"pid": "x", "host": 1}', '{"pid": null}'])
def test_an_owner_that_cannot_be_read_is_still_an_owner(tmp_path: Path, text: str) -> None:
    with FolderLock(tmp_path, VirtualClock()):
        (tmp_path / LOCK_FILE).write_text(text)
        with pytest.raises(LockedError, match="another run is working on it"):
            FolderLock(tmp_path, VirtualClock()).acquire()


def test_a_lock_file_that_is_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / LOCK_FILE).symlink_to(precious)

    with pytest.raises(StorageError, match="out"):
        FolderLock(folder, VirtualClock()).acquire()
    assert precious.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file"):
        FolderLock(tmp_path / "file" / "out", VirtualClock()).acquire()


def test_a_folder_is_known_to_be_held_while_another_process_holds_it_and_no_longer(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "never made")
    assert not is_held(tmp_path)
    with hold(tmp_path) as other:
        assert said(other) == "held"
        signed = (tmp_path / LOCK_FILE).read_bytes()
        assert is_held(tmp_path)
        assert is_held(tmp_path)  # asking does not free it
        assert (tmp_path / LOCK_FILE).read_bytes() == signed
        other.communicate()

    assert (tmp_path / LOCK_FILE).exists()
    assert not is_held(tmp_path)
    with FolderLock(tmp_path, VirtualClock()):
        assert is_held(tmp_path)  # also when it is this process
