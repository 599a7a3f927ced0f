"""Power cuts: the product's output folder lies on an ext4 of its own, which forgets what was not synced when it is cut off.

Run as a program: `python -m tests.crash.power --points 20`. At each point a run is killed at a named place or at a random
moment, the file system is shut down without writing back anything (an ioctl), mounted again, and the job is run to its
end; then the invariants are checked. The run is dead before the cut: an fsync that is under way during this ioctl now and
then reports success for what is lost, and no real power cut leaves a program that could act on that.

With `--mutant NAME` the product is one with a promise taken out, and red points are what one wants to see. Needs root and
loop mounts, in a mount namespace that ends with the program; where that is not permitted it says so, loudly, and ends
with `NOT_RUN`.
"""

import argparse
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .children import ROOT, Children
from .failpoints import FAILPOINTS
from .harness import Bench, Providers, Shape, open_bench
from .mutants import MUTANTS, product_with
from .tally import Tally

NOT_RUN = 77
"""The exit code of a program that could not do what it was asked for here."""

_SIZE = 4 * 1024**3
"""Of the disk, which takes up only what is written: the product stops buying on one with less than a GiB left."""
_SHUTDOWN = 0x8004587D
_WRITE_NOTHING_BACK = struct.pack("I", 2)
_LAZY = "loop,commit=600,noauto_da_alloc"
"""Nothing reaches this disk by itself: no journal commit each five seconds, no write-back after a rename."""

_PLACES = (
    *("stored committed", "intent committed", "answer committed", "manifest appended", "call sent", "answer read"),
    *("final name given", "folder synced", "answer spooled", "spool dropped", "run over"),
)
"""Where half of the points lie: right after something that must not be forgotten, or right before it is made sure."""


class Disk:
    """A file system in a file, mounted at `at`."""

    def __init__(self, image: Path, at: Path) -> None:
        self._image = image
        self.at = at
        at.mkdir()
        with image.open("wb") as file:
            file.truncate(_SIZE)

    def format(self) -> None:
        """Make it empty."""
        _do("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(self._image))

    def mount(self) -> None:
        """Make it readable and writable; a journal that was left is replayed."""
        _do("mount", "-o", _LAZY, str(self._image), str(self.at))

    def cut(self) -> None:
        """The power fails: from now on nothing is written, and what was not is forgotten."""
        folder = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, _WRITE_NOTHING_BACK)
        finally:
            os.close(folder)

    def unmount(self) -> None:
        """Take it away."""
        _do("umount", str(self.at))


@dataclass(frozen=True, slots=True)
class Point:
    """One power cut: at a call of a named place, or after some seconds."""

    shape: Shape
    place: str = ""
    call: int = 1
    moment_s: float = 0.0

    def __str__(self) -> str:
        where = f"call {self.call} of “{self.place}”" if self.place else f"after {self.moment_s:.2f} s"
        return f"{where}, answers by {self.shape.answers}"


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")


