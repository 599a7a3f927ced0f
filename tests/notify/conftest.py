"""A receiver of news, and a clock whose pauses take no time."""

from collections.abc import Iterator

import pytest

from batchgen.clock import RealClock

from .receiver import Receiver, receiving


class PromptClock(RealClock):
    """The real time; whoever sleeps is told that the time is over."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> PromptClock:
    return PromptClock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each
