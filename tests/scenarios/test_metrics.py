"""`run --metrics`: a text file that Prometheus' own parser reads."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from .conftest import KEY, Cli, Server, bare_environment, sandbox_process, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\n"
Samples = dict[tuple[str, ...], float]


def samples(file: Path) -> Samples:
    """Each sample's value by its name and the values of its labels, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(file.read_text(encoding="utf-8"))
        for sample in family.samples
    }


def test_a_parser_reads_what_a_run_made_and_cost(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, a cup, 'a fox [[fault:400]]']\n" + DEV)
    file = tmp_path / "batchgen.prom"

    ran = cli("run", job, "--metrics", file, base_url=sandbox.base_url)

    found = samples(file)
    assert ran.code == 3
    assert found["batchgen_tasks", "foo", "flux.1-dev", "done"] == 2
    assert found["batchgen_tasks", "foo", "flux.1-dev", "failed"] == 1
    assert found["batchgen_calls", "foo", "flux.1-dev", "billed"] == 2
    assert found["batchgen_calls", "foo", "flux.1-dev", "refused"] == 1
    assert found["batchgen_pictures_stored", "foo", "flux.1-dev"] == 2
    assert found["batchgen_pictures_waiting", "foo", "flux.1-dev"] == 0
    assert found["batchgen_money", "CNY", "foo", "billed"] == float(sandbox.bill()["cost"])
    assert found["batchgen_month_money", "CNY", "foo", "billed"] == float(sandbox.bill()["cost"])
    assert found["batchgen_run_exit_code", "foo"] == 3
    assert ("batchgen_last_success_timestamp_seconds", "foo") not in found
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["batchgen.prom"]


def test_the_last_success_outlives_a_night_without_one(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job, file = write_job(tmp_path, "prompts: [a lamp]\n" + DEV), tmp_path / "batchgen.prom"
    assert cli("run", job, "--metrics", file, base_url=sandbox.base_url).code == 0
    success = samples(file)["batchgen_last_success_timestamp_seconds", "foo"]
    write_job(tmp_path, "prompts: [a lamp, 'a fox [[fault:400]]']\n" + DEV)

    assert cli("run", job, "--metrics", file, base_url=sandbox.base_url).code == 3

    again = samples(file)
    assert again["batchgen_run_exit_code", "foo"] == 3
    assert abs(again["batchgen_last_success_timestamp_seconds", "foo"] - success) < 5
    assert again["batchgen_run_ended_timestamp_seconds", "foo"] > success


def test_several_jobs_share_a_file_and_no_name_breaks_it(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    odd = 'a "b\\c {d}'
    jobs = [
        write_job(
            tmp_path, f"name: '{name}'\noutput: {{folder: {folder}}}\nprompts: [a lamp]\n" + DEV, f"{folder}.yaml"
        )
        for name, folder in (("first", "one"), (odd, "two"))
    ]
    file = tmp_path / "batchgen.prom"

    ran = cli("run", *jobs, "--metrics", file, base_url=sandbox.base_url)

    found = samples(file)
    assert ran.code == 0, ran.err
    assert found["batchgen_tasks", "first", "flux.1-dev", "done"] == 1
    assert found["batchgen_tasks", odd, "flux.1-dev", "done"] == 1


def test_a_run_that_cannot_begin_is_in_the_file_and_a_skipped_one_is_not(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job, file = write_job(tmp_path, "prompts: [a lamp]\n" + DEV), tmp_path / "batchgen.prom"
    folder = tmp_path / "outputs" / "foo"
    folder.mkdir(parents=True)
    (folder / ".batchgen.lock").symlink_to("elsewhere")

    refused = cli("run", job, "--metrics", file, base_url=sandbox.base_url)

    assert samples(file)["batchgen_run_exit_code", "foo"] == refused.code == 6


def test_a_file_is_there_while_the_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    job, file = write_job(tmp_path, "prompts: [a lamp]\n" + DEV), tmp_path / "batchgen.prom"
    with sandbox_process(tmp_path, "--latency", "60") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet", "--metrics", str(file)],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
        )
        until = time.monotonic() + 60
        while not file.exists():
            assert process.poll() is None
            assert time.monotonic() < until
        found = samples(file)
        skipped = cli("run", job, "--metrics", file, "--if-locked", "skip", base_url=server.base_url)
        after = samples(file)
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert ("batchgen_run_exit_code", "foo") not in found
    assert found["batchgen_tasks", "foo", "flux.1-dev", "left"] == 1
    assert skipped.code == 0
    assert after == found


def test_a_file_in_no_folder_is_a_mistake_before_anything_is_spent(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + DEV)

    nowhere = cli("run", job, "--metrics", tmp_path / "no" / "batchgen.prom", base_url=sandbox.base_url)
    folder = cli("run", job, "--metrics", tmp_path, base_url=sandbox.base_url)

    assert (nowhere.code, folder.code) == (2, 2)
    assert "there is no folder" in nowhere.err
    assert "name a file in it" in folder.err
    assert sandbox.bill()["requests"] == 0
