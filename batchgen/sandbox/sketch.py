"""Everything that decides a picture's bytes, in one small value: what a link carries and what `drawing` draws.

The prompt itself is not in it: its digest places the shapes, its words chose the colours, and its beginning is the caption.
That is why a link stays short and works after a restart. It refuses to draw.
"""

import math
from dataclasses import dataclass

from batchgen.sandbox.page import Order

LARGEST_SIDE = 2048
SMALLEST_SIDE = 16
_MEGAPIXEL = 1024 * 1024
# The shapes that the open version of the editing models gives its results, width by height.
_EDIT_WIDTHS_HEIGHTS = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A picture before it is drawn. Equal sketches give equal bytes.

    `composition` places the shapes (prompt, seed, inputs), `variation` the grain (every other field). `detail` and `contrast`
    run from 0 to 100. `palette` holds five colours as RRGGBB, dark to light. `inputs` are small WebP pictures. `flaw` is
    the fault that the picture's link or its drawing has, or empty.
    """

    model: str
    text: str
    seed: int
    composition: int
    variation: int
    palette: tuple[str, ...]
    width: int
    height: int
    format: str
    detail: int = 50
    contrast: int = 50
    strength: int = 80
    inputs: tuple[bytes, ...] = ()
    flaw: str = ""


def picture_size(order: Order, input_ratio: float | None) -> tuple[int, int]:
    """Width and height in pixels that the model gives at scale 1; `input_ratio` is width / height of the first input."""
    if order.size is not None:
        return order.size
    if order.model.edits:
        return _edit_size(input_ratio or 1.0)
    wide, high = (int(part) for part in order.aspect_ratio.split(":"))
    return _one_megapixel(wide / high)


def _one_megapixel(ratio: float) -> tuple[int, int]:
    width, height = math.sqrt(_MEGAPIXEL * ratio), math.sqrt(_MEGAPIXEL / ratio)
    return 16 * (round(width) // 16), 16 * (round(height) // 16)


def _edit_size(ratio: float) -> tuple[int, int]:
    shapes = _EDIT_WIDTHS_HEIGHTS + tuple((height, width) for width, height in _EDIT_WIDTHS_HEIGHTS)
    return min(shapes, key=lambda shape: abs(math.log(shape[0] / shape[1] / ratio)))


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The size in pixels that is really drawn."""
    width, height = (min(LARGEST_SIDE, max(SMALLEST_SIDE, round(side * scale))) for side in size)
    return width, height
