"""Job files to begin with: a small one for some models, one that repeats a curl call, one for a table of prompts.

It owns their text, and what is guessed of a table. It refuses to write files, and to put a key into a job.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchgen.catalog.catalog import Field, Model, Provider
from batchgen.errors import JobError, Problem, UsageError
from batchgen.spec.curl import Call
from batchgen.spec.editor import FILE_NAME
from batchgen.spec.fields import is_path
from batchgen.spec.syntax import looks_secret
from batchgen.spec.tables import KINDS, Table, read_table
from batchgen.spec.wording import harmless
from batchgen.spec.yaml_writer import flow, quoted

EXAMPLE_PICTURE = "example.jpg"
"""What the first job edits; it is made beside the job."""
_COLUMN = 29
"""Where comments begin."""
_PLAIN = re.compile(r"[\w./-]*[A-Za-z][\w./-]*")
_TEXT_NAMES = ("instruction", "instructions", "description", "text", "caption", "title", "提示词", "描述", "文案")
_ID_NAMES = ("sku", "name", "key", "code", "handle", "slug", "编号", "货号")
_PICTURE = re.compile(r"\S[^|]*\.(?:png|jpe?g|webp|gif|bmp)(?:\?\S*)?|data:image/.*", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_PICTURE_NAMES = re.compile(r"image|img|photo|picture|pic\b|图")
_FREE_FORM = ("prompt", "seed")


def pictures_of(model: Model) -> list[Field]:
    """The input pictures without which a model does nothing."""
    return [field for field in model.fields.values() if field.name in model.required and field.type.startswith("pic")]


def first_job(named: str, provider: Provider, models: Sequence[Model]) -> str:
    """A small job with a comment on every line that one changes first; `named` is the job's path as one types it."""
    edits = all(pictures_of(model) for model in models)
    one, other = ("a rainy evening", "a bright morning") if edits else ("a harbour at dawn", "a red fox in the snow")
    lead = "make it " if edits else ""
    return _file(
        [f"A batchgen job. Look at it with `batchgen plan {named}`, then make it with `batchgen run {named}`.", _KEYS],
        [
            _provider(provider),
            [
                "prompts:",
                f"  - {lead}{one}, {{style}}",
                _said(f'  - "{lead}{other}, {{style}}"', "quote a prompt that has ': ' or ' #' in it", 42),
            ],
            [
                _said("vars:", "every variable multiplies the prompts that use it"),
                "  style: {ink: black ink wash on rough paper, oil: thick oil paint}",
            ],
            _models(models, example=True),
            [_said("seeds: {count: 1}", "more tries of every prompt: {count: 4}")],
            [_budget(max(5, 4 * len(models)))],
        ],
    )


def job_of_call(named: str, provider: Provider, call: Call, *, own_address: bool) -> str:
    """A job that asks for what a call asks for; `own_address` keeps the call's address where it is not the provider's.

    Raises UsageError for a call without model or prompt, CatalogError for a model that is not known.
    """
    body = {name: value for name, value in call.body.items() if value is not None}
    prompt, seed = body.pop("prompt", None), body.pop("seed", None)
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageError("the call has no `prompt`", 'it looks like: {"model": "…", "prompt": "…"}')
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise UsageError("the call has no `model`", 'it looks like: {"model": "…", "prompt": "…"}')
    model = provider.find(body.pop("model"))
    params = {name: _braced(value) for name, value in body.items() if name in model.fields}
    others = {name: _braced(value) for name, value in body.items() if name not in model.fields}
    if looks_secret(flow(others)):
        raise UsageError("a field of this call looks like a key", "a job file holds none: take it out of the call")
    heads = [
        f"A batchgen job, made of a curl call. `batchgen plan {named}` says what it costs, `batchgen run {named}` makes it.",
        _KEYS,
    ]
    if provider.key_env:
        heads.append(
            f"The key is not in here: put it into the environment (export {provider.key_env}=…), or into a .env file."
        )
    entry = [f"params: {flow(params)}"] if params else []
    if others:
        entry.append(_said(f"extra_params: {flow(others)}", "not documented for this model: sent as they are"))
    seeds = f"seeds: {seed}" if isinstance(seed, int) and seed >= 0 else "seeds: {count: 1}"
    return _file(
        heads,
        [
            _provider(provider, _address(provider, call) if own_address else ""),
            ["prompts:", f"  - {quoted(_braced(prompt))}", "  # one more picture for each line that you add here"],
            _models([model]),
            entry,
            [_said(seeds, "more tries of every prompt: {count: 4}")],
            [_budget(max(5, _whole(body.get("n"))), _free(model))],
        ],
    )


