"""An output folder that somebody else made: its saved job writes nowhere else, sends no other file, and crashes nothing."""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.cli.main import main

from .conftest import Cli, Server, bare_environment, manifest, write_job


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


def test_what_is_advised_names_the_folder_and_not_what_its_job_says(
    cli: Cli, sandbox: Server, folder: Path, tmp_path: Path
) -> None:
    save(folder, packed(saved(folder) | {"path": str(tmp_path / "of a stranger.yaml")}))

    status = cli("status", folder, base_url=sandbox.base_url)

    said = "".join(status.out.split())
    assert "ofastranger.yaml" not in said
    assert "".join(f"batchgen run '{folder}'".split()) in said


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


def changed(folder: Path, *statements: str) -> None:
    """The ledger of the folder, changed by somebody."""
    ledger = sqlite3.connect(folder / "ledger.sqlite3")
    for statement in statements:
        ledger.execute(statement)
    ledger.commit()
    ledger.close()


@pytest.mark.parametrize("verb", ["status", "run"])
def test_a_saved_job_that_no_job_file_could_be_is_refused_in_words(
    verb: str, cli: Cli, folder: Path, tmp_path: Path
) -> None:
    job = saved(folder)
    letters = {f"v{number}": {str(value): str(value) for value in range(100)} for number in range(8)}
    rows = [job["rows"][0] | {"prompt": " ".join(f"{{{name}}}" for name in letters)}]
    for what, odd in {
        "a number for a prompt": job | {"rows": [job["rows"][0] | {"prompt": 5}]},
        "too many tasks": job | {"variables": letters, "rows": rows},
    }.items():
        save(folder, packed(odd))

        ran = cli(*VERBS[verb](folder, tmp_path))

        assert ran.code in {2, 6}, (what, ran.err)
        assert "name the job file" in ran.err, (what, ran.err)


VERBS: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "status": lambda folder, _: ("status", folder),
    "plan": lambda folder, _: ("plan", folder),
    "run": lambda folder, _: ("run", folder),
    "recover": lambda folder, _: ("recover", folder),
    "verify": lambda folder, _: ("verify", folder),
    "gallery": lambda folder, _: ("gallery", folder),
    "export": lambda folder, tmp_path: ("export", folder, "--to", tmp_path / "out.csv"),
}

BOMBS = {
    "parts": (b'{"a":[', b"[]," * 1000, 9_000, b"[]]}"),
    "numbers": (b'{"a":[', b"12," * 1000, 10_000, b"1]}"),
    "text": (b'{"a":"', b"a" * 10_000, 30_000, b'"}'),
    "wide": (b'{"a":"', b"a" * 10_000, 3_300, '\U0001f300"}'.encode()),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_saved_job_that_is_a_bomb_takes_little_memory(
    bomb: tuple[bytes, bytes, int, bytes], folder: Path, tmp_path: Path
) -> None:
    first, again, times, last = bomb
    packing = zlib.compressobj(9)
    pieces = [packing.compress(first), *(packing.compress(again) for _ in range(times)), packing.compress(last)]
    save(folder, b"".join([*pieces, packing.flush()]))
    measure = (
        "import runpy, sys; sys.argv[0] = 'batchgen'\n"
        "try:\n    runpy.run_module('batchgen', run_name='__main__')\n"
        "finally:\n    print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", measure, "status", str(folder)],
        capture_output=True,
        text=True,
        env=bare_environment(tmp_path),
        cwd="/",
        timeout=60,
        check=False,
    )

    assert ran.returncode in {2, 6}, ran.stderr
    assert "name the job file" in ran.stderr
    assert int(ran.stdout.split()[-2]) < 400 * 1024


ODD_LEDGERS = {
    "deep record": "UPDATE tasks SET state = 'failed', record = '" + "[" * 200_000 + "'",
    "record of numbers": "UPDATE tasks SET state = 'unknown', record = '{\"prompt_id\": 5, \"params\": []}'",
    "no record": "UPDATE tasks SET state = 'failed', record = '{}'",
    "bytes": "UPDATE tasks SET state = 'failed', message = x'ff00'",
    "half a character": "UPDATE tasks SET state = 'failed', message = CAST(x'ff' AS TEXT)",
    "text for a time": "UPDATE runs SET started_at = 'noon'",
    "a time without a date": "UPDATE runs SET started_at = 9e200",
    "exit code": "UPDATE runs SET exit_code = 77",
    "flags": "UPDATE pictures SET flags = '{\"a\": [1]}'",
    "flags of objects": "UPDATE pictures SET flags = '[{}]'",
}


@pytest.mark.parametrize("verb", VERBS)
def test_whatever_a_ledger_holds_ends_in_words(verb: str, cli: Cli, folder: Path, tmp_path: Path) -> None:
    sound = (folder / "ledger.sqlite3").read_bytes()
    few = ("record of numbers", "half a character", "flags")
    for what, statement in ODD_LEDGERS.items():
        if verb != "status" and what not in few:
            continue
        (folder / "ledger.sqlite3").write_bytes(sound)
        changed(folder, statement)

        ran = cli(*VERBS[verb](folder, tmp_path))  # which raises for an internal error

        assert ran.code != 1, (what, ran.err)
        if verb == "status":
            assert (ran.code, "next:" in ran.err) == (6, True), (what, ran.err)


