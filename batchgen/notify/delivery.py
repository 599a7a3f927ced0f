"""Sends news to services, commands and monitors: a few tries, a bound on all of it, and never an error.

Addresses are secrets: none is shown. Nothing is followed, no proxy is asked, and a plain http address has to be one of
this machine. It refuses to know what a run is.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import shlex
import signal
import ssl
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from batchgen.api.addresses import is_loopback_host
from batchgen.api.tls import client_context
from batchgen.clock import Clock
from batchgen.notify.messages import News, Request, address, is_taken, request_for

_TRIES = 3
_TRY_S = 10.0
_TO_END_S = 0.5
"""What is kept of the whole time for ending a command that takes longer."""
_PAUSE_S = 1.5
_ANSWER_AT_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where news goes. `named` is how it is called in a warning: never by its address."""

    to: str
    named: str
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    command: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What a command sees."""


def misfit(target: Target) -> str:
    """Why nothing can be sent there, or the empty text."""
    if target.to == "command":
        try:
            return "" if shlex.split(target.command) else f"{target.named} is empty"
        except ValueError:
            return f"{target.named} holds a quote that is not closed"
    if target.to == "apprise":
        return "" if target.url.strip() else f"{target.named} is empty"
    try:
        url = address(target.url)
        is_good = bool(url.host) and (
            url.scheme == "https" or (url.scheme == "http" and is_loopback_host(url.host or ""))
        )
    except ValueError:
        is_good = False
    return "" if is_good else f"{target.named} holds no address that begins with https://"


async def deliver(targets: Sequence[Target], news: News, clock: Clock, within_s: float = 30.0) -> list[str]:
    """Send `news` to all `targets` at once; what could not be delivered, a line each. Raises nothing."""
    context = await asyncio.to_thread(client_context)
    said = await asyncio.gather(*(_deliver(target, news, clock, context, within_s) for target in targets))
    return [line for line in said if line]


async def _deliver(target: Target, news: News, clock: Clock, context: ssl.SSLContext, within_s: float) -> str:
    try:
        async with asyncio.timeout(within_s):
            failed = misfit(target)
            if failed:
                return f"{target.to} was not told: {failed}"
            if target.to == "command":
                failed = await _run(target, news, within_s - _TO_END_S)
            elif target.to == "apprise":
                failed = await _through_apprise(target, news)
            else:
                failed = await _post(target, news, clock, context)
    except TimeoutError:
        failed = f"no answer within {within_s:.0f} s"
    except Exception as error:  # noqa: BLE001  # whatever breaks here must not reach a run that has ended
        failed = f"internal error: {type(error).__name__}"
    return f"{target.to} ({target.named}) was not told: {failed}" if failed else ""


async def _post(target: Target, news: News, clock: Clock, context: ssl.SSLContext) -> str:
    failed = ""
    timeout = aiohttp.ClientTimeout(total=_TRY_S)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=timeout, trust_env=False) as session:
        for number in range(_TRIES):
            if number:
                await clock.sleep(_PAUSE_S * 2 ** (number - 1))
            # Anew for each try: a signature is of its moment.
            request = request_for(target.to, target.url, target.secret, news, clock.now())
            failed, may_pass = await _try(session, target.to, request)
            if not failed or not may_pass:
                break
    return failed


async def _try(session: aiohttp.ClientSession, to: str, request: Request) -> tuple[str, bool]:
    """What went wrong, if anything, and whether another try may help."""
    try:
        async with session.post(
            request.url, data=request.body, headers=request.headers, allow_redirects=False
        ) as response:
            failed = is_taken(to, response.status, await _body(response))
            return failed, response.status >= 500 or response.status in {200, 408, 425, 429}
    except TimeoutError:
        return f"no answer within {_TRY_S:.0f} s", True
    except aiohttp.ClientConnectorDNSError:
        return "its host is not known", True
    except (aiohttp.ClientSSLError, ssl.SSLError):
        return "its certificate is not trusted", False
    except aiohttp.ClientConnectorError:
        return "nobody answers at its address", True
    except (aiohttp.ClientError, OSError, ValueError):
        return "the connection broke", True


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole answer up to a bound: one read gives what has arrived so far, and half a JSON text is none."""
    body = b""
    while len(body) < _ANSWER_AT_MOST:
        piece = await response.content.read(_ANSWER_AT_MOST - len(body))
        if not piece:
            break
        body += piece
    return body


async def _run(target: Target, news: News, within_s: float) -> str:
    """The user's own command, with the text on its standard input; started once, since what it does is not ours to repeat."""
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(target.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**target.environment, "BATCHGEN_EVENT": news.event},
            start_new_session=True,
        )
    except OSError as error:
        return f"it cannot be started: {(error.strerror or 'refused').lower()}"
    try:
        async with asyncio.timeout(within_s):
            await process.communicate(f"{news.text}\n".encode())
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session, and so its own group
        await process.wait()
        return f"it was ended after {within_s:.0f} s"
    return f"it ended with {process.returncode}" if process.returncode else ""


async def _through_apprise(target: Target, news: News) -> str:
    """Its plugins block, some for ever: in a daemon, since Python waits for executors' threads before it ends."""
    said: concurrent.futures.Future[str] = concurrent.futures.Future()
    said.set_running_or_notify_cancel()  # nobody cancels it, so that a late end is no error

    def work() -> None:
        try:
            said.set_result(_ask_apprise(target, news))
        except Exception as error:  # noqa: BLE001  # raised again where somebody waits
            said.set_exception(error)

    threading.Thread(target=work, name="batchgen-apprise", daemon=True).start()
    return await asyncio.wrap_future(said)


def _ask_apprise(target: Target, news: News) -> str:
    # What its hundred plugins use of Python is theirs to mend.
    with warnings.catch_warnings(action="ignore"):
        try:
            import apprise
        except ImportError:
            return "apprise is not installed; `pip install 'batchgen[notify]'`"
        # It logs addresses, and answers as they came.
        logger = logging.getLogger("apprise")
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        messenger = apprise.Apprise()
        if not messenger.add(target.url.strip()):
            return "it holds no address that apprise knows"
        told = []
        for service in messenger:  # several at once would be threads of an executor
            single = apprise.Apprise()
            single.add(service)
            told.append(bool(single.notify(body=news.text, body_format=apprise.NotifyFormat.TEXT)))
    return "" if all(told) else "apprise could not deliver it"
