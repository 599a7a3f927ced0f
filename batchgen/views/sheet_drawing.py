"""One contact sheet: pictures in their places, labels beside them, and words where a picture is missing.

One sheet is in memory at a time, and one picture, decoded no larger than it is shown where its format allows that. It
refuses to choose what stands where, and to write files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw
from PIL.Image import DecompressionBombError

from batchgen.errors import PictureError
from batchgen.outside import clean
from batchgen.storage.manifest import ManifestRow
from batchgen.storage.pictures import MAX_PIXELS
from batchgen.storage.walks import walk_to_end
from batchgen.views.lettering import Colour, Lettering
from batchgen.views.sheet_grid import Frame, Grid, Label
from batchgen.views.sheet_layout import Layout, Part

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (29, 30, 34)
_SOFT: Colour = (104, 107, 117)
_WELL: Colour = (243, 241, 237)
_LINE: Colour = (216, 213, 206)
_MARK: Colour = (255, 214, 165)
_MARK_INK: Colour = (106, 45, 4)
_FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True, slots=True)
class Pen:
    """Everything that all sheets of one export share."""

    grid: Grid
    layout: Layout
    letters: Lettering
    title: str
    load: Callable[[ManifestRow, tuple[int, int]], Image.Image | None]
    """A stored picture, no larger than a box; None when it cannot be read."""


def draw_sheet(pen: Pen, part: Part, number: int, of: int) -> Image.Image:
    """The sheet `number` (from 1) of `of`."""
    layout = pen.layout
    sheet = Image.new("RGB", (layout.width(len(part.columns)), layout.height(len(part.rows))), _PAPER)
    _draw_title(pen, sheet, number, of)
    if not pen.grid.flows:
        _draw_labels(pen, sheet, part)
    for line, row in enumerate(part.rows):
        for place, column in enumerate(part.columns):
            at = row * layout.columns + column
            frame = pen.grid.frames.get((at, 0) if pen.grid.flows else (row, column))
            if frame is None:
                continue
            left = layout.margin + layout.side + place * (layout.cell_width + layout.gap)
            top = _top(layout, line)
            _draw_frame(pen, sheet, frame, (left, top))
            if pen.grid.flows:
                _draw_caption(pen, sheet, pen.grid.rows[at], (left, top + layout.cell_height))
    return sheet


def decoded(data: bytes, box: tuple[int, int]) -> Image.Image | None:
    """A picture as it is shown upright in a box; None for bytes that are none, or a larger one than is ever stored."""
    try:
        walk = walk_to_end(data)
        if not 0 < walk.width * walk.height <= MAX_PIXELS:
            return None
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            image.draft("RGB", box)
            image.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=3.0)
            return _on_paper(image)
    except (PictureError, DecompressionBombError, OSError, ValueError, SyntaxError, MemoryError, EOFError):
        return None


def _on_paper(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image.copy()
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        paper = Image.new("RGB", seen.size, _PAPER)
        paper.paste(seen, mask=seen.getchannel("A"))
        return paper
    return image.convert("RGB")


def _top(layout: Layout, line: int) -> int:
    step = layout.cell_height + layout.below + layout.gap
    return layout.margin + layout.title + layout.top + line * step


def _draw_title(pen: Pen, sheet: Image.Image, number: int, of: int) -> None:
    layout, size = pen.layout, round(pen.layout.text * 1.5)
    room = sheet.width - 2 * layout.margin
    name = pen.letters.shorten(pen.title, size, room, bold=True)
    pen.letters.draw(sheet, (layout.margin, layout.margin - size // 4), name, size, _INK, bold=True)
    there = sum(1 for frame in pen.grid.frames.values() if frame.row is not None)
    missing = len(pen.grid.frames) - there
    words = f"{there:,} {'picture' if there == 1 else 'pictures'}, {pen.grid.words}"
    words += f", {missing:,} missing" if missing else ""
    words += f" · sheet {number} of {of}" if of > 1 else ""
    words = pen.letters.shorten(words, layout.text, room)
    pen.letters.draw(sheet, (layout.margin, layout.margin + size * 1.25), words, layout.text, _SOFT)


def _draw_labels(pen: Pen, sheet: Image.Image, part: Part) -> None:
    layout, letters, size = pen.layout, pen.letters, pen.layout.text
    rule = ImageDraw.Draw(sheet)
    bottom = _top(layout, 0) - round(size * 0.7)
    for place, column in enumerate(part.columns):
        left = layout.margin + layout.side + place * (layout.cell_width + layout.gap)
        label = pen.grid.columns[column]
        lines = letters.wrap(label.title, size, layout.cell_width, 2, bold=True)
        if label.text and len(lines) == 1:
            lines += letters.wrap(label.text, size, layout.cell_width, 1)
        top = bottom - round(len(lines) * size * 1.3)
        for number, line in enumerate(lines):
            letters.draw(sheet, (left, top + round(number * size * 1.3)), line, size, _INK, bold=number == 0)
    rule.line([(layout.margin, bottom + 3), (sheet.width - layout.margin, bottom + 3)], fill=_LINE, width=1)
    for line_number, row in enumerate(part.rows):
        top = _top(layout, line_number)
        if line_number:
            y = top - layout.gap // 2
            rule.line([(layout.margin, y), (layout.margin + layout.side - layout.gap, y)], fill=_LINE, width=1)
        lines_of_title = letters.wrap(pen.grid.rows[row].title, size, layout.side - layout.gap, 3, bold=True)
        room = max(0, int(layout.cell_height / (size * 1.35)) - len(lines_of_title))
        lines_of_text = letters.wrap(pen.grid.rows[row].text, size, layout.side - layout.gap, room) if room else []
        _draw_lines(letters, sheet, (layout.margin, top), (lines_of_title, lines_of_text), size)


def _draw_caption(pen: Pen, sheet: Image.Image, label: Label, at: tuple[int, int]) -> None:
    letters, size, width = pen.letters, pen.layout.text, pen.layout.cell_width
    title = [letters.shorten(label.title, size, width, bold=True)] if label.title else []
    text = letters.wrap(label.text, size, width, 3 - len(title))
    _draw_lines(letters, sheet, (at[0], at[1] + round(size * 0.35)), (title, text), size)


def _draw_lines(
    letters: Lettering, sheet: Image.Image, at: tuple[int, int], lines: tuple[list[str], list[str]], size: int
) -> None:
    left, top = at
    for number, line in enumerate((*lines[0], *lines[1])):
        bold = number < len(lines[0])
        colour = _INK if bold or not lines[0] else _SOFT
        letters.draw(sheet, (left, top + round(number * size * 1.35)), line, size, colour, bold=bold)


def _draw_frame(pen: Pen, sheet: Image.Image, frame: Frame, at: tuple[int, int]) -> None:
    layout = pen.layout
    box = (layout.cell_width, layout.cell_height)
    picture = None if frame.row is None else pen.load(frame.row, box)
    if picture is None:
        _draw_missing(pen, sheet, frame, at)
        return
    # Close to its label: beside it, or right above it.
    place = (at[0], at[1] + (box[1] - picture.height if pen.grid.flows else 0))
    sheet.paste(picture, place)
    if frame.flags:
        _draw_flags(pen, sheet, frame, (place[0], place[1] + picture.height, picture.width))


def _draw_missing(pen: Pen, sheet: Image.Image, frame: Frame, at: tuple[int, int]) -> None:
    layout, letters, size = pen.layout, pen.letters, pen.layout.text
    corners = [at, (at[0] + layout.cell_width - 1, at[1] + layout.cell_height - 1)]
    ImageDraw.Draw(sheet).rectangle(corners, fill=_WELL, outline=_LINE, width=1)
    room = layout.cell_width - 2 * size
    state = frame.state or "its file is missing or damaged"
    title = letters.wrap(clean(state, 80), size, room, 2, bold=True)
    lines = max(0, int((layout.cell_height - 2 * size) / (size * 1.35)) - len(title))
    text = letters.wrap(clean(frame.reason, 300), size, room, lines) if frame.reason and lines else []
    _draw_lines(letters, sheet, (at[0] + size, at[1] + size), (title, text), size)


def _draw_flags(pen: Pen, sheet: Image.Image, frame: Frame, corner: tuple[int, int, int]) -> None:
    """A small mark in the lower left corner of the picture: the words, or their number where there is no room."""
    size = max(11, round(pen.layout.text * 0.8))
    left, bottom, width = corner
    words = clean(", ".join(frame.flags), 80)
    if pen.letters.width(words, size) > width - 2 * size:
        words = "!" if len(frame.flags) == 1 else f"{len(frame.flags)} flags"
    pad = round(size * 0.5)
    right = left + 3 * pad + round(pen.letters.width(words, size))
    box = [left + pad, bottom - pad - round(size * 1.7), right, bottom - pad]
    ImageDraw.Draw(sheet).rounded_rectangle(box, radius=round(size * 0.6), fill=_MARK)
    pen.letters.draw(sheet, (box[0] + pad, box[1] + round(size * 0.22)), words, size, _MARK_INK)


def words_of_state(state: str) -> str:
    """A state of the ledger as it is written in an empty place."""
    return _STATES.get(state, state)


_STATES: Mapping[str, str] = {
    "sending": "outcome unknown",
    "unknown": "outcome unknown",
    "billed": "waiting for download",
    "waiting": "waiting for download",
    "expired": "link expired",
}
