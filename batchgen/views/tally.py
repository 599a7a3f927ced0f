"""Adds a run's events up to what a person wants to know: counts, speed, money, time left, what is waited for.

A pure reducer: time comes from the events and from `now`, and nothing is written. Every number is that of this run
unless it says otherwise. It refuses to know how anything looks.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from batchgen.events import (
    CallBilled,
    CallReturned,
    CallSent,
    CallUnknown,
    Event,
    Notice,
    PictureDelayed,
    PictureGone,
    PictureStored,
    PoolPlan,
    PoolState,
    RunEnded,
    RunStarted,
    TaskFailed,
)
from batchgen.outside import clean
from batchgen.views.pool_tally import PoolSnapshot, PoolTally
from batchgen.views.text import moment

_NOTICES_KEPT = 5
_GONE_STATES = ("expired", "lost")


@dataclass(frozen=True, slots=True)
class MoneySnapshot:
    """This run's money, in the provider's currency."""

    currency: str
    spent: Decimal
    reserved: Decimal
    """List price of the calls in flight."""
    maybe_billed: Decimal
    projected: Decimal | None
    """Spent, plus what is in flight or left at list price; None when a price that is needed is unknown."""
    unpriced: int
    """Billed calls whose price is unknown: they are not part of `spent`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What some models wait for. `until` is None where nobody knows, and where they are stopped."""

    labels: tuple[str, ...]
    reason: str
    until: float | None
    stopped: bool
    at_once: int | None = None
    """Calls that each of them may have in flight."""

    def sentence(self, now: float) -> str:
        """Such as `flux.1-dev: rate limited, 14 at once, resuming 14:03:20`."""
        who = ", ".join(self.labels) if len(self.labels) <= 2 else f"{len(self.labels)} models"
        if self.stopped:
            return f"{who}: stopped, {self.reason.removeprefix('stopped ')}" if self.reason else f"{who}: stopped"
        until = "" if self.until is None else f", resuming {moment(self.until, now)}"
        at_once = "" if self.at_once is None else f", {self.at_once} at once"
        return f"{who}: {self.reason or 'paused'}{at_once}{until}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a display shows, as of `now`. All texts are clean."""

    now: float
    started_at: float | None
    job: str
    folder: str
    provider: str
    play_money: bool
    pools: tuple[PoolSnapshot, ...]
    total: PoolSnapshot
    eta_s: float | None
    """Seconds until nothing is left to do; None while nobody can tell."""
    money: MoneySnapshot
    waits: tuple[Wait, ...]
    notices: tuple[Notice, ...]
    """The latest few, oldest first."""
    flags: tuple[tuple[str, int], ...]
    postponed: int
    """Pictures whose download was left to the next run."""
    unknown_calls: int
    """Calls of unknown outcome, sent again or not."""
    report: dict[str, Any] | None
    """What the run ended with; None while it runs."""


