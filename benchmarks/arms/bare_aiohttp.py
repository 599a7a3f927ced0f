"""The least that the network part can cost: POST, parse, GET, keep nothing.

Arguments: base URL with `/v1`, number of pictures, a folder that is not used.
"""

import asyncio
import json
import sys

import aiohttp

AT_ONCE = 64


async def main(base_url: str, pictures: int) -> None:
    numbers = iter(range(pictures))
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    headers = {"Authorization": "Bearer bench"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def work() -> None:
            for number in numbers:
                body = {
                    "model": "black-forest-labs/flux.1-dev",
                    "prompt": f"a neon city, view {number}",
                    "seed": number,
                }
                async with session.post(f"{base_url}/images/generations", json=body) as response:
                    link = json.loads(await response.read())["data"][0]["url"]
                async with session.get(link) as response:
                    await response.read()

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
