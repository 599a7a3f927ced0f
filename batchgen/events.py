"""What a run tells whoever looks: frozen values, one class per kind of news.

A listener is any callable that takes one event; it must be quick and must not raise (one that does is detached).
Events are news, not truth: losing every one of them loses nothing, because the ledger is written first.

Money is `Decimal` with its currency in `RunStarted`; times are UTC seconds since the epoch, set by the engine.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, at `at` (UTC seconds since the epoch)."""

    name: ClassVar[str] = "event"
    at: float

    def as_json(self) -> dict[str, Any]:
        """A JSON object: `event` names the kind, money is text, everything else is as in the class."""
        fields = dataclasses.asdict(self)
        return {"event": self.name} | {key: _plain(value) for key, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What a run begins with for one model: counts are tasks unless named otherwise."""

    label: str
    model: str
    total: int
    done: int
    to_buy: int
    waiting: int
    """Pictures that are paid for and not yet on disk."""
    price: Decimal | None
    """List price of one picture; None is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The run holds the lock and knows what it is going to do; nothing was sent yet."""

    name: ClassVar[str] = "run_started"
    run_id: str
    job: str
    folder: str
    provider: str
    play_money: bool
    currency: str
    pools: tuple[PoolPlan, ...]
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSent(Event):
    """The intent of one paid call is durable and the call goes out; `reserved` is its list price."""

    name: ClassVar[str] = "call_sent"
    task_id: str
    label: str
    prompt_id: str
    attempt: int
    reserved: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReturned(Event):
    """A call ended without being billed and its task is pending again: not sent, or refused for now (429, 503)."""

    name: ClassVar[str] = "call_returned"
    task_id: str
    label: str
    outcome: str
    """`not_sent` or `refused`."""
    status: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBilled(Event):
    """A paid answer is durable; its pictures now wait for download."""

    name: ClassVar[str] = "call_billed"
    task_id: str
    label: str
    pictures: int
    cost: Decimal | None
    latency_s: float
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUnknown(Event):
    """A call was sent and nothing tells whether it was billed; `cost` is what it may have cost."""

    name: ClassVar[str] = "call_unknown"
    task_id: str
    label: str
    prompt_id: str
    message: str
    cost: Decimal | None
    will_retry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed(Event):
    """The provider refused a task for good; it was not billed."""

    name: ClassVar[str] = "task_failed"
    task_id: str
    label: str
    prompt_id: str
    kind: str
    message: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStored(Event):
    """A picture is whole, checked and durable under its final name (relative to the output folder)."""

    name: ClassVar[str] = "picture_stored"
    task_id: str
    label: str
    file_name: str
    bytes: int
    width: int
    height: int
    flags: tuple[str, ...]
    task_done: bool
    """Whether this was the last picture of its task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureGone(Event):
    """A paid picture cannot be had any more: `state` is `expired` (its link died) or `lost` (nothing usable came)."""

    name: ClassVar[str] = "picture_gone"
    task_id: str
    label: str
    prompt_id: str
    state: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDelayed(Event):
    """A download failed for now; the picture goes on waiting, for the next run if `gave_up`."""

    name: ClassVar[str] = "picture_delayed"
    task_id: str
    label: str
    prompt_id: str
    message: str
    tries: int
    gave_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState(Event):
    """What one model is doing or waiting for.

    `state` is `working`, `paused` (until `until`) or `stopped`; `reason` is in the user's words; `at_once` is how many
    calls it is allowed to have in flight from now on, None where nobody asked.
    """

    name: ClassVar[str] = "pool_state"
    label: str
    state: str
    reason: str
    until: float | None
    at_once: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """One line that the user should read: a warning, or what the run is doing between calls."""

    name: ClassVar[str] = "notice"
    level: str
    """`info` or `warning`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The last event of a run; `report` is what `report.json` holds."""

    name: ClassVar[str] = "run_ended"
    exit_code: int
    report: dict[str, Any]
