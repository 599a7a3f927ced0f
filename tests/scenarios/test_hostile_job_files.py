"""Job files and prompt files that are made to hurt, through the real command line on a real terminal."""

import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import KEY, bare_environment, write_job

MODEL = "models: [black-forest-labs/flux.1-dev]\n"
GOOD = "prompts: [a lamp]\n" + MODEL


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11)]
    return "".join(lines) + GOOD


# What the file holds, and what has to be said: `:line:column: ` where the mistake has a place, and words of the message.
FILES: dict[str, tuple[str | bytes, str]] = {
    "bomb of aliases": (bomb(), r":6:\d+: this file holds more than 200,000 values"),
    "bomb of a long text": (f"a: &a {'x' * 300_000}\nb: [{'*a, ' * 90}]\n" + GOOD, r":2:\d+: values that are repeated"),
    "merge key": ("a: &a {b: 1}\nc: {<<: *a}\n" + GOOD, r":2:5: `<<` means nothing here"),
    "merge bomb": ("a: &a {x: 1}\nb: {<<: [" + "*a ," * 200 + "]}\n", r":2:\d+: this file repeats values with \*"),
    "anchor inside itself": ("prompts: &p [a, *p]\n" + MODEL, r":1:17: \*p stands inside of what it repeats"),
    "alias of nothing": ("prompts: [*p]\n" + MODEL, r":1:11: \*p repeats a value that has no name"),
    "60 deep": ("prompts: " + "[" * 60 + "]" * 60 + "\n" + MODEL, r":1:59: .*more than 50 deep"),
    "1,000 mappings deep": ("{a: " * 1000 + "}" * 1000, r":1:201: .*more than 50 deep"),
    "200,000 brackets": ("[" * 200_000, r":1:51: .*more than 50 deep"),
    "200,000 braces": ("{" * 200_000, r":1:51: .*more than 50 deep"),
    "200,000 hyphens": ("- " * 200_000, r":1:101: .*more than 50 deep"),
    "200,000 question marks": ("? " * 200_000, r":1:101: .*more than 50 deep"),
    "python tag": ("prompts: !!python/object/apply:os.system [id]\n" + MODEL, r":1:10: tags"),
    "own tag": ("prompts: [!x a]\n" + MODEL, r":1:11: tags"),
    "binary tag": ("prompts: [!!binary aGk=]\n" + MODEL, r":1:11: tags"),
    "key twice at the top": (GOOD + "prompts: [b]\n", r":3:1: the key `prompts` stands twice"),
    "key twice in an entry": ("prompts:\n  - prompt: a\n    prompt: b\n" + MODEL, r":3:5: the key `prompt` stands twice"),
    "key twice in params": (GOOD + "params: {steps: 1, steps: 2}\n", r":3:20: the key `steps` stands twice"),
    "key twice in vars": (GOOD + "vars: {s: {a: b, a: c}}\n", r":3:18: the key `a` stands twice"),
    "list as a key": (GOOD + "? [a]\n: b\n", r":3:3: a key must be a word"),
    "yes for a number": (GOOD + "params: {steps: yes}\n", r':3:17: `steps` must be a whole number.*not "yes"'),
    "true for a number": (GOOD + "params: {steps: true}\n", r":3:17: `steps` must be a whole number"),
    "1_000 for a number": (GOOD + "params: {steps: 1_000}\n", r":3:17: `steps` must be(?s:.*)write it as a number: 1000"),
    "1_0 in the limits": (GOOD + "limits: {concurrency: 1_0}\n", r":3:23: (?s:.*)write it as a number: 10"),
    "a date for a number": (GOOD + "params: {steps: 2024-01-01}\n", r":3:17: `steps` must be a whole number"),
    "minutes for a time": (GOOD + "limits: {timeout: 12:30:45}\n", r":3:19: `timeout` must be a time"),
    "infinity for a time": (GOOD + "limits: {timeout: .inf}\n", r":3:19: `timeout` must be a time"),
    "9e999d for a time": (GOOD + "limits: {timeout: 9e999d}\n", r":3:19: `timeout` must be a time"),
    "400 nines for a time": (GOOD + f"limits: {{timeout: {'9' * 400}d}}\n", r":3:19: `timeout` must be a time"),
    "infinity in a field": (GOOD + "params: {guidance_scale: .inf}\n", r":3:26: `guidance_scale` must be a number"),
    "no value in a field": (GOOD + "params: {guidance_scale: .nan}\n", r":3:26: `guidance_scale` must be a number"),
    "infinity unknown to JSON": (GOOD + "extra_params: {x: .inf}\n", r":3:15: `extra_params` holds"),
    "a budget beyond numbers": (GOOD + "budget: {cost: 1e400}\n", r":3:16: `budget.cost` must be a number, not 1e400"),
    "a budget beyond money": (GOOD + "budget: {cost: 1e300}\n", r":3:16: `budget.cost` must be at most 1000000000"),
    "a budget beyond pictures": (GOOD + f"budget: {{images: {10**30}}}\n", r":3:18: `budget.images` must be at most"),
    "no calls at all": (GOOD + "limits: {requests_per_minute: 5e-324}\n", r":3:31: .* must be at least 0.01"),
    "1e3 as a prompt": ("prompts: [1e3]\n" + MODEL, r':1:11: (?s:.*)write it in quotes: "1e3"'),
    "true as a prompt": ("prompts: [true]\n" + MODEL, r':1:11: (?s:.*)write it in quotes: "true"'),
    "null as a prompt": ("prompts: [~]\n" + MODEL, r':1:11: (?s:.*)in quotes if it is text: "~"'),
    "5,000 digits": (f"prompts: [{'9' * 5000}]\n" + MODEL, r":1:11: this number is too long"),
    "a billion seeds": (GOOD + "seeds: {count: 1000000000}\n", r":3:8: `seeds` must be `count` to be a whole number"),
    "ranges of seeds": (GOOD + f"seeds: [{'1..100000, ' * 50_000}]\n", r":3:8: `seeds` must be at most 100000 seeds"),
    "variables that multiply": (
        f"prompts: ['{''.join(f'{{v{n}}}' for n in range(10))}']\nvars:\n"
        + "".join(f"  v{n}: [{', '.join(f'w{k}' for k in range(100))}]\n" for n in range(10)) + MODEL,
        r":1:11: this job comes to more than 10\^15 tasks",
    ),
    "a text that multiplies": (
        f"prompts: ['{'{a}' * 30_000}']\nvars: {{a: [{'x' * 50_000}]}}\n" + MODEL,
        r":1:11: the prompt of .* has up to 1,500,000,000 characters",
    ),
    "thousands of braces": (f"prompts: ['{'{' * 9999}']\n" + MODEL, r":1:11: the brace { names no variable"),
    "a prompt of 200 kB": (f"prompts: ['{'x' * 200_000}']\n" + MODEL, r":1:11: this prompt has 200,000 characters"),
    "UTF-16": (GOOD.encode("utf-16"), r":1:1: this file is UTF-16 text"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), r":1:1: this file is UTF-16 text"),
    "UTF-32": (GOOD.encode("utf-32"), r":1:1: this file is UTF-32 text"),
    "Latin-1": ("prompts: [a café]\n".encode("latin-1") + MODEL.encode(), r":1:16: this file is not UTF-8 text"),
    "half a character": (b"prompts: [\xed\xa0\x80]\n" + MODEL.encode(), r":1:11: this file is not UTF-8 text"),
    "half a character, escaped": ('prompts: ["\\ud800"]\n' + MODEL, r":1:\d+: "),
    "NUL": ("prompts: [a\0b]\n" + MODEL, r":1:12: an invisible control character \(U\+0000\)"),
    "escape": ("prompts: [a\x1b[31mb]\n" + MODEL, r":1:12: an invisible control character \(U\+001B\)"),
    "C1": ("prompts: [a\x9b31mb]\n" + MODEL, r":1:12: an invisible control character \(U\+009B\)"),
    "a mark in the middle": ("prompts: [a\ufeffb]\n" + MODEL, r":1:12: an invisible control character \(U\+FEFF\)"),
    "tab": ("prompts:\n\t- a\n" + MODEL, r":2:1: this line is indented with a tab"),
    "escape in a key": (GOOD + '"a\\e[31m\\n\\rb": 1\n', r":3:1: there is no key"),
    "bidi in a key": (GOOD + "a\u202eb: 1\n", r":3:1: there is no key `ab`"),
    "escape in a variable": ('prompts: ["{a\\e]0;x\\a}"]\n' + MODEL, r":1:11: the prompt names"),
    "escape in a model": ('prompts: [a]\nmodels: ["x\\e[2J\\u202e"]\n', r":2:10: modelverse has no model"),
    "escape in a folder": (GOOD + 'output: {folder: "a\\e\\0"}\n', r":3:18: `output.folder` holds characters"),
    "two documents": (GOOD + "---\n" + GOOD, r":3:1: a second document begins here"),
    "empty": ("", r":1:1: this file is empty"),
    "only a mark": ("\ufeff", r":1:1: this file is empty"),
    "list": ("- a\n- b\n", r":1:1: this file is a list"),
    "text": ("hello\n", r":1:1: this file is one text"),
    "number": ("7\n", r":1:1: this file is one text"),
    "21 MB": (b"#" * (21 << 20), r": this file is too large; a job file has 20 MB at most"),
    "a million lines": ("\n" * 1_000_001, r": this file has more than 1,000,000 lines"),
    "a key of 5 MB": (GOOD + "'" + "k" * (5 << 20) + "': 1\n", r":3:\d+: YAML cannot be read on from here"),
    "a comment of 5 MB": ("prompts:\n  - a #" + "x" * (5 << 20) + "\n" + MODEL, r":2:5: everything from ` #` on"),
    "10,000 mistakes": (GOOD + "".join(f"k{n}: 1\n" for n in range(10_000)), r":3:1: (?s:.*)stopped at 200 mistakes"),
    "10,000 wrong prompts": ("prompts: [" + "[]," * 10_000 + "]\n" + MODEL, r":1:11: (?s:.*)stopped at 200 mistakes"),
}  # fmt: skip

