"""Calls of unknown outcome are settled by a decision; money is told by run and by day, in one currency."""

import json
import sqlite3
from pathlib import Path

from .conftest import Cli, Server, report, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\n"
HOLD = "on_unknown: hold\n"


def test_a_dropped_unknown_is_paid_and_lost_and_stays_counted(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, 'a cup [[fault:504@1]]']\n" + HOLD + DEV)
    cli("run", job, base_url=sandbox.base_url)

    ran = cli("run", job, "--drop", "unknown", base_url=sandbox.base_url)
    again = cli("run", job, base_url=sandbox.base_url)

    folder = tmp_path / "outputs" / "foo"
    assert (ran.code, again.code) == (3, 3)
    assert "1 call of unknown outcome closed as paid and lost" in ran.err
    assert sandbox.bill()["requests"] == 2
    assert report(folder)["counts"] | {"new_stored": 0} == report(folder)["counts"]
    assert (report(folder)["counts"]["lost"], report(folder)["counts"]["unknown"]) == (1, 0)
    assert report(folder)["money"]["maybe_billed"] == "0.10"

    bought = cli("run", job, "--retry", "lost", base_url=sandbox.base_url)
    assert bought.code == 0
    assert sandbox.bill()["requests"] == 3


def test_only_the_chosen_unknowns_are_dropped(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(
        tmp_path, "prompts: [{id: a, prompt: 'a [[fault:504]]'}, {id: b, prompt: 'b [[fault:504]]'}]\n" + HOLD + DEV
    )
    cli("run", job, base_url=sandbox.base_url)

    cli("run", job, "--drop", "unknown", "--only", "row=a", base_url=sandbox.base_url)

    status = json.loads(cli("status", job, "--json", base_url=sandbox.base_url).out)
    assert (status["counts"]["lost"], status["counts"]["unknown"]) == (1, 1)
    assert [row["prompt_id"] for row in status["unknown"]] == ["b"]


def test_each_unknown_is_listed_with_what_it_may_have_cost(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: [{id: a, prompt: 'a [[fault:504]]'}, {id: b, prompt: 'b [[fault:disconnect]]'}]\n" + HOLD + DEV,
    )
    cli("run", job, base_url=sandbox.base_url)

    shown = cli("status", job, base_url=sandbox.base_url).out

    assert "a (flux.1-dev): maybe CNY 0.10: " in shown
    assert "b (flux.1-dev): maybe CNY 0.10: " in shown
    assert "spent today CNY 0.00 and CNY 0.20 maybe billed" in shown


def test_spending_is_told_by_run_and_by_day(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, a cup, a chair]\n" + DEV)
    cli("run", job, "--limit", 1, base_url=sandbox.base_url)
    cli("run", job, base_url=sandbox.base_url)

    told = report(tmp_path / "outputs" / "foo")
    status = json.loads(cli("status", job, "--json", base_url=sandbox.base_url).out)

    for view in (told, status):
        assert [run["spent"] for run in view["by_run"]] == ["0.20", "0.10"]
        assert [day["spent"] for day in view["by_day"]] == ["0.30"]
        assert view["by_scope"][f"day:{view['by_day'][0]['day']}"]["spent"] == "0.30"


def test_money_of_two_currencies_under_one_budget_is_refused(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, a cup]\n" + DEV)
    cli("run", job, "--limit", 1, base_url=sandbox.base_url)
    ledger = sqlite3.connect(tmp_path / "outputs" / "foo" / "ledger.sqlite3")
    for table in ("totals", "attempts"):
        ledger.execute(f"UPDATE {table} SET currency = 'USD'")  # what another provider had left there
    ledger.commit()
    ledger.close()

    by_cost = write_job(tmp_path, job.read_text() + "budget: {cost: 10}\n")
    refused = cli("run", by_cost, base_url=sandbox.base_url)
    by_images = write_job(tmp_path, "prompts: [a lamp, a cup]\n" + DEV + "budget: {images: 10}\n")
    taken = cli("run", by_images, base_url=sandbox.base_url)

    assert refused.code == 5
    assert "covers what" in refused.err
    assert "USD, too: amounts in two currencies cannot be added up" in refused.err
    assert "budget: {images: N}" in refused.err
    assert taken.code == 0
    assert sandbox.bill()["requests"] == 2
