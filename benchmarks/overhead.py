"""CPU per picture and pictures per second: bare aiohttp, the usual openai-SDK script, and batchgen with every promise kept.

Each arm runs in a fresh process against a fresh nginx on this machine, in turn, several times; what is compared is the
CPU time of the whole process, which other work on the machine disturbs least. A number is reported, never judged.
"""

import argparse
import grp
import io
import json
import os
import platform
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

ARMS = Path(__file__).parent / "arms"
MODEL = "black-forest-labs/flux.1-dev"
AT_ONCE = 64

_CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  log_format method '$request_method $status';
  keepalive_timeout 65;
  keepalive_requests 1000000;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = /v1/images/generations {{
      access_log {folder}/posts.log method buffer=256k;
      default_type application/json;
      return 200 '{{"created":1700000000,"data":[{{"url":"http://127.0.0.1:{port}/image/$request_id/output.jpg"}}]}}';
    }}
    location /image/ {{
      types {{ image/jpeg jpg; }}
      rewrite ^ /output.jpg break;
      root {folder};
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the server hands out for every link."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process used: seconds, and bytes of memory at its peak."""

    cpu_s: float
    wall_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One arm's medians. Times are milliseconds; "net" leaves the start of the process out."""

    arm: str
    start_cpu_ms: float
    net_cpu_ms: float
    gross_cpu_ms: float
    gross_cpu_ms_each: tuple[float, ...]
    pictures_per_s: float
    peak_mib: float


def make_picture(side: int = 512, size: int = 64 * 1024) -> Picture:
    """A square JPEG like a photograph (soft shapes, fine grain) whose size in bytes is as near to `size` as quality allows."""
    grain = Image.effect_noise((side, side), 40)
    shapes = (Image.effect_noise((side // 8, side // 8), 90) for _ in range(3))
    channels = [Image.blend(each.resize((side, side), Image.Resampling.BICUBIC), grain, 0.15) for each in shapes]
    image = Image.merge("RGB", channels)

    def encoded(quality: int) -> bytes:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return file.getvalue()

    data = min((encoded(quality) for quality in range(30, 96)), key=lambda data: abs(len(data) - size))
    return Picture(data, side, side)


def find_nginx() -> str | None:
    """Where nginx is; Debian keeps it out of the PATH of ordinary users."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def nginx(picture: Picture, expected_posts: int) -> Iterator[str]:
    """A fresh nginx that speaks the API's shape; yields the base URL, and raises when the POSTs were not `expected_posts`."""
    with tempfile.TemporaryDirectory(prefix="batchgen-bench-nginx-") as name:
        folder = Path(name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # Started as root, nginx would give its worker to a user who may not read this folder.
        user = ""
        if os.geteuid() == 0:
            user = f"user {pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
        (folder / "output.jpg").write_bytes(picture.data)
        (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, port=port, user=user))
        command = [
            find_nginx() or "nginx",
            "-p",
            str(folder),
            "-e",
            str(folder / "error.log"),
            "-c",
            str(folder / "nginx.conf"),
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_open(port, process, folder)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        answers = (folder / "posts.log").read_text().splitlines()
        if answers != ["POST 200"] * expected_posts:
            sys.exit(f"nginx saw {len(answers)} POSTs instead of {expected_posts}: this run counts for nothing")


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            log = folder / "error.log"
            sys.exit(f"nginx did not start: {log.read_text() if log.exists() else 'no reason given'}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    sys.exit("nginx did not open its port within 4 seconds")


def measure(command: Sequence[str], folder: Path) -> Sample:
    """Run a command to its end and say what its process used. Ends the program when the command fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELVERSE_", "OPENAI_"))}
    environment["MODELVERSE_API_KEY"] = "bench"
    with (folder / "output.txt").open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(
            f"{' '.join(command)}\nended with {process.returncode}:\n{(folder / 'output.txt').read_text()[-3000:]}"
        )
    unit = 1 if sys.platform == "darwin" else 1024
    return Sample(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss * unit)


def run_script(name: str) -> Callable[[str, int, Path], Sample]:
    """An arm that is one of the scripts in `arms/`."""

    def run(base_url: str, pictures: int, folder: Path) -> Sample:
        return measure([sys.executable, str(ARMS / name), base_url, str(pictures), str(folder / "pictures")], folder)

    return run


def run_batchgen(base_url: str, pictures: int, folder: Path) -> Sample:
    """The real command line on a real job; ends the program when not every picture is stored."""
    job = {
        "name": "bench",
        "provider": {"name": "modelverse", "base_url": base_url},
        "prompts": [{"file": "prompts.txt"}],
        "models": [MODEL],
        "limits": {"concurrency": AT_ONCE},
        "output": {"folder": "pictures"},
    }
    (folder / "prompts.txt").write_text("".join(f"a neon city, view {number}\n" for number in range(pictures)))
    (folder / "job.yaml").write_text(json.dumps(job))  # JSON is YAML
    sample = measure([sys.executable, "-m", "batchgen", "run", "job.yaml"], folder)
    lines = (folder / "pictures" / "manifest.jsonl").read_text().splitlines()
    files = {json.loads(line)["file_name"] for line in lines}
    if (
        len(lines) != pictures
        or not all((folder / "pictures" / file).is_file() for file in files)
        or len(files) != pictures
    ):
        sys.exit(f"batchgen stored {len(files)} pictures instead of {pictures}: this run counts for nothing")
    return sample


RUNNERS: dict[str, Callable[[str, int, Path], Sample]] = {
    "bare aiohttp": run_script("bare_aiohttp.py"),
    "openai-SDK script": run_script("sdk_script.py"),
    "batchgen": run_batchgen,
}


def run_once(arm: str, picture: Picture, pictures: int, disk: Path) -> Sample:
    """One process of one arm, with a server and a folder of its own below `disk`, which stays."""
    folder = Path(tempfile.mkdtemp(dir=disk))
    with nginx(picture, pictures) as base_url:
        os.sync()  # what the arm before left to be written is not this arm's
        return RUNNERS[arm](base_url, pictures, folder)


def summarize(arm: str, starts: Sequence[Sample], runs: Sequence[Sample], pictures: int) -> Figures:
    """The medians of an arm's runs; `starts` are runs of a single picture."""
    start_s = statistics.median(each.cpu_s for each in starts)
    cpu_s = statistics.median(each.cpu_s for each in runs)
    return Figures(
        arm=arm,
        start_cpu_ms=1000 * start_s,
        net_cpu_ms=1000 * (cpu_s - start_s) / (pictures - 1),
        gross_cpu_ms=1000 * cpu_s / pictures,
        gross_cpu_ms_each=tuple(1000 * each.cpu_s / pictures for each in runs),
        pictures_per_s=statistics.median(pictures / each.wall_s for each in runs),
        peak_mib=statistics.median(each.peak_bytes for each in runs) / 2**20,
    )


def table(figures: Sequence[Figures]) -> str:
    """The figures in aligned columns."""
    head = ("", "CPU/picture, net", "with start", "each run", "start", "pictures/s", "peak memory")
    rows = [
        (
            each.arm,
            f"{each.net_cpu_ms:.2f} ms",
            f"{each.gross_cpu_ms:.2f} ms",
            " ".join(f"{value:.2f}" for value in each.gross_cpu_ms_each),
            f"{each.start_cpu_ms:.0f} ms",
            f"{each.pictures_per_s:.0f}",
            f"{each.peak_mib:.0f} MiB",
        )
        for each in figures
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
    return "\n".join(lines)


def ratios(figures: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """batchgen's CPU per picture as a share of each other arm's, net of the start and with it."""
    own = next((each for each in figures if each.arm == "batchgen"), None)
    if own is None:
        return {}
    return {
        each.arm: {"net": own.net_cpu_ms / each.net_cpu_ms, "gross": own.gross_cpu_ms / each.gross_cpu_ms}
        for each in figures
        if each is not own
    }


def arguments() -> argparse.Namespace:
    """What the command line asks for; ends the program with 2 when it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000, help="pictures in each run (default 2000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each arm, in turn (default 3)")
    parser.add_argument("--arm", action="append", choices=list(RUNNERS), help="only this arm (repeatable)")
    parser.add_argument("--side", type=int, default=512, help="width and height of the picture in pixels (default 512)")
    parser.add_argument("--bytes", type=int, default=64 * 1024, help="its size, as near as JPEG comes (default 65536)")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to write to (default /var/tmp)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.pictures < 2 or options.repeat < 1:
        parser.error("at least 2 pictures and 1 repetition are needed")
    if find_nginx() is None:
        parser.exit(
            2, "nginx is missing: `sudo apt-get install nginx-light` or `brew install nginx`, then run this again\n"
        )
    # Not the usual place for temporary files: that one is often memory, where an fsync costs nothing.
    options.folder = options.folder or (Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(tempfile.gettempdir()))
    return options


def main() -> None:
    options = arguments()
    picture = make_picture(options.side, options.bytes)
    arms = [arm for arm in RUNNERS if not options.arm or arm in options.arm]
    print(
        f"{options.pictures} pictures of {picture.width}x{picture.height} pixels, {len(picture.data):,} bytes of JPEG each,"
        f" {AT_ONCE} at once, median of {options.repeat}; CPU is user + system of the whole process\n"
        f"Python {platform.python_version()}, aiohttp {version('aiohttp')}, openai {version('openai')},"
        f" batchgen {version('batchgen')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, writing to {options.folder}"
    )
    starts: dict[str, list[Sample]] = {arm: [] for arm in arms}
    runs: dict[str, list[Sample]] = {arm: [] for arm in arms}
    # Nothing is deleted before the end: for minutes ext4 pays for every new file by stepping over the inodes just freed.
    with tempfile.TemporaryDirectory(prefix="batchgen-bench-", dir=options.folder) as name:
        disk = Path(name)
        for arm in arms:
            run_once(arm, picture, 1, disk)  # compiles what Python compiles once
        for _ in range(options.repeat):
            for arm in arms:
                starts[arm].append(run_once(arm, picture, 1, disk))
                runs[arm].append(run_once(arm, picture, options.pictures, disk))
    figures = [summarize(arm, starts[arm], runs[arm], options.pictures) for arm in arms]
    shares = ratios(figures)
    print(f"\n{table(figures)}\n")
    for arm, share in shares.items():
        print(f"batchgen / {arm}: {share['net']:.2f} net of the start, {share['gross']:.2f} with it")
    if options.json:
        report: dict[str, Any] = {
            "pictures": options.pictures,
            "at_once": AT_ONCE,
            "picture": {"width": picture.width, "height": picture.height, "bytes": len(picture.data)},
            "python": platform.python_version(),
            "arms": [asdict(each) for each in figures],
            "batchgen_share_of": shares,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
