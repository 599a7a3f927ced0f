"""`batchgen validate`: whether job files can run, and all of what is wrong with them at once."""

from pathlib import Path

import click

from batchgen.cli.jobs import jobs_argument, open_job, set_option
from batchgen.cli.messages import say, say_error
from batchgen.errors import BatchgenError, Exit, worst


@click.command(
    "validate",
    epilog="""\b
Examples:
  batchgen validate jobs/first.yaml
  batchgen validate jobs/*.yaml
""",
)
@jobs_argument
@set_option
@click.pass_context
def command(ctx: click.Context, /, jobs: tuple[Path, ...], **_flags: object) -> int:
    """Check job files, their prompt files and their input pictures. Nothing is sent.

    Every mistake is shown with its file, line and column; exit 2 when there is one.
    """
    codes = set()
    for path in jobs:
        try:
            job, environment = open_job(path, ctx.params["sets"])
        except BatchgenError as error:
            say_error(error)
            codes.add(error.exit_code)
            continue
        for line in (*environment.notes, *job.warnings):
            say(line)
        rows, models = len(job.rows), len(job.models)
        say(f"{path}: fine: {rows} prompt{'s' * (rows != 1)}, {models} model{'s' * (models != 1)}", err=False)
    return worst(codes) if codes else Exit.DONE
