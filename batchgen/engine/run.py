"""The life of one run: settle what the last one left, plan, buy with one pool per model, download, report.

`run` may be stopped at any moment: politely with `Control.stop` (calls in flight end, nothing new starts), at once by
cancelling it. It refuses to know terminals and arguments: it takes values and tells events.
"""

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batchgen import __version__
from batchgen.api.call import Caller
from batchgen.api.fetch import Downloader
from batchgen.clock import Clock
from batchgen.engine.canary import UNWATCHED_AT_MOST, buy_all
from batchgen.engine.context import RunContext
from batchgen.engine.downloads import Downloads
from batchgen.engine.ending import PoolEnd, exit_codes, reasons
from batchgen.engine.endpoint import Endpoint
from batchgen.engine.inputs import Inputs
from batchgen.engine.pace import Pace
from batchgen.engine.pool import Pool
from batchgen.engine.recovery import mend_manifest, refuse_two_currencies, say_what_waits, settle_sending
from batchgen.engine.rows import failure_row
from batchgen.engine.scopes import calendar_scopes
from batchgen.engine.space import Space
from batchgen.engine.summary import Ended, build_report, report_bytes
from batchgen.engine.watch import Control, Watch
from batchgen.errors import BatchgenError, StorageError, worst
from batchgen.events import Listener, PoolPlan, PoolState, RunEnded, RunStarted
from batchgen.secret import Secret
from batchgen.spec.expand import expand
from batchgen.spec.job import DEFAULT_CONCURRENCY, Job, ModelUse
from batchgen.spec.load import job_to_json
from batchgen.spec.task import Task
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import Ledger
from batchgen.storage.manifest import ManifestWriter, write_failures
from batchgen.storage.purchases import close_unknown
from batchgen.storage.queries import failure_rows, mean_latency, states_of, waiting
from batchgen.storage.runs import end_run, note_tasks, start_run

_PLANNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run, beside what the job says."""

    night: str = ""
    limit: int | None = None
    only: Mapping[str, str] | None = None
    rebuy: frozenset[str] = frozenset()
    """States that are bought again: failed, expired, lost, unknown."""
    drop: frozenset[str] = frozenset()
    """States that are closed as paid and lost: unknown."""
    max_cost: Decimal | None = None
    deadline: float | None = None
    """When no call leaves any more, nor one that is unlikely to end by then, in the clock's monotonic seconds."""
    key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    """Where the provider is, when that is known only now (the embedded sandbox)."""
    buy: bool = True
    """False only downloads what is paid for."""


@dataclass(slots=True)
class _Tally:
    """One model's tasks as a run finds them."""

    total: int = 0
    renewed: int = 0
    """Tasks that are of one night alone."""
    states: dict[str, int] = field(default_factory=dict)

    def add(self, task: Task, state: str, night: str) -> None:
        self.total += 1
        self.renewed += bool(night) and task.night == night
        self.states[state] = self.states.get(state, 0) + 1

    def count(self, *states: str) -> int:
        return sum(self.states.get(state, 0) for state in states)


async def run(
    job: Job,
    options: RunOptions,
    folder: ResultFolder,
    ledger: Ledger,
    *,
    clock: Clock,
    listeners: list[Listener],
    control: Control | None = None,
) -> dict[str, Any]:
    """Execute `job` into `folder` and return the report, which is also written as `report.json`.

    The caller holds the folder's lock. Raises StorageError when this machine's disk refuses; what was paid for until
    then is in the ledger.
    """
    run_id = uuid.uuid4().hex[:12]
    # Threads of its own for the disk: the default ones are shared with look-ups of names, which may hang.
    with ThreadPoolExecutor(4, thread_name_prefix="disk") as disk:
        context = RunContext(
            job=job,
            run_id=run_id,
            clock=clock,
            ledger=ledger,
            folder=folder,
            disk=disk,
            inputs=Inputs(folder, disk),
            listeners=list(listeners),
            max_cost=options.max_cost,
            rebuy=options.rebuy,
            secret=Secret(options.key),
            deadline=options.deadline,
        )
        context.space = Space(context)
        with ManifestWriter(folder) as manifest:
            return await _Run(context, options, control or Control(), manifest).execute()


