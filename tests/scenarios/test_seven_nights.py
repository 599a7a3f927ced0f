"""Seven nights that nobody watches, on virtual dates, through the real command line in the bare environment that cron gives.

Each night leaves its exit code, its mail or silence, its report and its news; on the eighth morning nothing paid for is
lost, nothing was paid for twice in silence, and `history` tells what happened.
"""

import datetime
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.notify.receiver import Receiver, receiving

from .conftest import KEY, Ran, Server, manifest, report, sandbox_process, write_job

JOB = """\
prompts: [{file: prompts.txt}]
models: [black-forest-labs/flux.1-dev]
seeds: {count: 1, renew: daily}
budget: {images: 8, per: run}
limits: {concurrency: 2, give_up_after: 3s}
notify:
  - {to: webhook, url_env: HOOK, on: [failure, change]}
  - {to: heartbeat, url_env: BEAT}
"""
PROMPTS = ["a lamp", "a cup", "a fox", "a chair", "a tree", "a boat", "a stone", "a bird"]
MORE = ["a bell", "a door", "a wheel", "a star"]
FIRST = datetime.date(2026, 5, 4)

VIRTUAL = """\
import os
import time_machine
time_machine.travel(float(os.environ["VIRTUAL_NOW"]), tick=True).start()
"""


