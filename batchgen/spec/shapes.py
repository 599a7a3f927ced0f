"""Whether plain values out of JSON have the types that a program expects of them, however deep.

For what a ledger keeps: this program wrote it, or a stranger did. It refuses to repair anything, and to say what is wrong.
"""

import math
from typing import Any

DEEPEST = 60
"""Lists and objects in one another, somewhat more than a job file may have: functions that call themselves walk them."""


class Anything:
    """Any JSON value that is no deeper than `DEEPEST` and holds no infinity."""


class Each:
    """An object of any keys whose values all have one shape."""

    __slots__ = ("shape",)

    def __init__(self, shape: Any) -> None:
        self.shape = shape


def fits(value: Any, shape: Any, depth: int = DEEPEST) -> bool:
    """Whether `value` has a shape: a type, None, a list of one shape, a dict of shapes by key, or a tuple of choices.

    A key that the dict does not name fits nothing; one that is missing is left to whoever needs it. An int is a float too.
    """
    if depth < 0:
        return False
    if isinstance(shape, tuple):
        return any(fits(value, choice, depth) for choice in shape)
    if isinstance(shape, list):
        return type(value) is list and all(fits(item, shape[0], depth - 1) for item in value)
    if isinstance(shape, dict):
        return type(value) is dict and all(
            key in shape and fits(item, shape[key], depth - 1) for key, item in value.items()
        )
    if isinstance(shape, Each):
        return type(value) is dict and all(fits(item, shape.shape, depth - 1) for item in value.values())
    if shape is Anything:
        return _is_plain(value, depth)
    if shape is float:
        return type(value) in {int, float} and math.isfinite(value)
    return value is None if shape is None else type(value) is shape


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value.values())
    return not isinstance(value, float) or math.isfinite(value)
