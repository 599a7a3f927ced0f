"""Values that a job file may hold in several spellings: scalars, lengths of time, seeds; and the same as JSON Schema.

It owns which spellings there are. What they amount to is `durations.py`'s and `seeds.py`'s.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from batchgen.spec.seeds import LARGEST_SEED, MOST_SEEDS


def _scalar(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    raise PydanticCustomError("string_type", "text")


def _duration(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise PydanticCustomError("duration", "a time such as 300 (seconds), 90s, 30m or 6h")


Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
_LENGTH = r"^ *(?=.*[1-9])([0-9][0-9 ]*(\.[0-9 ]*[0-9][0-9 ]*)?[smhd] *)+$"
_ANY_SECONDS = {"type": "number", "exclusiveMinimum": 0}
_SECONDS = {**_ANY_SECONDS, "maximum": 366 * 86_400}
Duration = Annotated[
    Any,
    BeforeValidator(_duration),
    WithJsonSchema({"anyOf": [_SECONDS, {"type": "string", "pattern": _LENGTH}]}),
]
_TIME_OF_DAY = r"^\s*([01]?[0-9]|2[0-3]):[0-5][0-9]\s*$"
Deadline = Annotated[
    Any,
    BeforeValidator(_duration),
    WithJsonSchema({"anyOf": [_ANY_SECONDS, {"type": "string", "pattern": f"{_LENGTH}|{_TIME_OF_DAY}"}]}),
]
_SEED_RANGE = {"type": "string", "pattern": r"^\s*[0-9]{1,10}\s*\.\.\s*[0-9]{1,10}\s*$"}
SeedsItem = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -1, "maximum": LARGEST_SEED},
                _SEED_RANGE,
                {
                    "type": "array",
                    "items": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": LARGEST_SEED}, _SEED_RANGE]},
                    "minItems": 1,
                    "maxItems": MOST_SEEDS,
                },
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "count": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST_SEEDS,
                            "description": "Tries of each prompt with each model.",
                        },
                        "renew": {
                            "enum": ["never", "daily", "weekly"],
                            "description": "When the same prompts are made anew: daily is each night.",
                        },
                    },
                },
            ]
        }
    ),
]