@dataclass
class House:
    """One small machine: its job, its cron, and those who are told."""

    home: Path
    job: Path
    news: Receiver
    beats: Receiver
    heard: int = 0
    beaten: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.home / "outputs" / "nightly"

    def environment(self, night: int, hour: float) -> dict[str, str]:
        """What cron gives, and a clock that shows `hour` hours after the midnight that follows the night's evening."""
        day = datetime.datetime.combine(FIRST + datetime.timedelta(days=night), datetime.time())
        now = day.timestamp() + hour * 3600
        return {
            "HOME": str(self.home),
            "LOGNAME": "me",
            "PATH": "/usr/bin:/bin",
            "SHELL": "/bin/sh",
            "PYTHONPATH": str(self.home / "virtual"),
            "VIRTUAL_NOW": str(now),
        }

    def start(self, night: int, *arguments: object, hour: float = 2.0) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "batchgen", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=self.environment(night, hour),
        )

    def cron(self, night: int, *, hour: float = 2.0) -> "subprocess.Popen[str]":
        """The line that `schedule` prints: see its own tests."""
        return self.start(night, "run", "--quiet", "--yes", "--if-locked", "skip", self.job, hour=hour)

    def end(self, process: "subprocess.Popen[str]") -> Ran:
        out, err = process.communicate(timeout=100)
        assert "Traceback" not in err, err
        return Ran(process.returncode, out, err)

    def told(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The news since the last question, and the heartbeats."""
        news, beats = self.news.got[self.heard :], self.beats.got[self.beaten :]
        self.heard, self.beaten = len(self.news.got), len(self.beats.got)
        return [got.json() for got in news], [got.path for got in beats]

    def write_prompts(self, prompts: list[str]) -> None:
        (self.job.parent / "prompts.txt").write_text("".join(f"{line}\n" for line in prompts))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with receiving() as news, receiving() as beats:
        job = write_job(tmp_path, JOB, "nightly.yaml")
        (tmp_path / "virtual").mkdir()
        (tmp_path / "virtual" / "sitecustomize.py").write_text(VIRTUAL)
        yield House(tmp_path, job, news, beats)


@contextmanager
def provider(house: House, *options: str, port: int = 0) -> Iterator[Server]:
    with sandbox_process(house.home, *options, port=port) as server:
        file = house.job.with_name(".env")
        file.write_text(
            f"MODELVERSE_API_KEY={KEY}\nMODELVERSE_BASE_URL={server.base_url}\nHOOK={house.news.url}/hook\nBEAT={house.beats.url}/beat\n"
        )
        file.chmod(0o600)
        yield server


def is_mail(ran: Ran) -> bool:
    """Cron mails what is printed; quiet runs print one line or nothing."""
    assert ran.out == ""
    assert ran.err.count("\n") <= 1, ran.err
    return bool(ran.err)


def billed(house: House) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (house.home / "bill.jsonl").read_text().splitlines()]


@pytest.mark.timeout(300)
def test_seven_nights(house: House) -> None:
    house.write_prompts(PROMPTS)

    # The first night is clean.
    with provider(house) as server:
        port = int(server.base_url.rsplit(":", 1)[1].split("/")[0])
        ran = house.end(house.cron(0))
    assert (ran.code, is_mail(ran)) == (0, False)
    assert report(house.folder)["night"] == "2026-05-03"
    assert house.told() == ([], ["/beat/start", "/beat"])

    # In the second one the provider is down.
    ran = house.end(house.cron(1))
    assert (ran.code, is_mail(ran)) == (4, True)
    assert report(house.folder)["counts"]["pending"] == 8
    (news,), beats = house.told()
    assert (news["exit_code"], beats) == (4, ["/beat/start", "/beat/fail"])
    assert news["text"].startswith("batchgen nightly: ")
    assert news["text"].splitlines()[-1] == f"batchgen run {house.job}"

    # In the third one the run is killed at three.
    with provider(house, "--latency", "0.5", port=port):
        before, process = len(billed(house)), house.cron(2, hour=2.999)
        until = time.monotonic() + 60
        while len(billed(house)) < before + 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert report(house.folder)["night"] == "2026-05-04"  # of the night before: it could write none
    assert house.told() == ([], ["/beat/start"])

    # In the fourth one a second run finds the first one still at work.
    with provider(house, "--latency", "2.5", port=port):
        process = house.cron(3)
        until = time.monotonic() + 60
        while not house.beats.got[house.beaten :]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
        process.send_signal(signal.SIGSTOP)  # it is still at work, however long the others take to begin
        try:
            skipped = house.end(house.cron(3, hour=2.5))
            by_hand = house.end(house.start(3, "run", house.job, hour=2.5))
        finally:
            process.send_signal(signal.SIGCONT)
        ran = house.end(process)
    assert (skipped.code, is_mail(skipped)) == (0, False)
    assert by_hand.code == 8
    assert f"process {process.pid}" in by_hand.err
    assert re.search(r"for (29|30) minutes\) is working on it", by_hand.err)
    assert (ran.code, is_mail(ran)) == (0, False)
    news_of_night, beats = house.told()
    assert [(news["event"], news["exit_code"]) for news in news_of_night] == [("failure", 8), ("success", 0)]
    assert "the run before was killed" in news_of_night[-1]["text"]
    assert beats == ["/beat/start", "/beat/fail", "/beat"]

    # In the fifth one there are more prompts than the budget of a run.
    house.write_prompts(PROMPTS + MORE)
    with provider(house, port=port):
        ran = house.end(house.cron(4))
    assert (ran.code, is_mail(ran)) == (5, True)
    (news,), _ = house.told()
    assert "budget" in news["text"]
    house.write_prompts(PROMPTS)

    # In the sixth one two prompts are refused.
    with provider(house, "--faults", "400~cup,400~fox", port=port):
        ran = house.end(house.cron(5))
    assert (ran.code, is_mail(ran)) == (3, True)
    (news,), beats = house.told()
    assert "2 refused, not billed" in news["text"]
    assert beats == ["/beat/start", "/beat/fail"]

    # In the seventh one the machine is off. On the eighth morning:
    with provider(house, port=port) as server:
        ran = house.end(house.cron(7))
        base_url = server.base_url
        status = json.loads(house.end(house.start(7, "status", house.job, "--json", hour=9)).out)
        history = house.end(house.start(7, "history", house.job, hour=9))
        told = json.loads(house.end(house.start(7, "history", house.job, "--json", hour=9)).out)
        verified = house.end(house.start(7, "verify", house.job, hour=9))
    assert base_url.endswith(f":{port}/v1")
    assert (ran.code, is_mail(ran)) == (0, False)
    (news,), _ = house.told()
    assert (news["event"], "the run before ended with exit code 3" in news["text"]) == ("success", True)
    assert verified.code == 0, verified.out
    check_the_eighth_morning(house, status)
    check_history(told, history.out)


def check_the_eighth_morning(house: House, status: dict[str, Any]) -> None:
    bill = Counter((entry["prompt"], entry["seed"]) for entry in billed(house))
    kept = Counter((row["prompt"], row["seed"]) for row in manifest(house.folder))
    maybe = list(status["unknown"])
    assert set(bill.values()) == {1}  # nothing was paid for twice
    assert not kept - bill
    assert sum((bill - kept).values()) <= len(maybe) <= 2  # what was in flight when the run was killed
    assert all((house.folder / row["file_name"]).is_file() for row in manifest(house.folder))
    assert status["money"]["spent"] == f"{len(kept) * 0.1:.2f}"


def check_history(told: dict[str, Any], page: str) -> None:
    rows = {row["night"]: row for row in told["rows"]}
    assert list(rows) == [f"2026-05-{day:02}" for day in range(3, 11)]
    assert [row.get("exit_code") for row in rows.values()] == [0, 4, None, 0, 5, 3, None, 0]
    assert rows["2026-05-04"]["not_bought"] == 8
    killed = rows["2026-05-05"]
    assert killed["ended"].startswith("killed; last sign of life Wed 06 May 0")
    assert killed["not_bought"] == 8 - killed["billed_pictures"] - killed["maybe_billed_pictures"]
    assert rows["2026-05-07"]["not_bought"] == 4
    assert rows["2026-05-08"]["ended"] == "2 refused"
    assert rows["2026-05-09"]["ended"] == "missed: no run began"
    for words in ("budget", "4 not bought", "killed; last sign", "missed: no run began", "1 night missed"):
        assert words in " ".join(page.split()), page
