"""`batchgen init`: a job file to begin with: for some models, out of a curl call, or for a table of prompts."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.completion import model_ids, providers
from batchgen.cli.messages import say
from batchgen.errors import JobError, UsageError
from batchgen.outside import clean

if TYPE_CHECKING:
    from batchgen.catalog.catalog import Model, Provider

_LONGEST_CALL = 40_000_000


@click.command(
    "init",
    epilog="""\b
Examples:
  batchgen init
  batchgen init jobs/foxes.yaml --models flux.1-dev,flux-kontext-pro/text-to-image
  batchgen init jobs/mine.yaml --from-curl call.txt
  batchgen init jobs/shop.yaml --from-csv products.csv --provider modelverse
""",
)
@click.argument("path", required=False, default="jobs/first.yaml", type=click.Path(path_type=Path))
@click.option(
    "--provider",
    metavar="NAME",
    help="Who makes the pictures; default is the sandbox, which costs nothing.",
    shell_complete=providers,
)
@click.option("--models", metavar="ID,…", help="The models, by their ids or how those end.", shell_complete=model_ids)
@click.option(
    "--from-curl", "curl", metavar="FILE", help="Make a job of the curl call in FILE (- reads what you paste)."
)
@click.option(
    "--from-csv",
    "table",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make a job for every row of a .csv, .tsv, .jsonl or .txt file.",
)
@click.option("--encoding", metavar="NAME", help="With --from-csv: the file's encoding, when it is not UTF-8.")
def command(
    path: Path, provider: str | None, models: str | None, curl: str | None, table: Path | None, encoding: str | None
) -> None:
    """Write a small commented job file to PATH (jobs/first.yaml) and say what to type next.

    It asks nothing and overwrites nothing. Beside the job it puts a schema, from which editors complete and check it.
    """
    if path.suffix not in {".yaml", ".yml"}:
        path = path.with_name(path.name + ".yaml") if not path.is_dir() else path / "first.yaml"
    if path.exists():
        raise _is_there(path)
    _check(models=models, curl=curl, table=table, encoding=encoding)
    text, pictures = _text(path, provider, models, curl, table, encoding)
    _write(path, text, pictures=pictures)
    say(f"wrote {path}", err=False)
    _say_next(path)


def _check(*, models: str | None, curl: str | None, table: Path | None, encoding: str | None) -> None:
    if curl is not None and (table is not None or models is not None):
        raise UsageError("--from-curl says everything itself", "leave --from-csv and --models out")
    if encoding is not None and table is None:
        raise UsageError("--encoding goes with --from-csv", "leave it out")


def _text(
    path: Path, provider: str | None, models: str | None, curl: str | None, table: Path | None, encoding: str | None
) -> tuple[str, bool]:
    """The job's text, and whether it edits the example picture."""
    from batchgen.catalog.catalog import load_provider
    from batchgen.spec.beginnings import first_job, job_of_call, job_of_table, pictures_of
    from batchgen.spec.curl import read_call

    named = clean(shlex.quote(str(path)), 1000)  # it stands in comments, where a line must stay a line
    if curl is not None:
        who = load_provider(provider or "modelverse")
        return job_of_call(named, who, read_call(_call(curl)), own_address=provider is None), False
    who = load_provider(provider or "sandbox")
    uses = _models(who, models)
    if table is not None:
        return job_of_table(named, who, uses, table, path.parent, encoding), False
    uses = uses or [next(iter(who.models.values()))]
    return first_job(named, who, uses), any(pictures_of(model) for model in uses)


def _models(provider: "Provider", models: str | None) -> "list[Model]":
    words = [word.strip() for word in (models or "").split(",") if word.strip()]
    if models is not None and not words:
        raise UsageError("--models names no model", "`batchgen models` lists them")
    return list({model.id: model for model in map(provider.find, words)}.values())


def _call(source: str) -> str:
    """The text of a curl call: of a file, or what is pasted."""
    from batchgen.spec.files import in_words

    if source == "-":
        if sys.stdin.isatty():
            say("paste the curl call, then press Ctrl-D on a line of its own")
        return sys.stdin.buffer.read(_LONGEST_CALL).decode("utf-8-sig", "replace")
    try:
        return Path(source).read_bytes()[:_LONGEST_CALL].decode("utf-8-sig", "replace")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {source}: {in_words(error)}", "put the curl call into a file, or paste it after --from-curl -"
        ) from None


def _is_there(path: Path) -> UsageError:
    return UsageError(
        f"{path} exists already; nothing was changed",
        f"batchgen init {shlex.quote(str(path.with_stem(path.stem + '-2')))}",
    )


def _write(path: Path, text: str, *, pictures: bool) -> None:
    from batchgen.cli.schema import as_text
    from batchgen.spec.beginnings import EXAMPLE_PICTURE
    from batchgen.spec.editor import FILE_NAME

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        (path.parent / FILE_NAME).write_text(as_text(), encoding="utf-8")
        example = path.parent / EXAMPLE_PICTURE
        if pictures and not example.exists():
            example.write_bytes(_example())
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {(error.strerror or 'refused').lower()}", "name another place"
        ) from None


def _say_next(path: Path) -> None:
    """What to type; first what the job still lacks, such as pictures that are not there."""
    from batchgen.spec.load import load_job

    named = shlex.quote(str(path))
    try:
        load_job(path, environment={})
    except JobError as error:
        say("it does not run yet:")
        say(error.message)
        say(f"  then: batchgen plan {named}")
        return
    say(f"  next: batchgen plan {named}   then   batchgen run {named}")


def _example() -> bytes:
    """A picture for models that edit one: anything will do, and the user's own soon takes its place."""
    from batchgen.sandbox.drawing import draw
    from batchgen.sandbox.sketch import Sketch

    return draw(
        Sketch(
            model="black-forest-labs/flux.1-dev",
            text="example",
            seed=1,
            composition=7,
            variation=1,
            palette=("1d2b3a", "31576b", "c98f5a", "e8c992", "f6ecd9"),
            width=512,
            height=512,
            format="JPEG",
        )
    )
