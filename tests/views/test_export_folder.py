"""An export takes its place as a whole, in the place of an earlier one and of nothing else, whenever it is killed."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchgen.errors import StorageError, UsageError
from batchgen.views.chosen import Choice, Exported
from batchgen.views.hf_export import export_hf
from batchgen.views.parquet_export import export_parquet
from batchgen.views.webdataset_export import export_webdataset

from .stored import Folder, picture

EXPORTS: dict[str, Callable[..., Exported]] = {
    "hf": export_hf,
    "webdataset": export_webdataset,
    "parquet": export_parquet,
}
DATA = {"hf": "pictures", "webdataset": "shards", "parquet": "parquet"}
every = pytest.mark.parametrize("form", list(EXPORTS))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "foo")
    made.add(1, data=picture(1))
    made.add(2, data=picture(2))
    yield made
    made.ledger.close()


def export(form: str, folder: Folder, output: Path, choice: Choice | None = None) -> Exported:
    reader = folder.reader()
    try:
        return EXPORTS[form](reader, folder.path, choice or Choice(), output)
    finally:
        reader.close()


def files(output: Path) -> dict[str, bytes]:
    """Everything that lies there, hidden or not."""
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file()}


@every
def test_an_earlier_export_is_replaced_as_a_whole_and_nothing_else_is(
    form: str, folder: Folder, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "deep"
    (output / "mine").mkdir(parents=True)
    (output / "mine" / "notes.txt").write_text("mine")
    (output / "pictures.csv").write_text("mine")

    first = export(form, folder, output)
    before = files(output)
    folder.ledger.execute("UPDATE pictures SET state = 'lost' WHERE picture_id = 1")
    second = export(form, folder, output)
    after = files(output)
    fresh = export(form, folder, tmp_path / "fresh")

    assert (first.pictures, first.replaced, second.pictures, second.replaced) == (2, False, 1, True)
    assert fresh.pictures == 1
    assert before != after
    assert after == files(tmp_path / "fresh") | {"mine/notes.txt": b"mine", "pictures.csv": b"mine"}


@every
def test_the_same_pictures_give_the_same_bytes(form: str, folder: Folder, tmp_path: Path) -> None:
    export(form, folder, tmp_path / "a")
    export(form, folder, tmp_path / "b")

    assert files(tmp_path / "a") == files(tmp_path / "b")


@every
def test_all_forms_may_lie_in_one_folder(form: str, folder: Folder, tmp_path: Path) -> None:
    for each in EXPORTS:
        export(each, folder, tmp_path / "out")
    before = files(tmp_path / "out")

    assert export(form, folder, tmp_path / "out").replaced
    assert files(tmp_path / "out") == before


def a_folder(output: Path, data: str) -> None:
    (output / data).mkdir()
    (output / data / "mine.png").write_bytes(b"mine")


def a_file(output: Path, data: str) -> None:
    (output / data).write_bytes(b"mine")


def a_link(output: Path, data: str) -> None:
    (output / "elsewhere").mkdir()
    (output / "elsewhere" / "mine").write_bytes(b"mine")
    (output / data).symlink_to(output / "elsewhere")


def a_file_in_an_export(output: Path, data: str) -> None:
    (output / data / "holiday.png").write_bytes(b"mine")


def a_folder_in_an_export(output: Path, data: str) -> None:
    (output / data / "00" / "mine").mkdir(parents=True)


def a_marker_of_another_form(output: Path, data: str) -> None:
    marker = output / data / ".batchgen-export.json"
    marker.write_text(json.dumps({"batchgen": "export/1", "format": "csv"}))


def a_marker_that_leads_away(output: Path, data: str) -> None:
    marker = (output / data / ".batchgen-export.json").rename(output / "marker")
    (output / data / ".batchgen-export.json").symlink_to(marker)


@every
@pytest.mark.parametrize(
    "plant",
    [
        *(a_folder, a_file, a_link, a_file_in_an_export, a_folder_in_an_export),
        *(a_marker_of_another_form, a_marker_that_leads_away),
    ],
    ids=lambda each: each.__name__,
)
def test_what_no_export_made_is_never_replaced(
    plant: Callable[[Path, str], None], form: str, folder: Folder, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    if plant not in {a_folder, a_file, a_link}:
        export(form, folder, output)
    plant(output, DATA[form])
    before = files(output)
    folder.add(3, data=picture(3))

    with pytest.raises(UsageError, match="is no export of batchgen, and is not replaced"):
        export(form, folder, output)

    assert files(output) == before


@pytest.mark.parametrize("name", ["metadata.jsonl", "README.md"])
@pytest.mark.parametrize("is_link", [False, True])
def test_an_index_or_a_card_of_somebody_else_is_never_replaced(
    name: str, is_link: bool, folder: Folder, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    if is_link:
        export("hf", folder, output)
        (output / name).rename(tmp_path / "mine")
        (output / name).symlink_to(tmp_path / "mine")
    else:
        (output / name).write_text("mine")
    before = files(output)

    with pytest.raises(UsageError, match=name):
        export("hf", folder, output)

    assert files(output) == before


def test_a_card_that_somebody_edited_stays_and_that_is_said(folder: Folder, tmp_path: Path) -> None:
    export("hf", folder, tmp_path / "out")
    card = tmp_path / "out" / "README.md"
    card.write_text(card.read_text().replace("license: unknown", "license: cc0-1.0"))
    folder.add(3, data=picture(3))

    for _ in range(2):
        exported = export("hf", folder, tmp_path / "out")
        assert exported.notes == ("README.md was edited since the last export and is kept; delete it to get a new one",)
        assert "license: cc0-1.0" in card.read_text()
    assert len((tmp_path / "out" / "metadata.jsonl").read_text().splitlines()) == 3

    card.unlink()
    assert export("hf", folder, tmp_path / "out").notes == ()
    assert "# 3 generated pictures" in card.read_text()


def test_a_card_that_somebody_made_very_long_stays_too(folder: Folder, tmp_path: Path) -> None:
    export("hf", folder, tmp_path / "out")
    os.truncate(tmp_path / "out" / "README.md", 5_000_000)

    assert export("hf", folder, tmp_path / "out").notes != ()
    assert (tmp_path / "out" / "README.md").stat().st_size == 5_000_000


@every
def test_an_export_that_fails_at_its_end_leaves_the_earlier_one(form: str, folder: Folder, tmp_path: Path) -> None:
    export(form, folder, tmp_path / "out")
    before = files(tmp_path / "out")

    with pytest.raises(UsageError, match="fits no stored"):
        export(form, folder, tmp_path / "out", Choice({"style": "chalk"}))

    assert files(tmp_path / "out") == before


@every
def test_an_earlier_export_that_a_killed_one_had_taken_away_comes_back(
    form: str, folder: Folder, tmp_path: Path
) -> None:
    export(form, folder, tmp_path / "out")
    before = files(tmp_path / "out")
    (tmp_path / "out" / DATA[form]).rename(tmp_path / "out" / f".{DATA[form]}.old")

    with pytest.raises(UsageError, match="fits no stored"):
        export(form, folder, tmp_path / "out", Choice({"style": "chalk"}))

    assert files(tmp_path / "out") == before


@every
@pytest.mark.parametrize("name", [".{}.part/mine.png", ".{}.part/00/mine", ".{}.old/mine.png"])
def test_nothing_of_the_user_is_cleared_away_with_what_a_killed_export_left(
    name: str, form: str, folder: Folder, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    export(form, folder, output)
    mine = output / name.format(DATA[form])
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    with pytest.raises(UsageError, match="is no export of batchgen, and is not replaced"):
        export(form, folder, output)

    assert mine.read_text() == "mine"


@every
def test_two_exports_to_one_folder_do_not_mix(form: str, folder: Folder, tmp_path: Path) -> None:
    import fcntl

    export(form, folder, tmp_path / "out")
    before = files(tmp_path / "out")
    other = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another export is being written"):
            export(form, folder, tmp_path / "out")
    finally:
        os.close(other)

    assert files(tmp_path / "out") == before


def test_a_folder_that_cannot_be_written_is_said_in_words(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(StorageError, match="out cannot be written: file exists"):
        export("hf", folder, tmp_path / "out")


@pytest.mark.parametrize(("mask", "file", "above"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_who_may_read_an_export_is_for_the_umask_to_say(
    mask: int, file: int, above: int, folder: Folder, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        export("hf", folder, tmp_path / "out")
    finally:
        os.umask(before)

    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert modes == {False: file, True: above}


KILLED = """
import os, shutil, sys
from pathlib import Path
from batchgen.storage.ledger import open_reader
from batchgen.views.chosen import Choice
from tests.views.test_export_folder import EXPORTS
form, folder, before, home = sys.argv[1], *map(Path, sys.argv[2:])
at = 0
while True:
    at += 1
    output = home / str(at)
    shutil.copytree(before, output)
    child = os.fork()
    if child == 0:
        seen = 0
        def hook(event, arguments):
            global seen
            # What is imported is opened by its whole path, what is exported by a name in an open folder.
            elsewhere = event == "open" and str(arguments[0]).startswith("/")
            if event in {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "open"} and not elsewhere:
                seen += 1
                if seen == at:
                    os._exit(9)
        reader = open_reader(folder)
        sys.addaudithook(hook)
        EXPORTS[form](reader, folder, Choice(), output)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(at)
