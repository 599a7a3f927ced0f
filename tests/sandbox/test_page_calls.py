"""The two calls that stand on the page, run as they stand but for the address and the key."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from batchgen.sandbox.server import SandboxOptions, start_sandbox

GOLDEN = Path(__file__).parent.parent / "golden"
OPTIONS = SandboxOptions(latency=0, scale=0.1, key="sk-play")


async def output_of(*command: str, **environment: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command, env=kept | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode("utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl: the page's own call is NOT TESTED here")
async def test_the_curl_call_of_the_page_gives_a_link_to_a_picture(tmp_path: Path) -> None:
    call = (GOLDEN / "page-curl.sh").read_text("utf-8")
    async with await start_sandbox(OPTIONS) as sandbox:
        call = call.replace("https://api.modelverse.cn/v1", sandbox.base_url).replace("<你的API Key>", "sk-play")
        answer = await output_of("sh", "-c", call.replace("curl ", "curl --silent --show-error --noproxy '*' ", 1))
        link = answer.partition('"url":"')[2].partition('"')[0]
        target = tmp_path / "picture.jpeg"
        await output_of("curl", "--silent", "--fail", "--noproxy", "*", "--output", str(target), link)
        assert target.read_bytes().startswith(b"\xff\xd8\xff")
        assert sandbox.bill.pictures == 1


async def test_the_openai_snippet_of_the_page_prints_a_link() -> None:
    snippet = (GOLDEN / "page-openai.py.txt").read_text("utf-8")
    async with await start_sandbox(OPTIONS) as sandbox:
        printed = await output_of(
            sys.executable,
            "-c",
            snippet,
            BASE_URL=sandbox.base_url,
            API_KEY="sk-play",
            PYTHONIOENCODING="utf-8",
            NO_PROXY="*",
        )
        assert sandbox.root_url + "/image/" in printed
        (entry,) = sandbox.bill.entries
        assert entry.model == "black-forest-labs/flux-kontext-pro/text-to-image"
