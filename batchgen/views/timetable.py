"""A nightly run as text: a systemd service and its timer, or a crontab line, with every path quoted for who reads it.

It owns times of day, days of the week, both quotings and the days on which clocks change. It refuses to read a clock, a
file or the environment, and to put anything in its place.
"""

import datetime
import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchgen.errors import UsageError
from batchgen.outside import clean, printable

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_WORDS = {word: number for number, day in enumerate(_DAYS) for word in (day, day[:3])}
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_EVERY_DAY = tuple(range(7))
_DOWNLOADS_S = 120
_CRON_COMMAND_AT_MOST = 990
"""Bytes; several crons refuse or cut a command of a thousand."""
_NOT_IN_UNIT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Timetable:
    """What is run when. `command` is what a shell would start, with absolute paths."""

    unit: str
    """The name of service and timer, without ending."""
    title: str
    command: tuple[str, ...]
    hour: int
    minute: int
    days: tuple[int, ...]
    """Monday is 0; never empty, in order."""
    zone: str
    """The time zone of the machine, for people."""
    longest_call_s: float
    """How long one paid call may take."""
    variables: Mapping[str, str]
    """Of the environment, such as the file of trusted certificates; nothing secret."""
    wanted: tuple[str, ...] = ()
    """Names of variables that are in no `.env` beside the job."""
    env_file: Path | None = None
    """Where a service finds those; None where none is needed."""
    runs_command: bool = False
    """Whether somebody is told by a command of the user's."""


