"""A folder to write jobs into, and the two things that can come of one: a job, or what is said about it.

Whatever is read here is held against the editors' schema too: what one refuses, the other refuses.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from batchgen.errors import JobError, Problem
from batchgen.spec.editor import editor_schema
from batchgen.spec.job import Job
from batchgen.spec.load import load_job
from batchgen.spec.yaml_reader import read_yaml

PNG = b"\x89PNG\r\n\x1a\n"
"""How a picture begins: enough for what is hashed and never looked at."""
MODELS = "models: [black-forest-labs/flux.1-dev]\n"
EDITOR = Draft202012Validator(editor_schema())
BEYOND_A_SCHEMA = frozenset(
    {
        *("brace", "unknown variable", "unknown column", "exclude", "file name"),  # what words refer to
        *("label that stands twice", "id that stands twice", "missing field"),  # what stands elsewhere in the job
        *("missing picture", "hidden picture", "prompt file", "empty cell", "encoding", "unreadable file"),  # files
        *("text cut by #", "prompt cut by #", "prompt without quotes"),  # how the YAML is written
        *("untaken field", "model pattern", "proxy"),  # what models of the job, or other keys, have to do with it
        *("filled-in value", "emptied prompt", "short name", "picture"),  # what comes of a text
        *("unsendable", "unseen characters", "address"),  # numbers and letters that a schema has no words for
        *("many values", "long value", "long prompt", "prompt that is too long", "too many patterns"),
        *("too many seeds", "too many tasks", "too much"),
    }
)


def refused_in_an_editor(path: Path) -> list[str]:
    """What the schema says against the file."""
    return [error.message for error in EDITOR.iter_errors(read_yaml(path.read_bytes(), str(path)).value)]


def hold_against_the_schema(path: Path, problems: Sequence[Problem]) -> None:
    """Fail where a schema could know of one of the problems and does not, or refuses what has none."""
    known = [problem for problem in problems if problem.file == str(path) and problem.kind not in BEYOND_A_SCHEMA]
    refused = refused_in_an_editor(path)
    assert bool(refused) >= bool(known), f"an editor would not refuse {known}"
    assert bool(problems) >= bool(refused), f"an editor refuses a job that runs: {refused}"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Job]:
    """Write a job (with one model, unless it names some) and the files beside it, and load it."""

    def load(
        text: str,
        files: Mapping[str, str | bytes] | None = None,
        *,
        sets: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        name: str = "job.yaml",
    ) -> Job:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((text if "models:" in text else text + "\n" + MODELS).encode())
        for file, content in (files or {}).items():
            target = path.parent / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            job = load_job(path, environment=environment or {}, sets=sets)
        except JobError as error:
            hold_against_the_schema(path, error.problems)
            raise
        hold_against_the_schema(path, ())
        return job

    return load


@pytest.fixture
def complaints(read: Callable[..., Job], tmp_path: Path) -> Callable[..., str]:
    """What is said about a job that is wrong, without the folder it lies in."""

    def load(*args: object, **kwargs: object) -> str:
        with pytest.raises(JobError) as caught:
            read(*args, **kwargs)
        return caught.value.message.replace(f"{tmp_path}/", "")

    return load
