"""`batchgen gallery`: a page that shows what a job or folder holds."""

from pathlib import Path

import click

from batchgen.cli.jobs import job_argument, night_option, open_job, open_job_of_night
from batchgen.cli.messages import say
from batchgen.errors import BatchgenError
from batchgen.spec.job import Job


@click.command(
    "gallery",
    epilog="""\b
Examples:
  batchgen gallery jobs/demo.yaml --open
  batchgen gallery outputs/demo
  batchgen gallery jobs/nightly.yaml --night 2026-05-31
""",
)
@job_argument
@click.option("--open", "to_open", is_flag=True, default=False, help="Open the page in the browser, too.")
@night_option
def command(job: Path, to_open: bool, night: str) -> None:
    """Write or renew the gallery of a job or folder, and print where its page is.

    A page without a server: it shows what the job asks for now, earlier pictures by a filter, and what is missing with
    its reason and price. A run makes it at its end; it may be renewed at any time, while a run is going, too.
    """
    from batchgen.library.planning import night_for_run
    from batchgen.outside import printable
    from batchgen.storage.lock import is_held
    from batchgen.views.gallery.build import build_gallery

    folder, opened = _opened(job, night)
    page = build_gallery(
        folder,
        opened,
        night=night_for_run(opened, night) if opened and night else "",
        running=is_held(folder),
        warn=lambda line: say(f"note: {line}"),
    )
    say(printable(str(page)), err=False)
    if to_open:
        import webbrowser

        if not webbrowser.open(page.as_uri()):
            say("no browser was found; open the page yourself")


def _opened(path: Path, night: str) -> tuple[Path, Job | None]:
    """The output folder, and the job that says what is asked for now; None where a folder keeps none that can be read."""
    try:
        job = open_job_of_night(path, (), night)[0] if night else open_job(path)[0]
    except BatchgenError:
        if not path.is_dir():
            raise
        return path, None
    return job.output.folder, job
