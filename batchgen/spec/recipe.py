"""The recipe of a picture: what was asked for, as JSON for programs, as words for people, and as a job that asks again.

It holds what makes the task's id and what people know it by; no key, no signature of a link, no path of a machine. A
recipe may come out of anybody's picture: what is read here is checked, and every text of it stays a quoted text. It
refuses to read files.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from batchgen.errors import UsageError
from batchgen.outside import clean
from batchgen.secret import without_signatures
from batchgen.spec.yaml_writer import flow, quoted

SCHEMA = "batchgen-recipe/1"
INPUTS = re.compile(r"inputs/[0-9a-f]{64}\.[a-z]{3,4}")
"""An input picture as it is kept beside the results."""
_TEXTS = ("task_id", "provider", "model", "label", "prompt", "prompt_id", "row", "night")
_MAPPINGS = ("params", "extra_params", "vars")
_WORDS = {
    "steps": "Steps",
    "num_inference_steps": "Steps",
    "guidance_scale": "CFG scale",
    "size": "Size",
    "aspect_ratio": "Aspect ratio",
}


def recipe_of(record: Mapping[str, Any], task_id: str) -> str:
    """The recipe, as JSON text, of a task as the ledger keeps it. Equal for equal tasks, whenever it is made."""
    recipe: dict[str, Any] = {"schema": SCHEMA, "task_id": task_id}
    recipe |= {name: record.get(name, "") for name in _TEXTS if name != "task_id"}
    recipe |= {"seed": record["seed"], "try": record.get("try", 1), "vars": dict(record.get("vars") or {})}
    params = {name: _without_signature(value) for name, value in record["params"].items()}
    recipe |= {"params": params, "extra_params": dict(record.get("extra_params") or {})}
    if params != record["params"]:
        recipe["cut"] = "links of input pictures had signatures, which are left out"
    return json.dumps(recipe, ensure_ascii=False, separators=(",", ":"))


def words_of(record: Mapping[str, Any]) -> str:
    """The same in the form that programs show which read the parameters of generated pictures."""
    params = record["params"]
    lines = [str(record["prompt"])]
    if params.get("negative_prompt"):
        lines.append(f"Negative prompt: {params['negative_prompt']}")
    known = [f"{word}: {params[name]}" for name, word in _WORDS.items() if name in params]
    lines.append(", ".join([*known, f"Seed: {record['seed']}", f"Model: {record['model']}", "Version: batchgen"]))
    return "\n".join(lines)


def parse_recipe(text: str) -> dict[str, Any]:
    """The recipe that a text is. Raises UsageError for what is none."""
    try:
        recipe = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        recipe = None
    if not isinstance(recipe, dict) or recipe.get("schema") != SCHEMA:
        raise UsageError("the recipe in this picture is none that batchgen wrote", "it cannot be made again from it")
    wrong = [name for name in _TEXTS if not isinstance(recipe.get(name), str)]
    wrong += [name for name in _MAPPINGS if not isinstance(recipe.get(name), dict)]
    wrong += [] if type(recipe.get("seed")) is int else ["seed"]
    if wrong:
        raise UsageError(
            f"the recipe in this picture was changed: {', '.join(wrong)}", "it cannot be made again from it"
        )
    return recipe


def job_of(recipe: Mapping[str, Any], notes: Sequence[str] = (), inputs: str = "") -> str:
    """The text of a job file that asks for the recipe's task, and for nothing else.

    `inputs` is the output folder in which input pictures lie (empty: beside the job), `notes` are lines for its top.
    """
    name, _, place = recipe["provider"].partition("@")
    params = {field: _at(value, inputs) for field, value in recipe["params"].items()}
    comments = [f"task {recipe['task_id'][:64]}", *notes]
    if place:
        comments.append(
            f"made by a service on a machine of its own: set its address, as {name.upper()}_BASE_URL or here"
        )
    if recipe.get("cut"):
        comments.append(f"{recipe['cut']}: another task, unless you fill them in")
    if not inputs:
        wanted = sorted({found for value in recipe["params"].values() for found in _inputs_in(value)})
        comments += [f"needs an input picture beside this file: {found}" for found in wanted]
    lines = [
        *(f"# {clean(comment, 300)}" for comment in comments),
        "name: again",
        f"provider: {quoted(name)}",
        "prompts:",
        f"  - id: {quoted(recipe['prompt_id'] or 'again')}",
        f"    prompt: {quoted(recipe['prompt'])}",
        "    literal: true",
        f"    seed: {recipe['seed']}",
    ]
    lines += [f"    params: {flow(params)}"] if params else []
    lines += [f"    extra_params: {flow(recipe['extra_params'])}"] if recipe["extra_params"] else []
    lines += ["models:", f"  - {{id: {quoted(recipe['model'])}, label: {quoted(recipe['label'])}}}"]
    return "\n".join(lines) + "\n"


def _without_signature(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_signature(item) for item in value]
    if isinstance(value, str) and re.match(r"https?://", value, re.IGNORECASE):
        return without_signatures(value)
    return value


def _at(value: Any, inputs: str) -> Any:
    if isinstance(value, list):
        return [_at(item, inputs) for item in value]
    return f"{inputs}/{value}" if inputs and isinstance(value, str) and INPUTS.fullmatch(value) else value


def _inputs_in(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str) and INPUTS.fullmatch(item)]


def _no_number(text: str) -> None:
    raise ValueError(text)
