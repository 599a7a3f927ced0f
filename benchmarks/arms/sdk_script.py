"""The script that people write: the openai SDK, a semaphore, a download with aiohttp, `write`.

It checks nothing, syncs nothing and remembers nothing. Downloading with the client that the SDK brings (httpx2) costs half
as much again, so this is the stronger opponent. Arguments: base URL with `/v1`, number of pictures, a folder for them.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp
from openai import AsyncOpenAI

AT_ONCE = 64


async def main(base_url: str, pictures: int, folder: Path) -> None:
    folder.mkdir()  # noqa: ASYNC240
    semaphore = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(base_url=base_url, api_key="bench") as client, aiohttp.ClientSession() as downloads:

        async def make(number: int) -> None:
            async with semaphore:
                answer = await client.images.generate(
                    model="black-forest-labs/flux.1-dev",
                    prompt=f"a neon city, view {number}",
                    extra_body={"seed": number},
                )
                assert answer.data is not None
                link = answer.data[0].url
                assert link is not None
                async with downloads.get(link) as response:
                    response.raise_for_status()
                    data = await response.read()
                with open(folder / f"{number:06}.jpg", "wb") as file:  # noqa: ASYNC230, PTH123  # as people do
                    file.write(data)

        await asyncio.gather(*(make(number) for number in range(pictures)))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
