"""What a file system does when it is full, forbids, fails, or holds what somebody planted."""

import io
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from batchgen.clock import VirtualClock
from batchgen.errors import Exit, LockedError, StorageError
from batchgen.storage.disk import create, in_words, open_root, place_without_link, write_all
from batchgen.storage.files import Landed, Landing, ResultFolder
from batchgen.storage.ledger import Ledger, open_reader
from batchgen.storage.lock import FolderLock, is_held
from batchgen.storage.manifest import ManifestWriter, read_manifest

from .folders import TASK, files_in, landing, picture, store


def test_a_folder_that_somebody_deletes_during_the_run_is_made_again(folder: ResultFolder, path: Path) -> None:
    store(folder, landing(picture("red"), "h/a"))
    shutil.rmtree(path / "images" / "h")

    assert store(folder, landing(picture("blue"), "h/a")) == ["images/h/a.png"]
    assert (path / "images/h/a.png").read_bytes() == picture("blue")


def test_a_folder_without_permission_is_said_with_what_to_do(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match=r"locked/neon-city: no permission to write") as caught:
            ResultFolder(locked / "neon-city")
    finally:
        os.seteuid(user)
    assert caught.value.exit_code == Exit.STORAGE
    assert "output.folder" in caught.value.hint


def test_a_file_where_the_folder_belongs_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    for name in ("taken", "taken/below"):
        with pytest.raises(StorageError, match="a file"):
            ResultFolder(tmp_path / name)


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StorageError, match="the disk is full") as caught, in_words(tmp_path / "outputs"):
        write_all(full, b"picture")
    os.close(full)
    assert "run the same command again" in caught.value.hint


