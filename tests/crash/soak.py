"""The soak: one large job against a provider full of faults, killed again and again, and measured while it lives.

`python -m tests.crash.soak --minutes 10 --tasks 10000`. Kinds of faults are those of `provider.py`, each on 3 % of the
requests. At the end the job is finished in peace and judged; the figures go to stdout as a table. Exit code 1 says that
a promise was broken, or that open files or memory grew.
"""

import argparse
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from .children import Children
from .evidence import Evidence
from .harness import Bench, Providers, Shape, open_bench
from .invariants import contradictions
from .tally import Tally

_FILES_MAY_GROW = 16
_MEMORY_MAY_GROW_MIB = 24
"""From the second quarter of a process's life to its last: more is no fluctuation."""
_SAMPLES_TO_JUDGE = 12
_PATIENCE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at one moment of its life."""

    at_s: float
    files: int
    memory_mib: float


@dataclass(slots=True)
class Life:
    """One process, from its first sample to its last."""

    pid: int
    started: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)

    def quarters(self) -> list[Sample]:
        """The first sample, those at a quarter, half and three quarters, and the last."""
        last = len(self.samples) - 1
        return [self.samples[round(last * part / 4)] for part in range(5)]

    def grew(self) -> tuple[int, float]:
        """By how many files and MiB the most of the last quarter is above the most of the second."""
        count = len(self.samples)
        second, last = self.samples[count // 4 : count // 2], self.samples[3 * count // 4 :]
        if not second or not last:
            return 0, 0.0
        files = max(sample.files for sample in last) - max(sample.files for sample in second)
        memory = max(sample.memory_mib for sample in last) - max(sample.memory_mib for sample in second)
        return files, memory

    def is_flat(self) -> bool:
        """Whether neither grew by more than a fluctuation; short lives are not judged."""
        files, memory = self.grew()
        return len(self.samples) < _SAMPLES_TO_JUDGE or (files <= _FILES_MAY_GROW and memory <= _MEMORY_MAY_GROW_MIB)


class Watch:
    """Takes a sample of the running process each time it is called."""

    def __init__(self) -> None:
        self.lives: list[Life] = []

    def __call__(self, pid: int) -> None:
        if not self.lives or self.lives[-1].pid != pid:
            self.lives.append(Life(pid))
        life = self.lives[-1]
        try:
            files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return  # it has just died
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        if found:
            life.samples.append(Sample(time.monotonic() - life.started, files, int(found[1]) / 1024))


def soak(bench: Bench, minutes: float, kill_every_s: float) -> float:
    """Run and kill until the time is over or the job is done; then finish it in peace. Returns the seconds of unrest."""
    started = time.monotonic()
    moments = random.Random(bench.shape.seed)
    while (left := started + 60 * minutes - time.monotonic()) > 0:
        end = bench.run(kill_after_s=min(left, kill_every_s * moments.uniform(0.75, 1.25)))
        how = "killed" if end.killed else f"ended with {end.exit_code}"
        print(f"{time.monotonic() - started:6.0f} s: {Tally.of(bench)}; {how}", file=sys.stderr, flush=True)
        if end.exit_code == 3:  # nothing is left but what was refused
            break
    unrest_s = time.monotonic() - started
    bench.finish()
    return unrest_s


def figures(bench: Bench, evidence: Evidence, unrest_s: float) -> Sequence[tuple[str, str]]:
    """What the soak did, for people."""
    tally = Tally.of(bench)
    failed = sum(state == "failed" for state in evidence.states.values())
    calls = [attempt for attempt in evidence.attempts if attempt.state != "returned"]
    return (
        ("tasks", f"{bench.shape.tasks:,}"),
        ("seconds with kills", f"{unrest_s:,.0f}"),
        ("kills", f"{tally.kills}"),
        ("requests seen by the provider", f"{bench.provider.requests():,}"),
        ("calls in the ledger, without free refusals", f"{len(calls):,}"),
        ("billed by the provider", f"{tally.bills:,}"),
        ("stored", f"{tally.stored:,}"),
        ("refused for good", f"{failed:,}"),
        ("maybe billed", f"{tally.maybe_billed:,}"),
        ("bills without a complete answer, by fault", f"{evidence.ambiguous:,}"),
    )


def _print_lives(lives: Sequence[Life]) -> None:
    print("\n| life | seconds | open files: start, quarters, end | memory in MiB: start, quarters, end | flat |")
    print("|---|---|---|---|---|")
    for number, life in enumerate(lives, 1):
        points = life.quarters()
        files = " ".join(str(point.files) for point in points)
        memory = " ".join(f"{point.memory_mib:.0f}" for point in points)
        judged = len(life.samples) >= _SAMPLES_TO_JUDGE
        flat = ("yes" if life.is_flat() else "NO") if judged else "too short"
        print(f"| {number} | {points[-1].at_s:.0f} | {files} | {memory} | {flat} |")


def main() -> None:
    """Soak, finish, judge, print."""
    parser = argparse.ArgumentParser(description="a large job, faults and kills, measured")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--kill-every-s", type=float, default=20.0)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency-s", type=float, default=0.1, help="most of the time before a bill, and after it")
    parser.add_argument(
        "--faults", type=float, default=0.03, help="the share of requests that each kind of fault takes"
    )
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    shape = Shape(
        tasks=options.tasks,
        concurrency=options.concurrency,
        answers="mixed",
        latency_s=options.latency_s,
        large_every=50,
        faults=options.faults,
        seed=seed,
    )
    place, watch = Path(tempfile.mkdtemp(prefix="soak-")), Watch()
    with ExitStack() as stack:
        children = stack.enter_context(Children(patience_s=_PATIENCE_S))
        bench = stack.enter_context(open_bench(place, shape, children, providers=stack.enter_context(Providers())))
        bench.watch = watch
        unrest_s = soak(bench, options.minutes, options.kill_every_s)
        evidence = bench.evidence()
        wrong = contradictions(evidence)
        print(
            "\n| | |\n|---|---|",
            *(f"| {name} | {value} |" for name, value in figures(bench, evidence, unrest_s)),
            sep="\n",
        )
    lives = [life for life in watch.lives if life.samples]
    _print_lives(lives)
    crooked = sum(not life.is_flat() for life in lives)
    print(*wrong[:20], f"{len(wrong)} contradictions, {crooked} lives that grew", sep="\n")
    if wrong or crooked:
        print(f"everything is in {place}")
        sys.exit(1)
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
