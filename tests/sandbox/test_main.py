"""The server on its own."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from batchgen.cli.main import main
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


async def test_it_says_which_https_it_speaks_and_where_its_authority_is(tmp_path: Path) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    options = SandboxOptions(latency=0, tls="expired", tls_ca=tmp_path / "ca.pem")
    server = asyncio.create_task(serve(options, lines.put_nowait))
    said = [await lines.get() for _ in range(4)]
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server
    assert said[0].startswith("sandbox at https://127.0.0.1:")
    assert "until yesterday" in said[2]
    assert "ca.pem" in said[3]
    assert (tmp_path / "ca.pem").read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")


def test_a_place_for_a_certificate_without_https_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", "--tls-ca", str(tmp_path / "ca.pem")])
    assert ended.value.code == 2
    assert "--tls good" in capsys.readouterr().err
