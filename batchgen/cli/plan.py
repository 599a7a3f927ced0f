"""`batchgen plan`: what a job will make and what it will cost, without sending anything."""

from pathlib import Path
from typing import Any

import click

from batchgen.cli.jobs import (
    job_argument,
    limit_option,
    night_option,
    only_option,
    open_job_of_night,
    parse_only,
    set_option,
)
from batchgen.cli.messages import say
from batchgen.spec.job import Job


@click.command(
    "plan",
    epilog="""\b
Examples:
  batchgen plan jobs/demo.yaml
  batchgen plan outputs/demo
  batchgen plan jobs/demo.yaml --only style=ink --json
""",
)
@job_argument
@limit_option
@only_option
@set_option
@night_option
@click.option("--json", "as_json", is_flag=True, default=False, help="The plan as one JSON object on stdout.")
@click.pass_context
def command(ctx: click.Context, /, job: Path, **_flags: object) -> None:
    """Show what a job will make: per model done, waiting for download and new, the price, and what was left out.

    Nothing is sent and nothing is written.
    """
    show_plan(job, ctx.params)


def show_plan(path: Path, flags: dict[str, Any]) -> None:
    """Print the plan of one job."""
    from batchgen.library.planning import plan_of
    from batchgen.outside import json_text

    job, environment, night = open_job_of_night(path, flags["sets"], flags["night"])
    plan, time_s = plan_of(
        job,
        night=night,
        limit=flags["limit"],
        only=parse_only(flags["only"]),
        retry=flags.get("retry", ()),
        drop=flags.get("drop", ()),
    )
    if flags.get("as_json"):
        from batchgen.spec.plan import plan_to_json

        click.echo(json_text(plan_to_json(plan), indent=2))
        return
    from rich.console import Console

    from batchgen.views.tables import plan_table

    for note in environment.notes:
        say(note)
    Console().print(plan_table(plan, time_s))
    say(_destination(job), err=False)
    if job.output.of_nights:
        line = "each night has a folder of its own: all pictures are bought anew, and budgets count that night alone"
        say(line, err=False)


def _destination(job: Job) -> str:
    """Where a run would send prompts and key, and write its results: a job file may come from a stranger."""
    from urllib.parse import urlsplit

    to = "to the sandbox, which is part of this program"
    if not job.provider.embedded:
        to = f"to {urlsplit(job.base_url).netloc}"
    key = f" with the key in {job.key_env}" if job.key_env else ""
    proxy = f" through the proxy {urlsplit(job.proxy).netloc}" if job.proxy else ""
    return f"goes {to}{key}{proxy}; results in {job.output.folder}"
