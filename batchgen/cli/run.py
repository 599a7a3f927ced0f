"""`batchgen run`: make the pictures that are missing."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.environment import Environment, key_for
from batchgen.cli.jobs import (
    check_connection,
    jobs_argument,
    limit_option,
    night_option,
    only_option,
    open_job_of_night,
    parse_only,
    seconds_until,
    set_option,
)
from batchgen.cli.messages import say, say_error, say_in_one_line
from batchgen.errors import BatchgenError, Exit, LockedError, UsageError, worst
from batchgen.spec.job import Job

if TYPE_CHECKING:
    from batchgen.cli.telling import Telling
    from batchgen.engine.run import RunOptions
    from batchgen.events import Listener
    from batchgen.views.metrics import MetricsFile

_ASK_ABOVE = Decimal(5)
_RETRY = ("failed", "expired", "lost", "unknown")


@click.command(
    "run",
    epilog="""\b
Examples:
  batchgen run jobs/first.yaml                 # again: goes on, or says that all is done
  batchgen run jobs/demo.yaml --limit 8        # only the first eight tasks of the plan
  batchgen run jobs/foo.yaml --only model='*flux.1-dev' --set steps=20
  batchgen run jobs/foo.yaml --retry failed    # ask again for what was refused
  batchgen run jobs/*.yaml --quiet --if-locked skip
""",
)
@jobs_argument
@limit_option
@only_option
@set_option
@click.option("--max-cost", metavar="AMOUNT", help="Spend at most this much in this run, in the provider's currency.")
@click.option(
    "--deadline", metavar="TIME", help="Start no call that is unlikely to end by then: a length (6h) or a time (06:30)."
)
@click.option(
    "--retry", multiple=True, type=click.Choice(_RETRY), help="Also buy what ended this way before; repeatable."
)
@click.option(
    "--drop",
    multiple=True,
    type=click.Choice(("unknown",)),
    help="Close calls of unknown outcome as paid and lost, instead of buying them again.",
)
@night_option
@click.option("--dry-run", is_flag=True, default=False, help="Only show the plan.")
@click.option(
    "--json", "as_json", is_flag=True, default=False, help="One JSON event a line on stdout; the last is the report."
)
@click.option("--quiet", is_flag=True, default=False, help="Say nothing on success, one line otherwise.")
@click.option("--metrics", metavar="FILE", help="Keep a Prometheus text file up to date, such as …/batchgen.prom.")
@click.option("--yes", is_flag=True, default=False, help="Do not ask before spending.")
@click.option(
    "--if-locked", type=click.Choice(["fail", "skip"]), default="fail", help="What to do when another run is going."
)
@click.pass_context
def command(ctx: click.Context, /, jobs: tuple[Path, ...], **flags: object) -> int:
    """Make the pictures that are missing, and download every one that is paid for.

    The same command again does only what is missing; a finished job sends nothing.
    """
    if flags["dry_run"]:
        from batchgen.cli.plan import show_plan

        for path in jobs:
            show_plan(path, ctx.params)
        return Exit.DONE
    opened = [(path, *open_job_of_night(path, ctx.params["sets"], ctx.params["night"])) for path in jobs]
    if len(opened) > 1 and (flags["only"] or flags["limit"]):
        raise UsageError("--only and --limit are for one job at a time", "name one job")
    # All that can be known is known before the first job spends anything.
    ready = [_readied(path, job, environment, night, ctx.params) for path, job, environment, night in opened]
    codes: set[Exit] = set()
    with _metrics(flags["metrics"], quiet=bool(flags["quiet"])) as metrics:
        for each in ready:
            try:
                codes.add(_run_one(each, ctx.params, metrics))
            except BatchgenError as error:
                if flags["quiet"]:
                    say_in_one_line(error, each.job.name)
                elif len(ready) == 1:
                    raise
                else:
                    say_error(error)
                codes.add(error.exit_code)
            if codes & {Exit.SIGINT, Exit.SIGTERM}:
                break
    return worst(codes)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A job that may start: it was read, its key is there, its options fit it."""

    path: Path
    job: Job
    environment: Environment
    options: "RunOptions"
    telling: "Telling"


def _readied(path: Path, job: Job, environment: Environment, night: str, flags: dict[str, object]) -> _Ready:
    """The job with its options. What keeps it from starting is told to those whom it names, too."""
    from batchgen.cli.telling import Telling

    telling = Telling(path, job, environment, night)
    try:
        check_connection(path, job, environment)
        return _Ready(path, job, environment, _options(job, environment, night, flags), telling)
    except BatchgenError as error:
        for warning in telling.ended(error.exit_code, None, error):
            if not flags["quiet"]:
                say(f"warning: {warning}")
        raise


def _options(job: Job, environment: Environment, night: str, flags: dict[str, object]) -> "RunOptions":
    from batchgen.engine.run import RunOptions
    from batchgen.library.keys import check_prompts
    from batchgen.library.opening import check_runnable

    max_cost = _amount(flags["max_cost"])
    rebuy, drop = frozenset(flags["retry"]), frozenset(flags["drop"])  # type: ignore[call-overload]
    if rebuy & drop:
        raise UsageError("--retry unknown buys again what --drop unknown closes", "give one of them")
    check_runnable(job, max_cost)
    key = key_for(job, environment)
    check_prompts(job, key)
    return RunOptions(
        night=night,
        limit=flags["limit"],  # type: ignore[arg-type]
        only=parse_only(flags["only"]) or None,  # type: ignore[arg-type]
        rebuy=rebuy,
        drop=drop,
        max_cost=max_cost,
        deadline=_deadline(flags["deadline"] or job.deadline),
        key=key,
    )


@contextmanager
def _metrics(file: object, *, quiet: bool) -> "Iterator[MetricsFile | None]":
    if file is None:
        yield None
        return
    from batchgen.views.metrics import MetricsFile

    with MetricsFile(Path(str(file))) as metrics:
        yield metrics
    if metrics.warning and not quiet:
        say(f"warning: {metrics.warning}")


def _run_one(ready: _Ready, flags: dict[str, object], metrics: "MetricsFile | None") -> Exit:
    """One job of the command, and whoever hears how it ends: the file of metrics, and those whom the job names."""
    from batchgen.cli.jobs import last_success_in
    from batchgen.clock import RealClock

    if metrics is not None:
        metrics.begin(ready.job.name, last_success_in(ready.job.output.folder))
    error: BatchgenError | None = None
    try:
        exit_code, report = _made(ready, flags, metrics)
    except BatchgenError as caught:
        exit_code, report, error = caught.exit_code, None, caught
    if report is None and exit_code is Exit.DONE:  # it was skipped or declined, and that is no end of a run
        return exit_code
    if metrics is not None:
        metrics.end(int(exit_code), RealClock().now())
    for warning in ready.telling.ended(exit_code, report, error):
        if not flags["quiet"]:
            say(f"warning: {warning}")
    if error is not None:
        raise error
    return exit_code


def _made(ready: _Ready, flags: dict[str, object], metrics: "MetricsFile | None") -> tuple[Exit, dict[str, Any] | None]:
    """Its exit code, and its report unless it was skipped, declined or left at once."""
    from batchgen.cli.execute import Display, execute

    quiet, as_json = bool(flags["quiet"]), bool(flags["as_json"])
    notes = (*ready.environment.notes, *ready.job.warnings, *ready.telling.warnings)
    if not quiet and not as_json:
        for line in notes:
            say(line)
        if not _confirmed(ready.job, ready.options, flags):
            say("nothing was sent")
            return Exit.DONE, None
    try:
        display = Display(json=as_json, quiet=quiet)
        listeners: list[Listener] = [ready.telling, *([metrics] if metrics else [])]
        exit_code, report = execute(ready.job, ready.options, display, notes=notes, listeners=listeners)
    except LockedError as error:
        if flags["if_locked"] == "skip":
            if not quiet:
                say(f"skipped: {error.message}")
            return Exit.DONE, None
        raise
    if report is None:
        named = shlex.quote(str(ready.path))
        say(f"left at once; see `batchgen status {named}`, go on with `batchgen run {named}`")
        return exit_code, None
    if quiet and not as_json and exit_code is not Exit.DONE:
        from batchgen.views.plain import end_line

        say(end_line(report))
    return exit_code, report


def _confirmed(job: Job, options: "RunOptions", flags: dict[str, object]) -> bool:
    """Show the plan in one line; ask, on a terminal alone, before a job without a budget costs real money."""
    from batchgen.library.planning import plan_of
    from batchgen.views.tables import one_line

    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not on_terminal:
        return True  # the log's first line says the same, and nobody could answer
    plan, time_s = plan_of(
        job,
        night=options.night,
        limit=options.limit,
        only=dict(options.only or {}),
        retry=tuple(options.rebuy),
        drop=tuple(options.drop),
    )
    say(f"{job.name}: {one_line(plan, time_s)}")
    asks = not job.budgets and options.max_cost is None and not job.provider.play_money
    dear = plan.price_unknown or plan.known_cost > _ASK_ABOVE
    if flags["yes"] or not asks or not dear:
        return True
    return click.confirm("This job has no budget. Buy these pictures?", default=False, err=True)


def _deadline(text: object) -> float | None:
    """When it is, on the clock that only goes forward: the same for every job of the command."""
    from batchgen.clock import RealClock

    return None if text is None else RealClock().monotonic() + seconds_until(str(text))


def _amount(text: object) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"--max-cost {text} is not an amount of money", "write it as --max-cost 12.50")
    return amount
