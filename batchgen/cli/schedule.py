"""`batchgen schedule`: a systemd service and timer, or a crontab line, for a run that nobody starts by hand."""

import dataclasses
import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.environment import Environment, key_for
from batchgen.cli.jobs import jobs_argument, open_job, seconds_until
from batchgen.cli.messages import say
from batchgen.errors import Exit, UsageError
from batchgen.spec.job import Job

if TYPE_CHECKING:
    from batchgen.views.timetable import Timetable

_ZONE_FILE = Path("/etc/localtime")
_PASSED_ON = ("SSL_CERT_FILE",)
"""Variables that a run reads from its process alone and that are no secret."""


@click.command(
    "schedule",
    epilog="""\b
Examples:
  batchgen schedule jobs/demo.yaml --at 02:00
  batchgen schedule jobs/a.yaml jobs/b.yaml --at 23:30 --days mon-fri --deadline 06:30
  batchgen schedule jobs/demo.yaml --at 02:00 --cron
""",
)
@jobs_argument
@click.option("--at", required=True, metavar="TIME", help="When it starts, in the time of this machine, such as 02:00.")
@click.option(
    "--days", default="daily", metavar="DAYS", help="mon-fri, mon,wed,fri, sat-sun or daily; default is daily."
)
@click.option("--deadline", metavar="TIME", help="As in `batchgen run`: a length (4h) or a time of day (06:30).")
@click.option(
    "--systemd/--cron", "systemd", default=True, help="A service and its timer (the default), or a crontab line."
)
@click.option(
    "--part", type=click.Choice(["service", "timer"]), help="systemd: only one of the two, ready to become a file."
)
def command(jobs: tuple[Path, ...], part: str | None, **flags: Any) -> int:
    """Print what starts these jobs every night: a systemd service and timer of yours, or a crontab line.

    The jobs run one after another. Nothing is installed or changed; where the text goes, and what to type, is said on
    stderr.
    """
    from batchgen.views.timetable import crontab, service, timer

    if part and not flags["systemd"]:
        raise UsageError("--part is about systemd's two files, and a crontab has one line", "leave it out")
    opened = [(path, *_opened(path)) for path in jobs]
    table = _timetable(opened, flags)
    if not flags["systemd"]:
        text = crontab(table)
    else:
        files = {"service": service(table), "timer": timer(table)}
        place = _shown(_units(opened[0][2]))
        both = "\n".join(f"# {place}/{table.unit}.{kind}\n{content}" for kind, content in files.items())
        text = files[part] if part else both
    # As it stands: what cannot be shown was refused, and nothing of a path may be lost here.
    click.echo(text, nl=False)
    if not part:
        steps = _systemd_steps(table, opened, flags) if flags["systemd"] else _cron_steps(table, opened)
        say("\n".join(["", *_notes(table, opened, flags), "", *steps]))
    return Exit.DONE


_Opened = tuple[Path, Job, Environment]


def _opened(path: Path) -> tuple[Job, Environment]:
    """The job, checked, and a key that is here already checked as well: a night that must fail is not planned."""
    job, environment = open_job(path)
    if job.key_env is not None and environment.values.get(job.key_env):
        in_file = job.key_env in environment.file
        # At night nothing is exported: a key in `.env` is the one that counts.
        key_for(job, dataclasses.replace(environment, process=_without(environment, job.key_env if in_file else "")))
    return job, environment


def _without(environment: Environment, name: str) -> dict[str, str]:
    return {each: value for each, value in environment.process.items() if each != name}


def _timetable(opened: Sequence[_Opened], flags: dict[str, Any]) -> "Timetable":
    from batchgen.engine.context import DEFAULT_TIMEOUT_S
    from batchgen.views.timetable import Timetable, parse_at, parse_days, unit_name

    names = [job.name for _, job, _ in opened]
    unit = unit_name(names)
    wanted = _wanted(opened, is_cron=not flags["systemd"])
    hour, minute = parse_at(flags["at"])
    environment = opened[0][2]
    return Timetable(
        unit=unit,
        title=", ".join(names),
        command=_command(opened, flags["deadline"]),
        hour=hour,
        minute=minute,
        days=parse_days(flags["days"]),
        zone=_zone()[0],
        runs_command=any(each.to == "command" for _, job, _ in opened for each in job.notify),
        longest_call_s=max(
            use.limits.timeout_s or job.limits.timeout_s or DEFAULT_TIMEOUT_S
            for _, job, _ in opened
            for use in job.models
        ),
        variables={name: environment.process[name] for name in _PASSED_ON if environment.process.get(name)},
        wanted=wanted,
        env_file=_config(environment) / "batchgen" / f"{unit}.env" if wanted and flags["systemd"] else None,
    )


