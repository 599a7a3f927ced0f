"""Copies of the product with one promise taken out, to see that the proofs notice.

A mutant is a list of exact replacements in the product's text. A text that is not there exactly once raises LookupError:
the code has moved on and the mutant has to follow it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from .children import ROOT


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file of the package."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """`caught_by` is a complaint of the proof of the order; `answers` is how the provider has to answer for it."""

    edits: tuple[Edit, ...]
    caught_by: str
    answers: str = "url"


_SYNC_LATE = """def _sync_late(folder: ResultFolder, names: list[str]) -> None:
    import os

    for name in names:
        for path in (folder.path / name, *(folder.path / name).parents[:2]):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def _spooled_picture("""

MUTANTS = {
    "intent after the call": Mutant(
        (
            Edit(
                "engine/life.py",
                "    begun = await _durable_intent(task, use, run)\n",
                "    begun = Begun(0, task.task_id[:32], 1, task.name, again=False)\n",
            ),
            Edit(
                "engine/life.py",
                "        bought = await buy(run.caller, body, begun.idempotency_key, timeout_s)\n",
                "        bought = await buy(run.caller, body, begun.idempotency_key, timeout_s)\n"
                "        begun = await _durable_intent(task, use, run)\n"
                "        if isinstance(begun, Declined):\n"
                "            return Verdict(Next.LEFT, declined=begun.reason, message=begun.words)\n",
            ),
            Edit("storage/purchases.py", "(uuid.uuid4().hex, 1)", "(intent.task_id[:32], 1)"),
        ),
        "a paid call left before its intent was on the disk",
    ),
    "stored before the syncs": Mutant(
        (
            Edit(
                "storage/files.py",
                "            part.finish()\n            file_name = ",
                "            file_name = ",
            ),
            Edit(
                "storage/files.py",
                "for item in items]\n                folders.sync()\n",
                "for item in items]\n",
            ),
            Edit(
                "engine/downloads.py",
                "            await run.on_disk(self._manifest.append, [",
                "            await run.on_disk(_sync_late, run.folder, [picture.file_name for picture in pictures])\n"
                "            await run.on_disk(self._manifest.append, [",
            ),
            Edit("engine/downloads.py", "def _spooled_picture(", _SYNC_LATE),
        ),
        "a picture is stored and its name is not on the disk",
    ),
    "no sync of folders": Mutant(
        (Edit("storage/disk.py", "            sync_folder(self._open[parts])\n", "            pass\n"),),
        "a picture is stored and its name is not on the disk",
    ),
    "synchronous NORMAL": Mutant(
        (Edit("storage/ledger.py", "PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"),),
        "a paid call left before its intent was on the disk",
    ),
    "no sync of pictures": Mutant(
        (
            Edit(
                "storage/files.py",
                "            part.finish()\n            file_name = ",
                "            file_name = ",
            ),
        ),
        "a final name was given before the picture was on the disk",
    ),
    "told before the commit": Mutant(
        (
            Edit(
                "storage/ledger.py",
                '            connection.execute("COMMIT")\n',
                "            for item in group:\n"
                "                item.loop.call_soon_threadsafe(item.settle)\n"
                "            threading.Event().wait(0.05)\n"
                '            connection.execute("COMMIT")\n',
            ),
            Edit("storage/ledger.py", "if self.future.cancelled():", "if self.future.done():"),
        ),
        "a download left before its paid link was on the disk",
    ),
    "no sync of the spool": Mutant(
        (Edit("storage/files.py", "            yield part\n            part.finish()\n", "            yield part\n"),),
        "a paid picture waits and the answer that holds it is not whole on the disk",
        answers="base64",
    ),
    "spool dropped before stored": Mutant(
        (
            Edit(
                "engine/downloads.py",
                "    body = folder.spool_read(spool)\n",
                "    body = folder.spool_read(spool)\n    folder.spool_delete(spool)\n",
            ),
        ),
        "a paid picture waits and the answer that holds it is not on the disk",
        answers="base64",
    ),
    "journal in memory": Mutant(
        (Edit("storage/ledger.py", "PRAGMA journal_mode=WAL", "PRAGMA journal_mode=MEMORY"),),
        "a ledger that cannot be read is left",
    ),
}
"""The first four are those that the order exists for; the others are nearby."""


def product_with(name: str, place: Path) -> Path:
    """A folder that holds a copy of the package with a mutant's edits; it is made below `place`."""
    product = place / "product"
    shutil.copytree(ROOT / "batchgen", product / "batchgen")
    for edit in MUTANTS[name].edits:
        path = product / "batchgen" / edit.file
        text = path.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise LookupError(f"{name}: {edit.file} does not hold this text once: {edit.old.strip()}")
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return product