def test_a_disk_that_takes_no_more_fails_the_batch_and_leaves_no_half_file(folder: ResultFolder, path: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((300, 300), 100).save(noise, "PNG")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    part = folder.create_part("waiting")
    part.write(picture("blue"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StorageError, match="larger than a file may be"):
            folder.store_batch(
                [landing(picture(), "a"), landing(noise.getvalue(), "b"), Landing("waiting", part, "c", 1, TASK)]
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert files_in(path) == {"images/a.png"}
    assert store(folder, landing(picture(), "a"), landing(noise.getvalue(), "b")) == ["images/a.png", "images/b.png"]


def test_the_free_space_of_the_disk_is_known(folder: ResultFolder, path: Path) -> None:
    assert 0 < folder.free_bytes() <= shutil.disk_usage(path).total


def test_a_disk_without_hard_links_gets_whole_files_too(tmp_path: Path) -> None:
    root = open_root(tmp_path)
    (tmp_path / "one.part").write_bytes(b"one")
    (tmp_path / "two.part").write_bytes(b"two")

    assert place_without_link(("one.part", root), ("final.png", root))
    assert not place_without_link(("two.part", root), ("final.png", root))
    with pytest.raises(FileNotFoundError):
        place_without_link(("three.part", root), ("other.png", root))

    assert (tmp_path / "final.png").read_bytes() == b"one"
    assert files_in(tmp_path) == {"final.png", "two.part"}
    os.close(root)


def test_an_unfinished_file_is_never_opened_twice(tmp_path: Path) -> None:
    root = open_root(tmp_path)
    os.close(create("a.part", root))
    with pytest.raises(FileExistsError):
        create("a.part", root)
    os.close(root)


STORE_TWO = """
import sys
from pathlib import Path
from batchgen.errors import StorageError
from batchgen.storage.files import Landing, ResultFolder
data = Path(sys.argv[2]).read_bytes()
with ResultFolder(Path(sys.argv[1])) as folder:
    items = [Landing(name, data, name, 1, "ab12cd34") for name in ("a", "b")]
    try:
        print([result.file_name for result in folder.store_batch(items)])
    except StorageError as error:
        print(error.message)
"""


def run_with_faults(tmp_path: Path, *faults: str) -> str:
    """Stores two pictures in a second process whose system calls are made to fail."""
    (tmp_path / "source.png").write_bytes(picture())
    command = ["strace", "-f", "-o", str(tmp_path / "trace"), *(f"--inject={fault}" for fault in faults)]
    ours = [sys.executable, "-c", STORE_TWO, str(tmp_path / "out"), str(tmp_path / "source.png")]
    try:
        works = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("strace cannot run here: failing system calls were not tried")
    done = subprocess.run([*command, *ours], check=True, capture_output=True, text=True, cwd=Path.cwd())
    return done.stdout.strip()


def test_a_disk_that_refuses_links_is_used_without_them(tmp_path: Path) -> None:
    assert run_with_faults(tmp_path, "linkat:error=EPERM") == "['images/a.png', 'images/b.png']"
    assert files_in(tmp_path / "out") == {"images/a.png", "images/b.png"}
    assert (tmp_path / "out/images/b.png").read_bytes() == picture()


def test_a_file_whose_sync_failed_is_thrown_away_and_never_synced_again(tmp_path: Path) -> None:
    message = run_with_faults(tmp_path, "fsync:error=EIO:when=5")

    assert message.endswith("the disk reports an error")
    assert "b.png" not in files_in(tmp_path / "out")
    assert not [name for name in files_in(tmp_path / "out") if name.startswith("parts/")]
    assert (tmp_path / "trace").read_text().count("EIO") == 1


def test_a_batch_syncs_each_picture_and_each_folder_once(tmp_path: Path) -> None:
    run_with_faults(tmp_path, "ftruncate:error=EIO")  # a call that is never made: this only counts
    trace = (tmp_path / "trace").read_text()

    opened = trace.index('"a.part"')
    # two pictures, then images/ and the output folder
    assert trace[opened:].count("fsync(") == 4


def test_a_part_that_is_discarded_while_it_is_written_never_writes_into_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a closed descriptor goes to the next file that is opened: what is still written must not land there."""
    started, go_on = threading.Event(), threading.Event()

    def held_up(descriptor: int, data: bytes | memoryview) -> None:
        started.set()
        go_on.wait(10)
        write_all(descriptor, data)

    with ResultFolder(tmp_path) as folder:
        part = folder.create_part("1")
        monkeypatch.setattr("batchgen.storage.files.write_all", held_up)
        writing = threading.Thread(target=part.write, args=(b"a paid picture",))
        discarding = threading.Thread(target=part.discard)
        writing.start()
        started.wait(10)
        discarding.start()
        discarding.join(0.2)
        with (tmp_path / "other").open("wb"):
            go_on.set()
            writing.join()
            discarding.join()

        assert (tmp_path / "other").read_bytes() == b""


def planted(kind: str, place: Path, target: Path) -> None:
    if kind == "link":
        place.symlink_to(target)
    elif kind == "link to nowhere":
        place.symlink_to(target.parent / "nowhere")
    elif kind == "hard link":
        os.link(target, place)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()


OPENERS: dict[str, Callable[[Path], object]] = {
    "ledger.sqlite3": lambda path: Ledger(path / "ledger.sqlite3"),
    "ledger.sqlite3-wal": lambda path: Ledger(path / "ledger.sqlite3"),
    "ledger.sqlite3-shm": open_reader,
    "ledger.sqlite3-journal": lambda path: Ledger(path / "ledger.sqlite3"),
    "manifest.jsonl": lambda path: ManifestWriter(ResultFolder(path)),
    ".batchgen.lock": lambda path: FolderLock(path, VirtualClock()).acquire(),
}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("kind", ["link", "link to nowhere", "hard link", "pipe", "folder"])
def test_what_is_planted_under_the_name_of_a_file_that_is_changed_in_place_is_refused_by_name(
    tmp_path: Path, name: str, kind: str
) -> None:
    target = tmp_path / "outside" / "precious"
    target.parent.mkdir()
    target.write_bytes(b"mine\n")
    before = os.lstat(target).st_mtime_ns
    path = tmp_path / "out"
    path.mkdir()
    planted(kind, path / name, target)

    with pytest.raises(StorageError) as caught:
        OPENERS[name](path)

    assert caught.value.message.startswith(f"{path / name}: ")
    assert (target.read_bytes(), os.lstat(target).st_mtime_ns) == (b"mine\n", before)
    assert [found.name for found in target.parent.iterdir()] == ["precious"]


def test_a_manifest_with_a_second_name_may_be_read(tmp_path: Path) -> None:
    (tmp_path / "kept.jsonl").write_bytes(b"")
    os.link(tmp_path / "kept.jsonl", tmp_path / "manifest.jsonl")

    assert list(read_manifest(tmp_path / "manifest.jsonl")) == []


def test_a_pipe_in_place_of_the_lock_or_the_manifest_holds_nobody_up(tmp_path: Path) -> None:
    for name in (".batchgen.lock", "manifest.jsonl"):
        os.mkfifo(tmp_path / name)

    assert not is_held(tmp_path)
    with pytest.raises(StorageError, match="a pipe or a device"):
        list(read_manifest(tmp_path / "manifest.jsonl"))


def test_a_lock_says_its_owner_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    with FolderLock(tmp_path, VirtualClock()):
        (tmp_path / ".batchgen.lock").write_text('{"pid": 1, "host": "a\\u001b]0;b\\u202e", "since": 0}')
        with pytest.raises(LockedError) as caught:
            FolderLock(tmp_path, VirtualClock()).acquire()
    assert "process 1 on a]0;b, for" in caught.value.message


def test_a_file_too_large_to_be_a_picture_is_neither_read_nor_taken_for_one(folder: ResultFolder, path: Path) -> None:
    store(folder, landing(picture("red"), "a"))
    os.truncate(path / "images/a.png", 1 << 40)

    assert folder.find_stored("a", 1, TASK) is None
    assert store(folder, landing(picture("red"), "a")) == ["images/a-ab12cd34.png"]


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "hard link", "pipe", "folder"])
def test_whatever_stands_under_a_final_name_another_one_is_taken(
    folder: ResultFolder, path: Path, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"mine\n")
    (path / "images").mkdir()
    planted(kind, path / "images/a.png", target)
    if kind != "folder":
        planted(kind, path / "parts/key.part", target)

    (landed,) = folder.store_batch([Landing("key", picture(), "a", 1, TASK)])

    assert isinstance(landed, Landed)
    assert landed.file_name == "images/a-ab12cd34.png"
    assert target.read_bytes() == b"mine\n"
    found = folder.find_stored("a", 1, TASK)
    assert found is not None
    assert found.file_name == landed.file_name


@pytest.mark.parametrize("name", ["parts", "images", "spool", "inputs", "unusable"])
def test_a_link_in_place_of_a_folder_is_met_when_the_folder_is_opened(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(elsewhere)

    with pytest.raises(StorageError, match=f"out/{name}: .*links are not followed"):
        ResultFolder(tmp_path / "out")
    assert list(elsewhere.iterdir()) == []
