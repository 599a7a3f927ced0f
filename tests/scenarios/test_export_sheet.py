"""What a run made, on sheets to look at: every picture in its place, labels that can be read, words where one is missing."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from .conftest import KEY, Cli, bare_environment, manifest, sandbox_process, write_job

PROMPTS = """\
prompts:
  - {id: 狐狸, prompt: 雪地里的红狐狸，水墨画风格}
  - {id: city, prompt: "🌆 a city at night 👩\u200d🚀"}
  - {id: evil, prompt: '"><img src=x onerror=alert(1)>'}
  - {id: refused, prompt: "[[fault:400-content]] something else"}
  - {id: dark, prompt: "[[fault:black]] a lamp in {style}"}
vars: {style: [ink]}
models:
  - {id: black-forest-labs/flux.1-dev, params: {size: 640x480}}
  - {id: black-forest-labs/flux-kontext-pro/text-to-image, label: wide, params: {aspect_ratio: "16:9"}}
seeds: {count: 2}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run in which one prompt was refused and one picture is black."""
    home = tmp_path_factory.mktemp("sheets")
    job = write_job(home, PROMPTS)
    with sandbox_process(home) as server:
        variables = {"MODELVERSE_API_KEY": KEY, "MODELVERSE_BASE_URL": server.base_url}
        command = [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"]
        ran = subprocess.run(command, env=bare_environment(home, **variables), check=False, capture_output=True)
    assert ran.returncode == 3, ran.stderr
    return home / "outputs" / "foo"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the two that SQLite keeps beside a ledger that is open."""
    files = (
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".sqlite3-wal", ".sqlite3-shm"}
    )
    return {str(path): path.read_bytes() for path in files}


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.convert("RGB")


def test_all_pictures_are_on_one_sheet_with_labels_in_every_script_and_the_folder_is_left_alone(
    cli: Cli, made: Path, tmp_path: Path
) -> None:
    before = contents(made)

    ran = cli("export", made, "--format", "sheet", "--output", tmp_path / "sheets")

    sheet = tmp_path / "sheets" / "sheet-01.png"
    assert (ran.code, ran.out, ran.err) == (0, "", f"16 pictures in {sheet}\n")
    assert [path.name for path in sheet.parent.iterdir()] == ["sheet-01.png"]
    image = opened(sheet)
    assert 1000 < image.width < 4000
    assert image.width * image.height < 24_000_000
    assert contents(made) == before


def test_a_picture_stands_where_its_row_and_column_say_and_looks_as_it_is(cli: Cli, made: Path, tmp_path: Path) -> None:
    options = ("--rows", "prompt", "--columns", "try", "--cell", "64", "--only", "model=flux.1-dev")

    cli("export", made, "--format", "sheet", "--output", tmp_path, *options)

    sheet = opened(tmp_path / "sheet-01.png")
    rows = [row for row in manifest(made) if row["label"] == "flux.1-dev" and row["row"] in {"狐狸", "city"}]
    rows.sort(key=lambda row: (row["row"] == "city", row["try"]))
    found = []
    for row in rows:
        picture = opened(made / row["file_name"])
        picture.thumbnail((64, 64), Image.Resampling.LANCZOS, reducing_gap=3.0)
        found.append(place_of(picture, sheet))
    places = [at for at in found if at is not None]
    assert len(places) == 4
    (first, second), (third, fourth) = places[:2], places[2:]
    assert (first[0], second[0]) == (third[0], fourth[0])
    assert (first[1], third[1]) == (second[1], fourth[1])
    assert first[0] < second[0]
    assert first[1] < third[1]


