"""The part of a job file that is for runs that nobody watches: what is written down.

It owns its shape; what it means is decided where it is used.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from batchgen.spec.job import Log


class LogItem(BaseModel):
    """The log that each run leaves in `runs/`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["plain", "json"] = Field(default="plain", description="Lines for people, or JSON lines.")
    keep: int = Field(default=60, ge=1, le=100_000, description="Logs kept at most.")
    days: int = Field(default=400, ge=0, le=100_000, description="Days a log is kept at most; 0 is no bound.")


def log_of(item: LogItem) -> Log:
    """The values of `log:`."""
    return Log(format=item.format, keep=item.keep, days=item.days)
