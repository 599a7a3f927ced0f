"""Says whether an advisory is known for a package that the requirements pin.

Two advisory services are asked through pip-audit, under one time limit. What no service answers for is judged by the
report that is kept beside the requirements, and every line says which of the two it comes from. It installs nothing,
changes no requirement, and never takes silence for good news: a package nobody was asked about is "not audited", and a
service that knows nothing against a package known to be bad is not believed.

Exit codes: 0 nothing known, 1 an advisory or a pin that the report does not know, 2 wrong usage or a broken report.
"""

import argparse
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

HERE = Path(__file__).resolve().parent.parent / "requirements"
PINNED = ("run.txt", "dev.txt", "build.txt", "audit.txt", "uv.txt")
CANARY = "jinja2==2.10"  # has had advisories since 2019: a service that knows none of them knows nothing
SERVICES = {"PyPI": "pypi", "OSV": "osv"}  # spelled as pip-audit wants them
STALE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What one service said: advisories by pin (an empty list: none known) and, where it failed, why."""

    service: str
    known: Mapping[str, list[dict[str, Any]]]
    problem: str = ""


def pins_of(files: Iterable[Path]) -> list[str]:
    """Every `name==version` of the files, markers and hashes left out, whatever platform it is for."""
    found = {
        f"{canonicalize_name(name)}=={version}"
        for file in files
        for name, version in re.findall(
            r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    if not found:
        raise ValueError("the requirements pin nothing: give at least one file with lines such as name==1.2")
    return sorted(found)


def read_answer(service: str, text: str) -> Answer:
    """pip-audit's JSON. It leaves out or "skips" what it could not ask about, and calls that success."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Answer(service, {}, "no answer")
    known = {
        f"{canonicalize_name(each['name'])}=={each['version']}": [
            {"id": one["id"], "aliases": one.get("aliases", []), "fixed": one.get("fix_versions", [])}
            for one in each.get("vulns", [])
        ]
        for each in packages
        if "version" in each
    }
    if not known:
        return Answer(service, {}, "no answer")
    if not known.pop(CANARY, []):
        return Answer(service, {}, f"not believed: it has nothing against {CANARY}")
    return Answer(service, known)


