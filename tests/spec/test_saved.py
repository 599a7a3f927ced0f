"""A job as JSON and back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import JobError
from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.load import job_from_json, job_to_json

from .conftest import PNG

TEXT = """\
prompts:
  - {file: p.csv, prompt: "a {animal}, {style}", params: {image: "in/{animal}.png"}}
  - {prompt: "b {{x}}", seed: [1, 2], model: ["*dev*"], literal: true, extra_params: {k: [1, {z: 2}]}}
  - {prompt: c, seed: {count: 2, renew: weekly}}
vars: {style: {ink: black ink, oil: thick oil}}
models:
  - {id: black-forest-labs/flux.1-dev, params: {strength: 0.5, size: 512x512}, limits: {concurrency: 2, timeout: 9s}}
  - black-forest-labs/flux-kontext-pro/text-to-image
seeds: {count: 2, renew: daily}
params: {guidance_scale: 3}
exclude: [{model: "*kontext*", style: oil}]
budget: [{cost: 0.10, per: day}, {images: 9}]
limits: {requests_per_minute: 30, give_up_after: 1h}
provider: {name: modelverse, base_url: "http://127.0.0.1:9/v1/", api_key_env: MY_KEY}
output: {ascii: true}
canary: 2
deadline: 06:30
log: {format: json, keep: 3}
notify: [{to: feishu, url_env: HOOK, secret_env: SECRET, on: [change, start]}, {to: heartbeat, url_env: BEAT}, {to: command}]
"""


def test_a_job_comes_back_equal_and_makes_the_same_tasks_when_its_files_are_gone(
    read: Callable[..., Job], tmp_path: Path
) -> None:
    job = read(
        TEXT, {"p.csv": "animal\nfox\nowl\n", "in/fox.png": PNG + b"fox", "in/owl.png": PNG + b"owl"}, sets=["n=2"]
    )
    before = list(expand(job, night="2026-03-24"))
    text = json.dumps(job_to_json(job), allow_nan=False)
    shutil.rmtree(tmp_path / "in")
    (tmp_path / "p.csv").unlink()
    (tmp_path / "job.yaml").unlink()
    back = job_from_json(json.loads(text))

    assert back == job
    assert list(expand(back, night="2026-03-24")) == before
    assert len(before) > 10


def test_writing_a_job_down_again_gives_the_same_text(read: Callable[..., Job]) -> None:
    data = job_to_json(read("prompts: [a]"))

    assert job_to_json(job_from_json(json.loads(json.dumps(data)))) == data


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def told(**change: Any) -> dict[str, Any]:
    return {"to": "slack", "url_env": "HOOK", "secret_env": None, "command_env": None, "on": ["failure"]} | change


PRODUCT = {f"v{number}": {str(value): str(value) for value in range(100)} for number in range(8)}
ALL_OF_THEM = " ".join(f"{{{name}}}" for name in PRODUCT)
KONTEXT = "black-forest-labs/flux-kontext-pro"
ODD: dict[str, dict[str, Any]] = {
    "a number for a prompt": {"rows": [{"prompt": 5}]},
    "a list for a prompt": {"rows": [{"prompt": ["a"]}]},
    "columns": {"rows": [{"columns": {"a": 5}}]},
    "variables": {"variables": {"a": ["b"]}},
    "tasks": {"variables": PRODUCT, "rows": [{"prompt": ALL_OF_THEM}]},
    "seeds": {"seeds": {"count": 10**12}},
    "a seed": {"seeds": {"fixed": [10**400]}},
    "no such renewal": {"seeds": {"renew": "hourly"}},
    "rules": {"exclude": [{"row": "1"}] * 5000},
    "depth": {"extra_params": {"a": deep(500)}},
    "concurrency": {"limits": {"concurrency": 10**9}},
    "a wait": {"limits": {"timeout_s": 1e300}},
    "an endless wait": {"limits": {"give_up_after_s": float("inf")}},
    "money": {"budgets": [{"images": None, "cost": "1e999999", "per": "life"}]},
    "no money": {"budgets": [{"images": None, "cost": "NaN", "per": "life"}]},
    "a period": {"budgets": [{"images": 1, "cost": None, "per": "minute"}]},
    "a brace": {"rows": [{"prompt": "{nothing}"}]},
    "a field": {"models": [{"params": {"size": [5]}}]},
    "a device": {"models": [{"model": KONTEXT, "params": {"image": "/dev/zero"}}]},
    "a file name": {"output": {"name": 5}},
    "no rows": {"rows": []},
    "a service": {"notify": [told(to="carrier pigeon")]},
    "an address": {"notify": [told(url_env="https://x.example/")]},
    "a command": {"notify": [told(to="command", url_env=None, command_env="PATH")]},
    "an event": {"notify": [told(on=["midnight"])]},
    "a crowd": {"notify": [told()] * 21},
}


def mixed(value: Any, change: Any) -> Any:
    """`value` with what `change` says differently, however deep."""
    if isinstance(change, dict) and isinstance(value, dict):
        return value | {key: mixed(value.get(key), item) for key, item in change.items()}
    if isinstance(change, list) and isinstance(value, list) and len(change) == len(value) == 1:
        return [mixed(value[0], change[0])]
    return change


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_what_no_job_file_could_say_is_no_saved_job(read: Callable[..., Job], change: dict[str, Any]) -> None:
    """A folder may come from a stranger, and its job is run as any other."""
    data = job_to_json(read("prompts: [a]"))

    job_from_json(data)
    with pytest.raises((JobError, ValueError)):
        job_from_json(mixed(data, change))


def test_a_job_of_an_earlier_version_comes_back_without_what_it_did_not_know(read: Callable[..., Job]) -> None:
    data = job_to_json(read("prompts: [a]"))
    del data["output"]["gallery"]
    del data["output"]["embed"]

    assert job_from_json(data).output.gallery
