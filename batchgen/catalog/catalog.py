"""Reads what providers offer: models, the fields each takes, prices and how long links live.

The facts stand in one YAML file per provider beside this module. It owns the check and the canonical form of a single
field's value; it refuses to know jobs, tasks or the wire, and it never guesses: an unwritten price is None.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from batchgen.errors import CatalogError

FieldType = Literal["string", "int", "float", "bool", "size", "picture", "pictures"]

_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Field:
    """One request field as the provider documents it; None means that the page sets no such limit."""

    name: str
    type: FieldType
    about: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The accepted values in a few words, such as `a whole number from 1 to 4`."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.type == "size":
            return (
                f"WIDTHxHEIGHT in pixels, each side from {self.minimum:g} to {self.maximum:g}, such as {self.default}"
            )
        words = {
            "string": "text",
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "picture": "a link, a file or a data URI of a picture",
            "pictures": "a list of links, files or data URIs of pictures",
        }[self.type]
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:.10g} to {self.maximum:.10g}"
        return words

    def canonical(self, value: Any) -> Any:
        """`value` in the form that is sent and hashed: 4 and 4.0 are one float, `1e1` is no int.

        Pictures are passed through; the job reader resolves them. Raises ValueError with what was expected.
        """
        canonical = _CANONICAL[self.type](value)
        if canonical is None or (self.choices and canonical not in self.choices):
            raise ValueError(self.expected)
        numbers: list[float] = []
        if self.type == "size":
            numbers = [int(side) for side in str(canonical).split("x")]
        elif self.type in {"int", "float"}:
            numbers = [canonical]
        for number in numbers:
            too_small = self.minimum is not None and number < self.minimum
            if too_small or (self.maximum is not None and number > self.maximum):
                raise ValueError(self.expected)
        return canonical


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if not isinstance(value, float) or value.is_integer() else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 and math.isfinite(value) else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _size(value: Any) -> str | None:
    match = _SIZE.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    return f"{int(match[1])}x{int(match[2])}" if match else None


def _picture(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _pictures(value: Any) -> list[str] | None:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items or not all(_picture(item) for item in items):
        return None
    return list(items)


_CANONICAL: Mapping[FieldType, Any] = {
    "string": _text,
    "int": _whole,
    "float": _number,
    "bool": _truth,
    "size": _size,
    "picture": _picture,
    "pictures": _pictures,
}


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its exact id, the fields it takes, and what a picture of it costs."""

    id: str
    fields: Mapping[str, Field]
    required: frozenset[str]
    free_images: int
    price: Decimal | None
    """List price of one picture in the provider's currency; None is unknown."""
    link_lifetime_s: float | None = None
    """Where its links live otherwise than the provider's."""

    @property
    def short_name(self) -> str:
        """The id after its first `/`, with `/` as `-`: what `{model}` is in file names, and the default label."""
        return self.id.partition("/")[2].replace("/", "-") or self.id

    def as_json(self) -> dict[str, Any]:
        """The model in JSON's own types; an unknown price is null."""
        return {
            "id": self.id,
            "fields": [
                {
                    "name": field.name,
                    "type": field.type,
                    "required": field.name in self.required,
                    "default": field.default,
                    "minimum": field.minimum,
                    "maximum": field.maximum,
                    "choices": list(field.choices),
                    "about": field.about,
                }
                for field in self.fields.values()
            ],
            "free_images": self.free_images,
            "price": None if self.price is None else str(self.price),
        }


@dataclass(frozen=True, slots=True)
class Provider:
    """One service with one key: where it is, how it is spoken to, and its models by id."""

    name: str
    profile: str
    """Which of its pages the fields are from."""
    profiles: tuple[str, ...]
    """All that the catalogue has of it, the usual one first."""
    title: str
    base_url: str
    also_at: tuple[str, ...]
    """Scheme and host of its other addresses; like the first one, they belong to whoever issued the key."""
    base_url_env: str | None
    key_env: str | None
    """The environment variable that holds the key; None when none is needed."""
    dialect: str
    path: str
    link_lifetime_s: float
    utc_offset_s: float
    """Of the provider's calendar: its days and months are what a bill is counted by."""
    source: str
    currency: str
    prices_as_of: str
    prices_source: str
    embedded: bool
    """Whether batchgen starts this provider itself, inside its own process."""
    play_money: bool
    fields: Mapping[str, Field]
    models: Mapping[str, Model]

    def model(self, model_id: str) -> Model:
        """The model of that exact id. Raises CatalogError that names the nearest ones."""
        if model_id in self.models:
            return self.models[model_id]
        near = nearest(model_id, self.models)
        hint = f"did you mean {near}?" if near else "`batchgen models` lists them"
        raise CatalogError(f"{self.name} has no model {model_id!r}", self.elsewhere(model_id) or hint)

    def elsewhere(self, model_id: str) -> str:
        """What to write in a job for a model that only another profile has; empty for one that none has."""
        for profile in self.profiles:
            if profile != self.profile and model_id in load_provider(self.name, profile).models:
                return f"the profile {profile} has it: write `provider: {{name: {self.name}, profile: {profile}}}`"
        return ""

    def find(self, words: str) -> Model:
        """The model whose id is `words`, or the only one whose id ends so. Raises CatalogError as `model` does."""
        ends = [model for model in self.models.values() if f"/{model.id}".endswith(f"/{words}")]
        return ends[0] if len(ends) == 1 and words not in self.models else self.model(words)

    def link_lifetime_of(self, model_id: str) -> float:
        """Seconds that a model's links live."""
        model = self.models.get(model_id)
        return self.link_lifetime_s if model is None or model.link_lifetime_s is None else model.link_lifetime_s

    def as_json(self) -> dict[str, Any]:
        """The provider and its models in JSON's own types."""
        return {
            "name": self.name,
            "profile": self.profile,
            "profiles": list(self.profiles),
            "title": self.title,
            "base_url": self.base_url,
            "source": self.source,
            "currency": self.currency,
            "prices_as_of": self.prices_as_of,
            "prices_source": self.prices_source,
            "link_lifetime_s": self.link_lifetime_s,
            "models": [model.as_json() for model in self.models.values()],
        }


