"""Those whom a job names are told how its runs begin and end, and nothing that goes wrong there reaches the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notify.receiver import Receiver, receiving

from .conftest import KEY, Cli, Server, bare_environment, sandbox_process, write_job

GOOD = "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\n"
BAD = GOOD.replace("[a lamp]", "['a lamp [[fault:400]]']")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        each.answers = [(200, b'{"code": 0, "errcode": 0}')]
        yield each


def tell(receiver: Receiver, job: Path, base_url: str, name: str = "HOOK", *, with_key: bool = True) -> None:
    """The `.env` beside the job, as its owner would write it."""
    file = job.with_name(".env")
    key = f"MODELVERSE_API_KEY={KEY}\n" if with_key else ""
    file.write_text(f"{name}={receiver.url}/s3cret-path\nMODELVERSE_BASE_URL={base_url}\n{key}")
    file.chmod(0o600)


def texts(receiver: Receiver) -> list[str]:
    return [got.json()["text"] for got in receiver.got]


def test_a_failed_run_is_told_with_the_command_to_type(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    job = write_job(tmp_path, BAD + "notify: [{to: webhook, url_env: HOOK}]\n")
    tell(receiver, job, sandbox.base_url)

    ran = cli("run", job, key="")

    (got,) = receiver.got
    lines = got.json()["text"].splitlines()
    assert ran.code == got.json()["exit_code"] == 3
    assert lines[0].startswith("batchgen foo: finished, but not everything could be made; 0 of 1 done")
    assert "1 refused, not billed" in lines
    assert lines[-1] == f"batchgen run {job} --retry failed"
    assert got.json()["counts"]["failed"] == 1
    assert got.json()["event"] == "failure"
    assert "s3cret" not in ran.out + ran.err
    kept = [path.read_bytes() for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert not any(b"s3cret" in each for each in kept)


def test_success_start_and_change_are_told_where_they_are_asked_for(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    told = "notify: [{to: webhook, url_env: HOOK, on: [start, success, change]}]\n"
    job = write_job(tmp_path, GOOD + told)
    tell(receiver, job, sandbox.base_url)

    assert cli("run", job, key="").code == 0
    first = [got.json()["event"] for got in receiver.got]
    write_job(tmp_path, BAD + told)
    assert cli("run", job, key="").code == 3
    second = texts(receiver)[-1]
    assert cli("run", job, key="").code == 3

    assert first == ["start", "success"]
    assert "the run before ended well" in second
    # A third run that ends like the second one is no news.
    assert [got.json()["event"] for got in receiver.got[2:]] == ["start", "failure", "start"]


def test_change_alone_is_silent_while_all_is_well(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    told = "notify: [{to: webhook, url_env: HOOK, on: [change]}]\n"
    job = write_job(tmp_path, GOOD + told)
    tell(receiver, job, sandbox.base_url)

    assert cli("run", job, key="").code == 0
    assert cli("run", job, key="").code == 0
    assert texts(receiver) == []
    write_job(tmp_path, BAD + told)
    assert cli("run", job, key="").code == 3
    write_job(tmp_path, GOOD + told)
    assert cli("run", job, key="").code == 0

    assert ["the run before ended well" in texts(receiver)[0], "ended with exit code 3" in texts(receiver)[1]] == [
        True
    ] * 2


def test_a_heartbeat_hears_of_start_success_and_failure(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    told = "notify: [{to: heartbeat, url_env: BEAT}]\n"
    job = write_job(tmp_path, GOOD + told)
    tell(receiver, job, sandbox.base_url, "BEAT")

    assert cli("run", job, "--quiet", key="").code == 0
    write_job(tmp_path, BAD + told)
    assert cli("run", job, "--quiet", key="").code == 3

    assert [got.path for got in receiver.got] == [f"/s3cret-path{end}" for end in ("/start", "", "/start", "/fail")]


def test_a_run_that_cannot_begin_is_told_and_a_skipped_one_is_not(cli: Cli, receiver: Receiver, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD + "notify: [{to: webhook, url_env: HOOK}]\n")
    with sandbox_process(tmp_path, "--latency", "60") as server:
        tell(receiver, job, server.base_url, with_key=False)
        no_key = cli("run", job, "--quiet", key="")
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
        )
        until = time.monotonic() + 60
        while server.bill()["requests"] == 0:
            assert time.monotonic() < until
        locked = cli("run", job, "--quiet", base_url=server.base_url)
        skipped = cli("run", job, "--quiet", "--if-locked", "skip", base_url=server.base_url)
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert (no_key.code, locked.code, skipped.code) == (7, 8, 0)
    first, second = texts(receiver)
    assert "MODELVERSE_API_KEY is not set" in first
    assert first.splitlines()[0].startswith("batchgen foo: ")
    assert first.splitlines()[-1] == second.splitlines()[-1] == f"batchgen status {job}"
    assert [got.json()["exit_code"] for got in receiver.got] == [7, 8]


def test_trouble_with_a_service_is_a_line_and_changes_nothing(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answers = [(404, b"s3cret-answer")]
    job = write_job(
        tmp_path, GOOD + "notify: [{to: webhook, url_env: HOOK, on: [success]}, {to: slack, url_env: NOWHERE}]\n"
    )
    tell(receiver, job, sandbox.base_url)

    ran = cli("run", job, key="")
    quiet = cli("run", job, "--quiet", key="")

    assert ran.code == 0
    assert "warning: webhook (HOOK) was not told: it answered 404\n" in ran.err
    assert "slack is not told of this run: NOWHERE is not set\n" in ran.err
    assert "s3cret" not in ran.err
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    logs = sorted((tmp_path / "outputs" / "foo" / "runs").iterdir())
    assert "slack is not told of this run: NOWHERE is not set" in logs[-1].read_text()


def test_a_command_counts_in_the_environment_alone(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    job = write_job(tmp_path, GOOD + "notify: [{to: command, on: [success]}]\n")
    seen, script = tmp_path / "seen", tmp_path / "tell.py"
    script.write_text(f"import os, sys; open({str(seen)!r}, 'w').write(sys.stdin.read() + repr(dict(os.environ)))")
    command = f"{sys.executable} {script}"
    file = job.with_name(".env")
    file.write_text(f"BATCHGEN_NOTIFY_COMMAND={command}\n")
    file.chmod(0o600)

    ran = cli("run", job, base_url=sandbox.base_url)
    was_run = seen.exists()
    environment = bare_environment(
        tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url, BATCHGEN_NOTIFY_COMMAND=command
    )
    subprocess.run([sys.executable, "-m", "batchgen", "run", str(job), "--quiet"], env=environment, check=True)

    assert not was_run
    assert "BATCHGEN_NOTIFY_COMMAND counts in the environment alone" in ran.err
    text = seen.read_text()
    assert text.startswith("batchgen foo: finished; 1 of 1 done")
    assert KEY not in text
    assert "'BATCHGEN_EVENT': 'success'" in text
    assert os.environ["PATH"] in text


def test_a_night_with_a_folder_of_its_own_is_compared_with_the_night_before(
    cli: Cli, sandbox: Server, receiver: Receiver, tmp_path: Path
) -> None:
    told = "output: {folder: 'kept/{night}'}\nnotify: [{to: webhook, url_env: HOOK, on: [change]}]\n"
    job = write_job(tmp_path, BAD + told)
    tell(receiver, job, sandbox.base_url)
    assert cli("run", job, "--night", "2026-05-01", key="").code == 3
    write_job(tmp_path, GOOD + told)
    assert cli("run", job, "--night", "2026-05-02", key="").code == 0
    assert cli("run", job, "--night", "2026-05-03", key="").code == 0

    assert ["finished, but" in texts(receiver)[0], "ended with exit code 3" in texts(receiver)[1]] == [True, True]
    assert len(receiver.got) == 2
