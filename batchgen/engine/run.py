"""The life of one run: settle what the last one left, plan, buy with one pool per model, download, report.

`run` may be stopped at any moment: politely with `Control.stop` (calls in flight end, nothing new starts), at once by
cancelling it. It refuses to know terminals and arguments: it takes values and tells events.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batchgen import __version__
from batchgen.api.call import Caller
from batchgen.api.dialects import UnusableAnswer, parse_generation
from batchgen.api.fetch import Downloader
from batchgen.clock import Clock
from batchgen.engine.context import RunContext, calendar_scopes
from batchgen.engine.downloads import Downloads
from batchgen.engine.endpoint import Endpoint, Pace, Stop
from batchgen.engine.inputs import Inputs
from batchgen.engine.pool import Pool
from batchgen.engine.rows import failure_row, manifest_row
from batchgen.engine.summary import Ended, build_report, report_bytes
from batchgen.errors import Exit, worst
from batchgen.events import Listener, PoolPlan, PoolState, RunEnded, RunStarted
from batchgen.spec.expand import expand
from batchgen.spec.job import DEFAULT_CONCURRENCY, Job, ModelUse
from batchgen.spec.load import job_to_json
from batchgen.spec.task import Task
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import Ledger
from batchgen.storage.manifest import ManifestWriter, write_failures
from batchgen.storage.purchases import Ending, NewPicture, bill, lose_track, spool_key
from batchgen.storage.queries import (
    Sending,
    failure_rows,
    manifest_rows,
    sending,
    spool_in_use,
    states_of,
    stored_pictures,
    waiting,
)
from batchgen.storage.runs import end_run, start_run

_PLANNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run, beside what the job says."""

    night: str = ""
    limit: int | None = None
    only: Mapping[str, str] | None = None
    rebuy: frozenset[str] = frozenset()
    """States that are bought again: failed, expired, lost, unknown."""
    max_cost: Decimal | None = None
    key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    """Where the provider is, when that is known only now (the embedded sandbox)."""
    buy: bool = True
    """False only downloads what is paid for."""


