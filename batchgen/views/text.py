"""Text for people: labels that fit, and numbers, money and times in words.

It refuses to know where the text is shown (no colour, no layout) and to make outside text harmless: `outside.py` does.
"""

import time
from decimal import Decimal, InvalidOperation
from typing import Any

from batchgen.outside import clean

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def fit(text: str, width: int) -> str:
    """`text` in at most `width` terminal cells; a longer one loses its middle, since labels differ at both ends."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail_cells = (width - 1) * 2 // 5
    tail = ""
    for character in reversed(text):
        if cell_len(character + tail) > tail_cells:
            break
        tail = character + tail
    head = set_cell_size(text, width - 1 - cell_len(tail)).rstrip()
    return f"{head}…{tail}"


def decimal(value: Any) -> Decimal | None:
    """An amount from a report, where money is text; None for what is no finite number."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def amount(value: Any) -> str:
    """An amount with two decimals, more (up to six) only where it has them; `unknown` for None."""
    number = decimal(value)
    if number is None:
        return "unknown"
    text = f"{number:.6f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"


def money(value: Any, currency: str) -> str:
    """An amount with its currency, such as `CNY 10.50`; `unknown` for None."""
    if decimal(value) is None:
        return "unknown"
    return f"{clean(currency, 8)} {amount(value)}".strip()


def about(value: Any, currency: str) -> str:
    """An estimate, rounded to what it is good for: two decimals from 0.10 up."""
    number = decimal(value)
    if number is not None and number >= Decimal("0.1"):
        number = round(number, 2)
    return money(number, currency)


def duration(seconds: float) -> str:
    """A length of time in at most two units: `45 s`, `9 min`, `1 h 20 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 10 * _MINUTE and whole % _MINUTE:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        minutes = whole % _HOUR // _MINUTE
        return f"{whole // _HOUR} h" + (f" {minutes} min" if minutes else "")
    hours = whole % _DAY // _HOUR
    return f"{whole // _DAY} d" + (f" {hours} h" if hours else "")


def estimate(seconds: float) -> str:
    """A length of time that nobody knows to the second: minutes from one minute up."""
    return duration(seconds if seconds < _MINUTE else round(seconds / _MINUTE) * _MINUTE)


def eta(seconds: float | None, now: float) -> str:
    """When something will be ready that takes `seconds` from `now`: `ETA 14:51 (9 min)`; `ETA -` for None."""
    if seconds is None:
        return "ETA -"
    ready = moment(now + seconds, now)
    # Seconds of an estimate are noise that moves on every refresh.
    ready = ready.rpartition(":")[0] if ready.count(":") == 2 else ready
    return f"ETA {ready} ({estimate(seconds)})"


def clock_time(at: float) -> str:
    """The local time of day at `at` (UTC seconds since the epoch), such as `14:03:20`."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def moment(at: float, now: float) -> str:
    """When `at` is, seen from `now`: the local time of day, with the weekday or the date if that is another day."""
    local = time.localtime(at)
    if local[:3] == time.localtime(now)[:3]:
        return time.strftime("%H:%M:%S", local)
    return time.strftime("%a %H:%M" if abs(at - now) < 6 * _DAY else "%d %b %H:%M", local)


def date(at: float) -> str:
    """The local day and time of `at`, such as `Fri 27 Nov 22:10`."""
    return time.strftime("%a %d %b %H:%M", time.localtime(at))


def full_date(at: float) -> str:
    """The local day and time of `at` with its zone, for what is read months later: `2026-11-27 22:10:03 +0800`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 picture`, `2 pictures`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def speed(per_minute: float | None) -> str:
    """Pictures per minute in at most five characters, `-` while nothing is known."""
    return _short_number(per_minute)


def seconds(value: float | None) -> str:
    """Seconds in at most five characters, `-` while nothing is known."""
    return _short_number(value)


def _short_number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"
