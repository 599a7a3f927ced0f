"""Which sums a moment's money belongs to: everything ever, the run, and the day, week and month of a calendar."""

import datetime
import functools

from batchgen.storage.purchases import scopes_of


def calendar_scopes(run_id: str, local_s: float) -> tuple[str, ...]:
    """The scopes of a moment given in seconds of the provider's local time."""
    return _scopes_of_day(run_id, int(local_s // 86_400))


@functools.lru_cache(maxsize=8)
def _scopes_of_day(run_id: str, days: int) -> tuple[str, ...]:
    """The scopes of a day, counted from the epoch. Every call asks twice, so the calendar is worked out once a day."""
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days)
    year, week, _ = day.isocalendar()
    return scopes_of(run_id, day.isoformat(), f"{year}-W{week:02d}", f"{day:%Y-%m}")
