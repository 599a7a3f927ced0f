"""`batchgen history` says what a bill says, by run, day, model and job, and which folders it cannot read."""

import csv
import datetime
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from batchgen.spec.seeds import night_of

from .conftest import Cli, Server, manifest, write_job

TWO = "models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]\n"
NIGHTLY = (
    "prompts: [a lamp, 'a cup [[fault:400]]', 'a fox [[fault:504]]']\non_unknown: hold\nseeds: {count: 1, renew: daily}\n"
    + TWO
)


def history(cli: Cli, *arguments: object) -> dict[str, Any]:
    ran = cli("history", *arguments, "--json")
    assert ran.code == 0, ran.err
    loaded: dict[str, Any] = json.loads(ran.out)
    return loaded


def evening(ago: int) -> str:
    """The date of a night, so many nights ago."""
    offset = datetime.datetime.now().astimezone().utcoffset()
    tonight = night_of(datetime.datetime.now().timestamp(), "daily", offset.total_seconds() if offset else 0.0)
    return (datetime.date.fromisoformat(tonight) - datetime.timedelta(days=ago)).isoformat()


@pytest.fixture
def had() -> list[str]:
    """Nights with a run: the one before the last is missed."""
    return [evening(3), evening(2), evening(0)]


@pytest.fixture
def nights(cli: Cli, sandbox: Server, tmp_path: Path, had: list[str]) -> Path:
    job = write_job(tmp_path, NIGHTLY)
    for night in had:
        assert cli("run", job, "--quiet", "--night", night, base_url=sandbox.base_url).code == 9
    return job


@pytest.mark.parametrize("by", ["run", "day", "model", "job"])
def test_every_grouping_comes_to_what_was_billed_and_may_have_been(
    cli: Cli, sandbox: Server, nights: Path, by: str
) -> None:
    told, bill = history(cli, nights, "--by", by), sandbox.bill()

    rows = [row for row in told["rows"] if row["kind"] != "missed"]
    (total,) = told["totals"]
    assert sum(float(row["billed"]) for row in rows) == pytest.approx(float(total["billed"]))
    assert float(total["billed"]) + float(total["maybe_billed"]) == pytest.approx(float(bill["cost"]))
    assert total["billed_pictures"] == 6
    assert total["maybe_billed_pictures"] == 6
    assert total["refused"] == 6
    assert (told["runs"], told["missed"], told["pictures"], told["unknown"]) == (3, 1, 6, 6)


def test_the_table_reads_at_80_columns_and_says_what_is_open(cli: Cli, nights: Path, had: list[str]) -> None:
    told = cli("history", nights).out

    lines = told.splitlines()
    *shown, command = lines
    assert max(map(len, shown)) <= 80
    assert command == f"  batchgen status {nights.parent.parent / 'outputs' / 'foo'}"
    (missed,) = (line for line in lines if "missed: no run began" in line)
    assert had[1] < missed[:10] < had[2]
    assert "3 runs, 1 night missed, 6 pictures on disk" in lines
    assert any("maybe billed for 6 of unknown outcome" in line for line in lines)
    assert "\x1b" not in told


def test_a_month_without_runs_is_empty_and_one_with_runs_is_whole(cli: Cli, nights: Path) -> None:
    whole = history(cli, nights)
    month = whole["rows"][0]["day"][:7]

    assert history(cli, nights, "--month", month)["totals"] == whole["totals"]
    assert history(cli, nights, "--month", "2019-01")["rows"] == []


def test_the_csv_has_the_same_rows(cli: Cli, nights: Path, had: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("history", nights, "--csv").out)))

    first, second, third, last = (row["night"] for row in rows)
    assert [first, second, last] == had
    assert second < third < last
    assert [row["kind"] for row in rows] == ["run", "run", "missed", "run"]
    assert {row["exit_code"] for row in rows} == {"9", ""}


def test_many_folders_and_the_folder_above_them_are_one_history(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    jobs = [write_job(tmp_path, "prompts: [a lamp]\n" + TWO, f"{name}.yaml") for name in ("one", "two")]
    assert cli("run", *jobs, "--quiet", base_url=sandbox.base_url).code == 0
    folders = [tmp_path / "outputs" / name for name in ("one", "two")]

    by_job = history(cli, tmp_path / "outputs", "--by", "job")

    assert [row["job"] for row in by_job["rows"]] == ["one", "two"]
    assert by_job == history(cli, *folders, *jobs, "--by", "job")


def test_nights_with_folders_of_their_own_are_found_by_the_job(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\noutput: {folder: 'kept/{night}'}\n" + TWO)
    first, between, last = [evening(2), evening(1), evening(0)]
    for night in (first, last):
        assert cli("run", job, "--quiet", "--night", night, base_url=sandbox.base_url).code == 0

    for named in (job, tmp_path / "kept"):
        rows = history(cli, named)["rows"]
        assert [(row["night"], row["kind"]) for row in rows] == [
            (first, "run"),
            (between, "missed"),
            (last, "run"),
        ]


def test_what_cannot_be_read_is_said(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + TWO)
    (tmp_path / "empty").mkdir()

    assert "no run yet" in cli("history", job).out
    assert json.loads(cli("history", job, "--json").out)["rows"] == []
    assert (cli("history", tmp_path / "empty").code, cli("history", job, "--month", "May").code) == (2, 2)
    assert cli("history", job, "--csv", "--json").code == 2


def test_a_folder_that_is_named_twice_or_by_a_link_was_paid_for_once(cli: Cli, nights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    (tmp_path / "link").symlink_to(folder)

    assert history(cli, nights, folder, tmp_path / "link", tmp_path / "jobs" / ".." / "outputs" / "foo") == history(
        cli, nights
    )


def test_the_runs_of_a_rebuilt_ledger_come_to_its_total(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job, folder = write_job(tmp_path, "prompts: [a lamp]\n" + TWO), tmp_path / "outputs" / "foo"
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0
    (folder / "ledger.sqlite3").unlink()
    shutil.rmtree(folder / "backups", ignore_errors=True)
    assert cli("verify", folder, "--rebuild").code == 0

    told = history(cli, job)

    (row,) = told["rows"]
    assert (row["pictures"], row["exit_code"]) == (2, None)
    assert row["billed"] == told["totals"][0]["billed"] == "0.45"


def test_a_picture_that_was_fetched_later_counts_for_the_run_that_fetched_it(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 1, renew: daily}\n" + TWO)
    folder = tmp_path / "outputs" / "foo"
    for night in (evening(3), evening(0)):
        assert cli("run", job, "--quiet", "--night", night, base_url=sandbox.base_url).code == 0
    (folder / manifest(folder)[0]["file_name"]).unlink()
    assert cli("verify", folder).code == 3

    assert history(cli, job)["waiting"] == 1
    assert cli("history", job).out.endswith(f"  batchgen recover {folder}\n")
    assert cli("recover", job, "--quiet", base_url=sandbox.base_url).code == 0

    told = history(cli, job)
    runs = [row for row in told["rows"] if row["kind"] == "run"]
    assert [(row["pictures"], row["billed"]) for row in runs] == [(1, "0.45"), (2, "0.45"), (1, "0.00")]
    assert runs[-1]["ended"] == "done; bought nothing"
    assert (told["waiting"], told["next"]) == (0, [])
