import datetime
import os
import time
from collections.abc import Iterator

import pytest

from batchgen.spec.durations import seconds_of, until


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1h 30m", 5400), ("2d", 172_800), ("1.5h", 5400)],
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "6x", "06:30", "-6h", "6h later"])
def test_what_is_no_length_of_time_is_none(text: str) -> None:
    assert seconds_of(text) is None


def _at(*parts: int) -> float:
    return datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.usefixtures("berlin")
def test_a_time_of_day_is_the_next_one() -> None:
    at_22 = _at(2026, 11, 23, 21, 0)

    assert until("06:30", at_22) == 8.5 * 3600
    assert until("6:30", at_22) == 8.5 * 3600
    assert until("22:00", at_22) == 24 * 3600


@pytest.mark.usefixtures("berlin")
def test_a_night_in_which_the_clocks_change_has_its_own_length() -> None:
    before_summer_time_ends = _at(2026, 10, 24, 20, 0)

    assert until("06:30", before_summer_time_ends) == 9.5 * 3600


@pytest.mark.parametrize("text", ["24:00", "6:5", "0s", "soon", "25:61"])
def test_what_is_no_deadline_is_none(text: str) -> None:
    assert until(text, 0.0) is None
