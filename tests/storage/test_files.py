import io
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from batchgen.errors import Exit, StorageError
from batchgen.storage.disk import create, in_words, open_root, place_without_link, write_all
from batchgen.storage.files import Landed, Landing, ResultFolder, StorageFailure

TASK = "ab12cd34" * 8
OTHER_TASK = "99999999" * 8


def picture(colour: str = "red", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (32, 24), colour)
    image.putpixel((3, 3), (1, 2, 3))
    image.save(buffer, kind)
    return buffer.getvalue()


def landing(data: bytes, stem: str = "harbour.dusk/flux-7", number: int = 1, task: str = TASK) -> Landing:
    return Landing(f"{task}-{number}-{sha256(data).hexdigest()[:6]}", data, stem, number, task)


def store(folder: ResultFolder, *items: Landing) -> list[str]:
    results = folder.store_batch(items)
    assert all(isinstance(result, Landed) for result in results)
    return [result.file_name for result in results if isinstance(result, Landed)]


def files_in(path: Path) -> set[str]:
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "neon-city"


@pytest.fixture
def folder(path: Path) -> Iterator[ResultFolder]:
    with ResultFolder(path) as opened:
        yield opened


def test_a_picture_gets_its_final_name_with_the_extension_of_its_content(folder: ResultFolder, path: Path) -> None:
    data = picture(kind="JPEG")

    (landed,) = folder.store_batch([landing(data, "harbour/flux.1-dev-7")])

    assert isinstance(landed, Landed)
    assert landed.file_name == "images/harbour/flux.1-dev-7.jpg"
    assert landed.bytes == len(data)
    assert landed.facts.sha256 == sha256(data).hexdigest()
    assert (path / landed.file_name).read_bytes() == data
    assert files_in(path) == {landed.file_name}


def test_a_download_is_stored_from_its_part_file(folder: ResultFolder, path: Path) -> None:
    data = picture()
    part = folder.create_part("download-1")
    for start in range(0, len(data), 50):
        part.write(data[start : start + 50])
    assert (part.bytes, part.sha256) == (len(data), sha256(data).hexdigest())
    assert files_in(path) == {"parts/download-1.part"}

    (landed,) = folder.store_batch([Landing("download-1", part, "a", 1, TASK)])

    assert isinstance(landed, Landed)
    assert landed.facts.sha256 == sha256(data).hexdigest()
    assert files_in(path) == {"images/a.png"}
    assert (path / "images/a.png").read_bytes() == data


def test_a_half_downloaded_file_never_gets_its_final_name(folder: ResultFolder, path: Path) -> None:
    part = folder.create_part("download-1")
    part.write(picture()[:60])

    (result,) = folder.store_batch([Landing("download-1", part, "a", 1, TASK)])

    assert isinstance(result, StorageFailure)
    assert result.error.message == "a PNG cut off after 60 bytes"
    assert files_in(path) == set()


def test_one_bad_picture_does_not_hurt_the_others(folder: ResultFolder, path: Path) -> None:
    results = folder.store_batch(
        [landing(picture("red"), "a"), landing(b"<html>502</html>", "b"), landing(picture("blue"), "c")]
    )

    assert [type(result) for result in results] == [Landed, StorageFailure, Landed]
    assert isinstance(results[1], StorageFailure)
    assert results[1].error.message == "an HTML page instead of a picture"
    assert files_in(path) == {"images/a.png", "images/c.png"}


def test_several_pictures_of_one_answer_are_numbered(folder: ResultFolder) -> None:
    items = [landing(picture(colour), "a", number) for number, colour in enumerate(("red", "blue", "green"), start=1)]

    assert store(folder, *items) == ["images/a.png", "images/a-2.png", "images/a-3.png"]


def test_nothing_is_ever_overwritten(folder: ResultFolder, path: Path) -> None:
    colours = ["red", "blue", "green", "white"]
    names = [name for colour in colours for name in store(folder, landing(picture(colour), "a"))]

    assert names == [
        "images/a.png",
        "images/a-ab12cd34.png",
        "images/a-ab12cd34-2.png",
        "images/a-ab12cd34-3.png",
    ]
    assert [(path / name).read_bytes() for name in names] == [picture(colour) for colour in colours]


def test_a_picture_that_was_stored_but_not_noted_is_taken_over(folder: ResultFolder, path: Path) -> None:
    store(folder, landing(picture("red"), "a"))
    (second,) = store(folder, landing(picture("blue"), "a"))

    assert store(folder, landing(picture("red"), "a")) == ["images/a.png"]
    assert store(folder, landing(picture("blue"), "a")) == [second]
    assert files_in(path) == {"images/a.png", second}


def test_parts_of_an_earlier_run_are_thrown_away(path: Path) -> None:
    with ResultFolder(path) as killed:
        killed.create_part("one").write(b"half")
        killed.create_part("two").write(b"half")
    (path / "parts" / "README.txt").write_text("mine")

    with ResultFolder(path) as folder:
        assert folder.clean_parts() == 2

        assert files_in(path) == {"parts/README.txt"}


def test_a_stale_part_of_the_same_key_is_replaced_and_its_stored_twin_untouched(
    folder: ResultFolder, path: Path
) -> None:
    (name,) = store(folder, Landing("key", picture(), "a", 1, TASK))
    os.link(path / name, path / "parts" / "key.part")  # killed between the final name and the end of the old one

    folder.create_part("key").write(b"other")

    assert (path / name).read_bytes() == picture()


