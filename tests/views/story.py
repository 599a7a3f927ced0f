"""A run in events, and its report: what the tests of the views show."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from batchgen.events import (
    CallBilled,
    CallSent,
    CallUnknown,
    Event,
    Notice,
    PictureStored,
    PoolPlan,
    PoolState,
    RunStarted,
    TaskFailed,
)

START = 1_700_000_000.0
LABELS = (
    "flux.1-dev",
    "flux-kontext-pro",
    "flux-kontext-pro-multi",
    "flux-kontext-pro-text-to-image",
    "step1x-edit",
    "flux-kontext-max",
    "flux-kontext-max-multi",
    "flux-kontext-max-text-to-image",
)
HOSTILE = "ha [/b] [link=https://x] \x1b[31mred \x1b]52;c;aGk=\x07 \x9b2J \u202ekcab\nforged line"
PRICE = Decimal("0.35")


def started(at: float = START, labels: tuple[str, ...] = LABELS, total: int = 1250) -> RunStarted:
    return RunStarted(
        at=at,
        run_id="r1",
        job="neon-city",
        folder="outputs/neon-city",
        provider="sandbox",
        play_money=False,
        currency="CNY",
        pools=tuple(
            PoolPlan(
                label=label,
                model=f"lab/{label}",
                total=total,
                done=100,
                to_buy=total - 103,
                waiting=3,
                price=PRICE,
            )
            for label in labels
        ),
        concurrency=16,
    )


def bought(task: str, label: str, at: float, *, keep: bool = True) -> Iterator[Event]:
    """A call that is sent, billed and, if `keep`, whose picture is stored."""
    yield CallSent(at=at, task_id=task, label=label, prompt_id="harbour", attempt=1, reserved=PRICE)
    yield CallBilled(at=at, task_id=task, label=label, pictures=1, cost=PRICE, latency_s=12.3, request_id="q")
    if keep:
        yield PictureStored(
            at=at,
            task_id=task,
            label=label,
            file_name=f"images/{task}.png",
            bytes=9,
            width=8,
            height=8,
            flags=(),
            task_done=True,
        )


def failed(task: str, label: str, at: float, message: str = HOSTILE) -> TaskFailed:
    return TaskFailed(
        at=at, task_id=task, label=label, prompt_id="harbour", kind="content_policy", message=message, request_id="q"
    )


def running(at: float = START) -> Iterator[Event]:
    """Eight models under way: something in flight, waiting, failed, unknown and paused, with news."""
    yield started(at)
    for step in range(60):
        for index, label in enumerate(LABELS):
            yield from bought(f"{label}-{step}", label, at + step, keep=step % 10 < 9 or index % 2 == 0)
    first = LABELS[0]
    for number in range(4):
        yield CallSent(at=at + 60, task_id=f"f{number}", label=first, prompt_id=HOSTILE, attempt=1, reserved=PRICE)
    yield failed("f0", first, at + 60)
    yield CallUnknown(
        at=at + 60, task_id="f1", label=first, prompt_id=HOSTILE, message=HOSTILE, cost=PRICE, will_retry=False
    )
    yield PoolState(at=at + 60, label=first, state="paused", reason="rate limited", until=at + 135, at_once=14)
    yield Notice(at=at + 60, level="warning", message=f"stopping: {HOSTILE}")


def report(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "job": "neon-city",
        "folder": "outputs/neon-city",
        "run_id": "r1",
        "started_at": "2023-11-14T22:13:20Z",
        "ended_at": "2023-11-14T23:23:35Z",
        "exit_code": 3,
        "reason": "every task was tried",
        "provider": "modelverse",
        "play_money": False,
        "currency": "CNY",
        "counts": {
            "tasks": 10_000,
            "done": 9981,
            "new_stored": 9181,
            "failed": 12,
            "unknown": 2,
            "expired": 1,
            "lost": 1,
            "pending": 3,
            "waiting": 2,
            "held": 2,
        },
        "money": {"spent": "3500.35", "maybe_billed": "0.70", "reserved": "0.00"},
        "this_run": {"billed_calls": 9181, "pictures": 9181, "spent": "3213.35", "maybe_billed": "0.70"},
        "duration_s": 4215.2,
        "models": [
            {
                "label": label,
                "model": f"lab/{label}",
                "done": 1248,
                "failed": 2,
                "unknown": 0,
                "waiting": 0,
                "pending": 0,
                "spent": "437.50",
                "seconds_per_picture": 12.31,
            }
            for label in LABELS
        ],
        "flags": {"blank": 3, "duplicate": 1, "size": 0},
        "failures": [
            {
                "task_id": f"t{number}",
                "prompt_id": HOSTILE,
                "label": "flux.1-dev",
                "kind": "content_policy",
                "message": HOSTILE,
                "request_id": "req-1",
            }
            for number in range(12)
        ],
        "next": ["batchgen run jobs/neon-city.yaml --retry unknown", "batchgen gallery jobs/neon-city.yaml"],
    }
    return values | changes
