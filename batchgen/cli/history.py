"""`batchgen history`: what every night made and cost, over many folders."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.jobs import folders_of, jobs_argument
from batchgen.cli.messages import say
from batchgen.errors import UsageError
from batchgen.spec.job import Job

if TYPE_CHECKING:
    from batchgen.views.history import Folder, History

_OWING_SHOWN = 3


@click.command(
    "history",
    epilog="""\b
Examples:
  batchgen history jobs/nightly.yaml
  batchgen history outputs/* --month 2026-05 --by model
  batchgen history outputs/nightly --csv
""",
)
@jobs_argument
@click.option(
    "--month", metavar="MONTH", default="", help="Only what was spent in that month of the provider: 2026-05."
)
@click.option(
    "--by",
    type=click.Choice(["run", "day", "model", "job"]),
    default="run",
    help="A row for each of these; default is run. Days are those of the provider.",
)
@click.option("--csv", "as_csv", is_flag=True, default=False, help="The rows as CSV on stdout.")
@click.option("--json", "as_json", is_flag=True, default=False, help="Rows and sums as one JSON object on stdout.")
def command(jobs: tuple[Path, ...], month: str, by: str, as_csv: bool, as_json: bool) -> None:
    """Show what every run made and cost, how it ended, and which nights were missed.

    A job is the folder it writes to, or all folders of its nights; a folder that holds output folders is all of them. It
    reads only, and works while a run is going, too.
    """
    if month and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise UsageError(f"--month {month} is no month", "write it as --month 2026-05")
    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of the same", "give one of them")
    from batchgen.clock import RealClock
    from batchgen.views import history as views

    folders: dict[str, Folder] = {}
    for path in jobs:
        found = [each for job, folder, night in folders_of(path) for each in _folder(job, folder, night)]
        if not found and not (as_csv or as_json):
            say(f"{path}: no run yet; `batchgen run {shlex.quote(str(path))}` begins", err=False)
        for folder in found:
            # One that is named twice, or through a link, was paid for once.
            folders.setdefault(os.path.realpath(folder.path), folder)
    if not folders and not (as_csv or as_json):
        return
    history = views.make_history(list(folders.values()), by=by, month=month, now=RealClock().now())
    if as_csv:
        click.echo(views.as_csv(history), nl=False)
    elif as_json:
        click.echo(views.as_json(history))
    else:
        _show(history)


def _show(history: "History") -> None:
    from rich.console import Console

    from batchgen.views.history_table import history_page

    Console().print(history_page(history))
    # Whole lines, however long: they are copied.
    for line in history.owing[:_OWING_SHOWN]:
        say(f"  {line}", err=False)
    if len(history.owing) > _OWING_SHOWN:
        say(f"  and {len(history.owing) - _OWING_SHOWN} more; --json names them all", err=False)


def _folder(job: Job, folder: Path, night: str = "") -> "Iterator[Folder]":
    from batchgen.spec.seeds import job_renew
    from batchgen.storage.history import entries, night_of_folder, runs_of
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.lock import is_held
    from batchgen.storage.queries import counts
    from batchgen.storage.runs import nights_of
    from batchgen.views.history import Folder

    # A link keeps its name; `..` goes.
    whole, here = Path(os.path.abspath(folder)), Path.cwd()  # noqa: PTH100
    going = is_held(folder)
    reader = open_reader(folder)
    if reader is None:
        return
    with contextlib.closing(reader):
        reader.execute("BEGIN")  # one moment of it: a run that begins meanwhile would have calls and be none
        by_state: dict[str, int] = {}
        for (_, state), number in counts(reader).items():
            by_state[state] = by_state.get(state, 0) + number
        yield Folder(
            path=str(whole),
            job=job.name,
            renew=job_renew(job),
            utc_offset_s=job.provider.utc_offset_s,
            going=going,
            runs=runs_of(reader),
            entries=entries(reader, job.provider.utc_offset_s),
            nights=nights_of(reader) if not night else [own] if (own := night_of_folder(reader, night)) else [],
            waiting=by_state.get("billed", 0),
            unknown=by_state.get("unknown", 0) + (0 if going else by_state.get("sending", 0)),
            night=night,
            named=str(whole.relative_to(here) if here in whole.parents and here != here.parent else whole),
        )