def job_of_table(
    named: str, provider: Provider, models: Sequence[Model], table: Path, folder: Path, encoding: str | None
) -> str:
    """A job in `folder` for every row of a table, with its columns found. No models: those that fit the columns.

    Raises JobError for a table that cannot be read, UsageError for one without a text.
    """
    if table.suffix.lower() not in KINDS:
        raise UsageError(f"{table} is no table of prompts", f"name a file that ends in {', '.join(KINDS)}")
    if not table.is_file():
        raise UsageError(f"there is no file {table}", "name a table of prompts")
    problems: list[Problem] = []
    read = read_table(table, str(table), encoding, problems.append)
    if problems:
        raise JobError(problems, _encoding_hint(problems))
    if not read.records:
        raise UsageError(
            f"{table} holds no prompts", "it needs a line with the names of its columns, and one for each prompt"
        )
    pictures = [name for name in read.columns if _holds_pictures(read, name)]
    text, identity = _text_column(read, pictures), _id_column(read)
    inside = os.path.relpath(table.absolute().parent, folder.absolute())
    uses = list(models) or _fitting(provider, pictures)
    entry = [f"file: {_plain(os.path.relpath(table.absolute(), folder.absolute()))}"]
    entry += [f"encoding: {_plain(encoding)}"] if encoding else []
    entry += [f"id: {quoted(f'{{{identity}}}')}"] if identity and identity != "id" else []
    entry += [f"prompt: {quoted(f'{{{text}}}')}"] if text != "prompt" else []
    entry += _params_of(read, pictures, uses, inside, templates=text != "prompt")
    entry[0] = _said(f"  - {entry[0]}", f"{len(read.records):,} rows; columns: {harmless(', '.join(read.columns))}", 0)
    tasks = len(read.records) * len(uses)
    return _file(
        [
            f"A batchgen job for every row of a table. `batchgen plan {named}` says what it costs, `batchgen run {named}` makes it.",
            _KEYS,
        ],
        [
            _provider(provider),
            ["prompts:", entry[0], *(f"    {line}" for line in entry[1:])],
            _models(uses),
            [_said("seeds: {count: 1}", "more tries of every row: {count: 4}")],
            [_budget(max(10, 2 * tasks))],
            [f'output: {{name: "{"{prompt_id}/{model}-{try}" if identity else "{prompt_id}/{model}-{seed}-{id}"}"}}'],
        ],
    )


_KEYS = "All keys: docs/job-file.md; an editor completes them from the schema that the first line names."


def _file(heads: Sequence[str], parts: Iterable[Sequence[str]]) -> str:
    lines = [f"# yaml-language-server: $schema={FILE_NAME}", *(f"# {head}" for head in heads)]
    for part in parts:
        lines += ["", *part] if part else []
    return "\n".join(lines) + "\n"


def _said(line: str, about: str, column: int = _COLUMN) -> str:
    return f"{line:<{max(column, len(line) + 2)}}# {about}" if about else line


def _provider(provider: Provider, address: str = "") -> list[str]:
    if address:
        entry = f"provider: {{name: {provider.name}, base_url: {quoted(address)}}}"
        return [_said(entry, f"the key goes there when {provider.base_url_env} says the same")]
    about = (
        f"needs {provider.key_env}; `sandbox` draws locally and costs nothing"
        if provider.key_env
        else ("draws locally and costs nothing; `modelverse` is the real one (needs MODELVERSE_API_KEY)")
    )
    return [_said(f"provider: {provider.name}", about)]


def _models(models: Sequence[Model], *, example: bool = False) -> list[str]:
    lines = [_said("models:", "`batchgen models` lists them with their prices")]
    for model in models:
        needed = pictures_of(model) if example else []
        if not needed:
            lines.append(f"  - {model.id}")
            continue
        params = {field.name: EXAMPLE_PICTURE if field.type == "picture" else [EXAMPLE_PICTURE] for field in needed}
        lines += [
            f"  - id: {model.id}",
            _said(f"    params: {flow(params)}", "what it edits: files beside this one, or links", 44),
        ]
    return lines


def _budget(images: int, more: str = "") -> str:
    return _said(f"budget: {{images: {images}}}", f"never buys more than this, over all runs together{more}")


