"""JSON lines are one object a line, in order, complete, and harmless on a terminal."""

import contextlib
import io
import json
import os
from decimal import Decimal
from typing import Any

from batchgen.events import CallBilled, Event, Notice, PictureStored, PoolPlan, RunEnded, RunStarted
from batchgen.views.json_lines import JsonLines, as_line


def events() -> list[Event]:
    pool = PoolPlan(label="dev", model="lab/dev", total=1, done=0, to_buy=1, waiting=0, price=Decimal("0.10"))
    started = RunStarted(
        at=1.0,
        run_id="r",
        job="neon",
        folder="outputs/neon",
        provider="sandbox",
        play_money=True,
        currency="CNY",
        pools=(pool,),
        concurrency=4,
    )
    billed = CallBilled(
        at=2.0, task_id="t", label="dev", pictures=1, cost=Decimal("0.10"), latency_s=5.5, request_id="q"
    )
    stored = PictureStored(
        at=3.0,
        task_id="t",
        label="dev",
        file_name="images/城.png",
        bytes=1,
        width=8,
        height=8,
        flags=("blank",),
        task_done=True,
    )
    return [started, billed, stored, RunEnded(at=4.0, exit_code=0, report={"counts": {"done": 1}})]


def lines_of(*told: Event) -> list[dict[str, Any]]:
    stream = io.StringIO()
    with JsonLines(stream) as listener:
        for event in told:
            listener(event)
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_every_event_is_one_object_and_the_report_is_the_last() -> None:
    lines = lines_of(*events())

    assert [line["event"] for line in lines] == ["run_started", "call_billed", "picture_stored", "run_ended"]
    assert lines[-1]["report"] == {"counts": {"done": 1}}


def test_keys_come_in_the_documented_order() -> None:
    lines = lines_of(*events())

    assert all(list(line)[:2] == ["event", "at"] for line in lines)
    assert list(lines[1])[2:] == ["task_id", "label", "pictures", "cost", "latency_s", "request_id"]


def test_money_is_text_and_pools_are_objects() -> None:
    started, billed, *_ = lines_of(*events())

    assert billed["cost"] == "0.10"
    assert started["pools"][0]["price"] == "0.10"


def test_nothing_follows_the_report() -> None:
    assert lines_of(*events(), Notice(at=5.0, level="info", message="late"))[-1]["event"] == "run_ended"


def test_a_run_without_a_report_still_writes_what_it_was_told() -> None:
    assert len(lines_of(*events()[:2])) == 2


def test_text_stays_readable_and_obeys_no_terminal() -> None:
    hostile = "城 \x1b]52;c;aGk=\x07 \x9b31m \u2028 \u202e \ud800 [/b]\n"
    line = as_line(Notice(at=1.0, level="info", message=hostile))

    assert "城" in line
    assert line.isprintable()
    assert json.loads(line)["message"] == hostile


def test_numbers_that_json_lacks_become_null() -> None:
    line = as_line(RunEnded(at=float("nan"), exit_code=0, report={"speed": [float("inf")], "money": Decimal("1.5")}))

    assert json.loads(line) == {
        "event": "run_ended",
        "at": None,
        "exit_code": 0,
        "report": {"speed": [None], "money": "1.5"},
    }


def test_a_reader_that_went_away_does_not_disturb_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    listener = JsonLines(stream)
    for event in events():
        listener(event)
    with contextlib.suppress(OSError):
        stream.close()
