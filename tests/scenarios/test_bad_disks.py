"""What a full, read-only, vanishing or damaged disk does to a run: it stops buying, keeps what is paid, says what to do."""

import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from .conftest import KEY, Cli, Server, bare_environment, manifest, report, write_job
from .mounts import needs_mounts, on_a_disk_of_its_own

JOB = """
prompts: [{prompts}]
models: [black-forest-labs/flux.1-dev]
limits: {{concurrency: {concurrency}}}
"""


def _job(tmp_path: Path, count: int, concurrency: int = 4) -> Path:
    prompts = ", ".join(f"lamp {number}" for number in range(count))
    return write_job(tmp_path, JOB.format(prompts=prompts, concurrency=concurrency))


def in_the_middle(job: Path, folder: Path, home: Path, server: Server) -> "subprocess.Popen[str]":
    """A run that has stored its first picture and has many to go."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgen", "run", str(job)],
        stderr=subprocess.PIPE,
        text=True,
        env=bare_environment(home, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
    )
    while not manifest(folder):
        assert process.poll() is None
        time.sleep(0.02)
    return process


@needs_mounts
def test_below_a_gibibyte_of_free_space_nothing_is_bought_and_with_room_the_run_goes_on(
    tmp_path: Path, sandbox: Server
) -> None:
    job = _job(tmp_path, 3)
    script = f"""
    head -c 100000000 /dev/zero > $OUT/filler
    $CLI run {job} --quiet; echo $?
    cat $OUT/report.json | grep '"reason"'
    rm $OUT/filler
    $CLI run {job} --quiet; echo $?
    wc -l < $OUT/manifest.jsonl
    """

    ran = on_a_disk_of_its_own(tmp_path, tmp_path / "outputs" / "foo", "size=1100m", script, sandbox.base_url)

    first, reason, second, stored = ran.out.split("\n")[:4]
    assert (first, second, stored.strip()) == ("6", "0", "3")
    assert "MiB are free on the disk of" in reason
    assert "make room and run again" in reason
    assert "make room and run again" in ran.err
    assert sandbox.bill()["requests"] == 3


@needs_mounts
def test_a_warning_says_at_the_start_that_the_pictures_will_not_fit(tmp_path: Path, sandbox: Server) -> None:
    job = write_job(
        tmp_path,
        "prompts: [lamp]\nmodels: [black-forest-labs/flux.1-dev]\nseeds: {count: 200}\n",
    )
    script = f"$CLI run {job} --max-cost 0.2"

    ran = on_a_disk_of_its_own(tmp_path, tmp_path / "outputs" / "foo", "size=1300m", script, sandbox.base_url)

    assert "200 pictures need about 400 MiB (taken for 2 MiB each)" in ran.err
    assert "will stop buying below 1.0 GiB" in ran.err


@needs_mounts
def test_a_disk_that_fills_up_in_the_middle_loses_and_doubles_nothing(tmp_path: Path, sandbox: Server) -> None:
    job = _job(tmp_path, 40)
    folder = tmp_path / "outputs" / "foo"
    script = f"""
    $CLI run {job}; echo $?
    mount -o remount,nr_inodes=1000 $OUT
    $CLI run {job} --quiet; echo $?
    wc -l < $OUT/manifest.jsonl
    find $OUT/images -type f | wc -l
    """

    # Places for files run out long before bytes do, which is told as "no space left" all the same.
    ran = on_a_disk_of_its_own(tmp_path, folder, "size=2g,nr_inodes=40", script, sandbox.base_url)

    first, second, stored, files = ran.out.split()
    assert first == "6"
    assert "the disk is full" in ran.err
    assert "next: Free some space" in ran.err
    assert (second, stored, files) == ("0", "40", "40")
    assert sandbox.bill()["requests"] == 40


@needs_mounts
def test_another_program_that_fills_the_disk_costs_no_picture(tmp_path: Path, slow_sandbox: Server) -> None:
    job = _job(tmp_path, 60, concurrency=8)
    script = f"""
    $CLI run {job} --quiet & RUN=$!
    until [ -s $OUT/manifest.jsonl ]; do sleep 0.05; done
    until mount -o remount,size=$(df -k --output=used $OUT | tail -1 | tr -d ' ')k $OUT 2> /dev/null; do :; done
    wait $RUN; echo $?
    mount -o remount,size=1200m $OUT
    $CLI run {job} --quiet; echo $?
    wc -l < $OUT/manifest.jsonl
    """

    # Not a byte left from one moment to the next: a file of a gigabyte may be slower to write than the run to end.
    ran = on_a_disk_of_its_own(tmp_path, tmp_path / "outputs" / "foo", "size=1200m", script, slow_sandbox.base_url)

    first, second, stored = ran.out.split()
    assert (first, second, stored) == ("6", "0", "60"), ran.err
    assert slow_sandbox.bill()["requests"] == 60


@needs_mounts
def test_a_read_only_disk_is_told_before_anything_is_sent(tmp_path: Path, sandbox: Server) -> None:
    job = _job(tmp_path, 2)
    script = f"mount -o remount,ro $OUT\n$CLI run {job}"

    ran = on_a_disk_of_its_own(tmp_path, tmp_path / "outputs" / "foo", "size=10m", script, sandbox.base_url)

    assert ran.code == 6
    assert "read-only" in ran.err
    assert sandbox.bill()["requests"] == 0


def test_few_open_files_slow_a_run_down_and_lose_nothing(tmp_path: Path, sandbox: Server) -> None:
    job = _job(tmp_path, 60, concurrency=48)
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 40; exec {sys.executable} -m batchgen run {job}"],
        capture_output=True,
        text=True,
        env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url),
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(manifest(tmp_path / "outputs" / "foo")) == 60
    assert sandbox.bill()["requests"] == 60


def test_a_damaged_ledger_is_refused_before_anything_is_sent(tmp_path: Path, cli: Cli, sandbox: Server) -> None:
    job = _job(tmp_path, 2)
    ledger = tmp_path / "outputs" / "foo" / "ledger.sqlite3"
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0
    content = bytearray(ledger.read_bytes())
    content[4096:12288] = b"\x55" * 8192
    ledger.write_bytes(content)

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 6
    assert "is damaged" in ran.err
    assert "batchgen verify" in ran.err
    assert "--rebuild" in ran.err
    assert sandbox.bill()["requests"] == 2


def test_a_ledger_of_a_newer_batchgen_is_left_alone(tmp_path: Path, cli: Cli, sandbox: Server) -> None:
    job = _job(tmp_path, 1)
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0
    ledger = sqlite3.connect(tmp_path / "outputs" / "foo" / "ledger.sqlite3")
    ledger.execute("PRAGMA user_version = 99")
    ledger.close()

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 2
    assert "update batchgen; nothing was changed" in ran.err


def test_a_folder_that_is_moved_away_stops_the_buying(tmp_path: Path, cli: Cli, slow_sandbox: Server) -> None:
    job = _job(tmp_path, 60, concurrency=2)
    folder, moved = tmp_path / "outputs" / "foo", tmp_path / "outputs" / "bar"
    process = in_the_middle(job, folder, tmp_path, slow_sandbox)
    folder.rename(moved)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 6
    assert "was moved or deleted while the run was going" in err
    billed = slow_sandbox.bill()["requests"]
    assert billed < 60
    assert not folder.exists()

    moved.rename(folder)
    assert cli("run", job, "--quiet", base_url=slow_sandbox.base_url).code == 0
    assert slow_sandbox.bill()["requests"] == 60
    assert len(manifest(folder)) == 60
    assert report(folder)["counts"]["unknown"] == 0


def test_a_folder_that_is_deleted_stops_the_buying(tmp_path: Path, slow_sandbox: Server) -> None:
    job = _job(tmp_path, 60, concurrency=2)
    folder = tmp_path / "outputs" / "foo"
    process = in_the_middle(job, folder, tmp_path, slow_sandbox)
    shutil.rmtree(folder, ignore_errors=True)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 6
    assert "moved or deleted" in err
    assert slow_sandbox.bill()["requests"] < 60
