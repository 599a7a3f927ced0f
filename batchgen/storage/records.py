"""What the ledger's JSON columns hold, read back: the description of a task, and the flags of a picture.

A ledger may come from a stranger, and SQLite takes any text: what no run writes is refused here, in words, before a page
or a table is made of it.
"""

import json
from typing import Any

from batchgen.errors import StorageError
from batchgen.spec.shapes import Anything, Each, fits

_RECORD = {
    **dict.fromkeys(("prompt_id", "row", "prompt", "provider", "model", "label", "night"), str),
    **dict.fromkeys(("seed", "try", "index"), int),
    "vars": Each(str),
    "params": Each(Anything),
    "extra_params": Each(Anything),
}
_NUMBER_AT_MOST = 2**63 - 1


def task_record(text: str) -> dict[str, Any]:
    """The description of a task: what was asked for. Raises StorageError for what no run writes.

    Keys that are there have their types; none is sure to be there, other than `prompt_id` and `params`.
    """
    record = _json(text)
    numbers = [record[key] for key in ("seed", "try", "index") if key in record] if type(record) is dict else []
    if not fits(record, _RECORD) or not {"prompt_id", "params"} <= record.keys():
        raise odd_ledger("the description of a task")
    if not all(abs(number) <= _NUMBER_AT_MOST for number in numbers):
        raise odd_ledger("the description of a task")
    found: dict[str, Any] = record
    return found


def flag_words(text: str) -> list[str]:
    """The flags of a picture. Raises StorageError for what no run writes."""
    flags = _json(text)
    if not fits(flags, [str]):
        raise odd_ledger("the flags of a picture")
    found: list[str] = flags
    return found


def odd_ledger(what: str) -> StorageError:
    """What is said of a ledger in which something stands as no run writes it."""
    return StorageError(
        f"the ledger holds {what} in a way that batchgen never writes",
        "keep the file and make a new ledger with `batchgen verify FOLDER --rebuild`",
    )


def _json(text: object) -> Any:
    try:
        return json.loads(text)  # type: ignore[arg-type]  # a column may hold anything
    except (ValueError, TypeError, RecursionError):
        return None