def place_of(picture: Image.Image, sheet: Image.Image) -> tuple[int, int] | None:
    """Where a picture stands on a sheet, by its upper quarter: a flag may be further down."""
    probe = picture.crop((0, 0, picture.width, picture.height // 4))
    corner = probe.getpixel((0, 0))
    for left in range(sheet.width - probe.width + 1):
        for top in range(sheet.height - probe.height + 1):
            if sheet.getpixel((left, top)) != corner:
                continue
            there = sheet.crop((left, top, left + probe.width, top + probe.height))
            if ImageChops.difference(there, probe).getbbox() is None:
                return left, top
    return None


@pytest.mark.parametrize("file", ["jpeg", "pdf", "png"])
def test_many_pictures_are_split_over_several_sheets_or_pages(cli: Cli, made: Path, tmp_path: Path, file: str) -> None:
    ran = cli("export", made, "--format", "sheet", "--output", tmp_path, "--cell", "1600", "--file", file)

    assert ran.code == 0, ran.err
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix in {".png", ".jpg", ".pdf"})
    if file == "pdf":
        assert names == ["sheets.pdf"]
        content = (tmp_path / "sheets.pdf").read_bytes()
        pages = re.findall(rb"/Type /Page ", content)
        said = re.search(r"(\d+) pages", ran.err)
        assert said
        assert len(pages) == int(said[1]) > 1
        assert f"/Count {len(pages)}".encode() in content
    else:
        ending = {"jpeg": "jpg", "png": "png"}[file]
        assert names == [f"sheet-{number:02d}.{ending}" for number in range(1, len(names) + 1)]
        assert len(names) > 1
        assert all(max(opened(tmp_path / name).size) <= 8000 for name in names)


def test_a_later_export_replaces_all_sheets_of_an_earlier_one_and_nothing_else(
    cli: Cli, made: Path, tmp_path: Path
) -> None:
    cli("export", made, "--format", "sheet", "--output", tmp_path, "--cell", "1600")
    assert (tmp_path / "sheet-02.png").exists()
    (tmp_path / "sheet-90.png").write_bytes(b"somebody's own")

    ran = cli("export", made, "--format", "sheet", "--output", tmp_path, "--cell", "100")

    assert "in place of an earlier export" in ran.err
    assert {path.name for path in tmp_path.glob("sheet*")} == {"sheet-01.png", "sheet-90.png"}
    (tmp_path / "sheet-01.png").write_bytes(b"somebody's own")
    refused = cli("export", made, "--format", "sheet", "--output", tmp_path)
    assert refused.code == 2
    assert "is no contact sheet of batchgen, and is not replaced" in refused.err
    assert (tmp_path / "sheet-01.png").read_bytes() == b"somebody's own"


def test_a_planted_link_in_the_place_of_a_sheet_is_not_written_through(cli: Cli, made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_bytes(b"batchgen contact sheet, but mine")
    (tmp_path / "out" / "sheet-01.png").symlink_to(tmp_path / "precious")

    ran = cli("export", made, "--format", "sheet", "--output", tmp_path / "out")

    assert ran.code == 6
    assert (tmp_path / "precious").read_bytes() == b"batchgen contact sheet, but mine"


def test_a_changed_picture_is_words_on_the_sheet_and_counted(cli: Cli, made: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    cli("export", made, "--format", "sheet", "--output", whole)
    file = made / manifest(made)[0]["file_name"]
    before = file.read_bytes()
    try:
        file.write_bytes(bytes(len(before)))
        ran = cli("export", made, "--format", "sheet", "--output", tmp_path / "changed")
    finally:
        file.write_bytes(before)

    assert ran.code == 3
    assert "1 left out: file missing or changed" in ran.err
    assert "15 pictures" in ran.err
    sheets = [opened(folder / "sheet-01.png") for folder in (whole, tmp_path / "changed")]
    box = ImageChops.difference(*sheets).getbbox()
    assert box is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--columns", "stile"), "there is no axis stile"),
        (("--format", "csv", "--cell", "100"), "--cell is about contact sheets"),
        (("--cell", "9"), "48<=x<=2048"),
        (("--only", "row=nothing"), "--only fits no stored picture"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    cli: Cli, made: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    ran = cli("export", made, "--format", "sheet", "--output", tmp_path / "out", *options)

    assert ran.code == 2
    assert words in ran.err
    assert not (tmp_path / "out").exists()


def test_a_machine_without_fonts_for_a_script_says_which_to_install(made: Path, tmp_path: Path) -> None:
    """`fc-list` is looked for in PATH: one that knows a single font stands in for a machine with no others."""
    program = tmp_path / "bin" / "fc-list"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf\n")
    program.chmod(0o755)
    environment = bare_environment(tmp_path) | {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    ran = subprocess.run(
        [sys.executable, "-m", "batchgen", "export", str(made), "--format", "sheet", "--output", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "no installed font shows 狐 狸 雪 地 里 and" in ran.stderr
    assert "fonts-noto-cjk" in ran.stderr
    assert "fonts-noto-color-emoji" in ran.stderr


@pytest.mark.parametrize("record", ["[]", '{"prompt": 1}', "{{{", "null"])
def test_a_strangers_ledger_of_nonsense_is_said_in_words(cli: Cli, made: Path, tmp_path: Path, record: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    with sqlite3.connect(folder / "ledger.sqlite3") as ledger:
        ledger.execute("UPDATE tasks SET record = ? WHERE state = 'failed'", (record,))
    ledger.close()

    ran = cli("export", folder, "--format", "sheet", "--output", tmp_path / "out")

    assert ran.code == 6
    assert "cannot be read" in ran.err or "never writes" in ran.err
    assert not (tmp_path / "out").exists()
