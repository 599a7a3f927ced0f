"""Which seed each try of a prompt has, and which night a run belongs to.

Nothing random: a seed follows from the prompt's text, the number of the try and the night. Changing how makes every
user pay again, so golden tests pin it. It refuses to look at the clock; times are given to it.
"""

import datetime
import hashlib
import itertools
import re
from collections.abc import Iterator
from typing import Any

from batchgen.errors import UsageError
from batchgen.spec.job import Job, Renew, Seeds

MODULUS = 2_147_483_647
"""A prime: derived seeds are 0 … 2147483646, and steps through it never meet themselves."""
LARGEST_SEED = 9_999_999_999
MOST_SEEDS = 100_000

_RANGE = re.compile(r"\s*(\d{1,10})\s*\.\.\s*(\d{1,10})\s*")
_HALF_DAY = 43_200.0
EXPECTED = f"a whole number from 0 to {LARGEST_SEED}, a list of them, 1..4, or {{count: 4}}"


def derive(text: str, try_number: int, night: str = "") -> int:
    """The seed of try `try_number` (from 1) of the prompt `text`: two tries of one prompt never share a seed.

    `night` is the date that a renewed seed belongs to, else empty.
    """
    digest = hashlib.sha256(f"{night}\n{text}".encode()).digest()
    first = int.from_bytes(digest[:8], "big")
    step = 1 + int.from_bytes(digest[8:16], "big") % (MODULUS - 1)
    return (first + (try_number - 1) * step) % MODULUS


def tries(seeds: Seeds) -> int:
    """How many tries each prompt has."""
    return seeds.count if seeds.fixed is None else len(seeds.fixed)


def seed_of(seeds: Seeds, text: str, try_number: int, night: str = "") -> int:
    """The seed of one try: the one written, or the derived one."""
    if seeds.fixed is not None:
        return seeds.fixed[try_number - 1]
    return derive(text, try_number, night_for(seeds.renew, night))


def night_for(renew: Renew, night: str) -> str:
    """What of `night` counts for seeds that are renewed so: nothing, the date, or its week's Monday."""
    if renew == "never" or not night:
        return ""
    if renew == "daily":
        return night
    date = datetime.date.fromisoformat(night)
    return (date - datetime.timedelta(days=date.weekday())).isoformat()


def job_renew(job: Job) -> Renew:
    """How often any seed of the job is renewed: the finest of the job's and the rows'."""
    found = {job.seeds.renew, *(row.seeds.renew for row in job.rows if row.seeds is not None)}
    return "daily" if "daily" in found else "weekly" if "weekly" in found else "never"


def night_of(now: float, renew: Renew, utc_offset_s: float) -> str:
    """The date `YYYY-MM-DD` of the night that `now` (UTC seconds since the epoch) is in; empty when nothing is renewed.

    A night runs from noon to noon local time and has the date of its evening; a week has the date of its Monday night.
    """
    local = datetime.datetime.fromtimestamp(now + utc_offset_s - _HALF_DAY, tz=datetime.UTC)
    return night_for(renew, local.date().isoformat())


def named_night(text: str, renew: Renew) -> str:
    """The night that the user names with `--night`. Raises UsageError for what is no date."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        date = datetime.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--night {text} is not a date", "write it as --night 2026-03-24") from None
    return night_for(renew, date.isoformat())


def parse_seeds(value: Any) -> Seeds:
    """What `seeds:` or a row's `seed:` says. Raises ValueError with what was expected."""
    if isinstance(value, dict):
        return _counted(value)
    if value == -1 and not isinstance(value, bool):
        return Seeds()
    numbers = list(itertools.islice(_numbers(value), MOST_SEEDS + 1))
    if not numbers:
        raise ValueError("at least one seed")
    if len(numbers) > MOST_SEEDS:
        raise ValueError(f"at most {MOST_SEEDS} seeds")
    return Seeds(fixed=tuple(dict.fromkeys(numbers)))


def parse_seeds_text(text: str) -> Seeds:
    """The same for a cell or a `--set`: `7`, `-1`, `1..4`, `1|2`."""
    if text.count("|") >= MOST_SEEDS:
        raise ValueError(f"at most {MOST_SEEDS} seeds")
    parts = [part.strip() for part in text.split("|")]
    values: list[Any] = [int(part) if re.fullmatch(r"[-+]?\d{1,20}", part) else part for part in parts]
    return parse_seeds(values[0] if len(values) == 1 else values)


def _counted(value: dict[str, Any]) -> Seeds:
    unknown = [key for key in value if key not in {"count", "renew"}]
    if unknown:
        raise ValueError(f"{{count: 4}} or {{count: 4, renew: daily}}, and there is no `{unknown[0]}`")
    count, renew = value.get("count", 1), value.get("renew", "never")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_SEEDS:
        raise ValueError(f"`count` to be a whole number from 1 to {MOST_SEEDS}")
    if renew not in ("never", "daily", "weekly"):  # a tuple: what was written may be a list
        raise ValueError("`renew` to be one of never, daily, weekly")
    return Seeds(count=count, renew=renew)


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, str):
        found = _RANGE.fullmatch(value)
        if not found:
            raise ValueError(EXPECTED)
        first, last = int(found[1]), int(found[2])
        if first > last:
            raise ValueError(f"the smaller number first: {last}..{first}")
        if last - first >= MOST_SEEDS:
            raise ValueError(f"at most {MOST_SEEDS} seeds")
        yield from range(first, last + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item if isinstance(item, int | str) else None)
    elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
        raise ValueError(EXPECTED)
    else:
        yield value
