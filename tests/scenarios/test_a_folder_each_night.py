"""`{night}` in `output.folder`: a job that never changes buys the same set anew each night, to be compared."""

import datetime
from pathlib import Path

from .conftest import Cli, Server, manifest, write_job

JOB = (
    "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\nseeds: 7\nbudget: {images: 1}\n"
    "output: {folder: 'kept/{night}/set'}\n"
)


def test_each_night_buys_the_same_tasks_into_its_own_folder(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    nights = ("2026-03-01", "2026-03-02")

    runs = [cli("run", job, "--night", night, base_url=sandbox.base_url) for night in (*nights, nights[1])]

    assert [ran.code for ran in runs] == [0, 0, 0], runs
    lines = [manifest(tmp_path / "kept" / night / "set") for night in nights]
    assert [len(each) for each in lines] == [1, 1]
    assert lines[0][0]["task_id"] == lines[1][0]["task_id"]
    assert len(sandbox.bill()["entries"]) == 2, "the second command of one night bought again"


def test_without_a_date_it_is_the_present_night(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)

    assert cli("run", job, base_url=sandbox.base_url).code == 0

    (folder,) = (tmp_path / "kept").iterdir()
    age = datetime.datetime.now() - datetime.datetime.fromisoformat(folder.name)  # nights are local
    assert datetime.timedelta(0) <= age < datetime.timedelta(days=2)


def test_what_only_looks_takes_the_last_night_that_there_is(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    for night in ("2026-03-02", "2026-03-01"):
        assert cli("run", job, "--night", night, base_url=sandbox.base_url).code == 0
    (tmp_path / "kept" / "2026-03-09").mkdir()  # nothing was made there
    (tmp_path / "kept" / "notes").mkdir()

    looked = [cli(verb, job, base_url=sandbox.base_url) for verb in ("status", "verify", "recover")]

    assert [ran.code for ran in looked] == [0, 0, 0], looked
    assert "2026-03-02" in "".join(looked[0].out.split())


def test_the_plan_says_that_all_is_bought_again(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    assert cli("run", job, "--night", "2026-03-01", base_url=sandbox.base_url).code == 0

    planned = cli("plan", job, "--night", "2026-03-02", base_url=sandbox.base_url)

    assert "1 new" in planned.out
    assert "bought anew" in planned.out
    assert "kept/2026-03-02/set" in "".join(planned.out.split())


def test_a_nights_folder_stays_that_nights_when_it_is_named(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    assert cli("run", job, "--night", "2026-03-01", base_url=sandbox.base_url).code == 0
    folder = tmp_path / "kept" / "2026-03-01" / "set"

    assert "1 done" in cli("plan", folder, base_url=sandbox.base_url).out
    assert cli("run", folder, base_url=sandbox.base_url).code == 0
    assert len(sandbox.bill()["entries"]) == 1


def test_nothing_else_varies_a_folder(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB.replace("{night}", "{model}"))

    refused = cli("validate", job)

    assert refused.code == 2
    assert "only {night} may stand in it" in refused.err
    assert not (tmp_path / "kept").exists()
