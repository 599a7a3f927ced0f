"""The styles of the models that draw from text alone: misty hills, silk ribbons and a cut crystal.

Each is a function from a scene to a picture of the scene's size. They refuse to write text and to encode.
"""

import itertools
import math

from PIL import Image, ImageChops

from batchgen.sandbox.canvas import Pen, Point, Scene
from batchgen.sandbox.palette import Colour, along, mix

WHITE: Colour = (255, 255, 255)


def hills(scene: Scene) -> Image.Image:
    """Layers of hills in mist under a large sun; an input picture becomes the sky, the more so the lower the strength."""
    chance, dark = scene.chance, scene.colours[0]
    night = chance.random() < 0.4
    top, middle, low = (0.3, 1.4, 2.7) if night else (2.0, 3.0, 3.9)
    sky_rows = [
        [along(scene.colours, (level + chance.uniform(-0.35, 0.35)) / 4) for _ in range(3)]
        for level in (top, (top + middle) / 2, middle, (middle + low) / 2, low, low)
    ]
    picture = scene.blend(sky_rows)
    sun = (chance.uniform(0.2, 0.8), chance.uniform(0.16, 0.4))
    if scene.inputs:
        picture = Image.blend(scene.cover(0), picture, 0.15 + 0.45 * scene.strength)
    else:
        picture = scene.glow(picture, sun, 0.75, scene.colours[4], 0.8)
    haze = along(scene.colours, (low - 0.2) / 4)
    count = 4 + round(scene.detail * 3)
    start = chance.uniform(0.42, 0.52)
    tops = [_ridge(scene, start + (0.98 - start) * number / count, number / count) for number in range(count)]

    def draw(pen: Pen) -> None:
        if night:
            for _ in range(90):
                x, y = chance.random(), chance.random() ** 1.5 * 0.6
                pen.disc(x, y, chance.uniform(0.0008, 0.0024), mix(scene.colours[4], WHITE, 0.5))
        if not scene.inputs:
            pen.disc(*sun, chance.uniform(0.07, 0.13), mix(scene.colours[4], WHITE, 0.35))
        for number, ridge in enumerate(tops):
            depth = (number + 1) / count
            colour = mix(haze, dark, depth**0.85)
            pen.polygon([*ridge, (1.02, 1.02), (-0.02, 1.02)], colour)
            if number >= count - 2:
                _pines(scene, pen, ridge, colour, 0.022 + 0.02 * depth)

    return scene.smooth(picture, draw)


def _ridge(scene: Scene, base: float, nearness: float) -> list[Point]:
    chance = scene.chance
    waves = [(2**k * chance.uniform(0.7, 1.3) * 3.2, chance.uniform(0, math.tau), 0.055 / 1.85**k) for k in range(6)]
    reach = 1.25 - 0.5 * nearness
    points = []
    for step in range(91):
        x = step / 90 * 1.04 - 0.02
        points.append((x, base + reach * sum(size * math.sin(x * rate + shift) for rate, shift, size in waves)))
    return points


def _pines(scene: Scene, pen: Pen, ridge: list[Point], colour: Colour, size: float) -> None:
    chance = scene.chance
    aspect = scene.width / scene.height
    for x, y in ridge:
        if chance.random() < 0.62:
            tall = size * chance.uniform(0.5, 1.5)
            wide = tall * 0.3 / aspect
            left = x + chance.uniform(-0.006, 0.006)
            for tier in (0.0, 0.3, 0.55):
                tip, foot = y + 0.006 - tall * (1 - tier * 0.55), y + 0.006 - tall * (0.55 - tier)
                spread = wide * (0.55 + tier * 0.8)
                pen.polygon([(left, tip), (left + spread, foot), (left - spread, foot)], colour)


