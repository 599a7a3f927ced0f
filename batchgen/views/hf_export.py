"""A Hugging Face imagefolder: `metadata.jsonl`, the pictures that it names, and a dataset card.

It owns the names of the pictures, whether they are copies, and that the index has a line for each picture that is
there. It refuses names from the user's words: `datasets` makes splits of words like `dev` and `test` in a path.
"""

import errno
import re
import sqlite3
from pathlib import Path
from typing import Final

from batchgen.errors import UsageError
from batchgen.outside import json_text
from batchgen.spec.wording import harmless
from batchgen.storage.disk import write_all
from batchgen.storage.manifest import ManifestRow
from batchgen.views.chosen import Choice, Chosen, Exported, chosen
from batchgen.views.dataset_card import Tally, card
from batchgen.views.export_columns import ENDINGS, columns, no_time, picture_name, values
from batchgen.views.export_folder import Draft, Layout, replacing_export

INDEX: Final = "metadata.jsonl"
CARD: Final = "README.md"
PICTURES: Final = "pictures"
LAYOUT = Layout("hf", PICTURES, re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}-\d{1,19}\.(png|jpg|webp)"), INDEX, CARD)
ORIGINAL: Final = "original_name"
"""The picture's name in the output folder. `datasets` opens what stands in a column like `…_file_name` as a picture."""


def export_hf(
    connection: sqlite3.Connection, folder: Path, choice: Choice, output: Path, *, link: bool = False
) -> Exported:
    """Write the chosen pictures of an output folder as an imagefolder to `output`, which is made if missing.

    With `link` each picture is the stored file under a second name (a hard link) and not a copy: it takes no room, and
    whoever changes one changes both. An earlier export is replaced as a whole when the new one is whole; a card that
    was edited stays. Raises UsageError for a choice without a single whole picture, for files that no export made, and
    for links to another disk; StorageError for disk and ledger.
    """
    written = 0
    with chosen(connection, folder, choice) as pictures, replacing_export(output, LAYOUT) as draft:
        names = _columns(pictures.variables)
        tally = Tally()
        with draft.new_beside(INDEX) as index:
            for row, facts in pictures:
                name = f"{picture_name(row)}.{ENDINGS[row.format]}"
                name = f"{name[:2]}/{name}"
                if not (_linked if link else _copied)(draft, name, pictures, row):
                    continue
                texts = (
                    no_time(value) if type(value) is str else value for value in values(row, facts, pictures.variables)
                )
                line = dict(zip(names, (f"{PICTURES}/{name}", *texts), strict=True))
                index.write(f"{json_text(line, compact=True)}\n".encode())
                tally.add(row, facts)
                written += 1
        refuse_empty(written, pictures.left_out, folder)
        types = dict(zip(names, (str, *(kind for _, kind in columns(pictures.variables))), strict=True))
        with draft.new_beside(CARD) as file:
            file.write(card(tally, types, INDEX, PICTURES).encode())
        edited = draft.card_is_edited
    notes = (f"{CARD} was edited since the last export and is kept; delete it to get a new one",) if edited else ()
    return Exported(output, written, pictures.left_out, draft.replaced, notes)


def _columns(variables: tuple[str, ...]) -> tuple[str, ...]:
    return ("file_name", *(ORIGINAL if name == "file_name" else name for name, _ in columns(variables)))


def _copied(draft: Draft, name: str, pictures: Chosen, row: ManifestRow) -> bool:
    data = pictures.read(row)
    if data is None:
        return False
    with draft.new(name) as file:
        write_all(file.fileno(), data)
    return True


def _linked(draft: Draft, name: str, pictures: Chosen, row: ManifestRow) -> bool:
    try:
        with pictures.open_folder_of(row) as (folder, source):
            draft.link(name, folder, source)
    except FileNotFoundError:
        pictures.left_out += 1
        return False
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES}:
            raise
        raise UsageError(
            f"{harmless(str(pictures.folder))}: its pictures cannot have a second name in the folder of the export"
            " (another disk, or one without hard links)",
            "leave out `--pictures link`: copies work everywhere",
        ) from None
    return True


def refuse_empty(written: int, left_out: int, folder: Path) -> None:
    """Raise UsageError for a data set without a picture, which no reader can load."""
    if written:
        return
    shown = harmless(str(folder))
    if left_out:
        raise UsageError(
            f"{shown}: the files of all {left_out:,} chosen pictures are missing or changed; nothing was exported",
            f"batchgen verify {shown}",
        )
    message = f"{shown} holds no picture to export: nothing is stored there, or all of it is left out"
    raise UsageError(message, "run the job first, or choose fewer options that leave pictures out")
