"""The key goes to the provider's origin and nowhere else, and stands in no file and no output; nor do signatures."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from .conftest import Cli, bare_environment, write_job

KEY = "sk-canary/9f8e7d6c5b4a+=x"
SPELLINGS = (
    KEY,
    base64.b64encode(KEY.encode()).decode().rstrip("="),
    base64.b64encode(f"Bearer {KEY}".encode()).decode()[10:-4],
    quote(KEY, safe=""),
    quote(quote(KEY, safe=""), safe=""),
    json.dumps(KEY)[1:-1].replace("/", "\\/"),
    KEY.replace("+", "&#43;"),
    KEY[:20],
    KEY[6:],
    "\0".join(KEY),
)
SIGNATURE = "OSSAccessKeyId=LTAI-canary&Signature=s1gn4tur3-canary"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGM8EaDBwMDAxMDAwMDAAAAPygFEiUmOcwAAAABJRU5ErkJggg=="
)
ECHO = " ".join(
    (
        *(KEY, quote(KEY, safe=""), quote(quote(KEY, safe=""), safe=""), json.dumps(KEY).replace("/", "\\/")),
        *(base64.b64encode(text.encode()).decode() for text in (KEY, f"Bearer {KEY}", f"x: {KEY}\r\n")),
        *(KEY.replace("+", "&#43;"), f"Authorization: Bearer {KEY}"),
    )
)


class Quiet(BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[str, str]]]

    def log_message(self, *_: object) -> None:
        return

    def answer(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status, f"no {KEY}")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        for name in ("X-Echo", "Set-Cookie", "Retry-After", "Date", "Content-Language"):
            self.send_header(name, f"{KEY}; =;{KEY}, \x7f{KEY}")
        self.end_headers()
        self.wfile.write(data)


class Echo(Quiet):
    """A provider that repeats the key wherever a server can; `pictures` is another origin."""

    pictures: ClassVar[str] = ""
    seen: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(dict(self.headers))
        status, said = self.said(body["prompt"].split()[0])
        self.answer(status, said if isinstance(said, bytes) else json.dumps(said).encode())

    def said(self, how: str) -> tuple[int, Any]:
        error = {"message": ECHO, "code": KEY, "param": "x" * 90 + KEY, "type": [KEY, {KEY: KEY}]}
        inline = base64.b64encode(PNG).decode()
        signed = f"{self.pictures}/p.png?{SIGNATURE}"
        return {
            "refusal": (400, {"error": error}),
            "nested": (500, {"error": {"message": f'err: {{"message": "{KEY} nsfw"}}'}}),
            "page": (400, f"<html><title>{'x' * 180}{ECHO}</title>".encode()),
            "text": (502, ECHO.encode()),
            "link": (200, {"data": [{"url": signed}], "id": KEY}),
            "redirect": (200, {"data": [{"url": f"{self.pictures}/redirect?{SIGNATURE}"}]}),
            "gone": (200, {"data": [{"url": f"{self.pictures}/404?{SIGNATURE}"}]}),
            "damaged": (200, {"data": [{"url": f"{self.pictures}/echo?{SIGNATURE}"}]}),
            "inline": (200, {"data": [{"b64_json": inline, "note": KEY}], "request": ECHO}),
            "withkey": (200, {"data": [{"url": f"{signed}&key={quote(KEY)}"}]}),
            "unusable": (200, {"data": [], "echo": ECHO, "error": error}),
            "notjson": (200, f"<html>{ECHO}</html>".encode()),
            "zero": (
                400,
                {"error": {"message": "\u200b".join(KEY), "code": "\x01".join(KEY), "param": "\u200e".join(KEY)}},
            ),
            "half": (200, b"x" * (1024 * 1024 - len(KEY) + 1) + KEY.encode() + b"tail"),
            "wide": (200, f"nothing {KEY}".encode("utf-16-le")),
            "tabs": (200, {"data": [{"url": f"{self.pictures}/tabs/{KEY[:7]}\t{KEY[7:]}"}]}),
            "picture": (200, {"data": [{"b64_json": base64.b64encode(KEY.encode()).decode()}, {"b64_json": KEY}]}),
            "hidden": (200, {"data": [{"b64_json": base64.b64encode(PNG + KEY.encode()).decode()}]}),
            "signed": (400, {"error": {"message": f"cannot write {signed}"}}),
        }[how]


class Pictures(Quiet):
    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append({**self.headers, "path": self.path})
        if self.path.startswith("/404"):
            self.answer(404, ECHO.encode())
        elif self.path.startswith("/echo"):
            self.answer(200, ECHO.encode())
        elif self.path.startswith("/redirect"):
            self.answer(302, b"", Location=f"ftp://{quote(KEY)}.example/{KEY}?{SIGNATURE}&key={KEY}")
        else:
            self.answer(200, PNG)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture
def api() -> Iterator[str]:
    Echo.seen.clear()
    Pictures.seen.clear()
    with serving(Pictures) as pictures, serving(Echo) as origin:
        Echo.pictures = pictures
        yield f"{origin}/v1"


KINDS = (
    *("refusal", "nested", "page", "text", "link", "redirect", "damaged", "inline"),
    *("withkey", "unusable", "notjson", "signed", "zero", "half", "wide", "tabs", "picture", "hidden"),
)
JOB = f"prompts: {json.dumps([f'{kind} lamp' for kind in KINDS])}\nmodels: [black-forest-labs/flux.1-dev]\n"


def written_in(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def leaks(written: dict[str, bytes], *words: str) -> list[tuple[str, str]]:
    return [(name, word) for name, data in written.items() for word in words if word.encode() in data]


def test_the_key_stands_in_no_file_and_no_output_and_goes_to_no_other_origin(
    api: str, cli: Cli, tmp_path: Path
) -> None:
    job = write_job(tmp_path, JOB)
    runs = [cli(verb, job, base_url=api, key=KEY) for verb in ("run", "status", "plan", "recover", "verify")]
    runs.append(cli("run", job, "--json", "--retry", "failed", "--retry", "unknown", base_url=api, key=KEY))

    said = {f"output {number}": (ran.out + ran.err).encode() for number, ran in enumerate(runs)}
    written = written_in(tmp_path)
    assert any("/unusable/" in name for name in written)
    assert sum(name.endswith(".png") for name in written) == 2
    assert len(Echo.seen) >= len(KINDS)
    assert all(request["Authorization"] == f"Bearer {KEY}" for request in Echo.seen)
    assert leaks(written | said, *SPELLINGS) == []
    for request in Pictures.seen:
        assert "Authorization" not in request
        assert not any(spelling in value for spelling in SPELLINGS for value in request.values())


def test_signed_links_stand_whole_in_the_ledger_alone(api: str, cli: Cli, tmp_path: Path) -> None:
    """And in its copies. Apart from answers that hold no picture: `unusable/` keeps them as they came, because they may hold the only link."""
    job = write_job(tmp_path, JOB)
    ran = cli("run", job, base_url=api, key=KEY)
    as_json = cli("run", job, "--json", "--retry", "failed", base_url=api, key=KEY)

    words = ("LTAI-canary", "s1gn4tur3-canary")
    said = {"plain": (ran.out + ran.err).encode(), "json": (as_json.out + as_json.err).encode()}
    found = {Path(name) for name, _ in leaks(written_in(tmp_path), *words)}
    copies_aside = {path for path in found if path.parent.name not in {"unusable", "backups"}}
    assert {path.name.partition("-")[0] for path in copies_aside} == {"ledger.sqlite3"}
    assert leaks(said, *words) == []
    assert any("Signature" in request["path"] for request in Pictures.seen)


def test_debugging_python_itself_shows_no_key(api: str, tmp_path: Path) -> None:
    """The HTTP library takes odd headers for no HTTP at all then, so that the run gives up."""
    job = write_job(tmp_path, JOB + "limits: {give_up_after: 2}\n")
    environment = bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=api)
    environment |= {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "default"}
    ran = subprocess.run(
        [sys.executable, "-m", "batchgen", "run", str(job)], capture_output=True, env=environment, check=False
    )

    assert ran.returncode == 4, ran.stderr
    assert leaks({"out": ran.stdout, "err": ran.stderr}, *SPELLINGS, "s1gn4tur3-canary") == []


def test_an_error_of_the_program_itself_ends_in_words_without_a_key(api: str, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    broken = (
        "import sys, batchgen.engine.life as life, batchgen.cli.main as main\n"
        "def classify(facts): raise RuntimeError(f'{facts!r}: Authorization: Bearer ' + sys.argv.pop())\n"
        "life.classify = classify\n"
        "main.main(['run', sys.argv[1]])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", broken, str(job), KEY],
        capture_output=True,
        env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=api),
        check=False,
    )

    assert ran.returncode == 1
    assert b"internal error: RuntimeError" in ran.stderr
    assert b"Traceback" not in ran.stderr
    assert leaks(written_in(tmp_path) | {"err": ran.stderr, "out": ran.stdout}, *SPELLINGS) == []


@pytest.mark.parametrize(
    "provider",
    [
        "{name: modelverse, api_key: SECRET}",
        "{name: modelverse, api_key_env: SECRET}",
        "{name: modelverse, base_url: 'https://u:SECRET@example.org/v1'}",
        "{name: modelverse, base_url: 'https://example.org/v1?key=SECRET'}",
        "{name: modelverse, proxy: 'http://u:SECRET@127.0.0.1:1'}",
    ],
)
def test_a_key_in_the_job_file_is_refused_and_not_repeated(provider: str, cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, f"prompts: [a]\nmodels: [flux.1-dev]\nprovider: {provider}\n".replace("SECRET", KEY))

    ran = cli("run", job)

    assert ran.code == 2
    assert KEY not in ran.out + ran.err


def test_no_option_takes_the_key() -> None:
    helps = [
        subprocess.run([sys.executable, "-m", "batchgen", verb, "--help"], capture_output=True, text=True, check=True)
        for verb in ("run", "plan", "recover", "status", "validate", "verify", "models", "init")
    ]

    assert not any(word in ran.stdout.lower() for ran in helps for word in ("--key", "--api-key", "--token"))


def env_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / "jobs" / ".env"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


ONE = "prompts: [link lamp]\nmodels: [black-forest-labs/flux.1-dev]\n"


def test_a_key_in_a_file_of_its_owner_alone_is_used_and_said(api: str, cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, ONE)
    env_file(tmp_path, f"MODELVERSE_API_KEY='{KEY}'\n")

    ran = cli("run", job, base_url=api, key="")

    assert ran.code == 0, ran.err
    assert Echo.seen[0]["Authorization"] == f"Bearer {KEY}"
    assert "using MODELVERSE_API_KEY from" in ran.err
    assert KEY not in ran.err


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o777])
def test_a_key_in_a_file_that_others_can_open_is_not_used(mode: int, api: str, cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, ONE)
    env_file(tmp_path, f"MODELVERSE_API_KEY='{KEY}'\n", mode)

    ran = cli("run", job, base_url=api, key="")

    assert ran.code == 7
    assert "chmod 600" in ran.err
    assert KEY not in ran.err
    assert Echo.seen == []
    assert cli("run", job, base_url=api, key=KEY).code == 0  # one from the environment needs no file


@pytest.mark.parametrize("trusting", ["", "process", "file"])
@pytest.mark.parametrize("key_from", ["process", "file"])
def test_a_job_cannot_send_the_key_where_its_owner_did_not(
    key_from: str, trusting: str, cli: Cli, tmp_path: Path
) -> None:
    """`.invalid` never resolves: that the run gets as far as looking it up shows that the key would have been sent."""
    url = "https://gate.invalid/v1"
    job = write_job(
        tmp_path, ONE + f"provider: {{name: modelverse, base_url: '{url}'}}\nlimits: {{give_up_after: 1}}\n"
    )
    lines = f"MODELVERSE_API_KEY={KEY}\n" if key_from == "file" else ""
    lines += f"MODELVERSE_BASE_URL={url}\n" if trusting == "file" else ""
    env_file(tmp_path, lines)

    ran = cli("run", job, key=KEY if key_from == "process" else "", base_url=url if trusting == "process" else "")

    trusted = trusting == "process" or (trusting == "file" and key_from == "file")
    assert ran.code == (4 if trusted else 2), ran.err
    assert ("cannot be looked up" if trusted else "would go to gate.invalid, which is not an address of") in ran.err
