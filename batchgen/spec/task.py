"""One request to a provider, and the id that says when two requests are the same purchase.

The id is a hash of what the user asked for and nothing else: not of names, templates, folders or defaults. Changing
how it is computed makes every user pay again, so golden tests pin it. Nothing here reads a job or touches the network.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_quote = json.JSONEncoder(ensure_ascii=False).encode
UNHASHED_FIELDS = frozenset({"response_format"})
"""Sent, but the same picture either way."""


@dataclass(frozen=True, slots=True)
class InputPicture:
    """A picture that goes into a request.

    `source` is what the user wrote: a link, a path or a data URI. `sha256` and `path` are set for files, `sha256` for
    data URIs too; a link has neither, because only the provider ever opens it.
    """

    source: str
    sha256: str | None = None
    path: str | None = None

    @property
    def identity(self) -> str:
        """What stands for the picture in a task id: its bytes' hash, or the link."""
        return f"sha256:{self.sha256}" if self.sha256 else self.source


@dataclass(frozen=True, slots=True)
class Task:
    """One request: a prompt, a model, a seed and the fields that go with them.

    `params` holds every other documented field in canonical form, with `InputPicture` (or a tuple of them) where the
    request carries pictures. `name` is the file name that the user's template gives, below `images/`, without extension.
    """

    task_id: str
    provider: str
    model: str
    label: str
    prompt: str
    seed: int
    params: Mapping[str, Any]
    extra_params: Mapping[str, Any]
    prompt_id: str
    row: str
    vars: Mapping[str, str]
    try_number: int
    index: int
    """Position in the whole plan, from 1."""
    night: str
    """The night's date where seeds are renewed, else empty."""
    name: str

    @property
    def pictures(self) -> int:
        """How many pictures the request asks for."""
        count = self.params.get("n", 1)
        return count if isinstance(count, int) else 1


def canonical_json(value: Any) -> str:
    """JSON with one spelling per value: sorted keys, no spaces, no NaN, text as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def task_id(
    *, provider: str, model: str, prompt: str, seed: int, params: Mapping[str, Any], extra_params: Mapping[str, Any]
) -> str:
    """SHA-256 in hex over what is bought: 64 characters, equal for equal requests on every machine."""
    return finish_id(begin_id(model, params, extra_params), provider, prompt, seed)


def begin_id(model: str, params: Mapping[str, Any], extra_params: Mapping[str, Any]) -> str:
    """The part of what is hashed that a model's tasks share: the canonical JSON up to the prompt, in key order."""
    hashed = {key: _identity(value) for key, value in params.items() if key not in UNHASHED_FIELDS}
    extra = f'"extra_params":{canonical_json(extra_params)},' if extra_params else ""
    return f'{{{extra}"model":{_quote(model)},"params":{canonical_json(hashed)},"prompt":'


def finish_id(begun: str, provider: str, prompt: str, seed: int) -> str:
    """The task id of one prompt and seed; `begun` is from `begin_id`."""
    text = f'{begun}{_quote(prompt)},"provider":{_quote(provider)},"seed":{seed}}}'
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _identity(value: Any) -> Any:
    if isinstance(value, InputPicture):
        return value.identity
    if isinstance(value, tuple):
        return [_identity(item) for item in value]
    return value
