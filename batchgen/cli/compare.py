"""`batchgen compare`: the same pictures in two output folders, the most changed first."""

from pathlib import Path

import click

from batchgen.cli.jobs import open_job
from batchgen.cli.messages import say
from batchgen.errors import Exit

_side = click.Path(path_type=Path)


@click.command(
    "compare",
    epilog="""\b
Examples:
  batchgen compare outputs/nightly/2026-05-30 outputs/nightly/2026-05-31
  batchgen compare outputs/old jobs/demo.yaml --open
  batchgen compare outputs/monday outputs/tuesday --threshold 12 --json
""",
)
@click.argument("a", type=_side)
@click.argument("b", type=_side)
@click.option(
    "--threshold",
    type=click.IntRange(0, 64),
    default=8,
    show_default=True,
    metavar="BITS",
    help="From how many of 64 bits of difference on, exclusively, a picture counts as changed.",
)
@click.option(
    "--json", "as_json", is_flag=True, default=False, help="One JSON object a pair on stdout, a summary last."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the page goes, instead of compare/NAME OF A in the folder B; also with --json.",
)
@click.option("--open", "show", is_flag=True, default=False, help="Show the page in the browser.")
def command(a: Path, b: Path, threshold: int, as_json: bool, output: Path | None, show: bool) -> int:
    """Compare two output folders (or the folders of two jobs), task by task, and write a page to look at.

    The difference of two pictures is 0 to 64 bits: a few for another encoding, twenty and more for another picture.
    Neither folder's pictures or ledger are changed. Exit 3 when a picture changed by more than --threshold, else 0.
    """
    from batchgen.views.compare import compare
    from batchgen.views.compare_page.build import build_page
    from batchgen.views.compare_sides import read_side
    from batchgen.views.compare_table import comparison_lines, comparison_table

    comparison = compare(read_side(_folder(a)), read_side(_folder(b)), threshold)
    page = None
    if as_json:
        from batchgen.outside import json_text

        page = build_page(comparison, output) if output or show else None
        for line in comparison_lines(comparison, "" if page is None else str(page)):
            click.echo(json_text(line))
    else:
        from rich.console import Console

        Console().print(comparison_table(comparison))
        page = build_page(comparison, output)
        say(f"look at it: {page}")
    if show and page is not None:
        click.launch(page.as_uri())
    return Exit.TASKS_FAILED if comparison.changed else Exit.DONE


def _folder(path: Path) -> Path:
    """A folder is taken as it lies, wherever its last job put it; it may hold a manifest alone."""
    return path if path.is_dir() else open_job(path)[0].output.folder
