"""`batchgen recover`: download what is paid for and not on disk; never buys."""

from pathlib import Path

import click

from batchgen.cli.jobs import check_connection, job_argument, open_job
from batchgen.cli.messages import say
from batchgen.errors import Exit


@click.command(
    "recover",
    epilog="""\b
Examples:
  batchgen recover jobs/demo.yaml
  batchgen recover outputs/demo
""",
)
@job_argument
@click.option(
    "--json", "as_json", is_flag=True, default=False, help="One JSON event a line on stdout; the last is the report."
)
@click.option("--quiet", is_flag=True, default=False, help="Say nothing on success, one line otherwise.")
def command(job: Path, as_json: bool, quiet: bool) -> int:
    """Download every picture that is paid for and not on disk yet, the link that dies first in front.

    It needs no key and never sends a paid request. Links live for days; a link that died cannot be recovered.
    """
    from batchgen.cli.execute import Display, execute
    from batchgen.engine.run import RunOptions
    from batchgen.library.planning import night_for_run

    opened, environment = open_job(job)
    check_connection(job, opened, environment)
    # The night only counts what is pending: what is paid for is downloaded, whichever night bought it.
    options = RunOptions(buy=False, night=night_for_run(opened, ""))
    exit_code, report = execute(opened, options, Display(json=as_json, quiet=quiet), notes=environment.notes)
    if report is not None and quiet and not as_json and exit_code is not Exit.DONE:
        from batchgen.views.plain import end_line

        say(end_line(report))
    return exit_code
