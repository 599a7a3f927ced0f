"""`status` from another terminal while a run goes on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.views.terminal import show

from .conftest import KEY, Cli, Server, bare_environment, sandbox_process, write_job


def test_status_says_what_a_running_model_waits_for(cli: Cli, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: [a lamp]\nseeds: {count: 100}\nmodels: [black-forest-labs/flux.1-dev]\n",
    )
    with sandbox_process(tmp_path, "--requests-per-minute", "6") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
        )
        pools: list[dict[str, object]] = []
        until = time.monotonic() + 60
        while not any(pool["state"] == "paused" for pool in pools):
            assert process.poll() is None
            assert time.monotonic() < until
            ran = cli("status", job, "--json", base_url=server.base_url)
            pools = json.loads(ran.out)["pools"] if ran.out.startswith("{") else []
        shown = cli("status", job, base_url=server.base_url).out
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = json.loads(cli("status", job, "--json", base_url=server.base_url).out)

    assert "flux.1-dev: rate limited, " in shown
    assert " at once, resuming " in shown
    assert "it is going on now" in shown
    assert pools[0]["label"] == "flux.1-dev"
    assert after["pools"] == []


@pytest.fixture
def going(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A job with three pictures of two seconds each, whose run has just begun."""
    job = write_job(
        tmp_path,
        "prompts: [a lamp]\nseeds: {count: 3}\nlimits: {concurrency: 1}\nmodels: [black-forest-labs/flux.1-dev]\n",
    )
    with sandbox_process(tmp_path, "--latency", "2") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
        )
        until = time.monotonic() + 60
        while not (tmp_path / "outputs" / "foo" / "ledger.sqlite3").exists():
            assert process.poll() is None
            assert time.monotonic() < until
        yield job, server.base_url
        assert process.wait() == 0


def test_watch_shows_a_run_to_its_end(going: tuple[Path, str]) -> None:
    job, base_url = going

    seen = show(
        f"import os; os.dup2(2, 1)\nfrom batchgen.cli.main import main; main(['status', {str(job)!r}, '--watch'])\n",
        MODELVERSE_BASE_URL=base_url,
    )

    written = seen.written.decode()
    assert seen.exit_code == 0
    assert "watching; Ctrl-C ends that, and the run goes on" in written
    assert "it is going on now" in written
    screen = "\n".join(seen.screen)
    assert "foo: 3 of 3 done" in screen
    assert "watching" not in screen
    assert not seen.cursor_hidden


def test_watch_on_a_pipe_writes_a_line_when_something_is_done(cli: Cli, going: tuple[Path, str]) -> None:
    job, base_url = going

    ran = cli("status", job, "--watch", base_url=base_url)

    lines = ran.out.splitlines()
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "of 3 done; the last run: it is going on now" in lines[0]
    assert any(line == "foo: 3 of 3 done" for line in lines)


def test_watch_as_json_is_an_object_a_line(cli: Cli, going: tuple[Path, str]) -> None:
    job, base_url = going

    looks = [json.loads(line) for line in cli("status", job, "--watch", "--json", base_url=base_url).out.splitlines()]

    assert len(looks) > 1
    assert (looks[-1]["counts"]["done"], looks[-1]["exit_code"]) == (3, 0)


def test_watch_says_that_no_run_is_going_on(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\n")
    assert cli("run", job, base_url=sandbox.base_url).code == 0

    ran = cli("status", job, "--watch", base_url=sandbox.base_url)

    assert (ran.code, ran.err) == (0, "no run is going on\n")
    assert "foo: 1 of 1 done" in ran.out
