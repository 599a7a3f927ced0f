"""What is on a sheet: the pictures, the labels beside them, words for what is missing, a mark for what is flagged."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageChops

from batchgen.storage.manifest import ManifestRow
from batchgen.views.fonts import installed_faces
from batchgen.views.lettering import Lettering
from batchgen.views.sheet_drawing import Pen, decoded, draw_sheet
from batchgen.views.sheet_files import write_pdf
from batchgen.views.sheet_grid import Frame, Label, make_grid
from batchgen.views.sheet_layout import make_layout, parts_of
from tests.storage.pictures import png_of_size

BLUE = (20, 40, 200)


def row(**facts: Any) -> ManifestRow:
    values: dict[str, Any] = {
        field.name: {str: "", int: 0, float: 0.0}[field.type]  # type: ignore[index]
        for field in dataclasses.fields(ManifestRow)
    }
    return ManifestRow(**values | {"width": 64, "height": 64} | facts)


def frame(prompt: str = "fox", label: str = "dev", *, stored: bool = True, **more: Any) -> Frame:
    facts = {"prompt_id": prompt, "row": prompt, "prompt": f"a {prompt}", "label": label, "vars": {}, "picture": 1}
    return Frame(facts | {"try": 1, "seed": 1, "night": ""}, row() if stored else None, **more)


def blue(_row: ManifestRow, box: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", box, BLUE)


def sheet(*frames: Frame, load: Callable[[ManifestRow, tuple[int, int]], Image.Image | None] = blue) -> Image.Image:
    grid = make_grid(frames, (), ())
    layout = make_layout(grid, frames, 200)
    (part,) = parts_of(grid, layout)
    return draw_sheet(Pen(grid, layout, Lettering(installed_faces()), "night", load), part, 1, 1)


def four(**more: Any) -> list[Frame]:
    """Two prompts by two models; `more` is about the last of them."""
    return [frame("fox"), frame("fox", "pro"), frame("lamp"), frame("lamp", "pro", **more)]


def changed(one: Image.Image, other: Image.Image) -> tuple[int, int, int, int] | None:
    assert one.size == other.size
    return ImageChops.difference(one, other).getbbox()


def test_every_picture_is_there_as_large_as_its_cell() -> None:
    drawn = sheet(*four())

    assert drawn.histogram()[512 + 200] >= 4 * 200 * 200


@pytest.mark.parametrize("word", ["狐狸", "🦊", "fox2"])
def test_a_label_is_drawn_beside_its_row_and_nowhere_else(word: str) -> None:
    plain = sheet(*four())
    named = sheet(*[dataclasses.replace(each, facts={**each.facts, "prompt": f"a {word}"}) if each.facts["row"] == "fox" else each for each in four()])  # fmt: skip

    box = changed(plain, named)

    assert box is not None
    picture = next(left for left in range(plain.width) if plain.getpixel((left, plain.height // 2)) == BLUE)
    assert box[2] < picture
    assert box[1] > 40
    assert box[3] < plain.height // 2 + 40


def test_a_missing_picture_has_a_place_of_its_own_with_its_state_and_the_reason_in_words() -> None:
    words = sheet(*four(stored=False, state="failed", reason="a sensitive prompt"))
    no_reason = sheet(*four(stored=False, state="failed"))
    other = sheet(*four(stored=False, state="link expired"))

    assert changed(words, no_reason)
    assert changed(no_reason, other)
    assert words.histogram()[512 + 200] < 3.2 * 200 * 200


def test_a_picture_that_cannot_be_read_any_more_is_words_too() -> None:
    assert changed(sheet(*four()), sheet(*four(), load=lambda _row, _box: None))


def test_a_flag_is_a_small_mark_on_the_picture() -> None:
    box = changed(sheet(*four()), sheet(*four(flags=("black", "size"))))

    assert box is not None
    assert box[2] - box[0] < 200
    assert box[3] - box[1] < 60


def test_labels_are_cut_where_there_is_no_room_for_them() -> None:
    long = [
        dataclasses.replace(each, facts={**each.facts, "prompt": "word " * 400, "label": "label" * 60})
        for each in four()
    ]
    twos = [dataclasses.replace(each, facts={**each.facts, "label": f"{number}{'label' * 60}"}) for number, each in enumerate(long)]  # fmt: skip

    assert sheet(*twos).size[1] < 2000


@pytest.mark.parametrize(
    ("mode", "save"),
    [
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("L", "PNG"),
        ("P", "PNG"),
        ("I;16", "PNG"),
        ("LA", "WEBP"),
        ("CMYK", "JPEG"),
        ("RGB", "JPEG"),
    ],
)
def test_a_picture_of_any_kind_is_shown_within_its_box(mode: str, save: str) -> None:
    data = io.BytesIO()
    (Image.new("RGBA", (500, 300)) if mode == "LA" else Image.new(mode, (500, 300))).save(data, save)

    shown = decoded(data.getvalue(), (100, 100))

    assert shown is not None
    assert (shown.mode, shown.size) == ("RGB", (100, 60))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(40), b"%PDF-1.4", bytes(1000)])
def test_what_is_no_whole_picture_is_not_shown(data: bytes) -> None:
    assert decoded(data, (100, 100)) is None


def test_a_bomb_of_pixels_is_not_decoded() -> None:
    assert decoded(png_of_size(50_000, 50_000), (100, 100)) is None


def test_a_pdf_has_a_page_for_each_sheet_and_its_table_of_contents_is_right() -> None:
    out = io.BytesIO()

    write_pdf(out, (Image.new("RGB", (200 + 10 * number, 100), BLUE) for number in range(12)))

    data = out.getvalue()
    assert data.count(b"/Type /Page ") == 12
    assert b"/Count 12" in data
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start : start + 4] == b"xref"
    places = [int(line[:10]) for line in data[start:].split(b"\n")[3:] if line.endswith(b" n ")]
    assert len(places) == 2 + 3 * 12
    assert all(data[place:].startswith(b"%d 0 obj" % number) for number, place in enumerate(places, start=1))
    assert b"/MediaBox [0 0 155.00 50.00]" in data


def test_a_label_says_nothing_twice() -> None:
    grid = make_grid([frame("a-fox-1a2b")], (), ())

    assert grid.rows == (Label("", "a a-fox-1a2b"),)
