"""The news of a run in the few lines that fit into a chat or a mail, and the same for programs.

The first line begins `batchgen <job>`, the last one is the command to type. It refuses to send anything.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from batchgen.errors import BatchgenError
from batchgen.outside import clean
from batchgen.views.report import endings, flag_line, headline, money_line, month_line, next_commands, night_line


def started_text(job: str, named: str) -> str:
    """A run begins; `named` is the job file or folder as it is typed."""
    return f"batchgen {clean(job, 80)}: started\n{_status(named)}"


def ended_text(report: Mapping[str, Any], named: str, before: str = "") -> str:
    """How a run ended; `before` says how the one before it did, where that is news."""
    missing = endings(report)
    lines = [
        f"batchgen {headline(report)}",
        before,
        "; ".join(words for words, _ in missing),
        money_line(report),
        month_line(report),
        night_line(report),
        flag_line(report),
    ]
    command = next((command for _, command in missing), "") or next(iter(next_commands(report)), "") or _status(named)
    return "\n".join([*(line for line in lines if line), command])


def error_text(job: str, error: BatchgenError, named: str, before: str = "") -> str:
    """A run that did not begin, or was cut off by what broke; the step that helps stands before the command."""
    message = clean(error.message, 1000)
    lines = [f"batchgen {clean(job, 80)}: {message}", before, f"next: {clean(error.hint, 1000)}" if error.hint else ""]
    return "\n".join([*(line for line in lines if line), _status(named)])


def _status(named: str) -> str:
    return f"batchgen status {shlex.quote(clean(named, 1000))}"


def facts(
    job: str, exit_code: int | None, report: Mapping[str, Any] | None, error: BatchgenError | None
) -> dict[str, Any]:
    """What a program wants to know, in JSON's own types: a part of the report, where there is one."""
    kept = (
        "run_id",
        "folder",
        "started_at",
        "ended_at",
        "duration_s",
        "night",
        "counts",
        "currency",
        "this_run",
        "money",
    )
    found = {key: report[key] for key in kept if key in report} if report else {}
    reason = (report or {}).get("reason") or (clean(error.message, 1000) if error else "")
    return {"job": job, "exit_code": exit_code, "reason": reason, **found}
