import pytest

from batchgen.engine.pace import LearnedPace


class Story:
    """Calls that leave evenly and are taken, and refusals of calls that leave between them."""

    def __init__(self) -> None:
        self.pace = LearnedPace()
        self.now = 100.0
        self.calls = 0

    def take(self, calls: int, seconds: float) -> None:
        for _ in range(calls):
            self.call()
            self.now += seconds / calls

    def call(self) -> int:
        self.calls += 1
        self.pace.take(self.calls, self.now)
        return self.calls

    def refuse(self) -> None:
        self.pace.refused(self.call())
        self.pace.cut(self.now, binds=True)


def test_nothing_is_known_before_the_first_refusal_nor_after_one_for_which_time_is_not_to_blame() -> None:
    story = Story()
    story.take(100, 1.0)
    assert story.pace.per_second(story.now) is None

    story.pace.cut(story.now, binds=False)
    assert story.pace.per_second(story.now) is None


def test_the_first_pace_is_what_was_taken_in_the_last_second() -> None:
    story = Story()
    story.take(4, 8.0)
    story.take(10, 0.5)
    story.refuse()

    assert story.pace.per_second(story.now) == pytest.approx(10.0)


def test_a_pace_is_what_was_taken_between_two_refusals_with_the_pause_between_them() -> None:
    story = Story()
    story.take(10, 0.1)
    story.refuse()
    story.now += 1.0
    story.take(40, 3.0)
    story.refuse()

    assert story.pace.per_second(story.now) == pytest.approx(40 / 4)


def test_few_calls_are_no_measure_and_count_with_those_before() -> None:
    story = Story()
    story.refuse()
    story.take(20, 4.0)
    story.refuse()
    story.take(1, 1.0)
    story.refuse()

    assert story.pace.per_second(story.now) == pytest.approx(21 / 5)


def test_a_refusal_that_comes_late_corrects_the_reading() -> None:
    story = Story()
    story.refuse()
    story.take(40, 4.0)
    late = [story.call() for _ in range(10)]
    story.refuse()
    for call in late:
        story.pace.refused(call)

    assert story.pace.per_second(story.now) == pytest.approx(10.0)


def test_calls_leave_at_the_pace() -> None:
    story = Story()
    story.refuse()
    story.take(40, 4.0)
    story.refuse()
    story.call()

    assert story.pace.next_start == pytest.approx(story.now + 0.1)


def test_without_refusals_it_doubles_after_forty_calls_and_eight_seconds() -> None:
    story = Story()
    story.refuse()
    story.take(40, 4.0)
    story.refuse()
    for _ in range(40):
        story.pace.taken()

    assert story.pace.per_second(story.now) == pytest.approx(10.0)
    assert story.pace.per_second(story.now + 4.0) == pytest.approx(11.25)
    assert story.pace.per_second(story.now + 8.0) == pytest.approx(20.0)
    assert story.pace.per_second(story.now + 80.0) == pytest.approx(20.0)


def test_a_long_pause_is_no_part_of_a_rate() -> None:
    story = Story()
    story.refuse()
    story.take(30, 3.0)
    story.refuse()
    story.pace.skip(600.0)
    story.now += 600.0
    story.take(2, 1.0)
    story.refuse()

    assert story.pace.per_second(story.now) == pytest.approx(32 / 4)
