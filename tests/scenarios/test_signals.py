"""What signals and closed pipes do to a paid run: calls in flight are waited for, and leaving at once loses no answer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import KEY, Cli, Server, bare_environment, manifest, report, sandbox_process, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\n"
_PATIENT = "from batchgen.cli.main import main; main()"
_IMPATIENT = f"import batchgen.cli.execute as e; e._PATIENCE_S = 1.0; {_PATIENT}"


def start(job: Path, server: Server, home: Path, *, program: str = _PATIENT) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, "run", str(job)],
        stderr=subprocess.PIPE,
        text=True,
        env=bare_environment(home, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
    )


def wait_for_requests(server: Server, count: int, process: "subprocess.Popen[str]") -> None:
    while server.bill()["requests"] < count:
        assert process.poll() is None
        time.sleep(0.02)


def prompts(count: int) -> str:
    return "prompts:\n" + "".join(f"  - lamp {number}\n" for number in range(count)) + DEV


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_one_signal_waits_for_the_calls_in_flight_and_says_how_many(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    job = write_job(tmp_path, prompts(30) + "limits: {concurrency: 2}\n")
    with sandbox_process(tmp_path, "--latency", "1") as server:
        process = start(job, server, tmp_path)
        wait_for_requests(server, 2, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        billed = server.bill()["pictures"]

    folder = tmp_path / "outputs" / "foo"
    assert process.returncode == code
    assert "in flight: paid for, so the answer counts; again to leave now" in err
    assert "stopped by you" in err
    assert len(manifest(folder)) == billed >= 2
    assert report(folder)["exit_code"] == code
    assert report(folder)["counts"]["unknown"] == 0


def test_the_second_signal_leaves_now_and_the_answers_that_came_are_kept(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, prompts(6).replace("lamp 5", "'lamp [[fault:slow]]'") + "on_unknown: hold\n")
    folder = tmp_path / "outputs" / "foo"
    with sandbox_process(tmp_path) as server:
        process = start(job, server, tmp_path)
        while len(manifest(folder)) < 5:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        status = json.loads(cli("status", job, "--json", base_url=server.base_url).out)

    assert process.returncode == 130
    assert "left at once" in err
    assert "batchgen run" in err
    assert len(manifest(folder)) == 5
    assert (status["counts"]["done"], status["counts"]["unknown"]) == (5, 1)
    assert status["unknown"][0]["message"] == "the run was stopped while the call was under way"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_asks_to_end_is_not_kept_waiting_for_a_call_that_never_ends(
    number: signal.Signals, tmp_path: Path
) -> None:
    job = write_job(tmp_path, "prompts: ['lamp [[fault:slow]]']\n" + DEV)
    with sandbox_process(tmp_path) as server:
        process = start(job, server, tmp_path, program=_IMPATIENT)
        wait_for_requests(server, 1, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)

    assert process.returncode == 143
    assert "left at once" in err


def test_a_reader_that_goes_away_does_not_stop_a_paid_run(tmp_path: Path, sandbox: Server) -> None:
    job = write_job(tmp_path, prompts(20))
    line = f"{sys.executable} -m batchgen run {job} --json | head -n 1 > /dev/null"
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url),
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(manifest(tmp_path / "outputs" / "foo")) == 20


def test_a_terminal_that_goes_away_does_not_cost_an_answer(tmp_path: Path, slow_sandbox: Server) -> None:
    job = write_job(tmp_path, prompts(6) + "limits: {concurrency: 2}\n")
    reader, writer = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgen", "run", str(job), "--yes"],
        stdin=writer,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
        env=bare_environment(tmp_path, TERM="xterm", MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=slow_sandbox.base_url),
    )
    os.close(writer)
    while slow_sandbox.bill()["requests"] < 2:
        assert process.poll() is None
        os.read(reader, 65536)
    os.close(reader)
    process.send_signal(signal.SIGHUP)
    process.wait(60)

    assert process.returncode == 143
    assert len(manifest(tmp_path / "outputs" / "foo")) == slow_sandbox.bill()["pictures"]


def test_what_was_told_to_ignore_a_hangup_ignores_it(tmp_path: Path, slow_sandbox: Server) -> None:
    job = write_job(tmp_path, prompts(12) + "limits: {concurrency: 2}\n")
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "batchgen", "run", str(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=slow_sandbox.base_url),
    )
    while slow_sandbox.bill()["requests"] < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    process.wait(60)

    assert process.returncode == 0
    assert len(manifest(tmp_path / "outputs" / "foo")) == 12


def test_a_disk_that_hangs_does_not_keep_who_wants_to_leave(tmp_path: Path, slow_sandbox: Server) -> None:
    job = write_job(tmp_path, prompts(12) + "limits: {concurrency: 2}\n")
    hanging = f"""
import time
from batchgen.storage.files import ResultFolder
ResultFolder.store_batch = lambda self, items: time.sleep(60)
{_PATIENT}
"""
    process = start(job, slow_sandbox, tmp_path, program=hanging)
    wait_for_requests(slow_sandbox, 4, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130
