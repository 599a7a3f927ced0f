"""Every fault that a provider's wire can have, through the whole engine: money, files and time stay as promised."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from batchgen.api import fetch
from batchgen.clock import RealClock
from batchgen.engine.run import RunOptions, run
from batchgen.errors import Exit
from batchgen.sandbox import wire
from batchgen.sandbox.bad_pictures import IN_THE_DRAWING
from batchgen.sandbox.drawing import draw
from batchgen.sandbox.faults import KINDS, parse_faults
from batchgen.sandbox.kinds import BILLED
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.page import read_order
from batchgen.sandbox.plan import plan_pictures
from batchgen.sandbox.server import Sandbox, start_sandbox
from batchgen.spec.load import load_job
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import FILE_NAME, Ledger
from batchgen.storage.recipes import strip

from .conftest import KEY, bare_environment

DEV = "black-forest-labs/flux.1-dev"
SCALE = 0.1
MEMORY_AT_MOST = 400 * 1024 * 1024


class JumpingClock(RealClock):
    """The machine's clock, which jumps to the end of every wait."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self._ahead_s

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        await asyncio.sleep(0.001)
        self._ahead_s += max(0.0, end - self.monotonic())


@dataclass(frozen=True)
class Purchase:
    """How one task ended, as the ledger has it."""

    calls: tuple[str, ...]
    state: str
    exit_code: int


