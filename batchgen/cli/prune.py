"""`batchgen prune`: make room in output folders. It says first what it would delete; `--yes` deletes it."""

import asyncio
import shlex
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.jobs import folders_of, jobs_argument
from batchgen.cli.messages import say
from batchgen.errors import StorageError, UsageError

if TYPE_CHECKING:
    from batchgen.storage.files import ResultFolder
    from batchgen.storage.ledger import Ledger
    from batchgen.storage.manifest import ManifestRow
    from batchgen.storage.prune import Files, Picture

_OLD = "90d"
_MESSAGE = "rejected, and deleted by `batchgen prune`"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the user asked for; `at` is now."""

    days: float
    rejected: bool
    marks: Path | None
    exported: Path | None
    at: float


@dataclass(frozen=True, slots=True)
class _Going:
    """What would go from one folder, by kind, and what is to be said of what stays."""

    logs: "Files"
    thumbnails: "Files"
    unfinished: "Files"
    pictures: "tuple[Picture, ...]"
    notes: tuple[str, ...]


@click.command(
    "prune",
    epilog="""\b
Examples:
  batchgen prune outputs/demo                   # says what it would delete
  batchgen prune jobs/nightly.yaml --older-than 30d --yes
  batchgen prune outputs/demo --rejected --exported exports --yes
