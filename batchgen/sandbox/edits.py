"""The styles of the models that change pictures: poster, honeycomb, riso print, sampler cards and night windows.

Each shows its input pictures plainly, in its own technique. They refuse to write text and to encode.
"""

import math

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from batchgen.sandbox.canvas import Pen, Point, Scene
from batchgen.sandbox.palette import Colour, along, mix

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)


def poster(scene: Scene) -> Image.Image:
    """The input as a screen print in the scene's colours, with rays over it and a wide light border."""
    chance, colours = scene.chance, scene.colours
    picture = scene.cover(0)
    levels = 5 + round(scene.detail * 3)
    grey = ImageOps.autocontrast(picture.convert("L"), cutoff=1).filter(ImageFilter.GaussianBlur(scene.unit / 220))
    table = [along(colours, math.floor(level / 256 * levels) / (levels - 1)) for level in range(256)]
    printed = Image.merge("RGB", [grey.point([colour[channel] for colour in table]) for channel in range(3)])
    printed = Image.blend(picture, printed, 0.62)
    centre = (chance.uniform(0.25, 0.75), chance.uniform(-0.1, 0.3))
    count, turn = 2 * chance.randint(9, 14), chance.uniform(0, math.tau)

    def rays(pen: Pen) -> None:
        for number in range(0, count, 2):
            ends = [turn + math.tau * (number + step) / count for step in (0, 1)]
            corners = [(centre[0] + 2 * math.cos(angle), centre[1] + 2 * math.sin(angle)) for angle in ends]
            pen.polygon([centre, *corners], 46)

    printed.paste(mix(colours[4], WHITE, 0.3), mask=scene.mask(rays))
    margin = 0.055 * scene.unit
    across, down = margin / scene.width, margin / scene.height
    paper = mix(colours[4], WHITE, 0.45)
    sheet = Image.new("RGB", printed.size, paper)

    def window(pen: Pen) -> None:
        pen.rounded((across, down, 1 - across, 1 - down), 0.03, 255)

    sheet.paste(printed, mask=scene.mask(window))
    return sheet


