"""`batchgen export`: hand the stored pictures of a job or folder on, in a form that other programs read."""

import shlex
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.jobs import job_argument, only_option, open_job, parse_only
from batchgen.errors import Exit, UsageError

if TYPE_CHECKING:
    from batchgen.views.chosen import Choice, Exported
    from batchgen.views.sheets import SheetOptions

_KINDS = {
    "csv": "a table, pictures.csv",
    "hf": "a Hugging Face imagefolder",
    "webdataset": "tar shards",
    "parquet": "tables with the pictures in them",
    "sheet": "contact sheets to look at",
}
_PICTURES = {"csv": (), "hf": ("copy", "link"), "webdataset": ("copy",), "parquet": ("copy", "none"), "sheet": ()}
"""What `--pictures` may say for each format; the first is the default."""


@click.command(
    "export",
    epilog="""\b
Examples:
  batchgen export jobs/demo.yaml --format csv --output exports
  batchgen export outputs/demo --format hf --output exports --kept
  batchgen export outputs/demo --format parquet --output exports --only style=ink --exclude-flagged
  batchgen export outputs/demo --format sheet --output sheets --rows prompt --columns model,style --file pdf
""",
)
@job_argument
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(_KINDS)),
    required=True,
    help="; ".join(f"{kind}: {words}" for kind, words in _KINDS.items()) + ".",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to write to; made if missing.",
)
@only_option
@click.option("--kept", is_flag=True, default=False, help="Only pictures that are marked to be kept in the gallery.")
@click.option(
    "--marks",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The marks for --kept; default is marks.json in the output folder of the job.",
)
@click.option("--exclude-flagged", is_flag=True, default=False, help="Leave out pictures that have a flag.")
@click.option(
    "--pictures",
    type=click.Choice(["copy", "link", "none"]),
    help="hf: copy (default), or link, a second name on the same disk. parquet: copy (default), or none.",
)
@click.option(
    "--rows",
    metavar="AXIS",
    help="sheet: what stands beside the rows: prompt, row, model, try, seed, night or a variable; several with commas.",
)
@click.option("--columns", metavar="AXIS", help="sheet: what stands above the columns, in the same words.")
@click.option(
    "--cell",
    type=click.IntRange(48, 2048),
    metavar="PX",
    help="sheet: the longer side of a picture; default by their number.",
)
@click.option(
    "--file",
    type=click.Choice(["png", "jpeg", "pdf"]),
    help="sheet: png (default), jpeg, or one pdf with a page a sheet.",
)
def command(
    job: Path,
    kind: str,
    output: Path,
    only: tuple[str, ...],
    kept: bool,
    marks: Path | None,
    exclude_flagged: bool,
    pictures: str | None,
    **sheet: Any,
) -> int:
    """Hand the stored pictures on in a form that other programs read, with everything that the manifest says of them.

    Reads the folder and changes nothing in it; works while a run is going, too. Exit 3 when a picture was left out
    because its file is missing or changed.
    """
    from batchgen.storage.ledger import open_reader
    from batchgen.views.chosen import Choice
    from batchgen.views.marks import marks_of

    # A folder is taken as it lies here, wherever its last job put it.
    folder = job if job.is_dir() else open_job(job)[0].output.folder
    reader = open_reader(folder)
    if reader is None:
        raise UsageError(
            f"{folder} holds no ledger: nothing was made there yet", f"batchgen run {shlex.quote(str(job))}"
        )
    try:
        if marks is not None and not kept:
            raise UsageError("--marks says nothing without --kept", "add --kept, or leave --marks out")
        choice = Choice(parse_only(only), exclude_flagged, marks_of(folder, marks) if kept else None)
        how = (kind, _how(kind, pictures))
        options = _sheet_options(kind, sheet)
        exported = (
            _export_sheet(reader, folder, choice, output, options)
            if options
            else _export(reader, folder, choice, output, how)
        )
    finally:
        reader.close()
    _say(exported, folder)
    return Exit.TASKS_FAILED if exported.left_out else Exit.DONE


def _how(kind: str, pictures: str | None) -> str:
    known = _PICTURES[kind]
    if pictures is not None and pictures not in known:
        words = f"it takes {' or '.join(known)}" if known else "leave it out"
        raise UsageError(f"--pictures {pictures} is nothing that --format {kind} can do", words)
    return pictures or (known[0] if known else "")


def _sheet_options(kind: str, given: dict[str, Any]) -> "SheetOptions | None":
    """How sheets are to look; None for another format. Raises UsageError for a word about sheets that have no place there."""
    if kind == "sheet":
        from batchgen.views.sheets import SheetOptions

        axes = {name: tuple((given[name] or "").split(",")) if given[name] else () for name in ("rows", "columns")}
        return SheetOptions(**axes, cell=given["cell"], file=given["file"] or "png")
    wrong = next((name for name, value in given.items() if value is not None), None)
    if wrong is not None:
        raise UsageError(f"--{wrong} is about contact sheets, not about --format {kind}", "leave it out")
    return None


def _export_sheet(
    reader: sqlite3.Connection, folder: Path, choice: "Choice", output: Path, options: "SheetOptions"
) -> "Exported":
    from batchgen.views.sheets import export_sheet

    return export_sheet(reader, folder, choice, output, options)


def _export(
    reader: sqlite3.Connection, folder: Path, choice: "Choice", output: Path, how: tuple[str, str]
) -> "Exported":
    match how:
        case ("hf", pictures):
            from batchgen.views.hf_export import export_hf

            return export_hf(reader, folder, choice, output, link=pictures == "link")
        case ("webdataset", _):
            from batchgen.views.webdataset_export import export_webdataset

            return export_webdataset(reader, folder, choice, output)
        case ("parquet", pictures):
            from batchgen.views.parquet_export import export_parquet

            return export_parquet(reader, folder, choice, output, with_pictures=pictures != "none")
        case _:
            from batchgen.views.csv_export import export_csv

            return export_csv(reader, folder, choice, output)


def _say(exported: "Exported", folder: Path) -> None:
    import shlex

    from batchgen.cli.messages import say
    from batchgen.outside import clean

    noun = "picture" if exported.pictures == 1 else "pictures"
    instead = ", in place of an earlier export" if exported.replaced else ""
    say(f"{exported.pictures:,} {noun} in {clean(exported.path)}{instead}")
    for note in exported.notes:
        say(f"  {note}")
    if exported.left_out:
        say(
            f"  {exported.left_out:,} left out: file missing or changed; next: batchgen verify {shlex.quote(str(folder))}"
        )