def nearest(word: str, known: Mapping[str, Any] | list[str]) -> str | None:
    """The known word that a typing mistake most likely meant, or None."""
    by_lower = {name.lower(): name for name in known}
    by_tail = {lower.partition("/")[2]: name for lower, name in by_lower.items() if "/" in lower}
    spellings = by_tail | by_lower
    found = difflib.get_close_matches(word.lower(), spellings, n=1, cutoff=0.6)
    if found:
        return spellings[found[0]]
    return next((name for lower, name in by_lower.items() if len(word) >= 4 and word.lower() in lower), None)


def provider_names() -> tuple[str, ...]:
    """The names that `provider:` in a job may have."""
    files = resources.files("batchgen.catalog").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


@cache
def load_provider(name: str, profile: str | None = None) -> Provider:
    """What the catalogue says of `name`, by its usual profile or another one.

    Raises CatalogError for a name or a profile that it does not hold.
    """
    if name not in provider_names():
        near = nearest(name, list(provider_names()))
        known = ", ".join(provider_names())
        raise CatalogError(f"there is no provider {name!r}", f"did you mean {near}?" if near else f"known are: {known}")
    raw = _read(name)
    like = raw.pop("like", name)
    raw = _read(like) | raw
    usual = str(raw["profile"])
    profiles = (usual, *_other_profiles(like))
    profile = usual if profile is None else profile
    if profile not in profiles:
        near = nearest(profile, list(profiles))
        known = ", ".join(profiles)
        hint = f"did you mean {near}?" if near else f"known are: {known}"
        raise CatalogError(f"{name} has no profile {profile!r}", hint)
    if profile != usual:
        raw |= _read(f"profiles/{like}.{profile}")
    fields = {key: _field(key, value) for key, value in raw["fields"].items()}
    models = {key: _model(key, value, fields) for key, value in raw["models"].items()}
    return Provider(
        name=name,
        profile=profile,
        profiles=profiles,
        title=raw["title"],
        base_url=raw["base_url"],
        also_at=tuple(raw.get("also_at", ())),
        base_url_env=raw["base_url_env"],
        key_env=raw["key_env"],
        dialect=raw["dialect"],
        path=raw["path"],
        link_lifetime_s=raw["link_lifetime_days"] * 86400.0,
        utc_offset_s=raw["utc_offset_hours"] * 3600.0,
        source=raw["source"],
        currency=raw["prices"]["currency"],
        prices_as_of=str(raw["prices"]["as_of"]),
        prices_source=raw["prices"]["source"],
        embedded=raw.get("embedded", False),
        play_money=raw.get("play_money", False),
        fields=fields,
        models=models,
    )


@cache
def _other_profiles(name: str) -> tuple[str, ...]:
    files = resources.files("batchgen.catalog").joinpath("profiles").iterdir()
    own = (file.name.removesuffix(".yaml") for file in files if file.name.startswith(f"{name}."))
    return tuple(sorted(file.removeprefix(f"{name}.") for file in own))


def _read(name: str) -> dict[str, Any]:
    text = resources.files("batchgen.catalog").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _field(name: str, raw: dict[str, Any]) -> Field:
    return Field(
        name=name,
        type=raw["type"],
        about=raw["about"],
        default=raw.get("default"),
        minimum=raw.get("min"),
        maximum=raw.get("max"),
        choices=tuple(raw.get("choices", ())),
    )


def _model(model_id: str, raw: dict[str, Any], fields: Mapping[str, Field]) -> Model:
    own = {name: _field(name, field) for name, field in raw.get("fields", {}).items()}
    days = raw.get("link_lifetime_days")
    return Model(
        id=model_id,
        fields={name: own.get(name) or fields[name] for name in raw["takes"]},
        required=frozenset(raw["requires"]),
        free_images=raw["free_images"],
        price=Decimal(raw["price"]) if "price" in raw else None,
        link_lifetime_s=None if days is None else days * 86400.0,
    )
