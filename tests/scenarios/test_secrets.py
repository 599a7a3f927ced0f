"""The key goes to the provider's origin and nowhere else, and stands in no file and no output."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from .conftest import Cli, write_job

KEY = "sk-canary/9f8e7d6c5b4a+=x"
SPELLINGS = (KEY, base64.b64encode(KEY.encode()).decode(), quote(KEY, safe=""))
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGM8EaDBwMDAxMDAwMDAAAAPygFEiUmOcwAAAABJRU5ErkJggg=="
)


class Echo(BaseHTTPRequestHandler):
    """Repeats the key wherever a server can; `pictures` is another origin."""

    pictures: ClassVar[str] = ""
    seen: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(dict(self.headers))
        if "link" in body["prompt"]:
            self.answer(200, {"data": [{"url": f"{self.pictures}/picture.png"}]})
        else:
            message = f"bad key {' '.join(SPELLINGS)} in {self.headers['Authorization']}"
            self.answer(400, {"error": {"message": message, "code": KEY, "param": KEY, "type": ""}})

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status, f"no {KEY}")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Echo", KEY)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


class Pictures(BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_the_key_stands_in_no_file_and_no_output_and_goes_to_no_other_origin(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a link, a refusal, another refusal]\nmodels: [black-forest-labs/flux.1-dev]\n")
    with serving(Pictures) as pictures, serving(Echo) as api:
        Echo.pictures = pictures
        runs = [cli(verb, job, base_url=f"{api}/v1", key=KEY) for verb in ("run", "status", "plan", "recover")]
        runs.append(cli("run", job, "--json", "--retry", "failed", base_url=f"{api}/v1", key=KEY))

    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    said = [text.encode() for ran in runs for text in (ran.out, ran.err)]
    assert runs[0].code == 3
    assert Pictures.seen
    assert all(request["Authorization"] == f"Bearer {KEY}" for request in Echo.seen)
    assert not any("Authorization" in request for request in Pictures.seen)
    for spelling in SPELLINGS:
        assert not any(spelling.encode() in data for data in (*written, *said)), spelling
        assert not any(spelling in value for request in Pictures.seen for value in request.values())


def test_a_key_beside_the_job_is_used_and_said_and_an_open_file_is_warned_about(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a link]\nmodels: [black-forest-labs/flux.1-dev]\n")
    (tmp_path / "jobs" / ".env").write_text(f"MODELVERSE_API_KEY='{KEY}'\n")
    (tmp_path / "jobs" / ".env").chmod(0o644)
    Echo.seen.clear()
    with serving(Pictures) as pictures, serving(Echo) as api:
        Echo.pictures = pictures
        ran = cli("run", job, base_url=f"{api}/v1", key="")

    assert ran.code == 0, ran.err
    assert Echo.seen[0]["Authorization"] == f"Bearer {KEY}"
    assert "MODELVERSE_API_KEY" in ran.err
    assert "chmod 600" in ran.err
    assert KEY not in ran.err