def _free(model: Model) -> str:
    return f"; the first {model.free_images} of this model are free" if model.free_images else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 1


def _braced(value: Any) -> Any:
    """A text in which braces stand for themselves."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, list):
        return [_braced(item) for item in value]
    return {key: _braced(item) for key, item in value.items()} if isinstance(value, dict) else value


def _address(provider: Provider, call: Call) -> str:
    """The call's address without the path of the endpoint; empty for one of the provider's own."""
    address = call.url.rstrip("/").removesuffix(provider.path)
    own = {urlsplit(url).netloc for url in (provider.base_url, *provider.also_at)}
    return "" if urlsplit(address).netloc.lower() in own else address


def _plain(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quoted(text)


def _encoding_hint(problems: Sequence[Problem]) -> str:
    unread = any("UTF-8" in problem.message for problem in problems)
    return "name its encoding: --encoding gb18030 (Chinese Excel), --encoding cp1252 (Western Europe)" if unread else ""


def _cells(table: Table, name: str) -> list[Any]:
    return [record.cells[name] for record in table.records if name in record.cells]


def _holds_pictures(table: Table, name: str) -> bool:
    cells = _cells(table, name)
    parts = [part for cell in cells for part in (cell if isinstance(cell, list) else str(cell).split("|"))]
    # A link may lead to a page: the column's name has to say that it is a picture.
    kinds = (_PICTURE, _LINK) if _PICTURE_NAMES.search(name) else (_PICTURE,)
    return bool(parts) and all(
        isinstance(part, str) and any(kind.fullmatch(part.strip()) for kind in kinds) for part in parts
    )


def _text_column(table: Table, pictures: Sequence[str]) -> str:
    """The column that says what to make: by its name, else the one with the longest texts."""
    full = [name for name in table.columns if name not in pictures and len(_cells(table, name)) == len(table.records)]
    for name in ("prompt", *_TEXT_NAMES):
        if name in full:
            return name
    lengths = {name: sum(len(str(cell)) for cell in _cells(table, name)) for name in full}
    wordy = {
        name: length
        for name, length in lengths.items()
        if any(" " in str(cell) or not str(cell).isascii() for cell in _cells(table, name))
    }
    if not wordy:
        raise UsageError(
            f"{table.shown} has no column with a text in every row (found: {harmless(', '.join(table.columns))})",
            "add a column `prompt` that says what to make",
        )
    return max(wordy, key=lambda name: wordy[name])


def _id_column(table: Table) -> str:
    """The column that names a row: the first usual one that is filled and different in each."""
    for name in ("id", *_ID_NAMES):
        cells = [str(cell).strip() for cell in _cells(table, name)]
        if len(cells) == len(table.records) and len(set(cells)) == len(cells):
            return name
    return ""


def _fitting(provider: Provider, pictures: Sequence[str]) -> list[Model]:
    """The cheapest model that takes as many pictures as the rows have."""

    def fits(model: Model) -> bool:
        kinds = {field.type for field in pictures_of(model)}
        return kinds == ({"pictures"} if len(pictures) > 1 else {"picture"} if pictures else set())

    found = [model for model in provider.models.values() if fits(model)]
    return [min(found, key=lambda model: (model.price is None, model.price or 0))]


def _params_of(
    table: Table, pictures: Sequence[str], uses: Sequence[Model], inside: str, *, templates: bool
) -> list[str]:
    """`params:` with the columns that are no fields of themselves, and pictures with the way to them."""
    taken = {name for model in uses for name in model.fields} - set(_FREE_FORM)
    params: dict[str, Any] = {}
    for name in table.columns:
        if templates and name in taken and name not in pictures:
            params[name] = f"{{{name}}}"
    slots = [field.name for model in uses for field in model.fields.values() if field.type.startswith("pic")]
    if pictures and slots and (templates or not set(pictures) <= taken):
        ways = [_way(table, name, inside) for name in pictures]
        for slot in dict.fromkeys(slots):
            params[slot] = ways[0] if slot == "image" else ways
    return ["params:", *(f"  {name}: {flow(value)}" for name, value in params.items())] if params else []


def _way(table: Table, name: str, inside: str) -> str:
    """A template for a picture: paths in a table begin where the table lies, those in a job where the job does."""
    paths = [
        cell for cell in _cells(table, name) if isinstance(cell, str) and is_path(cell) and not Path(cell).is_absolute()
    ]
    return f"{_braced(inside)}/{{{name}}}" if paths and inside != "." else f"{{{name}}}"
