"""What a run made is handed on as a table: whole, true to the manifest, harmless for a spreadsheet, and a prompt file again."""

import csv
import json
from pathlib import Path
from typing import Any

from .conftest import Cli, Server, manifest, write_job

PROMPTS = [
    "=1+1 lamps",
    "+cmd|' /C calc'!A0",
    "-2+3 chairs",
    "@SUM(A1) on a sign",
    "\ta tab before a lamp",
    "\ra return before a lamp",
    "\na line before a lamp",
    " =a formula after a space",
    "\uff1d1+1 in wide letters",
    "'=already with an apostrophe",
    "'quoted' lamp",
    'a "quoted" lamp, and "another"',
    "two\nlines\r\nand a third; =1+1\rend",
    "a lamp, a chair; a table\tand {braces}",
    "雪地里的红狐狸，“引号”",
    "🌆 a city \u202e and its mirror",
    "-12.50",
]
OTHER_NAMES = {"model": "from_model", "seed": "from_seed"}


def made(cli: Cli, sandbox: Server, tmp_path: Path, prompts: list[str] = PROMPTS) -> Path:
    """A folder with a picture for each prompt, which has a column beside it, and for a fox in two styles."""
    job = write_job(
        tmp_path,
        "prompts: [{file: odd.jsonl, literal: true}, '{style} fox']\n"
        "vars: {style: {ink: '=ink', oil: oil}}\nmodels: [black-forest-labs/flux.1-dev]\n"
        "params: {size: 256x256, steps: 1}\n",
    )
    rows = [{"prompt": prompt, "sku": f"={number}"} for number, prompt in enumerate(prompts)]
    (tmp_path / "jobs" / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = cli("run", job, base_url=sandbox.base_url)
    assert ran.code == 0, ran.err
    return tmp_path / "outputs" / "foo"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def taken_back(row: dict[str, str]) -> dict[str, str]:
    """The row without the apostrophes that it says it was given."""
    names = json.loads(row["apostrophe_before"] or "[]")
    assert all(row[name].startswith("'") for name in names)
    return {name: cell[1:] if name in names else cell for name, cell in row.items()}


def as_cells(line: dict[str, Any], folder: Path) -> dict[str, str]:
    """What the table has to hold for one line of the manifest."""
    cells: dict[str, str] = {}
    for name, value in line.items():
        if name == "vars":
            values = json.loads(value)
            cells |= {f"var:{variable}": values.get(variable, "") for variable in ("sku", "style")}
        else:
            cells[OTHER_NAMES.get(name, name)] = str(value)
    return cells | {"image": str(folder / line["file_name"])}


def test_every_cell_of_a_real_run_is_what_the_manifest_says_and_no_spreadsheet_calculates_it(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folder = made(cli, sandbox, tmp_path)
    exports = tmp_path / "to hand on" / "today"

    exported = cli("export", tmp_path / "jobs" / "foo.yaml", "--format", "csv", "--output", exports)

    rows = table(exports / "pictures.csv")
    expected = [as_cells(line, folder) for line in manifest(folder)]
    assert (exported.code, exported.out) == (0, "")
    assert exported.err == f"{len(PROMPTS) + 2} pictures in {exports / 'pictures.csv'}\n"
    assert [list(row) for row in rows] == [[*expected[0], "apostrophe_before"]] * len(rows)
    plain = [{name: cell for name, cell in taken_back(row).items() if name != "apostrophe_before"} for row in rows]
    assert plain == expected
    assert {row["prompt"] for row in plain} == {*PROMPTS, "=ink fox", "oil fox"}
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell.strip()[:1] in {*"=+@＝"} or cell[:1] in {*"\t\r\n"}] == []
    assert [cell for cell in cells if cell.startswith("-")] == ["-12.50"]
    assert all(Path(row["image"]).stat().st_size == int(row["bytes"]) for row in plain)


def test_a_table_is_a_prompt_file_of_an_edit_job_and_the_chosen_pictures_are_what_is_edited(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folder = made(cli, sandbox, tmp_path)
    chosen = cli("export", folder, "--format", "csv", "--output", tmp_path / "picked", "--only", "row=*lamp*")
    assert chosen.code == 0, chosen.err
    edit = write_job(
        tmp_path,
        "prompts:\n  - {file: ../picked/pictures.csv, literal: true}\n"
        "  - {file: ../picked/pictures.csv, prompt: '{from_seed}: make it night', params: {image: '{image}'}}\n"
        "models: [black-forest-labs/flux-kontext-pro]\nseeds: {count: 2}\n",
        "edit.yaml",
    )

    ran = cli("run", edit, base_url=sandbox.base_url)

    rows = [taken_back(row) for row in table(tmp_path / "picked" / "pictures.csv")]
    edited = manifest(tmp_path / "outputs" / "edit")
    assert ran.code == 0, ran.err
    assert 1 < len(rows) < len(PROMPTS)
    assert len(edited) == 2 * 2 * len(rows)
    pictures = sorted(json.loads(line["params"])["image"] for line in edited)
    assert pictures == sorted(4 * [f"inputs/{row['sha256']}.{row['format']}" for row in rows])
    assert {f"{row['from_seed']}: make it night" for row in rows} < {line["prompt"] for line in edited}


def test_prompts_like_formulas_come_back_byte_for_byte_when_the_table_is_a_prompt_file(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folder = made(cli, sandbox, tmp_path)
    exported = cli("export", folder, "--format", "csv", "--output", tmp_path / "out")
    assert exported.code == 0, exported.err
    edit = write_job(
        tmp_path,
        "prompts: [{file: ../out/pictures.csv, literal: true}]\nmodels: [black-forest-labs/flux-kontext-pro]\n",
        "edit.yaml",
    )

    ran = cli("run", edit, base_url=sandbox.base_url)

    assert ran.code == 0, ran.err
    assert {line["prompt"] for line in manifest(tmp_path / "outputs" / "edit")} == {
        line["prompt"] for line in manifest(folder)
    }


def test_a_moved_folder_is_exported_as_it_lies_now_and_what_is_gone_from_it_is_told_of_and_left_out(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    moved = made(cli, sandbox, tmp_path, PROMPTS[:2]).rename(tmp_path / "moved")
    lines = manifest(moved)
    (moved / lines[0]["file_name"]).unlink()
    (moved / lines[1]["file_name"]).write_bytes(b"shorter")

    exported = cli("export", moved, "--format", "csv", "--output", tmp_path)

    assert exported.code == 3
    assert exported.err.splitlines() == [
        f"2 pictures in {tmp_path / 'pictures.csv'}",
        f"  2 left out: file missing or changed; next: batchgen verify {moved}",
    ]
    assert [row["image"] for row in table(tmp_path / "pictures.csv")] == [
        f"{moved}/{line['file_name']}" for line in lines[2:]
    ]


def test_what_cannot_be_exported_is_said_and_nothing_is_written(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    folder = made(cli, sandbox, tmp_path, PROMPTS[:1])
    empty, exports = tmp_path / "empty", tmp_path / "exports"
    empty.mkdir()
    to = ("--format", "csv", "--output", exports)

    no_ledger = cli("export", empty, *to)
    no_match = cli("export", folder, *to, "--only", "style=chalk")
    no_name = cli("export", folder, *to, "--only", "stile=ink")
    no_format = cli("export", folder, "--output", exports)

    assert [each.code for each in (no_ledger, no_match, no_name, no_format)] == [2, 2, 2, 2]
    assert "no ledger" in no_ledger.err
    assert "fits no stored picture" in no_match.err
    assert "did you mean style?" in no_name.err
    assert "--format" in no_format.err
    assert not exports.exists() or list(exports.iterdir()) == []


def test_the_verb_stands_in_the_help_and_explains_itself(cli: Cli) -> None:
    general, own = cli("--help"), cli("export", "--help")

    look = general.out.partition("Look:")[2].partition("Keep house:")[0]
    assert "  export " in look
    assert own.out.partition("Examples:")[2].count("batchgen export ") > 2
