"""Jobs by the provider's later pages, through the real command line and the sandbox that speaks them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.spec.expand import expand
from batchgen.spec.load import load_job
from batchgen.spec.saved import job_from_json, job_to_json

from .conftest import Cli, manifest, report, sandbox_process, write_job

LATER = "provider: {name: PROVIDER, profile: docs-2026-05}\n"
FLUX = "models: [black-forest-labs/flux.1-dev]\n"
JOB = """\
prompts: [a fox]
models:
  - {id: black-forest-labs/flux-kontext-pro/text-to-image, params: {n: 2, steps: 20, negative_prompt: fog}}
  - Qwen/Qwen-Image
  - {id: doubao-seedream-4.5, params: {size: 2K, watermark: false}}
  - {id: wan2.7-image, params: {size: 1K, thinking_mode: true}}
  - {id: gpt-image-1, params: {n: 1, quality: low, size: 1024x1024}}
"""


def test_all_kinds_of_later_models_are_rehearsed_in_the_embedded_sandbox(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, LATER.replace("PROVIDER", "sandbox") + JOB)

    ran = cli("run", job)

    assert ran.code == 0, ran.err
    folder = tmp_path / "outputs" / "foo"
    rows = manifest(folder)
    assert sorted(row["label"] for row in rows) == [
        *("Qwen-Image", "doubao-seedream-4.5", "flux-kontext-pro-text-to-image", "flux-kontext-pro-text-to-image"),
        *("gpt-image-1", "wan2.7-image"),
    ]
    costs = {row["label"]: row["cost"] for row in rows}
    assert (costs["Qwen-Image"], costs["gpt-image-1"], costs["wan2.7-image"]) == ("0.25", "", "")
    assert report(folder)["exit_code"] == 0
    assert cli("status", folder).code == 0  # from the job that the folder keeps, with its profile
    assert json.loads(cli("plan", folder, "--json").out)["models"][1]["label"] == "Qwen-Image"


def test_links_of_seedream_are_taken_to_live_a_day(cli: Cli, tmp_path: Path) -> None:
    text = LATER.replace("PROVIDER", "sandbox") + "prompts: [a]\nmodels: [doubao-seedream-4.5, Qwen/Qwen-Image]\n"
    assert cli("run", write_job(tmp_path, text)).code == 0

    with closing(sqlite3.connect(tmp_path / "outputs" / "foo" / "ledger.sqlite3")) as ledger:
        rows = ledger.execute(
            "SELECT model, round((expires_at - billed_at) / 86400) FROM pictures JOIN tasks USING (task_id) ORDER BY model"
        )
        assert rows.fetchall() == [("Qwen/Qwen-Image", 7.0), ("doubao-seedream-4.5", 1.0)]


def test_a_model_without_seeds_is_sent_none(cli: Cli, tmp_path: Path) -> None:
    text = LATER.replace("PROVIDER", "modelverse") + "prompts: [a]\nmodels: [gpt-image-1, Qwen/Qwen-Image]\nseeds: 7\n"
    with sandbox_process(tmp_path, "--profile", "docs-2026-05") as server:  # it refuses what a model does not take
        ran = cli("run", write_job(tmp_path, text), base_url=server.base_url)
        assert ran.code == 0, ran.err
        billed = [json.loads(line) for line in server.bill_file.read_text().splitlines()]

    assert {entry["model"]: entry["seed"] == 7 for entry in billed} == {"gpt-image-1": False, "Qwen/Qwen-Image": True}


def test_the_contract_page_refuses_what_only_the_later_pages_know(cli: Cli, tmp_path: Path) -> None:
    text = "prompts: [a]\n" + FLUX + "params: {negative_prompt: fog}\n"

    assert "no model of this job takes `negative_prompt`" in cli("plan", write_job(tmp_path, text)).err
    assert cli("plan", write_job(tmp_path, LATER.replace("PROVIDER", "modelverse") + text)).code == 0


def test_a_change_of_profile_buys_nothing_again(tmp_path: Path) -> None:
    text = "prompts: [a]\n" + FLUX + "params: {steps: 20}\n"
    usual = load_job(write_job(tmp_path, text), environment={})
    later = load_job(write_job(tmp_path, LATER.replace("PROVIDER", "modelverse") + text), environment={})

    assert [task.task_id for task in expand(usual, night="")] == [task.task_id for task in expand(later, night="")]
    assert job_from_json(job_to_json(later)) == later
    assert job_to_json(usual)["profile"] is None


@pytest.mark.parametrize("profile", ["docs-2026-5", ""])
def test_a_profile_that_is_none_is_told_at_its_place(profile: str, cli: Cli, tmp_path: Path) -> None:
    ran = cli(
        "plan", write_job(tmp_path, f"provider: {{name: modelverse, profile: '{profile}'}}\nprompts: [a]\n" + FLUX)
    )

    assert ran.code == 2
    assert f"foo.yaml:1:39: modelverse has no profile '{profile}'" in ran.err
    assert "docs-2026-05" in ran.err


def test_models_shows_the_profiles_and_where_they_differ(cli: Cli) -> None:
    usual, later = cli("models").out, cli("models", "--profile", "docs-2026-05").out
    page = cli("models", "step1x-edit").out

    assert "batchgen models --profile docs-2026-05" in usual
    assert "Qwen/Qwen-Image" in later
    assert "Qwen/Qwen-Image" not in usual
    assert "With the profile docs-2026-05" in page
    assert "  steps: 1 to 50, default 20" in page
    assert "  n: taken too (1 to 4, default 1)" in page
    assert "there is no such model" in cli("models", "gpt-image-2", "--profile", "docs-2026-05").out
    assert json.loads(cli("models", "--json", "--profile", "docs-2026-05").out)["profile"] == "docs-2026-05"


def test_a_model_of_another_profile_is_told_with_what_to_write(cli: Cli, tmp_path: Path) -> None:
    ran = cli("plan", write_job(tmp_path, "prompts: [a]\nmodels: [Qwen/Qwen-Image]\n"))

    assert ran.code == 2
    assert "modelverse has no model `Qwen/Qwen-Image`" in ran.err
    assert "write `provider: {name: modelverse, profile: docs-2026-05}`" in ran.err
