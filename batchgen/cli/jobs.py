"""What verbs share about their argument: a job file, or the output folder of one."""

import dataclasses
import re
import shlex
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from batchgen.cli.completion import fields, jobs_and_folders, only
from batchgen.cli.environment import Environment, check_authorities, check_saved, read_environment
from batchgen.errors import BatchgenError, JobError, StorageError, UsageError
from batchgen.outside import clean
from batchgen.spec.job import Job, in_night

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

job_argument = click.argument("job", type=click.Path(path_type=Path), shell_complete=jobs_and_folders)
jobs_argument = click.argument(
    "jobs", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=jobs_and_folders
)
set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field for every model that takes it.",
    shell_complete=fields,
)
only_option = click.option(
    "--only",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only tasks whose model, prompt, seed or variable matches.",
    shell_complete=only,
)
limit_option = click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Only the first N tasks of the plan."
)
night_option = click.option(
    "--night", metavar="DATE", default="", help="The night of a job that renews its seeds or its folder (2026-05-31)."
)


def open_job(path: Path, sets: Sequence[str] = ()) -> tuple[Job, Environment]:
    """The job of a job file, or the last one that an output folder ran. Raises UsageError or JobError.

    Where each night has a folder of its own, it is that of the last night which left one.
    """
    job, environment = _read(path, sets)
    if job.output.nightly:
        job = in_night(job, _last_night(job))
    return job, environment


def open_job_of_night(path: Path, sets: Sequence[str], named: str) -> tuple[Job, Environment, str]:
    """`open_job` for what is about to be bought, and its night: the named one, else the present one."""
    from batchgen.library.planning import night_for_run

    job, environment = _read(path, sets)
    night = night_for_run(job, named)
    return in_night(job, night), environment, night


def check_connection(path: Path, job: Job, environment: Environment) -> None:
    """Raise UsageError when a verb that reaches out would be led where it must not go."""
    check_authorities(environment)
    if path.is_dir():
        check_saved(job, environment, path)


def _read(path: Path, sets: Sequence[str]) -> tuple[Job, Environment]:
    environment = read_environment(path)
    if path.is_dir():
        return _from_folder(path, sets), environment
    from batchgen.spec.load import load_job

    return load_job(path, environment=environment.values, sets=sets), environment


def _last_night(job: Job) -> str:
    """The last night that has a folder with a ledger; without one the present night."""
    from batchgen.library.planning import night_for_run

    nights = folders_of_nights(job.output.folder)
    return nights[-1][0] if nights else night_for_run(job, "")


def folders_of_nights(template: Path) -> list[tuple[str, Path]]:
    """The nights that have a folder with a ledger, the first one first; `template` holds `{night}` for their date."""
    from batchgen.spec.job import NIGHT
    from batchgen.storage.ledger import FILE_NAME

    parts = template.parts
    first = next(number for number, part in enumerate(parts) if NIGHT in part)
    named = re.compile(
        re.escape(parts[first]).replace(re.escape(NIGHT), r"(\d{4}-\d\d-\d\d)", 1).replace(re.escape(NIGHT), r"\1")
    )
    above = Path(*parts[:first])
    found = (named.fullmatch(entry.name) for entry in (above.iterdir() if above.is_dir() else ()))
    nights = sorted(match[1] for match in found if match)
    folders = ((night, Path(str(template).replace(NIGHT, night))) for night in nights)
    return [(night, folder) for night, folder in folders if (folder / FILE_NAME).is_file()]


def folders_of(path: Path) -> "Iterator[tuple[Job, Path, str]]":
    """Every output folder that a job file or folder stands for, with its job, and its night where each has its own.

    A folder that is none stands for the output folders in it. Raises UsageError where there is none.
    """
    from batchgen.storage.ledger import FILE_NAME

    if not path.is_dir():
        job, _ = _read(path, ())
        if not job.output.nightly:
            yield job, job.output.folder, ""
            return
        for night, folder in folders_of_nights(job.output.folder):
            yield in_night(job, night), folder, night
        return
    if (path / FILE_NAME).exists():
        yield open_job(path)[0], path, ""
        return
    inside = sorted(entry for entry in path.iterdir() if not entry.is_symlink() and (entry / FILE_NAME).is_file())
    if not inside:
        raise UsageError(f"{path} is not the output folder of a job, and holds none", "name the job file instead")
    for folder in inside:
        yield open_job(folder)[0], folder, folder.name if _DATE.fullmatch(folder.name) else ""


def _from_folder(folder: Path, sets: Sequence[str]) -> Job:
    from batchgen.spec.load import job_from_json
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.runs import OversizedJobError, last_job
    from batchgen.storage.schema import misfit_in

    reader = open_reader(folder)
    if reader is None:
        raise UsageError(
            f"{folder} is not the output folder of a job: it holds no ledger",
            "name the job file instead",
        )
    job = None
    try:
        odd = misfit_in(reader)
        if odd:
            raise StorageError(
                f"the ledger in {folder} holds something in {odd} that batchgen never writes there",
                f"keep it, and make a new one with `batchgen verify {shlex.quote(str(folder))} --rebuild`",
            )
        resolved = last_job(reader)
        job = None if resolved is None else job_from_json(resolved)
    except JobError as error:
        first = error.problems[0].message if error.problems else error.message
        raise UsageError(
            f"the job that the ledger in {folder} keeps cannot be used: {first}", "name the job file"
        ) from None
    except OversizedJobError:
        raise UsageError(
            f"the job that the ledger in {folder} keeps is too large to be read back", "name the job file"
        ) from None
    except BatchgenError:
        raise
    except Exception:  # noqa: BLE001  # the folder may come from anybody, and hold anything
        raise StorageError(f"the job that the ledger in {folder} keeps cannot be read", "name the job file") from None
    finally:
        reader.close()
    if job is None:
        raise UsageError(f"the ledger in {folder} knows no run yet", "name the job file instead")
    if sets:
        raise UsageError("--set needs the job file, not its output folder", "name the job file")
    # A folder is taken as it lies here: it may have been moved, and a stranger's may name any place.
    return dataclasses.replace(
        job, output=dataclasses.replace(job.output, folder=folder.absolute(), of_nights=False, is_named=True)
    )


def parse_only(only: Sequence[str]) -> dict[str, str]:
    """`--only name=value`, as a mapping. Raises UsageError for one without `=`."""
    pairs = {}
    for text in only:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--only {text}: write it as name=value", "for example --only model='*flux.1-dev'")
        pairs[name.strip()] = value.strip()
    return pairs


def seconds_until(deadline: str) -> float:
    """How far away a deadline is that was typed as a length or a time of day. Raises UsageError."""
    from batchgen.clock import RealClock
    from batchgen.spec.durations import until

    seconds = until(deadline, RealClock().now())
    if seconds is None:
        raise UsageError(
            f"the deadline {clean(deadline)} is no length of time and no time of day",
            "write it as --deadline 6h or 06:30",
        )
    return seconds


def last_success_in(folder: Path) -> float | None:
    """When a run in this output folder last ended well (UTC seconds since the epoch); None for never, and for no ledger."""
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.runs import last_success

    try:
        reader = open_reader(folder)
        if reader is None:
            return None
        with closing(reader):
            return last_success(reader)
    except (BatchgenError, sqlite3.Error):  # whoever needs the ledger will say so
        return None
