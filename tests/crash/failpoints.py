"""Named places in the protocol at which a run kills itself, without a line of it in the product.

A failpoint is a function of the product and a side of it: `arm` puts a wrapper around the function, and the chosen call
ends the process by SIGKILL, before the function or after it. Where many purchases share one step (a commit, a folder's
sync), `counting` names the function that runs inside it once for each of them: the process dies at the step that covers
the chosen one. A name that the product does not have any more raises LookupError, which makes its test red.
"""

import functools
import importlib
import inspect
import itertools
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Failpoint:
    """A place to die: `target` and `counting` are `module:name` or `module:Class.name` inside the product."""

    side: str
    target: str
    counting: str = ""
    needs: str = ""
    """The answers of the provider (`url` or `base64`) without which the place is never reached."""
    once: bool = False
    """Whether a run passes the place once only."""


_COMMIT = "storage.ledger:Ledger._transaction"

START = {
    "lock taken": Failpoint(AFTER, "storage.lock:FolderLock.acquire", once=True),
    "folder made": Failpoint(AFTER, "storage.files:ResultFolder.__init__", once=True),
    "ledger opened": Failpoint(AFTER, "storage.ledger:_open", once=True),
    "parts cleaned": Failpoint(AFTER, "storage.files:ResultFolder.clean_parts", once=True),
    "run noted": Failpoint(AFTER, _COMMIT, counting="engine.run:start_run", once=True),
    "sending settled": Failpoint(AFTER, "engine.run:settle_sending", once=True),
    "manifest mended": Failpoint(AFTER, "engine.run:mend_manifest", once=True),
}
"""The steps of a run before it buys."""

PURCHASE = {
    "intent written": Failpoint(AFTER, "engine.life:begin"),
    "intent committed": Failpoint(AFTER, _COMMIT, counting="engine.life:begin"),
    "call about to leave": Failpoint(BEFORE, "engine.life:buy"),
    "call sent": Failpoint(AFTER, "api.call:_mark_sent"),
    "answer read": Failpoint(AFTER, "api.call:Caller._read"),
    "answer classed": Failpoint(AFTER, "engine.life:buy"),
    "spool begun": Failpoint(BEFORE, "storage.files:ResultFolder.spool_write", needs="base64"),
    "answer spooled": Failpoint(AFTER, "storage.files:ResultFolder.spool_write", needs="base64"),
    "answer written": Failpoint(AFTER, "engine.life:bill"),
    "answer committed": Failpoint(AFTER, _COMMIT, counting="engine.life:bill"),
}
"""From the intent to the answer that is durable."""

LANDING = {
    "download begun": Failpoint(BEFORE, "api.fetch:Downloader.fetch", needs="url"),
    "download ended": Failpoint(AFTER, "api.fetch:Downloader.fetch", needs="url"),
    "part written": Failpoint(AFTER, "storage.files:PartFile.write"),
    "part synced": Failpoint(AFTER, "storage.files:PartFile.finish"),
    "final name given": Failpoint(AFTER, "storage.files:place"),
    "part's name removed": Failpoint(AFTER, "storage.files:PartFile.discard"),
    "folder synced": Failpoint(AFTER, "storage.disk:Folders.sync", counting="storage.files:place"),
    "stored written": Failpoint(AFTER, "engine.downloads:store", counting="storage.landings:_settle_task"),
    "stored committed": Failpoint(AFTER, _COMMIT, counting="storage.landings:_settle_task"),
    "manifest about to grow": Failpoint(AFTER, "engine.downloads:manifest_row"),
    "manifest appended": Failpoint(
        AFTER, "storage.manifest:ManifestWriter.append", counting="storage.manifest:ManifestRow.to_line"
    ),
    "spool dropped": Failpoint(AFTER, "storage.files:ResultFolder.spool_delete", needs="base64"),
}
"""From the durable answer to the stored picture. Steps that a batch shares are counted by picture."""

