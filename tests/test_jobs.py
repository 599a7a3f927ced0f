"""The example jobs run as they are, through the real command line, in a copy of the checkout's layout."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batchgen.catalog.catalog import load_provider

from .scenarios.conftest import KEY, Ran, bare_environment, manifest, report, sandbox_process

ROOT = Path(__file__).parent.parent
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))
NAMES = {"demo.yaml", "first.yaml", "edit-products.yaml", "nightly.yaml"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with `jobs/`, so that outputs go beside it and not into the checkout."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs", ignore=shutil.ignore_patterns(".env"))
    return tmp_path


def cli(home: Path, *arguments: object, **environment: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "batchgen", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=bare_environment(home, **environment),
        cwd="/",
        timeout=110,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in (folder / "images").rglob("*") if path.is_file()}


def ended(folder: Path) -> dict[str, Any]:
    """The report of a run that made everything, with its files counted."""
    result = report(folder)
    assert result["counts"]["done"] == result["counts"]["tasks"]
    assert files_of(folder) == {row["file_name"] for row in manifest(folder)}
    return result


def test_the_examples_are_these() -> None:
    assert {path.name for path in JOBS} == NAMES


def test_every_example_is_fine_as_it_is(home: Path) -> None:
    checked = cli(home, "validate", *sorted((home / "jobs").glob("*.yaml")))

    assert (checked.code, checked.err) == (0, "")
    assert checked.out.count(": fine: ") == len(JOBS)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_every_example_can_be_planned_and_leaves_nothing_out(job: Path, home: Path) -> None:
    planned = cli(home, "plan", home / "jobs" / job.name, "--json")

    assert planned.code == 0, planned.err
    plan = json.loads(planned.out)
    assert plan["new"] == plan["pictures"] > 0
    assert (plan["left_out"], plan["warnings"], plan["price_unknown"]) == ([], [], False)


def test_the_demo_makes_pictures_of_all_eight_models_and_is_then_done(home: Path) -> None:
    job, folder = home / "jobs" / "demo.yaml", home / "outputs" / "demo"

    first = cli(home, "run", job)
    again = cli(home, "run", job)

    assert (first.code, again.code) == (0, 0), first.err + again.err
    ended(folder)
    rows = manifest(folder)
    assert {row["model"] for row in rows} == {*load_provider("modelverse").models}
    assert f"{len(rows)} pictures of all eight models" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len({(row["width"], row["height"]) for row in rows}) >= 5
    # The sandbox's edits look nearly alike under two seeds, as real ones may.
    assert {row["flags"] for row in rows} <= {"[]", '["near-duplicate"]'}
    assert len([*(folder / "inputs").iterdir()]) == 4
    assert "nothing was sent" in again.err


def test_the_first_real_job_is_the_example_of_the_api_page_and_buys_one_picture(home: Path) -> None:
    job = home / "jobs" / "first.yaml"
    asked = json.loads(re.findall(r"'(\{.*\})'", (ROOT / "tests/golden/page-curl.sh").read_text(), re.DOTALL)[0])

    with sandbox_process(home) as server:
        ran = cli(home, "run", job, MODELVERSE_BASE_URL=server.base_url, MODELVERSE_API_KEY=KEY)
        bill = server.bill()

    assert ran.code == 0, ran.err
    assert [(entry["model"], entry["prompt"], entry["pictures"]) for entry in bill["entries"]] == [
        (asked["model"], asked["prompt"], 1)
    ]
    assert "budget: {images: 5}" in job.read_text()


def test_without_a_key_the_first_real_job_says_what_to_do_and_leaves_nothing(home: Path) -> None:
    ran = cli(home, "run", home / "jobs" / "first.yaml")

    assert ran.code == 7
    assert "export MODELVERSE_API_KEY=" in ran.err
    assert not (home / "outputs").exists()


def test_every_product_of_the_table_gets_its_edited_pictures(home: Path) -> None:
    folder = home / "outputs" / "edit-products"

    ran = cli(home, "run", home / "jobs" / "edit-products.yaml", "--set", "steps=1", "--limit", "8")

    assert ran.code == 0, ran.err
    ended(folder)
    rows = manifest(folder)
    lines = (home / "jobs" / "products" / "products.csv").read_text().splitlines()[1:]
    skus = [line.split(",")[0] for line in lines]
    assert Counter(row["row"] for row in rows) == dict.fromkeys(skus, 2)
    assert {re.sub(r"\.\w+$", "", name) for name in files_of(folder)} == {
        f"images/{sku}/{model}-1" for sku in skus for model in ("pro", "step1x")
    }
    assert len({json.loads(row["params"])["image"] for row in rows}) == len(skus)


def test_the_nightly_job_makes_other_pictures_each_night_in_a_folder_of_their_own(home: Path) -> None:
    job, folder = home / "jobs" / "nightly.yaml", home / "outputs" / "nightly"

    first = cli(home, "run", job, "--set", "size=256x256", "--night", "2026-03-24")
    second = cli(home, "run", job, "--set", "size=256x256", "--night", "2026-03-25", "--limit", "4")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    ended(folder)
    rows = manifest(folder)
    assert Counter(name.split("/")[1] for name in files_of(folder)) == {"2026-03-24": 16, "2026-03-25": 4}
    assert len({(row["row"], row["seed"]) for row in rows}) == 2 * 4 + 2  # two prompts; moods share their seeds
