"""Kills and errors at single system calls of a run, put there by strace.

strace counts the calls of each thread for itself: `when=K` is the K-th call of whichever thread comes to it first. A
killed call is not carried out. Where strace is missing or may not trace, `why_not` says so, and the tests skip loudly.
"""

import functools
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .children import End
from .harness import Bench

CALLS = ("fdatasync", "fsync", "linkat", "renameat", "unlinkat", "pwrite64", "write", "mkdirat", "ftruncate")
"""The system calls of the storage path: the ledger's own are fdatasync and pwrite64, the files' the others."""
_STRACE = ("strace", "-f", "-qq")


@functools.cache
def why_not() -> str:
    """Why system calls cannot be tampered with here; empty where they can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    tried = subprocess.run(
        [strace, "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()[:100]}"


def run_with(bench: Bench, inject: str, *, path: Path | None = None, surely: bool = True) -> End:
    """One run with something put into its calls: `fsync:error=EIO:when=12`.

    With `path` only calls that touch this file or folder count. `surely` makes a run that never came to it an error.
    """
    call = inject.partition(":")[0]
    only = ["-P", str(path)] if path is not None else []
    log = bench.place / "injected.txt"
    end = bench.run(tracer=[*_STRACE, "-o", str(log), *only, "-e", f"trace={call}", "-e", f"inject={inject}"])
    came = end.killed or "(INJECTED)" in log.read_text()
    assert came or not surely, f"the run never came to {inject}: it ended with {end.exit_code}: {end.output}"
    return end


def die_at_call(bench: Bench, call: str, number: int) -> None:
    """A run that has to die at the `number`-th call of a kind."""
    end = run_with(bench, f"{call}:signal=KILL:when={number}")
    assert end.killed, f"a run survived its end at call {number} of {call}: {end.exit_code}: {end.output}"


def count_calls(bench: Bench) -> dict[str, int]:
    """How many calls of each kind the busiest thread of a whole run makes."""
    log = bench.place / "calls.txt"
    end = bench.run(tracer=[*_STRACE, "-o", str(log), "-e", f"trace={','.join(CALLS)}"])
    assert end.exit_code == 0, end.output
    by_thread: Counter[tuple[str, str]] = Counter(_calls(log))
    return {call: max((n for (name, _), n in by_thread.items() if name == call), default=0) for call in CALLS}


def _calls(log: Path) -> Iterator[tuple[str, str]]:
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found:
            yield found[2], found[1]
