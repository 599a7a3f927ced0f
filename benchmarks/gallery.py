"""How long a gallery takes to build, and how much memory: folders of 10,000 and 100,000 pictures with ready thumbnails.

    python benchmarks/gallery.py [PICTURES…]

The ledgers are made here, without a run: every task of a real job with a stored picture, a few of them refused. Each
build runs in a process of its own; the second one finds everything as it is.
"""

import argparse
import io
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from batchgen.engine.life import record_of
from batchgen.spec.expand import expand
from batchgen.spec.load import load_job
from batchgen.spec.task import Task
from batchgen.storage import schema
from batchgen.storage.runs import start_run

LINKS_AT_MOST = 30_000
MODELS = ("black-forest-labs/flux.1-dev", "black-forest-labs/flux-kontext-pro/text-to-image")
STYLES = ("ink", "oil")


def make_folder(above: Path, pictures: int) -> Path:
    """A job file whose folder holds all of its pictures but every hundredth, which was refused."""
    prompts = pictures // (len(MODELS) * len(STYLES) * 4)
    (above / "jobs").mkdir(parents=True)
    job_file = above / "jobs" / "many.yaml"
    lines = [f"  - 'a quiet place number {number}, seen from far away in {{style}}'" for number in range(prompts)]
    job_file.write_text(
        "provider: sandbox\nprompts:\n" + "\n".join(lines) + "\n"
        "vars: {style: {ink: black ink wash on rough paper, oil: 'thick oil paint, bold strokes'}}\n"
        f"models: [{', '.join(MODELS)}]\nseeds: {{count: 4}}\n"
    )
    job = load_job(job_file, environment={})
    folder = job.output.folder
    folder.mkdir(parents=True)
    connection = sqlite3.connect(folder / "ledger.sqlite3")
    schema.migrate(connection)
    start_run(connection, run_id="0" * 12, job=job.name, resolved={}, night="", version="", at=1.7e9)
    links = _links(folder)
    for task in expand(job, night=""):
        _enter(connection, folder, task, links)
    connection.commit()
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return job_file


def _links(folder: Path) -> Iterator[tuple[Path, Path, int]]:
    """A picture and its thumbnail to link to, over and over: a file cannot have any number of names."""
    buffers = {"PNG": io.BytesIO(), "WEBP": io.BytesIO()}
    for kind, buffer in buffers.items():
        Image.effect_noise((256, 256), 60).convert("RGB").save(buffer, kind)
    number = 0
    while True:
        picture, small = folder / f"source-{number}.png", folder / f"source-{number}.webp"
        picture.write_bytes(buffers["PNG"].getvalue())
        small.write_bytes(buffers["WEBP"].getvalue())
        for _ in range(LINKS_AT_MOST):
            yield picture, small, picture.stat().st_size
        number += 1


def _enter(connection: sqlite3.Connection, folder: Path, task: Task, links: Iterator[tuple[Path, Path, int]]) -> None:
    failed = task.index % 100 == 0
    record = json.dumps(record_of(task, dict(task.params)))
    at = 1.7e9 + task.index / 10
    connection.execute(
        "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
        (
            task.task_id,
            "failed" if failed else "stored",
            task.label,
            task.model,
            task.name,
            task.name,
            record,
            "content_policy" if failed else "",
            "the prompt was refused by the content filter" if failed else "",
            at,
        ),
    )
    cursor = connection.execute(
        "INSERT INTO attempts(task_id, run_id, purchase, idempotency_key, state, from_state, again, images, price,"
        " currency, scopes, cost, posted, request_id, latency_s, sent_at, ended_at)"
        " VALUES (?, ?, 1, '', ?, 'pending', 0, 1, 100000, 'CNY', '', ?, 1, ?, ?, ?, ?)",
        (
            task.task_id,
            "0" * 12,
            "failed" if failed else "billed",
            None if failed else 100_000,
            f"request-{task.index}",
            3 + task.index % 70 / 10,
            at,
            at + 4,
        ),
    )
    if failed:
        return
    picture, small, size = next(links)
    file, thumbnail = folder / "images" / f"{task.name}.png", folder / "gallery" / "thumbs" / task.task_id[:2]
    for source, target in ((picture, file), (small, thumbnail / f"{task.task_id[:32]}.webp")):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    connection.execute(
        "INSERT INTO pictures(task_id, attempt_id, run_id, number, state, item, billed_at, expires_at, file_name, bytes,"
        " width, height, format, sha256, source_sha256, stored_at)"
        " VALUES (?, ?, ?, 1, 'stored', 0, ?, ?, ?, ?, 256, 256, 'png', ?, ?, ?)",
        (
            task.task_id,
            cursor.lastrowid,
            "0" * 12,
            at,
            at,
            f"images/{task.name}.png",
            size,
            task.task_id,
            task.task_id,
            at,
        ),
    )


def build(job_file: Path) -> None:
    """One build in this process; its seconds and the process's peak of memory on stdout."""
    from batchgen.views.gallery.build import build_gallery

    job = load_job(job_file, environment={})
    started = time.perf_counter()
    page = build_gallery(job.output.folder, job)
    took = time.perf_counter() - started
    files = [path.stat().st_size for path in (page.parent / "data").iterdir()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    print(f"{took:6.2f} s  {peak:5.0f} MiB peak  {sum(files) / 1024**2:5.1f} MiB in {len(files)} files")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pictures", type=int, nargs="*", default=[10_000, 100_000])
    arguments.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.build:
        build(chosen.build)
        return
    above = Path(tempfile.mkdtemp(prefix="gallery-"))
    try:
        for pictures in chosen.pictures:
            job_file = make_folder(above / str(pictures), pictures)
            for words in ("first build", "again"):
                done = subprocess.run(
                    [sys.executable, __file__, "--build", job_file], capture_output=True, text=True, check=True
                )
                print(f"{pictures:>9,} pictures, {words:11}: {done.stdout.strip()}", flush=True)
    finally:
        shutil.rmtree(above)


if __name__ == "__main__":
    main()
