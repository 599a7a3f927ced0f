"""A frame fits whatever it is given, and keeps what matters most."""

from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.events import Notice, PoolPlan, PoolState, RunEnded, RunStarted
from batchgen.views.frame import frame
from batchgen.views.tally import Snapshot, Tally
from tests.views.story import LABELS, START, report, running, started


def snapshot(labels: tuple[str, ...] = LABELS, now: float = START + 60) -> Snapshot:
    tally = Tally()
    for event in running() if labels == LABELS else [started(labels=labels)]:
        tally.add(event)
    return tally.snapshot(now)


def texts(of: Snapshot, width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    return [line.plain for line in frame(of, width, height, ascii_only=ascii_only)]


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 220), st.integers(3, 70), st.integers(1, 30))
def test_a_frame_never_leaves_its_terminal(width: int, height: int, models: int) -> None:
    labels = tuple(f"模型-{'x' * number}" for number in range(models))
    for of in (snapshot(), snapshot(labels)):
        lines = frame(of, width, height)
        assert len(lines) <= height
        assert max(line.cell_len for line in lines) <= width


def test_thirty_models_leave_room_for_money_and_say_how_many_are_hidden() -> None:
    lines = texts(snapshot(tuple(f"model-{number}" for number in range(30))), 80, 24)

    assert any("not shown" in line for line in lines)
    assert any(line.startswith("spent") for line in lines)


def test_one_model_has_no_row_of_sums() -> None:
    assert not any("all " in line for line in texts(snapshot(LABELS[:1]), 80, 24))


def test_long_counts_push_no_figure_off_eighty_columns() -> None:
    tally = Tally()
    pools = tuple(PoolPlan(label, label, 100_000, 99_000, 1000, 0, None) for label in LABELS)
    tally.add(
        RunStarted(
            at=START,
            run_id="r",
            job="neon",
            folder="f",
            provider="p",
            play_money=False,
            currency="CNY",
            pools=pools,
            concurrency=1,
        )
    )
    lines = texts(tally.snapshot(START + 1), 80, 24)

    assert any("99000/100000" in line and "flux" in line for line in lines)
    assert next(line for line in lines if line.startswith("model")).split()[-2:] == ["pic/min", "s/pic"]
    assert any("projected unknown" in line for line in lines)


def test_a_terminal_without_unicode_gets_a_bar_of_ascii() -> None:
    assert all(line.isascii() for line in texts(snapshot(LABELS[:2]), 120, 30, ascii_only=True))


def test_before_the_run_begins_news_are_shown() -> None:
    tally = Tally()
    assert [line.plain for line in frame(tally.snapshot(START), 80, 24)] == ["starting"]
    tally.add(Notice(at=START, level="info", message="waiting for the lock"))

    assert frame(tally.snapshot(START), 80, 24)[0].plain.endswith(" waiting for the lock")


def test_many_waits_are_three_lines_at_most() -> None:
    tally = Tally()
    tally.add(started())
    for number, label in enumerate(LABELS):
        tally.add(PoolState(at=START, label=label, state="paused", reason=f"reason {number}", until=None))
    lines = texts(tally.snapshot(START), 80, 40)

    assert sum("reason" in line for line in lines) == 2
    assert any(line == "and 6 more wait" for line in lines)


def test_a_stopped_model_says_why() -> None:
    tally = Tally()
    tally.add(started())
    tally.add(PoolState(at=START, label=LABELS[0], state="stopped", reason="this key may not use it", until=None))

    assert "flux.1-dev: stopped, this key may not use it" in texts(tally.snapshot(START), 80, 40)


def test_an_ended_run_has_no_time_left() -> None:
    tally = Tally()
    tally.add(started())
    tally.add(RunEnded(at=START, exit_code=0, report=report()))

    assert texts(tally.snapshot(START), 80, 40)[0].endswith("ended")
