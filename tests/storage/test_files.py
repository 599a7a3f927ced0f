import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from batchgen.errors import StorageError
from batchgen.storage.files import Landed, Landing, ResultFolder, StorageFailure

from .folders import OTHER_TASK, TASK, files_in, landing, picture, store


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
        folder.spool_write("1-c0", b"{}")
        folder.spool_delete("1-c0")

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
    assert folder.spool_read("1-c0") is None

    folder.spool_write("2-c0", b"second")
    folder.spool_write("1-c0", b"first")
    folder.spool_write("1-c0", b"first again")

    assert folder.spool_keys() == ["1-c0", "2-c0"]
    assert folder.spool_read("1-c0") == b"first again"
    folder.spool_delete("1-c0")
    folder.spool_delete("1-c0")
    assert folder.spool_keys() == ["2-c0"]
    assert files_in(path) == {"spool/2-c0.body"}


@pytest.mark.parametrize("key", ["a/b", "..", "", "1", "a-b", "1-zz", "1-aa/../b", "-1-a", "1" * 19 + "-a"])
def test_a_key_that_is_no_answers_names_nothing_in_the_spool(key: str, folder: ResultFolder, path: Path) -> None:
    (path / "spool").mkdir()
    for name in ("a-b", "1", "1-zz", "x"):
        (path / "spool" / f"{name}.body").write_bytes(b"{}")

    assert folder.spool_keys() == []
    assert (folder.spool_read(key), folder.spool_bytes(key)) == (None, 0)
    folder.spool_delete(key)
    assert len(files_in(path)) == 4


def test_a_kept_answer_that_is_larger_than_any_is_not_read(folder: ResultFolder, path: Path) -> None:
    folder.spool_write("1-a", b"{}")
    with (path / "spool" / "1-a.body").open("wb") as body:
        body.truncate(1 << 40)

    assert (folder.spool_read("1-a"), folder.spool_bytes("1-a")) == (None, 0)


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
