"""What gets installed is what was pinned, is little, and is listed."""

import ast
import base64
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FILES = {path.name: path for path in sorted((ROOT / "requirements").glob("*.txt"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
PERMISSIVE = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-CMU", "PSF-2.0"}
MOST_DIRECT, MOST_IN_ALL = 10, 25

AUDIT_TOOLS = ROOT / "build" / "audit" / "bin" / "python"
with_audit_tools = pytest.mark.skipif(not AUDIT_TOOLS.exists(), reason="`make audit` installs what this asks")


def all_pins(name: str) -> list[Requirement]:
    lines = re.findall(r"^[A-Za-z0-9].*?(?= \\$)", FILES[name].read_text(), re.MULTILINE)
    return list(map(Requirement, lines))


def pins(name: str) -> dict[str, Requirement]:
    """By name; of two for different Pythons the one for this."""
    return {canonicalize_name(wanted.name): wanted for wanted in sorted(all_pins(name), key=here)}


def pin(wanted: Requirement) -> str:
    return f"{canonicalize_name(wanted.name)}{wanted.specifier}"


def here(wanted: Requirement) -> bool:
    return wanted.marker is None or wanted.marker.evaluate({"extra": ""})


def direct() -> list[Requirement]:
    return [Requirement(each) for each in PROJECT["project"]["dependencies"]]


def test_every_group_of_dependencies_has_its_file() -> None:
    assert set(FILES) == {"run.txt", "dev.txt", "build.txt", "audit.txt", "uv.txt"}


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_and_hashed_and_nothing_else_stands_in_the_file(name: str) -> None:
    text = FILES[name].read_text()
    package = r"[a-z0-9._-]+==[^\s;\\*]+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"

    assert re.fullmatch(f"(?:{package})+", text)
    assert "://" not in text


def test_one_package_has_one_version_in_all_files() -> None:
    versions: dict[str, set[str]] = {}
    for name in FILES:
        for package, wanted in pins(name).items():
            versions.setdefault(package, set()).add(str(wanted.specifier))

    assert {package: each for package, each in versions.items() if len(each) > 1} == {}


def test_what_runs_is_what_is_tested() -> None:
    dev = pins("dev.txt")

    assert {name: str(wanted) for name, wanted in pins("run.txt").items()} == {
        name: str(dev[name]) for name in pins("run.txt")
    }


def test_run_requirements_are_what_the_project_needs_and_no_more() -> None:
    found: set[str] = set()
    ahead = direct()
    while ahead:
        wanted = ahead.pop()
        name = canonicalize_name(wanted.name)
        if here(wanted) and name not in found:
            found.add(name)
            ahead += [Requirement(each) for each in importlib.metadata.requires(name) or []]

    assert found == {name for name, wanted in pins("run.txt").items() if here(wanted)}


def test_dependencies_stay_few() -> None:
    assert len(direct()) <= MOST_DIRECT
    assert len(pins("run.txt")) <= MOST_IN_ALL


def test_pins_are_within_what_the_project_asks_for() -> None:
    run = pins("run.txt")
    outside = [
        str(each)
        for each in direct()
        if not each.specifier.contains(str(run[canonicalize_name(each.name)].specifier)[2:])
    ]

    assert outside == []


def test_the_code_imports_only_what_the_project_names() -> None:
    owners = importlib.metadata.packages_distributions()
    project = PROJECT["project"]
    named = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    allowed = {canonicalize_name(Requirement(each).name) for each in named}
    foreign = set()
    for path in (ROOT / "batchgen").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            foreign |= {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"batchgen"}

    assert {
        name for name in foreign if not allowed & {canonicalize_name(each) for each in owners.get(name, ())}
    } == set()


def test_the_build_backend_is_pinned_too() -> None:
    build = pins("build.txt")
    backend = [Requirement(each) for each in PROJECT["build-system"]["requires"]]

    assert all(each.specifier.contains(str(build[each.name].specifier)[2:]) for each in backend)
    assert "--no-index --no-deps --no-build-isolation --editable ." in MAKEFILE


def pinned_options() -> list[str]:
    """The options that the Makefile gives pip, read out of it."""
    (pip,) = re.findall(r"^PIP := -m pip install (.+)$", MAKEFILE, re.MULTILINE)
    (pinned,) = re.findall(r"^PINNED := \$\(PIP\) ([^#\n]+)", MAKEFILE, re.MULTILINE)
    return f"{pip} {pinned}".split()


def test_nothing_is_installed_but_by_hash() -> None:
    installs = [
        line.strip()
        for line in MAKEFILE.splitlines()
        if line.startswith("\t") and "$(P" in line and "/python $(P" in line
    ]

    assert len(installs) >= 5
    assert [line for line in installs if "$(PINNED) -r" not in line and "--no-index --no-deps" not in line] == []
    assert "pip install" not in MAKEFILE.replace("PIP := -m pip install", "", 1)
    assert not re.search(r"\bpip", (ROOT / ".ci" / "run").read_text().replace("pipefail", ""))
    assert "--require-hashes" in pinned_options()


def wheel_in(folder: Path) -> str:
    """A package of one file; its SHA-256."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    files = {
        "tiny.py": "",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, "tiny-1.0.dist-info/RECORD": record}.items():
            wheel.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(folder: Path, line: str) -> bool:
    wanted = folder / "wanted.txt"
    wanted.write_text(line + "\n")
    there = ["--no-index", "--find-links", str(folder), "--target", str(folder / "installed")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [sys.executable, "-m", "pip", "install", *pinned_options(), *there, "-r", str(wanted)]
    done = subprocess.run(command, capture_output=True, env={**clean, "PIP_CONFIG_FILE": os.devnull}, check=False)
    return done.returncode == 0 and (folder / "installed" / "tiny.py").exists()


def test_a_file_that_is_not_the_pinned_one_is_not_installed(tmp_path: Path) -> None:
    digest = wheel_in(tmp_path)
    tampered = ("1" if digest[0] == "0" else "0") + digest[1:]

    assert not install(tmp_path, f"tiny==1.0 --hash=sha256:{tampered}")
    assert not install(tmp_path, "tiny==1.0")
    assert install(tmp_path, f"tiny==1.0 --hash=sha256:{digest}")


def test_no_code_of_a_package_runs_while_it_is_installed(tmp_path: Path) -> None:
    source = tmp_path / "tiny-1.0.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("tiny-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0/own.py", f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
        archive.writestr(
            "tiny-1.0/pyproject.toml", '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
        )

    assert not install(tmp_path, f"tiny==1.0 --hash=sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}")
    assert not (tmp_path / "ran").exists()


def test_ci_lists_and_audits_what_it_installs() -> None:
    steps = (ROOT / ".ci" / "run").read_text()

    assert re.search(r"^make sbom audit\nmake test$", steps, re.MULTILINE)
    assert subprocess.run(["git", "check-ignore", "-q", "build/sbom.cdx.json"], cwd=ROOT, check=False).returncode == 0


def bill(folder: Path) -> dict[str, Any]:
    path = folder / "sbom.json"
    command = [sys.executable, str(ROOT / ".ci" / "sbom.py"), "write", str(path)]
    subprocess.run(command, capture_output=True, check=True)
    return dict(json.loads(path.read_text()))


def sbom() -> Any:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / ".ci" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bill_lists_every_package_with_the_hashes_that_are_pinned(tmp_path: Path) -> None:
    listed = bill(tmp_path)["components"]
    text = FILES["run.txt"].read_text()

    assert {f"{each['name']}=={each['version']}" for each in listed} == {
        pin(wanted) for wanted in pins("run.txt").values() if here(wanted)
    }
    for each in listed:
        (files,) = each["externalReferences"]
        block = text.split(f"{each['name']}=={each['version']}")[1].split("\n\n")[0]
        assert files["hashes"]
        assert all(f"sha256:{one['content']}" in block for one in files["hashes"])
    assert sum(len(each["externalReferences"][0]["hashes"]) for each in listed) == text.count("--hash=")


def test_the_bill_draws_the_whole_graph(tmp_path: Path) -> None:
    written = bill(tmp_path)
    graph = {each["ref"]: each["dependsOn"] for each in written["dependencies"]}
    root = written["metadata"]["component"]["bom-ref"]
    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    reached, ahead = set(), [root]
    while ahead:
        ref = ahead.pop()
        reached.add(ref)
        ahead += [each for each in graph[ref] if each not in reached]

    assert reached == {root, *(each["bom-ref"] for each in written["components"])}
    assert len(graph[root]) == len(direct())


def test_the_same_requirements_give_the_same_bill(tmp_path: Path) -> None:
    bill(tmp_path)
    first = (tmp_path / "sbom.json").read_bytes()
    bill(tmp_path)

    assert (tmp_path / "sbom.json").read_bytes() == first
    assert str(ROOT).encode() not in first


def test_all_that_is_needed_to_run_has_a_permissive_licence(tmp_path: Path) -> None:
    licences = {each["name"]: each["licenses"][0]["expression"] for each in bill(tmp_path)["components"]}

    assert {name: each for name, each in licences.items() if not set(re.split(r" AND | OR ", each)) <= PERMISSIVE} == {}


def test_a_package_that_is_not_the_pinned_one_is_an_error_in_the_bill() -> None:
    script = sbom()

    with pytest.raises(script.Gap, match=r"click .* is installed, 0\.1 is pinned"):
        script.component("click", "0.1", [])
    with pytest.raises(script.Gap, match="not pinned: tiny"):
        script.needs(["tiny"], ["click"])


def test_a_package_without_a_licence_is_an_error_in_the_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nLicense: see the file, please\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    script = sbom()

    with pytest.raises(script.Gap, match="tiny names no licence"):
        script.licence("tiny")


@with_audit_tools
def test_the_bill_is_valid_for_the_makers_of_the_format(tmp_path: Path) -> None:
    bill(tmp_path)
    command = [str(AUDIT_TOOLS), str(ROOT / ".ci" / "sbom.py"), "check", str(tmp_path / "sbom.json")]

    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (tmp_path / "sbom.json").write_text((tmp_path / "sbom.json").read_text().replace('"library"', '"libary"', 1))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
