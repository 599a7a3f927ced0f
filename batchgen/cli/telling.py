"""Tells whoever a job names how its run begins and ends; what goes wrong here is a line, and nothing of the run.

A listener for the start, and one call for the end. Addresses and secrets come from the environment, as keys do; a command
and what apprise is given come from the process alone, since a `.env` may come with a job.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.cli.environment import Environment
from batchgen.errors import BatchgenError, Exit, LockedError
from batchgen.events import Event, RunStarted
from batchgen.spec.job import NIGHT, Job, Notify

if TYPE_CHECKING:
    from batchgen.notify.delivery import Target
    from batchgen.notify.messages import News

_PATIENCE_S = 30.0
_PATIENCE_WHEN_STOPPED_S, _PATIENCE_WHEN_LEFT_S = 5.0, 2.0
"""Whoever stopped a run is waiting for it, and a further Ctrl-C is ignored by then."""
_TO_RETURN_S = 1.0
_PROCESS_ALONE = {"command", "apprise"}


class Telling:
    """Those who are told about the runs of one job. `warnings` says what will not reach anybody, for the head of the log."""

    def __init__(self, path: Path, job: Job, environment: Environment, night: str = "") -> None:
        self._named, self._job = str(path), job
        missing = [(told, _missing_in(told, environment)) for told in job.notify]
        self._targets = [(told, _target(told, job, environment)) for told, why in missing if not why]
        self.warnings = tuple(f"{told.to} is not told of this run: {why}" for told, why in missing if why)
        self._before = _exit_before(job, night) if self._targets else None
        self._started: threading.Event | None = None

    def __call__(self, event: Event) -> None:
        """Take one event of the run; its start goes out in the background."""
        if not isinstance(event, RunStarted) or not self._of("start"):
            return
        from batchgen.views.news import facts, started_text

        news = self._news("start", started_text(self._job.name, self._named), facts(self._job.name, None, None, None))
        self._started = self._send(self._of("start"), news, [], _PATIENCE_S)

    def ended(self, exit_code: Exit, report: dict[str, Any] | None, error: BatchgenError | None = None) -> list[str]:
        """Tell the end and wait for that, half a minute at most; what did not arrive, a line each.

        Raises nothing but KeyboardInterrupt.
        """
        from batchgen.views.news import ended_text, error_text, facts

        until = time.monotonic() + self._patience(exit_code, report, error)
        if self._started is not None:  # the start arrives before the end, and is not lost with the process
            self._started.wait((until - time.monotonic()) / 2)
        event = "success" if exit_code is Exit.DONE else "failure"
        is_locked = isinstance(error, LockedError)  # the last run in the ledger goes on, and says itself how it ends
        before = "" if is_locked else self._words_before(exit_code)
        is_first = self._before is None and exit_code is not Exit.DONE
        targets = self._of(event, changed=not is_locked and (bool(before) or is_first))
        if not targets:
            return []
        if report is not None:
            text = ended_text(report, self._named, before)
        else:
            stopped = BatchgenError("it was stopped, and left at once")
            text = error_text(self._job.name, error or stopped, self._named, before)
        warnings: list[str] = []
        news = self._news(event, text, facts(self._job.name, int(exit_code), report, error))
        left_s = until - time.monotonic()
        if not self._send(targets, news, warnings, left_s).wait(left_s + _TO_RETURN_S):
            return [f"{', '.join(target.to for target in targets)} may not have been told: it took too long"]
        return warnings

    def _patience(self, exit_code: Exit, report: dict[str, Any] | None, error: BatchgenError | None) -> float:
        if exit_code not in {Exit.SIGINT, Exit.SIGTERM}:
            return _PATIENCE_S
        return _PATIENCE_WHEN_LEFT_S if report is None and error is None else _PATIENCE_WHEN_STOPPED_S

    def _of(self, event: str, *, changed: bool = False) -> "list[Target]":
        return [
            target
            for told, target in self._targets
            if told.to == "heartbeat" or event in told.on or (changed and "change" in told.on)
        ]

    def _words_before(self, exit_code: Exit) -> str:
        if self._before is None or self._before == exit_code:
            return ""
        words = {0: "ended well", _KILLED: "was killed"}.get(self._before, f"ended with exit code {self._before}")
        return f"the run before {words}"

    def _news(self, event: str, text: str, about: dict[str, Any]) -> "News":
        from batchgen.notify.messages import News

        return News(event, text, about)

    def _send(self, targets: "Sequence[Target]", news: "News", warnings: list[str], within_s: float) -> threading.Event:
        """Begin to send; what is returned is set when `warnings` says all that there is to say."""
        from batchgen.clock import RealClock
        from batchgen.notify.delivery import deliver

        is_done = threading.Event()

        async def tell() -> None:
            warnings.extend(await deliver(targets, news, RealClock(), within_s))
            is_done.set()  # and not when the loop is closed: that waits for names that are looked up

        # A daemon: nobody waits for a service that hangs, whatever it hangs in.
        threading.Thread(target=lambda: asyncio.run(tell()), name="batchgen-telling", daemon=True).start()
        return is_done


def _target(told: Notify, job: Job, environment: Environment) -> "Target":
    """Where the news goes."""
    from batchgen.notify.delivery import Target

    values = environment.process if told.to in _PROCESS_ALONE else environment.values
    named = told.command_env if told.to == "command" else told.url_env
    assert named is not None
    value = values[named].strip()
    if told.to != "command":
        secret = values.get(told.secret_env, "").strip() if told.secret_env else ""
        return Target(told.to, named, url=value, secret=secret)
    # The key is for the provider: what somebody's script writes down is not ours to know.
    seen = {name: each for name, each in environment.process.items() if name != job.key_env}
    return Target(told.to, named, command=value, environment=seen)


def _missing_in(told: Notify, environment: Environment) -> str:
    """Why nothing can be sent, or the empty text."""
    named = told.command_env if told.to == "command" else told.url_env
    # Without the secret a message would go out unsigned, and whoever checks signatures would not take it.
    names = [name for name in (named, told.secret_env) if name]
    return next((why for name in names if (why := _missing(name, told, environment))), "")


def _missing(name: str, told: Notify, environment: Environment) -> str:
    if environment.process.get(name, "").strip():
        return ""
    if not environment.file.get(name, "").strip():
        return f"{name} is not set"
    if told.to in _PROCESS_ALONE:
        return f"{name} counts in the environment alone, and not in {environment.path}"
    return f"other users can read {environment.path}; `chmod 600` it" if environment.open_to_others else ""


_KILLED = -1


def _exit_before(job: Job, night: str) -> int | None:
    """How the last run ended: its exit code, `_KILLED`, or None where there was none or nobody can tell."""
    from batchgen.cli.jobs import folders_of_nights
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.runs import last_exit

    folders = [job.output.folder]
    try:
        if job.output.of_nights and night:
            nights = folders_of_nights(Path(str(job.output.folder).replace(night, NIGHT)))
            folders += [folder for each, folder in reversed(nights) if each < night]
        for folder in folders:
            reader = open_reader(folder)
            if reader is None:
                continue
            with closing(reader):
                found = last_exit(reader)
            if found is not None:
                return _KILLED if found == "killed" else found
    except (BatchgenError, OSError, sqlite3.Error):  # whoever needs the ledger will say so
        return None
    return None
