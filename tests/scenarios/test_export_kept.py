"""What is marked in the gallery is handed on: as a data set, as shards, as tables, and as the prompts of an edit job."""

import csv
import json
from pathlib import Path

import pytest

from .conftest import Cli, Server, manifest, write_job

JOB = """
prompts: ['{style} fox', '狐狸 “{style}”']
vars: {style: {ink: black ink, oil: thick oil}}
models: [{id: black-forest-labs/flux.1-dev, label: dev}]
params: {size: 256x256, steps: 1}
"""


@pytest.fixture
def folder(cli: Cli, sandbox: Server, tmp_path: Path) -> Path:
    ran = cli("run", write_job(tmp_path, JOB), base_url=sandbox.base_url)
    assert ran.code == 0, ran.err
    return tmp_path / "outputs" / "foo"


def mark(path: Path, folder: Path, kept: int) -> list[str]:
    """Marks for all pictures of a folder, the first of which are kept: their names."""
    lines = manifest(folder)
    words = {f"{line['task_id']}-{line['picture']}": "keep" if n < kept else "reject" for n, line in enumerate(lines)}
    path.write_text(json.dumps({"batchgen": "marks/1", "job": "foo", "marks": words}))
    return [line["file_name"] for line in lines[:kept]]


def test_kept_pictures_are_the_prompts_of_an_edit_job(cli: Cli, sandbox: Server, folder: Path, tmp_path: Path) -> None:
    kept = mark(folder / "marks.json", folder, 2)
    exported = cli("export", folder, "--format", "csv", "--output", tmp_path / "picked", "--kept")
    assert (exported.code, exported.err) == (0, f"2 pictures in {tmp_path / 'picked' / 'pictures.csv'}\n")
    edit = write_job(
        tmp_path,
        "prompts:\n  - {file: ../picked/pictures.csv, prompt: make it night, params: {image: '{image}'}}\n"
        "models: [black-forest-labs/flux-kontext-pro]\n",
        "night.yaml",
    )

    planned = cli("plan", edit, base_url=sandbox.base_url)
    ran = cli("run", edit, base_url=sandbox.base_url)

    with (tmp_path / "picked" / "pictures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    edited = manifest(tmp_path / "outputs" / "night")
    assert (planned.code, ran.code) == (0, 0), planned.err + ran.err
    assert [row["file_name"] for row in rows] == kept
    assert [line["prompt"] for line in edited] == ["make it night"] * 2
    assert sorted(json.loads(line["params"])["image"] for line in edited) == sorted(
        f"inputs/{row['sha256']}.{row['format']}" for row in rows
    )


def test_every_format_takes_marks_and_says_how_many_went_where(cli: Cli, folder: Path, tmp_path: Path) -> None:
    kept = mark(tmp_path / "marks (1).json", folder, 3)
    to = ("--kept", "--marks", tmp_path / "marks (1).json", "--output", tmp_path / "out")

    said = {
        kind: cli("export", tmp_path / "jobs" / "foo.yaml", "--format", kind, *to)
        for kind in ("hf", "webdataset", "parquet")
    }
    again = cli("export", folder, "--format", "hf", "--pictures", "link", *to)

    out = tmp_path / "out"
    assert [each.code for each in (*said.values(), again)] == [0] * 4
    assert said["hf"].err == f"3 pictures in {out}\n"
    assert said["webdataset"].err == f"3 pictures in {out / 'shards'}\n  1 shard: png-*.tar\n"
    assert said["parquet"].err == f"3 pictures in {out / 'parquet'}\n"
    assert again.err == f"3 pictures in {out}, in place of an earlier export\n"
    lines = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [line["original_name"] for line in lines] == kept
    assert all((out / line["file_name"]).samefile(folder / line["original_name"]) for line in lines)


def test_what_makes_no_sense_is_said_and_nothing_is_written(cli: Cli, folder: Path, tmp_path: Path) -> None:
    to = ("--output", tmp_path / "out")

    no_marks = cli("export", folder, "--format", "hf", "--kept", *to)
    no_file = cli("export", folder, "--format", "hf", "--kept", "--marks", tmp_path / "none.json", *to)
    no_kept = cli("export", folder, "--format", "hf", "--marks", tmp_path / "none.json", *to)
    wrong = [
        cli("export", folder, "--format", kind, "--pictures", how, *to)
        for kind, how in [("csv", "copy"), ("hf", "none"), ("webdataset", "link"), ("parquet", "link")]
    ]

    assert [each.code for each in (no_marks, no_file, no_kept, *wrong)] == [2] * 7
    assert "holds no marks.json" in no_marks.err
    assert "press K on each picture" in no_marks.err
    assert "no such file" in no_file.err
    assert "--marks says nothing without --kept" in no_kept.err
    assert all("--pictures" in each.err for each in wrong)
    assert not (tmp_path / "out").exists()


def test_a_picture_that_is_gone_is_left_out_and_the_exit_code_says_so(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / manifest(folder)[0]["file_name"]).unlink()

    left_out = [
        cli("export", folder, "--format", kind, "--output", tmp_path / "out")
        for kind in ("hf", "webdataset", "parquet")
    ]

    assert [each.code for each in left_out] == [3] * 3
    assert all("1 left out: file missing or changed; next: batchgen verify" in each.err for each in left_out)
