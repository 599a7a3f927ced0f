"""`batchgen doctor`: this machine, the folder, the key and the provider, looked at before anything costs.

Each finding says what is so, and what to do where it should be otherwise. It changes nothing, makes no folder, and never
makes a paid call; a key is shown by its ends alone.
"""

import asyncio
import os
import shlex
import shutil
import sqlite3
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from batchgen.cli.completion import jobs_and_folders
from batchgen.cli.environment import Environment, check_authorities, key_for, read_environment
from batchgen.cli.jobs import check_connection, open_job
from batchgen.cli.messages import say
from batchgen.errors import BatchgenError, Exit, UsageError
from batchgen.outside import clean, json_text

if TYPE_CHECKING:
    from batchgen.api.call import Answer
    from batchgen.spec.job import Job

_ANSWER_S = 10.0
_SKEW_S = 60.0
"""Between this clock and the provider's: links and nights are counted by this one."""
_SAMPLES = (("Latin letters", "a", "fonts-dejavu-core"), ("Chinese and Japanese", "画", "fonts-noto-cjk"))
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_SHOWN = {"ok": "ok", "warn": "look", "bad": "BAD"}
_STYLES = {"ok": "", "warn": "yellow", "bad": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `exit_code` is what a run would end with because of it."""

    state: Literal["ok", "warn", "bad"]
    about: str
    said: str
    next: str = ""
    exit_code: int = 0


@click.command(
    "doctor",
    epilog="""\b
Examples:
  batchgen doctor
  batchgen doctor jobs/first.yaml
  batchgen doctor jobs/nightly.yaml --offline
""",
)
@click.argument("job", required=False, type=click.Path(path_type=Path), shell_complete=jobs_and_folders)
@click.option("--offline", is_flag=True, default=False, help="Ask no server.")
@click.option("--json", "as_json", is_flag=True, default=False, help="The same as one JSON object on stdout.")
def command(job: Path | None, offline: bool, as_json: bool) -> int:
    """Look at what a run of JOB needs: this machine, its folder, the key, the provider. Nothing is changed or bought.

    Without JOB it looks at ModelVerse and the key in the environment.
    """
    findings = []
    for finding in _findings(job, offline=offline):
        findings.append(finding)
        if not as_json:
            _show(finding)
    code = next((finding.exit_code for finding in findings if finding.state == "bad"), 0)
    if as_json:
        checks = [{key: value for key, value in asdict(each).items() if value or key != "next"} for each in findings]
        click.echo(json_text({"schema": "doctor/1", "exit_code": code, "checks": checks}, indent=2))
    else:
        _sum_up(findings)
    return code


def _findings(path: Path | None, *, offline: bool) -> Iterator[Finding]:
    yield from _machine()
    try:
        job, environment = _job(path)
    except BatchgenError as error:
        yield _bad("job", error)
        return
    yield Finding("ok", "job", _about(job, path))
    if path is not None:
        yield from _folder(job.output.folder)
    yield from _told(job, environment)
    if job.provider.embedded:
        yield Finding("ok", "provider", "the sandbox, which is part of this program: no key, no cost")
        return
    yield from _proxies(job, environment)
    try:
        check_authorities(environment)
        if path is not None:
            check_connection(path, job, environment)
    except BatchgenError as error:
        yield _bad("provider", error)
        return
    key = None
    try:
        key = key_for(job, environment)
    except UsageError as error:  # the job leads elsewhere than the key may go: nobody is asked there
        yield _bad("provider", error)
        return
    except BatchgenError as error:
        yield _bad("key", error)
    else:
        yield Finding("ok", "key", f"in {job.key_env}: {_masked(key)}" if key else "none is needed")
    if offline:
        yield Finding("ok", "provider", "not asked (--offline)")
    else:
        yield from asyncio.run(_provider(job, key))


def _bad(about: str, error: BatchgenError) -> Finding:
    return Finding("bad", about, error.message, error.hint, int(error.exit_code))


def _job(path: Path | None) -> "tuple[Job, Environment]":
    if path is not None:
        return open_job(path)
    from batchgen.spec.load import parse_job

    place = Path("doctor.yaml").absolute()
    environment = read_environment(place)
    text = b"prompts: [a]\nmodels: [black-forest-labs/flux.1-dev]\n"
    return parse_job(text, place, environment=environment.values), environment


def _about(job: "Job", path: Path | None) -> str:
    if path is None:
        return "none named: looking at ModelVerse alone (batchgen doctor JOB looks at a job, too)"
    from batchgen.views.text import count

    return f"{clean(job.name, 60)}: {count(len(job.rows), 'prompt')}, {count(len(job.models), 'model')}"


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", "python", f"{sys.implementation.name} {version} at {sys.executable}")
    yield Finding("ok", "sqlite", sqlite3.sqlite_version)
    from batchgen.views.fonts import installed_faces

    faces = installed_faces()
    lacking = [(name, package) for name, sample, package in _SAMPLES if not any(face.shows(sample) for face in faces)]
    if lacking:
        named = " and ".join(name for name, _ in lacking)
        packages = " ".join(package for _, package in lacking)
        yield Finding("warn", "fonts", f"none for {named}: contact sheets show ? there", f"install {packages}")
    else:
        yield Finding("ok", "fonts", "letters for contact sheets, Chinese and Japanese ones too")


def _folder(folder: Path) -> Iterator[Finding]:
    from batchgen.engine.space import FLOOR_BYTES, in_words
    from batchgen.storage.lock import is_held

    shown = clean(folder, 300)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "is no folder" if not there.is_dir() else "cannot be written by this user"
        yield Finding(
            "bad", "folder", f"{clean(there, 300)} {what}", "choose another `output.folder`", int(Exit.STORAGE)
        )
        return
    yield Finding("ok", "folder", shown if there == folder else f"{shown} (the first run makes it)")
    free = shutil.disk_usage(there).free
    if free < FLOOR_BYTES:
        said = f"{in_words(free)} free; below {in_words(FLOOR_BYTES)} nothing is bought"
        yield Finding("bad", "disk", said, "make room, for example with `batchgen prune`", int(Exit.STORAGE))
    else:
        yield Finding("ok", "disk", f"{in_words(free)} free: room for about {free // (2 * 1024**2):,} pictures of 2 MB")
    if is_held(folder):
        yield Finding(
            "warn", "lock", "a run is going on in this folder", "wait for it, or watch it: batchgen status --watch"
        )
    yield from _ledger(folder)


def _ledger(folder: Path) -> Iterator[Finding]:
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.schema import misfit_in
    from batchgen.views.text import count

    again = f"keep it, and make a new one: batchgen verify {shlex.quote(str(folder))} --rebuild"
    try:
        reader = open_reader(folder)
        if reader is None:
            return
        with closing(reader):
            odd = misfit_in(reader)
            stored = reader.execute("SELECT count(*) FROM pictures WHERE state = 'stored'").fetchone()[0]
    except BatchgenError as error:
        yield _bad("ledger", error)
    except sqlite3.Error:
        yield Finding("bad", "ledger", "it cannot be read", again, int(Exit.STORAGE))
    else:
        if odd:
            yield Finding(
                "bad", "ledger", f"it holds something in {odd} that is not batchgen's", again, int(Exit.STORAGE)
            )
        else:
            yield Finding("ok", "ledger", f"readable, {count(stored, 'picture')} stored")


def _told(job: "Job", environment: Environment) -> Iterator[Finding]:
    """Whether the variables that `notify:` names are set; their values are secrets."""
    for told in job.notify:
        names = [name for name in (told.url_env, told.secret_env, told.command_env) if name]
        unset = [name for name in names if not environment.values.get(name, "").strip()]
        if unset:
            what = f"{told.to} will not be told: {', '.join(unset)} is not set"
            yield Finding("warn", "notify", what, f"export {unset[0]}=…, or write it into {environment.path}")
        else:
            yield Finding("ok", "notify", f"{told.to} ({', '.join(names)})")


def _proxies(job: "Job", environment: Environment) -> Iterator[Finding]:
    from batchgen.api.addresses import server_name

    if job.proxy:
        yield Finding("ok", "proxy", f"the job's: {server_name(job.proxy)}")
        return
    names = [name for proxy in _PROXIES for name in (proxy, proxy.lower()) if environment.process.get(name)]
    if names:
        said = f"{', '.join(names)} in the environment: not used, so that no setting leads the key elsewhere"
        yield Finding("ok", "proxy", said, "to go through one: provider: {proxy: http://…} in the job")


def _masked(key: str) -> str:
    """Enough to tell two keys apart, and no more."""
    shown = min(4, len(key) // 8)
    return f"{key[:shown]}…{key[-shown:]} ({len(key)} characters)" if shown else f"… ({len(key)} characters)"


async def _provider(job: "Job", key: str | None) -> list[Finding]:
    """Ask for the list of models, with the key and without it: that is free, and shows whether the key is known."""
    from batchgen.api.call import Caller

    url = f"{job.base_url}/models"
    async with Caller(job.base_url, key, proxy=job.proxy) as caller:
        first = await caller.ask(url, timeout_s=_ANSWER_S)
        open_to_all = None
        if key and first.facts.status == 200:
            open_to_all = await caller.ask(url, timeout_s=_ANSWER_S, with_key=False)
    return [*_reached(job, first), *_clock(first), *_accepted(job, key, first, open_to_all)]


def _reached(job: "Job", answer: "Answer") -> Iterator[Finding]:
    from batchgen.api.addresses import server_name

    host = server_name(job.base_url)
    if not answer.facts.complete:
        hint = "is this machine online? Behind a company's proxy: provider: {proxy: http://…} in the job"
        yield Finding("bad", "provider", answer.facts.trouble, hint, int(Exit.UNAVAILABLE))
    elif (answer.facts.status or 0) >= 500:
        said = f"{host} answers with an error of its own ({answer.facts.status})"
        yield Finding("bad", "provider", said, "try again later; a run waits for it", int(Exit.UNAVAILABLE))
    else:
        yield Finding("ok", "provider", f"{host} answers, in {answer.latency_s:.1f} s")


def _clock(answer: "Answer") -> Iterator[Finding]:
    from batchgen.clock import RealClock

    try:
        skew = RealClock().now() - parsedate_to_datetime(answer.date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    if abs(skew) <= _SKEW_S:
        yield Finding("ok", "clock", "agrees with the provider's")
        return
    side = "ahead of" if skew > 0 else "behind"
    said = f"this machine's clock is {abs(skew):,.0f} s {side} the provider's: days and the life of links are counted by it"
    yield Finding("warn", "clock", said, "set it by the network: timedatectl set-ntp true")


def _accepted(job: "Job", key: str | None, answer: "Answer", open_to_all: "Answer | None") -> Iterator[Finding]:
    from batchgen.api.dialects import parse_models

    if not key or not answer.facts.complete:
        return
    if answer.facts.status in {401, 403}:
        message = answer.facts.error.message if answer.facts.error else ""
        said = f"{job.provider.title} does not accept it" + (f": {clean(message, 200)}" if message else "")
        yield Finding(
            "bad", "account", said, f"copy it again from the provider's console into {job.key_env}", int(Exit.ACCOUNT)
        )
        return
    listed = parse_models(answer.body) if answer.facts.status == 200 else None
    if listed is None:
        yield Finding(
            "warn", "account", "the list of models cannot be read: only a call shows whether the key is accepted"
        )
        return
    unlisted = [use.model.id for use in job.models if use.model.id not in listed]
    note = f"; not in its list, which is often incomplete: {', '.join(unlisted)}" if unlisted else ""
    if open_to_all is not None and open_to_all.facts.status == 200 and parse_models(open_to_all.body) == listed:
        said = "the key was not refused; but the list is the same for everybody, so that only a call shows whether it is accepted"
        yield Finding("ok", "account", said + note)
    else:
        yield Finding("ok", "account", f"the key is accepted: {len(listed):,} models for it{note}")


def _show(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    lead = f"  {_SHOWN[finding.state]:<5} {finding.about:<9} "
    width = min(100, console.width) - len(lead)
    said = [finding.said, *([f"next: {finding.next}"] if finding.next else [])]
    lines = [line for text in said for line in textwrap.wrap(text, width, break_on_hyphens=False)]
    shown = Text(f"\n{' ' * len(lead)}".join([lead + lines[0], *lines[1:]]))
    shown.stylize(_STYLES[finding.state], 0, len(lead))
    console.print(shown, soft_wrap=True)


def _sum_up(findings: list[Finding]) -> None:
    bad, look = (sum(finding.state == state for finding in findings) for state in ("bad", "warn"))
    if bad:
        say(f"\n{bad} to repair before a run, {look} to look at", err=False)
    elif look:
        say(f"\na run can begin; {look} to look at", err=False)
    else:
        say("\nall is well", err=False)
