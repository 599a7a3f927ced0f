"""A known advisory about anything that is pinned is found, with a network and without, and silence is no good news."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from .test_supply_chain import AUDIT_TOOLS, FILES, ROOT, all_pins, direct, pin, pins, with_audit_tools

REPORT = json.loads((ROOT / "requirements" / "audit.json").read_text())
CANARY = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
ADVISORY = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"], "description": "bad"}


def answer(folder: Path, *packages: dict[str, Any], believed: bool = True) -> list[str]:
    """The options for an answer as pip-audit writes it."""
    path = folder / "pypi.json"
    path.write_text(json.dumps({"dependencies": [*packages, *([CANARY] if believed else [])], "fixes": []}))
    return ["--answer", str(path)]


def report(folder: Path, **changed: Any) -> list[str]:
    written = {
        "made": datetime.now(UTC).date().isoformat(),
        "how": "by a test",
        "packages": {"tiny==1.0": {"advisories": [], "newest": True}},
        "read": {"advisories": []},
        "accepted": {},
        **changed,
    }
    (folder / "audit.json").write_text(json.dumps(written))
    return ["--report", str(folder / "audit.json")]


def audit(folder: Path, *options: str, pinned: str = "tiny==1.0", **environment: str) -> tuple[int, str]:
    (folder / "pins.txt").write_text(f"{pinned} \\\n    --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), "check", "--pins", str(folder / "pins.txt"), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_an_audit_without_findings_passes_and_says_who_answered(tmp_path: Path) -> None:
    code, said = audit(tmp_path, *report(tmp_path), *answer(tmp_path, {"name": "tiny", "version": "1.0", "vulns": []}))

    assert code == 0
    assert "pypi: answered for 1 packages" in said
    assert "WARNING" not in said
    assert "the report is used" not in said


def test_a_version_that_a_service_knows_to_be_bad_fails(tmp_path: Path) -> None:
    told = answer(tmp_path, {"name": "Tiny", "version": "1.0", "vulns": [ADVISORY]})
    code, said = audit(tmp_path, *report(tmp_path), *told)

    assert code == 1
    assert "FAILED: tiny==1.0: PYSEC-2026-1, fixed in 1.1" in said


def test_a_version_that_the_report_knows_to_be_bad_fails_without_a_network(tmp_path: Path) -> None:
    bad = {"tiny==1.0": {"advisories": [{"id": "PYSEC-2026-1", "aliases": [], "fixed": ["1.1"]}]}}
    code, said = audit(tmp_path, *report(tmp_path, packages=bad), *answer(tmp_path))

    assert code == 1
    assert "FAILED: tiny==1.0: PYSEC-2026-1, fixed in 1.1" in said


@pytest.mark.parametrize(("version", "code"), [("0.9", 1), ("1.1rc1", 1), ("1.1", 0), ("1.10", 0)])
def test_an_advisory_that_a_person_read_holds_for_all_versions_before_the_fix(
    tmp_path: Path, version: str, code: int
) -> None:
    pinned = f"tiny=={version}"
    kept = report(
        tmp_path,
        packages={pinned: {"advisories": []}},
        read={"advisories": [{"id": "CVE-2026-1", "package": "tiny", "fixed": "1.1"}]},
    )

    assert audit(tmp_path, *kept, *answer(tmp_path), pinned=pinned)[0] == code


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
@pytest.mark.parametrize(("reason", "code"), [("the part is not used", 0), ("", 1), (" ", 1)])
def test_an_advisory_is_accepted_with_a_reason_and_not_without(
    tmp_path: Path, name: str, reason: str, code: int
) -> None:
    told = answer(tmp_path, {"name": "tiny", "version": "1.0", "vulns": [ADVISORY]})

    assert audit(tmp_path, *report(tmp_path, accepted={name: reason}), *told)[0] == code


def test_a_pin_that_the_report_does_not_know_fails(tmp_path: Path) -> None:
    told = answer(tmp_path, {"name": "tiny", "version": "2.0", "vulns": []})
    code, said = audit(tmp_path, *report(tmp_path), *told, pinned="tiny==2.0")

    assert code == 1
    assert "tiny==2.0: not in the report; `make audit-report` writes it anew" in said


def test_what_a_service_skipped_is_not_audited(tmp_path: Path) -> None:
    skipped = answer(tmp_path, {"name": "tiny", "skip_reason": "Dependency not found"})
    code, said = audit(tmp_path, *report(tmp_path, packages={"tiny==1.0": {"advisories": None}}), *skipped)

    assert code == 0
    assert "WARNING: NOT AUDITED: 1 packages" in said
    assert "passed, but see the warnings" in said


def test_a_service_that_knows_nothing_is_not_believed(tmp_path: Path) -> None:
    told = answer(tmp_path, {"name": "tiny", "version": "1.0", "vulns": []}, believed=False)
    code, said = audit(tmp_path, *report(tmp_path, packages={"tiny==1.0": {"advisories": None}}), *told)

    assert code == 0
    assert "pypi: not believed" in said
    assert "NOT AUDITED: 1 packages" in said


def test_the_report_says_how_old_it_is(tmp_path: Path) -> None:
    for days, warned in ((3, False), (31, True)):
        made = (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
        _, said = audit(tmp_path, *report(tmp_path, made=made), *answer(tmp_path))

        assert f"audit.json, {days} days old" in said
        assert ("make a new one with `make audit-report`" in said) == warned


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"made": "soon"}', '{"made": "2026-11-23", "packages": {"a==1": {}}}']
)
def test_a_broken_report_is_no_good_news(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    code, said = audit(tmp_path, "--report", str(tmp_path / "audit.json"), *answer(tmp_path))

    assert code == 2
    assert "cannot be used as a report" in said
    assert "Traceback" not in said


def test_an_audit_without_its_tool_falls_back_to_the_report(tmp_path: Path) -> None:
    code, said = audit(tmp_path, *report(tmp_path))

    assert code == 0
    assert "PyPI: no answer" in said
    assert "for 1 packages the report is used" in said


def test_a_service_that_never_answers_does_not_hold_up_the_audit(tmp_path: Path) -> None:
    (tmp_path / "pip_audit.py").write_text("import threading\nthreading.Event().wait()\n")
    code, said = audit(tmp_path, *report(tmp_path), "--seconds", "0.2", PYTHONPATH=str(tmp_path))

    assert code == 0
    assert "OSV: no answer in time" in said


@contextmanager
def advisory_service(bad: dict[str, str]) -> Iterator[str]:
    """A service that answers as OSV does: `bad` is the first good version of each bad package."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            events = [{"introduced": "0"}, {"fixed": bad.get(name)}]
            package = {
                "package": {"ecosystem": "PyPI", "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
            found = {
                "id": f"PYSEC-{name}",
                "summary": "bad",
                "published": "2026-01-01T00:00:00Z",
                "affected": [package],
            }
            body = json.dumps({"vulns": [found]} if name in bad else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@with_audit_tools
@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        ({"jinja2": "2.10.1"}, 0, "OSV: answered for 1 packages"),
        ({"jinja2": "2.10.1", "click": "9"}, 1, "FAILED: click==8.0: PYSEC-click, fixed in 9"),
        ({}, 0, "OSV: not believed: it has nothing against jinja2==2.10"),
    ],
)
def test_the_real_tool_is_asked_and_heard(tmp_path: Path, bad: dict[str, str], code: int, said: str) -> None:
    (tmp_path / "pins.txt").write_text("click==8.0\n")
    kept = report(tmp_path, packages={"click==8.0": {"advisories": None}})
    command = [str(AUDIT_TOOLS), str(ROOT / ".ci" / "audit.py"), "check", "--pins", str(tmp_path / "pins.txt"), *kept]
    with advisory_service(bad) as url:
        # No machine but this one: the other service is sent to a proxy on a port where nobody listens.
        environment = {"PIP_AUDIT_OSV_URL": url, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)

    assert done.returncode == code
    assert said in done.stdout


def test_the_kept_report_covers_every_pin_and_nothing_else() -> None:
    assert set(REPORT["packages"]) == {pin(wanted) for name in FILES for wanted in all_pins(name)}


def test_no_pin_has_a_known_advisory_that_is_not_explained() -> None:
    bad = [
        each["id"]
        for each in REPORT["read"]["advisories"]
        for name in FILES
        if (wanted := pins(name).get(each["package"])) and Version(str(wanted.specifier)[2:]) < Version(each["fixed"])
    ]

    assert set(bad) <= {name for name, reason in REPORT["accepted"].items() if reason.strip()}
    assert not set(bad) & {each["id"] for each in REPORT["read"]["advisories"] if each["package"] in pins("run.txt")}


def test_the_oldest_version_that_the_project_takes_has_no_known_advisory() -> None:
    floors = {
        canonicalize_name(each.name): Version(bound.version)
        for each in direct()
        for bound in each.specifier
        if bound.operator == ">="
    }

    assert len(floors) == len(direct())
    assert [
        f"{each['package']} before {each['fixed']}: {each['id']}"
        for each in REPORT["read"]["advisories"]
        if floors.get(each["package"], Version(each["fixed"])) < Version(each["fixed"])
    ] == []