def test_a_stopped_run_leaves_no_working_folders_behind(path: Path) -> None:
    with ResultFolder(path) as folder:
        folder.spool_write("call-1", b"{}")
        folder.spool_delete("call-1")

    assert list(path.iterdir()) == []


def test_files_and_folders_are_for_this_user_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with ResultFolder(path) as folder:
            store(folder, landing(picture()))
            folder.spool_write("call", b"{}")
            folder.write_atomically("report.json", b"{}")
            modes = {found.stat().st_mode & 0o777 for found in (path, *path.rglob("*")) if found.is_dir()}
            file_modes = {found.stat().st_mode & 0o777 for found in path.rglob("*") if found.is_file()}
    finally:
        os.umask(before)

    assert modes == {0o700}
    assert file_modes == {0o600}


def test_a_planted_link_in_place_of_a_folder_is_not_followed(folder: ResultFolder, path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (path / "images").mkdir()
    (path / "images" / "harbour").symlink_to(elsewhere)
    (path / "spool").symlink_to(elsewhere)

    with pytest.raises(StorageError, match="links are not followed"):
        folder.store_batch([landing(picture(), "harbour/a")])
    with pytest.raises(StorageError, match="spool"):
        folder.spool_write("call", b"{}")
    assert list(elsewhere.iterdir()) == []
    assert not list((path / "parts").iterdir())


def test_a_planted_link_in_place_of_a_file_is_neither_followed_nor_replaced(
    folder: ResultFolder, path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "precious"
    target.write_bytes(picture())
    (path / "images").mkdir()
    (path / "images" / "a.png").symlink_to(target)
    (path / "parts" / "key.part").symlink_to(target)

    (landed,) = folder.store_batch([Landing("key", picture(), "a", 1, TASK)])

    assert isinstance(landed, Landed)
    assert landed.file_name == "images/a-ab12cd34.png"
    assert not (path / landed.file_name).is_symlink()
    assert (path / "images" / "a.png").is_symlink()
    assert target.read_bytes() == picture()


@pytest.mark.parametrize("stem", ["../a", "a/../../b", "/etc/a", "a//b", ".", "", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(folder: ResultFolder, path: Path, stem: str) -> None:
    with pytest.raises(StorageError, match="no name inside the output folder"):
        folder.store_batch([landing(picture(), stem)])
    with pytest.raises(StorageError, match="no name inside the output folder"):
        folder.find_stored(stem, 1, TASK)
    assert files_in(path) == set()


def test_a_stored_picture_is_found_again_when_its_link_is_dead(folder: ResultFolder, path: Path) -> None:
    store(folder, landing(picture("red"), "h/a", task=OTHER_TASK), landing(picture("blue"), "h/a"))
    store(folder, landing(picture("green"), "h/a", 2))

    found = folder.find_stored("h/a", 1, TASK, taken={"images/h/a.png"})
    second = folder.find_stored("h/a", 2, TASK)

    assert found is not None
    assert second is not None
    assert (found.file_name, found.facts.sha256) == ("images/h/a-ab12cd34.png", sha256(picture("blue")).hexdigest())
    assert second.file_name == "images/h/a-2.png"
    assert folder.find_stored("h/a", 3, TASK) is None
    assert folder.find_stored("nowhere/a", 1, TASK) is None
    assert not (path / "images" / "nowhere").exists()


def test_a_damaged_file_is_not_taken_for_a_stored_picture(folder: ResultFolder, path: Path) -> None:
    (name,) = store(folder, landing(picture(), "a"))
    (path / name).write_bytes(picture()[:-5])

    assert folder.find_stored("a", 1, TASK) is None
    assert store(folder, landing(picture(), "a")) == ["images/a-ab12cd34.png"]


def test_a_spooled_answer_is_whole_or_absent(folder: ResultFolder, path: Path) -> None:
    assert folder.spool_keys() == []
    assert folder.spool_read("call-1") is None

    folder.spool_write("call-2", b"second")
    folder.spool_write("call-1", b"first")
    folder.spool_write("call-1", b"first again")

    assert folder.spool_keys() == ["call-1", "call-2"]
    assert folder.spool_read("call-1") == b"first again"
    folder.spool_delete("call-1")
    folder.spool_delete("call-1")
    assert folder.spool_keys() == ["call-2"]
    assert files_in(path) == {"spool/call-2.body"}


def test_an_input_picture_is_kept_once_and_checked_when_read(folder: ResultFolder, path: Path) -> None:
    data = picture()
    digest = sha256(data).hexdigest()

    assert folder.keep_input(data, digest, ".png") == folder.keep_input(data, digest, ".png") == f"inputs/{digest}.png"
    assert folder.read_input(digest) == data
    assert files_in(path) == {f"inputs/{digest}.png"}

    (path / "inputs" / f"{digest}.png").write_bytes(b"edited")
    with pytest.raises(StorageError, match="was changed"):
        folder.read_input(digest)
    folder.keep_input(data, digest, ".png")
    assert folder.read_input(digest) == data
    with pytest.raises(StorageError, match="is missing"):
        folder.read_input("0" * 64)


def test_a_report_is_replaced_whole_or_not_at_all(folder: ResultFolder, path: Path) -> None:
    folder.write_atomically("report.json", b"old")
    folder.write_atomically("gallery/index.html", b"<!doctype html>")
    with suppress(RuntimeError), folder.replacing("report.json") as part:
        part.write(b"half of the n")
        raise RuntimeError

    assert files_in(path) == {"report.json", "gallery/index.html"}
    assert (path / "report.json").read_bytes() == b"old"


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
