"""Every stored picture says how it was made, and the job that it prints asks for the very same task."""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.spec.expand import expand
from batchgen.spec.load import load_job
from batchgen.storage.recipes import read_recipe, strip

from .conftest import Cli, Server, manifest, write_job

JOBS = Path(__file__).parents[2] / "jobs"
ODD = (
    "prompts:\n"
    '  - {prompt: "a {fox}: --- \\"x\\" \\n # no\\ttab 狐 🦊 \\u202e", literal: true}\n'
    "  - {prompt: '*', id: star}\n"
    "models: [black-forest-labs/flux.1-dev]\nparams: {n: 2, guidance_scale: 3.5}\n"
)


def task_ids(job: Path, base_url: str = "") -> list[str]:
    environment = {"MODELVERSE_BASE_URL": base_url} if base_url else {}
    return [task.task_id for task in expand(load_job(job, environment=environment), night="")]


def printed(cli: Cli, picture: Path, to: Path) -> Path:
    told = cli("recipe", picture)
    assert told.code == 0, told.err
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(told.out, encoding="utf-8")
    return to


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import subprocess
    import sys

    from tests.scenarios.conftest import bare_environment

    place = tmp_path_factory.mktemp("demo")
    shutil.copytree(JOBS, place / "jobs")
    subprocess.run(
        [sys.executable, "-m", "batchgen", "run", "--quiet", str(place / "jobs" / "demo.yaml")],
        check=True,
        env=bare_environment(place),
        cwd="/",
        timeout=110,
    )
    return place / "outputs" / "demo"


def test_the_recipe_of_every_picture_of_the_demo_is_its_task(demo: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from batchgen.cli.recipe import command

    rows = manifest(demo)
    assert len(rows) == 38
    for number, row in enumerate(rows):
        told = CliRunner().invoke(command, [str(demo / row["file_name"])])
        assert told.exit_code == 0, told.output
        job = tmp_path / f"{number}.yaml"
        job.write_text(told.output, encoding="utf-8")
        assert task_ids(job) == [row["task_id"]], told.output


def test_a_copy_elsewhere_names_the_input_pictures_that_it_needs(cli: Cli, demo: Path, tmp_path: Path) -> None:
    row = next(row for row in manifest(demo) if "images" in json.loads(row["params"]))
    copy = tmp_path / "elsewhere" / "copy.bin"
    copy.parent.mkdir()
    shutil.copy(demo / row["file_name"], copy)

    job = printed(cli, copy, tmp_path / "jobs" / "again.yaml")

    wanted = json.loads(row["params"])["images"]
    assert all(f"needs an input picture beside this file: {name}" in job.read_text() for name in wanted)
    (job.parent / "inputs").mkdir()
    for name in wanted:
        shutil.copy(demo / name, job.parent / name)
    assert task_ids(job) == [row["task_id"]]


def test_odd_prompts_and_fields_come_back_as_they_were(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, ODD)
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"

    rows = manifest(folder)
    found = [
        task_ids(printed(cli, folder / row["file_name"], tmp_path / "again.yaml"), sandbox.base_url) for row in rows
    ]

    assert len(rows) == 4
    assert found == [[row["task_id"]] for row in rows]
    again = printed(cli, folder / rows[0]["file_name"], tmp_path / "jobs" / "again.yaml")
    assert "made by a service on a machine of its own" in again.read_text()


def test_the_pixels_and_the_received_bytes_are_untouched(cli: Cli, demo: Path) -> None:
    for row in manifest(demo):
        data = (demo / row["file_name"]).read_bytes()
        received = strip(data)
        assert hashlib.sha256(received).hexdigest() == row["source_sha256"] != row["sha256"]
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        with Image.open(io.BytesIO(data)) as carrying, Image.open(io.BytesIO(received)) as plain:
            assert carrying.tobytes() == plain.tobytes()
    assert cli("verify", demo).code == 0


def test_programs_that_show_parameters_show_them(demo: Path) -> None:
    row = next(row for row in manifest(demo) if row["label"] == "flux.1-dev")
    with Image.open(demo / row["file_name"]) as picture:
        shown = picture.info.get("parameters") or comment_of(picture)
    assert shown.startswith(row["prompt"])
    assert f"Seed: {row['seed']}" in shown


def comment_of(picture: Any) -> str:
    raw: bytes = picture.getexif().get_ifd(0x8769)[0x9286]
    assert raw.startswith(b"UNICODE\0")
    return raw[8:].decode("utf-16-be")


def test_a_job_that_wants_none_gets_none_and_the_folder_still_knows(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\noutput: {embed: false}\n")
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"
    (row,) = manifest(folder)
    picture = folder / row["file_name"]
    copy = shutil.copy(picture, tmp_path / "copy.png")

    told = cli("recipe", copy)

    assert read_recipe(picture.read_bytes()) is None
    assert row["sha256"] == row["source_sha256"]
    assert task_ids(printed(cli, picture, tmp_path / "again.yaml"), sandbox.base_url) == [row["task_id"]]
    assert (told.code, told.out) == (2, "")
    assert "carries no recipe" in told.err


def test_a_ledger_made_anew_from_pictures_and_manifest_buys_nothing(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, a cup]\nmodels: [black-forest-labs/flux.1-dev]\n")
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"
    for part in folder.glob("ledger.sqlite3*"):
        part.unlink()

    rebuilt = cli("verify", folder, "--rebuild", base_url=sandbox.base_url)
    again = cli("run", job, base_url=sandbox.base_url)

    assert (rebuilt.code, again.code) == (0, 0), rebuilt.err
    assert len(sandbox.bill()["entries"]) == 2


def test_nothing_secret_and_no_path_of_the_machine_is_in_a_recipe(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    shutil.copytree(JOBS / "products", tmp_path / "jobs" / "products")
    job = write_job(
        tmp_path,
        "prompts: [a lamp]\nmodels: [black-forest-labs/flux-kontext-pro]\nparams: {image: products/chair.jpg}\n",
    )
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"
    (row,) = manifest(folder)

    text = read_recipe((folder / row["file_name"]).read_bytes())

    assert text is not None
    assert "sk-" not in text
    assert str(tmp_path) not in text
    assert "inputs/" in text


def test_a_strangers_picture_prints_nothing_but_a_job(cli: Cli, tmp_path: Path) -> None:
    from batchgen.storage.recipes import embed
    from tests.storage.pictures import drawing, encoded

    plain = encoded(drawing(), "PNG")
    fields: dict[str, Any] = {
        "task_id": "a\n- x",
        "provider": "sandbox\nname: x",
        "model": "m",
        "label": "l",
        "prompt_id": "p",
    }
    fields |= {"prompt": "x\n---\n\x1b[31mred", "row": "", "night": "", "seed": 1, "params": {"a\nb": "\x9b"}}
    recipes = [
        json.dumps({"schema": "batchgen-recipe/1", **fields, "extra_params": {}, "vars": {}}),
        '{"schema": "batchgen-recipe/1"}',
        "[" * 50_000,
        '{"schema": NaN}',
        "no json",
    ]
    for number, recipe in enumerate(recipes):
        picture = tmp_path / f"{number}.png"
        picture.write_bytes(embed(plain, "png", recipe, "words"))
        told = cli("recipe", picture)
        assert told.code == (0 if number == 0 else 2), told.err
        assert "\x1b" not in told.out + told.err
        assert [line for line in told.out.splitlines() if line.startswith(("---", "- x", "name: x"))] == []