def ask(pins: list[str], seconds: float) -> list[Answer]:
    """Both services at once; whatever has not answered in time is stopped."""
    environment = dict(os.environ)
    if system := ssl.get_default_verify_paths().cafile:
        environment.setdefault("REQUESTS_CA_BUNDLE", system)  # kept up to date by the machine, unlike a pinned one
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "pins.txt")
        wanted.write_text("\n".join([*pins, CANARY]) + "\n", encoding="utf-8")
        options = ["--requirement", str(wanted), "--no-deps", "--disable-pip", "--format", "json", "--timeout", "5"]
        asked = {
            service: subprocess.Popen(
                [sys.executable, "-m", "pip_audit", "--vulnerability-service", spelled, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            for service, spelled in SERVICES.items()
        }
        until = time.monotonic() + seconds
        return [_answer_of(service, process, until) for service, process in asked.items()]


def _answer_of(service: str, process: "subprocess.Popen[bytes]", until: float) -> Answer:
    try:
        told, _ = process.communicate(timeout=max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Answer(service, {}, "no answer in time")
    return read_answer(service, told.decode(errors="replace"))


def judge(pins: list[str], answers: list[Answer], report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(what is wrong, pins that nobody was ever asked about)."""
    wrong, unaudited = [], []
    for pin in pins:
        name, version = pin.split("==")
        kept = report["packages"].get(pin)
        told = [answer.known[pin] for answer in answers if pin in answer.known]
        if kept is None:
            wrong.append(f"{pin}: not in the report; `make audit-report` writes it anew")
        elif not told and kept["advisories"] is not None:
            told = [kept["advisories"]]
        if kept is not None and not told:
            unaudited.append(pin)
        read = [
            {"id": each["id"], "fixed": [each["fixed"]]}
            for each in report["read"]["advisories"]
            if each["package"] == name and Version(version) < Version(each["fixed"])
        ]
        advisories = {each["id"]: each for each in [*read, *(each for one in told for each in one)]}
        wrong += [_line(pin, each) for each in advisories.values() if not _accepted(each, report["accepted"])]
    return wrong, unaudited


def _accepted(advisory: Mapping[str, Any], accepted: Mapping[str, str]) -> bool:
    return any(accepted.get(name, "").strip() for name in (advisory["id"], *advisory.get("aliases", [])))


def _line(pin: str, advisory: Mapping[str, Any]) -> str:
    fixed = ", ".join(advisory["fixed"]) or "no version yet"
    return f"{pin}: {advisory['id']}, fixed in {fixed}"


def load(path: Path) -> dict[str, Any]:
    """The report; ValueError says what is missing."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        date.fromisoformat(report["made"])
        _ = report["read"]["advisories"], report["accepted"]
        if not all("advisories" in each for each in report["packages"].values()):
            raise KeyError("advisories")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"{path}: cannot be used as a report ({problem})") from problem
    return dict(report)


def check(report: Mapping[str, Any], pins: list[str], answers: list[Answer], path: Path) -> int:
    """Say what is known and from where; the exit code."""
    say = sys.stdout.write
    wrong, unaudited = judge(pins, answers, report)
    live = {pin for answer in answers for pin in answer.known} & set(pins)
    age = (datetime.now(UTC).date() - date.fromisoformat(report["made"])).days
    say(f"audit: {len(pins)} pinned packages\n")
    for answer in answers:
        say(f"audit: {answer.service}: {answer.problem or f'answered for {len(answer.known)} packages'}\n")
    if len(live) < len(pins):
        say(f"audit: for {len(pins) - len(live)} packages the report is used: {path.name}, {age} days old\n")
        say(f"audit: it was made on {report['made']}: {report['how']}\n")
    if unaudited:
        old = [pin for pin in unaudited if not report["packages"][pin].get("newest")]
        say(f"audit: WARNING: NOT AUDITED: {len(unaudited)} packages; no service was ever heard about them\n")
        say(
            f"audit: WARNING: known of them: {len(report['read']['advisories'])} advisories, read by hand, do not apply or\n"
        )
        say(
            f"audit: WARNING: are accepted, and {len(unaudited) - len(old)} were the newest release on {report['made']}\n"
        )
    if live != set(pins) and age > STALE_DAYS:
        say(f"audit: WARNING: the report is {age} days old; make a new one with `make audit-report`\n")
    for name, reason in report["accepted"].items():
        say(f"audit: accepted: {name}: {reason or 'NO REASON GIVEN, so it is not accepted'}\n")
    for line in wrong:
        say(f"audit: FAILED: {line}\n")
    if not wrong:
        say(f"audit: passed{', but see the warnings' if unaudited else ''}\n")
    return 1 if wrong else 0


def renewed(report: Mapping[str, Any], pins: list[str], answers: list[Answer], newest: set[str]) -> dict[str, Any]:
    """The report of today. What people wrote, `read` and `accepted`, stays as it is."""
    packages: dict[str, Any] = {}
    for pin in pins:
        told = [answer.known[pin] for answer in answers if pin in answer.known]
        found = {each["id"]: each for one in told for each in one}
        packages[pin] = {"advisories": list(found.values()) if told else None, "newest": pin in newest}
    told_by = ", ".join(f"{each.service}: {each.problem or f'{len(each.known)} answered'}" for each in answers)
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "how": f"pip-audit asked two services ({told_by}); uv said what is the newest",
        "packages": packages,
        "read": report["read"],
        "accepted": report["accepted"],
    }


def main() -> int:
    """Read the arguments and do one of the two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=["check", "write"])
    parser.add_argument("--report", type=Path, default=HERE / "audit.json")
    parser.add_argument("--pins", type=Path, action="append", help="a requirements file (repeatable)")
    parser.add_argument("--answer", type=Path, action="append", help="pip-audit's JSON, read instead of asking")
    parser.add_argument("--newest", type=Path, help="for write: pins as they would be chosen today")
    parser.add_argument("--seconds", type=float, default=40.0, help="for both services together")
    chosen = parser.parse_args()
    try:
        report = load(chosen.report)
        pins = pins_of(chosen.pins or [HERE / name for name in PINNED])
        newest = set(pins_of([chosen.newest])) if chosen.newest else set()
        told = [read_answer(file.stem, file.read_text(encoding="utf-8")) for file in chosen.answer or []]
    except (OSError, ValueError) as problem:
        sys.stderr.write(f"audit: {problem}\n")
        return 2
    answers = told or ask(pins, chosen.seconds)
    if chosen.verb == "write":
        report = renewed(report, pins, answers, newest)
        chosen.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return check(report, pins, answers, chosen.report)


if __name__ == "__main__":
    sys.exit(main())
