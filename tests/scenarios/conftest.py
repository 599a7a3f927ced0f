"""The real command line against a real sandbox in a process of its own."""

import json
import os
import resource
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

KEY = "sk-test-0123456789abcdef"


@dataclass
class Server:
    """A sandbox process; `bill_file` is append-only and survives it."""

    process: "subprocess.Popen[str]"
    base_url: str
    bill_file: Path

    def bill(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.base_url.removesuffix('/v1')}/sandbox/bill") as answer:
            loaded: dict[str, Any] = json.load(answer)
        return loaded

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def sandbox_process(tmp_path: Path, *options: str, port: int = 0) -> Iterator[Server]:
    bill_file = tmp_path / "bill.jsonl"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "batchgen",
            "sandbox",
            "--port",
            str(port),
            "--bill",
            str(bill_file),
            "--latency",
            "0",
            "--scale",
            "0.1",
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=bare_environment(tmp_path),
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    server = Server(process, first.split()[-1], bill_file)
    try:
        assert first.startswith("sandbox at http://"), first
        yield server
    finally:
        server.stop()


def bare_environment(home: Path, **extra: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "PYTHONWARNINGS": "error"} | extra


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Ran]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`cli("run", job, base_url=…)`: the command line in a bare environment, from another folder than the job's.

    `memory` bounds its address space, in bytes.
    """

    def run(
        *arguments: object,
        base_url: str = "",
        key: str = KEY,
        timeout: float = 110,
        memory: int | None = None,
        **variables: str,
    ) -> Ran:
        environment = bare_environment(tmp_path, **variables)
        if key:
            environment["MODELVERSE_API_KEY"] = key
        if base_url:
            environment["MODELVERSE_BASE_URL"] = base_url
        done = subprocess.run(
            [sys.executable, "-m", "batchgen", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            timeout=timeout,
            check=False,
            preexec_fn=None if memory is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        assert "internal error" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def slow_sandbox(tmp_path: Path) -> Iterator[Server]:
    """One that takes about 0.2 s a picture, so that there is a middle of a run."""
    with sandbox_process(tmp_path, "--latency", "0.2") as server:
        yield server


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Server]:
    with sandbox_process(tmp_path) as server:
        yield server


def write_job(folder: Path, text: str, name: str = "foo.yaml") -> Path:
    path = folder / "jobs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def manifest(folder: Path) -> list[dict[str, Any]]:
    path = folder / "manifest.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def report(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return loaded
