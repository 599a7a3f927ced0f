"""Files that can be made again: replaced whole and only when they change, through no planted link, one writer at a time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchgen.errors import StorageError
from batchgen.storage.derived import DerivedFolder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_would_not_change_is_not_written_again(tmp_path: Path) -> None:
    with DerivedFolder(tmp_path, "gallery") as derived:
        first = derived.write("data/a.js", b"one")
        before = (tmp_path / "gallery" / "data" / "a.js").stat()
        again = derived.write("data/a.js", b"one")
        after = (tmp_path / "gallery" / "data" / "a.js").stat()
        longer = derived.write("data/a.js", b"one more")

    assert (first, again, longer) == (True, False, True)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert (tmp_path / "gallery" / "data" / "a.js").read_bytes() == b"one more"
    assert names_in(tmp_path / "gallery" / "data") == ["a.js"]


def test_what_is_written_is_for_its_user_alone(tmp_path: Path) -> None:
    with DerivedFolder(tmp_path, "gallery") as derived:
        derived.write("data/a.js", b"one")

    modes = [(tmp_path / "gallery" / name).stat().st_mode & 0o777 for name in (".", "data", "data/a.js")]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("planted", ["gallery", "gallery/data"])
def test_a_folder_that_is_a_link_is_refused_in_words_and_nothing_is_written_where_it_leads(
    tmp_path: Path, planted: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "out" / planted).parent.mkdir(parents=True)
    elsewhere.mkdir()
    (tmp_path / "out" / planted).symlink_to(elsewhere)

    with pytest.raises(StorageError, match="links are not followed"), DerivedFolder(tmp_path / "out", "gallery") as own:
        own.write("data/a.js", b"one")

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_that_is_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path, link: object) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    (tmp_path / "gallery").mkdir()
    assert callable(link)
    link(mine, tmp_path / "gallery" / "a.js")

    with DerivedFolder(tmp_path, "gallery") as derived:
        derived.write("a.js", b"new")

    assert mine.read_bytes() == b"mine"
    assert (tmp_path / "gallery" / "a.js").read_bytes() == b"new"
    assert not (tmp_path / "gallery" / "a.js").is_symlink()


def test_what_a_killed_writer_left_and_what_is_stale_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    with DerivedFolder(tmp_path, "gallery") as derived:
        for name in ("data/old-1.js", "data/new-1.js", "data/.old.js.0a.part", "data/notes.txt", "top.js"):
            derived.write(name, b"x")
        (tmp_path / "gallery" / "data" / "old-folder").mkdir()
        derived.tidy("data", lambda name: name.startswith("old"))
        derived.tidy("no-such-folder", lambda _: True)

    assert (names_in(tmp_path / "gallery" / "data")) == ["new-1.js", "notes.txt", "old-folder"]
    assert (tmp_path / "gallery" / "top.js").exists()


def _write(folder: Path, letter: bytes) -> None:
    for _ in range(5):
        with DerivedFolder(folder, "gallery") as derived:
            for number in range(5):
                derived.write(f"data/{number}.js", letter * 100_000)
            derived.tidy("data", lambda _: False)


def test_two_writers_at_once_leave_one_of_the_two_contents_and_no_litter(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as writers:
        list(writers.map(_write, [tmp_path] * 2, (b"a", b"b")))

    files = sorted((tmp_path / "gallery" / "data").iterdir())
    assert [path.name for path in files] == [f"{number}.js" for number in range(5)]
    assert len({path.read_bytes() for path in files}) == 1
