"""The room stays light: what a job says can be read without the network, pictures or the terminal."""

import subprocess
import sys
from pathlib import Path

import batchgen.spec

MODULES = sorted(path.stem for path in Path(batchgen.spec.__file__).parent.glob("*.py") if path.stem != "__init__")


def loaded_by(*names: str) -> set[str]:
    lines = [f"import batchgen.spec.{name}" for name in names] + ["import sys", "print('\\n'.join(sys.modules))"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_reading_a_job_needs_neither_network_nor_pictures_nor_terminal() -> None:
    assert not loaded_by(*MODULES) & {"aiohttp", "PIL", "rich.progress", "asyncio"}


def test_working_from_the_ledger_needs_no_yaml_schema() -> None:
    assert "pydantic" not in loaded_by("saved", "expand", "plan", "seeds", "task")
