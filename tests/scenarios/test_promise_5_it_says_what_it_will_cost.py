import json
from pathlib import Path

from .conftest import Cli, Server, write_job

JOB = """
prompts: [a lamp, a chair]
models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-max/text-to-image]
seeds: {count: 2}
params: {steps: 20}
"""


def test_the_plan_names_pictures_money_and_what_is_left_out_and_sends_nothing(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, JOB)

    shown = cli("plan", job, base_url=sandbox.base_url)
    plan = json.loads(cli("plan", job, "--json", base_url=sandbox.base_url).out)

    assert shown.code == 0, shown.err
    assert all(word in shown.out for word in ("8 pictures", "3.20", "CNY", "up to 4", "steps"))
    assert (plan["pictures"], plan["new"], plan["known_cost"]) == (8, 8, "3.20")
    assert [(entry["field"], entry["label"]) for entry in plan["left_out"]] == [
        ("steps", "flux-kontext-max-text-to-image")
    ]
    assert sandbox.bill()["requests"] == 0
    assert not (tmp_path / "outputs").exists()


def test_what_it_cost_is_what_the_plan_said_and_what_the_provider_billed(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, JOB)

    cli("run", job, base_url=sandbox.base_url)
    report = json.loads((tmp_path / "outputs" / "foo" / "report.json").read_text())
    plan = json.loads(cli("plan", tmp_path / "outputs" / "foo", "--json", base_url=sandbox.base_url).out)

    assert report["money"]["spent"] == "3.20" == sandbox.bill()["cost"]
    assert plan["new"] == 0


def test_a_rehearsal_on_this_machine_never_counts_as_done_for_the_real_service(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, JOB)
    cli("run", job, base_url=sandbox.base_url)

    plan = json.loads(cli("plan", job, "--json").out)

    assert plan["new"] == 8


def test_the_first_tasks_of_the_plan_are_one_of_everything(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)

    cli("run", job, "--limit", 4, base_url=sandbox.base_url)

    entries = sandbox.bill()["entries"]
    assert len({(entry["model"], entry["prompt"]) for entry in entries}) == 4


def test_the_most_that_one_run_may_cost_is_kept(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)

    ran = cli("run", job, "--max-cost", "1.50", base_url=sandbox.base_url)

    assert ran.code == 5, ran.err
    assert float(sandbox.bill()["cost"]) <= 1.50
    assert "budget" in ran.err


def test_the_plan_says_when_the_budget_will_stop_the_run(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: [a lamp, a cup, a chair]\nmodels: [black-forest-labs/flux.1-dev]\n"
        "budget: [{images: 500}, {cost: 0.25, per: month}, {images: 1, per: run}]\n",
    )
    before = cli("plan", job, base_url=sandbox.base_url).out
    cli("run", job, base_url=sandbox.base_url)
    after = cli("plan", job, base_url=sandbox.base_url).out
    told = json.loads(cli("plan", job, "--json", base_url=sandbox.base_url).out)["budgets"]

    assert "budget of 500 pictures: 500 pictures left\n" in before
    assert "budget of CNY 0.25 per month: CNY 0.25 left; the run will stop at it" in before
    assert "budget of 500 pictures: 499 pictures left\n" in after
    assert "budget of CNY 0.25 per month: CNY 0.15 left; the run will stop at it" in after
    assert [room["fits"] for room in told] == [True, False, False]
