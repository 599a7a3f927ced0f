"""A folder to write jobs into, and the two things that can come of one: a job, or what is said about it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from batchgen.errors import JobError
from batchgen.spec.job import Job
from batchgen.spec.load import load_job

PNG = b"\x89PNG\r\n\x1a\n"
"""How a picture begins: enough for what is hashed and never looked at."""
MODELS = "models: [black-forest-labs/flux.1-dev]\n"


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
        return load_job(path, environment=environment or {}, sets=sets)

    return load


@pytest.fixture
def complaints(read: Callable[..., Job], tmp_path: Path) -> Callable[..., str]:
    """What is said about a job that is wrong, without the folder it lies in."""

    def load(*args: object, **kwargs: object) -> str:
        with pytest.raises(JobError) as caught:
            read(*args, **kwargs)
        return caught.value.message.replace(f"{tmp_path}/", "")

    return load
