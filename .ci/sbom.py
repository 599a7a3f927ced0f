"""Writes the software bill of materials of what batchgen needs to run, as CycloneDX 1.6 JSON, and checks one.

Packages, versions and hashes are those of requirements/run.txt; licences and the graph come from what is installed. The
same requirements give the same bytes, on every platform with the same packages. A package that is not installed in the
pinned version, or whose licence nobody can name, is an error and not a gap. Checking needs cyclonedx-python-lib.
"""

import importlib.metadata
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SPDX = {  # what older metadata calls the licences
    "Apache 2.0": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
}
PLAIN = re.compile(r"[A-Za-z0-9.+-]+")


class Gap(Exception):
    """Something that belongs into the bill cannot be said."""


def pinned(path: Path) -> dict[str, tuple[str, list[str]]]:
    """(version, SHA-256 of every file that may be installed) by name, without what is for other platforms."""
    found: dict[str, tuple[str, list[str]]] = {}
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        wanted = Requirement(re.split(r"\s--hash", line, maxsplit=1)[0])
        if wanted.marker is None or wanted.marker.evaluate():
            (version,) = (each.version for each in wanted.specifier)
            found[canonicalize_name(wanted.name)] = (version, sorted(re.findall(r"--hash=sha256:(\w{64})", line)))
    return found


def licence(name: str) -> str:
    """The SPDX expression that the package declares."""
    told = importlib.metadata.metadata(name)
    for expression in told.get_all("License-Expression", []):
        return str(expression)
    short = str((told.get_all("License") or [""])[0]).strip()
    for each in (short, *told.get_all("Classifier", [])):
        if each in SPDX:
            return SPDX[each]
    if PLAIN.fullmatch(short):
        return short
    raise Gap(f"{name} names no licence; look it up and add its spelling to {Path(__file__).name}")


def needs(requirements: Iterable[str], among: Iterable[str]) -> list[str]:
    """Names of the wanted packages, without extras and what this platform does not need."""
    wanted = [Requirement(each) for each in requirements]
    names = {
        canonicalize_name(each.name) for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    if missing := names - set(among):
        raise Gap(f"needed, but not pinned: {', '.join(sorted(missing))}; run `make requirements`")
    return sorted(names)


def component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    """One package. Its reference is its package URL, which no two have in common."""
    installed = importlib.metadata.version(name)
    if installed != version:
        raise Gap(f"{name} {installed} is installed, {version} is pinned; run `make sbom`, which installs it")
    purl = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "scope": "required",
        "licenses": [{"expression": licence(name), "acknowledgement": "declared"}],
        "purl": purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": purl,
                "comment": "any one of these files may be installed, and no other",
                "hashes": [{"alg": "SHA-256", "content": each} for each in hashes],
            }
        ],
    }


def bill(run: Path, project: Path) -> dict[str, Any]:
    """The whole document."""
    about = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    packages = pinned(run)
    refs = {name: f"pkg:pypi/{name}@{version}" for name, (version, _) in packages.items()}
    version = importlib.metadata.version(about["name"])
    root = f"pkg:pypi/{about['name']}@{version}"
    graph = [{"ref": root, "dependsOn": [refs[each] for each in needs(about["dependencies"], packages)]}]
    for name in sorted(packages):
        wanted = needs(importlib.metadata.requires(name) or [], packages)
        graph.append({"ref": refs[name], "dependsOn": [refs[each] for each in wanted]})
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": about["name"],
                "version": version,
                "licenses": [{"expression": about["license"], "acknowledgement": "declared"}],
                "purl": root,
            },
        },
        "components": [component(name, *packages[name]) for name in sorted(packages)],
        "dependencies": graph,
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"}


def check(path: Path) -> str:
    """What the schema of CycloneDX 1.6, strictly read, has against the file; "" when nothing."""
    from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
    from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found]

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text(encoding="utf-8"))
    return "" if found is None else str(found)[:2000]


def main(arguments: list[str]) -> int:
    """`write FILE` or `check FILE`."""
    match arguments:
        case ["write", name]:
            path = Path(name)
            try:
                document = bill(ROOT / "requirements" / "run.txt", ROOT / "pyproject.toml")
            except (Gap, importlib.metadata.PackageNotFoundError) as problem:
                sys.stderr.write(f"sbom: {problem}\n")
                return 1
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            sys.stdout.write(f"sbom: {len(document['components'])} packages in {path}\n")
            return 0
        case ["check", name]:
            wrong = check(Path(name))
            sys.stdout.write(f"sbom: {name}: {wrong or 'valid CycloneDX 1.6'}\n")
            return 1 if wrong else 0
    sys.stderr.write("sbom: write FILE, or check FILE\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
