"""What programs read: a job file, the plan of a job, the manifest of a folder, and its ledger, which nobody can write here."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from batchgen.errors import UsageError
from batchgen.library.planning import night_for_run, plan_of
from batchgen.spec import load
from batchgen.spec.job import Job, in_night
from batchgen.spec.plan import Plan
from batchgen.storage.ledger import open_reader
from batchgen.storage.manifest import MANIFEST, ManifestRow, read_manifest


def load_job(
    path: str | os.PathLike[str], *, sets: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Job:
    """The job that a job file describes, checked whole: prompt files are read, input pictures are hashed.

    `sets` are texts such as `steps=20`, for every model that takes the field. `environment` may hold the provider's address
    (MODELVERSE_BASE_URL); pass `os.environ` to use yours. Raises JobError with every mistake and its place, UsageError for a
    file that cannot be read.
    """
    return load.load_job(Path(path), environment={} if environment is None else environment, sets=sets)


def plan(job: Job, *, night: str = "", only: Mapping[str, str] | None = None, limit: int | None = None) -> Plan:
    """What a run would make and cost, against what the job's folder holds. Sends nothing and writes nothing.

    Raises UsageError for a night or an `only` that the job does not know, StorageError for a ledger that cannot be read.
    """
    night = night_for_run(job, night)
    return plan_of(in_night(job, night), night=night, limit=limit, only=dict(only or {}))[0]


def manifest(folder: str | os.PathLike[str]) -> Iterator[ManifestRow]:
    """The stored pictures of an output folder, in the order in which they came; none before the first.

    Raises StorageError for a line that no manifest has.
    """
    return read_manifest(Path(folder) / MANIFEST)


@contextmanager
def open_ledger(folder: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """The ledger of an output folder, to be read while a run goes on, too; rows are of sqlite3.Row.

    Tables and columns are described in docs/python.md. Raises UsageError where there is none, StorageError for one that
    cannot be read.
    """
    reader = open_reader(Path(folder))
    if reader is None:
        raise UsageError(f"{folder} is not the output folder of a job: it holds no ledger", "run the job first")
    with closing(reader) as connection:
        yield connection
