"""The drawing ground that every style shares: soft colour fields, smooth edges, grain, and input pictures.

Styles work in fractions of the picture's size, so that a small picture shows the same thing as a large one.
It refuses to know models and prompts.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageChops, ImageDraw, ImageOps

from batchgen.sandbox.palette import Colour

Point = tuple[float, float]
_SMOOTHING = 2
_GRAIN_TILE = 128


@dataclass(frozen=True, slots=True)
class Scene:
    """What a style is given: the size in pixels, seeded chance, five colours dark to light, knobs from 0 to 1, inputs."""

    width: int
    height: int
    chance: random.Random
    colours: tuple[Colour, ...]
    detail: float
    strength: float
    inputs: tuple[Image.Image, ...] = ()

    @property
    def unit(self) -> int:
        """The shorter side in pixels: what line widths are measured in."""
        return min(self.width, self.height)

    def blend(self, rows: Sequence[Sequence[Colour]]) -> Image.Image:
        """A soft field of colour through the given grid of colours, top row first."""
        small = Image.new("RGB", (len(rows[0]), len(rows)))
        small.putdata([colour for row in rows for colour in row])
        return small.resize((self.width, self.height), Image.Resampling.BICUBIC)

    def smooth(self, ground: Image.Image, draw: Callable[["Pen"], None]) -> Image.Image:
        """The ground with shapes on it whose edges are smooth."""
        large = ground.resize((ground.width * _SMOOTHING, ground.height * _SMOOTHING), Image.Resampling.NEAREST)
        draw(Pen(large))
        return large.reduce(_SMOOTHING)

    def mask(self, draw: Callable[["Pen"], None]) -> Image.Image:
        """A mask, 0 outside and 255 inside what is drawn (in colour 255), with smooth edges."""
        large = Image.new("L", (self.width * _SMOOTHING, self.height * _SMOOTHING), 0)
        draw(Pen(large))
        return large.reduce(_SMOOTHING)

    def glow(self, ground: Image.Image, centre: Point, radius: float, colour: Colour, power: float) -> Image.Image:
        """The ground with a soft light at `centre` (fractions); `radius` in fractions of the unit, `power` up to 1."""
        side = max(2, round(radius * 2 * self.unit))
        light = ImageOps.invert(Image.radial_gradient("L")).resize((side, side))
        light = light.point([round(max(0, level - 75) * power * 1.4) if level < 255 else 255 for level in range(256)])
        place = (round(centre[0] * self.width - side / 2), round(centre[1] * self.height - side / 2))
        result = ground.copy()
        result.paste(colour, (*place, place[0] + side, place[1] + side), light)
        return result

    def cover(self, number: int, size: tuple[int, int] | None = None) -> Image.Image:
        """Input picture `number` cut and enlarged to fill `size` (the whole picture by default)."""
        picture = self.inputs[number % len(self.inputs)]
        return ImageOps.fit(picture, size or (self.width, self.height), Image.Resampling.BICUBIC)


class Pen:
    """Draws with coordinates in fractions of the ground's width and height; widths and radii in fractions of the unit."""

    def __init__(self, ground: Image.Image) -> None:
        self.ground = ground
        self._draw = ImageDraw.Draw(ground)
        self._width, self._height = ground.size
        self.unit = min(ground.size)

    def polygon(self, points: Sequence[Point], colour: Colour | int) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self._width, y * self._height) for x, y in points], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour | int, width: float) -> None:
        """A line through the points."""
        spots = [(x * self._width, y * self._height) for x, y in points]
        self._draw.line(spots, fill=colour, width=max(1, round(width * self.unit)))

    def disc(self, x: float, y: float, radius: float, colour: Colour | int) -> None:
        """A filled circle."""
        left, top, reach = x * self._width, y * self._height, radius * self.unit
        self._draw.ellipse((left - reach, top - reach, left + reach, top + reach), fill=colour)

    def ring(self, x: float, y: float, radius: float, colour: Colour | int, width: float) -> None:
        """A circle's outline."""
        left, top, reach = x * self._width, y * self._height, radius * self.unit
        box = (left - reach, top - reach, left + reach, top + reach)
        self._draw.ellipse(box, outline=colour, width=max(1, round(width * self.unit)))

    def rounded(self, box: tuple[float, float, float, float], radius: float, colour: Colour | int) -> None:
        """A filled rectangle (left, top, right, bottom) with round corners."""
        left, top, right, bottom = box
        corners = (left * self._width, top * self._height, right * self._width, bottom * self._height)
        self._draw.rounded_rectangle(corners, radius=radius * self.unit, fill=colour)


def grain(picture: Image.Image, chance: random.Random, amount: float) -> Image.Image:
    """The picture with fine paper grain; `amount` is the largest change of a level, out of 255."""
    tile = Image.frombytes("L", (_GRAIN_TILE, _GRAIN_TILE), chance.randbytes(_GRAIN_TILE**2))
    low, span = 128 - amount, 2 * amount
    tile = tile.point([round(low + level / 255 * span) for level in range(256)])
    sheet = Image.new("L", picture.size)
    for left in range(0, picture.width, _GRAIN_TILE):
        for top in range(0, picture.height, _GRAIN_TILE):
            sheet.paste(tile, (left, top))
    return ImageChops.add(picture, Image.merge("RGB", (sheet, sheet, sheet)), offset=-128)


def open_input(data: bytes) -> Image.Image:
    """A small input picture that a sketch carries."""
    with Image.open(BytesIO(data), formats=("WEBP",)) as picture:
        return picture.convert("RGB")
