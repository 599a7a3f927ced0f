"""The table of stored pictures: harmless and exact, whole pictures only, a file of its own, flat memory."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.errors import StorageError, UsageError
from batchgen.storage.ledger import open_reader
from batchgen.views.chosen import Choice, Exported
from batchgen.views.csv_export import FILE, export_csv

from .stored import Folder as Stored


class Folder(Stored):
    """An output folder that can be exported as a table."""

    def export(self, output: Path, choice: Choice | None = None) -> Exported:
        reader = self.reader()
        try:
            return export_csv(reader, self.path, choice or Choice(), output)
        finally:
            reader.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "outputs" / "foo")
    yield made
    made.ledger.close()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "'", "''", "=", " =", "@", "\t", "\r", "\n", "-", "＋"]),
            st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        ).map("".join),
        min_size=1,
        max_size=6,
    )
)
def test_every_text_comes_back_as_it_was_by_taking_off_the_apostrophes_that_its_row_names(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    home = tmp_path_factory.mktemp("texts")
    folder = Folder(home / "foo")
    for number, text in enumerate(texts, 1):
        folder.add(number, prompt=text, vars={"=name": text[::-1]})

    folder.export(home)
    folder.ledger.close()

    rows = table(home / FILE)
    for text, row in zip(texts, rows, strict=True):
        changed = json.loads(row["apostrophe_before"] or "[]")
        plain = {name: cell.removeprefix("'") if name in changed else cell for name, cell in row.items()}
        assert (plain["prompt"], plain["var:=name"]) == (text, text[::-1])
    cells = [cell for row in rows for cell in (*row, *row.values())]
    assert [cell for cell in cells if cell[:1] in {*"=@\t\r\n"}] == []


def test_the_bytes_are_those_of_rfc_4180_with_every_text_in_quotes(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, prompt='a "fox", 狐狸;=1+1\nrunning')

    folder.export(tmp_path)

    header, row = (tmp_path / FILE).read_bytes().split(b"\r\n", 1)
    assert header.startswith(b'"file_name","task_id","prompt_id","row","prompt","negative_prompt","var:style","prov')
    assert header.endswith(b'"picture","image","apostrophe_before"')
    assert ',"a ""fox"", 狐狸;=1+1\nrunning","","ink",'.encode() in row
    assert b',"dev",7,1,1,"",' in row
    assert row.endswith(b'.png",""\r\n')


def test_no_variable_takes_the_place_of_a_column_and_none_means_something_to_a_prompt_file(
    folder: Folder, tmp_path: Path
) -> None:
    values = {"prompt": "p", "model": "m", "seed": "s", "a|b, c": "x", "image": "i", "=1": "f"}
    folder.add(1, vars=values)
    folder.add(2, vars={"style": "ink"})

    folder.export(tmp_path)

    first, second = table(tmp_path / FILE)
    assert {name: first[f"var:{name}"] for name in values} == values
    assert [name for name in first if name.startswith("var:")] == sorted(f"var:{name}" for name in (*values, "style"))
    assert (first["var:style"], second["var:style"], second["var:image"]) == ("", "ink", "")
    assert first.keys() & {"model", "seed", "id", "steps", "size"} == set()


def test_a_picture_that_a_run_stores_meanwhile_is_in_the_next_export_and_not_in_half_of_this_one(
    folder: Folder, tmp_path: Path
) -> None:
    folder.add(1)
    reader = open_reader(folder.path)
    assert reader is not None
    statements: list[str] = []

    def run_goes_on(statement: str) -> None:
        if "request_id" in statement and not statements:
            statements.append(statement)
            folder.add(2, vars={"new": "chalk"})

    reader.set_trace_callback(run_goes_on)
    exported = export_csv(reader, folder.path, Choice(), tmp_path)

    assert len(statements) == exported.pictures == 1
    assert not reader.in_transaction
    reader.close()
    assert folder.export(tmp_path).pictures == 2


def missing(picture: Path) -> None:
    picture.unlink()


def cut(picture: Path) -> None:
    picture.write_bytes(b"012345678")


def folder_in_its_place(picture: Path) -> None:
    picture.unlink()
    picture.mkdir()


def link(picture: Path) -> None:
    secret = picture.rename(picture.parents[3] / "secret.png")
    picture.symlink_to(secret)


def link_as_long_as_the_picture(picture: Path) -> None:
    picture.unlink()
    picture.symlink_to("x" * 10)


def link_above(picture: Path) -> None:
    picture.parent.rename(picture.parents[4] / "elsewhere")
    picture.parent.symlink_to(picture.parents[4] / "elsewhere")


@pytest.mark.parametrize(
    "spoil",
    [missing, cut, folder_in_its_place, link, link_as_long_as_the_picture, link_above],
    ids=lambda each: each.__name__,
)
def test_a_picture_that_is_not_there_as_the_ledger_says_is_left_out(
    spoil: Callable[[Path], None], folder: Folder, tmp_path: Path
) -> None:
    folder.add(1)
    spoil(folder.add(2, file_name="images/fox/2.png"))

    exported = folder.export(tmp_path)

    assert (exported.pictures, exported.left_out) == (1, 1)
    assert [row["file_name"] for row in table(tmp_path / FILE)] == ["images/1.png"]


@pytest.mark.parametrize("name", ["images/../../../secret.png", "{}/secret.png", "./images/1.png", "images//1.png"])
def test_a_ledger_that_somebody_made_up_names_no_file_outside_of_its_folder(
    name: str, folder: Folder, tmp_path: Path
) -> None:
    folder.add(1)
    folder.add(2, file_name=name.format(tmp_path))
    (tmp_path / "secret.png").write_bytes(b"0123456789")

    exported = folder.export(tmp_path)

    assert (exported.pictures, exported.left_out) == (1, 1)


def test_a_folder_that_the_user_reaches_by_a_link_of_his_own_is_exported(folder: Folder, tmp_path: Path) -> None:
    folder.add(1)
    (tmp_path / "mine").symlink_to(folder.path)
    reader = open_reader(folder.path)
    assert reader is not None

    exported = export_csv(reader, tmp_path / "mine", Choice(), tmp_path)
    reader.close()

    assert (exported.pictures, exported.left_out) == (1, 0)
    assert table(tmp_path / FILE)[0]["image"] == f"{tmp_path}/mine/images/1.png"


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ({}, [1, 2, 3]),
        ({"model": "dev"}, [1, 2]),
        ({"Model": "*/flux.1-dev"}, [1, 2]),
        ({"style": "ink"}, [1, 3]),
        ({"STYLE": "*i*", "try": "2"}, [2]),
        ({"seed": "7", "row": "fox", "prompt_id": "fox.*"}, [1, 2, 3]),
    ],
)
def test_only_means_what_it_means_in_a_run(
    only: dict[str, str], chosen: list[int], folder: Folder, tmp_path: Path
) -> None:
    folder.add(1)
    folder.add(2, vars={"style": "oil"}, try_number=2)
    folder.add(3, label="wide", model="other")

    exported = folder.export(tmp_path, Choice(only))

    assert exported.pictures == len(chosen)
    assert [row["file_name"] for row in table(tmp_path / FILE)] == [f"images/{number}.png" for number in chosen]


@pytest.mark.parametrize(("only", "words"), [({"style": "chalk"}, "fits no stored"), ({"\x1b[31m": "x"}, "has \\[31m")])
def test_a_choice_that_fits_nothing_is_a_mistake_and_the_earlier_export_stays(
    only: dict[str, str], words: str, folder: Folder, tmp_path: Path
) -> None:
    folder.add(1)
    folder.export(tmp_path / "out")
    before = (tmp_path / "out" / FILE).read_bytes()

    with pytest.raises(UsageError, match=words):
        folder.export(tmp_path / "out", Choice(only))

    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [before]


def test_flagged_pictures_are_left_out_when_that_is_asked_for(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, flags=("blank",))
    folder.add(2)

    assert folder.export(tmp_path).pictures == 2
    assert folder.export(tmp_path, Choice(without_flagged=True)).pictures == 1
    assert [row["flags"] for row in table(tmp_path / FILE)] == ["[]"]


def test_a_folder_without_pictures_gives_a_table_without_rows(folder: Folder, tmp_path: Path) -> None:
    exported = folder.export(tmp_path / "new" / "folder")

    assert (exported.pictures, exported.left_out) == (0, 0)
    assert table(tmp_path / "new" / "folder" / FILE) == []


def resaved(path: Path) -> None:
    """As spreadsheets save it: with a byte-order mark, with quotes where they are needed, with a row less."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows[:-1])


