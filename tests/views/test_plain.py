"""Plain lines: one at the start, at most one each 30 s, one at the end, warnings once, nothing but text."""

import contextlib
import io
import os
import re

from batchgen.clock import VirtualClock
from batchgen.events import CallSent, Event, Notice, PoolState, RunEnded
from batchgen.views.plain import PlainLines, end_line
from tests.views.story import HOSTILE, LABELS, START, bought, failed, report, running, started


def lines_of(*events: Event) -> list[str]:
    stream = io.StringIO()
    with PlainLines(stream) as listener:
        for event in events:
            listener(event)
    return stream.getvalue().splitlines()


def ended(at: float = START) -> RunEnded:
    return RunEnded(at=at, exit_code=3, report=report())


def test_an_hour_of_pictures_is_a_line_each_thirty_seconds() -> None:
    clock = VirtualClock(start=START)
    stream = io.StringIO()
    listener = PlainLines(stream)

    async def hour() -> None:
        listener(started(clock.now(), LABELS[:1]))
        for second in range(3600):
            await clock.sleep(1)
            for event in bought(f"t{second}", LABELS[0], clock.now()):
                listener(event)
        listener(ended(clock.now()))

    clock.run(hour())
    lines = stream.getvalue().splitlines()

    assert len(lines) == 1 + 120 + 1
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)


def test_a_run_with_nothing_to_do_is_a_line_at_the_start_and_one_at_the_end() -> None:
    first, last = lines_of(started(), ended(START + 1))

    assert "800 of 10000 done, 24 pictures to download, 9176 to make for about CNY 3211.60" in first
    assert "every task was tried; 9981 of 10000 done" in last
    assert "next: batchgen run jobs/neon-city.yaml --retry unknown" in last


def test_a_progress_line_names_counts_speed_money_and_time_left() -> None:
    events = [*running(), *bought("last", LABELS[0], START + 61)]
    line = next(line for line in lines_of(*events) if "%" in line)

    for words in ("done", "in flight", "waiting", "pictures/min", "s each", "spent", "reserved", "projected", "ETA"):
        assert words in line


def test_what_is_waited_for_is_told_at_once_and_in_the_progress() -> None:
    pause = PoolState(at=START + 1, label="dev", state="paused", reason="rate limited", until=START + 100)
    late = CallSent(at=START + 40, task_id="t", label="dev", prompt_id="p", attempt=1, reserved=None)
    _, at_once, progress = lines_of(started(), pause, pause, late)

    assert "dev: rate limited, resuming " in at_once
    assert "dev: rate limited, resuming " in progress


def test_a_warning_is_told_at_once_and_only_once() -> None:
    warning = Notice(at=START + 1, level="warning", message="the key file can be read by others")
    lines = lines_of(started(), warning, warning)

    assert len(lines) == 2
    assert lines[1].endswith(" warning: the key file can be read by others")


def test_the_same_failure_of_many_tasks_is_told_once() -> None:
    events = [failed(f"t{number}", "dev", START + 1, "not allowed") for number in range(1000)]
    lines = lines_of(started(), *events)

    assert [line.split(" ", 1)[1] for line in lines[1:]] == ["harbour (dev): refused: not allowed"]


def test_failures_that_all_differ_do_not_fill_the_log() -> None:
    lines = lines_of(started(), *(failed(f"t{number}", "dev", START + 1, f"no {number}") for number in range(1000)))

    assert len(lines) < 60
    assert "failures.jsonl" in lines[-1]


def test_outside_text_neither_forges_a_line_nor_reaches_the_terminal() -> None:
    lines = lines_of(*running(), ended(START + 61))

    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("forged") for line in lines)
    assert any("[/b] [link=https://x]" in line for line in lines)


def test_a_clock_that_is_set_back_does_not_silence_the_log() -> None:
    earlier = CallSent(at=START - 7200, task_id="t", label="dev", prompt_id="p", attempt=1, reserved=None)

    assert len(lines_of(started(), earlier)) == 2


def test_a_closed_stream_and_a_gone_reader_do_not_disturb_the_run() -> None:
    stream = io.StringIO()
    stream.close()
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w", encoding="utf-8")
    for listener in (PlainLines(stream), PlainLines(pipe)):
        for event in [*running(), ended(START + 90)]:
            listener(event)
    with contextlib.suppress(OSError):
        pipe.close()


def test_the_end_line_is_clean_even_when_the_report_is_not() -> None:
    line = end_line(report(reason=HOSTILE, job=HOSTILE, next=[HOSTILE], currency="CN\x1b[1mY"))

    assert line.isprintable()
