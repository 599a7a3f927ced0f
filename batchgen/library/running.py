"""A run for programs: one call that ends with a report, blocking or awaited.

It leaves the same traces as the command line (lock, ledger and its copies, manifest, report, log). It refuses to read the
environment, to touch signals and to print: what there is to see, listeners are told.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchgen.clock import RealClock
from batchgen.engine.run import RunOptions
from batchgen.engine.run import run as run_engine
from batchgen.engine.watch import Control
from batchgen.errors import BatchgenError, CredentialsError, Exit, UsageError
from batchgen.events import Listener
from batchgen.library.keys import check_key, check_prompts, is_known
from batchgen.library.opening import check_runnable, open_folder, provider_of
from batchgen.library.planning import night_for_run
from batchgen.spec.durations import until
from batchgen.spec.job import Job, in_night
from batchgen.storage.backup import back_up
from batchgen.views.gallery.build import build_gallery
from batchgen.views.run_log import RunLog

_STATES = frozenset({"failed", "expired", "lost", "unknown"})
_INTERRUPTIONS = 2
"""The first is patient, the second is not, and a third one waits for nothing: this machine's disk may hang."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. Money is of this run, in `currency`; `counts` are tasks of the job by state."""

    exit_code: Exit
    reason: str
    """Why it ended early; empty when it did all there was to do."""
    folder: Path
    counts: Mapping[str, int]
    new_pictures: int
    spent: Decimal
    maybe_billed: Decimal
    """For calls whose outcome is unknown."""
    currency: str
    next: tuple[str, ...]
    """Commands that go on from here."""
    warnings: tuple[str, ...]
    """What went wrong around the run and changed nothing of it: no log, no copy of the ledger, no page."""
    data: Mapping[str, Any]
    """All of it, as in `report.json`."""

    @property
    def is_done(self) -> bool:
        """Whether every picture that this run was asked for is there."""
        return self.exit_code is Exit.DONE


