"""Contact sheets of a folder's pictures: `sheet-01.png` and so on, or one PDF with a page for each.

It owns which frames stand on the sheets, and that a task without a picture is not passed over in silence. It refuses to
change the folder that it reads.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from batchgen.errors import UsageError
from batchgen.outside import clean
from batchgen.storage.manifest import ManifestRow
from batchgen.storage.queries import task_columns
from batchgen.views.chosen import Choice, Chosen, Exported, chosen, unreadable
from batchgen.views.fonts import installed_faces
from batchgen.views.lettering import Lettering
from batchgen.views.sheet_drawing import Pen, decoded, draw_sheet, words_of_state
from batchgen.views.sheet_files import SheetFile, SheetFolder, name_of
from batchgen.views.sheet_grid import Frame, check_axes, make_grid
from batchgen.views.sheet_layout import make_layout, parts_of

MOST_FRAMES = 20_000
_MISSING = (
    "SELECT task_id, state, message, record FROM tasks WHERE state != 'stored'"
    " AND NOT EXISTS (SELECT 1 FROM pictures p WHERE p.task_id = tasks.task_id AND p.state = 'stored')"
)


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """How sheets look. Axes are words of the user, empty for chosen ones; `cell` is a picture's longer side in pixels."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    cell: int | None = None
    file: SheetFile = "png"


def export_sheet(
    connection: sqlite3.Connection, folder: Path, choice: Choice, output: Path, options: SheetOptions
) -> Exported:
    """Draw the chosen pictures of an output folder on sheets in the folder `output`, which is made if missing.

    Tasks without a picture are drawn, too, with their state in words, unless only kept pictures are asked for. Sheets
    of an earlier export are replaced, anything else is not. Raises UsageError for a choice that fits nothing, for an
    axis that no picture has and for a file of somebody else, StorageError for disk and ledger.
    """
    with chosen(connection, folder, choice) as pictures:
        frames = _frames(connection, pictures, choice)
        variables = {name for frame in frames for name in frame.facts["vars"]}
        rows, columns = (check_axes(axes, sorted(variables)) for axes in (options.rows, options.columns))
        grid = make_grid(frames, rows, columns)
        layout = make_layout(grid, frames, options.cell)
        letters = Lettering(installed_faces())
        pen = Pen(grid, layout, letters, _title(frames, pictures.folder), _loader(pictures))
        parts = list(parts_of(grid, layout))
        sheets = (draw_sheet(pen, part, number, len(parts)) for number, part in enumerate(parts, start=1))
        there = sum(frame.row is not None for frame in frames) + pictures.left_out
        with SheetFolder(output) as target:
            replaced = target.write(sheets, options.file, len(parts))
        left_out = pictures.left_out
    last = name_of(len(parts), len(parts), options.file)
    notes = () if len(parts) == 1 else (f"{len(parts)} {'pages' if options.file == 'pdf' else f'sheets, to {last}'}",)
    return Exported(
        output / name_of(1, len(parts), options.file), there - left_out, left_out, replaced, (*notes, *letters.notes())
    )


def _frames(connection: sqlite3.Connection, pictures: Chosen, choice: Choice) -> list[Frame]:
    """What stands on the sheets, in the order of the plan."""
    frames = []
    for row, facts in pictures:
        frames.append(Frame(facts, row, flags=tuple(map(str, facts["flags"]))))
        _refuse_too_many(frames)
    if choice.kept is None:
        try:
            for frame in _missing(connection, pictures):
                frames.append(frame)
                _refuse_too_many(frames)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # written by another program
            raise unreadable(pictures.folder, "a task is described there in a way that no batchgen writes") from None
    if not frames:
        raise UsageError("no picture is stored here yet: there is nothing to put on a sheet", "run the job first")
    return sorted(frames, key=lambda frame: (int(frame.facts["index"]), int(frame.facts["picture"])))


def _missing(connection: sqlite3.Connection, pictures: Chosen) -> Iterator[Frame]:
    """The tasks that were begun and have no picture."""
    for task in connection.execute(_MISSING):
        columns = task_columns(json.loads(task["record"]))
        numbers = {name: int(columns[name]) for name in ("index", "try", "seed")}
        variables = {str(name): str(value) for name, value in columns["vars"].items()}
        facts = columns | numbers | {"vars": variables, "picture": 1, "job": ""}
        if pictures.is_meant(facts):
            yield Frame(facts, state=words_of_state(str(task["state"])), reason=str(task["message"]))


def _refuse_too_many(frames: list[Frame]) -> None:
    if len(frames) > MOST_FRAMES:
        raise UsageError(
            f"more than {MOST_FRAMES:,} pictures: nobody looks at so many sheets",
            "choose some with --only or --kept; the gallery shows all of them",
        )


def _title(frames: list[Frame], folder: Path) -> str:
    names = {str(frame.facts["job"]) for frame in frames} - {""}
    return clean(names.pop() if len(names) == 1 else folder.name, 120) or "pictures"


def _loader(pictures: Chosen) -> Callable[[ManifestRow, tuple[int, int]], Image.Image | None]:
    def load(row: ManifestRow, box: tuple[int, int]) -> Image.Image | None:
        data = pictures.read(row)
        return None if data is None else decoded(data, box)

    return load
