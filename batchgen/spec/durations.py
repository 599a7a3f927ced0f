"""Lengths of time as people write them, and times of day as deadlines. Pure values; it refuses to read a clock."""

import datetime
import re

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(text: str) -> float | None:
    """`90s`, `30m`, `1h30m` or `2d` in seconds; None for anything else."""
    text = text.replace(" ", "")
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))


def until(deadline: str, now: float) -> float | None:
    """Seconds from `now` (UTC seconds since the epoch) to a deadline: a length of time, or the next local `06:30`.

    None for what is neither, and for a length of nothing.
    """
    at = _TIME_OF_DAY.fullmatch(deadline.strip())
    if at is None:
        return seconds_of(deadline) or None
    local = datetime.datetime.fromtimestamp(now)  # noqa: DTZ006  # of this machine: a night in which clocks change has its own length
    then = local.replace(hour=int(at[1]), minute=int(at[2]), second=0, microsecond=0)
    if then <= local:
        then += datetime.timedelta(days=1)
    return then.timestamp() - now
