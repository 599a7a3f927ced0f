"""What people bring along from elsewhere, and what they are told: the line that they meant, written right.

It owns habits (a pasted request body, a secret, an unquoted prompt). Shape is `schema.py`'s, meaning is `load.py`'s.
"""

import re
from collections.abc import Iterator, Sequence

from batchgen.catalog.catalog import Provider
from batchgen.spec import schema
from batchgen.spec.mistakes import Mistakes
from batchgen.spec.syntax import SECRET_KEY, SECRET_VALUE, explain_colon, quoted

_LINES_TO_LOOK_AT = 2000
_LEAD = re.compile(r"\s*(?:-\s+)+")


def look_for_habits(mistakes: Mistakes, provider: Provider) -> None:
    """Note what people bring along from elsewhere, and take it out so that nothing is said twice."""
    document = mistakes.document
    if not isinstance(document.value, dict):
        _not_a_mapping(mistakes)
        return
    for loc in list(_secrets(document.value, ())):
        hint = "put the key into the environment or into a .env file beside the job"
        mistakes.add(loc, f"`{loc[-1]}` is a secret; a job file never holds one", hint, kind="secret", key=True)
        document.drop(loc)
    _request_body(mistakes, provider)
    prompts = document.value.get("prompts")
    if isinstance(prompts, list):
        for index in range(len(prompts) - 1, -1, -1):
            _prompt(mistakes, prompts[index], index)


def _not_a_mapping(mistakes: Mistakes) -> None:
    for number, text in enumerate(mistakes.document.lines[:_LINES_TO_LOOK_AT]):
        found = explain_colon(text[:_LINES_TO_LOOK_AT], number)
        if found:
            mistakes.add_line(*found)
            return
    what = "a list" if isinstance(mistakes.document.value, list) else "one text"
    mistakes.add((), f"this file is {what}; a job file has keys", "begin with `prompts:` and `models:`")


def _secrets(value: object, loc: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if loc == () and key == "vars":
                continue
            if SECRET_KEY.match(key) or (key == "api_key_env" and SECRET_VALUE.search(str(item))):
                yield (*loc, key)
            else:
                yield from _secrets(item, (*loc, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _secrets(item, (*loc, index))


def _request_body(mistakes: Mistakes, provider: Provider) -> None:
    """`prompt:`, `model:` and request fields at the top: someone pasted what the API takes."""
    document = mistakes.document
    for key in list(document.value):
        if key not in {"prompt", "model", "seed"} and key not in provider.fields:
            continue
        value = document.value[key]
        raw = document.raw((key,)) or ""
        lists = {"prompt": "prompts", "model": "models"}
        if key in lists:
            shown = f" [{quoted(raw) if key == 'prompt' else raw}]" if raw else " and below it one in each line"
            hint = f"write: {lists[key]}:{shown}"
        elif key == "seed":
            hint = f"write: seeds: {raw or '7'}"
        else:
            text = raw if not isinstance(value, str) else quoted(raw)
            hint = f"write: params: {{{key}: {text}}}" if raw else f"write `{key}` below `params:`"
        said = "is a field of the API's request and has another place in a job file"
        mistakes.add((key,), f"`{key}` {said}", hint, kind="request field at the top", key=True)
        mistakes.damaged.add(lists.get(key, key))
        document.drop((key,))


def _prompt(mistakes: Mistakes, item: object, index: int) -> None:
    document, loc = mistakes.document, ("prompts", index)
    if isinstance(item, dict):
        if item and not any(key in schema.PromptItem.model_fields for key in item):
            _prompt_read_as_mapping(mistakes, item, index)
        return
    lost = document.comment_after(loc)
    if item is None and lost:
        hint = f"write: - {quoted(lost)}"
        mistakes.add(
            loc, f"everything from ` #` on is a comment; this would be lost: {lost}", hint, kind="prompt cut by #"
        )
        document.drop(loc)
    elif isinstance(item, str):
        wide = re.match(r"([A-Za-z_]+)\s*：\s*", item)
        if wide and wide[1] in schema.known_keys():
            right = f"- {wide[1]}: {item[wide.end() :]}"
            mistakes.add(
                loc,
                "this is a full-width colon (：); YAML takes the plain one",
                f"write: {right}",
                kind="prompt without quotes",
            )
            document.drop(loc)


def _prompt_read_as_mapping(mistakes: Mistakes, item: dict[str, object], index: int) -> None:
    document, loc = mistakes.document, ("prompts", index)
    line, column = document.place(loc)
    lead = _LEAD.match(document.lines[line - 1], 0, column - 1)
    if lead is None or lead.end() != column - 1 or len(item) > 1:
        return
    body = document.lines[line - 1][column - 1 :]
    if not body:
        return
    key = next(iter(item))
    if body.startswith("{"):
        message = "a text that begins with { needs quotes"
    else:
        message = f"this reads as a key `{key}`; a prompt with a colon in it needs quotes"
    mistakes.add(loc, message, f"write: - {quoted(body.rstrip())}", kind="prompt without quotes")
    document.drop(loc)


def check_cut(mistakes: Mistakes, loc: Sequence[str | int], text: str) -> None:
    """Note a text that ` #` cut short: the rest of the line became a comment that may have been meant."""
    lost = mistakes.document.comment_after(loc)
    if lost:
        message = f"everything from ` #` on is a comment; this would be lost: {lost}"
        hint = f"write: {quoted(f'{text} {lost}')} or put the comment on a line of its own"
        mistakes.add(loc, message, hint, kind="text cut by #")