def _command(opened: Sequence[_Opened], deadline: str | None) -> tuple[str, ...]:
    """What runs the jobs, by absolute paths: nothing is searched for at night."""
    if deadline is not None:
        seconds_until(deadline)
    beside = Path(sys.executable).with_name("batchgen")
    program = [str(beside)] if os.access(beside, os.X_OK) else [sys.executable, "-m", "batchgen"]
    options = ["run", "--quiet", "--yes", "--if-locked", "skip", *(["--deadline", deadline] if deadline else [])]
    return (*program, *options, *(os.path.abspath(path) for path, _, _ in opened))  # noqa: PTH100  # `..` goes, links stay


def _wanted(opened: Sequence[_Opened], *, is_cron: bool) -> tuple[str, ...]:
    """Variables that these jobs read, and that will not be there unless somebody writes them down.

    Raises UsageError where one file of variables would give a job the key of another one.
    """
    wanted: dict[str, None] = {}
    for path, job, environment in opened:
        address = job.provider.base_url_env
        told = [name for each in job.notify if each.to != "apprise" for name in (each.url_env, each.secret_env) if name]
        exported = [address] if address and environment.process.get(address) else []
        missing = [name for name in (job.key_env, *exported, *told) if name and name not in environment.file]
        missing += [] if is_cron else _from_process_alone(job)
        if missing and is_cron and path.is_dir():
            raise UsageError(
                f"{missing[0]} would be missing: cron starts with no variables, and none are read beside an output folder",
                "name the job file instead, and write them into a `.env` beside it",
            )
        wanted |= dict.fromkeys(missing)
    for path, job, environment in opened:
        if job.key_env in wanted and job.key_env in environment.file and not is_cron:
            raise UsageError(
                f"{path} has its {job.key_env} in {environment.path}, and another of these jobs has no such file",
                "write a `.env` beside that one, too, or schedule them one by one",
            )
    return tuple(wanted)


def _from_process_alone(job: Job) -> list[str]:
    """Variables that hold a command or an address of apprise's: a `.env` does not count for them."""
    return [
        name
        for each in job.notify
        if each.to in {"command", "apprise"}
        for name in (each.command_env or each.url_env,)
        if name
    ]


def _zone() -> tuple[str, datetime.tzinfo]:
    """The time zone that timers and cron go by, which is the machine's and not that of this shell."""
    import zoneinfo

    try:
        with _ZONE_FILE.open("rb") as file:
            zone = zoneinfo.ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return "UTC", datetime.UTC
    name = str(_ZONE_FILE.resolve()).partition("zoneinfo/")[2].removeprefix("Etc/")
    return name or datetime.datetime.now(zone).tzname() or "as /etc/localtime says", zone


def _config(environment: Environment) -> Path:
    named = environment.process.get("XDG_CONFIG_HOME", "")
    return Path(named) if named.startswith("/") else Path.home() / ".config"


def _units(environment: Environment) -> Path:
    return _config(environment) / "systemd" / "user"


def _shown(path: Path) -> str:
    """A path as it is typed: short where it is in the home folder; a quoted `~` would be a name."""
    text, home = str(path), f"{Path.home()}/"
    short = text.removeprefix(home)
    return f"~/{short}" if short != text and shlex.quote(short) == short else shlex.quote(text)


def _notes(table: "Timetable", opened: Sequence[_Opened], flags: dict[str, Any]) -> list[str]:
    """What one should know before relying on it."""
    lines = [f"{path}: {warning}" for path, job, _ in opened for warning in job.warnings]
    lines += [
        f"warning: {path} has no budget, and at night nobody is asked; write for example `budget: {{cost: 20, per: month}}` in it"
        for path, job, _ in opened
        if not job.budgets and not job.provider.play_money
    ]
    return lines + _notes_about_time(table, opened, flags)