def ribbons(scene: Scene) -> Image.Image:
    """Strands of silk that follow one slow current over a dark ground."""
    chance, colours = scene.chance, scene.colours
    deep = mix(colours[0], (0, 0, 0), 0.35)
    picture = scene.blend([[mix(deep, colours[1], chance.uniform(0, 0.75)) for _ in range(3)] for _ in range(3)])
    currents = [
        (chance.uniform(1.2, 4.2), chance.uniform(1.2, 4.2), chance.uniform(0, math.tau), chance.uniform(0.5, 1.2))
        for _ in range(3)
    ]
    heading = chance.uniform(0, math.tau)
    aspect = scene.width / scene.height
    strands = 170 + round(scene.detail * 130)

    def strand(x: float, y: float, steps: int) -> list[Point]:
        points = []
        for _ in range(steps):
            points.append((x, y))
            angle = heading
            for across, down, shift, size in currents:
                angle += size * math.sin(across * x * aspect + down * y + shift)
            x += 0.022 * math.cos(angle) / aspect
            y += 0.022 * math.sin(angle)
        return points

    def draw(pen: Pen) -> None:
        for number in range(strands):
            share = number / strands
            x, y = chance.uniform(-0.15, 1.15), chance.uniform(-0.15, 1.15)
            bright = along(colours, 0.2 + 0.8 * (0.55 * share + 0.45 * chance.random()))
            width = chance.uniform(0.006, 0.03) * (1.25 - 0.8 * share)
            points = strand(x, y, chance.randint(16, 34))
            for colour, breadth in ((mix(bright, deep, 0.45), width * 1.35), (bright, width)):
                pen.line(points, colour, breadth)
                for end in (points[0], points[-1]):
                    pen.disc(*end, breadth / 2, colour)
            if width > 0.012:
                pen.line(points, mix(bright, WHITE, 0.3), width * 0.28)

    return scene.smooth(picture, draw)


def crystal(scene: Scene) -> Image.Image:
    """A faceted globe before a faceted sky, lit from one side."""
    chance, colours = scene.chance, scene.colours
    aspect = scene.width / scene.height
    rows = round((11 + 9 * scene.detail) / max(1.0, aspect) ** 0.5)
    columns = max(4, round(rows * aspect))
    grid = [
        [
            (
                (column + chance.uniform(-0.38, 0.38)) / columns,
                (row + chance.uniform(-0.38, 0.38)) / rows,
            )
            for column in range(-1, columns + 2)
        ]
        for row in range(-1, rows + 2)
    ]
    globe = (chance.uniform(0.35, 0.65), chance.uniform(0.34, 0.46), chance.uniform(0.27, 0.34))
    light = chance.uniform(0, math.tau)
    tilt = chance.uniform(-0.35, 0.35)

    def shade(x: float, y: float) -> Colour:
        across, down = (x - globe[0]) * max(1.0, aspect), (y - globe[1]) / min(1.0, aspect)
        distance = math.hypot(across, down) / globe[2]
        wobble = chance.uniform(-0.055, 0.055)
        if distance < 1:
            height = math.sqrt(1 - distance**2)
            toward = (across * math.cos(light) + down * math.sin(light)) / globe[2]
            return along(colours, 0.6 + 0.33 * toward + 0.12 * height + 1.6 * wobble)
        ring = 0.16 * max(0.0, 1.6 - distance)
        return along(colours, 0.04 + 0.34 * (y + tilt * (x - 0.5)) + ring + wobble)

    def draw(pen: Pen) -> None:
        for upper, lower in itertools.pairwise(grid):
            for a, b, c, d in zip(upper, upper[1:], lower, lower[1:], strict=False):
                halves = ((a, b, c), (b, d, c)) if chance.random() < 0.5 else ((a, b, d), (a, d, c))
                for corners in halves:
                    x, y = (sum(axis) / 3 for axis in zip(*corners, strict=True))
                    pen.polygon(corners, shade(x, y))

    picture = scene.smooth(Image.new("RGB", (scene.width, scene.height), colours[0]), draw)
    shine = scene.glow(Image.new("RGB", picture.size), globe[:2], 0.62, colours[3], 0.45)
    return ImageChops.screen(picture, shine)