class _Run:
    """The steps of a run, in the order of `execute`."""

    def __init__(self, context: RunContext, options: RunOptions, control: Control, manifest: ManifestWriter) -> None:
        self._context = context
        self._options = options
        self._control = control
        self._manifest = manifest
        self._started_at = context.clock.now()
        self._started = context.clock.monotonic()
        self._pools: list[Pool] = []
        self._endpoints: dict[str, Endpoint] = {}
        self._states: dict[str, PoolState] = {}
        self._tallies: dict[str, _Tally] = {}
        self._watch = Watch(context, control, self._pools, self._states)

    async def execute(self) -> dict[str, Any]:
        run = self._context
        await run.on_disk(run.folder.clean_parts)
        await self._reserve()
        if self._options.buy:
            await refuse_two_currencies(run, run.caps())
        await run.ledger.write(
            lambda connection: start_run(
                connection,
                run_id=run.run_id,
                job=run.job.name,
                resolved=job_to_json(run.job),
                night=self._options.night,
                version=__version__,
                at=self._started_at,
            )
        )
        await settle_sending(run)
        await mend_manifest(run, self._manifest)
        await self._drop()
        paid_for = await run.ledger.write(waiting)
        await self._count()
        if self._options.buy:
            tasks = sum(tally.total for tally in self._tallies.values())
            renewed = sum(tally.renewed for tally in self._tallies.values())
            await run.ledger.write(
                lambda connection: note_tasks(connection, run_id=run.run_id, tasks=tasks, renewed=renewed)
            )
        say_what_waits(run, paid_for)
        started = self._started_event()
        run.tell(started)
        await run.space.warn_if_short(len(paid_for) + sum(pool.to_buy for pool in started.pools))
        base_url = self._options.base_url or run.job.base_url
        url = base_url.rstrip("/") + run.job.provider.path
        caller = Caller(url, self._options.key, proxy=run.job.proxy, at_once=self._concurrency(), memory=run.memory)
        # The embedded sandbox keeps its pictures itself: no link in a ledger has a reason to name another port.
        fetcher = Downloader(base_url, proxy=run.job.proxy, secret=run.secret, neighbours=not run.job.provider.embedded)
        async with caller, fetcher as downloader:
            downloads = Downloads(run, downloader, self._manifest)
            run.connect(caller=caller, downloads=downloads)
            downloads.start()
            downloads.add(paid_for)
            try:
                if self._options.buy:
                    await self._buy(downloads)
                await self._drain(downloads)
            except BaseException:
                await downloads.abort()
                raise
        return await self._end(downloads)

    async def _reserve(self) -> None:
        """Put room aside, if there is any: what is paid for is downloaded all the same."""
        try:
            await self._context.on_disk(self._context.folder.reserve)
        except StorageError as error:
            self._context.warn(f"no room can be put aside for paid answers: {error.message}")

    async def _drop(self) -> None:
        """Close what the user does not want to buy again: all of the folder, or what `only` and `limit` choose."""
        if "unknown" not in self._options.drop:
            return
        run = self._context
        if self._options.only or self._options.limit is not None:
            closed = 0
            for chunk in _chunks(self._tasks()):
                ids = [task.task_id for task in chunk]
                closed += await run.ledger.write(lambda connection, ids=ids: close_unknown(connection, ids))  # type: ignore[misc]
        else:
            closed = await run.ledger.write(close_unknown)
        noun = "call" if closed == 1 else "calls"
        run.info(f"{closed} {noun} of unknown outcome closed as paid and lost")

    def _tasks(self, use: ModelUse | None = None) -> Iterator[Task]:
        labels = None if use is None else {use.label}
        options = self._options
        return expand(self._context.job, night=options.night, labels=labels, limit=options.limit, only=options.only)

    async def _count(self) -> None:
        """Look every task up once, so that the display, the report and the exit code speak of what the job asks for."""
        self._tallies = {use.label: _Tally() for use in self._context.job.models}
        for chunk in _chunks(self._tasks()):
            ids = [task.task_id for task in chunk]
            known = await self._context.ledger.write(lambda connection, ids=ids: states_of(connection, ids))  # type: ignore[misc]
            for task in chunk:
                self._tallies[task.label].add(task, known.get(task.task_id, "pending"), self._options.night)

    def _started_event(self) -> RunStarted:
        run = self._context
        pools = tuple(
            PoolPlan(
                label=use.label,
                model=use.model.id,
                total=self._tallies[use.label].total,
                done=self._tallies[use.label].count("stored"),
                to_buy=self._tallies[use.label].count(*run.to_buy) if self._options.buy else 0,
                waiting=self._tallies[use.label].count("billed"),
                price=use.model.price,
            )
            for use in run.job.models
        )
        return RunStarted(
            at=run.clock.now(),
            run_id=run.run_id,
            job=run.job.name,
            folder=str(run.folder.path),
            provider=run.job.identity,
            play_money=run.job.provider.play_money,
            currency=run.currency,
            pools=pools,
            concurrency=self._concurrency(),
        )

    def _canaries(self) -> int:
        """Pictures of each model that come before the rest: one where much is to be bought and the job says nothing."""
        asked = self._context.job.canary
        to_buy = sum(tally.count(*self._context.to_buy) for tally in self._tallies.values())
        return int(to_buy > UNWATCHED_AT_MOST) if asked is None else asked * (to_buy > 0)

    def _concurrency(self) -> int:
        return self._context.job.limits.concurrency or DEFAULT_CONCURRENCY

    async def _buy(self, downloads: Downloads) -> None:
        run = self._context
        limits = run.job.limits
        if run.deadline is not None:  # the first calls of a run have no others of it to go by
            usual = await run.ledger.write(mean_latency)
            for use in run.job.models:
                if use.model.id in usual:
                    run.note_latency(use.label, usual[use.model.id])
        slots = asyncio.Semaphore(self._concurrency())
        shared = (Pace(limits.requests_per_minute),) if limits.requests_per_minute else ()
        for use in run.job.models:
            tally = self._tallies[use.label]
            workers = min(use.limits.concurrency or self._concurrency(), self._concurrency(), max(1, tally.total))
            own = (Pace(use.limits.requests_per_minute),) if use.limits.requests_per_minute else ()
            endpoint = Endpoint(
                run.clock,
                most=workers,
                slots=slots,
                paces=shared + own,
                give_up_after_s=use.limits.give_up_after_s or limits.give_up_after_s,
                listener=self._pool_listener(use.label),
            )
            self._endpoints[use.label] = endpoint
            self._pools.append(Pool(run, use, self._tasks(use), endpoint, workers, self._watch.stop_all))
        beside = [asyncio.create_task(self._watch.watch(downloads)), asyncio.create_task(self._watch.note_pools())]
        try:
            await buy_all(run, self._pools, self._canaries())
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _pool_listener(self, label: str) -> Callable[[str, str, float | None], None]:
        def listen(state: str, reason: str, seconds: float | None) -> None:
            now = self._context.clock.now()
            until = None if seconds is None else now + seconds
            reason = self._context.clean(reason)
            at_once = self._endpoints[label].statistics().limit
            told = PoolState(at=now, label=label, state=state, reason=reason, until=until, at_once=at_once)
            self._states[label] = told
            self._context.tell(told)

        return listen

    async def _drain(self, downloads: Downloads) -> None:
        """Let downloads end; a user who stops the run waits for no retries, only for what is being stored."""
        finishing = asyncio.create_task(downloads.finish())
        asked = asyncio.create_task(self._control.wait())
        try:
            await asyncio.wait({finishing, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not finishing.done():
                await asyncio.wait({finishing}, timeout=10.0)
            if not finishing.done():
                await downloads.abort()
        finally:
            asked.cancel()
            finishing.cancel()
            await asyncio.gather(asked, finishing, return_exceptions=True)

    async def _end(self, downloads: Downloads) -> dict[str, Any]:
        """Write down how the run ended, also when its disk failed; what the disk then refuses is not insisted on."""
        failures = (*(pool.failure for pool in self._pools), downloads.failure)
        failure = next((failure for failure in failures if failure is not None), None)
        if failure is None:
            return await self._write_end(downloads, None)
        self._context.folder.release_reserve()
        try:
            report = await self._write_end(downloads, failure)
        except StorageError:
            raise failure from None
        if isinstance(failure, BatchgenError):
            return report
        raise failure

    async def _write_end(self, downloads: Downloads, failure: BaseException | None) -> dict[str, Any]:
        run = self._context
        await self._count()
        states = {label: dict(tally.states) for label, tally in self._tallies.items()}
        ends = [PoolEnd(pool.use.label, pool.endpoint.stopped, pool.left_out) for pool in self._pools]
        put_off = downloads.left_waiting
        exit_code = worst(
            exit_codes(ends, states, left_waiting=put_off, signal=self._control.exit_code, failure=failure)
        )
        at = run.clock.now()
        ended = Ended(
            run_id=run.run_id,
            started_at=self._started_at,
            ended_at=at,
            duration_s=run.clock.monotonic() - self._started,
            exit_code=exit_code,
            reasons=reasons(ends, left_waiting=put_off, failure=failure),
            states=states,
            night=self._options.night,
            new_stored=downloads.stored,
            error=failure if isinstance(failure, BatchgenError) else None,
        )
        await run.ledger.write(
            lambda connection: end_run(
                connection, run_id=run.run_id, exit_code=int(exit_code), reason=ended.reason, at=at
            )
        )
        day_scopes = calendar_scopes(run.run_id, at + run.job.provider.utc_offset_s)
        report = await run.ledger.write(
            lambda connection: build_report(connection, run.job, str(run.folder.path), ended, day_scopes)
        )
        await run.on_disk(self._manifest.sync)
        failures = await run.ledger.write(lambda connection: [failure_row(row) for row in failure_rows(connection)])
        await run.on_disk(write_failures, run.folder, failures)
        await run.on_disk(run.folder.write_atomically, "report.json", report_bytes(report))
        run.tell(RunEnded(at=at, exit_code=int(exit_code), report=report))
        return report


def _chunks(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    while chunk := list(itertools.islice(tasks, _PLANNED_AT_ONCE)):
        yield chunk
