"""Which models, rows and tasks a word of the user means: `model:` of a row, `exclude:`, `--only`.

It owns ids, labels and patterns with `*`. It refuses to expand anything.
"""

import fnmatch
from collections.abc import Collection, Mapping, Sequence

from batchgen.errors import UsageError
from batchgen.spec.job import Job, ModelUse, Row
from batchgen.spec.wording import harmless, listed, nearest

TASK_WORDS = ("model", "row", "prompt_id", "seed", "try")
"""What `exclude:` and `--only` may name besides variables and columns."""


_WILD = frozenset("*?[")


def fits(value: str, pattern: str) -> bool:
    """Whether `value` is `pattern`, or matches it as a pattern with `*`, `?` or `[…]`."""
    return value == pattern or (is_wild(pattern) and fnmatch.fnmatchcase(value, pattern))


def is_wild(pattern: str) -> bool:
    """Whether a pattern can mean more than the one word that it spells."""
    return not _WILD.isdisjoint(pattern)


def fits_any(values: Collection[str], pattern: str) -> bool:
    """Whether a pattern means one of `values`."""
    return pattern in values or (is_wild(pattern) and any(fits(value, pattern) for value in values))


def fits_model(use: ModelUse, pattern: str) -> bool:
    """Whether a pattern means a model, by id or by label."""
    return fits(use.model.id, pattern) or fits(use.label, pattern)


def uses_for(row: Row, uses: Sequence[ModelUse]) -> tuple[ModelUse, ...]:
    """The models that a row is for, in the job's order."""
    if row.models is None:
        return tuple(uses)
    return tuple(use for use in uses if any(fits_model(use, pattern) for pattern in row.models))


def columns_of(job: Job) -> frozenset[str]:
    """Every column of every prompt file that is a variable of its rows."""
    return frozenset(name for row in job.rows for name in row.columns)


def check_only(job: Job, only: Mapping[str, str]) -> dict[str, str]:
    """`--only` with its keys in lower case. Raises UsageError for a key or value that the job does not have."""
    checked = {}
    known = [*TASK_WORDS, *job.variables, *sorted(columns_of(job))]
    for written, value in only.items():
        key = written.lower()
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {near}?" if near else f"known are: {listed(known)}"
            raise UsageError(harmless(f"--only {written}={value}: the job has no {written}"), harmless(hint))
        names = _values(job, key)
        if names is not None and not any(fits(name, value) for name in names):
            near = nearest(value, names)
            hint = f"did you mean {near}?" if near else f"known are: {listed(names)}"
            raise UsageError(harmless(f"--only {written}={value} matches nothing in the job"), harmless(hint))
        checked[key] = value
    return checked


def _values(job: Job, key: str) -> list[str] | None:
    """What a key may be, where the job names it; None where only the tasks know."""
    if key == "model":
        return list(dict.fromkeys(name for use in job.models for name in (use.label, use.model.id)))
    if key == "row":
        return [row.id for row in job.rows]
    if key in job.variables and not any(key in row.columns for row in job.rows):
        return list(job.variables[key])
    return None