def points(count: int, seed: int, tasks: int, duration_s: float) -> Iterator[Point]:
    """Named places and random moments by turns; late ones, when the ledger's log is written over from its start."""
    choice = random.Random(seed)
    places = list(_PLACES)
    choice.shuffle(places)
    for number in range(count):
        shape = Shape(tasks=tasks, answers=("url", "base64")[number // 2 % 2], seed=number, large_every=20)
        if number % 2:
            yield Point(shape, moment_s=choice.uniform(0.05, duration_s))
            continue
        place = places[number // 2 % len(places)]
        point = FAILPOINTS[place]
        shape = replace(shape, answers=point.needs or shape.answers)
        yield Point(shape, place, 1 if point.once else choice.randint(tasks // 2, tasks - 8))


def cut_and_finish(bench: Bench, disk: Disk, point: Point) -> list[str]:
    """One power cut, the next morning, and what is wrong then."""
    if point.place:
        bench.die_at(point.place, point.call)
    else:
        bench.run(kill_after_s=point.moment_s)
    disk.cut()
    disk.unmount()
    disk.mount()
    try:
        bench.finish()
    except AssertionError as error:
        return [f"the job cannot be finished: {error}"]
    return bench.contradictions()


@contextmanager
def _on(disk: Disk, bench: Bench) -> Iterator[Bench]:
    """A bench whose output folder lies on the disk, which is empty."""
    disk.format()
    disk.mount()
    try:
        bench.output = disk.at / "pictures"
        bench.write_job()
        yield bench
    finally:
        disk.unmount()


def _forgets(disk: Disk) -> bool:
    """Whether a power cut on this disk is one: a synced file stays and another one goes."""
    disk.format()
    disk.mount()
    try:
        for name in ("kept", "forgotten"):
            (disk.at / name).write_text(name)
            if name == "kept":
                os.sync()
        disk.cut()
    finally:
        disk.unmount()
    disk.mount()
    left = [path.name for path in disk.at.iterdir()]
    disk.unmount()
    return "kept" in left and "forgotten" not in left


def _duration_of_a_run(bench: Bench) -> float:
    started = time.monotonic()
    end = bench.run()
    assert end.exit_code == 0, end.output
    return time.monotonic() - started


def _all_points(options: argparse.Namespace, place: Path, disk: Disk) -> int:
    """Every point, told as it was found. Returns how many were red."""
    product = product_with(options.mutant, place) if options.mutant else ROOT
    total, red = Tally(), 0
    with Children(product) as children, Providers() as providers:
        with (
            open_bench(place / "clean", Shape(tasks=options.tasks), children, product, providers) as bench,
            _on(disk, bench),
        ):
            duration_s = _duration_of_a_run(bench)
        for number, point in enumerate(points(options.points, options.seed, options.tasks, duration_s), start=1):
            bench_of = open_bench(place / str(number), point.shape, children, product, providers)
            with bench_of as bench, _on(disk, bench):
                wrong = cut_and_finish(bench, disk, point)
                total += Tally.of(bench)
            red += bool(wrong)
            print(f"{number:3} {point}: {'RED' if wrong else 'whole'}", *wrong[:3], sep="\n      ", flush=True)
    print(f"power cuts {options.points}, {total}, red {red}", flush=True)
    return red


def _inside(options: argparse.Namespace, place: Path) -> int:
    """What `main` does in a mount namespace of its own."""
    try:
        disk = Disk(place / "disk.img", place / "disk")
        trouble = "" if _forgets(disk) else "a file that was never synced survived a power cut here"
    except OSError as error:
        trouble = str(error)
    if trouble:
        print(f"power loss: {options.points} points NOT RUN: {trouble}", flush=True)
        return NOT_RUN
    return 1 if _all_points(options, place, disk) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="power cuts on an ext4 of its own, and what is left of a job")
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--tasks", type=int, default=160, help="from 100 on the ledger's log is written over")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="a product with a promise taken out: red is right")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut the power again and again; 0 when every promise was kept, 1 when not, `NOT_RUN` where it is not permitted."""
    options = _options(arguments)
    if options.inside:
        with tempfile.TemporaryDirectory(prefix="power-") as place:
            return _inside(options, Path(place))
    print(f"power loss: {options.points} points, seed {options.seed}, mutant {options.mutant or 'none'}", flush=True)
    wanted = [f"--{name}={value}" for name, value in vars(options).items() if value and name != "inside"]
    command = [sys.executable, "-P", "-m", "tests.crash.power", "--inside", *wanted]
    try:
        _do("unshare", "-m", "true")
    except OSError as error:
        print(f"power loss: {options.points} points NOT RUN: {error}", flush=True)
        return NOT_RUN
    return subprocess.run(["unshare", "-m", *command], cwd=ROOT, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))  # where mkfs.ext4 lives
    return dict(os.environ) | {"PYTHONPATH": str(ROOT), "PATH": path}


if __name__ == "__main__":
    sys.exit(main())