PROMPT_FILES: dict[str, tuple[str, str | bytes, str]] = {
    "UTF-16": ("p.txt", "a lamp".encode("utf-16"), r"p\.txt:1:1: this file is UTF-16 text"),
    "UTF-32": ("p.csv", "prompt\na".encode("utf-32"), r"p\.csv:1:1: this file is UTF-32 text"),
    "Latin-1": ("p.txt", "a\ncafé".encode("latin-1"), r"p\.txt:2:4: this file is not UTF-8 text"),
    "NUL": ("p.csv", "prompt\na\nb\0c\n", r"p\.csv:3: a NUL character stands here"),
    "half a character": ("p.jsonl", '{"prompt": "\\ud83d"}', r"p\.jsonl:1: this text holds half a character"),
    "half a character in a key": ("p.jsonl", '{"\\udc00": "a"}', r"p\.jsonl:1: this text holds half a character"),
    "5,000 digits": ("p.jsonl", '{"prompt": ' + "9" * 5000 + "}", r"p\.jsonl:1: this line holds a number that is"),
    "NaN": ("p.jsonl", '{"prompt": NaN}', r"p\.jsonl:1: this line is not JSON"),
    "Infinity": ("p.jsonl", '{"prompt": -Infinity}', r"p\.jsonl:1: this line is not JSON"),
    "a number like infinity": ("p.jsonl", '{"prompt": "a", "x": 1e999}', r"p\.jsonl:1: the number 1e999 is too large"),
    "100,000 deep": ("p.jsonl", "[" * 100_000, r"p\.jsonl:1: .*more than 50 deep"),
    "500 deep": ("p.jsonl", '{"steps": ' + "[" * 500 + "]" * 500 + "}", r"p\.jsonl:1: .*more than 50 deep"),
    "key twice": ("p.jsonl", '{"prompt": "a", "x": {"y": 1, "y": 2}}', r"p\.jsonl:1: (?s:.*)a key stands twice"),
    "key twice but for its case": ("p.jsonl", '{"prompt": "a", "Prompt": "b"}', r"p\.jsonl:1: `Prompt` stands twice"),
    "20,000 values in a line": ("p.jsonl", json.dumps({"a": list(range(20_000))}), r"p\.jsonl:1: .*10,000 values"),
    "20,000 keys": ("p.jsonl", json.dumps(dict.fromkeys(map(str, range(20_000)), 1)), r"p\.jsonl:1: .*10,000 values"),
    "a line of 21 MB": ("p.jsonl", '{"a": "' + "x" * (21 << 20) + '"}', r"p\.jsonl:1: this line has more than 20,971"),
    "column twice": ("p.csv", "prompt, PROMPT\na,b\n", r"p\.csv:1: the column `prompt` stands twice"),
    "2,000 columns": ("p.csv", ",".join(map(str, range(2000))) + "\nx\n", r"p\.csv:1: .*more than 1,000 columns"),
    "a million columns": ("p.csv", "c," * 1_000_000 + "\nx\n", r"p\.csv:1: .*more than 200,000 commas"),
    "open quotation mark": ("p.csv", 'prompt\na\n"b\n' + "c\n" * 9999, r"p\.csv:3: the quotation marks of this record"),
    "ragged rows": ("p.csv", "prompt\n" + "a,b,c\n" * 9999, r"p\.csv:2: this record has 3 cells(?s:.*)at 200 mistakes"),
    "a cell of 200 kB": ("p.csv", "prompt\n" + "x" * 200_000 + "\n", r"p\.csv:2: this prompt has 200,000 characters"),
    "deep pictures": ("p.csv", "prompt,image\na," + "[" * 9999 + "\n", r"p\.csv:2: "),
    "3,000,000 lines": ("p.txt", "\n" * 3_000_000, r"p\.txt: this file has more than 2,000,000 lines"),
    "600,000 prompts": ("p.txt", "a\n" * 600_000, r"p\.txt:200001: up to here the files of this job have more than 200,000 prompts"),
    "seeds without end": ("p.csv", "prompt,seed\na," + "1|" * 200_000 + "\n", r"p\.csv:2: `seed` must be at most"),
    "escape in a column": ("p.csv", "a\x1b[2J\u202e,a\x1b[2J\u202e\nx,y\n", r"p\.csv:1: the column `a\[2j` stands twice"),
    "folder": ("d.txt", "", r":1:18: d\.txt is no file of text"),
    "pipe": ("f.txt", "", r":1:18: f\.txt is no file of text"),
    "endless device": ("z.txt", "", r":1:18: z\.txt is no file of text"),
    "dangling link": ("l.txt", "", r":1:18: there is no file l\.txt"),
    "65 MB": ("big.txt", "", r"big\.txt: this prompt file is larger than 64 MB"),
}  # fmt: skip