"""


def shown(output: Path) -> dict[str, bytes]:
    """What a reader finds: nothing that is hidden, and no data set without its index."""
    return {name: data for name, data in files(output).items() if not any(part[:1] == "." for part in name.split("/"))}


@pytest.mark.parametrize("form", ["hf", "webdataset"])
def test_killed_at_any_step_an_export_is_the_old_one_or_the_new_one_or_none(
    form: str, folder: Folder, tmp_path: Path
) -> None:
    empty, first = tmp_path / "empty", tmp_path / "first"
    empty.mkdir()
    export(form, folder, first)
    folder.ledger.execute("UPDATE pictures SET state = 'lost' WHERE picture_id = 1")
    again = picture(77)  # the same picture of the same task, but other bytes
    (folder.path / "images" / "2.png").write_bytes(again)
    folder.ledger.execute(
        "UPDATE pictures SET bytes = ?, sha256 = ? WHERE picture_id = 2",
        (len(again), hashlib.sha256(again).hexdigest()),
    )
    folder.add(3, data=picture(3))
    export(form, folder, tmp_path / "second")
    old, new = shown(first), shown(tmp_path / "second")
    assert old != new

    for start, allowed in ((empty, [{}, new]), (first, [{}, old, new])):
        home = tmp_path / f"from {start.name}"
        arguments = [form, folder.path, start, home]
        done = subprocess.run(
            [sys.executable, "-c", KILLED, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        kills = int(done.stdout)
        assert kills > 15
        for at in range(1, kills + 1):
            output = home / str(at)
            found = shown(output)
            if form == "hf" and "metadata.jsonl" not in found:
                found = {}
            assert found in allowed, at
            assert at < kills or found == new
            export(form, folder, output)
            assert files(output) == files(tmp_path / "second"), at
