"""An output folder for the tests of storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.storage.files import ResultFolder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "neon-city"


@pytest.fixture
def folder(path: Path) -> Iterator[ResultFolder]:
    with ResultFolder(path) as opened:
        yield opened
