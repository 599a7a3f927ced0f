"""The JSON Schema of a job file (draft 2020-12), for editors: made from `schema.py` and the catalogue.

It owns how both are written as a schema. It never refuses a job that runs; what no schema can say (that a variable, a file
or a picture exists, that nothing stands twice) is left to `validate`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from batchgen.catalog.catalog import Field, Model, Provider, load_provider, provider_names
from batchgen.spec import matching, names
from batchgen.spec.schema import DEFAULT_PROVIDER, JobFile
from batchgen.spec.syntax import SECRET_KEY
from batchgen.spec.tables import KINDS
from batchgen.spec.unattended import COMMANDS_BEGIN_WITH, SIGNED

FILE_NAME = ".batchgen.schema.json"
"""What the schema is called beside the job files that name it."""
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_BRACE = r"\{"
"""A value with a brace is a template; what it becomes is known when the job is read."""
_TEXT = {"type": "string"}
_NOT_BLANK = {"type": "string", "pattern": r"\S"}
_HTTPS, _HTTP = "[hH][tT][tT][pP][sS]://[^/@?#]+", "[hH][tT][tT][pP]://[^/@?#]+"
_LOCAL = r"[hH][tT][tT][pP]://([lL][oO][cC][aA][lL][hH][oO][sS][tT]|127(\.[0-9]+){3}|\[[0-9a-fA-F:.]+\])(:[0-9]*)?"
_REST = "(/[^?#]*)?$"
_OWN_PLACE = ("prompt", "model", "seed")
_HOW_MANY = ("n", "num_images", "num_outputs", "batch_size", "num_samples", "samples", "count")


def editor_schema() -> dict[str, Any]:
    """The JSON Schema of a job file, complete with the models of the catalogue and the fields that each takes."""
    schema = JobFile.model_json_schema()
    _without_titles(schema)
    parts = schema["$defs"]
    _tighten(schema, parts)
    conditions = []
    for offers in _offers():
        provider = offers[0]
        prefix = "" if provider.profile == provider.profiles[0] else f"{provider.profile}-"
        parts |= {f"{prefix}field-{name}": _any_field(kinds) for name, kinds in _kinds(provider).items()}
        conditions.append({"if": _is_from(offers), "then": _then(provider, prefix)})
    return {
        "$schema": _DRAFT,
        "title": "A batchgen job",
        **{key: value for key, value in schema.items() if key not in {"title", "$defs"}},
        "allOf": conditions,
        "$defs": parts,
    }


def _without_titles(part: Any) -> None:
    """Titles repeat the keys, and the default of what may be left out is said by leaving it out."""
    if isinstance(part, list):
        for item in part:
            _without_titles(item)
    elif isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        if "default" in part and part["default"] in (None, {}, []):
            del part["default"]
        for key, item in part.items():
            if key != "default":
                _without_titles(item)


def _tighten(schema: dict[str, Any], parts: dict[str, Any]) -> None:
    """What is checked after the shape and can be said in a schema, too."""
    top = schema["properties"]
    top["provider"]["oneOf"] = [{"enum": list(provider_names())}, {"$ref": "#/$defs/ProviderItem"}]
    entry = parts["ProviderItem"]["properties"]
    entry["name"] |= {"enum": list(provider_names())}
    profiles = {profile: 0 for name in provider_names() for profile in load_provider(name).profiles}
    entry["profile"]["anyOf"][0] = {"enum": list(profiles)}
    _strings(parts["ProviderItem"]["properties"]["base_url"], f"^$|^{_HTTPS}{_REST}|^{_LOCAL}{_REST}")
    _strings(parts["ProviderItem"]["properties"]["proxy"], f"^$|^{_HTTPS}{_REST}|^{_HTTP}{_REST}")
    _strings(parts["ProviderItem"]["properties"]["api_key_env"], r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    top["prompts"]["items"]["oneOf"][0] = _NOT_BLANK
    parts["PromptItem"] |= _prompt_rules()
    parts["OutputItem"]["properties"]["folder"]["anyOf"][0]["pattern"] = r"^([^{}]|\{night\})*$"
    parts["BudgetItem"]["anyOf"] = [_given("images", {"type": "integer"}), _given("cost", {"type": "number"})]
    parts["NotifyItem"]["allOf"] = list(_notify_rules())
    for name in ("url_env", "secret_env", "command_env"):
        _strings(parts["NotifyItem"]["properties"][name], r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    for holder in (top, parts["PromptItem"]["properties"], parts["ModelItem"]["properties"]):
        words = "|".join(_any_case(word) for word in (*_OWN_PLACE, *_HOW_MANY))
        own = {"not": {"pattern": rf"^\s*({words})\s*$"}}
        holder["extra_params"] |= {"allOf": [{"propertyNames": own}, {"$ref": "#/$defs/without-secrets"}]}
    inside = {"$ref": "#/$defs/without-secrets"}
    parts["without-secrets"] = {
        "propertyNames": {"not": {"pattern": _any_case(SECRET_KEY.pattern)}},
        "additionalProperties": inside,
        "items": inside,
    }
    reserved = "|".join(_any_case(word) for word in dict.fromkeys((*names.NAME_WORDS, *matching.TASK_WORDS, "prompt")))
    top["vars"]["propertyNames"] = {
        "allOf": [
            {"pattern": r"^\s*[^\s{}]+( [^\s{}]+)*\s*$"},
            {"not": {"pattern": rf"^\s*({reserved})\s*$"}},
        ]
    }


def _strings(part: dict[str, Any], pattern: str) -> None:
    part["anyOf"][0]["pattern"] = pattern


def _any_case(word: str) -> str:
    """A pattern for a word in capitals or not: schemas have no flag for it."""
    return "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in word)


def _given(name: str, kind: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": [name], "properties": {name: kind}}


def _prompt_rules() -> dict[str, Any]:
    endings = "|".join(_any_case(kind.removeprefix(".")) for kind in KINDS)
    return {
        "if": _given("file", _TEXT),
        "then": {"properties": {"file": {"pattern": rf"\.({endings})$"}}},
        "else": {**_given("prompt", _NOT_BLANK), "properties": {"prompt": _NOT_BLANK, "encoding": {"type": "null"}}},
    }


def _notify_rules() -> Iterable[dict[str, Any]]:
    """What `unattended.misfits` says of entries that lack something or have too much."""
    nothing = {"type": "null"}
    command = {"properties": {"to": {"const": "command"}}}
    yield {
        "if": command,
        "then": {"properties": {"url_env": nothing, "command_env": {"pattern": f"^({COMMANDS_BEGIN_WITH}|$)"}}},
        "else": {**_given("url_env", _TEXT), "properties": {"url_env": _TEXT, "command_env": nothing}},
    }
    yield {
        "if": {"properties": {"to": {"enum": list(SIGNED)}}},
        "else": {"properties": {"secret_env": nothing}},
    }
    yield {
        "if": {"properties": {"to": {"const": "heartbeat"}}, "required": ["to"]},
        "then": {"properties": {"on": nothing}},
    }


def _offers() -> list[list[Provider]]:
    """The providers of the catalogue in each of their profiles; those with the same models and fields stand together."""
    offers: list[list[Provider]] = []
    for name in sorted(provider_names(), key=lambda name: (name != DEFAULT_PROVIDER, name)):
        for profile in load_provider(name).profiles:
            provider = load_provider(name, profile)
            same = [each for each in offers if (each[0].models, each[0].fields) == (provider.models, provider.fields)]
            if same:
                same[0].append(provider)
            else:
                offers.append([provider])
    return offers


def _is_from(offers: list[Provider]) -> dict[str, Any]:
    """A job's `provider:` is one of these in this profile; left out, it is the usual one."""
    names, usual = [provider.name for provider in offers], offers[0].profile == offers[0].profiles[0]
    profile = [offers[0].profile, *([None] if usual else [])]
    entry = {"type": "object", "properties": {"name": {"enum": names}, "profile": {"enum": profile}}}
    needs = [*([] if DEFAULT_PROVIDER in names else ["name"]), *([] if usual else ["profile"])]
    allowed: list[dict[str, Any]] = [{**entry, "required": needs}]
    if usual:
        allowed.append({"enum": names})
    left_out = usual and DEFAULT_PROVIDER in names
    return {"properties": {"provider": {"anyOf": allowed}}, "required": [] if left_out else ["provider"]}


