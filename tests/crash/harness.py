"""One job that is killed again and again: a provider, a folder, runs of the command line, and the check at the end.

A `Bench` owns them. `run` is one run, killed or not; `finish` runs until the job says that it is done, settles what is
held and runs once more; `contradictions` compares what is left with the invariants. The provider outlives every kill.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from .children import ROOT, Children, End, environment
from .evidence import Evidence, Further, gather, read_bills, read_lines
from .invariants import contradictions
from .provider import REFUSED_EVERY

_RUNS_AT_MOST = 60
"""A job that is not done after so many runs in peace will never be."""
_PROVIDER_OPTIONS = ("answers", "keys", "latency_s", "large_every", "faults", "seed")
DONE, FAILED_FOR_GOOD, HELD = 0, 3, 9


@dataclass(frozen=True, slots=True)
class Shape:
    """What is bought, and how the provider answers."""

    tasks: int = 40
    concurrency: int = 8
    answers: str = "url"
    keys: bool = False
    latency_s: float = 0.02
    large_every: int = 0
    faults: float = 0.0
    seed: int = 1
    extra: str = ""
    """More lines of the job file."""


class Providers:
    """The process in which the providers live; a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.provider"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def order(self, **what: object) -> dict[str, str]:
        """Send one order to the process and return its answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the providers' process died"
        answer: dict[str, str] = json.loads(line)
        return answer


class Provider:
    """One provider, seen from outside; its folder holds the bills."""

    def __init__(self, folder: Path, shape: Shape, providers: Providers) -> None:
        self.folder = folder
        self._providers = providers
        order = {name: getattr(shape, name) for name in _PROVIDER_OPTIONS}
        self.url = providers.order(folder=str(folder), **order)["url"]

    def wait_until_quiet(self) -> None:
        """Return when no paid call is under way: the bills are complete."""
        with urllib.request.urlopen(f"{self.url}/quiet", timeout=60):
            pass

    def billed(self) -> int:
        """How many pictures it has charged for."""
        return sum(1 for _ in read_bills(self.folder))

    def requests(self) -> int:
        """How many requests it has seen, paid calls and downloads."""
        return sum(1 for _ in read_lines(self.folder / "calls.jsonl"))

    def stop(self) -> None:
        """End it; its links are dead from now on."""
        self._providers.order(close=self.url)


@dataclass(slots=True)
class Bench:
    """One job and its provider. `place` holds everything; `output` is the job's folder."""

    place: Path
    shape: Shape
    provider: Provider
    children: Children
    product: Path = ROOT
    output: Path = field(init=False)
    job: Path = field(init=False)
    kills: int = 0
    disturbed: int = 0
    """Runs that were not killed and still ended in the middle of calls: a disk refused."""
    bought_again: bool = False
    watch: Callable[[int], None] | None = None
    """Called with the process id of every run, about once a second."""

    def __post_init__(self) -> None:
        self.output = self.place / "pictures"
        self.job = self.place / "job.yaml"
        self.write_job()

    def write_job(self) -> None:
        """Write the job file; again after `shape` or `output` was changed."""
        prompts = "\n".join(f"  - task {number} a lighthouse in the fog" for number in range(self.shape.tasks))
        self.job.write_text(
            f"provider: modelverse\non_unknown: retry\nmodels: [black-forest-labs/flux.1-dev]\nseeds: 7\n"
            f"limits: {{concurrency: {self.shape.concurrency}}}\noutput: {{folder: {self.output}}}\n"
            f"{self.shape.extra}\nprompts:\n{prompts}\n",
            encoding="utf-8",
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a run."""
        return environment(self.product, self.provider.url)

    def arguments(self, *options: str) -> list[str]:
        """The command line of a run."""
        return ["run", str(self.job), "--quiet", *options]

    def run(
        self,
        *options: str,
        kill_after_s: float | None = None,
        failpoint: Mapping[str, object] | None = None,
        tracer: Sequence[str] = (),
    ) -> End:
        """One run; see `Children.run`."""
        end = self.children.run(
            self.arguments(*options),
            self.environment,
            self.place / "said.txt",
            kill_after_s=kill_after_s,
            failpoint=failpoint,
            watch=self.watch,
            tracer=tracer,
        )
        self.kills += end.killed
        return end

    def die_at(self, name: str, call: int) -> None:
        """One run that has to die at a failpoint; one that lives is a failure of the test."""
        end = self.run(failpoint={"name": name, "call": call})
        assert end.killed, f"the run never came to call {call} of “{name}”: it ended with {end.exit_code}: {end.output}"

    def finish(self, *, patient: bool = False) -> None:
        """Run in peace until the job is done, then once more; what is held is bought again by `--retry unknown`.

        A `patient` user asks for that only when no run gets further without it.
        """
        for _ in range(_RUNS_AT_MOST):
            self.provider.wait_until_quiet()
            seen = self.provider.requests()
            end = self.run()
            assert not end.killed
            if end.exit_code in {DONE, FAILED_FOR_GOOD}:
                return
            stuck = self.provider.requests() == seen
            if end.exit_code == HELD and (stuck or not patient):
                self.bought_again = True
                end = self.run("--retry", "unknown")
            assert end.exit_code in {DONE, FAILED_FOR_GOOD, HELD, 4}, (
                f"a run in peace ended with {end.exit_code}: {end.output}"
            )
            if end.exit_code in {DONE, FAILED_FOR_GOOD}:
                return
        raise AssertionError(f"the job is not done after {_RUNS_AT_MOST} runs in peace: {end.output}")

    def further(self) -> Further:
        """One more run over the finished job."""
        before, requests = _fingerprints(self.output), self.provider.requests()
        end = self.run()
        after = _fingerprints(self.output)
        changed = tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))
        return Further(end.exit_code, self.provider.requests() - requests, changed)

    def evidence(self, *, further: bool = True) -> Evidence:
        """Everything that is left, after one `further` run."""
        self.provider.wait_until_quiet()
        one_more = self.further() if further else None
        every = self.shape.tasks + 1 if not self.shape.faults else REFUSED_EVERY
        wanted = frozenset(number for number in range(self.shape.tasks) if number % every != every - 1)
        return gather(
            self.output,
            self.provider.folder,
            wanted,
            kills=self.kills + self.disturbed,
            concurrency=self.shape.concurrency,
            honours_keys=self.shape.keys,
            bought_again=self.bought_again,
            further=one_more,
        )

    def contradictions(self) -> list[str]:
        """What is wrong with what is left; empty when every promise was kept."""
        return contradictions(self.evidence())


@contextmanager
def open_bench(
    place: Path, shape: Shape, children: Children, product: Path = ROOT, providers: Providers | None = None
) -> Iterator[Bench]:
    """A bench in the folder `place`, which is made; its provider lives as long as it is open, in `providers` if given."""
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        provider = Provider(place / "provider", shape, providers or stack.enter_context(Providers()))
        stack.callback(provider.stop)
        yield Bench(place, shape, provider, children, product)


def _fingerprints(folder: Path) -> dict[str, tuple[int, int]]:
    """Each picture's name with its size and the moment of its last change."""
    files = (path for path in (folder / "images").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