_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def on_terminal(folder: Path, *arguments: str, base_url: str = "http://127.0.0.1:9/v1") -> tuple[int, str]:
    """Exit code and all that a terminal was sent, with plain line ends."""
    ours, theirs = pty.openpty()
    environment = bare_environment(folder, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=base_url, COLUMNS="200")
    process = subprocess.Popen(
        [sys.executable, "-m", "batchgen", *arguments],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment, cwd=folder,
    )  # fmt: skip
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    except OSError:  # what a terminal says at its end on Linux
        pass
    finally:
        os.close(ours)
        code = process.wait(60)
    return code, b"".join(parts).decode("utf-8").replace("\r\n", "\n")


@contextmanager
def canary() -> Iterator[socket.socket]:
    """A port on which nothing may call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def refused(said: str, path: str, words: str) -> bool:
    return re.search(rf"^(?:batchgen: )?{re.escape(path)}{words}", said, re.MULTILINE) is not None


def check_quiet(said: str) -> None:
    assert "Traceback" not in said
    assert "internal error" not in said
    assert not _OBEYED.search(said), ascii(_OBEYED.findall(said)[:9])
    assert max(map(len, said.splitlines())) < 700


def test_every_hostile_job_file_is_refused_with_its_place_and_words_that_a_terminal_does_not_obey(
    tmp_path: Path,
) -> None:
    names = {f"{number}.yaml": content for number, (content, _) in enumerate(FILES.values())}
    for name, content in names.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    code, said = on_terminal(tmp_path, "validate", *names)

    assert code == 2
    assert ": fine" not in said
    check_quiet(said)
    missed = [
        f"{title}: {words}"
        for name, (title, (_, words)) in zip(names, FILES.items(), strict=True)
        if not refused(said, name, words)
    ]
    assert not missed, said[:4000]


def test_every_hostile_prompt_file_is_refused_with_its_line(tmp_path: Path) -> None:
    jobs = []
    for number, (file, content, _) in enumerate(PROMPT_FILES.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "j.yaml").write_text(f"prompts: [{{file: {file}}}]\n" + MODEL)
        if file.startswith("p."):
            (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        jobs.append(f"{number}/j.yaml")
    by_file = {file: tmp_path / str(number) / file for number, (file, _, _) in enumerate(PROMPT_FILES.values())}
    by_file["d.txt"].mkdir()
    os.mkfifo(by_file["f.txt"])
    by_file["z.txt"].symlink_to("/dev/zero")
    by_file["l.txt"].symlink_to("nowhere.txt")
    with by_file["big.txt"].open("wb") as sparse:
        sparse.truncate(65 << 20)

    code, said = on_terminal(tmp_path, "validate", *jobs)

    assert code == 2
    assert ": fine" not in said
    check_quiet(said)
    missed = [
        f"{title}: {words}"
        for number, (title, (file, _, words)) in enumerate(PROMPT_FILES.items())
        if not refused(said, f"{number}/" if words.startswith((file[:1], "big")) else f"{number}/j.yaml", words)
    ]
    assert not missed, said[:4000]


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_hostile_job_sends_nothing_and_makes_no_folder(verb: str, tmp_path: Path) -> None:
    with canary() as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for title in ("bomb of aliases", "variables that multiply", "escape in a folder", "escape in a model"):
            content = FILES[title][0]
            assert isinstance(content, str)
            job = write_job(tmp_path, content)

            code, said = on_terminal(tmp_path, verb, str(job), base_url=base_url)

            assert code == 2, said
            check_quiet(said)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert not (tmp_path / "outputs").exists()


def test_a_file_that_is_no_picture_is_never_sent_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "id_rsa.png").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n")
    job = tmp_path / "j.yaml"
    job.write_text(
        "prompts:\n  - prompt: a\n    params: {image: id_rsa.png}\nmodels: [black-forest-labs/flux-kontext-pro]\n"
    )
    with canary() as listener:
        code, said = on_terminal(tmp_path, "run", "j.yaml", base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        with pytest.raises(BlockingIOError):
            listener.accept()

    assert code == 2
    assert refused(said, "j.yaml", r":3:21: id_rsa\.png is not sent: what it holds is no PNG, JPEG"), said


def test_a_job_may_come_out_of_a_pipe(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, GOOD.encode())
    os.close(theirs)
    with os.fdopen(ours) as read_end:
        done = subprocess.run(
            [sys.executable, "-m", "batchgen", "validate", f"/dev/fd/{read_end.fileno()}"],
            capture_output=True, text=True, env=bare_environment(tmp_path), pass_fds=[read_end.fileno()], check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert ": fine: 1 prompt, 1 model" in done.stdout


def test_an_endless_device_a_folder_and_a_dangling_link_are_no_job_files(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").mkdir()
    (tmp_path / "l.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")

    code, said = on_terminal(
        tmp_path, "validate", "/dev/zero", "/dev/null", "d.yaml", "l.yaml", "loop.yaml", "a\x1b[31mb.yaml"
    )

    assert code == 2
    check_quiet(said)
    for words in (
        "/dev/zero: this file is too large",
        "/dev/null:1:1: this file is empty",
        "d.yaml is not the output folder of a job",
        "there is no file l.yaml",
        "cannot read loop.yaml",
        "there is no file a[31mb.yaml",
    ):
        assert words in said, words


@pytest.mark.parametrize(
    "options",
    [
        ["--set", "steps=\udcff"],
        ["--set", "size=\x1b[31m"],
        ["--set", "\x1b[2J\u202e=1"],
        ["--only", "mod\x1b[31mel\udcff=1"],
        ["--only", "model=\x1b]0;x\x07"],
    ],
)
def test_hostile_text_on_the_command_line_is_refused_in_harmless_words(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "j.yaml").write_text(GOOD)

    code, said = on_terminal(tmp_path, "plan", "j.yaml", *options)

    assert code == 2, said
    check_quiet(said)
