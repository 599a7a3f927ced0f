import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from batchgen.storage.purchases import spool_key
from batchgen.storage.recipes import strip

from .conftest import KEY, Cli, Server, bare_environment, manifest, report, sandbox_process, write_job

MODELS = "models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]\n"


def many(count: int) -> str:
    return "prompts:\n" + "".join(f"  - lamp number {number}\n" for number in range(count)) + MODELS


def start(job: Path, base_url: str, home: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "batchgen", "run", str(job)],
        env=bare_environment(home, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=base_url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_lines(path: Path, count: int) -> None:
    until = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < until, "nothing happens"
        time.sleep(0.005)


def bought(bill_file: Path) -> "Counter[tuple[str, str, int]]":
    lines = [json.loads(line) for line in bill_file.read_text().splitlines()]
    return Counter((line["model"], line["prompt"], line["seed"]) for line in lines)


def test_after_a_kill_everything_answered_is_kept_and_what_was_in_flight_is_listed(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, many(60) + "limits: {concurrency: 8}\n")

    kills = 0
    for lines in (10, 40, 80):
        process = start(job, sandbox.base_url, tmp_path)
        wait_for_lines(sandbox.bill_file, lines)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        status = json.loads(cli("status", folder, "--json").out)
        assert status["exit_code"] is None
        assert status["reason"] == "it was killed before its end"
        assert "sending" not in status["counts"]
    while cli("run", job, "--retry", "unknown", base_url=sandbox.base_url).code == 9:
        continue

    counts = bought(sandbox.bill_file)
    again = sum(counts.values()) - len(counts)
    rows = manifest(folder)
    assert len(rows) == len({row["task_id"] for row in rows}) == 120
    assert all((folder / row["file_name"]).stat().st_size == row["bytes"] for row in rows)
    assert again <= kills * 8
    assert again <= sum(row["maybe_billed"] for row in rows)
    assert not list(folder.glob("parts/*"))
    assert cli("verify", folder).code == 0


def test_what_is_paid_for_is_downloaded_again_without_a_key_and_without_buying(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, "prompts: [a lamp, a chair]\n" + MODELS)
    cli("run", job, base_url=sandbox.base_url)
    before = {row["file_name"]: row["sha256"] for row in manifest(folder)}
    missing, changed, *_ = before
    (folder / missing).unlink()
    (folder / changed).write_bytes(b"not what it was")
    job.unlink()

    verified = cli("verify", folder, key="")
    recovered = cli("recover", folder, base_url=sandbox.base_url, key="")

    after = {row["file_name"]: row["sha256"] for row in manifest(folder)}
    assert verified.code == 3
    assert "batchgen recover" in verified.err
    assert recovered.code == 0, recovered.err
    assert after[missing] == before[missing]
    assert sorted(after.values()) == sorted(before.values())
    assert (folder / changed).read_bytes() == b"not what it was"
    assert sandbox.bill()["pictures"] == 4


def test_pictures_inside_answers_are_on_disk_before_they_are_used(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(
        tmp_path,
        "prompts: [a lamp, a chair]\nmodels: [black-forest-labs/flux.1-dev]\nparams: {response_format: b64_json, n: 3}\n",
    )
    with sandbox_process(tmp_path) as server:
        ran = cli("run", job, base_url=server.base_url)

    rows = manifest(folder)
    assert ran.code == 0, ran.err
    assert sorted(row["picture"] for row in rows) == [1, 1, 2, 2, 3, 3]
    assert len({row["file_name"] for row in rows}) == 6
    assert not (folder / "spool").exists()


def test_a_spooled_answer_of_a_killed_run_is_billed_and_stored_and_not_bought_again(cli: Cli, tmp_path: Path) -> None:
    """The moment between the spool and its commit, made by hand: the answer is there whole, the row says sending."""
    import sqlite3

    folder = tmp_path / "outputs" / "foo"
    job = write_job(
        tmp_path, "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\nparams: {response_format: b64_json}\n"
    )
    with sandbox_process(tmp_path) as server:
        cli("run", job, base_url=server.base_url)
        (row,) = manifest(folder)
        body = {"data": [{"b64_json": _base64(folder / row["file_name"])}]}
        (folder / row["file_name"]).unlink()
        (folder / "spool").mkdir()
        ledger = sqlite3.connect(folder / "ledger.sqlite3")
        ((number, key),) = ledger.execute("SELECT attempt_id, idempotency_key FROM attempts").fetchall()
        (folder / "spool" / f"{spool_key(number, key)}.body").write_text(json.dumps(body))
        ledger.executescript(
            "DELETE FROM pictures; UPDATE attempts SET state = 'sending', cost = NULL; UPDATE tasks SET state = 'sending';"
            "UPDATE totals SET reserved = billed, images_reserved = images_billed, billed = 0, images_billed = 0;"
        )
        ledger.close()
        again = cli("run", job, base_url=server.base_url)
        requests = server.bill()["requests"]

    assert again.code == 0, again.err
    assert requests == 1
    assert [stored["sha256"] for stored in manifest(folder)] == [row["sha256"]]


def _base64(path: Path) -> str:
    import base64

    return base64.b64encode(strip(path.read_bytes())).decode()


def test_one_signal_lets_paid_calls_end_and_the_next_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, many(40) + "limits: {concurrency: 4}\n")
    with sandbox_process(tmp_path, "--latency", "0.2") as server:
        process = start(job, server.base_url, tmp_path)
        wait_for_lines(server.bill_file, 5)
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        billed = server.bill()["pictures"]

    assert code == 130
    assert report(folder)["counts"]["unknown"] == 0
    assert len(manifest(folder)) == billed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_two_signals_leave_at_once_with_everything_written_down(
    number: signal.Signals, code: int, tmp_path: Path, cli: Cli
) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, many(4) + "limits: {concurrency: 4}\n")
    with sandbox_process(tmp_path, "--faults", "slow") as server:
        process = start(job, server.base_url, tmp_path)
        until = time.monotonic() + 30
        while server.bill()["requests"] < 4:
            assert time.monotonic() < until
            time.sleep(0.02)
        for _ in range(3):  # two that arrive together count as one
            process.send_signal(number)
            time.sleep(0.2)
        ended = process.wait(30)

    status = json.loads(cli("status", folder, "--json", key="").out)
    assert ended == code
    assert status["counts"]["unknown"] == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a second process")
def test_a_second_run_on_the_same_folder_is_refused_or_skipped(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, many(30) + "limits: {concurrency: 2}\n")
    with sandbox_process(tmp_path, "--latency", "0.3") as server:
        process = start(job, server.base_url, tmp_path)
        wait_for_lines(server.bill_file, 1)
        refused = cli("run", job, base_url=server.base_url)
        skipped = cli("run", job, "--if-locked", "skip", base_url=server.base_url)
        process.send_signal(signal.SIGINT)
        process.wait(60)

    assert (refused.code, skipped.code) == (8, 0)
    assert str(process.pid) in refused.err
