"""What a run would do, before it does it: its night, its plan against what its folder holds, and what budgets allow."""

import dataclasses
import datetime
import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal

from batchgen.clock import RealClock
from batchgen.engine.scopes import calendar_scopes
from batchgen.errors import UsageError
from batchgen.spec.expand import expand
from batchgen.spec.job import DEFAULT_CONCURRENCY, Job
from batchgen.spec.plan import Plan, Room, make_plan
from batchgen.spec.seeds import job_renew, named_night, night_of
from batchgen.storage.ledger import open_reader
from batchgen.storage.purchases import MILLION
from batchgen.storage.queries import mean_latency, money, states_of


def night_for_run(job: Job, named: str) -> str:
    """The night a run belongs to: the named one, else the present one; empty for a job that renews nothing.

    A folder for each night is no reason to renew seeds, but one to know the night.
    """
    renew = "daily" if job.output.nightly else job_renew(job)
    if named and renew == "never":
        raise UsageError(
            f"--night {named}: this job renews nothing",
            "write `seeds: {count: 1, renew: daily}` in the job, or put {night} into its `output: folder`",
        )
    if named:
        return named_night(named, renew)
    offset = datetime.datetime.now().astimezone().utcoffset()
    return night_of(RealClock().now(), renew, offset.total_seconds() if offset else 0.0)


def plan_of(
    job: Job,
    *,
    night: str,
    limit: int | None,
    only: dict[str, str],
    retry: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> tuple[Plan, float | None]:
    """The job's plan against what its folder already holds, and how long it will take by what it took before.

    What ended in one of the states of `retry` counts as new, what is in `drop` as lost.
    """
    reader = open_reader(job.output.folder)
    tasks = expand(job, night=night, limit=limit, only=only or None)
    try:
        plan = make_plan(
            job, tasks, lambda ids: {} if reader is None else _plan_states(states_of(reader, ids), job, retry, drop)
        )
        plan = dataclasses.replace(plan, rooms=tuple(_rooms(job, reader)))
        if reader is None:
            return plan, None
        return plan, None if not plan.total("new") else plan.time_s(
            mean_latency(reader), job.limits.concurrency or DEFAULT_CONCURRENCY
        )
    finally:
        if reader is not None:
            reader.close()


def _rooms(job: Job, reader: sqlite3.Connection | None) -> Iterator[Room]:
    """What each budget of the job still allows; what is in flight and maybe billed counts as spent."""
    now = RealClock().now() + job.provider.utc_offset_s
    scopes = dict(zip(("life", "run", "day", "week", "month"), calendar_scopes("", now), strict=True))
    for budget in job.budgets:
        spent = [] if reader is None or budget.per == "run" else money(reader, scopes[budget.per])
        images = sum(each.images_reserved + each.images_billed + each.images_maybe for each in spent)
        cost = sum(each.reserved + each.billed + each.maybe for each in spent if each.currency == job.provider.currency)
        yield Room(
            budget.words(job.provider.currency),
            None if budget.images is None else max(0, budget.images - images),
            None if budget.cost is None else max(Decimal(0), budget.cost - Decimal(cost) / MILLION),
        )


_PLAN_WORDS = {"stored": "done", "billed": "waiting", "pending": "new", "sending": "unknown", "held": "unknown"}


def _plan_states(states: dict[str, str], job: Job, retry: Sequence[str], drop: Sequence[str]) -> dict[str, str]:
    """The ledger's states in the words of a plan: an unknown outcome that the run would try again is bought anew."""
    words = _PLAN_WORDS | ({"unknown": "new", "sending": "new"} if job.on_unknown == "retry" else {})
    words |= dict.fromkeys(retry, "new") | ({"held": "new", "sending": "new"} if "unknown" in retry else {})
    words |= {"unknown": "lost", "held": "lost", "sending": "lost"} if "unknown" in drop else {}
    return {task_id: words.get(state, state) for task_id, state in states.items()}
