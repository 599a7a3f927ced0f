"""The course of a run as plain lines, for logs, mails and pipes.

One line at the start, at most one each 30 s, one at the end; warnings at once, each once. No escape codes, no colour.
It refuses to know a clock: time comes with the events, and a run in which nothing happens writes nothing.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TextIO

from batchgen.errors import Exit
from batchgen.events import (
    CallUnknown,
    Event,
    Notice,
    PictureDelayed,
    PictureGone,
    PoolState,
    RunEnded,
    RunStarted,
    TaskFailed,
)
from batchgen.outside import clean
from batchgen.views.report import endings, flag_line, headline, money_line, month_line, next_commands, night_line
from batchgen.views.stream import LineWriter
from batchgen.views.tally import Snapshot, Tally, Wait
from batchgen.views.text import about, clock_time, count, eta, money, seconds, speed

_PAUSE_S = 30.0
_TROUBLES_SHOWN = 50
_REMEMBERED = 10_000


class PlainLines:
    """A listener that writes one run's course to a text stream, each line after the local time.

    A stream that is closed or not read never disturbs the run. After `troubles_shown` lines about single tasks the rest
    of them is counted only.
    """

    def __init__(self, stream: TextIO, *, troubles_shown: int = _TROUBLES_SHOWN) -> None:
        self._lines = LineWriter(stream)
        self._tally = Tally()
        self._last_at: float | None = None
        self._said: set[str] = set()
        self._troubles = 0
        self._troubles_shown = troubles_shown

    def __call__(self, event: Event) -> None:
        """Take one event and write what it makes due."""
        self._tally.add(event)
        if isinstance(event, RunEnded):
            self._lines.close(f"{clock_time(event.at)} {end_line(event.report)}")
            return
        if isinstance(event, RunStarted):
            self._last_at = event.at
            self._put(event.at, start_line(event))
            return
        self._say_at_once(event)
        # A clock that was set back must not silence the log for hours.
        if self._last_at is not None and not 0 <= event.at - self._last_at < _PAUSE_S:
            self._last_at = event.at
            self._put(event.at, progress_line(self._tally.snapshot(event.at)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lines.close()

    def _put(self, at: float, line: str) -> None:
        self._lines.put(f"{clock_time(at)} {line}")

    def _say_at_once(self, event: Event) -> None:
        """What should not wait for the next line. The same news about another task or model is said once only."""
        if isinstance(event, Notice):
            message = clean(event.message, 500)
            self._once(event.at, message, f"warning: {message}" if event.level == "warning" else message)
        elif isinstance(event, PoolState):
            self._say_state(event)
        elif isinstance(event, TaskFailed):
            self._trouble(event.at, f"{event.kind} {event.message}", _about(event, "refused"))
        elif isinstance(event, CallUnknown):
            self._trouble(event.at, f"unknown {event.message}", _about(event, "outcome unknown, maybe billed"))
        elif isinstance(event, PictureGone):
            words = "link expired" if event.state == "expired" else "paid and lost"
            self._trouble(event.at, f"{event.state} {event.message}", _about(event, words))
        elif isinstance(event, PictureDelayed) and event.gave_up:
            words = _about(event, "download put off to the next run")
            self._trouble(event.at, f"delayed {event.message}", words)

    def _say_state(self, event: PoolState) -> None:
        if event.state not in {"paused", "stopped"}:
            return
        stopped = event.state == "stopped"
        wait = Wait(
            (clean(event.label, 60),),
            clean(event.reason),
            None if stopped else event.until,
            stopped,
            None if stopped else event.at_once,
        )
        # Pauses come and go, often for all models at once: the first of a kind is news, the rest is in the progress.
        key = f"{event.state} {event.reason}"
        self._once(event.at, key, wait.sentence(event.at))

    def _trouble(self, at: float, key: str, words: str) -> None:
        if self._troubles < self._troubles_shown and self._once(at, key, words):
            self._troubles += 1
            if self._troubles == self._troubles_shown:
                self._put(at, "more of this is counted here and listed in failures.jsonl")

    def _once(self, at: float, key: str, line: str) -> bool:
        key = clean(key, 600)
        if key in self._said or len(self._said) >= _REMEMBERED:
            return False
        self._said.add(key)
        self._put(at, line)
        return True


def _about(event: TaskFailed | CallUnknown | PictureGone | PictureDelayed, words: str) -> str:
    return f"{clean(event.prompt_id, 60)} ({clean(event.label, 60)}): {words}: {clean(event.message)}"


def start_line(event: RunStarted) -> str:
    """What the run is going to do, and for about how much."""
    done = sum(pool.done for pool in event.pools)
    waiting = sum(pool.waiting for pool in event.pools)
    to_buy = sum(pool.to_buy for pool in event.pools)
    parts = [f"{done} of {sum(pool.total for pool in event.pools)} done"]
    if waiting:
        parts.append(f"{count(waiting, 'picture')} to download")
    if to_buy:
        cost: Decimal | None = Decimal(0)
        for pool in event.pools:
            if pool.to_buy:
                cost = None if cost is None or pool.price is None else cost + pool.price * pool.to_buy
        price = "at an unknown price" if cost is None else f"for about {money(cost, event.currency)}"
        parts.append(f"{to_buy} to make {price}")
    line = f"{clean(event.job, 80)}: {', '.join(parts)}; {clean(event.provider, 60)}, into {clean(event.folder, 500)}"
    return line + (" (sandbox: nothing is billed)" if event.play_money else "")


def progress_line(snapshot: Snapshot) -> str:
    """Where the run is: counts, speed, money, time left and what is waited for."""
    total, sums = snapshot.total, snapshot.money
    counts = [f"{total.done} of {total.total} done", f"{total.in_flight} in flight", f"{total.waiting} waiting"]
    endings_so_far = (
        (total.failed, "failed"),
        (total.unknown, "outcome unknown"),
        (total.expired, "expired"),
        (total.lost, "lost"),
    )
    counts += [f"{number} {words}" for number, words in endings_so_far if number]
    pace = f"{speed(total.per_minute)} pictures/min, {seconds(total.seconds_per_picture)} s each"
    paid = f"{money(sums.spent, sums.currency)} spent, {about(sums.reserved, '')} reserved"
    paid += f", {about(sums.maybe_billed, '')} maybe billed" if sums.maybe_billed else ""
    paid += f", {about(sums.projected, sums.currency)} projected"
    parts = [f"{int(total.progress * 100)}%, {', '.join(counts)}", pace, paid, eta(snapshot.eta_s, snapshot.now)]
    parts += [wait.sentence(snapshot.now) for wait in snapshot.waits[:3]]
    return "; ".join(filter(None, parts))


def end_line(report: Mapping[str, Any]) -> str:
    """How the run ended, what it cost, what is missing and the command that deals with the worst of it."""
    missing = endings(report)
    parts = [headline(report), money_line(report), month_line(report), *(words for words, _ in missing)]
    parts += [night_line(report), flag_line(report)]
    commands = [command for _, command in missing] or next_commands(report)
    # A new call of it would be refused by the same budget; one that `--max-cost` bounded goes on as it is.
    bounded = report.get("exit_code") == Exit.BUDGET and "--max-cost" not in str(report.get("reason"))
    first = "raise `budget` in the job (or wait, if it is one by day or month), then " if bounded else ""
    parts += [f"next: {first}{command}" for command in commands[:1]]
    return "; ".join(filter(None, parts))
