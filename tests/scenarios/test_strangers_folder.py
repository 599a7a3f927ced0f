"""An output folder that somebody else made: its saved job writes nowhere else, sends no other file, and crashes nothing."""

import hashlib
import json
import shutil
import socket
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli, Server, manifest, write_job


class Inner:
    """A service of this machine that nobody has a reason to reach: it counts who does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connects = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connects += 1
            connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def inner() -> Iterator[Inner]:
    service = Inner()
    yield service
    service.close()


def saved(folder: Path) -> dict[str, Any]:
    ledger = sqlite3.connect(folder / "ledger.sqlite3")
    (body,) = ledger.execute("SELECT body FROM jobs").fetchone()
    ledger.close()
    loaded: dict[str, Any] = json.loads(zlib.decompress(body))
    return loaded


def save(folder: Path, body: bytes) -> None:
    ledger = sqlite3.connect(folder / "ledger.sqlite3")
    ledger.execute("UPDATE jobs SET body = ?", (body,))
    ledger.commit()
    ledger.close()


def packed(job: Any) -> bytes:
    return zlib.compress(json.dumps(job).encode())


@pytest.fixture
def folder(cli: Cli, sandbox: Server, tmp_path: Path) -> Path:
    job = write_job(tmp_path, "prompts: [a lamp, a cup]\nmodels: [black-forest-labs/flux.1-dev]\n")
    assert cli("run", job, "--limit", "1", base_url=sandbox.base_url).code == 0
    moved = tmp_path / "from a stranger"
    shutil.move(tmp_path / "outputs" / "foo", moved)
    return moved


def test_its_job_writes_into_that_folder_whatever_it_names(
    cli: Cli, sandbox: Server, folder: Path, tmp_path: Path
) -> None:
    job = saved(folder)
    job["output"]["folder"] = str(tmp_path / "home" / ".config")
    save(folder, packed(job))

    ran = cli("run", folder, base_url=sandbox.base_url)

    assert ran.code == 0, ran.err
    assert len(manifest(folder)) == 2
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "outputs" / "foo").exists()


def test_its_job_sends_no_file_that_is_no_picture(cli: Cli, sandbox: Server, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_bytes(b"-----BEGIN PRIVATE KEY-----")
    job = saved(folder)
    job["models"][0] |= {
        "model": "black-forest-labs/flux-kontext-pro",
        "label": "edit",
        "params": {"image": str(secret)},
    }
    job["pictures"] = {str(secret): hashlib.sha256(secret.read_bytes()).hexdigest()}
    save(folder, packed(job))

    ran = cli("run", folder, base_url=sandbox.base_url)

    assert "PRIVATE" not in json.dumps(sandbox.bill())
    assert all(entry["model"] != "black-forest-labs/flux-kontext-pro" for entry in sandbox.bill()["entries"]), ran.err


@pytest.mark.parametrize("verb", ["recover", "run"])
@pytest.mark.parametrize("where", [{"base_url": "INNER"}, {"base_url": "https://10.0.0.1/v1"}, {"proxy": "INNER"}])
def test_its_job_and_its_links_reach_no_port_of_this_machine_and_no_inner_host(
    cli: Cli, sandbox: Server, inner: Inner, folder: Path, verb: str, where: dict[str, str]
) -> None:
    waits_at(folder, f"{inner.url}/picture.png")
    job = saved(folder)
    save(folder, packed(job | {name: value.replace("INNER", inner.url) for name, value in where.items()}))

    ran = cli(verb, folder, base_url="" if "base_url" in where else sandbox.base_url)

    assert (ran.code, inner.connects) == (2, 0), ran.err
    assert "nothing was sent" in ran.err
    assert "name the job file" in ran.err


def test_its_sandbox_job_reaches_no_other_port_of_this_machine(cli: Cli, inner: Inner, tmp_path: Path) -> None:
    job = write_job(tmp_path, "provider: sandbox\nprompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\n")
    assert cli("run", job, base_url="").code == 0
    folder = tmp_path / "outputs" / "foo"
    waits_at(folder, f"{inner.url}/picture.png")

    ran = cli("recover", folder, base_url="")

    assert inner.connects == 0
    assert ran.code != 1, ran.err


def waits_at(folder: Path, link: str) -> None:
    """All pictures of the folder wait to be downloaded from `link`."""
    ledger = sqlite3.connect(folder / "ledger.sqlite3")
    ledger.execute("UPDATE pictures SET state = 'waiting', url = ?, spool = NULL", (link,))
    ledger.execute("UPDATE tasks SET state = 'billed'")
    ledger.commit()
    ledger.close()


NO_JOBS = [*map(packed, ({}, [], 7, {"provider": 5}, {"provider": "modelverse", "rows": "x"})), b"", b"no zlib"]
NO_JOBS.append(zlib.compress(b"[" * 300_000_000, 9))


@pytest.mark.parametrize(
    "body", NO_JOBS, ids=["empty", "list", "number", "provider", "rows", "nothing", "bytes", "bomb"]
)
@pytest.mark.parametrize("verb", ["run", "recover"])
def test_a_saved_job_that_is_none_ends_in_words(verb: str, body: bytes, cli: Cli, folder: Path) -> None:
    save(folder, body)

    ran = cli(verb, folder)

    assert ran.code in {2, 6}, ran.err
    assert "next:" in ran.err
