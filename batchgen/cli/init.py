"""`batchgen init`: the smallest useful job file, with a comment on every line that one changes first."""

import shlex
from pathlib import Path

import click

from batchgen.cli.messages import say
from batchgen.errors import UsageError

_JOB = """\
# A batchgen job. Look at it with `batchgen plan {path}`, then make it with `batchgen run {path}`.
# The same command again makes only what is missing. All keys: docs/job-file.md

provider: sandbox            # draws locally and costs nothing; `modelverse` is the real one (needs MODELVERSE_API_KEY)

prompts:
  - a harbour at dawn, {{style}}
  - "a red fox in the snow, {{style}}"     # quote a prompt that has ': ' or ' #' in it

vars:                        # every variable multiplies the prompts that use it
  style: {{ink: black ink wash on rough paper, oil: thick oil paint}}

models:                      # `batchgen models` lists them with their prices
  - black-forest-labs/flux.1-dev

seeds: {{count: 1}}            # more tries of every prompt: {{count: 4}}

budget: {{images: 5}}          # never buys more than this, over all runs together
"""


@click.command(
    "init",
    epilog="""\b
Examples:
  batchgen init
  batchgen init jobs/foxes.yaml
""",
)
@click.argument("path", required=False, default="jobs/first.yaml", type=click.Path(path_type=Path))
def command(path: Path) -> None:
    """Write a small commented job file to PATH (jobs/first.yaml) and say what to type next.

    It asks nothing and overwrites nothing.
    """
    if path.suffix not in {".yaml", ".yml"}:
        path = path.with_name(path.name + ".yaml") if not path.is_dir() else path / "first.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(_JOB.format(path=path))
    except FileExistsError:
        raise UsageError(
            f"{path} exists already; nothing was changed", f"batchgen init {path.with_stem(path.stem + '-2')}"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {(error.strerror or 'refused').lower()}", "name another place"
        ) from None
    say(f"wrote {path}", err=False)
    named = shlex.quote(str(path))
    say(f"  next: batchgen plan {named}   then   batchgen run {named}")
