"""What a run came to, in plain lines: what is there, what it cost, what is missing and what to type next.

The one place for the words of the end: the terminal's summary and the log take them from here. It refuses to read
ledgers and files: the engine's report goes in, text comes out, and outside text in it comes out clean.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.errors import Exit
from batchgen.outside import clean
from batchgen.views.tally import Wait
from batchgen.views.text import count, decimal, duration, money

_EXAMPLES = 5
_UNKNOWN_SHOWN = 10
_NIGHTS_SHOWN = 3
_ENDED: dict[int, str] = {
    Exit.DONE: "finished",
    Exit.TASKS_FAILED: "finished, but not everything could be made",
    Exit.HELD: "calls of unknown outcome wait for your decision",
}
"""What is said of a run that gives no reason of its own."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One way in which tasks of a job are not stored: `key` is its name in a report's counts."""

    key: str
    words: str
    verb: str
    """The verb and option that deal with it."""


ENDINGS = (
    Ending("unknown", "outcome unknown, maybe billed", "run --retry unknown"),
    Ending("failed", "refused, not billed", "run --retry failed"),
    Ending("expired", "link expired, paid for", "run --retry expired"),
    Ending("lost", "paid and lost", "run --retry lost"),
    Ending("waiting", "paid for, not yet downloaded", "recover"),
    Ending("pending", "not yet made", "run"),
)


