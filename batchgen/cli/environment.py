"""The one place that reads the environment: variables, and the `.env` file beside a job."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchgen.errors import CredentialsError, UsageError
from batchgen.spec.job import Job


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables for one job: the process's own win over those of the `.env` file."""

    values: Mapping[str, str]
    notes: tuple[str, ...]
    """Lines for the user: where values came from, and what is unsafe about it."""


def read_environment(job: Path) -> Environment:
    """The environment as a job in that place sees it. Raises UsageError for a `.env` that cannot be read."""
    folder = job if job.is_dir() else job.parent
    file = folder / ".env"
    if not file.is_file():
        return Environment(dict(os.environ), ())
    from dotenv import dotenv_values

    try:
        found = {name: value for name, value in dotenv_values(file).items() if value is not None}
        mode = file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not readable as text"
        raise UsageError(f"{file}: {str(reason).lower()}", "repair the file or take it away") from None
    used = sorted(name for name in found if name not in os.environ)
    notes = [f"using {', '.join(used)} from {file}"] if used else []
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        notes.append(f"warning: others can read {file}; `chmod 600 {file}` makes it yours alone")
    return Environment(found | dict(os.environ), tuple(notes))


def key_for(job: Job, environment: Mapping[str, str]) -> str | None:
    """The key for the job's provider, or None where none is needed. Raises CredentialsError when it is missing."""
    if job.key_env is None:
        return None
    key = environment.get(job.key_env, "").strip()
    if not key:
        raise CredentialsError(
            f"no key for {job.provider.title}: {job.key_env} is not set",
            f"`export {job.key_env}=…`, or write it into a `.env` file beside the job; "
            "`provider: sandbox` in the job needs no key",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialsError(
            f"the key in {job.key_env} has characters that no key has (a line break, a space, a quote?)",
            "copy it again, without anything around it",
        )
    return key