def _notes_about_time(table: "Timetable", opened: Sequence[_Opened], flags: dict[str, Any]) -> list[str]:
    from batchgen.spec.seeds import job_renew
    from batchgen.views.timetable import days_in_words, days_without, evenings

    name, zone = _zone()
    at = f"{table.hour:02}:{table.minute:02}"
    lines = [f"time: {days_in_words(table.days)} at {at} in the time zone of this machine, {name}"]
    shell_zone = opened[0][2].process.get("TZ", "")
    if shell_zone and shell_zone.removeprefix("Etc/") != name:
        lines.append(f"  this shell has another one (TZ={shell_zone}), and that does not count at night")
    odd = days_without(table.hour, table.minute, zone, datetime.datetime.now(zone).date())
    if odd:
        where = " and ".join(day.isoformat() for day in odd)
        skipped = "a timer skips a time that does not exist" if flags["systemd"] else "crons differ in what they do"
        lines.append(f"  clocks change over {at} on {where}: {skipped}; another hour avoids that")
    renewed = any(job.output.of_nights or job_renew(job) != "never" for _, job, _ in opened)
    if table.hour < 12 and (renewed or len(table.days) < 7):
        whose = days_in_words(evenings(table.days)) if len(table.days) < 7 else "the day before"
        lines.append(f"  a night begins at noon: a run at {at} belongs to the night of {whose}")
    if flags["systemd"] and flags["deadline"] and ":" in flags["deadline"]:
        lines.append(
            f"  a night that is made up for later in the day ends at the next {flags['deadline']}, up to a day later; "
            "a length, such as --deadline 4h, bounds that, too"
        )
    return lines


def _systemd_steps(table: "Timetable", opened: Sequence[_Opened], flags: dict[str, Any]) -> list[str]:
    units = _units(opened[0][2])
    again = ["batchgen", "schedule", *(str(path) for path, _, _ in opened), "--at", flags["at"]]
    again += ["--days", flags["days"]] if flags["days"] != "daily" else []
    again += ["--deadline", flags["deadline"]] if flags["deadline"] else []
    lines = ["Nothing was installed. To do that:", f"  mkdir -p {_shown(units)}"]
    lines += [
        f"  {shlex.join([*again, '--part', kind])} > {_shown(units / f'{table.unit}.{kind}')}"
        for kind in ("service", "timer")
    ]
    if table.env_file is not None:
        file = _shown(table.env_file)
        lines += [
            f"  mkdir -p {_shown(table.env_file.parent)}",
            f"  touch {file}",
            f"  chmod 600 {file}",
            f"  and write into it, each on a line as NAME=value: {', '.join(table.wanted)}",
        ]
    return [
        *lines,
        "  systemctl --user daemon-reload",
        f"  systemctl --user enable --now {table.unit}.timer",
        "  loginctl enable-linger          (it runs while you are not logged in, too)",
        "Later:",
        f"  systemctl --user list-timers {table.unit}.timer",
        f"  systemctl --user start {table.unit}.service          (now, to try it)",
        f"  journalctl --user -u {table.unit}.service",
    ]


def _cron_steps(table: "Timetable", opened: Sequence[_Opened]) -> list[str]:
    lines = ["Nothing was installed. To do that:", "  crontab -e          (and put the lines at its end)"]
    for path, job, environment in opened:
        missing = [name for name in table.wanted if name not in environment.file]
        here = [name for name in (job.key_env,) if name in environment.file]
        if missing:
            file = _shown(environment.path.absolute())
            lines.append(f"Cron starts with no variables. {', '.join(missing)}, for {path}:")
            lines += [f"  touch {file}", f"  chmod 600 {file}", "  and write into it, each on a line as NAME=value"]
        elif here:
            lines.append(f"{here[0]} for {path} is read from {_shown(environment.path.absolute())}")
        lines += [
            f"{name} has to stand in the crontab, too, on a line above: {name}=…" for name in _from_process_alone(job)
        ]
    return lines
