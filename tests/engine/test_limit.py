from batchgen.engine.limit import Limit


def used(limit: Limit, calls: int, *, fresh: bool = True) -> Limit:
    """After so many calls that were taken, each with all the others in flight that are allowed."""
    for _ in range(calls):
        limit.taken(limit.room, fresh=fresh)
    return limit


def test_it_grows_quickly_until_the_number_is_to_blame_and_never_above_what_the_user_allows() -> None:
    assert Limit(64).room == 4
    assert used(Limit(64), 5).room == 19
    assert used(Limit(64), 100).room == 64
    assert Limit(2).room == 2


def test_the_first_refusal_is_in_doubt_and_the_second_at_the_same_number_cuts() -> None:
    limit = used(Limit(64), 5)

    assert not limit.refused(20)
    assert limit.room == 19
    assert limit.refused(20)
    assert limit.room == 13


def test_a_provider_that_took_more_lately_does_not_refuse_for_the_number() -> None:
    limit = used(Limit(64), 20)
    limit.taken(60, fresh=True)

    assert not limit.refused(30)
    assert not limit.refused(30)
    assert limit.room == 64


def test_a_number_that_stays_refused_is_believed_in_the_end() -> None:
    limit = used(Limit(64), 20)
    refusals = 0
    while not limit.refused(9):
        refusals += 1

    assert refusals <= 8
    assert limit.room == 5


def test_a_call_that_was_alone_was_not_one_too_many() -> None:
    assert not any(Limit(64).refused(1) for _ in range(10))


def test_after_a_cut_it_returns_soon_and_goes_beyond_slowly() -> None:
    limit = used(Limit(64), 20)
    limit.cut(9)

    assert used(limit, 10).room == 8
    assert used(limit, 6).room == 8
    assert used(limit, 300).room == 64


def test_calls_that_left_before_the_refusal_and_a_limit_that_is_not_used_prove_nothing() -> None:
    limit = used(Limit(64), 20)
    limit.cut(33)
    for _ in range(100):
        limit.taken(32, fresh=False)
        limit.taken(3, fresh=True)

    assert limit.room == 22
