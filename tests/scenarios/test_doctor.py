"""`batchgen doctor`: what it finds, what it says to do, and that it spends, changes and shows nothing."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from batchgen.clock import RealClock
from batchgen.storage.lock import FolderLock

from .conftest import KEY, Cli, Server, write_job

JOB = "prompts: [a fox]\nmodels: [black-forest-labs/flux.1-dev]\n"
MODELS = {"object": "list", "data": [{"id": "black-forest-labs/flux.1-dev"}, {"id": "another/model"}]}
Provider = Callable[..., str]


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Starts a provider that answers the question for its models as one says, and counts what else it is asked."""
    servers: list[ThreadingHTTPServer] = []

    def start(
        *, known: str = KEY, status: int = 200, open_to_all: bool = False, skew_s: float = 0, body: Any = MODELS
    ) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/v1/models"
                accepted = open_to_all or self.headers["Authorization"] == f"Bearer {known}"
                said = body if accepted else {"error": {"message": f"bad key {known}", "code": "auth_error"}}
                data = json.dumps(said).encode()
                self.send_response_only(status if accepted else 401)
                self.send_header("Date", formatdate(RealClock().now() + skew_s, usegmt=True))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def checks(cli: Cli, *words: object, **options: str) -> tuple[int, dict[str, dict[str, str]]]:
    ran = cli("doctor", *words, "--json", **options)
    found = json.loads(ran.out)
    assert found["exit_code"] == ran.code
    return ran.code, {check["about"]: check for check in found["checks"]}


def test_all_is_well_and_nothing_is_made_or_spent(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)

    ran = cli("doctor", job, base_url=sandbox.base_url)

    assert ran.code == 0, ran.out
    assert ran.out.endswith("all is well\n")
    assert "  ok    account   the key was not refused; but the list is the same" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\x1b" not in ran.out
    assert KEY not in ran.out
    assert "sk-…def (24 characters)" in ran.out
    assert not (tmp_path / "outputs").exists()
    assert sandbox.bill()["requests"] == 0


