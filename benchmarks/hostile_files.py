"""How long `batchgen validate` takes to refuse (or read) job files and prompt files that are made to hurt.

Every file is written to a temporary folder and read by the real command line in a process of its own. It prints one row a
file: size, seconds from start to exit, peak memory, exit code, and what was said. Nothing is sent anywhere, nothing is judged.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MB = 1024 * 1024
MODEL = "models: [black-forest-labs/flux.1-dev]\n"
FULL = 20 * MB - 200
# What a process reports of its peak when it ends includes its parent's; the kernel's own figure does not.
_RUN = """
import atexit, sys
def peak():
    with open("/proc/self/status") as status, open("peak", "w") as file:
        file.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))
atexit.register(peak)
from batchgen.cli.main import main
main(sys.argv[1:])
"""
_CAUGHT = 120.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one file cost: its size in bytes, seconds, those of them on a processor, peak memory in MB, and what was said."""

    size: int
    seconds: float
    busy: float
    peak_mb: float
    code: int
    said: str


def _repeat(unit: str, size: int = FULL) -> str:
    return unit * (size // len(unit.encode()))


def _bomb(keys: str = "a{0}: &a{0}") -> str:
    lines = [f"{keys.format(0)} [x, x, x, x, x, x, x, x, x, x]\n"]
    lines += [f"{keys.format(n)} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11)]
    return "".join(lines)


def _anchors(size: int = FULL) -> str:
    return "a:\n" + "".join(f"- &a{number} x\n" for number in range(size // 14))


def _prompts(line: Callable[[int], str], count: int) -> str:
    return "prompts:\n" + "".join(line(number) for number in range(count)) + MODEL


def _variables(names: int, values: int, tail: str = "") -> str:
    lines = "".join(f"  v{n}: [{', '.join(f'w{k}' for k in range(values))}]\n" for n in range(names))
    text = " ".join(f"{{v{n}}}" for n in range(names))
    return f"prompts: ['{text}']\nvars:\n{lines}{MODEL}{tail}"


LONG_WORDS = "a red fox in the snow, painted by candle light in the manner of an old master, " * 2

JOBS: Mapping[str, Callable[[], str]] = {
    "a small honest job": lambda: "prompts: [a lamp]\n" + MODEL,
    "honest: 100,000 prompts, 20 MB": lambda: _prompts(lambda n: f"  - {n} {LONG_WORDS}{'x' * 30}\n", 100_000),
    "honest: 39,000 entries with id": lambda: _prompts(lambda n: f"  - id: p{n}\n    prompt: fox {n}\n", 39_000),
    "bomb of aliases": _bomb,
    "1,000,000 short texts": lambda: "a: [" + "x," * 999_000 + "]\n",
    "10,000,000 short texts": lambda: "a: [" + "x," * 9_990_000 + "]\n",
    "1,000,000 keys": lambda: "".join(f"k{n}: 1\n" for n in range(1_000_000)),
    "unknown keys with long names": lambda: "".join(f"{'k' * 1000}{n}: 1\n" for n in range(19_000)),
    "200,000 wrong prompts": lambda: "prompts: [" + "[]," * 200_000 + "]\n" + MODEL,
    "200,000 unknown keys in prompts": lambda: "prompts: [" + "{promt: x}," * 60_000 + "]\n" + MODEL,
    "a text of 20 MB": lambda: "prompts: ['" + "x" * (FULL - 100) + "']\n" + MODEL,
    "a folded text of 20 MB": lambda: "prompts:\n  - >\n" + _repeat("    x\n", FULL - 100) + MODEL,
    "20 MB of braces in a prompt": lambda: "prompts: ['" + _repeat("{a}", FULL - 100) + "']\n" + MODEL,
    "20 MB of {{ in a prompt": lambda: "prompts: ['" + _repeat("{{", FULL - 100) + "']\n" + MODEL,
    "20 MB of spaces in a prompt": lambda: "prompts: ['" + " " * (FULL - 100) + "']\n" + MODEL,
    "20 MB of comments": lambda: _repeat("# x\n"),
    "20 MB of empty lines": lambda: "\n" * FULL,
    "a comment of 20 MB": lambda: "prompts: [a lamp] #" + "x" * (FULL - 100) + "\n" + MODEL,
    "20 MB of [": lambda: "[" * FULL,
    "20 MB of {a: ": lambda: _repeat("{a: "),
    "20 MB of - ": lambda: _repeat("- "),
    "20 MB of ? ": lambda: _repeat("? "),
    "20 MB of ]": lambda: "]" * FULL,
    "a key of 20 MB": lambda: "'" + "k" * FULL + "': 1\n",
    "an unquoted key of 20 MB": lambda: "k" * FULL + ": 1\n",
    "a tag of 20 MB": lambda: "a: !" + "k" * FULL + " 1\n",
    "an anchor of 20 MB": lambda: "a: &" + "k" * FULL + " 1\n",
    "20 MB of anchors": _anchors,
    "20 MB of aliases": lambda: "a: &a x\nb: [" + _repeat("*a ,") + "]\n",
    "20 MB of tags": lambda: "a: [" + _repeat("!x 1,") + "]\n",
    "20 MB of documents": lambda: _repeat("---\n"),
    "one key again and again": lambda: _repeat("a: 1\n"),
    "20 MB of 5,000 digits": lambda: "a: [" + _repeat("9" * 5000 + ",") + "]\n",
    "20 MB of 90 digits": lambda: "a: [" + _repeat("9" * 90 + ",") + "]\n",
    "one line that YAML cannot read": lambda: "prompts: [" + "'x' y " * (FULL // 6) + "\n",
    "20 MB of - before a mistake": lambda: _repeat("- ", FULL) + "\n\t: x\n",
    "20 MB of quotes": lambda: '"' * FULL,
    "20 MB of escapes": lambda: 'a: "' + _repeat("\\x41") + "\n",
    "20 MB of tabs": lambda: "a:\n" + "\t" * FULL,
    "a closing quotation mark is missing": lambda: "a: 'x\n" + _repeat("b: [c, d]\n"),
    "a mistake below 20 MB of colons": lambda: _repeat("a：b\n") + "x: [\n",
    "10 variables of 100 values": lambda: _variables(10, 100),
    "4 variables of 100 values": lambda: _variables(4, 100),
    "a variable of 100,000 values": lambda: _variables(1, 100_000),
    "2 of 300 in a field": lambda: _variables(3, 300, "params: {size: '{v0}x{v1}{v2}'}\n"),
    "seeds: {count: 10**9}": lambda: "prompts: [a]\nseeds: {count: 1000000000}\n" + MODEL,
    "seeds: 1 to 100,000 a hundred times": lambda: (
        f"prompts: [a]\nseeds: [{', '.join(['1..100000'] * 5000)}]\n" + MODEL
    ),
    "39,000 different patterns": lambda: _prompts(
        lambda n: f"  - {{prompt: a{n}, model: '{'*' * (n % 97 + 1)}f*{'*' * (n % 89)}'}}\n", 39_000
    ),
    "exclude with 20,000 rules": lambda: (
        "prompts: [a]\nexclude:\n" + "".join(f"  - {{row: x{n}}}\n" for n in range(20_000)) + MODEL
    ),
    "a pattern that tries everything": lambda: (
        f"prompts: [a]\nexclude: [{{row: '{'*a' * 5000}b'}}]\n" + MODEL.replace("[", "[")
    ),
}
TABLES: Mapping[str, tuple[str, Callable[[], str]]] = {
    "honest: 100,000 lines": ("p.txt", lambda: "".join(f"{n} {LONG_WORDS}\n" for n in range(100_000))),
    "honest: 100,000 records": (
        "p.csv",
        lambda: "id,prompt,mood\n" + "".join(f'p{n},"a {n}, {LONG_WORDS}",calm\n' for n in range(100_000)),
    ),
    "honest: 100,000 objects": (
        "p.jsonl",
        lambda: "".join(json.dumps({"prompt": f"{n} {LONG_WORDS}"}) + "\n" for n in range(100_000)),
    ),
    "200 MB of one line": ("p.txt", lambda: "x" * (200 * MB)),
    "200 MB of lines": ("p.txt", lambda: "x\n" * (100 * MB)),
    "300 MB": ("p.txt", lambda: "x" * (300 * MB)),
    "a line of 50 MB": ("p.jsonl", lambda: '{"prompt": "' + "x" * (50 * MB) + '"}'),
    "50 MB of [": ("p.jsonl", lambda: "[" * (50 * MB)),
    "one line of 10,000,000 numbers": ("p.jsonl", lambda: '{"prompt": [' + "1," * 10_000_000 + "1]}"),
    "one object of 1,000,000 keys": (
        "p.jsonl",
        lambda: "{" + ",".join(f'"k{n}": 1' for n in range(1_000_000)) + "}",
    ),
    "a million columns": ("p.csv", lambda: ",".join(f"c{n}" for n in range(1_000_000)) + "\nx\n"),
    "a million equal columns": ("p.csv", lambda: "c," * 1_000_000 + "\nx\n"),
    "one cell of 50 MB": ("p.csv", lambda: 'prompt\n"' + "x" * (50 * MB) + '"\n'),
    "a quotation mark that never closes": ("p.csv", lambda: 'prompt\n"' + "x,y\n" * (12 * MB)),
    "a million ragged rows": ("p.csv", lambda: "prompt\n" + "a,b,c\n" * 1_000_000),
    "a million bad lines": ("p.jsonl", lambda: "{\n" * 1_000_000),
    "a million equal prompts": ("p.txt", lambda: "fox\n" * 1_000_000),
    "a million empty lines": ("p.csv", lambda: "prompt\n" + "\n" * 1_000_000),
    "100,000 unknown names": ("p.txt", lambda: "".join(f"a {{x{n}}}\n" for n in range(100_000))),
    "10 MB of unknown names": ("p.txt", lambda: "".join(f"{{x{n}}}" for n in range(1_000_000))),
}


def measured(folder: Path, job: str, verb: str) -> Figures:
    """Run one verb over one job file."""
    path = folder / "job.yaml"
    path.write_text(job, encoding="utf-8")
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file() and file.name != "err")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "MODELVERSE_API_KEY": "sk-none"}
    with (folder / "err").open("w+b") as err:
        begun, before = time.perf_counter(), _busy()
        command = [sys.executable, "-c", _RUN, verb, "job.yaml"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=err, stderr=err)
        try:
            status = _wait(process.pid)
        finally:
            seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        said = re.sub(r"\s+", " ", err.read(400).decode("utf-8", "replace"))
    peak = folder / "peak"
    return Figures(
        size,
        seconds,
        _busy() - before,
        int(peak.read_text()) / 1024 if peak.exists() else 0.0,
        process.returncode,
        said,
    )


def _busy() -> float:
    """Seconds of processor time that all processes took that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait(pid: int) -> int:
    """The status of a process; one that takes longer than two minutes is ended."""
    ends = time.monotonic() + _CAUGHT
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1]
        time.sleep(0.005)


def main() -> None:
    """Measure what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verb", default="validate", choices=("validate", "plan"))
    parser.add_argument("words", nargs="*", help="only the files whose title holds one of these words")
    arguments = parser.parse_args()
    cases: dict[str, tuple[Callable[[], str], str]] = {name: (make, "") for name, make in JOBS.items()}
    cases |= {f"{file}: {name}": (make, file) for name, (file, make) in TABLES.items()}
    print(f"{'file':<45} {'MB':>7} {'s':>7} {'CPU s':>7} {'peak MB':>8} {'exit':>4}  said")
    for title, (make, file) in cases.items():
        if arguments.words and not any(word in title for word in arguments.words):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            job = make()
            if file:
                (folder / file).write_text(job, encoding="utf-8")
                job = f"prompts: [{{file: {file}}}]\n{MODEL}"
            got = measured(folder, job, arguments.verb)
        said = got.said.replace(f"{name}/", "")[:90]
        print(
            f"{title:<45} {got.size / MB:7.1f} {got.seconds:7.2f} {got.busy:7.2f} {got.peak_mb:8.0f} {got.code:4}  {said}",
            flush=True,
        )


if __name__ == "__main__":
    main()
