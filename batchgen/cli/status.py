"""`batchgen status`: what a job or folder has, has spent, and misses."""

import shlex
from pathlib import Path

import click

from batchgen.cli.jobs import job_argument, night_for_run, night_option, open_job, open_job_of_night
from batchgen.cli.messages import say


@click.command(
    "status",
    epilog="""\b
Examples:
  batchgen status jobs/demo.yaml
  batchgen status outputs/demo --json
""",
)
@job_argument
@night_option
@click.option("--json", "as_json", is_flag=True, default=False, help="The same as one JSON object on stdout.")
def command(job: Path, night: str, as_json: bool) -> None:
    """Show what is done, waiting, failed and unknown, what was spent, and what to type next.

    Reads only; works while a run is going, too.
    """
    from batchgen.outside import json_text
    from batchgen.spec.expand import expand
    from batchgen.storage.ledger import open_reader

    opened, _, night = open_job_of_night(job, (), night) if night else (*open_job(job), night)
    reader = open_reader(opened.output.folder)
    if reader is None:
        say(
            f"{opened.name}: nothing was made yet in {opened.output.folder}; `batchgen run {shlex.quote(str(job))}` begins",
            err=False,
        )
        return
    from batchgen.clock import RealClock
    from batchgen.engine.status import status_of
    from batchgen.storage.lock import is_held

    now = RealClock().now()
    try:
        tasks = expand(opened, night=night or night_for_run(opened, night))
        status = status_of(reader, opened, tasks, going=is_held(opened.output.folder), now=now)
    finally:
        reader.close()
    if as_json:
        click.echo(json_text(status, indent=2))
        return
    from rich.console import Console

    from batchgen.views.tables import status_table

    Console().print(status_table(status, now))
