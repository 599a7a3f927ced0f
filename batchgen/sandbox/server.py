"""The sandbox: an aiohttp server that takes the page's requests, bills them, draws the pictures and hands them out.

`start_sandbox` runs it inside any asyncio process; drawing happens on two threads of its own. It shares no code with the
client, refuses to contact anything, and keeps nothing that a link needs: links say all about their picture.
"""

import asyncio
import hashlib
import hmac
import json
import math
import random
import ssl
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Self, TypeVar, TypeVarTuple

from aiohttp import web

from batchgen.clock import Clock, RealClock
from batchgen.errors import UsageError
from batchgen.sandbox.answers import ERRORS, RefusalError, as_bytes, error_body, success_body
from batchgen.sandbox.bad_pictures import IN_THE_DRAWING, PASSING, bad_picture
from batchgen.sandbox.bill import Bill, BillEntry, BillSnapshot, price
from batchgen.sandbox.faults import Fault, FaultBook, parse_faults
from batchgen.sandbox.later_page import PAGES
from batchgen.sandbox.limits import Limits
from batchgen.sandbox.links import read_link, write_link
from batchgen.sandbox.misbehaviour import (
    AFTER_WORK,
    BEFORE_WORK,
    STALE,
    inline,
    instead_of_answer,
    instead_of_work,
    spoil,
)
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.page import CURRENCY, RANDOM_SEED, Order, read_order
from batchgen.sandbox.sketch import Sketch
from batchgen.sandbox.visitors import only_from_here

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

__all__ = ["Fault", "Sandbox", "SandboxOptions", "parse_faults", "start_sandbox"]

_BODY_AT_MOST = 128 * 1024 * 1024
_HIGHEST_RANDOM_SEED = 2_147_483_646
_WELCOME = "batchgen sandbox: POST /v1/images/generations, GET /v1/models, GET /sandbox/bill, POST /sandbox/reset\n"
_SPREAD = 0.35
_FURTHER_PICTURE = 0.35
_OTHER_PROMPT = "a picture that somebody else asked for"


async def start_sandbox(options: SandboxOptions | None = None, *, clock: Clock | None = None) -> "Sandbox":
    """A running sandbox. `clock` decides when links die and limits refill.

    Raises UsageError when the port is taken, or when the address does not belong to this machine.
    """
    sandbox = Sandbox(options or SandboxOptions(), clock or RealClock())
    await sandbox.start()
    return sandbox


