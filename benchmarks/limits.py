"""What batchgen makes of limits that it is not told, on a real server, beside the usual SDK script.

The server is `batchgen sandbox` in a process of its own; it counts every request, and refuses those over its limits with
429. Every arm gets a fresh one. Nothing leaves this machine; nothing is judged: it prints figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
JOB = """
prompts: [a lamp]
seeds: {{count: {tasks}}}
models: [black-forest-labs/flux.1-dev]
limits: {{concurrency: {at_once}{more}}}
"""
BY_MINUTE = ("--requests-per-minute", "600", "--burst", "10")
CASES: dict[str, tuple[tuple[str, ...], str, int]] = {
    "600 a minute, burst 10": (BY_MINUTE, "", 64),
    "600 a minute, burst 10, no Retry-After": ((*BY_MINUTE, "--no-retry-after"), "", 64),
    "8 at once": (("--concurrency", "8"), "", 64),
    "600 a minute, told to batchgen": (BY_MINUTE, ", requests_per_minute: 600", 64),
    "8 at once, told to batchgen": (("--concurrency", "8"), "", 8),
}
"""Options of the server, the job's limits beside concurrency, and its concurrency."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one arm came to."""

    case: str
    arm: str
    stored: int
    failed: int
    refused: int
    seconds: float


def environment(home: str, **more: str) -> dict[str, str]:
    """A bare environment, so that no setting of this machine takes part."""
    return {"PATH": os.environ["PATH"], "HOME": home} | more


@contextmanager
def server(options: Sequence[str], latency: float, home: str) -> Iterator[str]:
    """A sandbox with limits; its base URL."""
    command = [sys.executable, "-m", "batchgen", "sandbox", "--port", "0", "--scale", "0.05", "--latency", str(latency)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment(home))
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def requests_at(base_url: str) -> tuple[int, int]:
    """All requests that the server saw, and those that it billed."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/sandbox/bill") as answer:  # our own server
        bill = json.load(answer)
    return bill["requests"], bill["pictures"]


def run_batchgen(case: str, tasks: int, latency: float) -> Figures:
    """One job through the command line."""
    options, more, at_once = CASES[case]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, server(options, latency, home) as base_url:
        job = Path(home) / "job.yaml"
        job.write_text(JOB.format(tasks=tasks, at_once=at_once, more=more))
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
            env=environment(home, MODELVERSE_API_KEY="bench", MODELVERSE_BASE_URL=base_url),
            check=False,
        )
        seconds = time.monotonic() - started
        report = json.loads((Path(home) / "outputs" / "job" / "report.json").read_text())
        requests, billed = requests_at(base_url)
    counts = report["counts"]
    return Figures(case, "batchgen", counts["done"], counts["tasks"] - counts["done"], requests - billed, seconds)


def run_script(case: str, tasks: int, latency: float, retries: int) -> Figures:
    """The same number of calls by the SDK, which stores nothing."""
    options, _, _ = CASES[case]
    with tempfile.TemporaryDirectory() as home, server(options, latency, home) as base_url:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(HERE / "arms" / "sdk_limits.py"), base_url, str(tasks), str(retries)],
            env=environment(home),
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.monotonic() - started
        requests, billed = requests_at(base_url)
    failed = int(done.stdout)
    return Figures(case, f"SDK, {retries} retries", tasks - failed, failed, requests - billed, seconds)


def main() -> None:
    """Print one line for each case and arm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--latency", type=float, default=1.0, help="times about a second a picture")
    chosen = parser.parse_args()
    print(f"{chosen.tasks} tasks, about {chosen.latency:g} s a picture, 64 workers")
    print(f"{'server':40} {'arm':16} {'made':>5} {'failed':>6} {'refused':>7} {'seconds':>7}")
    for case in CASES:
        found = [run_batchgen(case, chosen.tasks, chosen.latency)]
        if "told" not in case:
            found += [run_script(case, chosen.tasks, chosen.latency, retries) for retries in (2, 20)]
        for each in found:
            row = f"{each.stored:5} {each.failed:6} {each.refused:7} {each.seconds:7.1f}"
            print(f"{each.case:40} {each.arm:16} {row}", flush=True)


if __name__ == "__main__":
    main()
