"""The schema that editors complete from: whole, true to the catalogue, and of one mind with `validate`."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from batchgen.catalog.catalog import load_provider
from batchgen.errors import JobError
from batchgen.spec.editor import editor_schema
from batchgen.spec.load import load_job
from batchgen.spec.yaml_reader import read_yaml

from .conftest import PNG, hold_against_the_schema, refused_in_an_editor

JOBS = Path(__file__).parents[2] / "jobs"
FLUX = "black-forest-labs/flux.1-dev"


def test_it_is_a_schema_and_every_key_and_field_in_it_is_described() -> None:
    schema = editor_schema()
    Draft202012Validator.check_schema(schema)

    parts = [schema, *(part for name, part in schema["$defs"].items() if name.endswith("Item"))]
    assert all(part["additionalProperties"] is False for part in parts)
    described = [entry for part in parts for entry in part["properties"].values()]
    described += [part for name, part in schema["$defs"].items() if "field-" in name]
    assert all(entry["description"].endswith(".") for entry in described)


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(path: Path) -> None:
    assert refused_in_an_editor(path) == []


def test_every_model_is_offered_with_its_price_and_what_it_takes() -> None:
    provider = load_provider("modelverse")
    entries = editor_schema()["allOf"][0]["then"]["properties"]["models"]["items"]["anyOf"]

    offered = {entry["const"]: entry["description"] for entry in entries if "const" in entry}

    assert list(offered) == list(provider.models)
    assert offered["black-forest-labs/flux-kontext-pro"] == ("CNY 0.35 a picture; needs image; takes guidance_scale.")


@pytest.mark.parametrize("side", [0, 255, 256, 257, 999, 1000, 1499, 1500, 1536, 1537, 15360])
def test_sizes_are_bounded_as_the_catalogue_says(side: int) -> None:
    job = {"prompts": ["a"], "models": [FLUX], "params": {"size": f"{side}x512"}}

    assert Draft202012Validator(editor_schema()).is_valid(job) == (256 <= side <= 1536)


@pytest.mark.parametrize("name", sorted(load_provider("modelverse").models))
def test_a_field_that_a_model_does_not_take_is_refused_in_its_entry_and_its_own_are_not(name: str) -> None:
    provider = load_provider("modelverse")
    model = provider.models[name]
    judge = Draft202012Validator(editor_schema())
    good = {"image": "a.png", "images": ["a.png"], "strength": 0.5, "guidance_scale": 2, "steps": 20, "n": 2}
    good |= {"size": "512x512", "aspect_ratio": "1:1", "response_format": "url", "negative_prompt": "x"}

    for field in provider.fields.keys() - {"prompt", "seed"}:
        job = {"prompts": ["a"], "models": [{"id": name, "params": {field: good[field]}}]}
        assert judge.is_valid(job) == (field in model.fields), field


def test_each_profile_has_its_models_and_fields() -> None:
    judge = Draft202012Validator(editor_schema())

    def fits(provider: object, model: str, **params: object) -> bool:
        return judge.is_valid({"provider": provider, "prompts": ["a"], "models": [{"id": model, "params": params}]})

    for name in ("modelverse", "sandbox"):
        later, usual = {"name": name, "profile": "docs-2026-05"}, {"name": name, "profile": "page-2025-06"}
        assert fits(later, "Qwen/Qwen-Image", size="1664x928")
        assert fits(later, FLUX, negative_prompt="fog", steps=50)
        assert not fits(later, FLUX, steps=51)
        assert fits(usual, FLUX, steps=51)
        for provider in (usual, name, {"name": name}):
            assert not fits(provider, "Qwen/Qwen-Image")
            assert not fits(provider, FLUX, negative_prompt="fog")
    assert not fits({"name": "modelverse", "profile": "docs"}, FLUX)
    assert fits({"name": "modelverse", "profile": "docs-2026-05"}, "doubao-seedream-4.5", watermark=False)
    assert not fits({"name": "modelverse", "profile": "docs-2026-05"}, "doubao-seedream-4.5", watermark="no")


def test_an_address_with_a_password_or_over_plain_http_is_refused() -> None:
    judge = Draft202012Validator(editor_schema())

    def fits(url: str, key: str = "base_url") -> bool:
        return judge.is_valid({"prompts": ["a"], "models": [FLUX], "provider": {key: url}})

    good = [
        "https://example.org/v1",
        "HTTPS://example.org",
        "http://localhost:80/v1",
        "http://127.0.0.1:1",
        "http://[::1]/",
    ]
    assert [url for url in good if not fits(url)] == []
    bad = ["example.org", "ftp://x", "http://example.org", "https://u:p@example.org", "https://x/?a=1", "https://x/#a"]
    assert [url for url in bad if fits(url)] == []
    assert fits("http://example.org:3128", "proxy")


WHOLE: dict[str, Any] = {
    "name": "whole",
    "provider": {
        "name": "modelverse",
        "profile": "page-2025-06",
        "base_url": "https://example.org/v1",
        "api_key_env": "KEY",
        "proxy": None,
    },
    "prompts": [
        "a {style} city",
        {"id": "x", "prompt": "b", "params": {"steps": 20}, "model": "*flux*", "seed": [1, 2], "literal": False},
        {"file": "p.csv", "encoding": "utf-8", "extra_params": {"odd": {"deep": [1]}}},
    ],
    "vars": {"style": {"ink": "black ink", "oil": "oil"}, "time": ["dawn", 7]},
    "models": [FLUX, {"id": FLUX, "label": "two", "params": {"size": "512x512"}, "limits": {"concurrency": 2}}],
    "seeds": {"count": 2, "renew": "daily"},
    "params": {"guidance_scale": 3.5, "n": 2, "response_format": "url", "image": "x.png"},
    "exclude": [{"style": "oil"}],
    "budget": [{"images": 5, "per": "day"}, {"cost": 1.5}],
    "on_unknown": "hold",
    "limits": {"requests_per_minute": 60, "timeout": "90s", "give_up_after": 600},
    "output": {"folder": "out/{night}", "name": "{id}", "ascii": True, "gallery": False, "embed": True},
    "canary": 2,
    "deadline": "06:30",
    "log": {"format": "json", "keep": 3, "days": 5},
    "notify": [
        {"to": "slack", "url_env": "URL", "on": ["failure"]},
        {"to": "command", "command_env": "BATCHGEN_NOTIFY_X"},
        {"to": "heartbeat", "url_env": "URL"},
        {"to": "feishu", "url_env": "URL", "secret_env": "S"},
    ],
}


def places(value: Any, loc: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands, every key and every entry."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*loc, key)
        if isinstance(item, dict | list):
            yield from places(item, (*loc, key))


ODD = [
    *(None, True, 0, -1, 3, 2.5, 1e12, "", " ", "text", "1h 30m", "0s", "1..4", "{style}", "512x512", "url", "life"),
    *([], {}, [1], ["x"], {"count": 2}, {"name": "sandbox"}, {"images": 1}, "modelverse", FLUX, "slack", "command"),
]


@pytest.mark.parametrize("place", list(places(WHOLE)), ids=lambda place: ".".join(map(str, place)))
def test_whatever_is_changed_in_a_job_both_judge_it_alike(place: tuple[Any, ...], tmp_path: Path) -> None:
    for value in ODD:
        job, holder = changed(place)
        holder[place[-1]] = value
        judged_alike(job, tmp_path)
    job, holder = changed(place)
    del holder[place[-1]]
    judged_alike(job, tmp_path)
    job, holder = changed(place)
    if isinstance(holder, dict):
        holder["unheard_of"] = 1
        judged_alike(job, tmp_path)


def changed(place: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """The whole job once more, and what in it holds that place."""
    job = copy.deepcopy(WHOLE)
    holder: Any = job
    for key in place[:-1]:
        holder = holder[key]
    return job, holder


def judged_alike(job: dict[str, Any], folder: Path) -> None:
    (folder / "p.csv").write_text("prompt,time\na cat,dawn\n")
    (folder / "x.png").write_bytes(PNG)
    path = folder / "job.yaml"
    path.write_text(json.dumps(job), encoding="utf-8")
    assert read_yaml(path.read_bytes(), str(path)).value == job
    try:
        load_job(path, environment={})
    except JobError as error:
        hold_against_the_schema(path, error.problems)
    else:
        hold_against_the_schema(path, ())


def test_the_job_that_is_changed_is_good_to_begin_with(tmp_path: Path) -> None:
    judged_alike(WHOLE, tmp_path)
    assert refused_in_an_editor(tmp_path / "job.yaml") == []
    load_job(tmp_path / "job.yaml", environment={})


def test_seeds_with_an_unknown_key_are_refused(complaints: Callable[..., str]) -> None:
    assert "there is no `cuont`" in complaints("prompts: [a]\nseeds: {cuont: 4}")