class Sandbox:
    """One server. Use it as an async context manager, or call `stop` when done."""

    def __init__(self, options: SandboxOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._bill = Bill(options.bill_file)
        self._faults = FaultBook(options.faults, options.seed)
        self._limits = Limits(options.requests_per_minute, options.burst, options.concurrency, clock.monotonic)
        self._artists = ThreadPoolExecutor(2, "sandbox-drawing")
        self._chance = random.SystemRandom()
        self._downloads: Counter[str] = Counter()
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.2)
        self.port = options.port

    async def start(self) -> None:
        """Listen. Raises UsageError as `start_sandbox` does, and where certificates cannot be made."""
        # Pillow is imported here and not with the module: a process that never starts a sandbox does not pay for it.
        from batchgen.sandbox import drawing, inputs, plan

        self._draw, self._read_input, self._plan = drawing.draw, inputs.read_input, plan.plan_pictures
        try:
            context = self._secure() if self._options.tls else None
        except UsageError:
            await self.stop()
            raise
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._options.host, self._options.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise UsageError(
                f"the sandbox cannot listen on {self._options.host}:{self._options.port}: {error.strerror}",
                "choose another port, or 0 for any free one",
            ) from error
        self.port = self._runner.addresses[0][1]

    def _secure(self) -> ssl.SSLContext:
        from batchgen.sandbox.certificates import make_identity

        identity = make_identity(self._options.tls or "", self._options.host)
        if self._options.tls_ca is not None:
            try:
                self._options.tls_ca.write_bytes(identity.authority)
            except OSError as error:
                raise UsageError(
                    f"{self._options.tls_ca} cannot be written: {(error.strerror or 'no access').lower()}",
                    "name another file for the authority's certificate",
                ) from error
        return identity.context

    @property
    def root_url(self) -> str:
        """The server's root, without a slash at the end."""
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"{'https' if self._options.tls else 'http'}://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What an API client is given as its base URL."""
        return f"{self.root_url}/v1"

    @property
    def bill(self) -> BillSnapshot:
        """What was charged since the start or the last reset."""
        return self._bill.snapshot()

    @property
    def most_at_work(self) -> int:
        """The largest number of requests that were at work at the same time."""
        return self._limits.most_at_work

    async def stop(self) -> None:
        """Close the port, let go of waiting clients, and close the bill's file."""
        await self._runner.cleanup()
        self._artists.shutdown(wait=False, cancel_futures=True)
        self._bill.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_BODY_AT_MOST, middlewares=[only_from_here(self._options.host)])
        app.router.add_post("/v1/images/generations", self._generate)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/image/{token}/output/{name}", self._picture)
        app.router.add_get("/sandbox/bill", self._show_bill)
        app.router.add_post("/sandbox/reset", self._reset)
        app.router.add_get("/", self._welcome)
        return app

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        index = self._bill.count_request()
        try:
            raw = await request.read()
            self._check_key(request)
            with self._limits.slot():
                return await self._at_work(request, raw, index, request_id)
        except RefusalError as refusal:
            return self._refusal(refusal, request_id)

    async def _at_work(self, request: web.Request, raw: bytes, index: int, request_id: str) -> web.StreamResponse:
        page = PAGES[self._options.profile]
        order = read_order(_parsed(raw), page, ignore_unsupported=self._options.unsupported == "ignore")
        fault = self._faults.choose(order.model.id, order.prompt, order.seed, index)
        if fault in BEFORE_WORK:
            return await instead_of_work(fault, request, self._clock.now())
        if fault in ERRORS and fault not in AFTER_WORK:
            raise RefusalError(fault, retry_after_s=1.0 if fault == "429" else None)
        if fault == "429-bare":
            raise RefusalError("429")
        seed = order.seed if order.seed != RANDOM_SEED else self._chance.randint(0, _HIGHEST_RANDOM_SEED)
        sketches = await self._in_thread(self._sketches, order, seed, fault)
        await self._clock.sleep(self._play_time(order, len(sketches), index))
        made = len(sketches) - (fault == "item-error")
        if made:
            self._charge(request, order, request_id, seed, made)
        body = as_bytes(await self._success(request, order, fault, sketches))
        if fault in AFTER_WORK:
            unasked = await self._for_another(request, order, seed) if fault in STALE else b""
            return await instead_of_answer(fault, request, body, unasked)
        return web.Response(body=body, content_type="application/json")

    def _sketches(self, order: Order, seed: int, fault: str | None) -> list[Sketch]:
        """What the answer's pictures will show, after the faults that change their number or their look."""
        count = {"fewer": max(1, order.n - 1), "more": order.n + 1}.get(fault or "", order.n)
        sketches = self._plan(
            order,
            seed,
            [self._read_input(text) for text in order.inputs],
            count=count,
            scale=self._options.scale,
            picture_format=self._options.picture_format,
        )
        if fault == "picture-same":
            return [replace(each, text="the same again", seed=0, composition=0, variation=0) for each in sketches]
        if fault == "picture-near":
            return [replace(each, seed=0, composition=0, variation=seed + place) for place, each in enumerate(sketches)]
        if fault == "picture-wrong-size":
            return [
                replace(each, width=max(16, each.width // 2), height=max(16, each.height // 2)) for each in sketches
            ]
        flaw = fault if fault is not None and fault.startswith("picture-") else ""
        return [replace(each, flaw=flaw) for each in sketches]

    async def _success(
        self, request: web.Request, order: Order, fault: str | None, sketches: list[Sketch]
    ) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        now = self._clock.now()
        response = "b64_json" if order.response_format == "b64_json" else self._options.response
        if fault in {"b64-prefix", "b64-bare", "bad-b64"}:
            response = "b64_json"
        elif fault == "both":
            response = "both"
        for sketch in sketches:
            item: dict[str, Any] = {}
            if response != "b64_json":
                link = write_link(sketch, now + self._options.link_lifetime_s)
                root = f"{request.scheme}://{request.host}" if self._options.absolute_links else ""
                item["url"] = root + link
            if response != "url":
                picture = await self._in_thread(self._draw, sketch)
                item["b64_json"] = inline(picture, sketch.format, prefixed=fault != "b64-bare")
            items.append(item)
        return success_body(int(now), spoil(fault, items))

    async def _for_another(self, request: web.Request, order: Order, seed: int) -> bytes:
        """The answer that somebody else's request would get."""
        other = replace(order, prompt=_OTHER_PROMPT)
        sketches = await self._in_thread(self._sketches, other, seed, None)
        return as_bytes(await self._success(request, other, None, sketches))

    def _charge(self, request: web.Request, order: Order, request_id: str, seed: int, pictures: int) -> None:
        self._bill.charge(
            BillEntry(
                at=self._clock.now(),
                request_id=request_id,
                model=order.model.id,
                prompt=order.prompt,
                seed=seed,
                n=order.n,
                pictures=pictures,
                cost=price(order.model.id, pictures),
                idempotency_key=request.headers.get("Idempotency-Key", ""),
            )
        )

    def _play_time(self, order: Order, pictures: int, index: int) -> float:
        """Seconds that the work takes: spread like real ones, longer for more steps, pixels and pictures."""
        if self._options.latency <= 0:
            return 0.0
        seconds = order.model.play_s * self._options.latency
        if "steps" in order.model.takes:
            seconds *= order.steps / 28
        if order.size is not None:
            seconds *= math.sqrt(order.size[0] * order.size[1] / 1024**2)
        spread = random.Random(f"{self._options.seed}/{index}").lognormvariate(0, _SPREAD)  # noqa: S311  # repeatable
        return seconds * spread * (1 + _FURTHER_PICTURE * (pictures - 1))

    def _check_key(self, request: web.Request) -> None:
        wanted = self._options.key
        if wanted is None:
            return
        given = request.headers.get("Authorization", "").strip()
        if given[:7].lower() == "bearer ":
            given = given[7:].strip()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8")):
            raise RefusalError("401")

    def _refusal(self, refusal: RefusalError, request_id: str) -> web.Response:
        row = ERRORS[refusal.row]
        headers = {}
        if refusal.retry_after_s is not None and self._options.retry_after:
            headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
        body = as_bytes(error_body(row, refusal.detail, request_id))
        return web.Response(status=row.status, body=body, content_type="application/json", headers=headers)

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        token, name = request.match_info["token"], request.match_info["name"]
        try:
            sketch, expires_at = read_link(token, name)
        except ValueError:
            raise web.HTTPNotFound from None
        if self._clock.now() >= expires_at:
            raise web.HTTPNotFound(text="the link has expired")
        picture = await self._in_thread(self._draw, sketch)
        content_type = f"image/{sketch.format.lower()}"
        if self._is_bad(sketch.flaw, name):
            return await bad_picture(sketch.flaw, request, picture, content_type)
        return _ranged(request, picture, content_type)

    def _is_bad(self, flaw: str, name: str) -> bool:
        """Whether this download of a link with the flaw goes wrong."""
        if not flaw or flaw in IN_THE_DRAWING:
            return False
        if flaw not in PASSING:
            return True
        self._downloads[name] += 1
        return self._downloads[name] <= PASSING[flaw]

    async def _models(self, _: web.Request) -> web.Response:
        entries = [
            {
                "id": model.id,
                "object": "model",
                "created": 1750667997,
                "owned_by": "batchgen-sandbox",
                "pricing": [{"Rates": [{"ChargeItem": "image", "Price": str(model.price), "Currency": CURRENCY}]}],
            }
            for model in PAGES[self._options.profile].models.values()
        ]
        return web.json_response({"object": "list", "data": entries})

    async def _show_bill(self, _: web.Request) -> web.Response:
        return web.json_response(self.bill.as_json() | {"most_at_work": self._limits.most_at_work})

    async def _reset(self, _: web.Request) -> web.Response:
        self._bill.reset()
        self._faults.reset()
        self._downloads.clear()
        self._limits.most_at_work = self._limits.at_work
        return web.json_response({"reset": True})

    async def _welcome(self, _: web.Request) -> web.Response:
        return web.Response(text=_WELCOME)

    async def _in_thread(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._artists, function, *args)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise RefusalError("400", "the body is not JSON") from None


def _ranged(request: web.Request, picture: bytes, content_type: str) -> web.Response:
    """The picture, or the part of it that a Range header asks for."""
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{hashlib.sha256(picture).hexdigest()[:32]}"'}
    try:
        part = request.http_range
        start, stop, _ = part.indices(len(picture))
    except ValueError:
        start, stop, part = 0, len(picture), slice(None, None)
    if part.start is None and part.stop is None:
        return web.Response(body=picture, content_type=content_type, headers=headers)
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(picture)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(picture)}"
    return web.Response(status=206, body=picture[start:stop], content_type=content_type, headers=headers)
