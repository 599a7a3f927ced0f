"""The shape of a job file: every key, its type and what it means. Docs and the schema for editors are made from this.

It owns structure alone. What a word refers to (a model, a variable, a file) is checked in `load.py`, and field values
are checked against the catalogue.
"""

from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from batchgen.spec.mistakes import Mistakes
from batchgen.spec.syntax import but_not
from batchgen.spec.unattended import MOST_TOLD, LogItem, NotifyItem
from batchgen.spec.wording import MOST_PROBLEMS, listed, nearest
from batchgen.spec.written import Deadline, Duration, Scalar, SeedsItem
from batchgen.spec.yaml_reader import Document

DEFAULT_PROVIDER = "modelverse"
DEFAULT_NAME = "{prompt_id}/{model}-{seed}-{id}"


MOST_CANARIES = 1_000
MOST_RULES = 1_000
"""Of `exclude`: every task is held against each of them."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _shape(value: Any) -> str:
    if isinstance(value, dict | BaseModel):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else type(value).__name__


_by_shape = Discriminator(_shape)


ModelPatterns = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[str], Field(min_length=1), Tag("a list")],
    _by_shape,
]


class LimitsItem(_Strict):
    """Bounds on how hard the provider is used."""

    concurrency: int | None = Field(default=None, ge=1, le=10_000, description="Paid calls in flight at once.")
    requests_per_minute: float | None = Field(
        default=None, ge=0.01, le=1_000_000, allow_inf_nan=False, description="Paid calls begun within a minute."
    )
    timeout: Duration | None = Field(
        default=None, description="How long one paid call may take before its outcome counts as unknown: 300, 90s, 5m."
    )
    give_up_after: Duration | None = Field(
        default=None, description="How long a run waits for a provider that answers nothing: 30m, 6h."
    )


class BudgetItem(_Strict):
    """What may be spent. Calls in flight and calls of unknown outcome count as spent."""

    images: int | None = Field(default=None, ge=0, le=1_000_000_000, description="Pictures at most.")
    cost: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        allow_inf_nan=False,
        description="Money at most, in the provider's currency.",
    )
    per: Literal["life", "run", "day", "week", "month"] = Field(
        default="life", description="Over which time: all that this folder ever spent, or one run, day, week or month."
    )


class ProviderItem(_Strict):
    """A provider of the catalogue, reached in another way than usual."""

    name: str = Field(default=DEFAULT_PROVIDER, description="The provider's name in the catalogue.")
    profile: str | None = Field(
        default=None, description="Which of its pages the fields and models are from; `batchgen models` names them."
    )
    base_url: str | None = Field(default=None, description="Where it is; https, or http on this machine.")
    api_key_env: str | None = Field(default=None, description="The environment variable that holds the key.")
    proxy: str | None = Field(default=None, description="A proxy for every request.")


class PromptItem(_Strict):
    """One prompt, or a file of prompts."""

    id: Scalar | None = Field(
        default=None, description="A name for the prompt; for a file, a template over its columns."
    )
    prompt: str | None = Field(
        default=None, description="The text; {x} is a variable or a column, {{ and }} are braces."
    )
    file: str | None = Field(default=None, description="A .txt, .csv, .tsv or .jsonl file of prompts.")
    encoding: str | None = Field(default=None, description="The file's encoding when it is not UTF-8, such as gb18030.")
    params: dict[str, Any] = Field(default_factory=dict, description="Request fields of this prompt.")
    extra_params: dict[str, Any] = Field(
        default_factory=dict, description="Undocumented request fields, sent as they are."
    )
    model: ModelPatterns | None = Field(default=None, description="Only these models: an id, a label or a pattern.")
    seed: SeedsItem | None = Field(default=None, description="Only this seed, or these.")
    literal: bool = Field(default=False, description="Take braces in this entry as they stand.")


class ModelItem(_Strict):
    """One model and what it is asked in its own way."""

    id: str = Field(description="The model's exact id.")
    label: Scalar | None = Field(
        default=None, description="Its name in file names; needed when one model stands twice."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Request fields for this model.")
    extra_params: dict[str, Any] = Field(
        default_factory=dict, description="Undocumented request fields, sent as they are."
    )
    limits: LimitsItem = Field(default=LimitsItem(), description="Bounds for this model.")


class OutputItem(_Strict):
    """Where results go and how they are named."""

    folder: str | None = Field(
        default=None, description="The output folder; default outputs/<name>. {night} gives each night its own."
    )
    name: str = Field(
        default=DEFAULT_NAME,
        min_length=1,
        max_length=1_000,
        description="File names: {prompt_id} {row} {model} {seed} {id} {try} {index} {night}, variables and columns.",
    )
    ascii: bool = Field(default=False, description="Keep file names to the letters a-z, digits and hyphens.")
    gallery: bool = Field(default=True, description="Make thumbnails, and a page to look at after each run.")
    embed: bool = Field(default=True, description="Write into each picture how it was made.")


VarsItem = Annotated[
    Annotated[list[Scalar], Field(min_length=1), Tag("a list")]
    | Annotated[dict[str, Scalar], Field(min_length=1), Tag("a mapping")],
    _by_shape,
]


class JobFile(_Strict):
    """One job: every prompt with every model and every seed."""

    name: str | None = Field(default=None, min_length=1, description="The job's name; default is the file's.")
    provider: Annotated[Annotated[str, Tag("text")] | Annotated[ProviderItem, Tag("a mapping")], _by_shape] = Field(
        default=DEFAULT_PROVIDER, description="Who makes the pictures; `sandbox` needs no key and costs nothing."
    )
    prompts: list[Annotated[Annotated[str, Tag("text")] | Annotated[PromptItem, Tag("a mapping")], _by_shape]] = Field(
        json_schema_extra={"minItems": 1}, description="Texts, entries or files of prompts."
    )
    vars: dict[str, VarsItem] = Field(
        default={}, description="Every variable is an axis: a list of texts, or short names with their texts."
    )
    models: list[Annotated[Annotated[str, Tag("text")] | Annotated[ModelItem, Tag("a mapping")], _by_shape]] = Field(
        json_schema_extra={"minItems": 1}, description="Exact model ids, or entries with an id."
    )
    seeds: SeedsItem = Field(default={"count": 1}, description="7, [1, 2], 1..4, {count: 4}, {count: 4, renew: daily}.")
    params: dict[str, Any] = Field(default_factory=dict, description="Request fields for every model that takes them.")
    extra_params: dict[str, Any] = Field(
        default_factory=dict, description="Undocumented request fields, sent as they are."
    )
    exclude: list[Annotated[dict[str, Scalar], Field(min_length=1)]] = Field(
        default=[],
        max_length=MOST_RULES,
        description="Combinations to leave out; all that is written in one entry must match.",
    )
    budget: (
        Annotated[
            Annotated[list[BudgetItem], Tag("a list")] | Annotated[BudgetItem, Tag("a mapping")],
            _by_shape,
        ]
        | None
    ) = Field(default=None, description="What may be spent; several at once as a list.")
    on_unknown: Literal["retry", "hold"] = Field(
        default="retry",
        description="What to do with a call of unknown outcome: one further try, or wait for a decision.",
    )
    limits: LimitsItem = Field(default=LimitsItem(), description="Bounds for the whole run.")
    output: OutputItem = Field(default=OutputItem(), description="The output folder and the names of files in it.")
    canary: int | None = Field(
        default=None,
        ge=0,
        le=MOST_CANARIES,
        description="Pictures of each model that are bought before the rest; 1 for jobs over 100 tasks, 0 for none.",
    )
    deadline: Deadline | None = Field(
        default=None, description="Start no call that is unlikely to end by then: a length (6h) or a time (06:30)."
    )
    log: LogItem = Field(default=LogItem(), description="What each run writes down in `runs/`.")
    notify: list[NotifyItem] = Field(default=[], max_length=MOST_TOLD, description="Who is told how a run ends.")


@cache
def known_keys() -> frozenset[str]:
    """Every key that a job file has anywhere."""
    parts: tuple[type[BaseModel], ...] = (
        JobFile,
        PromptItem,
        ModelItem,
        ProviderItem,
        BudgetItem,
        LimitsItem,
        OutputItem,
        LogItem,
        NotifyItem,
    )
    return frozenset(key for part in parts for key in part.model_fields)


def validate(document: Document, mistakes: Mistakes) -> JobFile | None:
    """The job file's values in their shape.

    What is wrong is noted and taken out of `document`, so that the rest can be checked too; None when nothing is left.
    """
    for _ in range(DEEPEST_REPAIR):
        try:
            return JobFile.model_validate(document.value)
        except ValidationError as error:
            details = _first_errors(error, document.value)
            gone = [_note(document, mistakes, detail, details) for detail in details]
            for loc in sorted(filter(None, gone), key=_from_the_end, reverse=True):
                document.drop(loc)
            if not isinstance(document.value, dict):
                return None
            for name in ("prompts", "models"):
                document.value.setdefault(name, [])
    return None


_MANY = 2 * MOST_PROBLEMS
DEEPEST_REPAIR = 4
"""Taking a broken part out can show that its parent lacks something: so often is looked again."""


def _first_errors(error: ValidationError, value: Any) -> list[ErrorDetails]:
    """What is wrong, as far as it will be shown: each of a hundred thousand mistakes would cost as much as a prompt."""
    if error.error_count() > _MANY and isinstance(value, dict):
        few = {key: item[:_MANY] if isinstance(item, list) else item for key, item in islice(value.items(), _MANY)}
        try:
            JobFile.model_validate(few)
        except ValidationError as first:
            error = first
    return error.errors(include_url=False, include_input=False)


def _from_the_end(loc: Sequence[str | int]) -> tuple[tuple[bool, str | int], ...]:
    return tuple((isinstance(part, str), part) for part in loc)


def _note(
    document: Document, mistakes: Mistakes, detail: ErrorDetails, all_details: Sequence[ErrorDetails]
) -> tuple[str | int, ...] | None:
    """Note one mistake; the place of what has to go, if anything has."""
    loc = _real_loc(document, detail["loc"])
    kind, ctx = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _siblings(loc[:-1])
        key = str(loc[-1])
        near = nearest(key, known)
        hint = f"did you mean `{near}`?" if near else f"known here: {listed(known)}"
        mistakes.add(loc, f"there is no key `{key}` {_inside(loc[:-1])}", hint, kind="unknown key", key=True)
        return loc
    if kind == "missing":
        name = str(detail["loc"][-1])
        misspelt = any(
            other["type"] == "extra_forbidden" and nearest(str(other["loc"][-1]), [name]) for other in all_details
        )
        if misspelt:
            mistakes.damaged.add(name)
        elif not mistakes.touched(name, loc):
            mistakes.add(loc, f"`{name}` is missing {_inside(loc)}", _EXAMPLES.get(name, ""), kind="missing key")
        return loc or None
    value = document.find(loc)[0]
    word = f"`{_dotted(loc)}`" if loc else "a job file"
    if value is None:
        mistakes.add(loc, f"{word} has no value", _quoted_hint(document, loc), kind="empty value")
    else:
        expected = _expected(kind, ctx)
        hint = _EXAMPLES.get(str(loc[0]), "") if len(loc) == 1 else ""
        if "text" in expected and isinstance(value, bool | int | float):
            hint = f'write it in quotes: "{document.raw(loc)}"'
        elif "number" in expected and isinstance(value, str):
            hint = _as_number(value)
        mistakes.add(loc, f"{word} must be {expected}{but_not(document.raw(loc))}", hint, kind="wrong value")
    return loc or None


def _as_number(text: str) -> str:
    """The number that was meant, where a text is one in another spelling."""
    plain = text.strip().replace("_", "")
    return f"write it as a number: {plain}" if plain.isdecimal() and len(plain) < _LONGEST_NUMBER else ""


def _quoted_hint(document: Document, loc: Sequence[str | int]) -> str:
    raw = document.raw(loc)
    if raw:
        return f'write it in quotes if it is text: "{raw}"'
    return _EXAMPLES.get(str(loc[0]), "") if len(loc) == 1 else "write one, or delete the line"


def _real_loc(document: Document, loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """`loc` without the parts that are pydantic's own words and no child of the file."""
    real: list[str | int] = []
    value: Any = document.value
    for number, part in enumerate(loc):
        known = (
            isinstance(part, int) and part < len(value)
            if isinstance(value, list)
            else part in (value if isinstance(value, dict) else ())
        )
        if known:
            value = value[part]
        elif number == len(loc) - 1 or part != "[key]":
            continue
        real.append(part)
    return tuple(real)


