"""Every exit code through the real command line, with the words that go with it; a script may rely on either."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from batchgen.storage.lock import LOCK_FILE

from .conftest import KEY, Cli, Server, bare_environment, manifest, report, sandbox_process, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\n"
GOOD = "prompts: [a lamp]\n" + DEV


def test_0_done_and_nothing_to_do(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)

    first, second = (cli("run", job, base_url=sandbox.base_url) for _ in range(2))

    assert (first.code, second.code) == (0, 0)
    assert "finished; 1 of 1 done, 1 new picture" in first.err
    assert "finished; 1 of 1 done, nothing was sent" in second.err


def test_0_a_limit_that_is_reached(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, a cup, a chair]\n" + DEV)

    assert cli("run", job, "--limit", 2, base_url=sandbox.base_url).code == 0
    assert sandbox.bill()["requests"] == 2


def test_1_a_bug_is_told_without_a_traceback_and_the_run_is_closed(tmp_path: Path, sandbox: Server) -> None:
    job = write_job(tmp_path, GOOD)
    broken = """
import batchgen.engine.life as life
from batchgen.cli.main import main
def boom(*arguments, **more): raise LookupError("surprise")
life.request_body = boom
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", broken, "run", str(job)],
        capture_output=True,
        text=True,
        env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url),
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "internal error: LookupError" in done.stderr
    assert "What was paid for is safe" in done.stderr
    assert "Traceback" not in done.stderr
    assert report(tmp_path / "outputs" / "foo")["exit_code"] == 1


def test_2_a_mistake_in_the_job(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD + "seedz: 3\n")

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 2
    assert f"{job}:3:1: " in ran.err
    assert "seeds" in ran.err
    assert sandbox.bill()["requests"] == 0


def test_2_a_mistake_on_the_command_line(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)

    soon = cli("run", job, "--deadline", "soon", base_url=sandbox.base_url)
    both = cli("run", job, "--retry", "unknown", "--drop", "unknown", base_url=sandbox.base_url)

    assert (soon.code, both.code) == (2, 2)
    assert "the deadline soon is no length of time and no time of day" in soon.err
    assert "write it as --deadline 6h or 06:30" in soon.err
    assert "--retry unknown buys again what --drop unknown closes" in both.err
    assert sandbox.bill()["requests"] == 0


def test_3_a_task_that_failed_for_good(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, 'a cup [[fault:400-content]]']\n" + DEV)

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 3
    assert "finished, but not everything could be made; 1 of 2 done" in ran.err
    assert "1 refused, not billed" in ran.err
    assert "--retry failed" in ran.err


def test_4_a_provider_that_cannot_be_reached(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD + "limits: {give_up_after: 1}\n")

    ran = cli("run", job, base_url="http://127.0.0.1:9/v1")

    assert ran.code == 4
    assert "cannot connect to 127.0.0.1:9: connection refused; gave up after 1 s" in ran.err
    assert "1 not yet made" in ran.err
    assert f"batchgen run {job}" in ran.err


def test_4_a_deadline(cli: Cli, slow_sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 400}\n" + DEV + "limits: {concurrency: 2}\n")

    ran = cli("run", job, "--deadline", "5s", base_url=slow_sandbox.base_url)

    counts = report(tmp_path / "outputs" / "foo")["counts"]
    assert ran.code == 4
    assert "the deadline is reached" in ran.err
    assert 0 < counts["done"] < 400
    assert counts["unknown"] == 0
    assert counts["done"] == slow_sandbox.bill()["pictures"] == len(manifest(tmp_path / "outputs" / "foo"))


def test_5_a_budget(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 9}\n" + DEV + "budget: {images: 4}\n")

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 5
    assert "the budget is reached (4 pictures)" in ran.err
    assert "5 not yet made" in ran.err
    assert sandbox.bill()["pictures"] == 4


def test_6_a_folder_that_cannot_be_used(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)
    (tmp_path / "outputs").write_text("a file where a folder belongs")

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 6
    assert "a file stands where a folder belongs" in ran.err
    assert sandbox.bill()["requests"] == 0


def test_7_no_key_and_a_refused_key(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)
    with sandbox_process(tmp_path, "--key", "another") as server:
        without = cli("run", job, base_url=server.base_url, key="")
        refused = cli("run", job, base_url=server.base_url)
        requests = server.bill()["requests"]

    assert (without.code, refused.code) == (7, 7)
    assert "MODELVERSE_API_KEY" in without.err
    assert "the provider refuses the key: " in refused.err
    assert requests == 1


def test_8_another_run_holds_the_lock(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: ['a lamp [[fault:slow]]']\n" + DEV)
    holder = subprocess.Popen(
        [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
        env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url),
    )
    while sandbox.bill()["requests"] < 1:
        assert holder.poll() is None
        time.sleep(0.02)

    refused = cli("run", job, base_url=sandbox.base_url)
    skipped = cli("run", job, "--if-locked", "skip", base_url=sandbox.base_url)
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert (refused.code, skipped.code) == (8, 0)
    assert f"another run (process {holder.pid} on " in refused.err
    assert ", for less than a minute) is working on it" in refused.err
    assert "skipped: " in skipped.err
    assert (tmp_path / "outputs" / "foo" / LOCK_FILE).exists()
    # The system frees the lock of a killed run: nobody has to clean up.
    assert cli("run", job, "--limit", 1, "--drop", "unknown", base_url=sandbox.base_url).code == 3


def test_9_unknown_outcomes_wait_for_a_decision(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, 'a cup [[fault:504]]']\non_unknown: hold\n" + DEV)

    ran = cli("run", job, base_url=sandbox.base_url)
    status = cli("status", job, base_url=sandbox.base_url)

    assert ran.code == 9
    assert "calls of unknown outcome wait for your decision; 1 of 2 done" in ran.err
    assert "1 outcome unknown, maybe billed" in ran.err
    assert status.code == 0
    assert "maybe CNY 0.10" in status.out
    assert "--retry unknown" in status.out
    assert "--drop unknown" in status.out


def test_of_several_codes_the_gravest_is_given(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: ['a [[fault:400-content]]', 'b [[fault:504]]', c, d]\non_unknown: hold\nbudget: {images: 2}\n" + DEV,
    )

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 5
    assert report(tmp_path / "outputs" / "foo")["counts"]["unknown"] == 1
