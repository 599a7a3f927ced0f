"""A paid images API in a process of its own, which no kill of the product can reach. Run: `python -m tests.crash.provider`.

Lines on stdin open and close providers (see `main`). What one billed stands in `bills.jsonl`: one line for each picture, appended with one write before the answer leaves, so
that the file is the truth about money whatever happens to the caller. `calls.jsonl` has every request as it arrived. A
picture's link spells its task and bill and lives as long as this process. It is an independent server and imports
nothing of the product.
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from .pictures import draw

ANSWERS = ("url", "base64", "both", "mixed")
"""How a picture comes: as a link, inside the answer, with both, or by turns."""
FREE_FAULTS = ("429", "503", "500-free", "close-free")
"""What goes wrong before anything is billed."""
BILLED_FAULTS = ("500-billed", "504-billed", "close-billed", "cut-billed")
"""What goes wrong after the bill: the caller cannot know that it pays."""
DOWNLOAD_FAULTS = ("cut", "404", "500", "slow")
REFUSED_EVERY = 33
"""With faults on, the prompt of one task in so many is refused for good."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the provider behaves; `faults` is the share of requests that each kind of fault takes."""

    folder: Path
    answers: str = "url"
    keys: bool = False
    latency_s: float = 0.02
    large_every: int = 0
    faults: float = 0.0
    seed: int = 1


class Log:
    """A file of JSON lines that only grows; a line is there, whole, when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, **entry: object) -> None:
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")


class Provider:
    """The handlers and what they remember."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._bills = Log(options.folder / "bills.jsonl")
        self._calls = Log(options.folder / "calls.jsonl")
        self._billed = 0
        self._made: dict[str, asyncio.Task[int]] = {}
        self._failed_once: set[str] = set()
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/images/generations", self.generate)
        app.router.add_get("/pictures/{name}", self.picture)
        app.router.add_get("/quiet", self.quiet)
        return app

    async def quiet(self, request: web.Request) -> web.Response:
        """Answers when no paid call is under way: from then on the bills are complete."""
        await self._quiet.wait()
        return web.Response()

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """One paid call: work, bill, answer; or a fault on one side of the bill."""
        self._under_way += 1
        self._quiet.clear()
        try:
            return await self._generate(request)
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._quiet.set()

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        task = _task_of(str(body["prompt"]))
        key = request.headers.get("Idempotency-Key", "")
        fault = self._fault(FREE_FAULTS + BILLED_FAULTS)
        if self._options.faults and task % REFUSED_EVERY == REFUSED_EVERY - 1:
            fault = "refused"
        self._calls.add(call="post", task=task, key=key, fault=fault)
        if fault == "refused":
            return _error(400, "content_policy_violation", "the prompt was refused by moderation")
        if fault in FREE_FAULTS:
            return await self._fail(request, fault)
        bill = await self._bill(task, key)
        answer = json.dumps({"created": 1_700_000_000, "data": [self._item(request, task, bill)]}).encode()
        await asyncio.sleep(self._random.uniform(0, self._options.latency_s))
        if fault == "cut-billed":
            return await _cut(request, answer, "application/json")
        if fault:
            return await self._fail(request, fault)
        return web.Response(body=answer, content_type="application/json")

    async def _fail(self, request: web.Request, fault: str) -> web.Response:
        kind = fault.partition("-")[0]
        if kind == "close":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        code = {"429": "rate_limit_exceeded", "503": "service_unavailable"}.get(kind, "server_error")
        return _error(int(kind), code, f"a fault on order: {fault}")

    async def _bill(self, task: int, key: str) -> int:
        """The number of the bill for this call; with key support, a key that was seen before makes no second one."""
        if not (self._options.keys and key):
            return await self._work(task, key)
        if key not in self._made:
            self._made[key] = asyncio.create_task(self._work(task, key))
        return await asyncio.shield(self._made[key])

    async def _work(self, task: int, key: str) -> int:
        await asyncio.sleep(self._random.uniform(0, self._options.latency_s))
        self._billed += 1
        bill = self._billed
        self._bills.add(bill=bill, task=task, key=key)
        return bill

    def _item(self, request: web.Request, task: int, bill: int) -> dict[str, str]:
        way = self._options.answers
        if way == "mixed":
            way = ANSWERS[task % 3]
        url = f"http://{request.host}/pictures/{task}-{bill}.png"
        inline = base64.b64encode(self._draw(task, bill)).decode() if way != "url" else ""
        return {"url": url} if way == "url" else {"b64_json": inline} | ({"url": url} if way == "both" else {})

    def _draw(self, task: int, bill: int) -> bytes:
        every = self._options.large_every
        return draw(task, bill, large=bool(every) and task % every == every - 1)

    def _fault(self, kinds: tuple[str, ...]) -> str:
        """One of the kinds, each with the same small share; mostly none."""
        place = self._random.random()
        number = int(place / self._options.faults) if self._options.faults else len(kinds)
        return kinds[number] if number < len(kinds) else ""

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """One picture by its link, again and again; with faults on, not every time."""
        name = request.match_info["name"]
        task, bill = (int(number) for number in name.removesuffix(".png").split("-"))
        fault = self._fault(DOWNLOAD_FAULTS)
        if fault == "404" and name in self._failed_once:
            fault = ""
        self._failed_once.add(name)
        self._calls.add(call="get", task=task, bill=bill, fault=fault)
        if fault in {"404", "500"}:
            return web.Response(status=int(fault))
        data = await asyncio.to_thread(self._draw, task, bill)
        if fault == "cut":
            return await _cut(request, data, "image/png")
        if fault == "slow":
            await asyncio.sleep(20 * self._options.latency_s)
        return web.Response(body=data, content_type="image/png")


def _task_of(prompt: str) -> int:
    """The number in `task 17 …`."""
    found = re.search(r"\btask (\d+)\b", prompt)
    if found is None:
        raise web.HTTPBadRequest(text="a prompt of these tests names its task")
    return int(found[1])


def _error(status: int, code: str, message: str) -> web.Response:
    body: dict[str, Any] = {"error": {"code": code, "message": message, "type": code}}
    return web.json_response(body, status=status)


async def _cut(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """The first half of a body whose length was promised, then the end of the connection."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": content_type})
    with contextlib.suppress(ConnectionError):  # the caller may have been killed meanwhile
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


class Servers:
    """Any number of providers in one process, each on a port of its own and with a folder of its own."""

    def __init__(self) -> None:
        self._runners: dict[str, web.AppRunner] = {}

    async def open(self, options: Options) -> str:
        """Start one and return its address."""
        options.folder.mkdir(parents=True, exist_ok=True)
        runner = web.AppRunner(Provider(options).application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._runners[url] = runner
        return url

    async def close(self, url: str) -> None:
        """End one; its pictures are gone."""
        await self._runners.pop(url).cleanup()


async def _serve() -> None:
    servers = Servers()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if "close" in order:
            await servers.close(order["close"])
            print(json.dumps({"closed": order["close"]}), flush=True)
        else:
            url = await servers.open(Options(**order | {"folder": Path(order["folder"])}))
            print(json.dumps({"url": url}), flush=True)


def main() -> None:
    """Serve until stdin ends. A line there is the JSON of `Options`; the answer is a line with the address."""
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
