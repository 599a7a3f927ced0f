"""The tutorial, typed as it stands: its files are written, its commands are run, in its order."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import KEY, Server, bare_environment, manifest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.mark.timeout(300)
def test_every_step_of_the_tutorial_works(sandbox: Server, tmp_path: Path) -> None:
    environment = bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url)
    (tmp_path / "jobs").mkdir()
    typed = 0
    for info, body in re.findall(
        r"^```([^\n]*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        if info == "text":
            (tmp_path / "call.txt").write_text(body)
        elif info.startswith("csv"):
            (tmp_path / "jobs" / info.split()[1]).write_text(body)
        elif info == "yaml":
            (tmp_path / body.splitlines()[0].removeprefix("# ")).write_text(body, encoding="utf-8")
        for line in body.splitlines() if info == "sh" else ():
            words = shlex.split(line.partition("   ")[0])
            if words[0] == "export":
                continue
            program = [sys.executable, "-m", "batchgen"] if words[0] == "batchgen" else [words[0]]
            done = subprocess.run(
                [*program, *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (line, done)
            typed += words[0] == "batchgen"

    assert typed >= 15
    assert len(manifest(tmp_path / "outputs" / "harbour")) == 32 + 1
    assert len(manifest(tmp_path / "outputs" / "real")) == 1
    assert len(manifest(tmp_path / "outputs" / "nightly")) == 1
    assert sandbox.bill()["requests"] == 2
    assert (tmp_path / "sheets" / "sheet-01.png").is_file()
    assert len((tmp_path / "jobs" / "animals.yaml").read_text().splitlines()) > 10