@pytest.mark.parametrize("change", [lambda _: None, resaved], ids=["as it was", "resaved"])
def test_an_earlier_export_is_replaced_and_that_is_said(
    change: Callable[[Path], None], folder: Folder, tmp_path: Path
) -> None:
    folder.add(1)
    first = folder.export(tmp_path / "out")
    change(tmp_path / "out" / FILE)
    folder.add(2)

    second = folder.export(tmp_path / "out")

    assert (first.replaced, second.replaced) == (False, True)
    assert len(table(tmp_path / "out" / FILE)) == 2


@pytest.mark.parametrize("text", ["my,own,table\r\n", "", '"file_name', "\0\r\r\n", "x" * 200_000, "file_name;task_id"])
def test_a_file_that_is_no_export_is_never_replaced(text: str, folder: Folder, tmp_path: Path) -> None:
    folder.add(1)
    (tmp_path / FILE).write_text(text, newline="")

    with pytest.raises(UsageError, match="is no export of batchgen, and is not replaced"):
        folder.export(tmp_path)

    assert (tmp_path / FILE).read_bytes() == text.encode()


def test_a_link_in_the_place_of_the_table_is_neither_followed_nor_replaced(folder: Folder, tmp_path: Path) -> None:
    folder.add(1)
    folder.export(tmp_path)
    earlier = (tmp_path / FILE).rename(tmp_path / "earlier.csv")
    before = earlier.read_bytes()
    (tmp_path / FILE).symlink_to(earlier)
    folder.add(2)

    with pytest.raises(StorageError, match="a link"):
        folder.export(tmp_path)

    assert (tmp_path / FILE).is_symlink()
    assert earlier.read_bytes() == before


