"""`batchgen recipe`: the job that makes a picture again, out of the picture itself or of the folder it lies in."""

import json
from pathlib import Path
from typing import Any

import click

from batchgen.errors import UsageError

_PICTURE_AT_MOST = 128 * 1024**2


@click.command(
    "recipe",
    epilog="""\b
Examples:
  batchgen recipe outputs/demo/images/fox.ink/flux.1-dev-7-0123abcd.png
  batchgen recipe copy-of-a-picture.jpg > jobs/again.yaml
""",
)
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, default=False, help="The recipe itself, as one JSON object.")
def command(picture: Path, as_json: bool) -> None:
    """Print the job that makes a picture again: the same task, with its prompt, model, seed and fields.

    Reads the picture, and without a recipe in it the manifest of the folder that it lies in.
    """
    from batchgen.outside import clean, json_text
    from batchgen.spec.recipe import job_of, parse_recipe
    from batchgen.storage.recipes import read_recipe

    data = _content(picture)
    text = read_recipe(data)
    folder = _output_folder(picture)
    if text is None:
        text = _from_manifest(picture, folder)
    recipe = parse_recipe(text)
    if as_json:
        click.echo(json_text(recipe, indent=2))
        return
    inputs = "" if folder is None else str(folder)
    click.echo(job_of(recipe, [f"the job of {clean(picture.name, 200)}"], inputs), nl=False)


def _content(picture: Path) -> bytes:
    from batchgen.spec.files import in_words, open_regular

    hint = "name a PNG, JPEG or WebP that batchgen stored, or a copy of one"
    try:
        with open_regular(str(picture)) as file:
            data = file.read(_PICTURE_AT_MOST + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{picture}: {in_words(error).lower()}", hint) from None
    if len(data) > _PICTURE_AT_MOST:
        raise UsageError(f"{picture}: it is larger than {_PICTURE_AT_MOST // 1024**2} MB", hint)
    return data


def _output_folder(picture: Path) -> Path | None:
    """The output folder that a picture lies in; None for a copy elsewhere."""
    above = picture.absolute().parents
    return next((folder for folder in above if (folder / "manifest.jsonl").is_file()), None)


def _from_manifest(picture: Path, folder: Path | None) -> str:
    from batchgen.spec.recipe import recipe_of
    from batchgen.storage.manifest import MANIFEST, read_manifest

    if folder is None:
        raise UsageError(
            f"{picture} carries no recipe, and lies in no output folder",
            "it was made by another program, or with `output: {embed: false}`, or lost it on the way",
        )
    name = picture.absolute().relative_to(folder).as_posix()
    for row in read_manifest(folder / MANIFEST):
        if row.file_name == name:
            return recipe_of(_record(row), row.task_id)
    raise UsageError(
        f"{picture} carries no recipe, and the manifest of {folder} does not know it", "see `batchgen verify`"
    )


def _record(row: Any) -> dict[str, Any]:
    """A manifest's row as the ledger keeps a task."""
    params = json.loads(row.params)
    return {
        **{name: getattr(row, name) for name in ("provider", "model", "label", "prompt", "prompt_id", "row", "night")},
        "seed": row.seed,
        "try": row.try_number,
        "vars": json.loads(row.vars),
        "extra_params": params.pop("extra_params", {}),
        "params": params,
    }
