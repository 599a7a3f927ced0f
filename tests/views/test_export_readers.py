"""What is exported is read by the programs that it is made for: every column, type, value and picture as the manifest says."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from batchgen.engine.rows import manifest_row
from batchgen.storage.queries import manifest_rows
from batchgen.views.chosen import Choice
from batchgen.views.hf_export import export_hf
from batchgen.views.parquet_export import export_parquet
from batchgen.views.webdataset_export import export_webdataset

from .readers import read_all
from .stored import Folder, picture

PROMPTS = [
    "雪地里的红狐狸，“引号”",
    '🦊 a "quoted" fox,\r\na tab\tand <b>\u2028 {braces}\\',
    "",
    "2026-05-31",
    "=1+1",
    "\x1b[31mred\x00",
]
VARS = {
    "split": "test",
    "image": "a.png",
    "label": "dev",
    "text": "",
    "datum": "2026-05-31",
    "photo_file_name": "images/none.png",
    "photo_file_name_": "other",
    "files_file_names": "a|b",
    "a.b, c": "é",
    "__key__": "k",
    "class": "1",
    '🦊 墨 \U000e0041\u202e\u2028\ufeff\x85\n"\\ #': "odd",
}
TIMES = {"2026-05-31", "2026-05-31T10:00:00Z"}
FIXED = {"seed": "int64", "try": "int64", "index": "int64", "width": "int64", "height": "int64", "bytes": "int64"}
FIXED |= {"latency_s": "float64", "attempts": "int64", "maybe_billed": "int64", "picture": "int64"}
ENDINGS = {"png": "png", "jpeg": "jpg", "webp": "webp"}


@dataclass
class Read:
    """What the readers found, and what the manifest says."""

    lines: list[dict[str, Any]]
    files: dict[str, bytes]
    imagefolder: dict[str, Any]
    card: dict[str, Any]
    parquet: dict[str, Any]
    pyarrow: dict[str, Any]
    table: dict[str, Any]
    shards: dict[str, dict[str, Any]]
    wds: list[dict[str, Any]]

    def variables(self, line: dict[str, Any]) -> dict[str, str]:
        given = json.loads(line["vars"])
        names = {name: f"var:{name}" for name in (*VARS, "style")}
        names |= {
            "photo_file_name": "var:photo_file_name_",
            "photo_file_name_": "var:photo_file_name__",
            "files_file_names": "var:files_file_names_",
        }
        return {column: given.get(name, "") for name, column in names.items()}


def filled(path: Path) -> Folder:
    folder = Folder(path)
    number = 0
    for kind in ENDINGS:
        for prompt in PROMPTS:
            number += 1
            folder.add(
                number,
                data=picture(number, kind, 8 + number),
                format=kind,
                file_name=f"images/test/flux.1-dev/train-{number}.v2.{kind}",
                prompt=prompt,
                vars=VARS if number % 2 else {"style": "墨"},
                night="2026-05-31",
                seed=9_223_372_036_854_775_807 if number == 2 else number,
                params={"size": "auto" if number % 2 else 1, "guidance_scale": 4},
                flags=("blank", "duplicate") if number == 3 else (),
            )
    for second in range(2, 5):
        folder.add_picture(1, second, 100 + second, data=picture(100 + second), file_name=f"images/n-{second}.png")
    return folder


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    home = tmp_path_factory.mktemp("exports")
    folder = filled(home / "outputs" / "test")
    output = home / "validation" / "flux.1-dev test"
    reader = folder.reader()
    lines = [json.loads(manifest_row(facts).to_line()) for facts in manifest_rows(reader)]
    for export in (export_hf, export_webdataset, export_parquet):
        assert export(reader, folder.path, Choice(), output / export.__name__).pictures == len(lines)
    export_parquet(reader, folder.path, Choice(), output / "table", with_pictures=False)
    reader.close()
    folder.ledger.close()
    shards = output / "export_webdataset" / "shards"
    imagefolder, card, parquet, pyarrow, table, wds, *each = read_all(
        home / "cache",
        [
            ("imagefolder", output / "export_hf"),
            ("folder", output / "export_hf"),
            ("parquet", output / "export_parquet"),
            ("pyarrow", output / "export_parquet" / "parquet"),
            ("pyarrow", output / "table" / "parquet"),
            ("wds", shards),
            *(("webdataset", shards / f"{ending}-*.tar") for ending in ENDINGS.values()),
        ],
    )
    files = {line["file_name"]: (folder.path / line["file_name"]).read_bytes() for line in lines}
    return Read(
        lines, files, imagefolder, card, parquet, pyarrow, table, dict(zip(ENDINGS.values(), each, strict=True)), wds
    )


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("how", ["imagefolder", "card"])
def test_an_imagefolder_has_one_split_and_every_column_and_picture(how: str, read: Read) -> None:
    splits = getattr(read, how)

    assert list(splits) == ["train"]
    rows, types = splits["train"]["rows"], splits["train"]["types"]
    names = ["original_name" if name == "file_name" else name for name in read.lines[0]]
    assert list(types) == ["image", *names, *sorted(types.keys() - {"image", *names})]
    assert {name: kind for name, kind in types.items() if name != "image"} == {
        name: f"Value('{FIXED.get(name, 'string')}')" for name in types if name != "image"
    }
    assert "Image" in types["image"]
    assert [row["image"]["sha256"] for row in rows] == [sha(read.files[line["file_name"]]) for line in read.lines]
    expected = [
        {"original_name" if name == "file_name" else name: value for name, value in line.items()} | read.variables(line)
        for line in read.lines
    ]
    # A text that is wholly a time has a space after it, without which readers would make times of a whole column.
    marked = [{name: f"{cell} " if cell in TIMES else cell for name, cell in row.items()} for row in expected]
    assert [{name: cell for name, cell in row.items() if name != "image"} for row in rows] == marked
    assert {row["night"] for row in rows} == {"2026-05-31 "}


def test_a_parquet_file_shows_its_pictures_and_has_every_column_as_it_is_in_the_manifest(read: Read) -> None:
    assert list(read.parquet) == ["train"]
    rows, types = read.parquet["train"]["rows"], read.parquet["train"]["types"]

    assert "Image" in types["image"]
    assert {name: kind for name, kind in types.items() if name != "image"} == {
        name: f"Value('{FIXED.get(name, 'string')}')" for name in types if name != "image"
    }
    assert [{name: cell for name, cell in row.items() if name != "image"} for row in rows] == [
        line | read.variables(line) for line in read.lines
    ]
    assert [row["image"]["sha256"] for row in rows] == [line["sha256"] for line in read.lines]


@pytest.mark.parametrize("how", ["pyarrow", "table"])
def test_pyarrow_reads_the_same_with_and_without_pictures(how: str, read: Read) -> None:
    found = getattr(read, how)

    rows = [{name: cell for name, cell in row.items() if name != "image"} for row in found["rows"]]
    assert rows == [line | read.variables(line) for line in read.lines]
    assert {name: kind for name, kind in found["types"].items() if name != "image"} == {
        name: {"float64": "double"}.get(FIXED.get(name, "string"), FIXED.get(name, "string")) for name in rows[0]
    }
    if how == "table":
        assert "image" not in found["types"]
    else:
        assert found["types"]["image"] == "struct<bytes: binary, path: string>"
        assert [row["image"]["path"] for row in found["rows"]] == [
            f"{line['task_id']}-{line['picture']}.{ENDINGS[line['format']]}" for line in read.lines
        ]


def test_webdataset_reads_every_sample_with_picture_prompt_and_line_of_the_manifest(read: Read) -> None:
    found = {sample["key"]: sample for sample in read.wds}

    assert len(found) == len(read.wds) == len(read.lines)
    for line in read.lines:
        sample = found[f"{line['task_id']}-{line['picture']}"]
        assert sample["kinds"] == sorted(["txt", "json", ENDINGS[line["format"]]])
        assert (sample["txt"], sample["json"]) == (line["prompt"], line)
        assert sample["picture"]["sha256"] == line["sha256"]
        assert sample["decoded"] == sample["picture"]["size"]


@pytest.mark.parametrize(("kind", "ending"), ENDINGS.items())
def test_datasets_reads_the_shards_of_one_format(kind: str, ending: str, read: Read) -> None:
    assert list(read.shards[ending]) == ["train"]
    rows, types = read.shards[ending]["train"]["rows"], read.shards[ending]["train"]["types"]

    expected = [line for line in read.lines if line["format"] == kind]
    assert "Image" in types[ending]
    assert [row["json"] for row in rows] == expected
    assert [row["txt"] for row in rows] == [line["prompt"] for line in expected]
    assert [row[ending]["sha256"] for row in rows] == [line["sha256"] for line in expected]