class Control:
    """The handle by which a signal stops a run: `stop` may be called from a signal handler."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self.exit_code: Exit | None = None

    def stop(self, exit_code: Exit) -> None:
        """Start nothing new; let what is in flight end."""
        self.exit_code = self.exit_code or exit_code
        self._stopping.set()

    async def wait(self) -> None:
        """Return when the run is to stop."""
        await self._stopping.wait()


@dataclass(slots=True)
class _Tally:
    """One model's tasks as a run finds them."""

    total: int = 0
    states: dict[str, int] = field(default_factory=dict)

    def add(self, state: str) -> None:
        self.total += 1
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
            secret=options.key,
        )
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
        self._tallies: dict[str, _Tally] = {}
        self._abort: BaseException | None = None

    async def execute(self) -> dict[str, Any]:
        run = self._context
        await run.on_disk(run.folder.clean_parts)
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
        await self._settle_sending()
        await self._mend_manifest()
        paid_for = await run.ledger.write(waiting)
        await self._count()
        run.tell(self._started_event(len(paid_for)))
        base_url = self._options.base_url or run.job.base_url
        url = base_url.rstrip("/") + run.job.provider.path
        caller = Caller(url, self._options.key, proxy=run.job.proxy, at_once=self._concurrency())
        async with caller, Downloader(base_url, proxy=run.job.proxy) as downloader:
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

    async def _settle_sending(self) -> None:
        """Calls that a killed run left: an answer that was spooled whole is billed, any other outcome is unknown."""
        run = self._context
        spooled = set(await run.on_disk(run.folder.spool_keys))
        for call in await run.ledger.write(sending):
            key = spool_key(call.attempt_id, call.idempotency_key)
            await self._settle_one(call, key if key in spooled else None)
        for key in spooled:  # a crash after the last picture was stored leaves its answer behind
            if not await run.ledger.write(lambda connection, key=key: spool_in_use(connection, key)):  # type: ignore[misc]
                await run.on_disk(run.folder.spool_delete, key)

    async def _settle_one(self, call: Sending, spool: str | None) -> None:
        run = self._context
        at = run.clock.now()
        if spool is not None:
            body = await run.on_disk(run.folder.spool_read, spool) or b""
            with contextlib.suppress(UnusableAnswer):
                items = parse_generation(body).items
                pictures = [
                    NewPicture(place, item.url, spool if item.inline else None)
                    for place, item in enumerate(items)
                    if item.url or item.inline
                ]
                ending = Ending("billed", "", "", 200, 0.0, at)
                expires_at = call.sent_at + run.link_lifetime_s
                await run.ledger.write(
                    lambda connection: bill(connection, call.attempt_id, ending, pictures, expires_at)
                )
                return
        ending = Ending("killed", "the run ended while the call was under way", "", None, 0.0, at)
        await run.ledger.write(lambda connection: lose_track(connection, call.attempt_id, ending))

    async def _mend_manifest(self) -> None:
        """The manifest follows the ledger: rebuilt when a crash left it short or torn."""
        run = self._context
        expected = await run.ledger.write(stored_pictures)
        if not await run.on_disk(self._manifest.is_whole, expected):
            rows = await run.ledger.write(lambda connection: [manifest_row(row) for row in manifest_rows(connection)])
            await run.on_disk(self._manifest.rebuild, rows)

    def _tasks(self, use: ModelUse | None = None) -> Iterator[Task]:
        labels = None if use is None else {use.label}
        options = self._options
        return expand(self._context.job, night=options.night, labels=labels, limit=options.limit, only=options.only)

    async def _count(self) -> None:
        """Look every task up once, so that the display, the report and the exit code speak of what the job asks for."""
        self._tallies = {use.label: _Tally() for use in self._context.job.models}
        chunk: list[Task] = []
        for task in self._tasks():
            chunk.append(task)
            if len(chunk) == _PLANNED_AT_ONCE:
                await self._count_chunk(chunk)
                chunk = []
        await self._count_chunk(chunk)

    async def _count_chunk(self, chunk: list[Task]) -> None:
        ids = [task.task_id for task in chunk]
        known = await self._context.ledger.write(lambda connection: states_of(connection, ids))
        for task in chunk:
            self._tallies[task.label].add(known.get(task.task_id, "pending"))

    def _started_event(self, waiting_pictures: int) -> RunStarted:
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
        if waiting_pictures:
            waits = f"{waiting_pictures} pictures wait" if waiting_pictures > 1 else "1 picture waits"
            run.info(f"{waits} for download: paid for and not on disk yet; that comes first")
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

    def _concurrency(self) -> int:
        return self._context.job.limits.concurrency or DEFAULT_CONCURRENCY

    async def _buy(self, downloads: Downloads) -> None:
        run = self._context
        limits = run.job.limits
        slots = asyncio.Semaphore(self._concurrency())
        shared = (Pace(limits.requests_per_minute),) if limits.requests_per_minute else ()
        for use in run.job.models:
            tally = self._tallies[use.label]
            workers = min(use.limits.concurrency or self._concurrency(), self._concurrency(), max(1, tally.total))
            own = (Pace(use.limits.requests_per_minute),) if use.limits.requests_per_minute else ()
            endpoint = Endpoint(
                run.clock,
                most=workers,
                paces=shared + own,
                give_up_after_s=use.limits.give_up_after_s or limits.give_up_after_s,
                listener=self._pool_listener(use.label),
            )
            self._pools.append(Pool(run, use, self._tasks(use), endpoint, slots, workers, self._stop_all))
        watch = asyncio.create_task(self._watch(downloads))
        try:
            async with asyncio.TaskGroup() as group:
                for pool in self._pools:
                    group.create_task(pool.work())
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _watch(self, downloads: Downloads) -> None:
        """Stop buying when the user asks, or when pictures cannot be stored any more."""
        asked = asyncio.create_task(self._control.wait())
        broken = asyncio.create_task(downloads.broken.wait())
        try:
            await asyncio.wait({asked, broken}, return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                await self._stop_all(Stop("pictures cannot be stored", Exit.STORAGE))
            else:
                await self._stop_all(Stop("stopped by you", self._control.exit_code or Exit.SIGINT))
        finally:
            asked.cancel()
            broken.cancel()

    async def _stop_all(self, stop: Stop) -> None:
        for pool in self._pools:
            await pool.endpoint.stop(stop)

    def _pool_listener(self, label: str) -> Callable[[str, str, float | None], None]:
        def listen(state: str, reason: str, seconds: float | None) -> None:
            now = self._context.clock.now()
            until = None if seconds is None else now + seconds
            reason = self._context.clean(reason)
            self._context.tell(PoolState(at=now, label=label, state=state, reason=reason, until=until))

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
        failures = (*(pool.failure for pool in self._pools), downloads.failure)
        for failure in failures:
            if failure is not None:
                raise failure

    async def _end(self, downloads: Downloads) -> dict[str, Any]:
        run = self._context
        await self._count()
        codes = self._codes(downloads)
        exit_code = worst(codes)
        at = run.clock.now()
        ended = Ended(
            run_id=run.run_id,
            started_at=self._started_at,
            ended_at=at,
            duration_s=run.clock.monotonic() - self._started,
            exit_code=exit_code,
            reasons=self._reasons(downloads),
            states={label: dict(tally.states) for label, tally in self._tallies.items()},
        )
        await run.ledger.write(
            lambda connection: end_run(connection, run_id=run.run_id, exit_code=int(exit_code), at=at)
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

    def _reasons(self, downloads: Downloads) -> tuple[str, ...]:
        """Why the run ended before its tasks did; a reason that all models share is told once."""
        stopped = [(pool.use.label, pool.endpoint.stopped.reason) for pool in self._pools if pool.endpoint.stopped]
        shared = {reason for _, reason in stopped}
        if len(shared) == 1 and len(stopped) == len(self._pools):
            reasons = list(shared)
        else:
            reasons = [f"{label}: {reason}" for label, reason in stopped]
        if downloads.left_waiting:
            noun = "download" if downloads.left_waiting == 1 else "downloads"
            reasons.append(f"{downloads.left_waiting} {noun} put off to the next run")
        return tuple(reasons)

    def _codes(self, downloads: Downloads) -> set[Exit]:
        """Every exit code that is true of what the job asks for now."""
        codes: set[Exit] = set()
        counted = {state: sum(tally.count(state) for tally in self._tallies.values()) for state in _ALL_STATES}
        if self._control.exit_code is not None:
            codes.add(self._control.exit_code)
        for pool in self._pools:
            stopped = pool.endpoint.stopped
            if stopped is not None and self._tallies[pool.use.label].count("pending", "sending", "unknown", "held"):
                codes.add(stopped.exit_code)
            if pool.left_out:
                codes.add(Exit.TASKS_FAILED)
        if downloads.left_waiting or counted["billed"]:
            codes.add(Exit.UNAVAILABLE)
        if counted["unknown"] or counted["held"]:
            codes.add(Exit.HELD)
        if counted["failed"] or counted["expired"] or counted["lost"]:
            codes.add(Exit.TASKS_FAILED)
        return codes


_ALL_STATES = ("pending", "sending", "failed", "unknown", "held", "billed", "stored", "expired", "lost")