def parse_at(text: str) -> tuple[int, int]:
    """Hour and minute of `02:00` or `2:00`. Raises UsageError."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--at {clean(text)} is no time of day", "write it as --at 02:00, from 00:00 to 23:59")
    return int(found[1]), int(found[2])


def parse_days(text: str) -> tuple[int, ...]:
    """The days of `mon-fri`, `mon,wed,fri`, `fri-mon` or `daily`, in order from Monday, which is 0. Raises UsageError."""
    if text.strip().lower() == "daily":
        return _EVERY_DAY
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start = _day(first, text)
        end = _day(last, text) if dash else start
        days |= {(start + step) % 7 for step in range((end - start) % 7 + 1)}
    return tuple(sorted(days))


def _day(word: str, whole: str) -> int:
    number = _DAY_WORDS.get(word.strip().lower())
    if number is None:
        near = difflib.get_close_matches(word.strip().lower(), [*_DAY_WORDS, "daily"], n=1)
        wrong = f"{clean(word)!r} is no day" if word.strip() else "a day is missing"
        raise UsageError(
            f"--days {clean(whole)}: {wrong}" + (f"; did you mean {near[0]}?" if near else ""),
            "write mon-fri, mon,wed,fri, sat-sun or daily",
        )
    return number


def days_in_words(days: Sequence[int]) -> str:
    """`every day`, `Monday to Friday`, `Sunday to Thursday`, or the days one by one."""
    if len(days) == 7:
        return "every day"
    row = next((tuple(days[at:]) + tuple(days[:at]) for at, day in enumerate(days) if (day - 1) % 7 not in days), ())
    names = [_DAYS[day].capitalize() for day in row]
    return f"{names[0]} to {names[-1]}" if len(row) > 2 and (row[-1] - row[0]) % 7 == len(row) - 1 else ", ".join(names)


def evenings(days: Sequence[int]) -> tuple[int, ...]:
    """The days on whose evening the nights begin that a run in the small hours of `days` belongs to."""
    return tuple(sorted((day - 1) % 7 for day in days))


def _is_row(days: Sequence[int]) -> bool:
    return len(days) > 2 and days[-1] - days[0] == len(days) - 1


def unit_name(jobs: Sequence[str]) -> str:
    """A unit's name for these jobs' names: ASCII, and nothing that systemd would read as more than a name."""
    from batchgen.spec.names import clean_part

    name = _NOT_IN_UNIT_NAME.sub("-", clean_part(jobs[0], ascii=True)).strip("-")
    more = f"-and-{len(jobs) - 1}-more" if len(jobs) > 1 else ""
    return f"batchgen-{name or 'job'}{more}"


def days_without(hour: int, minute: int, zone: datetime.tzinfo, first: datetime.date) -> list[datetime.date]:
    """The days of the year from `first` on which clocks jump over this time of day, or show it twice."""
    found = []
    for step in range(366):
        day = first + datetime.timedelta(days=step)
        at = datetime.datetime.combine(day, datetime.time(hour, minute), zone)
        if at.utcoffset() != at.replace(fold=1).utcoffset():
            found.append(day)
    return found


def service(table: Timetable) -> str:
    """The service, ending in a line break. Raises UsageError for a path that cannot stand in one."""
    words = [_unit_word(word, is_program=number == 0) for number, word in enumerate(table.command)]
    lines = [
        "[Unit]",
        f"Description=batchgen: {_description(table.title)}",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join(words)}",
        *(f"Environment={_unit_word(f'{name}={value}', dollar=False)}" for name, value in table.variables.items()),
    ]
    if table.env_file is not None:
        lines += [
            "",
            f"# Lines NAME=value for {', '.join(map(clean, table.wanted))}; chmod 600.",
            f"EnvironmentFile={_plain(str(table.env_file)).replace('%', '%%')}",
        ]
    lines += [
        "",
        "# A stop begins nothing new and waits for the calls in flight, which are paid",
        f"# for: {table.longest_call_s:g} s is the longest call, {_DOWNLOADS_S} s are for downloads.",
        "KillSignal=SIGINT",
        "KillMode=mixed",
        f"TimeoutStopSec={round(table.longest_call_s + 0.5) + _DOWNLOADS_S}",
        "# Stopped when asked to is no failure. Every other exit code but 0 is one.",
        "SuccessExitStatus=130",
        "",
        "# What a unit of a user may give up everywhere. ProtectSystem and the like need",
        "# user namespaces, and where those are forbidden the unit would not start.",
        *(["# A command of `notify` runs under this, too: take out what it cannot live with."] * table.runs_command),
        *_HARDENING,
    ]
    return "\n".join(lines) + "\n"


_HARDENING = (
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "# The memory of a crashed run would hold the key.",
    "LimitCORE=0",
)


def timer(table: Timetable) -> str:
    """The timer of the service of the same name, ending in a line break."""
    names = [_DAYS[day][:3].capitalize() for day in table.days]
    days = f"{names[0]}..{names[-1]}" if _is_row(table.days) else ",".join(names)
    calendar = "" if len(table.days) == 7 else f"{days} "
    lines = [
        "[Unit]",
        f"Description=batchgen: {_description(table.title)}, {_when(table)}",
        "",
        "[Timer]",
        f"# In the time zone of this machine: {clean(table.zone)}.",
        f"OnCalendar={calendar}*-*-* {table.hour:02}:{table.minute:02}:00",
        "# A run that was missed, since the machine was off, is made up for later.",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def crontab(table: Timetable) -> str:
    """The crontab line with its comments, ending in a line break. Raises UsageError for a path that cannot stand in one."""
    days = "*" if len(table.days) == 7 else _cron_days(table.days)
    given = [f"{name}={_cron_word(value)}" for name, value in table.variables.items()]
    command = " ".join([*given, *map(_cron_word, table.command)])
    if len(command.encode()) > _CRON_COMMAND_AT_MOST:
        raise UsageError(
            f"the crontab line would be {len(command.encode()):,} bytes, and crons cut it at a thousand",
            "name fewer jobs in one line, or take --systemd",
        )
    lines = [
        f"# batchgen: {clean(table.title)}, {_when(table)}",
        f"# in the time zone of this machine: {clean(table.zone)}.",
        "# Cron does not catch up: a night in which the machine is off is missed. (A",
        "# systemd timer would make up for it.) Cron mails what is printed, and that is",
        "# nothing unless something went wrong; a line MAILTO=you@example.com above this",
        "# one says to whom. Each run leaves a log in runs/ in its output folder. The",
        "# line is for SHELL=/bin/sh, which cron takes by itself.",
        f"{table.minute} {table.hour} * * {days} {command}",
    ]
    return "\n".join(lines) + "\n"


def _cron_days(days: Sequence[int]) -> str:
    """Numbers, since not every cron takes names in lists; Sunday is 0 everywhere, 7 only in most."""
    if _is_row(days) and 6 not in days:
        return f"{days[0] + 1}-{days[-1] + 1}"
    return ",".join(str(number) for number in sorted((day + 1) % 7 for day in days))


def _when(table: Timetable) -> str:
    return f"{days_in_words(table.days)} at {table.hour:02}:{table.minute:02}"


def _description(title: str) -> str:
    # A backslash at the end of a line would take the next line into this one.
    return clean(title).replace("%", "%%").replace("\\", "/")


def _plain(text: str) -> str:
    """`text`, unless no line can hold it or nobody would see what it says."""
    if printable(text) != text:
        raise UsageError(
            f"{clean(text)!r}: this path holds characters that nobody sees, or that end a line",
            "rename the folder or the file",
        )
    return text


def _unit_word(word: str, *, is_program: bool = False, dollar: bool = True) -> str:
    """One word of a unit's line. `$` names a variable only in what follows the program, `%` everywhere."""
    text = _plain(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if dollar and not is_program:
        text = text.replace("$", "$$")
    return text if re.fullmatch(r"[\w@%$+=:,./-]+", text) else f'"{text}"'


def _cron_word(word: str) -> str:
    """One word for a shell that cron starts: there `%` ends the command."""
    if "\\" in word:
        raise UsageError(
            f"{clean(word)}: crons do not agree about a backslash in a command",
            "rename the folder or the file, or take --systemd",
        )
    return shlex.quote(_plain(word)).replace("%", "\\%")
