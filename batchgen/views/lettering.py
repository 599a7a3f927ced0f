"""Text on a picture in any script, emoji in colour: each character in a font that has it, lines that fit a width.

Characters that no installed font has are drawn as a question mark and remembered, so that somebody can be told. It
refuses to lay out anything larger than a few lines of text.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont

from batchgen.views.fonts import Face

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont

_STAND_IN = "?"
_CHINESE_JAPANESE_KOREAN = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f"
    r"\uff00-\uffef\U0001b000-\U0001b16f\U00020000-\U000323af]")  # fmt: skip
_PICTURES = re.compile(r"[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
_CLUSTER = re.compile(
    r"[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    r"|(?s:.)(?:[\u0300-\u036f\u0483-\u0489\u064b-\u065f\u0900-\u0903\u093a-\u094f\u20d0-\u20f0\ufe0e\ufe0f"
    r"\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d(?s:.))*"
)
"""A character with what is written on it or joined to it."""
_IN_COLOUR = re.compile(r"[\ufe0f\u20e3\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")
_WIDE = re.compile(f"{_CHINESE_JAPANESE_KOREAN.pattern}[、。，．！？：；）」』】〉》”’]*")
_WORDS = re.compile(rf"{_WIDE.pattern}|\s+|[^\s]+?(?={_CHINESE_JAPANESE_KOREAN.pattern}|\s|$)")
_EMOJI_SIZES = (109, 160, 136, 128, 96, 64, 48, 32)
"""Pixels in which fonts keep their coloured pictures; 109 is Noto's."""
_EMOJI_SCALE = 1.18
_MAY_END_A_LINE = "-./_,;&?"
_PLAIN = re.compile(r"[ -~]*")
_BOLD = ("-regular", "-bold"), ("dejavusans.", "dejavusans-bold."), ("arial.", "arial bold.")
_HINTS = {
    "Chinese, Japanese or Korean": "fonts-noto-cjk",
    "emoji": "fonts-noto-color-emoji",
    "this script": "fonts-noto",
}


