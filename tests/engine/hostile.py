"""A provider whose every answer a test writes itself, and whose pictures are real."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

DEV = "models: [black-forest-labs/flux.1-dev]\n"
Answer = Callable[[int, dict[str, Any]], Awaitable[web.Response]]


def png(number: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 50 + number).save(out, "PNG")
    return out.getvalue()


class Hostile:
    """A provider whose every answer is given by a function of the request's number and body."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.posts = 0
        self.base_url = ""
        self.keys: list[str] = []

    async def post(self, request: web.Request) -> web.Response:
        self.posts += 1
        self.keys.append(request.headers["Idempotency-Key"])
        return await self.answer(self.posts, await request.json())

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/images/generations", self.post)
        app.router.add_get("/p/{n}", self.picture)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return runner

    async def picture(self, request: web.Request) -> web.Response:
        return web.Response(body=png(int(request.match_info["n"])), content_type="image/png")


def good(number: int) -> web.Response:
    return web.json_response({"created": 1, "data": [{"url": f"/p/{number}"}]})


@pytest.fixture
async def hostile() -> AsyncIterator[Callable[[Answer], Awaitable[Any]]]:
    runners: list[web.AppRunner] = []

    async def start(answer: Answer) -> Any:
        server = Hostile(answer)
        runners.append(await server.start())
        return server

    yield start
    for runner in runners:
        await runner.cleanup()


def prompts(*names: str) -> str:
    return "prompts: [" + ", ".join(names) + "]\n" + DEV
