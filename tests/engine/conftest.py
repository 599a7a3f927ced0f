"""Runs in this process against a real sandbox, with waits that take no time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from batchgen.clock import RealClock
from batchgen.engine.run import RunOptions, run
from batchgen.engine.watch import Control
from batchgen.events import Event, Listener
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.server import Sandbox, start_sandbox
from batchgen.spec.load import load_job
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import FILE_NAME, Ledger


class FastClock(RealClock):
    """Real time, but nobody sleeps; `ahead_s` moves the wall clock."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0
        self.slept_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        await asyncio.sleep(0.001)


class Bench:
    """One job's folder; `go` runs the job in it and returns the report."""

    def __init__(self, tmp_path: Path, clock: FastClock) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.listeners: list[Listener] = [self.events.append]
        self.folder = tmp_path / "outputs" / "foo"
        self._job = tmp_path / "foo.yaml"

    async def go(
        self, text: str, sandbox: Sandbox, *, control: Control | None = None, **options: Any
    ) -> dict[str, Any]:
        self._job.write_text(text)
        job = load_job(self._job, environment={"MODELVERSE_BASE_URL": sandbox.base_url})
        with ResultFolder(self.folder) as folder:
            ledger = Ledger(self.folder / FILE_NAME)
            try:
                return await run(
                    job,
                    RunOptions(key="sk-test", **options),
                    folder,
                    ledger,
                    clock=self.clock,
                    listeners=self.listeners,
                    control=control,
                )
            finally:
                ledger.close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, FastClock())


StartSandbox = Callable[..., Coroutine[Any, Any, Sandbox]]


@pytest.fixture
async def sandboxes() -> AsyncIterator[StartSandbox]:
    started: list[Sandbox] = []

    async def start(**options: Any) -> Sandbox:
        sandbox = await start_sandbox(SandboxOptions(latency=0, scale=0.1, **options))
        started.append(sandbox)
        return sandbox

    yield start
    for sandbox in started:
        await sandbox.stop()