class Tally:
    """The state of one run as its events tell it."""

    def __init__(self) -> None:
        self._started: RunStarted | None = None
        self._report: dict[str, Any] | None = None
        self._pools: dict[str, PoolTally] = {}
        self._notices: deque[Notice] = deque(maxlen=_NOTICES_KEPT)
        self._flags: Counter[str] = Counter()
        self._spent = Decimal(0)
        self._maybe_billed = Decimal(0)
        self._unpriced = 0
        self._unknown_calls = 0
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            CallSent: self._call_sent,
            CallReturned: self._call_returned,
            CallBilled: self._call_billed,
            CallUnknown: self._call_unknown,
            TaskFailed: self._task_failed,
            PictureStored: self._picture_stored,
            PictureGone: self._picture_gone,
            PictureDelayed: self._picture_delayed,
            PoolState: self._pool_state,
            Notice: self._notice,
            RunEnded: self._run_ended,
        }

    def add(self, event: Event) -> None:
        """Take one event; kinds that change nothing here are ignored."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _pool(self, label: str) -> PoolTally:
        """The pool of a label; recovery may bring labels that the plan does not know."""
        if label in self._pools:
            return self._pools[label]
        label = clean(label, 80)
        if label not in self._pools:
            plan = PoolPlan(label=label, model=label, total=0, done=0, to_buy=0, waiting=0, price=None)
            self._pools[label] = PoolTally(plan)
        return self._pools[label]

    def _run_started(self, event: RunStarted) -> None:
        self._started = event
        for plan in event.pools:
            label = clean(plan.label, 80)
            values = {"total": plan.total, "done": plan.done, "to_buy": plan.to_buy, "waiting": plan.waiting}
            self._pools[label] = PoolTally(PoolPlan(label=label, model=clean(plan.model), price=plan.price, **values))

    def _call_sent(self, event: CallSent) -> None:
        self._pool(event.label).sent(event.task_id, event.reserved)

    def _call_returned(self, event: CallReturned) -> None:
        self._pool(event.label).returned(event.task_id)

    def _call_billed(self, event: CallBilled) -> None:
        self._pool(event.label).billed(event.task_id, event.pictures, event.latency_s)
        if event.cost is None:
            self._unpriced += 1
        else:
            self._spent += event.cost

    def _call_unknown(self, event: CallUnknown) -> None:
        self._pool(event.label).unknown(event.task_id, will_retry=event.will_retry)
        self._unknown_calls += 1
        self._maybe_billed += event.cost or Decimal(0)

    def _task_failed(self, event: TaskFailed) -> None:
        self._pool(event.label).failed(event.task_id)

    def _picture_stored(self, event: PictureStored) -> None:
        self._pool(event.label).stored(event.task_id, event.at, task_done=event.task_done)
        self._flags.update(clean(flag, 40) for flag in event.flags)

    def _picture_gone(self, event: PictureGone) -> None:
        state = event.state if event.state in _GONE_STATES else "lost"
        self._pool(event.label).gone(event.task_id, state)

    def _picture_delayed(self, event: PictureDelayed) -> None:
        if event.gave_up:
            self._pool(event.label).postponed += 1

    def _pool_state(self, event: PoolState) -> None:
        pool = self._pool(event.label)
        pool.state, pool.reason, pool.until = event.state, clean(event.reason), event.until
        pool.at_once = event.at_once

    def _notice(self, event: Notice) -> None:
        self._notices.append(Notice(at=event.at, level=event.level, message=clean(event.message, 500)))

    def _run_ended(self, event: RunEnded) -> None:
        self._report = event.report

    def snapshot(self, now: float) -> Snapshot:
        """The run as of `now` (UTC seconds since the epoch)."""
        started = self._started
        since = started.at if started else now
        pools = tuple(pool.snapshot(now, since) for pool in self._pools.values())
        return Snapshot(
            now=now,
            started_at=started.at if started else None,
            job=clean(started.job, 80) if started else "",
            folder=clean(started.folder, 500) if started else "",
            provider=clean(started.provider, 80) if started else "",
            play_money=started.play_money if started else False,
            pools=pools,
            total=self._total(pools),
            eta_s=self._eta(now, since),
            money=self._money(),
            waits=self._waits(),
            notices=tuple(self._notices),
            flags=tuple(sorted(self._flags.items())),
            postponed=sum(pool.postponed for pool in self._pools.values()),
            unknown_calls=self._unknown_calls,
            report=self._report,
        )

    def _total(self, pools: tuple[PoolSnapshot, ...]) -> PoolSnapshot:
        tasks = sum(pool.total for pool in pools)
        answered = sum(pool.answered_pictures for pool in self._pools.values())
        latency_s = sum(pool.latency_s for pool in self._pools.values())
        rates = [pool.per_minute for pool in pools if pool.per_minute is not None]
        return PoolSnapshot(
            label="",
            total=tasks,
            done=sum(pool.done for pool in pools),
            left=sum(pool.left for pool in pools),
            in_flight=sum(pool.in_flight for pool in pools),
            downloading=sum(pool.downloading for pool in pools),
            failed=sum(pool.failed for pool in pools),
            unknown=sum(pool.unknown for pool in pools),
            expired=sum(pool.expired for pool in pools),
            lost=sum(pool.lost for pool in pools),
            set_aside=sum(pool.set_aside for pool in pools),
            waiting=sum(pool.waiting for pool in pools),
            pictures=sum(pool.pictures for pool in pools),
            per_minute=sum(rates) if rates else None,
            seconds_per_picture=latency_s / answered if answered else None,
            progress=sum(pool.progress * pool.total for pool in pools) / tasks if tasks else 0.0,
        )

    def _money(self) -> MoneySnapshot:
        projected: Decimal | None = self._spent
        for pool in self._pools.values():
            to_come = pool.cost_to_come()
            projected = None if projected is None or to_come is None else projected + to_come
        return MoneySnapshot(
            currency=clean(self._started.currency, 8) if self._started else "",
            spent=self._spent,
            reserved=sum((pool.reserved for pool in self._pools.values()), Decimal(0)),
            maybe_billed=self._maybe_billed,
            projected=None if self._unpriced else projected,
            unpriced=self._unpriced,
        )

    def _eta(self, now: float, since: float) -> float | None:
        busy = [pool for pool in self._pools.values() if pool.pictures_to_come() > 0]
        if not busy:
            return 0.0 if self._pools else None
        if any(pool.state == "paused" and pool.until is None for pool in busy):
            return None
        rates = [pool.rate.expected(now, since) for pool in self._pools.values()]
        together = sum(rate for rate in rates if rate)
        if not together:
            return None
        times = [sum(pool.pictures_to_come() for pool in busy) * 60 / together]
        for pool in busy:
            rate = pool.rate.expected(now, since)
            pause = max(0.0, pool.until - now) if pool.state == "paused" and pool.until is not None else 0.0
            times.append(pause + (pool.pictures_to_come() * 60 / rate if rate else 0.0))
        return max(times)

    def _waits(self) -> tuple[Wait, ...]:
        labels: dict[Wait, list[str]] = {}
        for label, pool in self._pools.items():
            if pool.state in {"paused", "stopped"}:
                stopped = pool.state == "stopped"
                until, at_once = (None, None) if stopped else (pool.until, pool.at_once)
                labels.setdefault(Wait((), pool.reason, until, stopped, at_once), []).append(label)
        return tuple(
            replace(wait, labels=tuple(names))
            for wait, names in sorted(labels.items(), key=lambda item: item[0].stopped)
        )
