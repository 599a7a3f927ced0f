"""Labels in any script: no box in silence, lines that fit, emoji in colour."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFont

from batchgen.views.fonts import Face, faces_of, installed_faces
from batchgen.views.lettering import Lettering

CHINESE = "雪地里的红狐狸"
EMOJI = "🌆"
FAMILY = "👩\u200d🚀"
NO_SCRIPT = "\U000e1234"


def drawn(letters: Lettering, text: str, size: int = 40, width: int = 900) -> Image.Image:
    image = Image.new("RGB", (width, size * 2), "white")
    letters.draw(image, (4, 4), text, size, (0, 0, 0))
    return image


def ink(image: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageChops.invert(image).getbbox()


def faces() -> tuple[Face, ...]:
    found = installed_faces()
    assert found, "these tests need the fonts that the set-up installs"
    return found


@pytest.mark.parametrize("text", ["雪", "한", "か", "Ж", "A", "“"])
def test_a_character_is_drawn_as_itself_and_not_as_the_box_of_its_font(text: str) -> None:
    letters = Lettering(faces())
    face = next(face for face in faces() if face.shows(text))
    box = ImageFont.truetype(face.path, 40, face.index).getmask("\U000ffffd")
    glyph = ImageFont.truetype(face.path, 40, face.index).getmask(text)

    image = drawn(letters, text)

    assert (glyph.size, bytes(glyph)) != (box.size, bytes(box))
    assert ink(image) is not None
    assert list(letters.notes()) == []


@pytest.mark.parametrize("text", [EMOJI, FAMILY, "🇯🇵", "☀\ufe0f", "1\ufe0f\u20e3"])
def test_emoji_are_in_colour_and_what_is_joined_is_one_picture(text: str) -> None:
    letters = Lettering(faces())

    image = drawn(letters, text)

    saturation = image.convert("HSV").getchannel("S").histogram()
    assert sum(saturation[60:]) > 20
    assert letters.width(text, 40) < 60
    assert letters.missing == {}


def test_what_no_font_shows_is_a_question_mark_and_is_said_with_what_to_install() -> None:
    plain = [face for face in faces() if not face.shows("雪") and not face.is_emoji]
    letters = Lettering(plain)

    image = drawn(letters, f"a {CHINESE} {EMOJI}")

    notes = list(letters.notes())
    assert ink(image) == ink(drawn(Lettering(plain), "a ??????? ?"))
    assert len(notes) == 2
    assert "no installed font shows 雪 地 里 的 红 and 2 more" in notes[0]
    assert "fonts-noto-cjk" in notes[0]
    assert "fonts-noto-color-emoji" in notes[1]


def test_a_machine_without_fonts_still_gets_latin_letters_and_is_told_about_the_rest() -> None:
    letters = Lettering(())

    image = drawn(letters, "a fox 雪")

    assert ink(image) is not None
    assert letters.width("a fox", 40) > 50
    assert ["雪" in note for note in letters.notes()] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "a very long prompt about a fox who walked through the snow for many days",
        "雪地里的红狐狸，水墨画风格，远处有松树和雾，雪地里的红狐狸，水墨画风格，远处有松树和雾",
        "onewordthatislongerthananylineandhastobebrokensomewhereorelse" * 3,
        "a-quiet-harbour-at-2e68.dusk.ink-and-more-of-it",
        f"{FAMILY}{EMOJI}" * 40,
        "",
    ],
)
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_no_line_is_wider_than_its_room_and_none_is_too_many(text: str, lines: int) -> None:
    letters = Lettering(faces())

    wrapped = letters.wrap(text, 20, 240, lines)

    assert len(wrapped) <= lines
    assert all(letters.width(line, 20) <= 240 for line in wrapped)
    if "".join(wrapped).replace(" ", "") != text.replace(" ", ""):
        assert wrapped[-1].endswith("…")


def test_everything_is_kept_where_there_is_room_for_it() -> None:
    letters = Lettering(faces())
    text = "a red fox in the snow, 水墨画风格 🌆 and a lamp"

    wrapped = letters.wrap(text, 20, 200, 20)

    assert "".join(wrapped).replace(" ", "") == text.replace(" ", "")
    assert len(wrapped) > 1


def test_an_id_is_broken_behind_a_hyphen_or_a_dot_and_chinese_marks_begin_no_line() -> None:
    letters = Lettering(faces())

    assert letters.wrap("a-quiet-harbour-at-2e68.dusk.ink", 20, 200, 3)[0][-1] in "-."
    marks = letters.wrap("雪地，" * 40, 20, 203, 40)
    assert not [line for line in marks if line.startswith("，")]


def test_a_huge_text_costs_no_more_than_what_is_shown_of_it() -> None:
    letters = Lettering(faces())

    assert len(letters.wrap("word " * 20_000, 20, 300, 3)) == 3


def test_files_that_are_no_fonts_or_damaged_ones_are_passed_over(tmp_path: Path) -> None:
    good = next(face for face in faces() if face.shows("A"))
    for name, content in (("cut.ttf", Path(good.path).read_bytes()[:300]), ("text.otf", b"hello"), ("empty.ttc", b"")):
        (tmp_path / name).write_bytes(content)
    found = faces_of([*map(str, tmp_path.iterdir()), str(tmp_path / "missing.ttf"), "/etc/hostname"])

    assert len(found) == 4
    assert not any(face.shows("A") for face in found)
    assert list(Lettering((*found, good)).notes()) == []
