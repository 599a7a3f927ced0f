"""A job as JSON and back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

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
