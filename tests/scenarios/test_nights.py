"""Seeds that renew each night: what a night did not buy is not bought later, and is counted."""

from pathlib import Path

from .conftest import Cli, Server, report, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\n"
RENEWED = "prompts: [a lamp, a chair]\nseeds: {count: 3, renew: daily}\n" + DEV


def test_what_a_night_did_not_buy_is_counted_and_left_to_that_night(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, RENEWED + "budget: {images: 4, per: run}\n")
    folder = tmp_path / "outputs" / "foo"

    first = cli("run", job, "--night", "2026-05-03", base_url=sandbox.base_url)
    write_job(tmp_path, RENEWED)
    second = cli("run", job, "--night", "2026-05-04", base_url=sandbox.base_url)
    told = report(folder)
    third = cli("run", job, "--night", "2026-05-03", base_url=sandbox.base_url)

    assert (first.code, second.code, third.code) == (5, 0, 0)
    assert "not bought: 2 tasks of 2026-05-03" in first.err
    assert (told["night"], told["counts"]["done"]) == ("2026-05-04", 6)
    assert told["not_bought"] == [{"night": "2026-05-03", "tasks": 2}]
    assert "not bought: 2 tasks of 2026-05-03; later nights do not buy them, `--night DATE` does" in second.err
    assert report(folder)["not_bought"] == []
    assert sandbox.bill()["pictures"] == 12


def test_fixed_seeds_go_on_the_next_night(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, RENEWED.replace(", renew: daily", "") + "budget: {images: 4, per: run}\n")

    codes = [cli("run", job, base_url=sandbox.base_url).code for _ in range(2)]

    assert codes == [5, 0]
    assert report(tmp_path / "outputs" / "foo")["not_bought"] == []
    assert sandbox.bill()["pictures"] == 6


def test_a_deadline_of_the_job_file_holds_and_the_command_line_wins(
    cli: Cli, slow_sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 60}\ndeadline: 1s\nlimits: {concurrency: 1}\n" + DEV)

    first = cli("run", job, base_url=slow_sandbox.base_url)
    second = cli("run", job, "--deadline", "6h", "--limit", "30", base_url=slow_sandbox.base_url)

    assert first.code == 4
    assert "the deadline is reached" in first.err
    assert second.code == 0, second.err
    wrong = write_job(tmp_path, "prompts: [a lamp]\ndeadline: tomorrow\n" + DEV, "wrong.yaml")
    assert "`deadline` must be a length of time such as 6h" in cli("validate", wrong).err