def _then(provider: Provider, prefix: str) -> dict[str, Any]:
    params = _params(provider, provider.fields, prefix)
    rules = [
        {
            "if": {"properties": {"id": {"const": model.id}}},
            "then": {"properties": {"params": _params(provider, model.fields, prefix)}},
        }
        for model in provider.models.values()
    ]
    ids = [{"const": model.id, "description": _about(provider, model)} for model in provider.models.values()]
    entry = {"type": "object", "properties": {"id": {"anyOf": ids}, "params": params}, "allOf": rules}
    return {
        "properties": {
            "models": {"items": {"anyOf": [*ids, entry]}},
            "params": params,
            "prompts": {"items": {"properties": {"params": params}}},
        }
    }


def _own_fields(fields: Iterable[Field]) -> Iterable[Field]:
    """Those that `params` may hold: the others have a place of their own in a job file."""
    return (field for field in fields if field.name not in _OWN_PLACE)


def _kinds(provider: Provider) -> dict[str, list[Field]]:
    """Every field of a provider's models by name, in each form that it has."""
    kinds = {field.name: [field] for field in _own_fields(provider.fields.values())}
    for model in provider.models.values():
        for field in _own_fields(model.fields.values()):
            if field not in kinds[field.name]:
                kinds[field.name].append(field)
    return kinds


