"""Wires one run together: lock, ledger, embedded sandbox, displays, signals. Shared by `run` and `recover`."""

import asyncio
import os
import resource
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchgen.cli.messages import logs_in_words, say, say_error
from batchgen.clock import RealClock
from batchgen.engine.run import RunOptions, run
from batchgen.engine.watch import Control
from batchgen.errors import BatchgenError, Exit, StorageError
from batchgen.events import Listener
from batchgen.library.opening import open_folder, provider_of
from batchgen.secret import Secret
from batchgen.spec.job import Job
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import Ledger

if TYPE_CHECKING:
    from batchgen.views.run_log import RunLog

_PATIENCE_S = 60.0
_LEAVE_WITHIN_S = 1.8
_FILES_WANTED = 4096
_SHOWN_AT_MOST, _SHOWN_AT_MOST_WHEN_STOPPED = 250_000, 20_000
"""Tasks of a job whose gallery is renewed at the end of a run: what takes longer is for the verb."""
_MADE_AT_MOST = 200
"""Missing small pictures that are made at the end of a run."""


@dataclass(frozen=True, slots=True)
class Display:
    """How a run shows itself: `live` on a terminal, `json` for programs, else plain lines; `quiet` shows nothing."""

    json: bool = False
    quiet: bool = False


def _opened(job: Job) -> "AbstractContextManager[tuple[ResultFolder, Ledger]]":
    return open_folder(job.output.folder, thumbnails=job.output.gallery)


def execute(
    job: Job,
    options: RunOptions,
    display: Display,
    *,
    notes: Sequence[str] = (),
    listeners: Sequence[Listener] = (),
) -> tuple[Exit, dict[str, Any] | None]:
    """Run a job in this process to its end; its exit code and its report (None when it was cut short).

    `notes` stand at the head of its log; `listeners` hear what the display hears.
    """
    control = Control()
    watchdogs: list[threading.Timer] = []
    _raise_file_limit()
    try:
        with logs_in_words(Secret(options.key)), _opened(job) as (folder, ledger), _log(job, display, notes) as log:
            heard: list[Listener] = [*listeners, log]
            report = asyncio.run(_execute(job, options, display, folder, ledger, control, watchdogs, heard))
            if job.output.gallery and report["error"] is None:
                line = _renew_gallery(job, options, report["counts"]["tasks"], stopped=control.exit_code is not None)
                log.note(line)
                if not display.quiet and (line.startswith("warning") or not display.json):
                    say(line)
            if report["error"] is None and (report["this_run"]["calls"] or report["counts"]["new_stored"]):
                _back_up(job, display, log)
    except asyncio.CancelledError:
        return control.exit_code or Exit.SIGINT, None
    finally:
        for watchdog in watchdogs:
            watchdog.cancel()
    if report["error"] is not None and not (display.json or display.quiet):
        say_error(StorageError(**report["error"]))
    return Exit(report["exit_code"]), report


@contextmanager
def _log(job: Job, display: Display, notes: Sequence[str]) -> "Iterator[RunLog]":
    from batchgen.views.run_log import RunLog

    with RunLog(job.output.folder, job.log, at=RealClock().now(), notes=notes) as log:
        if log.warning and not display.quiet:
            say(f"warning: {log.warning}")
        yield log


def _back_up(job: Job, display: Display, log: "RunLog") -> None:
    from batchgen.storage.backup import back_up

    warning = back_up(job.output.folder, RealClock().now())
    if warning:
        log.note(f"warning: {warning}")
        if not display.quiet:
            say(f"warning: {warning}")


def _renew_gallery(job: Job, options: RunOptions, tasks: int, *, stopped: bool) -> str:
    """Renew the gallery after a run, in a moment or not at all, and say so; what goes wrong changes nothing of the run."""
    from batchgen.views.gallery.build import build_gallery

    if tasks > (_SHOWN_AT_MOST_WHEN_STOPPED if stopped else _SHOWN_AT_MOST):
        return f"gallery: not renewed for {tasks:,} tasks; `batchgen gallery {shlex.quote(str(job.output.folder))}` does that"
    try:
        page = build_gallery(
            job.output.folder,
            job,
            # What is recovered was bought in an earlier night, which is the one to look at.
            night=options.night if options.buy else "",
            thumbnails=0 if stopped else _MADE_AT_MOST,
        )
    except KeyboardInterrupt:
        return "gallery: not finished"
    except BatchgenError as error:
        return f"warning: the gallery was not renewed: {error.message}"
    except Exception as error:  # noqa: BLE001  # the run has ended, well or badly, and that is what counts
        return f"warning: the gallery was not renewed: internal error: {type(error).__name__}; please report it"
    return f"gallery: {page}"


def _raise_file_limit() -> None:
    """Allow this process as many open files as a busy run needs, where the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _execute(
    job: Job,
    options: RunOptions,
    display: Display,
    folder: ResultFolder,
    ledger: Ledger,
    control: Control,
    watchdogs: list[threading.Timer],
    heard: Sequence[Listener],
) -> dict[str, Any]:
    async with provider_of(job, options) as connected:
        with _displayed(display) as shown, _signals(control, watchdogs):
            listeners = [*shown, *heard]
            return await run(job, connected, folder, ledger, clock=RealClock(), listeners=listeners, control=control)


@contextmanager
def _displayed(display: Display) -> Iterator[list[Listener]]:
    with ExitStack() as stack:
        listeners: list[Listener] = []
        if display.json:
            from batchgen.views.json_lines import JsonLines

            listeners.append(stack.enter_context(JsonLines(sys.stdout)))
        elif not display.quiet:
            listeners.append(stack.enter_context(_view()))
        yield listeners


def _view() -> AbstractContextManager[Any]:
    if sys.stderr.isatty():
        from rich.console import Console

        from batchgen.views.live import LiveView

        console = Console(stderr=True)
        if not console.is_dumb_terminal:  # one that cannot move its cursor gets lines
            return LiveView(console)
    from batchgen.views.plain import PlainLines

    return PlainLines(sys.stderr)


@contextmanager
def _signals(control: Control, watchdogs: list[threading.Timer]) -> Iterator[None]:
    """The first signal lets calls in flight end; a second one leaves now, with everything committed.

    Ctrl-C waits as long as the calls take. TERM and HUP come from programs, which kill what does not end soon: a minute.
    What was started in `watchdogs` ends the process; whoever has closed everything cancels it.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    codes = {signal.SIGINT: Exit.SIGINT, signal.SIGTERM: Exit.SIGTERM, signal.SIGHUP: Exit.SIGTERM}
    # What `nohup` or a shell's `&` told this process to ignore stays ignored.
    codes = {number: code for number, code in codes.items() if signal.getsignal(number) is not signal.SIG_IGN}

    def leave() -> None:
        task.cancel()
        # What was answered is being committed. Should the disk hang, the next run finds it as a crash would leave it:
        # a thread, because a disk that hangs may hold up the loop as well.
        watchdog = threading.Timer(_LEAVE_WITHIN_S, os._exit, (int(control.exit_code or Exit.SIGINT),))
        watchdog.daemon = True
        watchdog.start()
        watchdogs.append(watchdog)

    def stop(number: signal.Signals) -> None:
        if control.exit_code is not None:
            leave()
            return
        control.stop(codes[number])
        if number is not signal.SIGINT:
            loop.call_later(_PATIENCE_S, leave)

    for number in codes:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in codes:
            loop.remove_signal_handler(number)
            if control.exit_code is not None:  # what is left is closing files: one more Ctrl-C must not break that
                signal.signal(number, signal.SIG_IGN)
