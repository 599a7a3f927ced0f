"""Adds up what happens to the tasks of one model.

Every task stands in exactly one place (left, in flight, downloading, done, failed, unknown, expired, lost, set aside),
whatever order the news come in. It refuses to know events, money beyond sums, and how anything looks.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.events import PoolPlan

_BUCKET_S = 5.0
_WINDOW_S = 120.0


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One model, or all of them together: tasks by what became of them, and how quick it goes."""

    label: str
    total: int
    done: int
    """Stored completely, in this run or in an earlier one."""
    left: int
    """Neither sent nor ended."""
    in_flight: int
    downloading: int
    """Paid for, with at least one picture not yet on disk."""
    failed: int
    unknown: int
    """Of unknown outcome and not sent again in this run."""
    expired: int
    lost: int
    set_aside: int
    """Ended otherwise by an earlier run and left as they are."""
    waiting: int
    """Pictures that are paid for and not yet on disk."""
    pictures: int
    """Pictures stored in this run."""
    per_minute: float | None
    """Pictures stored per minute, lately."""
    seconds_per_picture: float | None
    """Mean time from sending a paid call to its answer, per picture of the answer."""
    progress: float
    """Share of the tasks that this run need not touch again, from 0 to 1."""


class _Rate:
    """Counts of the last two minutes in steps of five seconds: the same memory at any speed."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, int]] = deque(maxlen=int(_WINDOW_S / _BUCKET_S) + 1)
        self._count = 0

    def add(self, at: float) -> None:
        start = at // _BUCKET_S * _BUCKET_S
        self._count += 1
        if self._buckets and self._buckets[-1][0] >= start:
            last, number = self._buckets.pop()
            self._buckets.append((last, number + 1))
        else:
            self._buckets.append((start, 1))

    def lately(self, now: float, since: float) -> float | None:
        """Per minute within the window; None before the first one."""
        if not self._count:
            return None
        recent = sum(number for start, number in self._buckets if start > now - _WINDOW_S)
        return recent * 60 / max(1.0, min(_WINDOW_S, now - since))

    def expected(self, now: float, since: float) -> float | None:
        """Per minute as far as one can tell: lately, or over the whole run where nothing came lately."""
        if not self._count:
            return None
        return self.lately(now, since) or self._count * 60 / max(1.0, now - since)


@dataclass(slots=True)
class _Answer:
    """A paid answer whose pictures come in."""

    pictures: int
    stored: int = 0
    gone: int = 0
    gone_state: str = ""

    @property
    def waiting(self) -> int:
        return max(0, self.pictures - self.stored - self.gone)


@dataclass(slots=True)
class PoolTally:
    """The tasks of one model. Only tasks to which something may still happen are remembered by id."""

    plan: PoolPlan
    state: str = "working"
    reason: str = ""
    until: float | None = None
    at_once: int | None = None
    pictures: int = 0
    postponed: int = 0
    latency_s: float = 0.0
    answered_calls: int = 0
    answered_pictures: int = 0
    rate: _Rate = field(default_factory=_Rate)
    _in_flight: dict[str, Decimal | None] = field(default_factory=dict)
    _answers: dict[str, _Answer] = field(default_factory=dict)
    _ended: dict[str, str] = field(default_factory=dict)
    _done: int = 0
    _failed: int = 0
    _set_aside: int = 0
    _carried_tasks: int = 0
    _carried_pictures: int = 0
    _calls: int = 0
    _listed: Decimal | None = Decimal(0)

    def __post_init__(self) -> None:
        self._done = self.plan.done
        # The plan counts the pictures that an earlier run left waiting, not their tasks: as many as there can be are
        # taken for waiting ones, and what remains of them when the last picture has landed was never one.
        others = max(0, self.plan.total - self.plan.done - self.plan.to_buy)
        self._carried_pictures = self.plan.waiting
        self._carried_tasks = min(self.plan.waiting, others)
        self._set_aside = others - self._carried_tasks

    def sent(self, task_id: str, reserved: Decimal | None) -> None:
        """A call of the task goes out."""
        self._ended.pop(task_id, None)
        self._in_flight[task_id] = reserved
        self._calls += 1
        if self._listed is not None:
            self._listed = None if reserved is None else self._listed + reserved

    def returned(self, task_id: str) -> None:
        """The call ended free of charge and the task is left to do again."""
        self._in_flight.pop(task_id, None)

    def billed(self, task_id: str, pictures: int, latency_s: float) -> None:
        """The call was answered with so many pictures."""
        self._in_flight.pop(task_id, None)
        self._ended.pop(task_id, None)
        self.answered_calls += 1
        self.answered_pictures += max(1, pictures)
        self.latency_s += latency_s
        if pictures > 0:
            self._answers[task_id] = _Answer(pictures)
        else:
            self._ended[task_id] = "lost"

    def unknown(self, task_id: str, *, will_retry: bool) -> None:
        """Nothing tells whether the call was billed."""
        self._in_flight.pop(task_id, None)
        if not will_retry:
            self._ended[task_id] = "unknown"

    def failed(self, task_id: str) -> None:
        """The provider refused the task for good."""
        self._in_flight.pop(task_id, None)
        self._ended.pop(task_id, None)
        self._failed += 1

    def stored(self, task_id: str, at: float, *, task_done: bool) -> None:
        """A picture of the task is on disk."""
        self.pictures += 1
        self.rate.add(at)
        answer = self._answers.get(task_id)
        if answer is None:
            self._carried_pictures = max(0, self._carried_pictures - 1)
            if task_done and task_id not in self._ended:
                self._leave_carried()
                self._done += 1
            self._settle_carried()
            return
        answer.stored += 1
        self._settle(task_id, answer, task_done=task_done)

    def gone(self, task_id: str, state: str) -> None:
        """A paid picture of the task cannot be had any more: `expired` or `lost`."""
        answer = self._answers.get(task_id)
        if answer is None:
            self._carried_pictures = max(0, self._carried_pictures - 1)
            if task_id not in self._ended:
                self._leave_carried()
                self._ended[task_id] = state
            self._settle_carried()
            return
        answer.gone += 1
        answer.gone_state = state
        self._settle(task_id, answer, task_done=False)

    def _settle(self, task_id: str, answer: _Answer, *, task_done: bool) -> None:
        if answer.waiting and not task_done:
            return
        del self._answers[task_id]
        if answer.gone_state:
            self._ended[task_id] = answer.gone_state
        else:
            self._done += 1

    def _settle_carried(self) -> None:
        if not self._carried_pictures:
            self._set_aside += self._carried_tasks
            self._carried_tasks = 0

    def _leave_carried(self) -> None:
        if self._carried_tasks:
            self._carried_tasks -= 1
        else:
            self._set_aside = max(0, self._set_aside - 1)

    @property
    def reserved(self) -> Decimal:
        """List price of the calls in flight, as far as it is known."""
        return sum((price for price in self._in_flight.values() if price is not None), Decimal(0))

    def cost_to_come(self) -> Decimal | None:
        """What the tasks in flight and left will cost at list price; None when that is unknown."""
        calls = len(self._in_flight) + self._left_to_do()
        if not calls:
            return Decimal(0)
        if self._calls:
            return None if self._listed is None else self._listed / self._calls * calls
        return None if self.plan.price is None else self.plan.price * calls

    def pictures_to_come(self) -> float:
        """About how many pictures this run will still store."""
        per_call = self.answered_pictures / self.answered_calls if self.answered_calls else 1.0
        calls = len(self._in_flight) + self._left_to_do()
        return calls * per_call + max(0, self._waiting() - self.postponed)

    def _left_to_do(self) -> int:
        return 0 if self.state in {"stopped", "finished"} else self._left()

    def _waiting(self) -> int:
        return self._carried_pictures + sum(answer.waiting for answer in self._answers.values())

    def _placed(self) -> int:
        """Tasks that are not left."""
        ended = self._done + self._failed + self._set_aside + len(self._ended)
        return ended + len(self._in_flight) + len(self._answers) + self._carried_tasks

    def _left(self) -> int:
        return max(0, self.plan.total - self._placed())

    def snapshot(self, now: float, since: float) -> PoolSnapshot:
        """The counts as of `now`; `since` is when the run began."""
        ended = Counter(self._ended.values())
        # Recovery may download what the job no longer asks for: such tasks come on top of the plan.
        total = max(self.plan.total, self._placed())
        settled = self._done + self._failed + self._set_aside + len(self._ended)
        partly = sum((answer.stored + answer.gone) / answer.pictures for answer in self._answers.values())
        return PoolSnapshot(
            label=self.plan.label,
            total=total,
            done=self._done,
            left=self._left(),
            in_flight=len(self._in_flight),
            downloading=len(self._answers) + self._carried_tasks,
            failed=self._failed,
            unknown=ended["unknown"],
            expired=ended["expired"],
            lost=ended["lost"],
            set_aside=self._set_aside,
            waiting=self._waiting(),
            pictures=self.pictures,
            per_minute=self.rate.lately(now, since),
            seconds_per_picture=self.latency_s / self.answered_pictures if self.answered_pictures else None,
            progress=min(1.0, (settled + partly) / total) if total else 1.0,
        )