def _any_field(kinds: Sequence[Field]) -> dict[str, Any]:
    if len(kinds) == 1:
        return _field(kinds[0])
    return {"description": kinds[0].about, "anyOf": [_field(field) for field in kinds]}


def _params(provider: Provider, fields: Mapping[str, Field], prefix: str) -> dict[str, Any]:
    kinds = _kinds(provider)
    known = {
        field.name: {"$ref": f"#/$defs/{prefix}field-{field.name}"}
        if fields is provider.fields or len(kinds[field.name]) == 1
        else _field(field)
        for field in _own_fields(fields.values())
    }
    return {"type": "object", "properties": known, "additionalProperties": False}


def _about(provider: Provider, model: Model) -> str:
    price = "price unknown" if model.price is None else f"{provider.currency} {Decimal(model.price):f} a picture"
    needs = ", ".join(field.name for field in _own_fields(model.fields.values()) if field.name in model.required)
    takes = ", ".join(field.name for field in _own_fields(model.fields.values()) if field.name not in model.required)
    return f"{price}; {f'needs {needs}; ' if needs else ''}takes {takes}."


def _field(field: Field) -> dict[str, Any]:
    """A request field: its values, or a template that becomes one."""
    about = field.about if field.default is None else f"{field.about} The default is {field.default}."
    if field.type == "pictures":
        return {"description": about, "anyOf": [_NOT_BLANK, {"type": "array", "items": _NOT_BLANK, "minItems": 1}]}
    if field.type == "picture":
        return {"description": about, **_NOT_BLANK}
    if field.type == "string" and not field.choices:
        return {"description": about, **_TEXT}
    template = {"type": "string", "pattern": _BRACE}
    if field.choices:
        return {"description": about, "anyOf": [{"enum": list(field.choices)}, template]}
    if field.type == "size":
        side = f"0*({_between(int(field.minimum or 0), int(field.maximum or 999_999))})"
        return {
            "description": about,
            "anyOf": [{"type": "string", "pattern": rf"^\s*{side}[xX]{side}\s*$"}, template],
        }
    if field.type == "bool":
        return {"description": about, "anyOf": [{"type": "boolean"}, template]}
    number: dict[str, Any] = {"type": "integer" if field.type == "int" else "number"}
    number |= {"minimum": field.minimum} if field.minimum is not None else {}
    number |= {"maximum": field.maximum} if field.maximum is not None else {}
    return {"description": about, "anyOf": [number, template]}


def _between(low: int, high: int) -> str:
    """A pattern for the whole numbers from `low` to `high`, without leading zeros."""
    lengths = range(len(str(low)), len(str(high)) + 1)
    firsts = [max(low, 10 ** (length - 1)) if length > 1 else low for length in lengths]
    lasts = [min(high, 10**length - 1) for length in lengths]
    return "|".join(_digits(str(first), str(last)) for first, last in zip(firsts, lasts, strict=True))


def _digits(first: str, last: str) -> str:
    """The same for two numbers of one length."""
    rest = len(first) - 1
    if set(first) == {"0"} and set(last) == {"9"}:
        return "[0-9]" * len(first)
    if not rest:
        return f"[{first}-{last}]"
    if first[0] == last[0]:
        return f"{first[0]}({_digits(first[1:], last[1:])})"
    parts = [f"{first[0]}({_digits(first[1:], '9' * rest)})", f"{last[0]}({_digits('0' * rest, last[1:])})"]
    if int(last[0]) - int(first[0]) > 1:
        parts.append(f"[{int(first[0]) + 1}-{int(last[0]) - 1}]" + "[0-9]" * rest)
    return "|".join(parts)
