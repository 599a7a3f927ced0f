"""A provider whose links lead inside: through the whole engine nothing on this machine hears a connection.

And what it costs: no picture is bought twice, the honest ones are stored, and no message tells a link's secret.
"""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from PIL import Image

from batchgen.engine.run import RunOptions, run
from batchgen.errors import Exit
from batchgen.events import Event
from batchgen.spec.load import load_job
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import FILE_NAME, Ledger
from tests.api.canaries import Canaries, Network

from .conftest import KEY
from .test_wire_faults import DEV, JumpingClock

SECRET = "signature-9f8e7d"
INSIDE = (
    "https://127.0.0.1:{port}/p?s={secret}",
    "https://[::1]:{port}/p?s={secret}",
    "https://[::ffff:127.0.0.1]:{port}/p?s={secret}",
    "https://2130706433:{port}/p?s={secret}",
    "https://①②⑦.0.0.1:{port}/p?s={secret}",
    "https://localhost:{port}/p?s={secret}",
    "https://me:{secret}@127.0.0.1:{port}/p",
    "https://169.254.169.254/latest?s={secret}",
    "http://api.example.com:{port}/p?s={secret}",
    "file:///etc/passwd?s={secret}",
    "//127.0.0.1:{port}/p?s={secret}",
)
"""Links of which no try will ever bring a picture."""
INSIDE_TODAY = ("https://inner.example:{port}/p?s={secret}",)
"""A look-up that leads inside may lead elsewhere tomorrow."""


def png() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(out, "PNG")
    return out.getvalue()


class Provider:
    """`https://api.example.com:<port>`, on this machine: answers its n-th call with the n-th link."""

    def __init__(self) -> None:
        self.links: list[str] = []
        self.calls = 0
        self.port = 0
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                length = [
                    line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")
                ]
                await reader.readexactly(int(length[0]) if length else 0)
                writer.write(self._answer(head))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, head: str) -> bytes:
        path = head.split()[1]
        location, status, body = "", "200 OK", png()
        if head.startswith("POST"):
            body = json.dumps({"created": 1, "data": [{"url": self.links[self.calls]}]}).encode()
            self.calls += 1
        elif path.startswith("/to/"):
            location, status, body = f"Location: {bytes.fromhex(path[4:]).decode()}\r\n", "302 Found", b""
        return f"HTTP/1.1 {status}\r\n{location}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
async def canaries() -> AsyncIterator[Canaries]:
    made = Canaries()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    authority, made = trustme.CA(), Provider()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    network = Network(monkeypatch)
    network.names = {"api.example.com": [["127.0.0.1"]], "inner.example": [["127.0.0.1", "::1"]]}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("api.example.com").configure_cert(context)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


async def go(home: Path, provider: Provider, told: list[Event]) -> dict[str, Any]:
    path = home / "foo.yaml"
    prompts = [f"lamp {number}" for number in range(len(provider.links))]
    path.write_text(f"prompts: {json.dumps(prompts)}\nmodels: [{DEV}]\nlimits: {{concurrency: 1}}\n", encoding="utf-8")
    job = load_job(path, environment={"MODELVERSE_BASE_URL": f"https://api.example.com:{provider.port}/v1"})
    with ResultFolder(home / "outputs" / "foo") as folder:
        ledger = Ledger(home / "outputs" / "foo" / FILE_NAME)
        try:
            running = run(job, RunOptions(key=KEY), folder, ledger, clock=JumpingClock(), listeners=[told.append])
            return await asyncio.wait_for(running, 60)
        finally:
            ledger.close()


@pytest.mark.parametrize("redirected", [False, True], ids=["as links", "as redirects"])
async def test_no_link_leads_inside_and_no_picture_is_bought_twice(
    redirected: bool, provider: Provider, canaries: Canaries, tmp_path: Path
) -> None:
    bad = [link.format(port=canaries.port, secret=SECRET) for link in (*INSIDE, *INSIDE_TODAY)]
    if redirected:
        bad = [f"/to/{link.encode().hex()}" for link in bad]
    provider.links = ["/picture.png", *bad, f"https://api.example.com:{provider.port}/picture.png"]
    told: list[Event] = []

    report = await go(tmp_path, provider, told)

    assert canaries.heard == []
    assert provider.calls == len(provider.links)
    assert report["counts"]["done"] == 2
    assert report["counts"]["lost"] == len(INSIDE)
    failures = (tmp_path / "outputs" / "foo" / "failures.jsonl").read_text(encoding="utf-8")
    assert SECRET not in failures + repr(told) + json.dumps(report)
    downloads = [head for head in provider.heads if head.startswith("GET")]
    assert downloads
    assert not [
        head for head in downloads if KEY in head or "authorization" in head.lower() or "cookie" in head.lower()
    ]


async def test_a_name_that_leads_inside_today_costs_nothing_but_another_try(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter of names says 0.0.0.0 for the picture's host: the picture waits, and is never bought again."""
    provider.links = ["https://cdn.example.com/picture.png"]
    network = Network(monkeypatch)
    network.names = {"api.example.com": [["127.0.0.1"]], "cdn.example.com": [["0.0.0.0"]]}

    for _ in range(2):
        report = await go(tmp_path, provider, [])
        assert report["exit_code"] == Exit.UNAVAILABLE
        assert report["counts"]["lost"] == 0

    assert provider.calls == 1
    assert set(network.tried) == {"127.0.0.1"}
