"""The log that each run leaves in `runs/`, and what is said on a terminal that nobody watches."""

import json
from pathlib import Path

import pytest

from .conftest import Cli, Server, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\n"


def logs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "outputs" / "foo" / "runs").iterdir())


def test_log_and_silence_of_a_night_without_trouble(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + DEV)

    ran = cli("run", job, "--quiet", base_url=sandbox.base_url)

    (log,) = logs(tmp_path)
    text = log.read_text()
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert "foo: finished; 1 of 1 done" in text
    assert "gallery: " in text
    assert "\x1b" not in text
    assert log.stat().st_mode & 0o777 == 0o600


def test_log_and_the_one_line_of_a_night_with_trouble(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    prompts = ", ".join(f"'lamp {number} [[fault:400]]'" for number in range(3))
    job = write_job(tmp_path, f"prompts: [{prompts}]\n" + DEV)

    ran = cli("run", job, "--quiet", base_url=sandbox.base_url)

    (log,) = logs(tmp_path)
    assert ran.code == 3
    assert ran.err.count("\n") == 1
    assert "--retry failed" in ran.err
    assert "refused: Invalid param" in log.read_text()


def test_one_line_of_a_quiet_run_that_cannot_begin(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + DEV)
    (tmp_path / "outputs" / "foo").mkdir(parents=True)
    (tmp_path / "outputs" / "foo" / ".batchgen.lock").symlink_to("elsewhere")

    ran = cli("run", job, "--quiet", base_url="http://127.0.0.1:9/v1")

    assert ran.code == 6
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("foo: ")
    assert "; next: " in ran.err


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("seedz: 3\n", 2, "seedz"),
        ("seedz: 3\nmodles: 4\n", 2, "(and 1 more)"),
        ("", 7, "MODELVERSE_API_KEY is not set; next: "),
    ],
)
def test_one_line_of_what_cannot_be_read_or_paid(cli: Cli, tmp_path: Path, text: str, code: int, line: str) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + DEV + text)

    ran = cli("run", job, "--quiet", key="")
    mistyped = cli("run", job, "--quiet", "--lmit", "3")

    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert line in ran.err
    assert (mistyped.code, mistyped.err.count("\n")) == (2, 1)


def test_events_as_json_lines_where_the_job_asks_for_them(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nlog: {format: json}\n" + DEV)

    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0

    (log,) = logs(tmp_path)
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert log.suffix == ".jsonl"
    assert (events[0], events[-1]) == ("run_started", "run_ended")
    assert "picture_stored" in events


def test_old_logs_go_by_number_and_by_age_and_nothing_else_does(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nlog: {keep: 3, days: 0}\n" + DEV)
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    runs = tmp_path / "outputs" / "foo" / "runs"
    (first,) = logs(tmp_path)
    for name in ("2019-01-01T000000Z.log", "2020-01-01T000000Z.log", "2021-01-01T000000Z-2.jsonl", "notes.log"):
        (runs / name).write_text("old")

    assert cli("run", job, base_url=sandbox.base_url).code == 0

    names = [path.name for path in logs(tmp_path)]
    assert names[0] == first.name or names[0] == "2021-01-01T000000Z-2.jsonl"
    assert len(names) == 4  # three logs, and what is none of ours
    assert "notes.log" in names
    write_job(tmp_path, "prompts: [a lamp]\nlog: {days: 30}\n" + DEV)
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    assert not [path.name for path in runs.iterdir() if path.name.startswith("20") and path.name < "2022"]


@pytest.mark.parametrize("planted", ["link", "file"])
def test_a_folder_of_logs_that_is_none_is_said_and_the_run_goes_on(
    planted: str, cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + DEV)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "2019-01-01T000000Z.log").write_text("not ours")
    folder = tmp_path / "outputs" / "foo"
    folder.mkdir(parents=True)
    if planted == "link":
        (folder / "runs").symlink_to(elsewhere)
    else:
        (folder / "runs").write_text("")

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 0
    assert "this run leaves no log" in ran.err
    assert [path.name for path in elsewhere.iterdir()] == ["2019-01-01T000000Z.log"]


def test_one_line_of_a_quiet_recovery_that_could_not_fetch_all(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: ['a lamp [[fault:400]]']\n" + DEV)
    assert cli("run", job, base_url=sandbox.base_url).code == 3

    ran = cli("recover", job, "--quiet", base_url=sandbox.base_url)

    assert ran.code == 3
    assert ran.err.count("\n") == 1
    assert "1 refused, not billed" in ran.err
