"""The two limits of the server: requests per minute, and requests at work at the same time.

It refuses to wait: a request over a limit is refused with 429.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchgen.sandbox.answers import RefusalError

_BUSY_FOR_S = 1.0


class Limits:
    """The limits of one server. `now` gives seconds that only go forward."""

    def __init__(
        self, requests_per_minute: float | None, burst: int, concurrency: int | None, now: Callable[[], float]
    ) -> None:
        self._per_second = requests_per_minute / 60 if requests_per_minute else None
        self._burst = float(max(1, burst))
        self._concurrency = concurrency
        self._now = now
        self._tokens = self._burst
        self._filled_at = now()
        self.at_work = 0
        self.most_at_work = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one place at work. Raises RefusalError (429) when there is none, or when requests come too fast."""
        if self._concurrency is not None and self.at_work >= self._concurrency:
            raise RefusalError("429", "too many requests at the same time", _BUSY_FOR_S)
        self._take_token()
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            yield
        finally:
            self.at_work -= 1

    def _take_token(self) -> None:
        if self._per_second is None:
            return
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            raise RefusalError("429", retry_after_s=(1 - self._tokens) / self._per_second)
        self._tokens -= 1
