"""A recipe as a job asks for the same task, whatever its texts and fields hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.life import record_of
from batchgen.errors import UsageError
from batchgen.spec.expand import expand
from batchgen.spec.load import load_job
from batchgen.spec.recipe import job_of, parse_recipe, recipe_of, words_of
from batchgen.spec.task import Task

FLUX = "black-forest-labs/flux.1-dev"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60).filter(str.strip)


def tasks_of(path: Path, text: str) -> list[Task]:
    path.write_text(text, encoding="utf-8")
    return list(expand(load_job(path, environment={}), night=""))


def again(task: Task, path: Path) -> list[Task]:
    recipe = parse_recipe(recipe_of(record_of(task, dict(task.params)), task.task_id))
    return tasks_of(path, job_of(recipe))


@given(prompt=TEXTS, row=TEXTS, note=st.recursive(TEXTS | st.integers() | st.booleans() | st.none(), st.lists))
def test_any_prompt_and_any_extra_field_is_the_same_task_again(prompt: str, row: str, note: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "job.yaml"
        job = {
            "provider": "sandbox",
            "prompts": [{"prompt": prompt, "literal": True, "extra_params": {"note": note, row: 1}}],
            "models": [{"id": FLUX, "label": "*a {label}"}],
            "params": {"n": 3, "size": "512x512"},
        }
        try:
            (task,) = tasks_of(path, json.dumps(job))
        except UsageError:  # a text that no job takes, such as one that is nothing but invisible
            return
        assert [each.task_id for each in again(task, path)] == [task.task_id]


def test_the_signature_of_a_link_is_left_out_and_said(tmp_path: Path) -> None:
    record = {
        **dict.fromkeys(("provider", "model", "label", "prompt", "prompt_id", "row", "night"), "x"),
        "seed": 1,
        "params": {
            "image": "https://host.example/a.png?Signature=SECRET&Expires=1",
            "images": ["https://h.example/b.png"],
        },
    }
    text = recipe_of(record, "a" * 64)

    assert "SECRET" not in text
    assert "another task, unless you fill them in" in job_of(parse_recipe(text))


def test_words_are_those_that_other_programs_show() -> None:
    record = {
        "prompt": "a lamp",
        "seed": 7,
        "model": "m",
        "params": {"steps": 28, "guidance_scale": 3.5, "size": "1x1"},
    }

    assert words_of(record) == "a lamp\nSteps: 28, CFG scale: 3.5, Size: 1x1, Seed: 7, Model: m, Version: batchgen"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "NaN", "[" * 100_000, '{"schema": "batchgen-recipe/1", "seed": "1", "params": 3}', "\ud800"],
)
def test_what_is_no_recipe_is_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError, match="recipe"):
        parse_recipe(text)
