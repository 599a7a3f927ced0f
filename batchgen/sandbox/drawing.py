"""From a sketch to the bytes of a PNG or a JPEG: the model's style, the grain, the caption. Same sketch, same bytes.

Each model has a style that no other has. It refuses to know requests, links and faults other than a black picture.
"""

import random
from collections.abc import Callable, Mapping
from io import BytesIO

from PIL import Image, ImageEnhance

from batchgen.sandbox import edits, scenes
from batchgen.sandbox.canvas import Scene, grain, open_input
from batchgen.sandbox.later_page import EVERY_MODEL
from batchgen.sandbox.lettering import caption
from batchgen.sandbox.palette import rgb
from batchgen.sandbox.sketch import Sketch

BLACK = "picture-black"
_GRAIN = 6
_JPEG_QUALITY = 90
_PNG_EFFORT = 1

_STYLES: Mapping[str, Callable[[Scene], Image.Image]] = {
    "flux.1-dev": scenes.hills,
    "kontext-pro text": scenes.ribbons,
    "kontext-max text": scenes.crystal,
    "kontext-pro": edits.poster,
    "kontext-max": edits.honeycomb,
    "step1x-edit": edits.riso,
    "kontext-pro multi": edits.cards,
    "kontext-max multi": edits.windows,
}


def draw(sketch: Sketch) -> bytes:
    """The picture's file. Raises ValueError or OSError for a sketch that no request can lead to."""
    black = sketch.flaw == BLACK
    picture = Image.new("RGB", (sketch.width, sketch.height)) if black else _painted(sketch)
    target = BytesIO()
    if sketch.format == "PNG":
        picture.save(target, "PNG", compress_level=_PNG_EFFORT)
    else:
        picture.save(target, "JPEG", quality=_JPEG_QUALITY)
    return target.getvalue()


def _painted(sketch: Sketch) -> Image.Image:
    short = EVERY_MODEL[sketch.model].short
    scene = Scene(
        sketch.width,
        sketch.height,
        random.Random(sketch.composition),  # noqa: S311  # repeatable on purpose
        tuple(rgb(colour) for colour in sketch.palette),
        sketch.detail / 100,
        sketch.strength / 100,
        tuple(open_input(data) for data in sketch.inputs),
    )
    picture = _STYLES[short](scene)
    picture = ImageEnhance.Contrast(picture).enhance(0.85 + sketch.contrast / 100 * 0.3)
    picture = grain(picture, random.Random(sketch.variation), _GRAIN)  # noqa: S311  # repeatable on purpose
    caption(picture, short, sketch.seed, sketch.text, scene.colours)
    return picture
