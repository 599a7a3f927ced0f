"""`batchgen completion`: the script with which a shell completes verbs, options, job files, models and labels.

It owns what is offered for each argument. It reads job files for their names alone, is quick about it, and never fails:
where nothing can be offered, nothing is.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_BATCHGEN_COMPLETE"
_MOST = 500
_JOB_FILES = {".yaml", ".yml"}
_LARGEST_JOB = 1_000_000
"""Bytes; a job file that is larger is not read for its names."""


@click.command(
    "completion",
    epilog="""\b
Examples:
  batchgen completion bash > ~/.local/share/bash-completion/completions/batchgen
  batchgen completion zsh > ~/.zfunc/_batchgen
  batchgen completion fish > ~/.config/fish/completions/batchgen.fish
""",
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that makes SHELL (bash, zsh or fish) complete batchgen's words.

    Put it where your shell looks for such scripts, and open a new terminal.
    """
    from batchgen.cli.main import cli

    register()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "batchgen", _VARIABLE).source())


def register() -> None:
    """Complete in bash with words that hold a `=`, too."""
    add_completion_class(_Bash)


class _Bash(BashComplete):
    """Bash cuts a word at each `=` and completes the last piece; behind a `=` the word goes on."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=("$value"); [[ $value == *= ]] && compopt -o nospace 2> /dev/null'
    )
    _cut = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in [*args, incomplete]:
            joins = word == "=" or (words and words[-1].endswith("=") and len(words) < len(args) + 1)
            if joins and words:
                words[-1] += word
            else:
                words.append(word)
        *args, whole = words
        self._cut = whole[: len(whole) - len(incomplete)] if incomplete != "=" else whole
        return args, whole

    def format_completion(self, item: CompletionItem) -> str:
        cut = self._cut
        while cut and not item.value.startswith(cut):
            cut = cut.partition("=")[2]
        return f"{item.type},{item.value.removeprefix(cut)}"


def job_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Job files whose path begins so, here and one folder down; without any, files as the shell finds them."""
    return _paths(incomplete, folders=False)


def jobs_and_folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Job files and output folders."""
    return _paths(incomplete, folders=True)


def model_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The ids of the catalogue; of a list behind commas, its last one."""
    from batchgen.catalog.catalog import load_provider

    before, comma, last = incomplete.rpartition(",")
    ids = load_provider("modelverse").models
    return [f"{before}{comma}{name}" for name in ids if name.startswith(last) or f"/{last}" in f"/{name}"]


def providers(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The names of the catalogue."""
    from batchgen.catalog.catalog import provider_names

    return [name for name in provider_names() if name.startswith(incomplete)]


def fields(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """`steps=` and so on for `--set`; behind it the values that a field may have, where they are a list."""
    from batchgen.catalog.catalog import load_provider

    known = load_provider("modelverse").fields
    name, equals, value = incomplete.partition("=")
    if equals:
        choices = known[name].choices if name in known else ()
        return [f"{name}={choice}" for choice in choices if choice.startswith(value)]
    return [f"{field}=" for field in known if field.startswith(name) and field != "prompt"]


def only(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """`model=` and so on for `--only`; behind it the labels, ids and short names of the job that was named."""
    from batchgen.spec.matching import TASK_WORDS

    names = _names(context)
    name, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{word}=" for word in dict.fromkeys([*TASK_WORDS, *names]) if word.startswith(name)]
    return [f"{name}={each}" for each in names.get(name, ()) if each.startswith(value)]


def _paths(incomplete: str, *, folders: bool) -> list[CompletionItem]:
    above, slash, _ = incomplete.rpartition("/")
    base = Path(above or slash or ".")
    paths = (str(path) for path in _below(base, folders=folders))
    found = list(islice((path for path in paths if path.startswith(incomplete)), _MOST))
    return [CompletionItem(path) for path in found] or [CompletionItem(incomplete, type="file")]


def _below(base: Path, *, folders: bool) -> Iterator[Path]:
    try:
        entries = sorted(path for path in base.iterdir() if not path.name.startswith("."))
        for path in entries:
            if path.suffix in _JOB_FILES or (path.is_dir() and folders and (path / "ledger.sqlite3").is_file()):
                yield path
            elif path.is_dir():
                inside = sorted(islice(path.iterdir(), _MOST))
                yield from (each for each in inside if each.suffix in _JOB_FILES)
                if folders:
                    yield from (each for each in inside if (each / "ledger.sqlite3").is_file())
    except OSError:
        return


def _names(context: click.Context) -> dict[str, list[str]]:
    """What `--only` may name in the job of the command line: labels of models, ids of prompts, short names of variables."""
    from batchgen.spec.yaml_reader import read_yaml

    # While an option still lacks its value, what was typed before it stands in `args`.
    typed = [context.params.get("job"), *(context.params.get("jobs") or ()), *context.args]
    path = next((word for word in typed if word and Path(str(word)).suffix in _JOB_FILES), None)
    try:
        data = Path(str(path)).read_bytes() if path else b""
        value = read_yaml(data, str(path)).value if 0 < len(data) <= _LARGEST_JOB else {}
    except Exception:  # noqa: BLE001  # a job with mistakes is told of them by `validate`, not while somebody types
        value = {}
    if not isinstance(value, dict):
        return {}
    models, prompts, variables = value.get("models"), value.get("prompts"), value.get("vars")
    found = {
        "model": [_label(entry) for entry in models] if isinstance(models, list) else [],
        "row": [str(each["id"]) for each in prompts if isinstance(each, dict) and "id" in each and "file" not in each]
        if isinstance(prompts, list)
        else [],
    }
    if isinstance(variables, dict):
        found |= {str(name): [str(short) for short in texts] for name, texts in variables.items() if _is_axis(texts)}
    return found


def _label(entry: Any) -> str:
    if isinstance(entry, dict) and "label" in entry:
        return str(entry["label"])
    name = str(entry.get("id", "") if isinstance(entry, dict) else entry)
    return re.sub(r"^[^/]*/", "", name).replace("/", "-")


def _is_axis(texts: object) -> bool:
    return isinstance(texts, list | dict)
