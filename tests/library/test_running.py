"""Runs by programs: against a real sandbox in a process of its own, with the traces that the command line leaves."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

import batchgen
from batchgen.clock import RealClock
from batchgen.errors import CredentialsError, JobError, LockedError, UsageError
from batchgen.events import CallSent, Event, Notice, PictureStored, RunEnded
from batchgen.storage.lock import FolderLock
from tests.scenarios.conftest import KEY, Server, sandbox_process, write_job

TEXT = "prompts: [a fox, a cup, an owl]\nmodels: [black-forest-labs/flux.1-dev]\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Server]:
    with sandbox_process(tmp_path) as server:
        yield server


@pytest.fixture
def slow_sandbox(tmp_path: Path) -> Iterator[Server]:
    with sandbox_process(tmp_path, "--latency", "0.3") as server:
        yield server


def environment(server: Server) -> dict[str, str]:
    return {"MODELVERSE_BASE_URL": server.base_url, "MODELVERSE_API_KEY": KEY}


def load(tmp_path: Path, server: Server, text: str = TEXT) -> batchgen.Job:
    return batchgen.load_job(write_job(tmp_path, text), environment=environment(server))


async def test_a_run_makes_what_is_missing_and_reports_it(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)
    heard: list[Event] = []

    first = await batchgen.run_async(job, environment=environment(sandbox), listeners=[heard.append])
    again = await batchgen.run_async(job, key=KEY, environment=environment(sandbox))

    assert (first.exit_code, first.is_done, first.new_pictures) == (batchgen.Exit.DONE, True, 3)
    assert (first.spent, first.maybe_billed, first.currency) == (Decimal("0.30"), Decimal(0), "CNY")
    assert first.counts["done"] == first.counts["tasks"] == 3
    assert sum(isinstance(event, PictureStored) for event in heard) == 3
    assert isinstance(heard[-1], RunEnded)
    assert (again.new_pictures, again.spent, sandbox.bill()["requests"]) == (0, Decimal(0), 3)
    folder = first.folder
    assert json.loads((folder / "report.json").read_text())["run_id"] == again.data["run_id"]
    assert len(list((folder / "runs").glob("*.log"))) == 2
    assert len(list((folder / "backups").iterdir())) == 1
    assert not (folder / "gallery" / "index.html").exists()


def test_the_blocking_call_makes_the_page_when_it_is_asked_to(sandbox: Server, tmp_path: Path) -> None:
    report = batchgen.run(load(tmp_path, sandbox), environment=environment(sandbox), gallery=True)

    assert report.is_done
    assert (report.folder / "gallery" / "index.html").is_file()
    assert sorted(row.prompt for row in batchgen.manifest(report.folder)) == ["a cup", "a fox", "an owl"]


def test_the_plan_knows_what_is_done(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)
    before = batchgen.plan(job)
    batchgen.run(job, environment=environment(sandbox), limit=1)
    after = batchgen.plan(job)

    assert (before.total("new"), before.known_cost) == (3, Decimal("0.30"))
    assert (after.total("new"), after.total("done")) == (2, 1)
    assert batchgen.plan(job, limit=2).total("new") == 1
    assert batchgen.plan(job, only={"model": "flux.1-dev"}).total("pictures") == 3


async def test_a_blocking_call_inside_a_loop_says_to_await(tmp_path: Path) -> None:
    job = batchgen.load_job(write_job(tmp_path, "provider: sandbox\n" + TEXT))

    with pytest.raises(UsageError, match="event loop") as caught:
        batchgen.run(job)

    assert "await batchgen.run_async" in caught.value.hint


def test_bounds_and_choices_of_a_run(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)
    report = batchgen.run(job, environment=environment(sandbox), max_cost="0.20")

    assert (report.exit_code, report.new_pictures, report.spent) == (batchgen.Exit.BUDGET, 2, Decimal("0.20"))
    assert "budget" in report.reason
    assert report.next
    only = batchgen.run(job, environment=environment(sandbox), only={"row": "*"}, deadline_s=0.0)
    assert only.exit_code is batchgen.Exit.UNAVAILABLE
    assert batchgen.run(job, environment=environment(sandbox), buy=False).new_pictures == 0


@pytest.mark.parametrize(
    "wrong",
    [{"max_cost": "much"}, {"max_cost": -1}, {"retry": ["done"]}, {"drop": ["failed"]}, {"night": "2026-01-01"},
     {"retry": ["unknown"], "drop": ["unknown"]}, {"only": {"style": "x"}}],
)  # fmt: skip
def test_wrong_arguments_are_told_before_anything_is_sent(
    wrong: dict[str, object], sandbox: Server, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        batchgen.run(load(tmp_path, sandbox), environment=environment(sandbox), **wrong)  # type: ignore[arg-type]

    assert caught.value.hint
    assert sandbox.bill()["requests"] == 0


def test_the_environment_is_not_read_and_the_key_goes_nowhere_by_itself(
    sandbox: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(sandbox).items():
        monkeypatch.setenv(name, value)
    assert load(tmp_path, sandbox).base_url == sandbox.base_url
    assert batchgen.load_job(tmp_path / "jobs" / "foo.yaml").base_url == "https://api.modelverse.cn/v1"

    with pytest.raises(CredentialsError, match="no key"):
        batchgen.run(load(tmp_path, sandbox))
    with pytest.raises(UsageError, match=r"would go to 127\.0\.0\.1"):
        batchgen.run(load(tmp_path, sandbox), key=KEY)
    with pytest.raises(CredentialsError, match="characters that no key has"):
        batchgen.run(load(tmp_path, sandbox), key="two words", environment=environment(sandbox))
    with pytest.raises(UsageError, match="the key in MODELVERSE_API_KEY stands here"):
        batchgen.run(load(tmp_path, sandbox, TEXT.replace("a cup", KEY)), environment=environment(sandbox))
    assert sandbox.bill()["requests"] == 0


def test_while_another_run_holds_the_folder_nothing_begins(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)
    with FolderLock(job.output.folder, RealClock()), pytest.raises(LockedError):
        batchgen.run(job, environment=environment(sandbox))


async def test_a_cancelled_run_lets_calls_in_flight_end_and_loses_nothing(slow_sandbox: Server, tmp_path: Path) -> None:
    text = TEXT + "limits: {concurrency: 1}\n"
    job = load(tmp_path, slow_sandbox, text)
    sent = asyncio.Event()
    task = asyncio.create_task(
        batchgen.run_async(
            job,
            environment=environment(slow_sandbox),
            listeners=[lambda event: sent.set() if isinstance(event, CallSent) else None],
        )
    )
    await sent.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(list(batchgen.manifest(job.output.folder))) == slow_sandbox.bill()["requests"] == 1
    with batchgen.open_ledger(job.output.folder) as ledger:
        assert [row["state"] for row in ledger.execute("SELECT state FROM attempts")] == ["billed"]
    assert (await batchgen.run_async(job, environment=environment(slow_sandbox))).counts["done"] == 3
    assert slow_sandbox.bill()["requests"] == 3


async def test_a_listener_that_raises_changes_nothing(sandbox: Server, tmp_path: Path) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError(event.name)

    assert (
        await batchgen.run_async(load(tmp_path, sandbox), environment=environment(sandbox), listeners=[broken])
    ).is_done


def test_the_embedded_sandbox_needs_no_key(tmp_path: Path) -> None:
    report = batchgen.run(batchgen.load_job(write_job(tmp_path, "provider: sandbox\n" + TEXT)), limit=1)

    assert report.new_pictures == 1
    assert report.data["play_money"] is True


def test_the_ledger_cannot_be_written_and_is_closed(tmp_path: Path) -> None:
    job = batchgen.load_job(write_job(tmp_path, "provider: sandbox\n" + TEXT))
    batchgen.run(job, limit=1)

    with batchgen.open_ledger(job.output.folder) as ledger:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            ledger.execute("DELETE FROM attempts")
        assert ledger.execute("SELECT sum(cost) AS cost FROM attempts").fetchone()["cost"] == 100_000
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.execute("SELECT 1")
    with pytest.raises(UsageError, match="holds no ledger"), contextlib.ExitStack() as stack:
        stack.enter_context(batchgen.open_ledger(tmp_path / "nowhere"))
    assert list(batchgen.manifest(tmp_path / "nowhere")) == []


async def test_the_deadline_of_the_job_counts_here_too(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox, TEXT + "deadline: 0.001s\n")

    report = await batchgen.run_async(job, environment=environment(sandbox))
    later = await batchgen.run_async(job, environment=environment(sandbox), deadline_s=600)

    assert (report.exit_code, report.new_pictures) == (batchgen.Exit.UNAVAILABLE, 0)
    assert "deadline" in report.reason
    assert (later.is_done, later.new_pictures) == (True, 3)


async def test_a_page_that_cannot_be_made_takes_no_report_away(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)
    job.output.folder.mkdir(parents=True)
    (job.output.folder / "gallery").mkdir()
    (job.output.folder / "gallery" / "index.html").mkdir()  # where the page would stand

    report = await batchgen.run_async(job, environment=environment(sandbox), gallery=True)

    assert (report.is_done, report.new_pictures) == (True, 3)
    assert report.warnings
    assert "the gallery was not renewed" in report.warnings[0]
    (log,) = (job.output.folder / "runs").glob("*.log")
    assert report.warnings[0] in log.read_text()


async def test_nothing_but_a_bound_of_none_is_no_bound(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)

    assert batchgen.plan(job, limit=0).total("pictures") == 0
    assert (await batchgen.run_async(job, environment=environment(sandbox), limit=0)).counts["tasks"] == 0
    assert sandbox.bill()["requests"] == 0


async def test_a_second_cancellation_leaves_at_once_and_the_call_counts_as_maybe_billed(tmp_path: Path) -> None:
    with sandbox_process(tmp_path, "--latency", "60", "--scale", "1") as server:
        job = load(tmp_path, server, TEXT + "limits: {concurrency: 1}\n")
        sent = asyncio.Event()
        stopping = asyncio.Event()

        def listen(event: Event) -> None:
            if isinstance(event, CallSent):
                sent.set()
            if isinstance(event, Notice) and "stopping" in event.message:
                stopping.set()

        task = asyncio.create_task(batchgen.run_async(job, environment=environment(server), listeners=[listen]))
        await sent.wait()
        task.cancel()
        await stopping.wait()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    plan = batchgen.plan(job)
    assert (plan.total("done"), plan.total("new")) == (0, 3)
    with batchgen.open_ledger(job.output.folder) as ledger:
        assert [row["state"] for row in ledger.execute("SELECT state FROM attempts")] == ["unknown"]


def test_an_error_that_nobody_catches_says_what_to_do_next(tmp_path: Path) -> None:
    job = batchgen.load_job(write_job(tmp_path, TEXT))

    with pytest.raises(batchgen.BatchgenError) as caught:
        batchgen.run(job)

    shown = "".join(traceback.format_exception(caught.value))
    assert caught.value.hint
    assert f"next: {caught.value.hint}" in shown


def test_errors_come_whole_out_of_another_process(tmp_path: Path) -> None:
    path = write_job(tmp_path, "models: [nobody/nothing]\nprompt: [x]\n")
    with pytest.raises(JobError) as caught:
        batchgen.load_job(path)

    back = pickle.loads(pickle.dumps(caught.value))

    assert (type(back), back.problems, back.message, back.hint) == (
        JobError,
        caught.value.problems,
        caught.value.message,
        caught.value.hint,
    )
    locked = pickle.loads(pickle.dumps(LockedError("it is taken", "wait")))
    assert (locked.message, locked.hint) == ("it is taken", "wait")


def test_what_is_dropped_is_bounded_like_what_is_bought(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox, TEXT.replace("a cup", "'a cup [[fault:504]]'") + "on_unknown: hold\n")

    def states() -> list[str]:
        with batchgen.open_ledger(job.output.folder) as ledger:
            return [row["state"] for row in ledger.execute("SELECT state FROM tasks WHERE state != 'stored'")]

    held = batchgen.run(job, environment=environment(sandbox))
    assert (held.exit_code, states()) == (batchgen.Exit.HELD, ["unknown"])
    batchgen.run(job, environment=environment(sandbox), limit=0, drop=["unknown"])
    assert states() == ["unknown"]
    batchgen.run(job, environment=environment(sandbox), drop=["unknown"])
    assert states() == ["lost"]


def test_a_report_and_a_job_travel_between_processes(sandbox: Server, tmp_path: Path) -> None:
    job = load(tmp_path, sandbox)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        report = pool.submit(batchgen.run, job, environment=environment(sandbox), limit=1).result()

    assert (report.is_done, report.new_pictures, report.folder) == (True, 1, job.output.folder)


class TimeLimit(BaseException):
    """What a scheduler raises in the middle of whatever is going on."""


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGUSR1, TimeLimit)])
def test_what_a_signal_raises_waits_for_the_calls_in_flight(
    number: signal.Signals, raised: type[BaseException], slow_sandbox: Server, tmp_path: Path
) -> None:
    job = load(tmp_path, slow_sandbox, TEXT + "limits: {concurrency: 1}\n")

    def late(*_: object) -> None:
        raise TimeLimit

    def listen(event: Event) -> None:
        if isinstance(event, CallSent):
            os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGUSR1, late)
    try:
        with pytest.raises(raised):
            batchgen.run(job, environment=environment(slow_sandbox), listeners=[listen])
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert len(list(batchgen.manifest(job.output.folder))) == slow_sandbox.bill()["requests"] == 1
    with batchgen.open_ledger(job.output.folder) as ledger:
        assert [row["state"] for row in ledger.execute("SELECT state FROM attempts")] == ["billed"]
    assert json.loads((job.output.folder / "report.json").read_text())["exit_code"] == batchgen.Exit.SIGINT
