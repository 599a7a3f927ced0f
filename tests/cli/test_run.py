"""What `run` knows and asks before it spends anything."""

import asyncio
import dataclasses
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.errors import BudgetError
from batchgen.library.opening import check_runnable
from batchgen.library.planning import plan_of
from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.load import load_job
from batchgen.storage.ledger import FILE_NAME, Ledger
from batchgen.storage.purchases import Begun, Ending, Intent, begin, lose_track

STATES = ("failed", "expired", "lost", "unknown", "held", "stored")


def job_of(tmp_path: Path, text: str = "", *, seeds: int = 1) -> Path:
    path = tmp_path / "jobs" / "foo.yaml"
    path.parent.mkdir()
    path.write_text(f"prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\nseeds: {{count: {seeds}}}\n{text}")
    return path


def ledger_with(job: Job, states: Sequence[str]) -> None:
    """A ledger whose tasks, in the job's order, ended in these states; `held` is twice of unknown outcome."""
    ids = [task.task_id for task in expand(job, night="")]

    def enter(connection: sqlite3.Connection) -> None:
        for task_id, state in zip(ids, states, strict=True):
            wish = Intent(task_id, "dev", "m", task_id, "{}", 1, 1, "CNY", "r1", ("life",), 1000.0)
            for _ in range(2 if state == "held" else 1):
                begun = begin(connection, wish, ())
                assert isinstance(begun, Begun)
                lose_track(connection, begun.attempt_id, Ending("cut", "", "", None, 1.0, 1001.0))
            if state != "held":
                connection.execute("UPDATE tasks SET state = ? WHERE task_id = ?", (state, task_id))

    job.output.folder.mkdir(parents=True)
    ledger = Ledger(job.output.folder / FILE_NAME)
    asyncio.run(ledger.write(enter))
    ledger.close()


@pytest.mark.parametrize(
    ("on_unknown", "retry", "new"),
    [
        ("hold", (), 0),
        ("hold", ("failed",), 1),
        ("hold", ("expired", "lost"), 2),
        ("hold", ("unknown",), 2),
        ("retry", (), 1),
        ("retry", ("unknown",), 2),
        ("hold", ("failed", "expired", "lost", "unknown"), 5),
    ],
)
def test_the_plan_of_a_retry_counts_and_prices_what_it_would_buy(
    on_unknown: str, retry: tuple[str, ...], new: int, tmp_path: Path
) -> None:
    path = job_of(tmp_path, f"on_unknown: {on_unknown}\n", seeds=len(STATES))
    job = load_job(path, environment={})
    ledger_with(job, STATES)

    plan, _ = plan_of(job, night="", limit=None, only={}, retry=retry)

    assert plan.total("new") == new
    assert plan.known_cost == new * Decimal("0.10")
    assert plan.total("done") == 1
    assert plan.total("pictures") == len(STATES)


def test_a_person_is_asked_before_what_was_lost_is_bought_again_for_much_money(tmp_path: Path) -> None:
    path = job_of(tmp_path, "limits: {give_up_after: 1s}\n", seeds=60)
    environment = {
        "PATH": os.environ["PATH"],
        "TERM": "dumb",
        "MODELVERSE_API_KEY": "sk-test-0123456789abcdef",
        "MODELVERSE_BASE_URL": "http://127.0.0.1:9/v1",
    }
    job = load_job(path, environment=environment)
    ledger_with(job, ["lost"] * 60)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "batchgen", "run", str(path), "--retry", "lost"],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        os.write(ours, b"n\n")
        said = b""
        while chunk := _read(ours):
            said += chunk
        os.close(ours)

    assert process.returncode == 0, said
    assert b"60 new" in said
    assert b"6.00" in said
    assert b"no budget" in said
    assert b"nothing was sent" in said


def test_an_unknown_price_is_refused_under_a_bound_in_money_wherever_it_was_set(tmp_path: Path) -> None:
    job = load_job(job_of(tmp_path), environment={})
    (use,) = job.models
    unpriced = dataclasses.replace(
        job, models=(dataclasses.replace(use, model=dataclasses.replace(use.model, price=None)),)
    )

    check_runnable(job, Decimal(1))
    check_runnable(unpriced, None)
    with pytest.raises(BudgetError, match="unknown"):
        check_runnable(unpriced, Decimal(1))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # so Linux reports the end of a terminal
        return b""
