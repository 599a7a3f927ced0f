"""A run does everything in the right order: a power cut after any of its system calls breaks no promise."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .harness import Bench, Shape
from .order import Proof
from .pictures import draw
from .syscalls import why_not
from .tally import LEFT_OUT
from .trace import tracer

Make = Callable[[Shape], Bench]


@pytest.fixture(autouse=True)
def strace_or_skip(request: pytest.FixtureRequest) -> None:
    if reason := why_not():
        request.node.user_properties.append((LEFT_OUT, reason))
        pytest.skip(f"NOT RUN: the order of system calls is unproven: {reason}")


def traced(bench: Bench, number: int = 1, failpoint: dict[str, object] | None = None) -> Path:
    """The log of one run, which is killed at the failpoint if there is one."""
    log = bench.place / f"calls-{number}.txt"
    end = bench.run(tracer=tracer(log), failpoint=failpoint)
    assert end.killed if failpoint else end.exit_code == 0, end
    bench.provider.wait_until_quiet()
    return log


_DIE_BEFORE = (
    "import sys; from tests.crash import driver, failpoints;"
    "failpoints.FAILPOINTS['here'] = failpoints.Failpoint(failpoints.BEFORE, sys.argv.pop(1)); driver.main()"
)


def traced_until(bench: Bench, function: str, call: int) -> Path:
    """The log of one run that is killed before a call of a function of the product."""
    log = bench.place / "calls-1.txt"
    child = [sys.executable, "-P", "-c", _DIE_BEFORE, function]
    where = ["--failpoint", json.dumps({"name": "here", "call": call}), "--"]
    done = subprocess.run(
        [*tracer(log), *child, *where, *bench.arguments()], env=bench.environment, cwd="/", check=False
    )
    assert done.returncode == -9
    bench.provider.wait_until_quiet()
    return log


@pytest.mark.parametrize("answers", ["url", "base64"])
def test_a_power_cut_after_any_system_call_breaks_no_promise(bench: Make, answers: str) -> None:
    run = bench(Shape(tasks=12, concurrency=4, answers=answers, large_every=12 if answers == "url" else 0))

    proof = Proof(run.place, run.output).replay(traced(run)).finished(tasks=12)

    assert proof.complaints == []
    assert proof.posts == 12
    assert proof.gets == (12 if answers == "url" else 0)
    assert proof.states > 100


@pytest.mark.parametrize(
    ("place", "call", "answers"),
    [
        ("answer read", 1, "url"),
        ("answer committed", 1, "url"),
        ("part synced", 2, "base64"),  # the first one is the kept answer's
        ("final name given", 1, "base64"),
    ],
)
def test_a_power_cut_while_a_run_settles_what_a_killed_one_left_breaks_no_promise(
    bench: Make, place: str, call: int, answers: str
) -> None:
    run = bench(Shape(tasks=1, concurrency=1, answers=answers))  # a kill cuts no second task's calls in the middle

    killed, settled = traced(run, 1, {"name": place, "call": call}), traced(run, 2)
    proof = Proof(run.place, run.output).replay(killed).replay(settled).finished(tasks=1)

    assert proof.complaints == []


def test_an_answer_that_a_killed_run_had_not_synced_is_synced_before_it_counts(bench: Make) -> None:
    run = bench(Shape(tasks=1, concurrency=1, answers="base64"))

    killed, settled = traced_until(run, "storage.disk:Folders.sync", 2), traced(run, 2)
    proof = Proof(run.place, run.output).replay(killed).replay(settled).finished(tasks=1)

    assert proof.complaints == []
    assert proof.posts == 1


def test_an_output_folder_that_a_killed_run_had_not_synced_is_synced_before_anything_is_bought(bench: Make) -> None:
    run = bench(Shape(tasks=1, concurrency=1))

    killed, settled = traced_until(run, "storage.disk:sync_folder", 1), traced(run, 2)
    proof = Proof(run.place, run.output).replay(killed).replay(settled).finished(tasks=1)

    assert proof.complaints == []
    assert proof.posts == 1


def test_a_picture_that_a_killed_run_had_not_synced_is_synced_before_it_stands_for_a_dead_link(bench: Make) -> None:
    run = bench(Shape(tasks=1, concurrency=1))

    with links_that_live_for_one_download(run):
        killed, settled = traced(run, 1, {"name": "final name given", "call": 1}), traced(run, 2)
    proof = Proof(run.place, run.output).replay(killed).replay(settled).finished(tasks=1)

    assert proof.complaints == []
    assert (proof.posts, proof.gets) == (1, 4)


@contextmanager
def links_that_live_for_one_download(bench: Bench) -> Iterator[None]:
    """Put a provider in front of the bench's own that answers one paid call and one download."""

    class Server(http.server.BaseHTTPRequestHandler):
        downloads = 0

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            link = f"http://{self.headers['Host']}/picture.png"
            self._answer(200, json.dumps({"data": [{"url": link}]}).encode())

        def do_GET(self) -> None:
            if self.path != "/picture.png":
                self._answer(200, b"")
                return
            Server.downloads += 1
            self._answer(200 if Server.downloads == 1 else 410, draw(0, 1))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
            """Nothing: tests are quiet."""

    own = bench.provider.url
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever).start()
        bench.provider.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            bench.provider.url = own
            server.shutdown()
