"""What programs may rely on: the names, their arguments, and that importing them costs nothing."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import batchgen

NAMES = [
    *("BatchgenError", "Exit", "Job", "ManifestRow", "Plan", "Report", "__version__", "events"),
    *("load_job", "manifest", "open_ledger", "plan", "run", "run_async"),
]
RUN = "key environment listeners night only limit max_cost deadline_s retry drop buy gallery"


def test_the_public_names_are_these() -> None:
    assert batchgen.__all__ == NAMES
    assert all(getattr(batchgen, name) is not None for name in NAMES)
    assert {*NAMES} <= {*dir(batchgen)}
    assert not hasattr(batchgen, "no_such_name")


def test_their_arguments_are_these() -> None:
    def arguments(name: str) -> str:
        return " ".join(inspect.signature(getattr(batchgen, name)).parameters)

    assert arguments("load_job") == "path sets environment"
    assert arguments("plan") == "job night only limit"
    assert arguments("run") == arguments("run_async") == f"job {RUN}"
    assert arguments("manifest") == arguments("open_ledger") == "folder"
    assert list(batchgen.Report.__dataclass_fields__) == (
        [
            "exit_code",
            "reason",
            "folder",
            "counts",
            "new_pictures",
            "spent",
            "maybe_billed",
            "currency",
            "next",
            "warnings",
            "data",
        ]
    )


def test_every_public_function_says_what_it_raises() -> None:
    for name in ("load_job", "plan", "run", "run_async", "manifest", "open_ledger"):
        assert "aises" in (inspect.getdoc(getattr(batchgen, name)) or ""), name


def test_the_import_loads_nothing_heavy_and_the_package_says_that_it_is_typed() -> None:
    code = "import batchgen, sys; print(*[name for name in ('aiohttp', 'pydantic', 'rich', 'yaml') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
    assert (Path(batchgen.__file__).parent / "py.typed").is_file()


@pytest.mark.timeout(300)
def test_a_type_checker_knows_the_names(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import batchgen\n"
        "job: batchgen.Job = batchgen.load_job('a.yaml')\n"
        "report = batchgen.run(job, max_cost='1')\n"
        "reveal_type(report.spent)\n"
        "reveal_type([row.seed for row in batchgen.manifest(report.folder)])\n"
        "batchgen.run(job, max_costs=1)\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(program)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"MYPYPATH": str(Path(batchgen.__file__).parents[1]), "PATH": "/usr/bin:/bin"},
        check=False,
    )

    said = done.stdout.replace("builtins.", "").replace("decimal.", "").replace("_decimal.", "")
    assert 'Revealed type is "Decimal"' in said.replace("_Decimal", "Decimal"), said
    assert 'Revealed type is "list[int]"' in said, said
    assert 'Unexpected keyword argument "max_costs"' in said
    assert "Found 1 error in 1 file" in said
