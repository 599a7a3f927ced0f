"""The tally adds events up: counts that always add up, money, speed, time left, and what is waited for."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
from batchgen.views.pool_tally import PoolSnapshot
from batchgen.views.tally import Tally

PRICE = Decimal("0.35")


def plan(label: str = "dev", **changes: Any) -> PoolPlan:
    values: dict[str, Any] = {"total": 10, "done": 0, "to_buy": 10, "waiting": 0, "price": PRICE}
    return PoolPlan(label=label, model=f"lab/{label}", **(values | changes))


def started(*pools: PoolPlan, at: float = 0) -> RunStarted:
    return RunStarted(
        at=at,
        run_id="r1",
        job="neon",
        folder="outputs/neon",
        provider="sandbox",
        play_money=True,
        currency="CNY",
        pools=pools or (plan(),),
        concurrency=4,
    )


def sent(task: str, at: float = 0, label: str = "dev", reserved: Decimal | None = PRICE) -> CallSent:
    return CallSent(at=at, task_id=task, label=label, prompt_id="p", attempt=1, reserved=reserved)


def billed(
    task: str, at: float = 0, pictures: int = 1, latency: float = 8.0, cost: Decimal | None = PRICE, label: str = "dev"
) -> CallBilled:
    return CallBilled(at=at, task_id=task, label=label, pictures=pictures, cost=cost, latency_s=latency, request_id="q")


def stored(
    task: str, at: float = 0, *, done: bool = True, flags: tuple[str, ...] = (), label: str = "dev"
) -> PictureStored:
    return PictureStored(
        at=at,
        task_id=task,
        label=label,
        file_name=f"images/{task}.png",
        bytes=9,
        width=8,
        height=8,
        flags=flags,
        task_done=done,
    )


def unknown(task: str, *, will_retry: bool, at: float = 0) -> CallUnknown:
    return CallUnknown(
        at=at, task_id=task, label="dev", prompt_id="p", message="no answer", cost=PRICE, will_retry=will_retry
    )


def failed(task: str, at: float = 0) -> TaskFailed:
    return TaskFailed(at=at, task_id=task, label="dev", prompt_id="p", kind="policy", message="no", request_id="q")


def gone(task: str, state: str = "expired", at: float = 0) -> PictureGone:
    return PictureGone(at=at, task_id=task, label="dev", prompt_id="p", state=state, message="gone")


def returned(task: str, at: float = 0) -> CallReturned:
    return CallReturned(at=at, task_id=task, label="dev", outcome="refused", status=429, message="slow down")


def tally(*events: Event) -> Tally:
    counted = Tally()
    for event in events:
        counted.add(event)
    return counted


def places(pool: PoolSnapshot) -> list[int]:
    return [
        pool.done,
        pool.left,
        pool.in_flight,
        pool.downloading,
        pool.failed,
        pool.unknown,
        pool.expired,
        pool.lost,
        pool.set_aside,
    ]


def test_a_task_goes_from_left_over_in_flight_and_waiting_to_done() -> None:
    counted = tally(started())
    seen = []
    for event in [sent("a"), billed("a"), stored("a")]:
        counted.add(event)
        total = counted.snapshot(1).total
        seen.append((total.left, total.in_flight, total.waiting, total.done))

    assert seen == [(9, 1, 0, 0), (9, 0, 1, 0), (9, 0, 0, 1)]


def test_a_call_that_returned_leaves_its_task_to_do_again_and_its_money_free() -> None:
    snapshot = tally(started(), sent("a"), returned("a")).snapshot(1)

    assert snapshot.total.left == 10
    assert snapshot.money.reserved == 0


def test_an_answer_of_four_pictures_is_done_with_the_last_of_them() -> None:
    counted = tally(started(), sent("a"), billed("a", pictures=4), stored("a", done=False), stored("a", done=False))
    halfway = counted.snapshot(1).total
    counted.add(stored("a", done=False))
    counted.add(stored("a", done=True))

    assert (halfway.waiting, halfway.done, halfway.pictures, halfway.progress) == (2, 0, 2, 0.05)
    assert counted.snapshot(1).total.done == 1


def test_a_task_of_which_one_picture_is_gone_is_not_done() -> None:
    total = tally(started(), sent("a"), billed("a", pictures=2), gone("a"), stored("a", done=True)).snapshot(1).total

    assert (total.done, total.expired, total.waiting) == (0, 1, 0)


def test_an_answer_without_pictures_is_paid_and_lost_once() -> None:
    total = tally(started(), sent("a"), billed("a", pictures=0), gone("a", "lost")).snapshot(1).total

    assert (total.lost, total.waiting, total.left) == (1, 0, 9)


def test_an_unknown_outcome_counts_unless_it_is_tried_again() -> None:
    counted = tally(started(), sent("a"), unknown("a", will_retry=True), sent("b"), unknown("b", will_retry=False))
    snapshot = counted.snapshot(1)

    assert (snapshot.total.unknown, snapshot.total.left, snapshot.unknown_calls) == (1, 9, 2)
    assert snapshot.money.maybe_billed == 2 * PRICE


def test_a_task_bought_again_is_no_longer_unknown() -> None:
    counted = tally(started(), sent("a"), unknown("a", will_retry=False), sent("a"), billed("a"), stored("a"))

    assert (counted.snapshot(1).total.unknown, counted.snapshot(1).total.done) == (0, 1)


def test_pictures_that_an_earlier_run_paid_for_wait_and_land() -> None:
    counted = tally(started(plan(total=10, done=4, to_buy=3, waiting=2)))
    before = counted.snapshot(1).total
    counted.add(stored("old"))
    counted.add(gone("older"))
    after = counted.snapshot(1).total

    assert (before.done, before.waiting, before.left, before.set_aside) == (4, 2, 3, 1)
    assert (after.done, after.waiting, after.left, after.set_aside, after.expired) == (5, 0, 3, 1, 1)


def test_money_is_spent_reserved_and_projected_at_what_calls_really_reserve() -> None:
    events = [started(), sent("a", reserved=Decimal("1.40")), billed("a", cost=Decimal("1.40"), pictures=4)]
    money = tally(*events, sent("b", reserved=Decimal("1.40"))).snapshot(1).money

    assert (money.spent, money.reserved, money.projected) == (Decimal("1.40"), Decimal("1.40"), Decimal("14.00"))


def test_a_run_that_has_not_bought_yet_is_projected_at_list_price() -> None:
    assert tally(started()).snapshot(1).money.projected == Decimal("3.50")


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    before = tally(started(plan(price=None))).snapshot(1).money
    after = tally(started(plan(price=None)), sent("a", reserved=None), billed("a", cost=None)).snapshot(1).money

    assert before.projected is None
    assert (after.projected, after.unpriced) == (None, 1)


def test_nothing_more_is_projected_for_a_model_that_is_stopped() -> None:
    stop = PoolState(at=1, label="dev", state="stopped", reason="not allowed", until=None)
    snapshot = tally(started(), sent("a"), billed("a"), stored("a"), stop).snapshot(1)

    assert snapshot.money.projected == PRICE
    assert snapshot.eta_s == 0


def test_speed_is_that_of_the_last_two_minutes() -> None:
    events: list[Event] = [started(plan(total=1000, to_buy=1000))]
    for second in range(600):
        task = f"t{second}"
        events += [sent(task, second), billed(task, second, latency=6), stored(task, second)]
    counted = tally(*events)

    quick = counted.snapshot(600).total
    idle = counted.snapshot(900).total
    assert quick.per_minute is not None
    assert 55 <= quick.per_minute <= 62.5
    assert quick.seconds_per_picture == 6
    assert idle.per_minute == 0


def test_time_left_follows_speed_and_pauses() -> None:
    events: list[Event] = [started(plan(total=120, to_buy=120))]
    for second in range(60):
        events += [sent(f"t{second}", second), billed(f"t{second}", second), stored(f"t{second}", second)]
    counted = tally(*events)
    plain = counted.snapshot(60).eta_s
    counted.add(PoolState(at=60, label="dev", state="paused", reason="rate limited", until=360))
    paused = counted.snapshot(60).eta_s
    counted.add(PoolState(at=60, label="dev", state="paused", reason="provider is down", until=None))

    assert plain == 60
    assert paused == 360
    assert counted.snapshot(60).eta_s is None


def test_models_that_wait_for_the_same_are_told_together() -> None:
    counted = tally(started(plan("dev"), plan("pro"), plan("max")))
    for label in ("dev", "pro", "max"):
        counted.add(PoolState(at=1, label=label, state="paused", reason="rate limited", until=50))
    (wait,) = counted.snapshot(2).waits

    assert wait.labels == ("dev", "pro", "max")
    assert wait.sentence(2).startswith("3 models: rate limited, resuming ")
    counted.add(PoolState(at=3, label="pro", state="working", reason="", until=None))
    assert counted.snapshot(3).waits[0].labels == ("dev", "max")


def test_flags_postponed_downloads_and_the_report_are_kept() -> None:
    delayed = PictureDelayed(at=1, task_id="a", label="dev", prompt_id="p", message="timeout", tries=8, gave_up=True)
    events = [started(), sent("a"), billed("a"), delayed, stored("b", flags=("blank", "size"))]
    snapshot = tally(*events, RunEnded(at=3, exit_code=4, report={"job": "neon"})).snapshot(3)

    assert snapshot.flags == (("blank", 1), ("size", 1))
    assert snapshot.postponed == 1
    assert snapshot.report == {"job": "neon"}


def test_notices_before_the_run_are_kept_and_only_the_latest_few() -> None:
    counted = tally(*(Notice(at=i, level="info", message=f"line {i}\x1b[2J") for i in range(9)), started())

    assert [notice.message for notice in counted.snapshot(9).notices] == [f"line {i}[2J" for i in range(4, 9)]


def test_a_label_that_the_plan_does_not_know_gets_a_row() -> None:
    snapshot = tally(started(), stored("x", label="former")).snapshot(1)

    assert [(pool.label, pool.done, pool.total) for pool in snapshot.pools] == [("dev", 0, 10), ("former", 1, 1)]


TASKS = st.sampled_from([f"t{number}" for number in range(6)])
EVENTS = st.one_of(
    st.builds(sent, TASKS),
    st.builds(returned, TASKS),
    st.builds(billed, TASKS, pictures=st.integers(0, 3)),
    st.builds(unknown, TASKS, will_retry=st.booleans()),
    st.builds(failed, TASKS),
    st.builds(stored, TASKS, done=st.booleans()),
    st.builds(gone, TASKS, st.sampled_from(["expired", "lost"])),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(EVENTS, max_size=60),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_counts_are_never_negative_and_add_up_whatever_comes(
    events: list[Event], done: int, to_buy: int, waiting: int, ended: int
) -> None:
    counted = tally(started(plan(total=done + to_buy + waiting + ended, done=done, to_buy=to_buy, waiting=waiting)))
    for event in events:
        counted.add(event)
        pool = counted.snapshot(1).total
        assert min(places(pool)) >= 0
        assert sum(places(pool)) == pool.total
        assert pool.waiting >= 0
        assert 0 <= pool.progress <= 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["stored", "failed", "unknown", "gone", "returned", "retried"]), max_size=30))
def test_every_ending_is_counted_once(endings: list[str]) -> None:
    counted = tally(started(plan(total=len(endings), to_buy=len(endings))))
    for number, ending in enumerate(endings):
        task = f"t{number}"
        counted.add(sent(task))
        if ending in {"stored", "gone"}:
            counted.add(billed(task))
        follow: dict[str, Event] = {
            "stored": stored(task),
            "failed": failed(task),
            "unknown": unknown(task, will_retry=False),
            "gone": gone(task),
            "returned": returned(task),
            "retried": unknown(task, will_retry=True),
        }
        counted.add(follow[ending])
    total = counted.snapshot(1).total

    assert total.done == endings.count("stored")
    assert total.failed == endings.count("failed")
    assert total.unknown == endings.count("unknown")
    assert total.expired == endings.count("gone")
    assert total.left == endings.count("returned") + endings.count("retried")
