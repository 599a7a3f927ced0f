"""The built wheel alone, with what it needs and nothing else, under every supported Python that is there."""

import email
import fnmatch
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import batchgen

ROOT = Path(__file__).parents[1]
BARE = ROOT / "build" / "bare"
PYTHONS = sorted(path.parent.parent for path in BARE.glob("3.*/bin/python"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_there_is_a_bare_environment_to_try_it_in() -> None:
    assert PYTHONS, "`make test` makes them: python .ci/bare.py build/bare"


def test_the_wheel_says_what_the_project_says_and_holds_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = email.message_from_bytes(archive.read(next(name for name in names if name.endswith("/METADATA"))))

    assert {name.partition("/")[0] for name in names} == {"batchgen", f"batchgen-{batchgen.__version__}.dist-info"}
    assert {"batchgen/py.typed", "batchgen/catalog/modelverse.yaml"} <= {*names}
    assert about["Version"] == batchgen.__version__
    assert about["Requires-Python"] == PROJECT["requires-python"]
    assert set(about.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])


def run(*words: object, folder: Path, code: int = 0) -> str:
    """A command in a bare environment, all that it said."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} if "pip" in words else {"PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("home", PYTHONS, ids=lambda path: path.name)
def test_it_works_without_extras_and_tools_of_developers(home: Path, wheel: Path, tmp_path: Path) -> None:
    python, command = home / "bin" / "python", home / "bin" / "batchgen"
    run(python, "-m", "pip", "install", "-qq", "--no-index", "--no-deps", "--force-reinstall", wheel, folder=tmp_path)
    run(python, "-m", "pip", "check", folder=tmp_path)
    listed = run(python, "-m", "pip", "list", "--format=freeze", folder=tmp_path)
    installed = {canonicalize_name(line.partition("==")[0]) for line in listed.splitlines()}
    pins = re.findall(r"^[A-Za-z][^\\\n]*", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    assert installed - {"pip", "setuptools"} <= {canonicalize_name(Requirement(pin).name) for pin in pins} | {
        "batchgen"
    }

    assert run(command, "--version", folder=tmp_path).split()[-1] == batchgen.__version__
    run(command, "init", folder=tmp_path)
    run(command, "validate", "jobs/first.yaml", folder=tmp_path)
    assert run(command, "run", "jobs/first.yaml", "--quiet", folder=tmp_path) == ""
    assert "4 as they should be" in run(command, "verify", "jobs/first.yaml", folder=tmp_path)
    assert (tmp_path / "outputs/first/gallery/index.html").is_file()
    run(command, "export", "outputs/first", "--format", "sheet", "--output", "sheet", folder=tmp_path)
    told = run(command, "export", "outputs/first", "--format", "parquet", "--output", "p", folder=tmp_path, code=2)
    assert "batchgen[parquet]" in told
    assert run(python, "-m", "batchgen", "--help", folder=tmp_path) == run(command, "--help", folder=tmp_path)


def test_version_changelog_and_pages_agree() -> None:
    version = re.escape(batchgen.__version__)
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    said = {
        f"{path.name}: {found}"
        for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
        for found in re.findall(r"batchgen[ =]+v?(\d+\.\d+\.\d+\S*)", path.read_text(encoding="utf-8"))
        if not re.match(version, found)
    }

    assert re.findall(r"^## \[([^\]]+)\]", log, re.MULTILINE)[0] in {batchgen.__version__, "Unreleased"}
    assert said == set()


def test_every_supported_python_is_named_and_tried() -> None:
    named = {found for line in PROJECT["classifiers"] for found in re.findall(r":: 3\.(\d+)$", line)}
    tried = re.search(r"^MINORS = \((.*)\)", (ROOT / ".ci" / "bare.py").read_text(), re.MULTILINE)

    assert tried
    assert {*tried[1].split(", ")} == named


def test_the_container_file_copies_what_is_there_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    copied = [source for line in words if line[0] == "COPY" for source in line[1:-1]]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [
        source for source in copied if not any(fnmatch.fnmatch(source.split("/")[0], each) for each in allowed)
    ] == []
    assert words[0][0] == "FROM"
    assert "." not in words[0][1].partition("/")[0].partition(":")[0], "no registry's host stands in a file"
    assert words[0][1].partition(":")[2].startswith(max(PYTHON_NAMES, key=int_minor))
    assert next(line[1] for line in words if line[0] == "USER").partition(":")[0] not in {"0", "root"}
    assert lines[-2] == f'ENTRYPOINT ["{next(iter(PROJECT["scripts"]))}"]'


PYTHON_NAMES = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]


def int_minor(name: str) -> int:
    return int(name.partition(".")[2])