def test_a_key_that_the_provider_knows_and_one_that_it_does_not(cli: Cli, provider: Provider, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    url = provider()

    code, good = checks(cli, job, base_url=url)
    bad_code, bad = checks(cli, job, base_url=url, key="sk-wrong-0123456789")

    assert (code, good["account"]["said"]) == (0, "the key is accepted: 2 models for it")
    assert (bad_code, bad["account"]["state"]) == (7, "bad")
    assert "does not accept it" in bad["account"]["said"]
    assert "MODELVERSE_API_KEY" in bad["account"]["next"]


def test_a_list_that_lacks_the_model_proves_nothing(cli: Cli, provider: Provider, tmp_path: Path) -> None:
    code, found = checks(cli, write_job(tmp_path, JOB), base_url=provider(body={"data": [{"id": "x"}]}))

    assert (code, found["account"]["state"]) == (0, "ok")
    assert "often incomplete: black-forest-labs/flux.1-dev" in found["account"]["said"]


@pytest.mark.parametrize("body", [[], {"data": 3}, "x", {"data": [{"no": "id"}]}])
def test_a_list_that_is_none_is_told(body: Any, cli: Cli, provider: Provider, tmp_path: Path) -> None:
    code, found = checks(cli, write_job(tmp_path, JOB), base_url=provider(body=body))

    assert (code, found["account"]["state"]) == (0, "warn")


@pytest.mark.parametrize(("skew_s", "side"), [(-3600, "ahead of"), (3600, "behind")])
def test_a_clock_that_goes_wrong_is_told(
    skew_s: float, side: str, cli: Cli, provider: Provider, tmp_path: Path
) -> None:
    code, found = checks(cli, write_job(tmp_path, JOB), base_url=provider(skew_s=skew_s))

    assert (code, found["clock"]["state"]) == (0, "warn")
    assert side in found["clock"]["said"]
    assert "timedatectl" in found["clock"]["next"]


def test_a_provider_in_trouble_and_one_that_is_not_there(cli: Cli, provider: Provider, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        code, found = checks(cli, job, base_url=f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")
    trouble_code, trouble = checks(cli, job, base_url=provider(status=503))

    assert (code, found["provider"]["state"]) == (4, "bad")
    assert "connection refused" in found["provider"]["said"]
    assert trouble_code == 4
    assert "an error of its own (503)" in trouble["provider"]["said"]


def test_without_a_job_it_looks_at_the_key_in_the_environment(cli: Cli, sandbox: Server) -> None:
    code, found = checks(cli, base_url=sandbox.base_url)
    missing_code, missing = checks(cli, "--offline", key="")

    assert (code, found["key"]["said"]) == (0, "in MODELVERSE_API_KEY: sk-…def (24 characters)")
    assert (missing_code, missing["key"]["state"]) == (7, "bad")
    assert "export MODELVERSE_API_KEY" in missing["key"]["next"]


def test_offline_asks_nobody_and_the_sandbox_needs_nobody(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "provider: sandbox\n" + JOB)

    assert checks(cli, job)[1]["provider"]["said"].startswith("the sandbox")
    job.write_text(JOB)
    assert checks(cli, job, "--offline", base_url="http://127.0.0.1:9/v1")[0] == 0


def test_a_job_with_mistakes_is_told_with_its_exit_code(cli: Cli, tmp_path: Path) -> None:
    code, found = checks(cli, write_job(tmp_path, JOB + "bugdet: 3\n"))

    assert (code, found["job"]["state"]) == (2, "bad")
    assert "did you mean `budget`" in found["job"]["said"]


def test_the_folder_its_lock_and_its_ledger(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    folder = tmp_path / "outputs" / "foo"
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0

    assert checks(cli, job, "--offline")[1]["ledger"]["said"] == "readable, 1 picture stored"
    with FolderLock(folder, RealClock()):
        code, held = checks(cli, job, "--offline")
        assert (code, held["lock"]["state"]) == (0, "warn")
    (folder / "ledger.sqlite3").write_bytes(b"no ledger" * 1000)
    code, broken = checks(cli, job, "--offline")
    assert (code, broken["ledger"]["state"]) == (6, "bad")


def test_an_output_folder_that_cannot_be_one_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")

    code, found = checks(cli, write_job(tmp_path, JOB), "--offline")

    assert (code, found["folder"]["state"]) == (6, "bad")
    assert "is no folder" in found["folder"]["said"]


def test_variables_of_notify_and_proxies_are_named_and_never_shown(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB + "notify: [{to: slack, url_env: HOOK}, {to: feishu, url_env: GONE}]\n")

    ran = cli("doctor", job, "--offline", HOOK="https://hooks.example/s3cret", HTTPS_PROXY="http://u:s3cret@proxy")

    assert ran.code == 0
    assert "slack (HOOK)" in ran.out
    assert "feishu will not be told: GONE is not set" in ran.out
    assert "HTTPS_PROXY in the environment: not used" in ran.out
    assert "s3cret" not in ran.out + ran.err


def test_an_env_file_that_others_can_read_is_told(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    (job.parent / ".env").write_text(f"MODELVERSE_API_KEY={KEY}\n")
    (job.parent / ".env").chmod(0o644)

    code, found = checks(cli, job, "--offline", key="")

    assert (code, found["key"]["state"]) == (7, "bad")
    assert "chmod 600" in found["key"]["next"]


def test_a_folder_from_a_stranger_leads_the_questions_nowhere(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0

    code, found = checks(cli, tmp_path / "outputs" / "foo")  # its job leads to this machine, which nobody here named

    assert (code, found["provider"]["state"]) == (2, "bad")
    assert "which is not an address of UCloud ModelVerse; nothing was sent" in found["provider"]["said"]
    assert "account" not in found


def test_a_job_that_leads_elsewhere_is_told_and_nobody_is_asked_there(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB + "provider: {name: modelverse, base_url: https://example.org/v1}\n")

    code, found = checks(cli, job)

    assert (code, found["provider"]["state"]) == (2, "bad")
    assert "the key in MODELVERSE_API_KEY would go to example.org" in found["provider"]["said"]
    assert "clock" not in found
