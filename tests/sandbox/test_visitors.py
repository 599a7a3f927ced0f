"""A web page in the user's browser neither uses nor reads the sandbox."""

import aiohttp
import pytest

from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.server import start_sandbox


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
    ],
)
async def test_a_page_of_another_origin_is_turned_away(headers: dict[str, str], status: int) -> None:
    async with (
        await start_sandbox(SandboxOptions(latency=0, scale=0.05)) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        for url in (f"{sandbox.root_url}/sandbox/bill", f"{sandbox.base_url}/models"):
            async with session.get(url, headers=headers) as response:
                assert response.status == status