class Bench:
    """A sandbox and a job's folder in this process."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.home = home
        self.sandbox = sandbox
        self.folder = home / "outputs" / "foo"

    async def go(self, prompts: list[str], limits: str = "timeout: 20") -> dict[str, Any]:
        """Run the prompts to the end, which must come by itself."""
        path = self.home / "foo.yaml"
        path.write_text(
            f"prompts: {json.dumps(prompts)}\nmodels: [{DEV}]\nlimits: {{{limits}, give_up_after: 60}}\n",
            encoding="utf-8",
        )
        job = load_job(path, environment={"MODELVERSE_BASE_URL": self.sandbox.base_url})
        with ResultFolder(self.folder) as folder:
            ledger = Ledger(self.folder / FILE_NAME)
            try:
                options = RunOptions(key=KEY)
                running = run(job, options, folder, ledger, clock=JumpingClock(), listeners=[])
                return await asyncio.wait_for(running, 30)
            finally:
                ledger.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        ledger = sqlite3.connect(self.folder / FILE_NAME)
        try:
            return ledger.execute(query).fetchall()
        finally:
            ledger.close()

    def spent(self) -> int:
        """What the ledger counts as spent or maybe spent, in millionths."""
        ((amount,),) = self.rows("SELECT SUM(billed + maybe + reserved) FROM totals WHERE scope = 'life'")
        return int(amount)

    def stored(self) -> list[tuple[str, int, bytes]]:
        """Prompt, seed and bytes of every stored picture."""
        rows = self.rows(
            "SELECT record, file_name FROM pictures JOIN tasks USING (task_id) WHERE pictures.state = 'stored'"
        )
        records = [(json.loads(record), self.folder / name) for record, name in rows]
        return [(record["prompt"], record["seed"], strip(path.read_bytes())) for record, path in records]


@pytest.fixture
async def benches(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    started: list[Sandbox] = []

    async def start(**options: Any) -> Bench:
        started.append(await start_sandbox(SandboxOptions(latency=0, scale=SCALE, **options)))
        return Bench(tmp_path, started[-1])

    yield start
    for sandbox in started:
        await sandbox.stop()


def drawn(prompt: str, seed: int, count: int = 2, flaw: str = "") -> list[bytes]:
    """The pictures that the sandbox draws for a prompt, worked out without asking it."""
    order = read_order({"model": DEV, "prompt": prompt, "seed": seed})
    sketches = plan_pictures(order, seed, (), count=count, scale=SCALE, picture_format="by-model")
    return [draw(replace(each, flaw=flaw)) for each in sketches]


REFUSED = Purchase(("failed",), "failed", Exit.TASKS_FAILED)
ACCOUNT = Purchase(("returned",), "pending", Exit.ACCOUNT)
STOPPED = Purchase(("returned",), "pending", Exit.UNAVAILABLE)
LATER = Purchase(("returned", "billed"), "stored", Exit.DONE)
TWICE = Purchase(("unknown", "billed"), "stored", Exit.DONE)
UNKNOWN = Purchase(("unknown", "unknown"), "unknown", Exit.HELD)
STORED = Purchase(("billed",), "stored", Exit.DONE)
LOST = Purchase(("billed",), "lost", Exit.TASKS_FAILED)
EXPIRED = Purchase(("billed",), "expired", Exit.TASKS_FAILED)
WAITING = Purchase(("billed",), "billed", Exit.UNAVAILABLE)

EXPECTED = {
    **dict.fromkeys(("400", "400-content", "400-sensitive", "404", "500-moderation"), REFUSED),
    **dict.fromkeys(("400-permission", "400-quota", "401", "402", "403-quota", "403-permission"), ACCOUNT),
    **dict.fromkeys(("429-hour", "302", "307"), STOPPED),
    **dict.fromkeys(("429@1", "429-bare@1", "429-negative@1", "429-nan@1", "429-inf@1", "429-words@1"), LATER),
    **dict.fromkeys(("429-ages@1", "429-past@1", "429-skewed@1", "503@1"), LATER),
    **dict.fromkeys(("408@1",), TWICE),
    **dict.fromkeys(("204", "999", "500", "500-upstream", "502-html", "refuse-disconnect"), UNKNOWN),
    **dict.fromkeys(("504", "disconnect", "slow", "drip", "half-status", "not-http", "two-lengths"), UNKNOWN),
    **dict.fromkeys(("long-header", "many-headers", "truncated", "cut-chunks"), UNKNOWN),
    **dict.fromkeys(("html", "error-200", "cut-close", "empty", "cut-json", "null", "empty-object"), LOST),
    **dict.fromkeys(("wrong-types", "deep-json", "long-number", "nan", "bad-utf8", "half-character"), LOST),
    **dict.fromkeys(("gzip-bomb", "list-bomb", "endless", "bad-b64", "no-data", "item-error"), LOST),
    **dict.fromkeys(("whole-close", "double-keys", "bom", "rot13", "stale-late"), STORED),
    **dict.fromkeys(("fewer", "more", "both", "b64-prefix", "b64-bare"), STORED),
    **dict.fromkeys(("picture-403-twice", "picture-500-once", "picture-whole-close", "picture-trailing"), STORED),
    **dict.fromkeys(("picture-black", "picture-same", "picture-near", "picture-wrong-size"), STORED),
    **dict.fromkeys(("picture-truncated", "picture-cut-chunks", "picture-drip"), WAITING),
    **dict.fromkeys(("picture-cut-close", "picture-endless", "picture-gzip-bomb", "picture-pixel-bomb"), LOST),
    **dict.fromkeys(("picture-redirect-inner", "picture-redirect-file", "picture-redirect-plain"), LOST),
    **dict.fromkeys(("picture-redirect-loop", "picture-html", "picture-eps", "picture-svg", "picture-tiff"), LOST),
    **dict.fromkeys(("picture-gif", "picture-flipped"), LOST),
    "picture-404": EXPIRED,
}
"""What each fault comes to. `@1` are faults of one call alone: nothing but waiting is done about them."""

UNASKED = ("stale", "idle-408")
"""What follows right behind an answer may reach the client together with it: then it is no answer that HTTP allows."""


def test_every_fault_has_its_row() -> None:
    assert {kind.partition("@")[0] for kind in EXPECTED} | {*UNASKED} == set(KINDS)


@pytest.mark.parametrize("kind", [*EXPECTED, *UNASKED])
async def test_a_fault_is_booked_as_what_it_is_and_nothing_is_sent_too_often(
    kind: str, benches: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "DRIP_EVERY_S", 0.02)
    monkeypatch.setattr(fetch, "SLOW_FOR_S", 0.03 if kind == "picture-drip" else 30.0)
    bench = await benches()
    prompt = f"lamp [[fault:{kind}]]"

    report = await bench.go([prompt], "timeout: 0.4s" if kind in {"slow", "drip"} else "timeout: 20s")

    calls = tuple(state for (state,) in bench.rows("SELECT state FROM attempts ORDER BY attempt_id"))
    ((state,),) = bench.rows("SELECT state FROM tasks")
    found = Purchase(calls, state, report["exit_code"])
    assert found in ([UNKNOWN, TWICE, STORED] if kind in UNASKED else [EXPECTED[kind]])
    assert bench.sandbox.bill.requests == len(calls) <= 2
    assert bench.spent() >= bench.sandbox.bill.cost * 1_000_000
    assert len(bench.stored()) == (0 if state != "stored" else 2 if kind == "more" else 1)
    for _, seed, data in bench.stored():
        if kind not in IN_THE_DRAWING:
            trail = b"<script>alert(1)</script>" if kind == "picture-trailing" else b""
            assert data in [whole + trail for whole in drawn(prompt, seed)]


@pytest.mark.parametrize("kind", ["stale-late", "stale", "idle-408"])
async def test_an_answer_that_nobody_asked_for_is_never_filed_under_a_prompt(
    kind: str, benches: Callable[..., Any]
) -> None:
    bench = await benches(faults=parse_faults(kind))
    prompts = [f"a paper boat, number {number}" for number in range(30)]

    await bench.go(prompts)

    stored = bench.stored()
    if kind == "stale-late":
        assert sorted(prompt for prompt, _, _ in stored) == sorted(prompts)
    assert all([data] == drawn(prompt, seed, 1) for prompt, seed, data in stored)
    assert bench.spent() >= bench.sandbox.bill.cost * 1_000_000


async def test_faults_of_every_kind_at_once_leave_the_other_tasks_alone(benches: Callable[..., Any]) -> None:
    """A third of the calls goes wrong, in all the ways that break no other task: the rest is stored, and is its own."""
    kinds = [kind for kind in BILLED if kind not in {"slow", "drip", "endless", "gzip-bomb", "list-bomb", *UNASKED}]
    bench = await benches(faults=parse_faults(",".join(f"{kind}@{5 + 3 * place}" for place, kind in enumerate(kinds))))
    prompts = [f"a paper boat, number {number}" for number in range(4 * len(kinds))]

    report = await bench.go(prompts)

    stored = bench.stored()
    assert len(stored) > len(prompts) / 2
    assert report["counts"]["done"] > len(prompts) / 2
    assert bench.sandbox.bill.requests <= len(prompts) + len(kinds)
    assert bench.spent() >= bench.sandbox.bill.cost * 1_000_000


_MEASURED = (
    "import resource, subprocess, sys\n"
    "code = subprocess.call(sys.argv[1:])\n"
    "print('kilobytes', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    "sys.exit(code)\n"
)
KILO = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ran:
    code: int
    said: str
    peak_bytes: int


async def command_line(home: Path, sandbox: Sandbox, prompts: list[str], limits: str, **environment: str) -> Ran:
    """`batchgen run` as a process of its own, and the most memory that it took."""
    path = home / "jobs" / "foo.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"prompts: {json.dumps(prompts)}\nmodels: [{DEV}]\nlimits: {{{limits}}}\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MEASURED, sys.executable, "-m", "batchgen", "run", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=bare_environment(home, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url, **environment),
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    said = err.decode()
    assert "Traceback" not in said, said
    return Ran(process.returncode or 0, said, int(out.split()[-1]) * KILO)


@pytest.mark.parametrize(
    "kinds",
    [
        ("endless", "gzip-bomb", "endless", "gzip-bomb"),
        ("gzip-bomb", "picture-gzip-bomb", "list-bomb", "picture-endless", "deep-json", "picture-pixel-bomb"),
    ],
    ids=["four answers at once", "one of each"],
)
async def test_bombs_take_little_memory(kinds: tuple[str, ...], benches: Callable[..., Any], tmp_path: Path) -> None:
    bench = await benches()
    prompts = [f"lamp {number} [[fault:{kind}]]" for number, kind in enumerate(kinds)]

    ran = await command_line(tmp_path, bench.sandbox, prompts, "concurrency: 4")

    assert ran.code == Exit.TASKS_FAILED, ran.said
    assert bench.sandbox.bill.requests == len(kinds)
    assert ran.peak_bytes < MEMORY_AT_MOST


BAD_TLS = {
    "self-signed": "signed by nobody but itself",
    "expired": "has expired",
    "wrong-host": "is for another host",
    "old": "perhaps it speaks no TLS 1.2",
}


@pytest.mark.parametrize("kind", BAD_TLS)
async def test_nothing_is_sent_to_a_server_that_cannot_be_trusted(
    kind: str, benches: Callable[..., Any], tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    bench = await benches(tls=kind, tls_ca=authority)

    ran = await command_line(tmp_path, bench.sandbox, ["a lamp"], "give_up_after: 1", SSL_CERT_FILE=str(authority))

    assert ran.code == Exit.UNAVAILABLE, ran.said
    assert bench.sandbox.bill.requests == 0
    assert f"127.0.0.1:{bench.sandbox.port}" in ran.said
    assert BAD_TLS[kind] in ran.said


async def test_an_authority_that_the_environment_names_is_trusted(benches: Callable[..., Any], tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    bench = await benches(tls="good", tls_ca=authority)

    ran = await command_line(tmp_path, bench.sandbox, ["a lamp"], "timeout: 20", SSL_CERT_FILE=str(authority))

    assert ran.code == Exit.DONE, ran.said
    assert len(bench.stored()) == 1
