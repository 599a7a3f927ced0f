"""`batchgen status`: what a job or folder has, has spent, and misses."""

import contextlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from batchgen.cli.jobs import job_argument, night_option, open_job, open_job_of_night
from batchgen.cli.messages import say
from batchgen.spec.job import Job

_EVERY_S = 2.0


@click.command(
    "status",
    epilog="""\b
Examples:
  batchgen status jobs/demo.yaml
  batchgen status outputs/demo --json
  batchgen status jobs/demo.yaml --watch       # from another terminal, while a run goes on
""",
)
@job_argument
@night_option
@click.option("--json", "as_json", is_flag=True, default=False, help="The same as one JSON object on stdout.")
@click.option(
    "--watch", is_flag=True, default=False, help="Show it again every two seconds, until no run goes on any more."
)
def command(job: Path, night: str, as_json: bool, watch: bool) -> None:
    """Show what is done, waiting, failed and unknown, what was spent, and what to type next.

    Reads only; works while a run is going, too. To stop watching stops no run.
    """
    opened, _, night = open_job_of_night(job, (), night) if night else (*open_job(job), night)
    first = _look(opened, night)
    if first is None:
        say(
            f"{opened.name}: nothing was made yet in {opened.output.folder}; `batchgen run {shlex.quote(str(job))}` begins",
            err=False,
        )
        return
    looks = _looks(opened, night, first) if watch else iter([first])
    if as_json:
        from batchgen.outside import json_text

        for look in looks:
            click.echo(json_text(look.status, indent=None if watch else 2))
        return
    with contextlib.suppress(KeyboardInterrupt) if watch else contextlib.nullcontext():
        _show(looks, watch=watch)
    if watch and not first.going:
        say("no run is going on")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a folder held at `at` (UTC seconds), and how long it took to read that."""

    status: dict[str, Any]
    going: bool
    at: float
    took_s: float


def _look(job: Job, night: str) -> _Look | None:
    from batchgen.clock import RealClock
    from batchgen.engine.status import status_of
    from batchgen.library.planning import night_for_run
    from batchgen.spec.expand import expand
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.lock import is_held

    clock = RealClock()
    now, began = clock.now(), clock.monotonic()
    reader = open_reader(job.output.folder)
    if reader is None:
        return None
    with contextlib.closing(reader):
        going = is_held(job.output.folder)
        tasks = expand(job, night=night or night_for_run(job, night))
        status = status_of(reader, job, tasks, going=going, now=now)
    return _Look(status, going, now, clock.monotonic() - began)


def _looks(job: Job, night: str, look: _Look | None) -> Iterator[_Look]:
    """One look after another while a run goes on, and the one after its end."""
    while look is not None:
        yield look
        if not look.going:
            return
        # A large job must not be slowed down by whoever watches it: at most a tenth of the time is spent on looking.
        time.sleep(max(_EVERY_S, look.took_s * 9))
        look = _look(job, night)


def _show(looks: Iterator[_Look], *, watch: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from batchgen.views.tables import status_table

    console = Console()
    if not watch:
        console.print(*(status_table(look.status, look.at) for look in looks))
    elif not console.is_terminal or console.is_dumb_terminal:
        _show_lines(looks)
    else:
        from rich.console import Group
        from rich.live import Live

        note = Text("watching; Ctrl-C ends that, and the run goes on", style="dim")
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            for look in looks:
                page = status_table(look.status, look.at)
                live.update(Group(page, Text(), note) if look.going else page, refresh=True)


def _show_lines(looks: Iterator[_Look]) -> None:
    """For a pipe: a line whenever something is done, and the page at the end."""
    from rich.console import Console

    from batchgen.views.report import status_line
    from batchgen.views.tables import status_table
    from batchgen.views.text import clock_time

    said = ""
    for look in looks:
        line = status_line(look.status)
        if look.going and line != said:
            said = line
            say(f"{clock_time(look.at)} {line}", err=False)
        elif not look.going:
            Console().print(status_table(look.status, look.at))
