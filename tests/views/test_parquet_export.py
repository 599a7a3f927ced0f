"""Parquet: a schema that no row changes, groups of rows of bounded size, and words where pyarrow is missing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.views import parquet_export
from batchgen.views.chosen import Choice, Exported
from batchgen.views.parquet_export import export_parquet

from .stored import Folder, picture

pyarrow = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "foo")
    yield made
    made.ledger.close()


def export(folder: Folder, output: Path, *, with_pictures: bool = True) -> Exported:
    reader = folder.reader()
    try:
        return export_parquet(reader, folder.path, Choice(), output, with_pictures=with_pictures)
    finally:
        reader.close()


def test_the_schema_is_the_same_with_one_row_many_and_none(folder: Folder, tmp_path: Path) -> None:
    schemas = [pyarrow.read_schema(export(folder, tmp_path / "none").path / "pictures-00000.parquet")]
    folder.add(1, data=picture(1), vars={})
    schemas.append(pyarrow.read_schema(export(folder, tmp_path / "one").path / "pictures-00000.parquet"))
    folder.add(2, data=picture(2), params={}, seed=2**62, vars={})
    schemas.append(pyarrow.read_schema(export(folder, tmp_path / "two").path / "pictures-00000.parquet"))

    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert schemas[1].equals(schemas[2], check_metadata=True)
    assert {str(field.type) for field in schemas[0]} == {
        *("string", "int64", "double"),
        "struct<bytes: binary, path: string>",
    }


def test_rows_are_written_in_groups_and_groups_in_files(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_export, "GROUP_ROWS", 2)
    monkeypatch.setattr(parquet_export, "FILE_BYTES", 1)
    for number in range(1, 6):
        folder.add(number, data=picture(number))

    export(folder, tmp_path)
    monkeypatch.setattr(parquet_export, "FILE_BYTES", 10**9)
    export(folder, tmp_path / "one")

    files = sorted((tmp_path / "parquet").glob("*.parquet"))
    assert [file.name for file in files] == [f"pictures-{number:05}.parquet" for number in range(3)]
    assert [pyarrow.read_metadata(file).num_rows for file in files] == [2, 2, 1]
    assert pyarrow.read_metadata(tmp_path / "one" / "parquet" / "pictures-00000.parquet").num_row_groups == 3
    seen = [name for file in files for name in pyarrow.read_table(file)["file_name"].to_pylist()]
    assert seen == [f"images/{number}.png" for number in range(1, 6)]


def test_large_pictures_make_small_groups(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_export, "GROUP_BYTES", 1)
    for number in range(1, 4):
        folder.add(number, data=picture(number))

    export(folder, tmp_path)

    assert pyarrow.read_metadata(tmp_path / "parquet" / "pictures-00000.parquet").num_row_groups == 3


def test_without_pictures_nothing_of_them_is_read(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1)).write_bytes(picture(1)[::-1])

    with_pictures, table = export(folder, tmp_path / "a"), export(folder, tmp_path / "b", with_pictures=False)

    assert (with_pictures.pictures, with_pictures.left_out) == (0, 1)
    assert (table.pictures, table.left_out) == (1, 0)


def test_where_pyarrow_is_missing_the_extra_is_named_and_nothing_is_written(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1))
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pyarrow.py").write_text("raise ImportError('no pyarrow here')\n")
    verb = ["export", str(folder.path), "--format", "parquet", "--output", str(tmp_path / "out")]

    done = subprocess.run(
        [sys.executable, "-m", "batchgen", *verb],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "without")},
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert "needs pyarrow, which is not installed" in done.stderr
    assert "pip install 'batchgen[parquet]'" in done.stderr
    assert not (tmp_path / "out").exists()
