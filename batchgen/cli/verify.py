"""`batchgen verify`: read every stored picture again and compare it with the ledger."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.jobs import job_argument, open_job
from batchgen.errors import Exit, UsageError

if TYPE_CHECKING:
    from batchgen.storage.audit import Checked


@click.command(
    "verify",
    epilog="""\b
Examples:
  batchgen verify jobs/demo.yaml
  batchgen verify outputs/demo
  batchgen verify outputs/demo --rebuild    # the ledger is gone: make one from pictures and manifest
""",
)
@job_argument
@click.option("--rebuild", is_flag=True, default=False, help="Make a ledger from the pictures and the manifest.")
@click.option("--json", "as_json", is_flag=True, default=False, help="The findings as one JSON object on stdout.")
def command(job: Path, rebuild: bool, as_json: bool) -> int:
    """Hash every stored picture again. A missing or changed one is downloaded again while its link lives, else lost.

    Exit 0 when every file is as the ledger says, 3 when one is not.
    """
    if rebuild:
        return _rebuild(job)
    import asyncio
    import json

    from batchgen.cli.execute import open_folder
    from batchgen.clock import RealClock
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
        click.echo(json.dumps({"pictures": checked.pictures, "findings": findings}, ensure_ascii=False, indent=2))
    else:
        _say(job, checked)
    return Exit.TASKS_FAILED if checked.findings else Exit.DONE


def _say(job: Path, checked: "Checked") -> None:
    from batchgen.views.text import clean

    for finding in checked.findings:
        then = "will be downloaded again" if finding.link_lives else "its link is dead: paid and lost"
        click.echo(f"{finding.what}: {clean(finding.file_name)}: {then}")
    bad = len(checked.findings)
    noun = "picture" if checked.pictures == 1 else "pictures"
    click.echo(f"{checked.pictures} {noun} read, {checked.pictures - bad} as they should be, {bad} not")
    if any(finding.link_lives for finding in checked.findings):
        click.echo(f"  next: batchgen recover {job}", err=True)
    if any(not finding.link_lives for finding in checked.findings):
        click.echo(f"  next: batchgen run {job} --retry lost   (buys them again)", err=True)


def _rebuild(job: Path) -> int:
    """A new ledger beside the old one, which is kept under another name."""
    import asyncio
    import hashlib
    import time

    from batchgen.clock import RealClock
    from batchgen.engine.rows import facts_of
    from batchgen.storage.ledger import FILE_NAME, Ledger, sync_folder_at
    from batchgen.storage.lock import FolderLock
    from batchgen.storage.manifest import MANIFEST, read_manifest
    from batchgen.storage.rebuild import rebuild

    path = job if job.is_dir() else open_job(job)[0].output.folder
    if not (path / MANIFEST).exists():
        raise UsageError(f"{path} holds no {MANIFEST}: there is nothing to make a ledger from", "run the job instead")

    def is_whole(file_name: str, sha256: str) -> bool:
        try:
            with (path / file_name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    with FolderLock(path, RealClock()):
        rows = [facts_of(row) for row in read_manifest(path / MANIFEST)]
        new = path / f"{FILE_NAME}.new"
        for suffix in ("", "-wal", "-shm"):
            Path(f"{new}{suffix}").unlink(missing_ok=True)
        ledger = Ledger(new)
        try:
            taken, left = asyncio.run(ledger.write(lambda connection: rebuild(connection, rows, is_whole)))
        finally:
            ledger.close()
        stamp = time.strftime("%Y%m%dT%H%M%S")
        # The log of the old ledger keeps its place beside it, so that it can still be opened.
        for suffix in ("-wal", "-shm", ""):
            old = path / f"{FILE_NAME}{suffix}"
            if old.exists():
                old.rename(path / f"{FILE_NAME}.before-{stamp}{suffix}")
        if (path / "spool").exists():
            (path / "spool").rename(path / f"spool.before-{stamp}")
        new.rename(path / FILE_NAME)
        sync_folder_at(path)
    click.echo(f"a new ledger for {path}: {taken} pictures entered, {left} left out (file missing or changed)")
    click.echo("what was paid for but not stored is not known to it; see docs/paid-work.md", err=True)
    return Exit.DONE