@pytest.mark.parametrize("plant", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_not_opened(plant: Callable[[Path], None], folder: Folder, tmp_path: Path) -> None:
    folder.add(1)
    plant(tmp_path / FILE)

    with pytest.raises(StorageError, match="stands where a file belongs"):
        folder.export(tmp_path)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_who_may_read_the_table_is_for_the_umask_to_say(mask: int, mode: int, folder: Folder, tmp_path: Path) -> None:
    folder.add(1)
    before = os.umask(mask)
    try:
        folder.export(tmp_path / "out")
    finally:
        os.umask(before)

    assert (tmp_path / "out" / FILE).stat().st_mode & 0o777 == mode


def test_a_damaged_ledger_is_said_in_words_and_leaves_no_half_table(folder: Folder, tmp_path: Path) -> None:
    folder.add(1)
    folder.ledger.execute("UPDATE tasks SET record = '{'")

    with pytest.raises(StorageError, match="cannot be read") as caught:
        folder.export(tmp_path / "out")

    assert "nothing was exported" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_a_folder_whose_name_is_no_text_is_refused_since_no_table_can_name_its_pictures(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "half \udcff")
    folder.add(1)

    with pytest.raises(UsageError, match="not UTF-8 text"):
        folder.export(tmp_path / "out")
    folder.ledger.close()

    assert not (tmp_path / "out").exists()


def batchgen(folder: Folder, output: Path, limit: str = "") -> "subprocess.CompletedProcess[str]":
    """The verb in a process of its own, under a limit of the shell."""
    verb = ["-m", "batchgen", "export", str(folder.path), "--format", "csv", "--output", str(output)]
    return subprocess.run(
        ["sh", "-c", f'{limit} exec "$0" "$@"', sys.executable, *verb],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        check=False,
    )


def test_on_a_full_disk_there_is_no_half_table_and_the_earlier_one_stays(folder: Folder, tmp_path: Path) -> None:
    folder.add(0)
    folder.export(tmp_path / "out")
    before = (tmp_path / "out" / FILE).read_bytes()
    folder.fill(500, "a fox")

    done = batchgen(folder, tmp_path / "out", "ulimit -f 200;")

    assert done.returncode == 6, done.stderr
    assert "pictures.csv cannot be written: file too large" in done.stderr
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [before]


PEAK = """
import resource, sys
from pathlib import Path
from batchgen.storage.ledger import open_reader
from batchgen.views.chosen import Choice
from batchgen.views.csv_export import export_csv
few, many = map(Path, sys.argv[1:])
peaks = []
for folder in (few, many):
    print(export_csv(open_reader(folder), folder, Choice(), folder / "out").pictures)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    few, many = Folder(tmp_path / "few"), Folder(tmp_path / "many")
    few.add(1)
    many.fill(5_000, "a fox in the snow, " * 800)
    few.ledger.close()
    many.ledger.close()

    done = subprocess.run([sys.executable, "-c", PEAK, few.path, many.path], capture_output=True, text=True, check=True)

    one, before_kb, all_of_them, after_kb = map(int, done.stdout.split())
    assert (one, all_of_them) == (1, 5_000)
    assert (many.path / "out" / FILE).stat().st_size > 75_000_000
    assert after_kb - before_kb < 20_000
