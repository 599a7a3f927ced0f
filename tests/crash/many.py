"""The long kill test: each named place and each system call alone, then random moments. `python -m tests.crash.many`.

Every kill has a job of its own, which is run to its end and judged. What is found wrong is told with its case, its folder
stays, and the exit code is 1.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .children import Children
from .harness import Bench, Providers, Shape, open_bench
from .kills import any_shape, die_alone, die_at_random, every_place, shape_for
from .syscalls import CALLS, count_calls, run_with, why_not
from .tally import Tally

_SPREAD = 10
"""At so many calls of each kind, spread over a run."""
_ERRORS = {
    "fsync": "EIO",
    "fdatasync": "EIO",
    "write": "ENOSPC",
    "pwrite64": "ENOSPC",
    "linkat": "EDQUOT",
    "renameat": "ENOSPC",
    "mkdirat": "EROFS",
    "ftruncate": "EIO",
    "openat": "EMFILE",
}
"""One call of each kind that is refused, and how."""
_ERROR_CALLS = (2, 5, 11, 23)
_TOLD_EVERY = 50

Case = tuple[str, Shape, Callable[[Bench], None]]


class Session:
    """All the jobs of one long test, a few at a time, and what they add up to."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.wrong = 0
        self.survived = 0
        """Runs that ended before they came to the system call at which they were to die."""
        self._lock = threading.Lock()
        self._told = 0

    def judge_all(self, cases: Iterable[Case], at_once: int) -> None:
        """Judge every case, in so many threads with children of their own."""
        shared = iter(cases)
        with ThreadPoolExecutor(at_once) as threads:
            for each in [threads.submit(self._judge_one_by_one, shared) for _ in range(at_once)]:
                each.result()

    def _judge_one_by_one(self, cases: Iterator[Case]) -> None:
        with Children() as children, Providers() as providers:
            while True:
                with self._lock:
                    case = next(cases, None)
                if case is None:
                    return
                self._judge(case, children, providers)

    def _judge(self, case: Case, children: Children, providers: Providers) -> None:
        """Kill one job in one way, run it to its end, and compare what is left with the promises."""
        name, shape, kill = case
        place = Path(tempfile.mkdtemp(prefix="kill-"))
        with open_bench(place, shape, children, providers=providers) as bench:
            try:
                kill(bench)
                bench.finish(patient=shape.keys)
                found = bench.contradictions()
            except AssertionError as error:
                found = [str(error)]
            tally = Tally.of(bench)
        if not found:
            shutil.rmtree(place)
        with self._lock:
            self.tally += tally
            self.wrong += bool(found)
            if found:
                print(f"{name} ({shape}) in {place}:", *found, sep="\n  ", flush=True)
            if self.tally.kills - self._told >= _TOLD_EVERY:
                self._told = self.tally.kills
                print(self.tally, flush=True)

    def calls(self) -> Iterator[Case]:
        """Each kind of system call at numbers spread over a run, for pictures by link and inside the answer."""
        for shape in (Shape(), Shape(answers="base64", large_every=5)):
            counts = _counted(shape)
            for call in CALLS:
                most = counts[call]
                steps = range(min(_SPREAD, most))
                for number in sorted({max(1, round(most * (step + 1) / (_SPREAD + 2))) for step in steps}):
                    yield f"{call}, call {number} of {most}", shape, partial(self._die_at_call, call, number)

    def _die_at_call(self, call: str, number: int, bench: Bench) -> None:
        """Die at a system call that a run may be too quick to make."""
        end = run_with(bench, f"{call}:signal=KILL:when={number}", surely=False)
        with self._lock:
            self.survived += not end.killed

    def moments(self, seed: int, kills: int) -> Iterator[Case]:
        """Random moments, until there were so many kills."""
        seeds = random.Random(seed)
        while self.tally.kills < kills:
            own = seeds.randrange(1 << 32)
            yield f"random moments of seed {own}", any_shape(own), partial(_die_at_random, own)


def places() -> Iterator[Case]:
    """Each named place, each of its calls alone."""
    for turn, (name, call) in enumerate(every_place()):
        yield f"{name}, call {call}", shape_for(name, turn), partial(_die_at_place, name, call)


def refusals() -> Iterator[Case]:
    """Each kind of system call, refused once."""
    for call, error in _ERRORS.items():
        for number in _ERROR_CALLS:
            inject = f"{call}:error={error}:when={number}"
            yield inject, Shape(answers="mixed"), partial(_refuse, inject)


def _counted(shape: Shape) -> dict[str, int]:
    with (
        tempfile.TemporaryDirectory() as place,
        Children() as children,
        open_bench(Path(place), shape, children) as bench,
    ):
        return count_calls(bench)


def _die_at_place(name: str, call: int, bench: Bench) -> None:
    die_alone(bench, name, call)


def _die_at_random(seed: int, bench: Bench) -> None:
    die_at_random(bench, seed, at_most=6)


def _refuse(inject: str, bench: Bench) -> None:
    # Other files are opened, too, before the folder is: only what is stored matters here.
    path = bench.output / "parts" if inject.startswith("openat") else None
    end = run_with(bench, inject, path=path, surely=False)
    bench.disturbed += 1
    assert end.exit_code in {0, 6}, f"a disk that refused one call ended the run with {end.exit_code}: {end.output}"


def main() -> None:
    """Kill until the number is reached, and every named place and system call has had its turn."""
    parser = argparse.ArgumentParser(description="the long kill test")
    parser.add_argument("--kills", type=int, default=500, help="at least so many, once every place has had its turn")
    parser.add_argument("--seed", type=int, help="of the random moments; a new one each time if not given")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="jobs at a time")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    session = Session()
    session.judge_all(places(), options.at_once)
    if reason := why_not():
        most = 2 * len(CALLS) * _SPREAD + len(_ERRORS) * len(_ERROR_CALLS)
        print(f"nothing was done at system calls, up to {most} jobs are left out: {reason}", flush=True)
    else:
        session.judge_all(session.calls(), options.at_once)
        session.judge_all(refusals(), options.at_once)
    session.judge_all(session.moments(seed, options.kills), options.at_once)
    if session.survived:
        print(f"{session.survived} runs ended before the system call at which they were to die")
    print(session.tally)
    print(f"{session.wrong} jobs broke a promise" if session.wrong else "every promise was kept")
    sys.exit(bool(session.wrong))


if __name__ == "__main__":
    main()