class Lettering:
    """Draws and measures text in the given fonts; sizes and widths are pixels."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self._faces = [face for face in faces if not face.is_emoji]
        self._emoji = [face for face in faces if face.is_emoji]
        self._bold = self._bold_first()
        self.missing: dict[str, None] = {}
        """Characters that no font had, in the order in which they came."""

    def width(self, text: str, size: int, *, bold: bool = False) -> float:
        """How much room a line takes."""
        return sum(self._run_width(run, face, size) for run, face in self._runs(text, bold))

    def draw(self, image: Image.Image, at: tuple[float, float], text: str, size: int, colour: Colour, *, bold: bool = False) -> None:  # fmt: skip
        """Write one line; `at` is its left end and its top. The baseline lies `size` below the top."""
        x, top = at
        pen = ImageDraw.Draw(image)
        for run, face in self._runs(text, bold):
            if face is not None and face.is_emoji:
                self._draw_emoji(image, (x, top), run, face, size)
            else:
                pen.text((x, top + size), run, font=_font(face, size), fill=colour, anchor="ls")
            x += self._run_width(run, face, size)

    def wrap(self, text: str, size: int, width: float, lines: int, *, bold: bool = False) -> list[str]:
        """`text` in at most so many lines of that width; what does not fit ends in `…`."""
        done: list[str] = []
        line = ""
        for word in _WORDS.findall(text.strip()):
            if self.width(line + word.rstrip(), size, bold=bold) <= width:
                line += word
                continue
            if line.strip():
                done.append(line.strip())
            line = word.lstrip()
            while self.width(line, size, bold=bold) > width and len(done) < lines:
                head = self._head(line, size, width, bold=bold)
                at = max(head.rfind(mark) for mark in _MAY_END_A_LINE) + 1
                head = head[:at] if at > len(head) // 3 else head
                done.append(head)
                line = line[len(head) :]
            if len(done) >= lines:
                return [*done[: lines - 1], self.shorten(done[lines - 1] + line + "…", size, width, bold=bold)]
        if line.strip():
            done.append(line.strip())
        if len(done) > lines:
            return [*done[: lines - 1], self.shorten(f"{done[lines - 1]} {done[lines]}", size, width, bold=bold)]
        return done

    def shorten(self, text: str, size: int, width: float, *, bold: bool = False) -> str:
        """One line of at most that width; a longer one ends in `…`."""
        if self.width(text, size, bold=bold) <= width:
            return text
        dots = self.width("…", size, bold=bold)
        return self._head(text.rstrip("…"), size, width - dots, bold=bold).rstrip() + "…"

    def notes(self) -> Iterator[str]:
        """Words for the user about what could not be drawn, and what to install."""
        kinds: dict[str, list[str]] = {}
        for character in self.missing:
            kinds.setdefault(_kind(character), []).append(character)
        for kind, characters in kinds.items():
            shown = " ".join(characters[:5])
            more = f" and {len(characters) - 5} more" if len(characters) > 5 else ""
            yield (
                f"no installed font shows {shown}{more}: drawn as {_STAND_IN}; install a font for {kind} "
                f"(on Debian: {_HINTS[kind]}) and export again"
            )

    def _head(self, text: str, size: int, width: float, *, bold: bool) -> str:
        """The beginning of a line that fits; at least one character."""
        clusters = _CLUSTER.findall(text)
        low, high = 1, max(1, len(clusters))
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.width("".join(clusters[:middle]), size, bold=bold) <= width
            low, high = (middle, high) if fits else (low, middle - 1)
        return "".join(clusters[:low])

    def _runs(self, text: str, bold: bool) -> Iterator[tuple[str, Face | None]]:
        """The text in pieces of one font each; None is the font that Pillow brings with it."""
        run, current = "", None
        for cluster in self._clusters(text):
            shown, face = self._choose(cluster, bold)
            if run and face != current:
                yield run, current
                run = ""
            run, current = run + shown, face
        if run:
            yield run, current

    def _clusters(self, text: str) -> list[str]:
        faces = self._bold or self._faces
        if _PLAIN.fullmatch(text) and faces:
            return [text]  # most labels: the first font is asked for one letter
        return _CLUSTER.findall(text)

    def _choose(self, cluster: str, bold: bool) -> tuple[str, Face | None]:
        texts = self._bold + self._faces if bold else self._faces
        in_colour = _IN_COLOUR.search(cluster) is not None
        base = cluster[0]
        for face in [*self._emoji, *texts] if in_colour else [*texts, *self._emoji]:
            if face.shows(base):
                return cluster, face
        if not self._faces and cluster.isascii():
            return cluster, None
        if unicodedata.category(base) not in {"Cf", "Mn", "Me"} and not base.isspace():
            self.missing[base] = None
            return _STAND_IN, next(iter(texts), None)
        return " " if base.isspace() else "", next(iter(texts), None)

    def _bold_first(self) -> list[Face]:
        """The bold brothers of the fonts for texts, where they are installed."""
        by_path = {face.path.lower(): face for face in self._faces}
        found = []
        for face in self._faces[:6]:
            for plain, bold in _BOLD:
                brother = by_path.get(face.path.lower().replace(plain, bold)) if plain in face.path.lower() else None
                if brother is not None:
                    found.append(Face(brother.path, face.index))
        return found

    def _run_width(self, run: str, face: Face | None, size: int) -> float:
        if face is not None and face.is_emoji:
            font, native = _emoji_font(face)
            return font.getlength(run) * size * _EMOJI_SCALE / native
        return _font(face, size).getlength(run)

    @staticmethod
    def _draw_emoji(image: Image.Image, at: tuple[float, float], run: str, face: Face, size: int) -> None:
        font, native = _emoji_font(face)
        box = font.getbbox(run, anchor="ls")
        large = Image.new("RGBA", (max(1, round(box[2])), max(1, round(box[3] - box[1]))))
        ImageDraw.Draw(large).text((0, -box[1]), run, font=font, embedded_color=True, anchor="ls", fill=(60, 60, 60))
        scale = size * _EMOJI_SCALE / native
        small = large.resize(
            (max(1, round(large.width * scale)), max(1, round(large.height * scale))), Image.Resampling.LANCZOS
        )
        image.paste(small, (round(at[0]), round(at[1] + size + box[1] * scale)), small)


def _kind(character: str) -> str:
    if _CHINESE_JAPANESE_KOREAN.match(character):
        return "Chinese, Japanese or Korean"
    return "emoji" if _PICTURES.match(character) else "this script"


@functools.lru_cache(maxsize=64)
def _font(face: Face | None, size: int) -> Font:
    if face is None:
        found = ImageFont.load_default(size)
        assert isinstance(found, Font)  # Pillow is built with FreeType wherever it comes as a wheel
        return found
    return ImageFont.truetype(face.path, size, face.index)


@functools.lru_cache(maxsize=4)
def _emoji_font(face: Face) -> tuple[Font, int]:
    """The font and the size in which its pictures are kept. Raises OSError when it has none of the sizes in use."""
    for size in _EMOJI_SIZES:
        try:
            return ImageFont.truetype(face.path, size, face.index), size
        except OSError:
            continue
    return ImageFont.truetype(face.path, _EMOJI_SIZES[-1], face.index), _EMOJI_SIZES[-1]
