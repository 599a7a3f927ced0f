"""How fast stored pictures are handed on, and in how much memory: every format, from a ledger of a million pictures.

The ledger is real and filled with SQL; its pictures are one small file under many names of the ledger, so that what is
measured is this program and not the disk. Formats that carry pictures take fewer of them by default, since a million
would be copied. It prints one row a format; nothing is sent anywhere, nothing is judged.
"""

import argparse
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.storage.schema import migrate

RECORD = {
    "prompt_id": "fox.ink",
    "row": "fox",
    "prompt": "a red fox in the snow, black ink wash on rough paper, seen from above in the last light of the day",
    "vars": {"style": "ink", "time": "dusk"},
    "provider": "modelverse",
    "model": "black-forest-labs/flux.1-dev",
    "label": "flux.1-dev",
    "seed": 123_456_789,
    "try": 1,
    "index": 1,
    "night": "",
    "params": {"size": "1024x1024", "steps": 28},
    "extra_params": {},
}
SHARE = {"csv": 1, "hf --pictures link": 1, "hf": 10, "webdataset": 10, "parquet": 10, "parquet --pictures none": 1}
"""What part of the pictures each format is given: one in so many."""
# What a process reports of its peak when it ends includes its parent's; the kernel's own figure does not.
_RUN = """
import sys
from batchgen.cli.main import main
try:
    main(sys.argv[2:])
finally:
    with open("/proc/self/status") as status, open(sys.argv[1], "w") as peak:
        peak.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def fill(folder: Path, count: int, size: int) -> None:
    """An output folder with so many stored pictures of so many bytes; 10,000 files in a folder, each a link to one."""
    ledger = sqlite3.connect(folder / "ledger.sqlite3", isolation_level=None)
    migrate(ledger)
    data = bytes(range(256)) * (size // 256)
    numbers = "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < ?)"
    ledger.execute("PRAGMA synchronous = OFF")
    ledger.execute("BEGIN")
    ledger.execute(
        f"{numbers} INSERT INTO tasks(task_id, state, label, model, name, name_key, record, purchase, created_at)"
        " SELECT printf('%08x%056x', (i * 2654435761) % 4294967296, i), 'stored', 'l', 'm', i, i, ?, 1, 1 FROM k",
        (count, json.dumps(RECORD)),
    )
    ledger.execute(
        "INSERT INTO attempts(task_id, run_id, purchase, idempotency_key, state, from_state, again, images, price, currency,"
        " scopes, cost, posted, status, request_id, latency_s, sent_at) SELECT task_id, 'r', 1, 'k', 'billed', 'pending', 0,"
        " 1, 80000, 'CNY', '[]', 80000, 1, 200, 'q', 4.5, 1 FROM tasks ORDER BY name"
    )
    ledger.execute(
        "INSERT INTO pictures(picture_id, task_id, attempt_id, run_id, number, state, item, billed_at, expires_at, file_name,"
        " bytes, width, height, format, sha256, source_sha256, stored_at) SELECT attempt_id, task_id, attempt_id, 'r', 1,"
        " 'stored', 0, 1e9, 2e9, printf('images/%d/%d.png', attempt_id / 10000, attempt_id), ?, 1024, 1024, 'png', ?, ?,"
        " attempt_id FROM attempts",
        (len(data), *[hashlib.sha256(data).hexdigest()] * 2),
    )
    ledger.execute("COMMIT")
    first = None
    for number in range(1, count + 1):
        path = folder / f"images/{number // 10_000}/{number}.png"
        if first is None or number % 10_000 == 0:  # a file takes only so many names
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            first = path
        else:
            path.hardlink_to(first)
    ledger.close()


@contextmanager
def filled(home: Path, count: int, size: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=home, prefix="exports-"))
    try:
        fill(folder, count, size)
        yield folder
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, form: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB, and what was said."""
    peak, output = folder / "peak", folder / "out"
    verb = ["export", str(folder), "--format", *form.split(), "--output", str(output)]
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _RUN, str(peak), *verb], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    shutil.rmtree(output, ignore_errors=True)
    return (
        seconds,
        int(peak.read_text()) / 1024,
        done.stderr.splitlines()[0] if done.stderr else f"exit {done.returncode}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=65_536, help="of each picture")
    parser.add_argument(
        "--folder", type=Path, default=Path("/var/tmp"), help="where everything is written, then removed"
    )
    parser.add_argument("--form", choices=SHARE, action="append", help="only this one (repeatable)")
    arguments = parser.parse_args()
    print(f"{'format':<26}{'pictures':>10}{'seconds':>9}{'a second':>10}{'peak MB':>9}  said")
    for count in sorted({max(1, arguments.pictures // SHARE[form]) for form in arguments.form or SHARE}, reverse=True):
        with filled(arguments.folder, count, arguments.bytes) as folder:
            for form in arguments.form or SHARE:
                if max(1, arguments.pictures // SHARE[form]) == count:
                    seconds, peak, said = measure(folder, form)
                    print(
                        f"{form:<26}{count:>10,}{seconds:>9.1f}{count / seconds:>10,.0f}{peak:>9.0f}  {said}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
