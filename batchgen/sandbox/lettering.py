"""The caption of a picture: model, seed and the beginning of the prompt on a strip that can be read at 256 pixels.

Pillow's own font writes plain English everywhere alike; other scripts need a font of the machine. It refuses to fail:
what no font can write is left out.
"""

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from batchgen.sandbox.palette import Colour, mix

Font = ImageFont.FreeTypeFont
_NO_FONT = "(no font here for this script)"
_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/Hiragino Sans GB.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "/Library/Fonts/Arial Unicode.ttf",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
)


def caption(picture: Image.Image, model: str, seed: int, text: str, colours: Sequence[Colour]) -> None:
    """Write the strip onto the lower end of `picture`."""
    unit = min(picture.size)
    size = max(7, round(unit * 0.042))
    pad = round(size * 0.7)
    room = picture.width - 2 * pad
    lines = _wrapped(" ".join(text.split()), size, room, 1 if unit < 160 else 3)
    step = round(size * 1.28)
    height = step * (1 + len(lines)) + round(pad * 1.7)
    top = picture.height - height
    strip = Image.new("RGB", (picture.width, height), mix(colours[0], (0, 0, 0), 0.45))
    picture.paste(Image.blend(picture.crop((0, top, *picture.size)), strip, 0.86), (0, top))
    pen = ImageDraw.Draw(picture)
    accent = mix(colours[3], (255, 255, 255), 0.3)
    pen.rectangle((0, top, picture.width, top + max(0, size // 9)), fill=accent)
    base = top + pad + round(size * 0.55)
    pen.text((pad, base), model, font=_plain_font(size), fill=accent, anchor="lm", stroke_width=size / 40)
    number = f"seed {seed}"
    if pen.textlength(f"{model}  {number}", font=_plain_font(size)) > room:
        number = str(seed)
    pen.text((picture.width - pad, base), number, font=_plain_font(size), fill=accent, anchor="rm")
    for number_of_line, line in enumerate(lines, start=1):
        spot = (float(pad), float(base + step * number_of_line))
        for run, font in _runs(line, size):
            pen.text(spot, run, font=font, fill=(248, 246, 242), anchor="lm")
            spot = (spot[0] + font.getlength(run), spot[1])


def _wrapped(text: str, size: int, room: int, most: int) -> list[str]:
    """The text in at most `most` lines of `room` pixels, the last with dots when there is more."""
    lines: list[str] = []
    line = ""
    for word in _pieces(_writable(text, size)):
        if line and _length((line + word).rstrip(), size) > room:
            lines.append(line.rstrip())
            line = word.lstrip()
            if len(lines) > most:
                break
        else:
            line += word
    lines.append(line.rstrip())
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and _length(last + "...", size) > room:
        last = last[:-1]
    return [*lines[: most - 1], last.rstrip(" ,.;") + "..."]


def _pieces(text: str) -> list[str]:
    """Where a line may break: after spaces, and after every character of a script without them."""
    pieces = [""]
    for character in text:
        pieces[-1] += character
        if character == " " or unicodedata.east_asian_width(character) in "WF" or len(pieces[-1]) > 24:
            pieces.append("")
    return pieces


def _writable(text: str, size: int) -> str:
    """The text without what no font here can write."""
    kept = "".join(_simpler(character, size) for character in unicodedata.normalize("NFC", text))
    return " ".join(kept.split()) or (_NO_FONT if text else "")


def _simpler(character: str, size: int) -> str:
    if not character.isprintable():
        return " "
    if _font_for(character, size) is not None:
        return character
    plain = unicodedata.normalize("NFKD", character)
    return "".join(part for part in plain if part.isascii()) or (
        "-" if unicodedata.category(character) == "Pd" else " "
    )


def _runs(line: str, size: int) -> list[tuple[str, Font]]:
    """The line in pieces of one font each."""
    fonts = ((character, _font_for(character, size) or _plain_font(size)) for character in line)
    runs = itertools.groupby(fonts, key=lambda pair: id(pair[1]))
    return [("".join(character for character, _ in pairs), pairs[0][1]) for _, group in runs if (pairs := list(group))]


def _length(line: str, size: int) -> float:
    return sum(font.getlength(run) for run, font in _runs(line, size))


@functools.lru_cache(maxsize=64)
def _plain_font(size: int) -> Font:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@functools.lru_cache(maxsize=16)
def _machine_fonts(size: int) -> tuple[Font, ...]:
    return tuple(ImageFont.truetype(path, size) for path in _FONTS if Path(path).exists())


@functools.lru_cache(maxsize=4096)
def _font_for(character: str, size: int) -> Font | None:
    """The first font that can write the character; None when there is none."""
    if character.isascii():
        return _plain_font(size)
    for font in _machine_fonts(size):
        missing = bytes(font.getmask("\U0010fffe"))
        if bytes(font.getmask(character)) != missing:
            return font
    return None
