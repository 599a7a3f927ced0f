"""The script that people write, against limits: how many of its calls fail although the provider is well.

Arguments: base URL with `/v1`, number of pictures, how often the SDK tries again. Prints the failures as one number.
"""

import asyncio
import sys

from openai import AsyncOpenAI

AT_ONCE = 64


async def main(base_url: str, pictures: int, retries: int) -> None:
    semaphore = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(base_url=base_url, api_key="bench", max_retries=retries) as client:

        async def make(number: int) -> None:
            async with semaphore:
                await client.images.generate(
                    model="black-forest-labs/flux.1-dev", prompt=f"a lamp, view {number}", extra_body={"seed": number}
                )

        ended = await asyncio.gather(*(make(number) for number in range(pictures)), return_exceptions=True)
    print(sum(isinstance(each, BaseException) for each in ended))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
