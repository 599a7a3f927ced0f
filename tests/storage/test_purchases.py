import asyncio
import dataclasses
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.storage import schema
from batchgen.storage.landings import StoredPicture, end_picture, store
from batchgen.storage.ledger import FILE_NAME, Ledger
from batchgen.storage.purchases import (
    Begun,
    Cap,
    Declined,
    Ending,
    Intent,
    NewPicture,
    begin,
    bill,
    fail,
    give_back,
    lose_track,
    scopes_of,
)
from batchgen.storage.queries import money, states_of, waiting

SCOPES = scopes_of("r1", "2026-05-01", "2026-W18", "2026-05")


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    schema.migrate(connection)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = connect()
    yield opened
    opened.close()


def intent(task: str = "t1", **changes: object) -> Intent:
    plain = Intent(
        task_id=task.ljust(64, "x"),
        label="dev",
        model="m/dev",
        name=f"p/{task}",
        record='{"params": {}, "prompt_id": "p"}',
        images=1,
        price=100_000,
        currency="CNY",
        run_id="r1",
        scopes=SCOPES,
        at=1000.0,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def ending(kind: str = "billed", **changes: object) -> Ending:
    return dataclasses.replace(Ending(kind, "", "req", 200, 1.0, 1001.0), **changes)  # type: ignore[arg-type]


def started(connection: sqlite3.Connection, wish: Intent) -> Begun:
    begun = begin(connection, wish, ())
    assert isinstance(begun, Begun)
    return begun


def stored(picture_id: int, name: str = "images/p/t1.png", source: str = "aa") -> StoredPicture:
    return StoredPicture(picture_id, name, 10, 1, 1, "png", source, source, ())


def test_the_price_is_reserved_before_the_call_and_spent_after_the_answer(connection: sqlite3.Connection) -> None:
    begun = started(connection, intent())

    (before,) = money(connection, "life")
    bill(connection, begun.attempt_id, ending(), [NewPicture(0, "https://x/1", None)], 9999.0)
    (after,) = money(connection, "life")

    assert (before.reserved, before.billed) == (100_000, 0)
    assert (after.reserved, after.billed) == (0, 100_000)
    assert [picture.url for picture in waiting(connection)] == ["https://x/1"]


def test_a_refusal_for_now_costs_nothing_and_leaves_the_task_as_it_was(connection: sqlite3.Connection) -> None:
    first = started(connection, intent())

    give_back(connection, first.attempt_id, ending("rate_limited", status=429))
    second = started(connection, intent())

    (life,) = money(connection, "life")
    assert (first.idempotency_key, 1) == (second.idempotency_key, second.number)
    assert life.reserved == 100_000


def test_an_unknown_outcome_counts_as_spent_and_is_tried_again_once_with_the_same_key(
    connection: sqlite3.Connection,
) -> None:
    first = started(connection, intent())
    lose_track(connection, first.attempt_id, ending("no_answer"))
    second = started(connection, intent())
    lose_track(connection, second.attempt_id, ending("no_answer"))

    third = begin(connection, intent(), ())

    (life,) = money(connection, "life")
    assert first.idempotency_key == second.idempotency_key
    assert second.again
    assert Declined("held") == third
    assert life.maybe == 200_000


def test_the_one_further_try_is_one_in_a_life_and_not_one_in_a_run(connection: sqlite3.Connection) -> None:
    for number in range(100):
        made = started(connection, intent(f"other{number}"))
        bill(connection, made.attempt_id, ending(), [NewPicture(0, "u", None)], 1.0)
    for run_id in ("r1", "r2"):
        lose_track(connection, started(connection, intent(run_id=run_id)).attempt_id, ending("no_answer"))

    assert begin(connection, intent(run_id="r3"), ()) == Declined("held")


def test_a_retry_of_an_unknown_outcome_that_was_refused_for_now_may_be_made_again(
    connection: sqlite3.Connection,
) -> None:
    lose_track(connection, started(connection, intent()).attempt_id, ending("no_answer"))
    give_back(connection, started(connection, intent()).attempt_id, ending("rate_limited", status=429))

    again = started(connection, intent())

    assert again.again


def test_on_hold_nothing_of_unknown_outcome_is_tried_again(connection: sqlite3.Connection) -> None:
    lose_track(connection, started(connection, intent()).attempt_id, ending("no_answer"))

    assert Declined("held") == begin(connection, intent(retry_unknown=False), ())


def test_a_run_repeats_no_more_than_a_twentieth_of_all_calls(connection: sqlite3.Connection) -> None:
    tasks = [f"t{number}" for number in range(60)]
    for task in tasks:
        lose_track(connection, started(connection, intent(task)).attempt_id, ending("no_answer"))

    again = [begin(connection, intent(task, run_id="r2"), ()) for task in tasks]

    repeated = sum(isinstance(result, Begun) for result in again)
    assert 3 <= repeated <= 4  # a twentieth of 60, growing by the repeats themselves


def test_a_decision_to_buy_again_is_a_new_purchase_with_a_new_key(connection: sqlite3.Connection) -> None:
    first = started(connection, intent())
    lose_track(connection, first.attempt_id, ending("no_answer"))

    rebought = started(connection, intent(run_id="r2", rebuy=frozenset({"unknown"})))

    assert first.idempotency_key != rebought.idempotency_key
    assert not rebought.again


def test_what_was_refused_for_good_is_not_asked_again_without_a_word(connection: sqlite3.Connection) -> None:
    fail(connection, started(connection, intent()).attempt_id, ending("content_policy", status=400))

    assert Declined("settled") == begin(connection, intent(), ())
    assert isinstance(begin(connection, intent(run_id="r2", rebuy=frozenset({"failed"})), ()), Begun)


def test_a_budget_counts_what_is_in_flight_and_what_is_maybe_billed(connection: sqlite3.Connection) -> None:
    caps = (Cap("life", images=3),)
    lose_track(connection, started(connection, intent("a")).attempt_id, ending("no_answer"))
    bill(connection, started(connection, intent("b")).attempt_id, ending(), [NewPicture(0, "u", None)], 1.0)
    started(connection, intent("c"))

    assert Declined("budget") == begin(connection, intent("d"), caps)


def test_a_cost_budget_is_kept_to_the_last_cent(connection: sqlite3.Connection) -> None:
    caps = (Cap("run:r1", cost=200_000),)

    results = [begin(connection, intent(f"t{number}"), caps) for number in range(4)]

    assert [isinstance(result, Begun) for result in results] == [True, True, False, False]


def test_thirty_two_buyers_at_once_never_pass_a_budget_of_ten(tmp_path: Path) -> None:
    async def buy_all() -> int:
        ledger = Ledger(tmp_path / FILE_NAME)
        caps = (Cap("life", images=10),)

        async def buyer(number: int) -> int:
            bought = 0
            for step in range(4):
                wish = intent(f"t{number}-{step}")
                result = await ledger.write(lambda connection, wish=wish: begin(connection, wish, caps))  # type: ignore[misc]
                bought += isinstance(result, Begun)
            return bought

        total = sum(await asyncio.gather(*(buyer(number) for number in range(32))))
        ledger.close()
        return total

    assert asyncio.run(buy_all()) == 10


def test_an_answer_without_a_picture_is_paid_and_lost(connection: sqlite3.Connection) -> None:
    bill(connection, started(connection, intent()).attempt_id, ending(message="no picture"), [], 1.0)

    (life,) = money(connection, "life")
    assert {"lost"} == set(states_of(connection, [intent().task_id]).values())
    assert life.billed == 100_000


def test_more_pictures_than_asked_for_are_all_kept_and_paid(connection: sqlite3.Connection) -> None:
    begun = started(connection, intent(images=2))
    pictures = [NewPicture(place, f"u{place}", None) for place in range(3)]

    bill(connection, begun.attempt_id, ending(), pictures, 1.0)

    (life,) = money(connection, "life")
    assert len(waiting(connection)) == 3
    assert life.billed == 300_000


def test_a_task_is_stored_when_all_its_pictures_are(connection: sqlite3.Connection) -> None:
    begun = started(connection, intent(images=2))
    first, second = bill(
        connection, begun.attempt_id, ending(), [NewPicture(0, "u0", None), NewPicture(1, "u1", None)], 1.0
    )

    (half,) = store(connection, [stored(first, source="aa")], 5.0)
    (whole,) = store(connection, [stored(second, "images/p/t1-2.png", "bb")], 6.0)

    assert (half.task_state, whole.task_state) == ("billed", "stored")


def test_the_link_that_dies_first_is_fetched_first(connection: sqlite3.Connection) -> None:
    for task, expires_at in (("a", 300.0), ("b", 100.0), ("c", 200.0)):
        bill(
            connection, started(connection, intent(task)).attempt_id, ending(), [NewPicture(0, task, None)], expires_at
        )

    assert [picture.url for picture in waiting(connection)] == ["b", "c", "a"]


def test_a_short_answer_and_a_twin_are_flagged(connection: sqlite3.Connection) -> None:
    one = started(connection, intent("a", images=2))
    two = started(connection, intent("b"))
    (first,) = bill(connection, one.attempt_id, ending(), [NewPicture(0, "u", None)], 1.0)
    (second,) = bill(connection, two.attempt_id, ending(), [NewPicture(0, "u", None)], 1.0)

    landings = store(connection, [stored(first), stored(second, "images/p/b.png")], 5.0)

    assert [landing.flags for landing in landings] == [("short",), ("duplicate",)]


def test_a_bought_again_task_is_judged_by_its_last_purchase(connection: sqlite3.Connection) -> None:
    begun = started(connection, intent())
    (old,) = bill(connection, begun.attempt_id, ending(), [NewPicture(0, "u", None)], 1.0)
    assert end_picture(connection, old, "expired", "the link died") == "expired"
    again = started(connection, intent(run_id="r2", rebuy=frozenset({"expired"})))
    (new,) = bill(connection, again.attempt_id, ending(), [NewPicture(0, "v", None)], 1.0)

    (landing,) = store(connection, [stored(new)], 5.0)

    assert landing.task_state == "stored"
    assert {"stored"} == set(states_of(connection, [intent().task_id]).values())


def test_a_name_that_another_task_holds_gets_the_id_appended(connection: sqlite3.Connection) -> None:
    names = [started(connection, intent(task, name="Same/Näme")).name for task in ("a1", "b2")]
    spelled = started(connection, intent("c3", name="same/NÄME")).name

    assert names[0] == "Same/Näme"
    assert names[1] == "Same/Näme-b2xxxxxx"
    assert spelled == "same/NÄME-c3xxxxxx"


ENDINGS = ("give_back", "fail", "lose_track", "bill", "leave")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(ENDINGS), st.integers(1, 3)), max_size=25))
def test_totals_always_equal_the_sum_of_the_calls(steps: list[tuple[int, str, int]]) -> None:
    connection = connect()
    counter = itertools.count()
    for task, how, images in steps:
        wish = intent(f"t{task}", images=images, rebuy=frozenset({"failed", "unknown", "lost"}))
        begun = begin(connection, wish, ())
        if not isinstance(begun, Begun) or how == "leave":
            continue
        if how == "bill":
            picture = NewPicture(0, f"u{next(counter)}", None)
            bill(connection, begun.attempt_id, ending(), [picture] * images, 1.0)
        else:
            {"give_back": give_back, "fail": fail, "lose_track": lose_track}[how](
                connection, begun.attempt_id, ending(how)
            )

    for scope in SCOPES:
        found = money(connection, scope)
        sums = connection.execute(
            "SELECT COALESCE(SUM(CASE state WHEN 'sending' THEN price * images END), 0),"
            " COALESCE(SUM(CASE state WHEN 'billed' THEN cost END), 0),"
            " COALESCE(SUM(CASE state WHEN 'unknown' THEN cost END), 0) FROM attempts"
        ).fetchone()
        totals = (found[0].reserved, found[0].billed, found[0].maybe) if found else (0, 0, 0)
        assert tuple(sums) == totals
    connection.close()
