"""The product's real command line as a child process, as often as it takes and killed as often as it takes.

Starting Python and importing everything costs three times as much as a whole small run. So one process (`driver.py`)
imports it once, before it has a thread or an event loop, and forks itself for each run: every child is a process of its
own with its own memory, files, locks and threads, which a SIGKILL ends as it ends any other. `Children` talks to that
process. `command` is the other way, an interpreter of its own, for what has to stand in front of it (strace).
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: its exit code, or None for one that was killed; and what it said."""

    exit_code: int | None
    output: str

    @property
    def killed(self) -> bool:
        return self.exit_code is None


def command(*arguments: str, failpoint: Mapping[str, object] | None = None) -> list[str]:
    """The argv of one run in an interpreter of its own, which dies at `failpoint` if there is one."""
    where = ["--failpoint", json.dumps(failpoint)] if failpoint else []
    return [sys.executable, "-P", "-m", "tests.crash.driver", *where, "--", *arguments]


def environment(product: Path, base_url: str) -> dict[str, str]:
    """All the variables that a child gets; `product` is the folder that holds the package under test."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join((str(product), str(ROOT))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
        "MODELVERSE_API_KEY": "sk-crash-0123456789",
        "MODELVERSE_BASE_URL": f"{base_url}/v1",
    }


class Children:
    """Forks runs of the command line, one at a time; a context manager.

    `product` is the folder that holds the package under test. A run in peace may take `patience_s` seconds.
    """

    def __init__(self, product: Path = ROOT, patience_s: float = _PATIENCE_S) -> None:
        self._product = product
        self._patience_s = patience_s
        self._unread = b""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.crash.driver", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(self._product, "http://127.0.0.1:1"),
            cwd="/",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

    def run(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        output: Path,
        *,
        kill_after_s: float | None = None,
        failpoint: Mapping[str, object] | None = None,
        watch: Callable[[int], None] | None = None,
        tracer: Sequence[str] = (),
    ) -> End:
        """One run, killed after `kill_after_s` seconds or at `failpoint`, or left to its end.

        `watch` is called with the process id about once a second while the child lives. `tracer` is a strace command
        that is attached before the run begins.
        """
        order = {"argv": list(arguments), "env": dict(env), "output": str(output), "failpoint": failpoint}
        self._send(order | {"wait": bool(tracer)})
        answer = self._receive(_PATIENCE_S)
        assert answer is not None, "the driver did not start a child"
        pid = int(answer["pid"])
        with _attached(tracer, pid):
            return self._end(pid, output, kill_after_s, watch)

    def _end(self, pid: int, output: Path, kill_after_s: float | None, watch: Callable[[int], None] | None) -> End:
        """Wait for the end of a child, or bring it about."""
        killed_by_us = False
        started = time.monotonic()
        patience_s = self._patience_s if kill_after_s is None else kill_after_s
        while (ended := self._receive(self._turn(started, patience_s, watch=watch is not None))) is None:
            if watch is not None:
                watch(pid)
            if time.monotonic() - started >= patience_s:
                # It may be dead already, but it is not reaped before we say so: the number is nobody else's.
                os.kill(pid, signal.SIGKILL)
                killed_by_us = True
                ended = self._receive(_PATIENCE_S)
                break
        assert ended == {"ended": pid}, f"the driver lost its child: {ended}"
        self._send({"reap": pid})
        reaped = self._receive(_PATIENCE_S)
        assert reaped is not None, "the driver did not reap its child"
        _assert_alone(pid)
        status = int(reaped["status"])
        said = output.read_text(encoding="utf-8", errors="replace")
        assert not (killed_by_us and kill_after_s is None), f"a run did not end in {self._patience_s:.0f} s: {said}"
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, f"a run died of signal {os.WTERMSIG(status)}: {said}"
            return End(None, said)
        return End(os.WEXITSTATUS(status), said)

    def _turn(self, started: float, patience_s: float, *, watch: bool) -> float:
        left = max(0.0, started + patience_s - time.monotonic())
        return min(left, 1.0) if watch else left

    def _send(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The driver's next message, or None when none came in time."""
        assert self._process.stdout
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            block = os.read(self._process.stdout.fileno(), 65536)
            assert block, "the driver died"
            self._unread += block
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def _attached(tracer: Sequence[str], pid: int) -> Iterator[None]:
    """Attach a tracer to a stopped child, let it go on, and wait for the tracer's end."""
    if not tracer:
        yield
        return
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + _PATIENCE_S
    while "\nState:\tT" not in status.read_text():  # a child that is told to go on before it stops, stops for ever
        assert time.monotonic() < deadline, "the child does not stop"
    _wait_until(pid, "State:\tT", "the child does not wait for its tracer")
    process = subprocess.Popen([*tracer, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until(pid, f"TracerPid:\t{process.pid}\n", "the tracer does not attach")
        os.kill(pid, signal.SIGCONT)
        yield
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        process.communicate(timeout=_PATIENCE_S)


def _wait_until(pid: int, words: str, trouble: str) -> None:
    """Return when the system says those words of a process."""
    deadline = time.monotonic() + _PATIENCE_S
    while words not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, trouble


def _assert_alone(pid: int) -> None:
    """A run is one process: nothing of its process group outlives it."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return
    raise AssertionError(f"a run left processes of its group {pid} behind")
