"""`batchgen schema`: the JSON Schema of job files, for editors that complete and check while one types."""

import json
from pathlib import Path

import click

from batchgen.cli.messages import say
from batchgen.errors import UsageError


@click.command(
    "schema",
    epilog="""\b
Examples:
  batchgen schema
  batchgen schema --output jobs/.batchgen.schema.json
""",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it into this file, which is written over.",
)
def command(output: Path | None) -> None:
    """Print the JSON Schema of job files, with every model and the fields that it takes.

    A job's first line names it: # yaml-language-server: $schema=.batchgen.schema.json
    """
    if output is None:
        click.echo(as_text(), nl=False)
        return
    try:
        output.write_text(as_text(), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {(error.strerror or 'refused').lower()}", "name another place"
        ) from None
    say(f"wrote {output}", err=False)


def as_text() -> str:
    """The schema as it is written into files."""
    from batchgen.spec.editor import editor_schema

    return json.dumps(editor_schema(), indent=1, ensure_ascii=False) + "\n"