def endings(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is missing, each as (`2 paid and lost`, the command that deals with it)."""
    counts = report.get("counts") or {}
    found = []
    for ending in ENDINGS:
        number = int(counts.get(ending.key) or 0)
        if number:
            words = f"{number} {ending.words}"
            held = int(counts.get("held") or 0) if ending.key == "unknown" else 0
            words += f" ({held} held for your decision)" if held else ""
            found.append((words, _command(ending.verb, report)))
    return found


def decisions(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other ways to deal with what is missing, as in `endings`."""
    if not int((report.get("counts") or {}).get("unknown") or 0):
        return []
    return [("  or close them as paid and lost", _command("run --drop unknown", report))]


def _command(verb: str, report: Mapping[str, Any]) -> str:
    """The command of that verb: as the engine wrote it, else for the output folder."""
    name, _, option = verb.partition(" ")
    for command in _next(report):
        if command.startswith(f"batchgen {name} ") and (option in command if option else " --" not in command):
            return command
    folder = shlex.quote(clean(report.get("folder", ""), 1000))
    return f"batchgen {name} {folder} {option}".rstrip()


def _next(report: Mapping[str, Any]) -> list[str]:
    return [clean(command, 1000) for command in report.get("next") or ()]


def headline(report: Mapping[str, Any]) -> str:
    """What happened in one line: `neon-city: finished; 310 of 312 done, 30 of them new, in 4 min`."""
    counts = report.get("counts") or {}
    done, tasks = int(counts.get("done") or 0), int(counts.get("tasks") or 0)
    new = int(counts.get("new_stored") or 0)
    parts = [f"{done} of {tasks} done"]
    if new:
        parts.append(f"{count(new, 'new picture')}")
    elif (report.get("this_run") or {}).get("calls") == 0:
        parts.append("nothing was sent")
    if report.get("duration_s") is not None:
        parts.append(f"in {duration(float(report['duration_s']))}")
    reason = clean(report.get("reason") or _ENDED.get(report.get("exit_code") or 0, "ended"), 300).rstrip(".")
    return f"{clean(report.get('job', ''), 80)}: {reason}; {', '.join(parts)}"


def status_line(status: Mapping[str, Any]) -> str:
    """How far a folder is in one line: `neon-city: 310 of 312 done; the last run: budget reached`."""
    counts = status.get("counts") or {}
    line = f"{clean(status.get('job', ''), 80)}: {int(counts.get('done') or 0)} of {int(counts.get('tasks') or 0)} done"
    reason = clean(status.get("reason") or "", 300).rstrip(".")
    return line + (f"; the last run: {reason}" if reason else "")


def money_line(report: Mapping[str, Any]) -> str:
    """What was spent, in this run and over the folder's life."""
    currency = clean(report.get("currency", ""), 8)
    sums = report.get("money") or {}
    run = report.get("this_run") or {}
    spent = money(sums.get("spent"), currency)
    line = f"{money(run.get('spent'), currency)} spent in this run, {spent} in all" if run else f"{spent} spent"
    line += _positive(sums.get("maybe_billed"), currency, "maybe billed")
    line += _positive(sums.get("reserved"), currency, "reserved")
    return line + (" (sandbox: nothing is billed)" if report.get("play_money") else "")


def month_line(report: Mapping[str, Any]) -> str:
    """What this month has cost so far and will if it goes on so; empty before that can be said."""
    projected = report.get("projected_month")
    if projected is None:
        return ""
    currency = clean(report.get("currency", ""), 8)
    scopes: Mapping[str, Mapping[str, Any]] = report.get("by_scope") or {}
    nothing: Mapping[str, Any] = {}
    so_far = next((sums for scope, sums in scopes.items() if scope.startswith("month:")), nothing)
    maybe = _positive(so_far.get("maybe_billed"), currency, "maybe billed")
    return f"{money(so_far.get('spent'), currency)} this month{maybe}, {money(projected, currency)} at this rate by its end"


def night_line(report: Mapping[str, Any]) -> str:
    """How many tasks of which nights were not bought, which later nights do not make up for; or the empty text."""
    nights: Sequence[Mapping[str, Any]] = report.get("not_bought") or ()
    if not nights:
        return ""
    shown = [f"{count(int(each['tasks']), 'task')} of {clean(each['night'], 10)}" for each in nights[:_NIGHTS_SHOWN]]
    more = f" and {len(nights) - len(shown)} earlier nights" if len(nights) > len(shown) else ""
    return f"not bought: {', '.join(shown)}{more}; later nights do not buy them, `--night DATE` does"


def _positive(value: Any, currency: str, words: str) -> str:
    return f", {money(value, currency)} {words}" if decimal(value) else ""


def flag_line(report: Mapping[str, Any]) -> str:
    """Pictures worth a look, or the empty text: `worth a look: 3 black pictures (the safety filter?), 1 duplicate (…)`."""
    flags = {clean(flag, 40): int(number) for flag, number in (report.get("flags") or {}).items() if number}
    return "worth a look: " + ", ".join(_flagged(flag, number) for flag, number in flags.items()) if flags else ""


_FLAGS = {
    "black": "black picture{s} (the safety filter?)",
    "blank": "blank picture{s} (one colour)",
    "duplicate": "duplicate{s} (the bytes of another picture)",
    "near-duplicate": "near-duplicate{s} (as if the seed did nothing)",
    "size": "of another size than asked",
    "format": "of another format than asked",
    "animated": "with several frames",
    "trailing": "with bytes after the picture's end",
    "short": "from answers with fewer pictures than asked",
}


def _flagged(flag: str, number: int) -> str:
    return f"{number} {_FLAGS.get(flag, flag).format(s='' if number == 1 else 's')}"


def failure_lines(report: Mapping[str, Any]) -> list[str]:
    """The failures, equal ones as one, at most five; each says what, how often, and one task that it happened to."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    failures: Sequence[Mapping[str, Any]] = report.get("failures") or ()
    for failure in failures:
        key = (clean(failure.get("kind", ""), 40), clean(failure.get("message", "")))
        groups.setdefault(key, []).append(failure)
    lines = []
    for (kind, message), members in list(groups.items())[:_EXAMPLES]:
        first = members[0]
        who = f"{clean(first.get('prompt_id', ''), 60)} ({clean(first.get('label', ''), 60)})"
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        request = clean(first.get("request_id") or "", 80)
        what = ": ".join(part for part in (kind.replace("_", " "), message) if part)
        lines.append(f"{who}{more}: {what}" + (f" [request {request}]" if request else ""))
    listed = sum(len(members) for members in list(groups.values())[:_EXAMPLES])
    counts = report.get("counts") or {}
    total = sum(int(counts.get(key) or 0) for key in ("failed", "unknown", "expired", "lost"))
    if listed and max(total, len(failures)) > listed:
        lines.append(f"all {max(total, len(failures))} are in failures.jsonl")
    return lines


def unknown_lines(status: Mapping[str, Any]) -> list[str]:
    """Each call of unknown outcome with what it may have cost, at most ten."""
    unknown: Sequence[Mapping[str, Any]] = status.get("unknown") or ()
    currency = clean(status.get("currency", ""), 8)
    lines = []
    for row in unknown[:_UNKNOWN_SHOWN]:
        cost = "at an unknown price" if decimal(row.get("cost")) is None else f"maybe {money(row['cost'], currency)}"
        who = f"{clean(row.get('prompt_id', ''), 60)} ({clean(row.get('label', ''), 60)})"
        lines.append(f"{who}: {cost}: {clean(row.get('message', ''))}")
    if len(unknown) > _UNKNOWN_SHOWN:
        lines.append(f"and {len(unknown) - _UNKNOWN_SHOWN} more; all are in failures.jsonl")
    return lines


def pool_lines(status: Mapping[str, Any], now: float) -> list[str]:
    """What each model of a run that is going on does: `flux.1-dev: rate limited, 14 at once, resuming 14:03:20`."""
    pools: Sequence[Mapping[str, Any]] = status.get("pools") or ()
    lines = []
    for pool in pools:
        label, in_flight, at_once = clean(pool.get("label", ""), 60), int(pool["in_flight"]), int(pool["at_once"])
        until = pool.get("until")
        if pool.get("state") == "working" or (until is not None and until <= now):
            lines.append(f"{label}: {count(in_flight, 'call')} in flight, up to {at_once} at once")
        else:
            stopped = pool.get("state") == "stopped"
            lines.append(Wait((label,), clean(pool.get("reason", "")), until, stopped, at_once).sentence(now))
    return lines


def spending_line(status: Mapping[str, Any]) -> str:
    """What was spent lately, by the provider's calendar: `spent today CNY 3.20, this week CNY 10.00, …`; or empty."""
    currency = clean(status.get("currency", ""), 8)
    parts: list[str] = []
    before: Mapping[str, Any] | None = None
    for scope, sums in (status.get("by_scope") or {}).items():
        words = {"day": "today", "week": "this week", "month": "this month"}.get(str(scope).partition(":")[0])
        if words and sums.get("calls") and sums != before:
            maybe = _positive(sums.get("maybe_billed"), currency, "maybe billed").replace(", ", " and ")
            parts.append(f"{words} {money(sums.get('spent'), currency)}{maybe}")
        before = sums
    return "spent " + ", ".join(parts) if parts else ""


def next_commands(report: Mapping[str, Any]) -> list[str]:
    """Commands to type next that `endings` does not name yet."""
    named = {command for _, command in [*endings(report), *decisions(report)]}
    return [command for command in _next(report) if command not in named]


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """The end of a run in plain text: what happened, what it cost, what is missing with its command, what to look at."""
    lines = [headline(report), f"  {money_line(report)}"]
    lines.extend(f"  {line}" for line in [month_line(report), night_line(report)] if line)
    missing = endings(report)
    width = max((len(words) for words, _ in missing), default=0)
    lines.extend(f"  {words.ljust(width)}  {command}" for words, command in missing)
    lines.extend(f"    {line}" for line in failure_lines(report))
    lines.extend(f"  {line}" for line in [flag_line(report)] if line)
    folder = clean(report.get("folder", ""), 1000)
    lines.append(f"  pictures are in {folder}")
    lines.extend(f"  next: {command}" for command in next_commands(report))
    return lines