def _siblings(loc: Sequence[str | int]) -> list[str]:
    """The keys that are known in the mapping at `loc`."""
    by_place: dict[str, type[BaseModel]] = {
        "prompts": PromptItem,
        "models": ModelItem,
        "provider": ProviderItem,
        "budget": BudgetItem,
        "output": OutputItem,
        "limits": LimitsItem,
        "log": LogItem,
        "notify": NotifyItem,
    }
    part = next((by_place[word] for word in reversed(loc) if isinstance(word, str) and word in by_place), JobFile)
    return list(part.model_fields)


def _inside(loc: Sequence[str | int]) -> str:
    return f"in `{_dotted(loc)}`" if loc else "in a job file"


def _dotted(loc: Sequence[str | int]) -> str:
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "duration": "a time such as 300 (seconds), 90s, 30m or 6h",
    "too_short": "longer: it is empty",
    "too_long": f"shorter: {MOST_RULES:,} entries are the most",
    "string_too_short": "longer: it is empty",
    "string_too_long": "shorter",
    "finite_number": "a number",
}
_LONGEST_NUMBER = 20
_EXAMPLES = {
    "prompts": "write `prompts:` and below it `  - a neon city in the rain`",
    "models": "write `models:` and below it `  - black-forest-labs/flux.1-dev`",
    "vars": "write `vars:` and below it `  style: [ink, oil]`",
    "id": "write `id: black-forest-labs/flux.1-dev`",
}


def _expected(kind: str, ctx: dict[str, Any]) -> str:
    if kind in _TYPES:
        return _TYPES[kind]
    if kind == "literal_error":
        return "one of " + str(ctx.get("expected", "")).replace("'", "").replace(" or ", ", ")
    if kind in {"greater_than_equal", "greater_than", "less_than_equal"}:
        words = {"ge": "at least", "gt": "more than", "le": "at most"}
        return next(f"{words[key]} {ctx[key]:.10g}" for key in words if key in ctx)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return str(ctx.get("expected_tags", "something else")).replace("'", "").replace(", ", " or ")
    return "something else"