def honeycomb(scene: Scene) -> Image.Image:
    """The input in enamel hexagons with a bright edge each, set in dark grout."""
    chance, colours = scene.chance, scene.colours
    across = min(30 + round(scene.detail * 14), max(14, scene.unit // 6))
    step = scene.unit / across
    aspect_x, aspect_y = step / scene.width, step / scene.height
    columns, rows = math.ceil(1 / aspect_x) + 2, math.ceil(1 / (aspect_y * 0.866)) + 2
    picture = ImageEnhance.Color(scene.cover(0, (columns * 2, rows * 2)).reduce(2)).enhance(1.35)
    tint = chance.uniform(0.32, 0.46)
    turn = chance.choice((0.0, math.pi))
    angles = [math.pi / 6 + math.pi / 3 * corner for corner in range(6)]

    def hexagon(x: float, y: float, radius: float) -> list[Point]:
        return [(x + radius * aspect_x * math.cos(angle), y + radius * aspect_y * math.sin(angle)) for angle in angles]

    def draw(pen: Pen) -> None:
        for row in range(rows):
            for column in range(columns):
                x = (column - 0.25 + 0.5 * (row % 2)) * aspect_x
                y = (row - 0.3) * 0.866 * aspect_y
                red, green, blue = picture.getpixel((column, row))  # type: ignore[misc]
                level = (red * 3 + green * 6 + blue) / 2550
                colour = mix((red, green, blue), along(colours, level), tint)
                colour = mix(colour, WHITE if chance.random() < 0.5 else BLACK, chance.uniform(0, 0.13))
                pen.polygon(hexagon(x, y, 0.54), mix(colour, WHITE, 0.28))
                lower = 0.05 * math.cos(turn)
                pen.polygon(hexagon(x + lower * aspect_x, y + lower * aspect_y, 0.47), colour)

    return scene.smooth(Image.new("RGB", (scene.width, scene.height), mix(colours[0], BLACK, 0.35)), draw)


def riso(scene: Scene) -> Image.Image:
    """The input as a two-ink dot print on warm paper, the second ink a little out of place."""
    chance, colours = scene.chance, scene.colours
    paper = mix((250, 244, 230), colours[4], 0.35)
    first, second = mix(colours[1], colours[0], 0.35), mix(colours[3], colours[2], 0.55)
    columns = min(46 + round(scene.detail * 16), max(18, scene.unit // 4))
    cell = scene.unit / columns
    wide, high = math.ceil(scene.width / cell), math.ceil(scene.height / cell)
    across = wide + 1
    picture = scene.cover(0, (across, high))
    lifted = [round(255 * (level / 255) ** 0.72) for level in range(256)]
    grey = ImageOps.autocontrast(picture.convert("L"), cutoff=1).point(lifted)
    warm = ImageChops.subtract(picture.getchannel("R"), picture.getchannel("B"), scale=0.7, offset=118)
    shift = (chance.uniform(-0.5, 0.5) / wide, chance.uniform(0.2, 0.6) / high)

    def dots(pen: Pen, amounts: list[int], offset: Point, reach: float) -> None:
        for number, amount in enumerate(amounts):
            row, column = divmod(number, across)
            if amount > 16:
                x = (column + 0.5 * (row % 2)) / wide + offset[0]
                pen.disc(x, (row + 0.5) / high + offset[1], reach * math.sqrt(amount / 255) / columns, 255)

    def ink(pen: Pen) -> None:
        dots(pen, [255 - level for level in grey.tobytes()], (0.0, 0.0), 0.7)

    def second_ink(pen: Pen) -> None:
        light = ImageChops.multiply(warm, ImageChops.invert(grey.point([level // 2 for level in range(256)])))
        dots(pen, list(light.tobytes()), shift, 0.66)

    sheet = Image.new("RGB", (scene.width, scene.height), paper)
    for colour, draw in ((second, second_ink), (first, ink)):
        mask = scene.mask(draw)
        plate = Image.new("RGB", sheet.size, WHITE)
        plate.paste(colour, mask=mask)
        sheet = ImageChops.multiply(sheet, plate)
    return sheet


def cards(scene: Scene) -> Image.Image:
    """The inputs side by side as stitched cards, tilted, on a ground of rings."""
    chance, colours = scene.chance, scene.colours
    centre = (chance.uniform(0.1, 0.9), chance.uniform(0.2, 0.8))
    turn = chance.randint(0, 4)

    def rings(pen: Pen) -> None:
        for number in range(26, 0, -1):
            level = ((number + turn) % 5) / 4
            pen.disc(*centre, number * 0.062, along(colours, 0.18 + 0.62 * level))

    sheet = scene.smooth(Image.new("RGB", (scene.width, scene.height), colours[1]), rings)
    count = len(scene.inputs)
    slot = scene.width / count
    side = round(min(slot * 0.86, scene.height * 0.6))
    for number in range(count):
        card = _stitched(scene, number, side)
        angle = chance.uniform(3, 9) * (-1 if (number + turn) % 2 else 1)
        card = card.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        left = round(slot * (number + 0.5) - card.width / 2)
        top = round(scene.height * (0.42 + chance.uniform(-0.05, 0.05)) - card.height / 2)
        shadow = card.getchannel("A").point([level // 3 for level in range(256)])
        sheet.paste(BLACK, (left + side // 40, top + side // 28), shadow)
        sheet.paste(card, (left, top), card)
    return sheet


def _stitched(scene: Scene, number: int, side: int) -> Image.Image:
    """One input on a white card, as cross-stitch: square stitches with a light and a dark edge."""
    cell = max(2, round(side * 0.88 / (30 + round(scene.detail * 12))))
    stitches = max(1, round(side * 0.88 / cell))
    inner = cell * stitches
    picture = ImageEnhance.Color(scene.cover(number, (stitches, stitches))).enhance(1.2)
    picture = picture.resize((inner, inner), Image.Resampling.NEAREST)
    stitch = Image.new("L", (cell, cell), 128)
    pen = ImageDraw.Draw(stitch)
    pen.line((0, cell - 1, cell - 1, cell - 1), fill=96)
    pen.line((cell - 1, 0, cell - 1, cell - 1), fill=104)
    pen.line((0, 0, cell - 2, 0), fill=152)
    cloth = Image.new("L", (inner, inner))
    for left in range(0, inner, cell):
        cloth.paste(stitch, (left, 0))
    band = cloth.crop((0, 0, inner, cell))
    for top in range(0, inner, cell):
        cloth.paste(band, (0, top))
    picture = ImageChops.add(picture, Image.merge("RGB", (cloth, cloth, cloth)), offset=-128)
    margin = max(1, round(inner * 0.06))
    card = Image.new("RGBA", (inner + 2 * margin, inner + 2 * margin), (253, 251, 246, 255))
    card.paste(picture, (margin, margin))
    # A clear rim keeps the edges smooth when the card is turned.
    return ImageOps.expand(card, border=2, fill=(253, 251, 246, 0))


def windows(scene: Scene) -> Image.Image:
    """The inputs side by side behind arched windows of a house at night, under stars."""
    chance, colours = scene.chance, scene.colours
    night = mix(colours[0], BLACK, 0.25)
    wall = scene.blend([[mix(night, colours[1], share + chance.uniform(0, 0.2))] * 2 for share in (0.0, 0.25, 0.55)])
    count = len(scene.inputs)
    slot = 1 / count
    wide = min(slot * 0.78, 0.62 * scene.height / scene.width)
    top, foot = 0.13, 0.74
    for number in range(count):
        wall = scene.glow(wall, (slot * (number + 0.5), (top + foot) / 2), 0.62, mix(colours[3], colours[4], 0.4), 0.75)

    def arch(pen: Pen, middle: float, grow: float, colour: Colour | int) -> None:
        half, rise = wide / 2 + grow / scene.width, top - grow / scene.height
        bend = min(wide / 2 * scene.width / scene.height + grow / scene.height, (foot - top) * 0.6)
        curve = [
            (middle - half * math.cos(math.pi * step / 40), rise + bend * (1 - math.sin(math.pi * step / 40)))
            for step in range(41)
        ]
        pen.polygon(
            [*curve, (middle + half, foot + grow / scene.height), (middle - half, foot + grow / scene.height)], colour
        )

    def frames(pen: Pen) -> None:
        for _ in range(110):
            pen.disc(
                chance.random(), chance.random() * 0.7, chance.uniform(0.0008, 0.0026), mix(colours[4], WHITE, 0.4)
            )
        for number in range(count):
            arch(pen, slot * (number + 0.5), 0.022 * scene.unit, mix(colours[3], colours[4], 0.5))
            arch(pen, slot * (number + 0.5), 0.012 * scene.unit, mix(night, BLACK, 0.3))

    sheet = scene.smooth(wall, frames)
    for number in range(count):
        middle = slot * (number + 0.5)
        left, right = round((middle - wide / 2) * scene.width), round((middle + wide / 2) * scene.width)
        view = scene.cover(number, (right - left, round((foot - top) * scene.height)))
        view = Image.blend(view, Image.new("RGB", view.size, colours[number % 2 + 2]), 0.14)
        layer = Image.new("RGB", sheet.size)
        layer.paste(view, (left, round(top * scene.height)))
        sheet.paste(layer, mask=scene.mask(lambda pen, middle=middle: arch(pen, middle, 0.0, 255)))  # type: ignore[misc]
    return scene.smooth(sheet, lambda pen: _bars(pen, scene, wide, (top, foot)))


def _bars(pen: Pen, scene: Scene, wide: float, span: tuple[float, float]) -> None:
    count = len(scene.inputs)
    bar = mix(scene.colours[0], BLACK, 0.3)
    for number in range(count):
        middle = (number + 0.5) / count
        level = span[0] + (span[1] - span[0]) * 0.42
        pen.line([(middle, span[0]), (middle, span[1])], bar, 0.007)
        pen.line([(middle - wide / 2, level), (middle + wide / 2, level)], bar, 0.007)
