"""Prompts, file names and servers' words that a terminal would obey: nothing is coloured, linked, moved, cut or forged."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import KEY, Cli, bare_environment, write_job

NASTY = {
    "markup": "[bold red]lamp[/bold red] [/b] [link=https://evil.example]x[/link] [foo=bar]",
    "colour": "\x1b[31mred\x1b[0m",
    "clipboard": "\x1b]52;c;ZWNobyBoYWNrZWQ=\x07",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "title": "\x1b]0;owned\x07",
    "C1": "\x9b31mred \x9d52;c;eA==\x9c",
    "bidi": "abc\u202egnp.exe\u2066x\u2069\u200f",
    "lines": "first\r\nsecond\x0bthird\x0cfourth\u2028fifth\u2029sixth\x85seventh",
    "forged": "lamp\n12:00:00 foo: finished; 1 of 1 done, 1 new picture",
    "carriage": "lamp\rfoo: finished" + "\x08" * 40 + "100 %",
    "width": "zero\u200bwidth\u2060\ufeff\U000e0041",
    "zalgo": "z" + "\u0300\u0316\u0489" * 60,
    "wide": "宽" * 300,
    "long": "x" * 20_000,
    "half": "half \ud800 letter",
    "percent": "%s %(x)s {0} {x!r} $HOME `id` $(id)",
}
IN_A_JOB = {name: text for name, text in NASTY.items() if name != "half"}
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
OURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
"""What rich itself sends: colours and cursor moves, no strings."""


class Nasty(BaseHTTPRequestHandler):
    """Refuses each prompt with hostile words, in each field that is told to somebody."""

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        text = NASTY[prompt.rpartition(" ")[2]]
        error = {"message": text, "code": text, "type": text, "param": text}
        data = json.dumps({"error": error}).encode()
        self.send_response(400, "no")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Nasty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def nasty_job(tmp_path: Path) -> Path:
    """Hostile prompts, hostile prompt ids, hostile variables; the last word says how the server shall answer."""
    rows = [{"id": text, "prompt": f"{text} {name}"} for name, text in IN_A_JOB.items()]
    rows.append({"id": "half", "prompt": "half"})
    (tmp_path / "jobs").mkdir(exist_ok=True)
    (tmp_path / "jobs" / "nasty.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_job(
        tmp_path,
        "prompts: [{file: nasty.jsonl, literal: true}]\nmodels: [black-forest-labs/flux.1-dev]\n"
        "output: {name: '{prompt_id}-{id}'}\n",
    )


def test_plain_output_and_every_verb_say_it_in_harmless_lines(api: str, cli: Cli, tmp_path: Path) -> None:
    job = nasty_job(tmp_path)

    ran = cli("run", job, base_url=api)
    others = [cli(verb, job, base_url=api) for verb in ("plan", "status", "verify", "validate", "recover")]
    folder = cli("status", tmp_path / "outputs" / "foo")

    assert ran.code == 3, ran.err
    for text in (ran.err, ran.out, *(each.out + each.err for each in (*others, folder))):
        assert OBEYED.findall(text) == []
        assert max(map(len, text.splitlines()), default=0) < 1000
    lines = ran.err.splitlines()
    assert sum("refused" in line for line in lines) >= len(NASTY)
    assert sum(line.partition(" ")[2].startswith("foo: finished") for line in lines) == 1


def test_lines_of_json_and_every_text_file_hold_nothing_that_a_terminal_obeys(
    api: str, cli: Cli, tmp_path: Path
) -> None:
    ran = cli("run", nasty_job(tmp_path), "--json", base_url=api)

    folder = tmp_path / "outputs" / "foo"
    texts = [ran.out, *((folder / name).read_text() for name in ("failures.jsonl", "report.json"))]
    failures = [json.loads(line) for line in texts[1].splitlines()]
    assert all(OBEYED.findall(text) == [] for text in texts)
    assert [json.loads(line) for line in ran.out.splitlines()]
    assert {row["prompt"] for row in failures} == {f"{text} {name}" for name, text in IN_A_JOB.items()} | {"half"}
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in folder.rglob("*"))


def on_a_terminal(*arguments: object, env: dict[str, str], columns: int = 80) -> tuple[int, bytes]:
    """The bytes that reach a real terminal of 80 columns, and the exit code."""
    main, side = pty.openpty()
    environment = env | {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgen", *map(str, arguments)], stdin=side, stdout=side, stderr=side, env=environment
    )
    os.close(side)
    blocks: list[bytes] = []
    while True:
        try:
            block = os.read(main, 65536)
        except OSError:  # the last process that had the terminal open is gone
            break
        if not block:
            break
        blocks.append(block)
    os.close(main)
    return process.wait(), b"".join(blocks)


def test_on_a_terminal_nothing_but_our_own_colours_and_moves_arrives(api: str, tmp_path: Path) -> None:
    env: dict[str, Any] = bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=api)
    job = nasty_job(tmp_path)

    for verb in (["run", job, "--yes"], ["plan", job], ["status", job]):
        code, data = on_a_terminal(*verb, env=env)

        assert code in {0, 3}
        text = OURS.sub(b"", data).decode()
        assert OBEYED.findall(text.replace("\r", "")) == []
        assert "\x1b]" not in data.decode()
        assert b"Traceback" not in data
        assert b"[foo=bar]" in data or verb[0] != "run"


def test_a_job_file_with_hostile_words_is_refused_in_harmless_ones(cli: Cli, tmp_path: Path) -> None:
    for number, text in enumerate(IN_A_JOB.values()):
        quoted = json.dumps(text, ensure_ascii=True)
        job = write_job(
            tmp_path,
            f"prompts: [a]\n{quoted}: 1\nmodels: [{quoted}]\nparams: {{{quoted}: {quoted}, seed: {quoted}}}\n",
            f"job{number}.yaml",
        )
        ran = cli("validate", job)

        assert ran.code == 2
        assert OBEYED.findall(ran.err + ran.out) == []
        assert max(map(len, ran.err.splitlines())) < 1000


def test_names_of_files_and_folders_are_as_harmless(api: str, cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "in\x1b]0;owned\x07 \u202eto\nforged: finished"
    job = write_job(home, "prompts: [lamp lines]\nmodels: [black-forest-labs/flux.1-dev]\n", "\x1b[31mfoo\u202e.yaml")
    (job.parent / ".env").touch(0o600)
    (job.parent / ".env").write_text(f"MODELVERSE_API_KEY={KEY}\n")

    runs = [cli("init", home / "\x9bnew.yaml"), cli("run", job, base_url=api, key="")]
    runs += [cli(verb, job, base_url=api) for verb in ("validate", "plan", "status", "verify", "recover", "run")]
    runs += [cli("status", home / "nowhere\x1b[31m"), cli("validate", home / "no\x1b[31m.yaml")]
    (folder,) = (home / "outputs").iterdir()
    (folder / "ledger.sqlite3").write_bytes(b"damaged" * 1000)
    runs += [cli(verb, folder) for verb in ("status", "verify", "run")]

    assert [ran.code for ran in runs[:3]] == [0, 3, 0], runs[1].err
    for ran in runs:
        assert OBEYED.findall(ran.out + ran.err) == [], ran
