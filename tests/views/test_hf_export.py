"""The imagefolder: copies or links, a card that says what is known, and outside words that stay words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchgen.errors import UsageError
from batchgen.views.chosen import Choice, Exported
from batchgen.views.hf_export import export_hf

from .stored import Folder, picture

OTHER_DISK = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "foo")
    yield made
    made.ledger.close()


def export(folder: Folder, output: Path, *, link: bool = False) -> Exported:
    reader = folder.reader()
    try:
        return export_hf(reader, folder.path, Choice(), output, link=link)
    finally:
        reader.close()


def index(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "metadata.jsonl").read_text(encoding="utf-8").split("\n") if line]


def test_names_are_those_of_tasks_and_hold_no_word_of_the_user(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1), file_name="images/test/dev.train/val-1.png")
    folder.add_picture(1, 2, 2, data=picture(2, "jpeg"), format="jpeg")

    export(folder, tmp_path / "out")

    task = f"{1:064x}"
    assert [(line["file_name"], line["original_name"]) for line in index(tmp_path / "out")] == [
        (f"pictures/00/{task}-1.png", "images/test/dev.train/val-1.png"),
        (f"pictures/00/{task}-2.jpg", "images/2.jpeg"),
    ]


def test_a_copy_is_a_file_of_its_own(folder: Folder, tmp_path: Path) -> None:
    stored = folder.add(1, data=picture(1))

    export(folder, tmp_path / "out")
    copy = tmp_path / "out" / index(tmp_path / "out")[0]["file_name"]
    copy.write_bytes(b"changed")

    assert stored.read_bytes() == picture(1)
    assert stored.stat().st_nlink == 1


def test_a_link_is_the_stored_file_itself_and_stays_when_the_folder_goes(folder: Folder, tmp_path: Path) -> None:
    stored = folder.add(1, data=picture(1))

    export(folder, tmp_path / "out")
    exported = export(folder, tmp_path / "out", link=True)
    linked = tmp_path / "out" / index(tmp_path / "out")[0]["file_name"]

    assert exported.replaced
    assert linked.samefile(stored)
    assert not linked.is_symlink()
    stored.unlink()
    assert linked.read_bytes() == picture(1)


@pytest.mark.skipif(
    not OTHER_DISK.is_dir() or not os.access(OTHER_DISK, os.W_OK), reason="there is no second disk to be sure of"
)
def test_a_link_to_another_disk_is_refused_and_copies_are_named_as_the_way_out(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1))
    if OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("both are one disk")
    output = OTHER_DISK / f"batchgen-{os.getpid()}"
    try:
        with pytest.raises(UsageError, match="cannot have a second name") as caught:
            export(folder, output, link=True)
        assert list(output.iterdir()) == []
    finally:
        output.rmdir()

    assert "copies work everywhere" in caught.value.hint


@pytest.mark.parametrize("link", [False, True])
def test_a_picture_that_changed_is_left_out_of_index_and_folder(link: bool, folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1))
    folder.add(2, data=picture(2)).write_bytes(b"shorter")
    folder.add(3, data=picture(3)).unlink()
    if not link:
        same_size = folder.add(4, data=picture(4))
        same_size.write_bytes(same_size.read_bytes()[::-1])

    exported = export(folder, tmp_path / "out", link=link)

    assert (exported.pictures, exported.left_out) == (1, 2 if link else 3)
    assert len(index(tmp_path / "out")) == len(list((tmp_path / "out").rglob("*.png"))) == 1


def test_a_set_without_pictures_is_refused_since_nothing_can_load_it(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no picture to export"):
        export(folder, tmp_path / "out")
    folder.add(1).unlink()
    with pytest.raises(UsageError, match="all 1 chosen pictures are missing or changed") as caught:
        export(folder, tmp_path / "out")

    assert "batchgen verify" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def test_half_characters_become_the_replacement_character(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1), prompt="half \ud83e fox", vars={"style": "\udfff"})

    export(folder, tmp_path / "out")

    line = index(tmp_path / "out")[0]
    assert (line["prompt"], line["var:style"]) == ("half \ufffd fox", "\ufffd")


HOSTILE = '`|<img src=x onerror=alert(1)>\n---\nlicense: mit\n# "\x1b[31m\u202e'


def test_the_card_says_what_is_known_and_that_the_licence_is_not(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1))
    folder.add(2, data=picture(2), flags=("blank", "near-duplicate"), provider="modelverse", model="m/two")
    folder.add(3, data=picture(3, "webp"), format="webp", provider="modelverse", model="m/two")
    folder.ledger.execute("UPDATE attempts SET price = NULL WHERE attempt_id = 3")
    folder.insert("jobs", {"sha256": "x", "body": b""})
    facts = {"run_id": "r", "job": "foxes", "job_sha256": "x", "night": "", "version": "1.2.3", "started_at": 1}
    folder.insert("runs", facts)

    export(folder, tmp_path / "out")

    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "unknown"
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": ["metadata.jsonl", "pictures/**"]}]
    assert {each["name"] for each in front["dataset_info"]["features"]} >= {"image", "prompt", "seed", "var:style"}
    for words in (
        "# 3 generated pictures",
        "by the job `foxes`, with batchgen `1.2.3`",
        "2 `png`, 1 `webp`",
        "| `m/two` | `modelverse` | 2 | 0.08 CNY + unknown for 1 |",
        "| `black-forest-labs/flux.1-dev` | `sandbox` | 1 | 0.08 CNY |",
        "What `sandbox` made is a rehearsal",
        "1 `blank`, 1 `near-duplicate`",
        "Unknown. What may be done with these pictures",
    ):
        assert words in card, words


def test_outside_words_end_neither_a_table_nor_the_front_matter(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1), model=HOSTILE, provider=HOSTILE, vars={HOSTILE: "x"}, prompt=HOSTILE)
    folder.ledger.execute("UPDATE attempts SET currency = ?", (HOSTILE,))
    folder.ledger.execute("UPDATE pictures SET flags = ?", (json.dumps([HOSTILE]),))

    export(folder, tmp_path / "out")

    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "unknown"
    assert f"var:{HOSTILE}" in [each["name"] for each in yaml.safe_load(front)["dataset_info"]["features"]]
    assert "\x1b" not in card
    assert "\u202e" not in card
    rows = [line for line in body.splitlines() if line.startswith("| `")]
    assert len(rows) == 1
    assert rows[0].count("|") == 5
    # Whatever holds a tag stands in a code span, which no word inside of it ends.
    assert [line for line in body.splitlines() if "<img" in "".join(line.split("`")[::2])] == []
    assert "license: mit" not in [line.strip() for line in card.splitlines()]


PEAK = """
import sys
from pathlib import Path
from batchgen.storage.ledger import open_reader
from batchgen.views.chosen import Choice
form, few, many = sys.argv[1], *map(Path, sys.argv[2:])
if form == "hf":
    from batchgen.views.hf_export import export_hf
    export = lambda *a: export_hf(*a, link=True)
elif form == "webdataset":
    from batchgen.views.webdataset_export import export_webdataset as export
else:
    from batchgen.views.parquet_export import export_parquet
    export = lambda *a: export_parquet(*a, with_pictures=form == "pictures")
for folder in (few, many):
    print(export(open_reader(folder), folder, Choice(), folder / "out").pictures)
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is asked of /proc")
@pytest.mark.parametrize(
    ("form", "count"), [("hf", 20_000), ("webdataset", 4_000), ("table", 12_000), ("pictures", 6_000)]
)
def test_memory_does_not_grow_with_the_number_of_pictures(form: str, count: int, tmp_path: Path) -> None:
    few, many = Folder(tmp_path / "few"), Folder(tmp_path / "many")
    few.fill(count // 3, "a fox in the snow, " * 20)
    many.fill(count, "a fox in the snow, " * 20)
    few.ledger.close()
    many.ledger.close()

    done = subprocess.run(
        [sys.executable, "-c", PEAK, form, few.path, many.path], capture_output=True, text=True, check=True
    )

    some, before_kb, all_of_them, after_kb = map(int, done.stdout.split())
    assert (some, all_of_them) == (count // 3, count)
    assert after_kb - before_kb < 20_000
