"""`batchgen export`: hand the stored pictures of a job or folder on, in a form that other programs read."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.jobs import job_argument, only_option, open_job, parse_only
from batchgen.errors import Exit, UsageError

if TYPE_CHECKING:
    from batchgen.views.csv_export import Exported


@click.command(
    "export",
    epilog="""\b
Examples:
  batchgen export jobs/demo.yaml --format csv --output exports
  batchgen export outputs/demo --format csv --output exports --only style=ink --exclude-flagged
""",
)
@job_argument
@click.option("--format", "kind", type=click.Choice(["csv"]), required=True, help="csv: a table, pictures.csv.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to write to; made if missing.",
)
@only_option
@click.option("--exclude-flagged", is_flag=True, default=False, help="Leave out pictures that have a flag.")
def command(job: Path, kind: str, output: Path, only: tuple[str, ...], exclude_flagged: bool) -> int:  # noqa: ARG001  # one format so far
    """Write a table of the stored pictures: one row each, with everything that the manifest says and the file's path.

    Reads the folder and changes nothing in it; works while a run is going, too. Exit 3 when a picture was left out
    because its file is missing or changed.
    """
    from batchgen.storage.ledger import open_reader
    from batchgen.views.csv_export import Choice, export_csv

    # A folder is taken as it lies here, wherever its last job put it.
    folder = job if job.is_dir() else open_job(job)[0].output.folder
    reader = open_reader(folder)
    if reader is None:
        raise UsageError(f"{folder} holds no ledger: nothing was made there yet", f"batchgen run {job}")
    try:
        exported = export_csv(reader, folder, Choice(parse_only(only), exclude_flagged), output)
    finally:
        reader.close()
    _say(exported, folder)
    return Exit.TASKS_FAILED if exported.left_out else Exit.DONE


def _say(exported: "Exported", folder: Path) -> None:
    import shlex

    from batchgen.cli.messages import say
    from batchgen.outside import clean

    noun = "picture" if exported.pictures == 1 else "pictures"
    instead = ", in place of an earlier export" if exported.replaced else ""
    say(f"{exported.pictures:,} {noun} in {clean(exported.path)}{instead}")
    if exported.left_out:
        say(
            f"  {exported.left_out:,} left out: file missing or changed; next: batchgen verify {shlex.quote(str(folder))}"
        )
