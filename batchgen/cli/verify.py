"""`batchgen verify`: read every stored picture again and compare it with the ledger."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.jobs import job_argument, open_job
from batchgen.cli.messages import say
from batchgen.errors import Exit, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchgen.storage.audit import Checked


@click.command(
    "verify",
    epilog="""\b
Examples:
  batchgen verify jobs/demo.yaml
  batchgen verify outputs/demo
  batchgen verify outputs/demo --rebuild    # the ledger is gone: make one from its latest copy, pictures and manifest
""",
)
@job_argument
@click.option(
    "--rebuild", is_flag=True, default=False, help="Make a ledger from its latest copy, the pictures and the manifest."
)
@click.option("--json", "as_json", is_flag=True, default=False, help="The findings as one JSON object on stdout.")
def command(job: Path, rebuild: bool, as_json: bool) -> int:
    """Hash every stored picture again. A missing or changed one is downloaded again while its link lives, else lost.

    Exit 0 when every file is as the ledger says, 3 when one is not.
    """
    if rebuild:
        return _rebuild(job)
    import asyncio

    from batchgen.clock import RealClock
    from batchgen.library.opening import open_folder
    from batchgen.outside import json_text
    from batchgen.storage.audit import check_files, settle
    from batchgen.storage.ledger import FILE_NAME, Ledger, refuse_orphans

    opened, _ = open_job(job)
    path = opened.output.folder
    refuse_orphans(path)
    if not (path / FILE_NAME).exists():
        raise UsageError(f"{path} holds no ledger: nothing was made there yet", "run the job first")

    async def check(ledger: Ledger) -> "Checked":
        now = RealClock().now()
        checked = await ledger.write(lambda connection: check_files(connection, path, now))
        await ledger.write(lambda connection: settle(connection, checked.findings))
        return checked

    with open_folder(path) as (_folder, ledger):
        checked = asyncio.run(check(ledger))
    if as_json:
        findings = [
            {"file_name": finding.file_name, "what": finding.what, "link_lives": finding.link_lives}
            for finding in checked.findings
        ]
        click.echo(json_text({"pictures": checked.pictures, "findings": findings}, indent=2))
    else:
        _say(job, checked)
    return Exit.TASKS_FAILED if checked.findings else Exit.DONE


def _say(job: Path, checked: "Checked") -> None:
    from batchgen.outside import clean

    for finding in checked.findings:
        then = "will be downloaded again" if finding.link_lives else "its link is dead: paid and lost"
        say(f"{finding.what}: {clean(finding.file_name)}: {then}", err=False)
    bad = len(checked.findings)
    noun = "picture" if checked.pictures == 1 else "pictures"
    say(f"{checked.pictures} {noun} read, {checked.pictures - bad} as they should be, {bad} not", err=False)
    if any(finding.link_lives for finding in checked.findings):
        say(f"  next: batchgen recover {shlex.quote(str(job))}")
    if any(not finding.link_lives for finding in checked.findings):
        say(f"  next: batchgen run {shlex.quote(str(job))} --retry lost   (buys them again)")


def _rebuild(job: Path) -> int:
    """A new ledger in the old one's place, which is kept under another name."""
    import asyncio
    import time

    from batchgen.clock import RealClock
    from batchgen.storage.lock import FolderLock
    from batchgen.storage.manifest import MANIFEST
    from batchgen.storage.rebuild import rebuild_folder

    path = job if job.is_dir() else open_job(job)[0].output.folder
    if not (path / MANIFEST).exists():
        raise UsageError(f"{path} holds no {MANIFEST}: there is nothing to make a ledger from", "run the job instead")
    with FolderLock(path, RealClock()):
        made = asyncio.run(rebuild_folder(path, _Rows(path / MANIFEST), time.strftime("%Y%m%dT%H%M%S")))
    begun = f"begun with its copy {made.copy} ({made.known} pictures of the manifest known), " if made.copy else ""
    entered = f"{made.taken} pictures entered, {made.left_out} left out (file missing or changed)"
    say(f"a new ledger for {path}: {begun}{entered}", err=False)
    since = " since that copy was made" if made.copy else ""
    say(f"what was paid for{since} and is not stored is not known to it; see docs/paid-work.md")
    return Exit.DONE


class _Rows:
    """The manifest's rows as facts, read anew each time one goes through them, since a rebuild may have to begin again.

    Going through raises StorageError for a line that is not one.
    """

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest

    def __iter__(self) -> "Iterator[dict[str, Any]]":
        from batchgen.engine.rows import facts_of
        from batchgen.outside import clean
        from batchgen.storage.manifest import read_manifest

        for row in read_manifest(self._manifest):
            try:
                yield facts_of(row)
            except (ValueError, ArithmeticError):
                raise StorageError(
                    f"{self._manifest}: the line of {clean(row.file_name)} holds a value that cannot be read",
                    "repair or remove that one line, then give the same command again",
                ) from None