def waits_in_spool(folder: Path, spool: str) -> None:
    """The one picture of the folder waits in a kept answer of that name."""
    changed(
        folder,
        f"UPDATE pictures SET state = 'waiting', url = NULL, spool = '{spool}', expires_at = 1e11, file_name = NULL",
        "UPDATE tasks SET state = 'billed'",
    )
    shutil.rmtree(folder / "images")
    (folder / "manifest.jsonl").unlink()
    (folder / "spool").mkdir()


@pytest.mark.parametrize("spool", ["../x", "9" * 30 + "-a"])
def test_a_kept_answer_of_an_odd_name_is_a_lost_picture_and_the_run_ends(
    spool: str, cli: Cli, sandbox: Server, folder: Path
) -> None:
    waits_in_spool(folder, spool)
    (folder / "spool" / "a-bbbbbbbb.body").write_bytes(b"{}")
    (folder / "x.body").write_bytes(b"{}")

    ran = cli("recover", folder, base_url=sandbox.base_url, timeout=30)

    assert ran.code == 3, ran.err
    assert (folder / "spool" / "a-bbbbbbbb.body").exists()
    assert (folder / "x.body").exists()


def test_a_kept_answer_larger_than_any_is_not_read(cli: Cli, sandbox: Server, folder: Path) -> None:
    waits_in_spool(folder, "1-bbbbbbbb")
    with (folder / "spool" / "1-bbbbbbbb.body").open("wb") as body:
        body.truncate(3 << 30)

    ran = cli("recover", folder, base_url=sandbox.base_url, timeout=30, memory=2 << 30)

    assert ran.code == 3, ran.err


HOSTILE_ROWS: dict[str, dict[str, Any]] = {
    "a cost of a million digits": {"cost": "1e999990"},
    "a cost out of all bounds": {"cost": "9e999999"},
    "a negative cost": {"cost": "-5"},
    "a number of 100 bits": {"width": 10**30},
    "a seed below zero": {"seed": -(10**30)},
    "deep params": {"params": "[" * 200_000},
    "a list for variables": {"vars": "[1]"},
    "numbers for variables": {"vars": '{"a": 1}'},
    "a list for params": {"params": "[]"},
    "half a character": {"prompt": "\ud800x"},
    "half a character in variables": {"vars": '{"a": "\\ud800"}'},
    "flags": {"flags": "{}"},
    "a time": {"created_at": "0001-01-01T00:00:00+14:00"},
}


def test_a_hostile_manifest_makes_no_ledger_and_ends_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "manifest.jsonl").read_text(encoding="utf-8")
    before = (folder / "ledger.sqlite3").read_bytes()
    odd = {what: json.dumps(json.loads(text) | change) for what, change in HOSTILE_ROWS.items()}
    for what, line in {**odd, "a deep line": "[" * 200_000}.items():
        (folder / "manifest.jsonl").write_text(f"{text}{line}\n", encoding="utf-8")

        with pytest.raises(SystemExit) as ended:
            main(["verify", str(folder), "--rebuild"])

        said = capsys.readouterr().err
        assert (ended.value.code, "manifest.jsonl" in said) == (6, True), (what, said)
        assert (folder / "ledger.sqlite3").read_bytes() == before, what
        assert not list(folder.glob("ledger.sqlite3.*")), what


def test_a_manifest_that_is_one_line_without_end_takes_little_memory(cli: Cli, folder: Path) -> None:
    with (folder / "manifest.jsonl").open("r+b") as manifest_file:
        manifest_file.truncate(3 << 30)

    ran = cli("verify", folder, "--rebuild", memory=1 << 30)

    assert ran.code == 6
    assert "manifest.jsonl:2" in ran.err
    assert not list(folder.glob("ledger.sqlite3.*"))


@pytest.mark.parametrize("what", ["device", "pipe"])
def test_its_job_names_a_device_or_a_pipe_as_a_picture_that_was_looked_at(
    what: str, cli: Cli, sandbox: Server, folder: Path, tmp_path: Path
) -> None:
    picture = Path("/dev/zero") if what == "device" else tmp_path / "pipe"
    if what == "pipe":
        os.mkfifo(picture)
    job = saved(folder)
    job["models"][0] |= {
        "model": "black-forest-labs/flux-kontext-pro",
        "label": "edit",
        "params": {"image": str(picture)},
    }
    job["pictures"] = {str(picture): "0" * 64}
    save(folder, packed(job))

    ran = cli("run", folder, base_url=sandbox.base_url, timeout=60, memory=2 << 30)

    assert ran.code == 3, ran.err
    assert "a pipe, a device" in ran.err
    assert len(sandbox.bill()["entries"]) == 1
