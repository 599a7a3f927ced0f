"""The server on its own."""

import asyncio

import aiohttp
import pytest

from batchgen.sandbox.faults import parse_faults
from batchgen.sandbox.main import serve
from batchgen.sandbox.options import SandboxOptions


async def test_it_says_where_it_is_and_serves_until_it_is_cancelled() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    options = SandboxOptions(latency=0, scale=0.05, key="sk-play", faults=parse_faults("429:0.05"))
    server = asyncio.create_task(serve(options, lines.put_nowait))
    base_url = (await lines.get()).removeprefix("sandbox at ")
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/models") as response:
        assert response.status == 200
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server
    said = [lines.get_nowait() for _ in range(lines.qsize())]
    assert any("429 (5%)" in line for line in said)
    assert said[-1].startswith("billed 0 pictures")