""",
)
@jobs_argument
@click.option(
    "--older-than", metavar="TIME", default=_OLD, help=f"Logs of runs that are older than that; default is {_OLD}."
)
@click.option(
    "--rejected", is_flag=True, default=False, help="Pictures too that are marked as rejected in the gallery."
)
@click.option(
    "--marks",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The marks for --rejected; default is marks.json in the output folder.",
)
@click.option(
    "--exported",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With --rejected: only pictures of which a copy is below this folder.",
)
@click.option(
    "--unexported", is_flag=True, default=False, help="With --rejected: all of them, though there may be no copy."
)
@click.option("--yes", is_flag=True, default=False, help="Delete. Without it nothing is deleted.")
def command(
    jobs: tuple[Path, ...],
    older_than: str,
    rejected: bool,
    marks: Path | None,
    exported: Path | None,
    unexported: bool,
    yes: bool,
) -> None:
    """Make room: old logs of runs, thumbnails that belong to no picture, what killed runs left unfinished.

    Pictures go only with --rejected. What was paid stays in the ledger: a picture that was deleted is not bought again.
    A job is the folder it writes to, or all folders of its nights; a folder that holds output folders is all of them.
    """
    from batchgen.clock import RealClock

    _check(rejected=rejected, marks=marks, exported=exported, unexported=unexported)
    wish = _Wish(_days(older_than), rejected, marks, exported, RealClock().now())
    files = sum(_prune(folder, wish, yes=yes) for folder in _folders(jobs))
    if not files:
        say("nothing to delete", err=False)
    elif not yes:
        say("nothing was deleted; this deletes it:", err=False)
        say(f"  {_with_yes(jobs, wish, older_than)}", err=False)


def _check(*, rejected: bool, marks: Path | None, exported: Path | None, unexported: bool) -> None:
    if not rejected:
        for given, name in ((marks, "--marks"), (exported, "--exported"), (unexported, "--unexported")):
            if given:
                raise UsageError(f"{name} says nothing without --rejected", f"add --rejected, or leave {name} out")
    elif (exported is not None) == unexported:
        raise UsageError(
            "--rejected deletes pictures that were paid for, perhaps the only copies of them",
            "say which: those with a copy elsewhere, --exported FOLDER, or all of them, --unexported",
        )
    if exported is not None and not exported.is_dir():
        raise UsageError(f"--exported {exported} is no folder", "name the folder of an export that was made")


def _days(older_than: str) -> float:
    from batchgen.spec.durations import seconds_of

    seconds = seconds_of(older_than)
    if not seconds:
        raise UsageError(f"--older-than {older_than} is no length of time", "write it as --older-than 90d")
    return seconds / 86_400


def _folders(jobs: tuple[Path, ...]) -> list[Path]:
    """The folders that were ever run, each once."""
    from batchgen.storage.ledger import FILE_NAME, refuse_orphans

    folders = list(dict.fromkeys(folder for path in jobs for _, folder, _ in folders_of(path)))
    for folder in folders:
        refuse_orphans(folder)
    return [folder for folder in folders if (folder / FILE_NAME).exists()]


def _prune(folder: Path, wish: _Wish, *, yes: bool) -> int:
    """Say what goes from a folder, and let it go if told so; how many files."""
    from contextlib import closing

    from batchgen.library.opening import open_folder
    from batchgen.storage.ledger import open_reader
    from batchgen.storage.lock import is_held

    if yes:
        with open_folder(folder) as (results, ledger):
            return _done(folder, wish, results, ledger)
    reader = open_reader(folder)
    assert reader is not None  # `_folders` saw it
    with closing(reader):
        return _say(folder, _look(reader, folder, wish, running=is_held(folder)))


def _look(connection: sqlite3.Connection, folder: Path, wish: _Wish, *, running: bool = False) -> _Going:
    from batchgen.storage.prune import Files, old_logs, unfinished, unused_thumbnails
    from batchgen.storage.schema import misfit_in

    odd = misfit_in(connection)
    if odd:
        raise StorageError(
            f"the ledger in {folder} holds something in {odd} that batchgen never writes there; nothing was deleted",
            f"keep it, and make a new one with `batchgen verify {shlex.quote(str(folder))} --rebuild`",
        )
    pictures, notes = _rejected(connection, folder, wish) if wish.rejected else ([], [])
    if running:
        notes.append("a run is going on in it: what it has not finished yet is left out")
    return _Going(
        old_logs(folder, wish.days, wish.at),
        unused_thumbnails(connection, folder, pictures),
        Files((), 0) if running else unfinished(folder),
        tuple(pictures),
        tuple(notes),
    )


def _rejected(connection: sqlite3.Connection, folder: Path, wish: _Wish) -> "tuple[list[Picture], list[str]]":
    """The rejected pictures that may go, and what is to be said of the others."""
    from batchgen.storage.prune import chosen_pictures, with_copies
    from batchgen.views.marks import MARKS, mark_key, read_marks
    from batchgen.views.text import count

    file = wish.marks or folder / MARKS
    if wish.marks is None and not file.exists():
        return [], [f"it holds no {MARKS}: no picture is rejected (press X in the gallery, save, put the file there)"]
    marks = read_marks(file)
    found, missing = chosen_pictures(
        connection, folder, lambda task_id, number: marks.get(mark_key(task_id, number)) == "reject"
    )
    notes = []
    if missing:
        notes.append(
            f"{count(missing, 'rejected picture')} missing or changed: left as found; `batchgen verify` says more"
        )
    if wish.exported is None:
        return found, notes
    _refuse_overlap(folder, wish.exported)
    copied = with_copies(folder, found, wish.exported)
    if len(copied) < len(found):
        without = count(len(found) - len(copied), "rejected picture")
        notes.append(f"{without} without a copy in {wish.exported}: kept")
    return copied, notes


def _refuse_overlap(folder: Path, exported: Path) -> None:
    """A picture is no copy of itself."""
    own, other = folder.resolve(), exported.resolve()
    if own.is_relative_to(other) or other.is_relative_to(own / "images"):
        raise UsageError(
            f"--exported {exported} holds the pictures themselves, and they are no copies",
            "name the folder of an export, such as that of `batchgen export --format hf`",
        )


def _say(folder: Path, going: _Going) -> int:
    """Say what would go; how many files."""
    from batchgen.engine.space import in_words
    from batchgen.outside import clean

    kinds = (
        ("log of a run", "logs of runs", len(going.logs.names), going.logs.bytes),
        ("thumbnail of no picture", "thumbnails of no picture", len(going.thumbnails.names), going.thumbnails.bytes),
        ("unfinished file", "unfinished files", len(going.unfinished.names), going.unfinished.bytes),
        ("rejected picture", "rejected pictures", len(going.pictures), sum(each.bytes for each in going.pictures)),
    )
    files = sum(number for _, _, number, _ in kinds)
    if files or going.notes:
        say(f"{clean(folder, 1000)}:", err=False)
    for one, several, number, size in kinds:
        if number:
            say(f"  {number:>6,} {one if number == 1 else several:<26}{in_words(max(size, 1024)):>10}", err=False)
    for note in going.notes:
        say(f"  {clean(note, 1000)}", err=False)
    return files


def _done(folder: Path, wish: _Wish, results: "ResultFolder", ledger: "Ledger") -> int:
    """Let go what `_look` finds; the caller holds the lock."""
    from batchgen.storage.backup import back_up
    from batchgen.storage.prune import delete

    going = asyncio.run(ledger.write(lambda connection: _look(connection, folder, wish)))
    files = _say(folder, going)
    # What can be made again goes first: on a full disk the ledger needs the room.
    thumbnails, pictures = going.thumbnails.names, going.pictures
    delete(folder, (*going.logs.names, *thumbnails, *going.unfinished.names))
    if pictures:
        _note(results, ledger, pictures)
        warning = back_up(folder, wish.at)  # a ledger made anew without it would buy them again
        if warning:
            say(f"warning: {warning}; should the ledger get lost, a new one will not know of these pictures")
        delete(folder, [picture.name for picture in pictures])
    if files:
        say("  deleted", err=False)
    if pictures and (folder / "gallery").is_dir():
        say(f"  next: batchgen gallery {shlex.quote(str(folder))}   (renews the page)")
    return files


def _note(results: "ResultFolder", ledger: "Ledger", pictures: "tuple[Picture, ...]") -> None:
    """The ledger first, then the manifest: a run that meets a manifest with more lines mends it."""
    from batchgen.engine.rows import manifest_row
    from batchgen.storage.manifest import ManifestWriter
    from batchgen.storage.prune import note_pruned
    from batchgen.storage.queries import manifest_rows

    async def note() -> "list[ManifestRow]":
        await ledger.write(lambda connection: note_pruned(connection, pictures, _MESSAGE))
        return await ledger.write(lambda connection: [manifest_row(row) for row in manifest_rows(connection)])

    rows = asyncio.run(note())
    with ManifestWriter(results) as manifest:
        manifest.rebuild(rows)


def _with_yes(jobs: tuple[Path, ...], wish: _Wish, older_than: str) -> str:
    words = ["batchgen", "prune", *map(str, jobs)]
    words += ["--older-than", older_than] if older_than != _OLD else []
    if wish.rejected:
        words += ["--rejected", *(["--exported", str(wish.exported)] if wish.exported else ["--unexported"])]
        words += ["--marks", str(wish.marks)] if wish.marks else []
    return shlex.join([*words, "--yes"])
