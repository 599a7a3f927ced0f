"""The workers of one model: its own tasks in plan order, its own endpoint, so that one in trouble starves no other."""

import asyncio
import datetime
import re
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from batchgen.api.outcomes import Kind, Outcome, Reach
from batchgen.engine.context import RunContext
from batchgen.engine.endpoint import Endpoint, EndpointStopped, Stop, Ticket
from batchgen.engine.life import Next, Verdict, make
from batchgen.errors import Exit
from batchgen.spec.job import ModelUse
from batchgen.spec.task import Task
from batchgen.storage.queries import states_of

_LOOK_UP_AT_ONCE = 200
_BACKLOG_PER_CALL = 2
NOT_FOUND_TO_STOP = 2
_CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}|\d+", re.IGNORECASE)
"""Ids and numbers, which differ in messages that say the same."""
_UNWANTED_CANARIES = 5
"""Canaries that were refused for their prompt alone, after which the rest goes on."""
_ALIKE_TO_STOP, _UNWANTED_TO_STOP = 10, 50
"""Refusals with the same words in a row after which a model is asked no more: all of its tasks would end as failed.

Prompts that a provider does not want lie together more often than others, and say nothing of the model.
"""


class Pool:
    """One model's share of a run. `work` returns when its tasks are bought, left, or cannot be bought now."""

    def __init__(
        self,
        run: RunContext,
        use: ModelUse,
        tasks: Iterator[Task],
        endpoint: Endpoint,
        workers: int,
        stop_all: Callable[[Stop], None],
    ) -> None:
        self.use = use
        self.endpoint = endpoint
        self._run = run
        self._tasks = tasks
        self._count = workers
        self._stop_all = stop_all
        self._ready: deque[Task] = deque()
        self._filling = asyncio.Lock()
        self._exhausted = False
        self._not_found = 0
        self._alike: tuple[str, int] = ("", 0)
        self._tried_before: set[str] = set()
        self.left_out = 0
        """Tasks whose input picture changed or went."""
        self.failure: Exception | None = None
        """What ended the pool: a disk or a ledger that takes nothing more, or a bug."""

    async def work(self) -> None:
        """Run the workers to the end of the tasks, or until the endpoint or the run stops."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._worker())

    async def send_canaries(self, count: int) -> None:
        """Buy `count` pictures one after another, of tasks that were never tried; stop the model when one is refused."""
        await self._guarded(self._buy_canaries(count))

    async def _worker(self) -> None:
        await self._guarded(self._buy_one_by_one())

    async def _guarded(self, buying: Coroutine[Any, Any, None]) -> None:
        try:
            await buying
        except Exception as error:  # noqa: BLE001  # whatever it is, others have paid calls under way
            # They end in peace, and this is raised after them.
            self.failure = self.failure or error
            stop = Stop(
                getattr(error, "message", "something unexpected happened"), getattr(error, "exit_code", Exit.BUG)
            )
            self._stop_all(stop)

    async def _buy_one_by_one(self) -> None:
        while (task := await self._next()) is not None:
            await self._room_for_downloads()
            try:
                ticket = await self.endpoint.enter()
            except EndpointStopped:
                return
            verdict = await self._make(task, ticket)
            if verdict.next is Next.AGAIN:
                self._ready.appendleft(task)
            elif verdict.declined == "budget":
                await self._budget_is_full(task, verdict.message)
            elif verdict.declined == "input":
                self.left_out += 1

    async def _buy_canaries(self, count: int) -> None:
        unwanted = 0
        while count and unwanted < _UNWANTED_CANARIES:
            task = await self._next(untried=True)
            if task is None:
                return
            try:
                ticket = await self.endpoint.enter()
            except EndpointStopped:
                self._ready.appendleft(task)
                return
            verdict = await self._make(task, ticket)
            outcome = verdict.outcome
            if verdict.next is Next.AGAIN:
                self._ready.appendleft(task)
            elif verdict.declined == "budget":
                await self._budget_is_full(task, verdict.message)
            elif verdict.declined == "input":
                self.left_out += 1
            elif outcome is None or outcome.kind is Kind.UNKNOWN:
                continue
            elif outcome.reason == "content_policy":
                unwanted += 1
            elif outcome.kind is Kind.BILLED and verdict.usable:
                count -= 1
            else:
                how = "was refused" if outcome.kind is Kind.REFUSED else "brought no picture"
                self.endpoint.stop(Stop(f"its first picture {how}: {self._words(verdict)}", Exit.UNAVAILABLE))
                return

    async def _budget_is_full(self, task: Task, words: str) -> None:
        """Stop, unless a call in flight may still give its reservation back."""
        self._ready.appendleft(task)
        if self._run.calls_in_flight:
            await self._run.clock.sleep(0.2)
        else:
            self.endpoint.stop(Stop(f"the budget is reached ({words})", Exit.BUDGET))

    async def _make(self, task: Task, ticket: Ticket) -> Verdict:
        reported = False
        try:
            await self._stop_if_hopeless()
            if self.endpoint.stopped is not None:
                return Verdict(Next.AGAIN)
            self._run.calls_in_flight += 1
            try:
                verdict = await make(task, self.use, self._run)
            finally:
                self._run.calls_in_flight -= 1
            reported = True
            self._report(ticket, verdict)
            return verdict
        finally:
            if not reported:
                self.endpoint.leave(ticket)

    def _report(self, ticket: Ticket, verdict: Verdict) -> None:
        """Tell the endpoint what the call's end says of it."""
        outcome = verdict.outcome
        if outcome is None:
            self.endpoint.leave(ticket)
        elif outcome.kind is Kind.BILLED and verdict.usable:
            self._not_found = 0
            self._alike = ("", 0)
            self.endpoint.succeed(ticket)
        elif outcome.kind in {Kind.BILLED, Kind.UNKNOWN}:
            reason = "answers without a picture" if outcome.kind is Kind.BILLED else "calls without an answer"
            self.endpoint.fail(ticket, f"{reason}: {self._words(verdict)}", costly=True)
        elif outcome.reason == "too_many_files":
            self.endpoint.throttle(ticket, outcome.message, None, by_the_minute=False)
        elif outcome.reach is Reach.RETRY and outcome.kind is Kind.REFUSED:
            limited = outcome.reason == "rate_limited"
            wait_s = retry_after_seconds(verdict.retry_after, verdict.date)
            self.endpoint.throttle(ticket, "rate limited" if limited else "overloaded", wait_s, by_the_minute=limited)
        elif outcome.reach is Reach.RETRY:
            self.endpoint.fail(ticket, outcome.message, costly=False)
        elif outcome.reach is Reach.TASK:
            self._refused(ticket, outcome)
        else:
            stop = _stop_for(outcome, self._run.clean(outcome.message))
            if outcome.reach is Reach.MODEL:
                self.endpoint.stop(stop)
            else:
                self._stop_all(stop)
            self.endpoint.leave(ticket)

    def _words(self, verdict: Verdict) -> str:
        assert verdict.outcome is not None
        return self._run.clean(verdict.message or verdict.outcome.message)

    def _refused(self, ticket: Ticket, outcome: Outcome) -> None:
        """A refusal of one task; an unknown model refuses every task alike, so the second one stops the pool."""
        words = f"{outcome.reason}: {_CHANGING.sub('', outcome.message)}"
        self._alike = (words, self._alike[1] + 1 if self._alike[0] == words else 1)
        most = _UNWANTED_TO_STOP if outcome.reason == "content_policy" else _ALIKE_TO_STOP
        if self._alike[1] >= most:
            reason = f"{most} refusals in a row with the same words: {self._run.clean(outcome.message)}"
            self.endpoint.stop(Stop(reason, Exit.UNAVAILABLE))
        self._not_found = self._not_found + 1 if outcome.reason == "not_found" else 0
        if self._not_found >= NOT_FOUND_TO_STOP:
            reason = f"the provider does not know this model or address: {self._run.clean(outcome.message)}"
            self.endpoint.stop(Stop(reason, Exit.UNAVAILABLE))
        self.endpoint.refuse(ticket)

    async def _room_for_downloads(self) -> None:
        """Buy no more while many paid pictures wait to be fetched: their links are worth more than new ones."""
        most = _BACKLOG_PER_CALL * max(self._count, 16)
        downloads = self._run.downloads
        while downloads.backlog > most and self.endpoint.stopped is None:
            await self._run.clock.sleep(0.1)
        if downloads.failed_in_a_row > most:
            reason = f"paid pictures cannot be downloaded ({downloads.failed_in_a_row} in a row)"
            self._stop_all(Stop(reason, Exit.UNAVAILABLE))

    async def _stop_if_hopeless(self) -> None:
        """Buy nothing more that could not be stored, or would come too late."""
        trouble = await self._run.space.trouble()
        if trouble:
            self._stop_all(Stop(trouble, Exit.STORAGE))
        elif self._run.too_late_for(self.use.label):
            self.endpoint.stop(self._run.deadline_stop())

    async def _next(self, *, untried: bool = False) -> Task | None:
        """The next task that is to be bought, in plan order, or the next that was never tried; None when there is none."""
        async with self._filling:
            while not self._ready and not self._exhausted and self.endpoint.stopped is None:
                await self._fill()
            if untried:
                first = next((task for task in self._ready if task.task_id not in self._tried_before), None)
                if first is not None:
                    self._ready.remove(first)
                return first
            return self._ready.popleft() if self._ready and self.endpoint.stopped is None else None

    async def _fill(self) -> None:
        chunk: list[Task] = []
        for task in self._tasks:
            chunk.append(task)
            if len(chunk) == _LOOK_UP_AT_ONCE:
                break
        else:
            self._exhausted = True
        ids = [task.task_id for task in chunk]
        known = await self._run.ledger.write(lambda connection: states_of(connection, ids))
        for task in chunk:
            state = known.get(task.task_id, "pending")
            if state in self._run.to_buy:
                self._ready.append(task)
                if state != "pending":
                    self._tried_before.add(task.task_id)


def retry_after_seconds(retry_after: str, date: str) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or a date by the server's own clock. None for nonsense."""
    text = retry_after.strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        then, now = _http_date(text), _http_date(date)
        if then is None or now is None:
            return None
        seconds = (then - now).total_seconds()
    return seconds if 0 <= seconds < 10_000_000 else None


def _http_date(text: str) -> datetime.datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)


def _stop_for(outcome: Outcome, message: str) -> Stop:
    """Why a refusal stops a model or the provider, in the user's words."""
    words = {
        "key": "the provider refuses the key",
        "quota": "the account has no credit or quota left",
        "permission": "this key may not use the model",
        "moved": "the provider answers with a redirect, which paid calls never follow",
        "certificate": "no trusted connection to the provider",
    }[outcome.reason]
    exit_code = Exit.UNAVAILABLE if outcome.reason in {"moved", "certificate"} else Exit.ACCOUNT
    return Stop(f"{words}: {message}", exit_code)
