"""An output folder that somebody else made: its saved job writes nowhere else, sends no other file, and crashes nothing."""

import hashlib
import json
import shutil
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli, Server, manifest, write_job


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
