"""Answers as large as they may be, all at once: every paid picture is stored, and a small machine is enough."""

import asyncio
import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from .test_secrets import PNG
from .test_wire_faults import MEMORY_AT_MOST, command_line

TAIL = 44 * 1024 * 1024
START, END = b'{"data":[{"b64_json":"', b'"}]}'


def large(picture: bytes) -> bytes:
    return START + base64.b64encode(picture) + END


@pytest.mark.parametrize(
    ("told", "note"),
    [(True, b""), (False, "\U0001f600".encode())],
    ids=["length told", "length not told, and one letter that makes Python hold every letter in four bytes"],
)
async def test_large_answers_at_once_are_all_stored_in_little_memory(told: bool, note: bytes, tmp_path: Path) -> None:
    whole = START + large(PNG + bytes(TAIL)).removeprefix(START).removesuffix(END) + b'","note":"' + note + END
    damaged = whole[: len(START) + 5_000_000] + b"*" + whole[len(START) + 5_000_001 :]

    async def answer(request: web.Request) -> web.StreamResponse:
        body = damaged if "damaged" in (await request.json())["prompt"] else whole
        response = web.StreamResponse(headers={"Content-Length": str(len(body))} if told else {})
        if not told:
            response.enable_chunked_encoding()
        await response.prepare(request)
        for start in range(0, len(body), 1 << 20):
            await response.write(body[start : start + (1 << 20)])
            await asyncio.sleep(0)
        return response

    app = web.Application()
    app.router.add_post("/v1/images/generations", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider = cast("Any", SimpleNamespace(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1"))
    try:
        prompts = ["lamp 1", "damaged 2", "lamp 3", "lamp 4"]
        ran = await command_line(tmp_path, provider, prompts, "concurrency: 4")
    finally:
        await runner.cleanup()

    assert ran.code == 3, ran.said
    lines = (tmp_path / "outputs" / "foo" / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["prompt"] for line in lines) == ["lamp 1", "lamp 3", "lamp 4"]
    assert ran.peak_bytes < MEMORY_AT_MOST