END = {
    "run's end noted": Failpoint(AFTER, _COMMIT, counting="engine.run:end_run", once=True),
    "manifest synced": Failpoint(AFTER, "storage.manifest:ManifestWriter.sync", once=True),
    "failures written": Failpoint(AFTER, "engine.run:write_failures", once=True),
    "report begun": Failpoint(AFTER, "engine.run:report_bytes", once=True),
    "run over": Failpoint(AFTER, "cli.execute:_execute", once=True),
    "ledger closing": Failpoint(BEFORE, "storage.ledger:Ledger.close", once=True),
    "ledger closed": Failpoint(AFTER, "storage.ledger:Ledger.close", once=True),
    "folder closed": Failpoint(AFTER, "storage.files:ResultFolder.close", once=True),
    "lock released": Failpoint(AFTER, "storage.lock:FolderLock.release", once=True),
}
"""The steps of a run after its last picture."""

RECOVERY = {
    "parts being cleaned": Failpoint(BEFORE, "storage.files:ResultFolder.clean_parts", once=True),
    "one call settled": Failpoint(AFTER, "engine.recovery:_settle"),
    "unknown written": Failpoint(AFTER, "engine.recovery:lose_track"),
    "unknown committed": Failpoint(AFTER, _COMMIT, counting="engine.recovery:lose_track"),
    "spooled answer committed": Failpoint(AFTER, _COMMIT, counting="engine.recovery:bill", needs="base64"),
    "manifest about to be rebuilt": Failpoint(BEFORE, "storage.manifest:ManifestWriter.rebuild", once=True),
    "manifest rebuilt": Failpoint(AFTER, "storage.manifest:ManifestWriter.rebuild", once=True),
    "waiting picture in hand": Failpoint(AFTER, "engine.downloads:Downloads.add", once=True),
}
"""The steps of a run that settles what a killed one left."""

FAILPOINTS = START | PURCHASE | LANDING | END | RECOVERY


def arm(name: str, call: int) -> None:
    """Let this process die at the `call`-th passage (from 1) of the failpoint `name`."""
    point = FAILPOINTS[name]
    calls = itertools.count(1)
    if not point.counting:
        _wrap(point.target, before=_dying(calls, call) if point.side == BEFORE else None)
        if point.side == AFTER:
            _wrap(point.target, after=_dying(calls, call))
        return
    covered = [False]

    def count() -> None:
        covered[0] = covered[0] or next(calls) == call

    def die_if_covered() -> None:
        if covered[0]:
            _die()

    _wrap(point.counting, after=count)
    _wrap(point.target, after=die_if_covered)


def _dying(calls: Iterator[int], call: int) -> Callable[[], None]:
    def die() -> None:
        if next(calls) == call:
            _die()

    return die


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # the signal is on its way; nothing more of this thread may happen


def _wrap(target: str, *, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None) -> None:
    """Put `before` and `after` around a function of the product. Raises LookupError when there is none of that name."""
    holder, name = _found(target)
    function = inspect.getattr_static(holder, name)
    if not inspect.isfunction(function):
        raise LookupError(f"{target} is no plain function any more: the failpoint has to follow it")
    setattr(holder, name, _wrapped(function, before or _nothing, after or _nothing))


def _wrapped(function: Callable[..., Any], before: Callable[[], None], after: Callable[[], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        coroutine_function: Callable[..., Coroutine[Any, Any, Any]] = function

        @functools.wraps(function)
        async def later(*args: Any, **kwargs: Any) -> Any:
            before()
            result = await coroutine_function(*args, **kwargs)
            after()
            return result

        return later

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        before()
        result = function(*args, **kwargs)
        after()
        return result

    return now


def _found(target: str) -> tuple[Any, str]:
    module_name, _, path = target.partition(":")
    try:
        holder: Any = importlib.import_module(f"batchgen.{module_name}")
        *above, name = path.split(".")
        for part in above:
            holder = getattr(holder, part)
        inspect.getattr_static(holder, name)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"{target} does not exist any more: the failpoint has to follow it") from error
    return holder, name


def _nothing() -> None:
    """What stands on the side where nothing happens."""