def run(
    job: Job,
    *,
    key: str | None = None,
    environment: Mapping[str, str] | None = None,
    listeners: Sequence[Listener] = (),
    night: str = "",
    only: Mapping[str, str] | None = None,
    limit: int | None = None,
    max_cost: Decimal | float | str | None = None,
    deadline_s: float | None = None,
    retry: Collection[str] = (),
    drop: Collection[str] = (),
    buy: bool = True,
    gallery: bool = False,
) -> Report:
    """Make what is missing of a job, and wait until it ends; `run_async` says what the arguments mean.

    It works in a thread of its own, in which listeners are called, too. Ctrl-C, and whatever else a signal handler raises
    here, lets calls in flight end, which are paid for, and is raised then; a second one cuts them off.
    Raises UsageError inside a running event loop, and what `run_async` raises.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _waited_for(
            run_async(
                job,
                key=key,
                environment=environment,
                listeners=listeners,
                night=night,
                only=only,
                limit=limit,
                max_cost=max_cost,
                deadline_s=deadline_s,
                retry=retry,
                drop=drop,
                buy=buy,
                gallery=gallery,
            )
        )
    raise UsageError(
        "batchgen.run was called where an event loop is running already, as in a notebook",
        "write `await batchgen.run_async(job, …)` there",
    )


def _waited_for(work: Coroutine[Any, Any, Report]) -> Report:
    """Run it apart from this thread: what a signal handler raises here must not end up in the middle of a paid call."""
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Report]]] = Future()

    async def begin() -> Report:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await work

    apart = ThreadPoolExecutor(1, thread_name_prefix="batchgen-run")
    ended = apart.submit(contextvars.copy_context().run, asyncio.run, begin())
    apart.shutdown(wait=False)
    interruption: BaseException | None = None
    for _ in range(_INTERRUPTIONS + 1):
        try:
            wait([ended])
            break
        except BaseException as error:  # noqa: BLE001  # raised again, when what is paid for has come
            interruption = interruption or error
            loop, task = begun.result()
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)
    if interruption is not None:
        raise interruption
    return ended.result()


async def run_async(
    job: Job,
    *,
    key: str | None = None,
    environment: Mapping[str, str] | None = None,
    listeners: Sequence[Listener] = (),
    night: str = "",
    only: Mapping[str, str] | None = None,
    limit: int | None = None,
    max_cost: Decimal | float | str | None = None,
    deadline_s: float | None = None,
    retry: Collection[str] = (),
    drop: Collection[str] = (),
    buy: bool = True,
    gallery: bool = False,
) -> Report:
    """Make what is missing of a job; the same call again goes on, and a finished job sends nothing.

    The provider's key is `key`, else the variable of `environment` that the job names; pass `os.environ` for that. It goes to
    the provider's own addresses and to the one that `environment` names. `listeners` are told every event as it happens.
    `night` is a date for jobs that renew their seeds; `only`, `limit`, `max_cost`, `retry` and `drop` are what they are on the
    command line; after `deadline_s` seconds no call leaves any more (None is the `deadline` of the job); without `buy` only what
    is paid for is downloaded.

    Cancelling it lets calls in flight end, which are paid for; cancelling it again cuts them off: their outcome is unknown,
    maybe billed. The next run goes on from there. Raises BatchgenError: of the class LockedError while another run holds the folder, CredentialsError
    without a key, StorageError when this machine's disk refuses before the run begins. Every other end is in the report.
    """
    variables = {} if environment is None else environment
    night = night_for_run(job, night)
    amount = None if max_cost is None else _amount(max_cost)
    check_runnable(job, amount)
    if not {*retry} <= _STATES or not {*drop} <= {"unknown"} or {*retry} & {*drop}:
        states = ", ".join(sorted(_STATES))
        raise UsageError(f"retry takes {states}, drop takes unknown, and no state stands in both", "see docs/python.md")
    options = RunOptions(
        night=night,
        limit=limit,
        only=dict(only) if only else None,
        rebuy=frozenset(retry),
        drop=frozenset(drop),
        max_cost=amount,
        deadline=_deadline(job, deadline_s),
        key=_key(job, key, variables),
        buy=buy,
    )
    control = Control()
    work = asyncio.create_task(_run(in_night(job, night), options, list(listeners), control, gallery=gallery))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await _stopped(work, control)
        raise


async def _stopped(work: "asyncio.Task[Report]", control: Control) -> None:
    """Wait until calls in flight have ended; a second cancellation leaves them."""
    control.stop(Exit.SIGINT)
    try:
        await asyncio.wait({work})
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait({work})
    if not work.cancelled():
        work.exception()  # looked at, since whoever cancelled does not


def _key(job: Job, key: str | None, variables: Mapping[str, str]) -> str | None:
    """The key, once it is clear that it may go where the job leads."""
    if job.key_env is None:
        return None
    key = (key or variables.get(job.key_env, "")).strip()
    if not key:
        raise CredentialsError(
            f"no key for {job.provider.title}",
            f"give it as key=…, or put {job.key_env} into the environment and give environment=os.environ",
        )
    check_key(key, "key" if key != variables.get(job.key_env) else job.key_env)
    if not is_known(job, variables):
        host = urlsplit(job.base_url).netloc
        raise UsageError(
            f"the key would go to {host}, which is not an address of {job.provider.title}; nothing was sent",
            f"if you trust {host} with it, give environment={{{job.provider.base_url_env!r}: {job.base_url!r}}}",
        )
    check_prompts(job, key)
    return key


def _amount(value: Decimal | float | str) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"max_cost={value!r} is not an amount of money", "give it as max_cost=12.50")
    return amount


def _deadline(job: Job, seconds: float | None) -> float | None:
    """The moment after so many seconds, else the one that the job names, on the clock that only goes forward."""
    clock = RealClock()
    if seconds is None and job.deadline is not None:
        seconds = until(job.deadline, clock.now())
    return None if seconds is None else clock.monotonic() + seconds


async def _run(job: Job, options: RunOptions, listeners: list[Listener], control: Control, *, gallery: bool) -> Report:
    path = job.output.folder
    with (
        open_folder(path, thumbnails=job.output.gallery) as (folder, ledger),
        RunLog(path, job.log, at=RealClock().now(), notes=job.warnings) as log,
    ):
        async with provider_of(job, options) as connected:
            data = await run_engine(
                job, connected, folder, ledger, clock=RealClock(), listeners=[*listeners, log], control=control
            )
        wrong = [log.warning, await _kept(data, path)]
        if gallery and data["error"] is None and control.exit_code is None:
            night = options.night if options.buy else ""
            wrong += [await asyncio.to_thread(_renew_gallery, path, job, night)]
        for line in filter(None, wrong):
            log.note(f"warning: {line}")
    return _report(data, path, tuple(filter(None, wrong)))


async def _kept(data: Mapping[str, Any], path: Path) -> str:
    """Copy the ledger where the run changed something; why not, or the empty text."""
    if data["error"] is not None or not (data["this_run"]["calls"] or data["counts"]["new_stored"]):
        return ""
    return await asyncio.to_thread(back_up, path, RealClock().now())


def _renew_gallery(folder: Path, job: Job, night: str) -> str:
    """Renew the page; why not, or the empty text: the run has ended, well or badly, and its report is not lost to this."""
    try:
        build_gallery(folder, job, night=night)
    except BatchgenError as error:
        return f"the gallery was not renewed: {error.message}"
    except Exception as error:  # noqa: BLE001  # see above
        return f"the gallery was not renewed: internal error: {type(error).__name__}; please report it"
    return ""


def _report(data: dict[str, Any], folder: Path, warnings: tuple[str, ...]) -> Report:
    counts = dict(data["counts"])
    new_pictures = counts.pop("new_stored")
    return Report(
        exit_code=Exit(data["exit_code"]),
        reason=data["reason"],
        folder=folder,
        counts=counts,
        new_pictures=new_pictures,
        spent=Decimal(data["this_run"]["spent"]),
        maybe_billed=Decimal(data["this_run"]["maybe_billed"]),
        currency=data["currency"],
        next=tuple(data["next"]),
        warnings=warnings,
        data=data,
    )
