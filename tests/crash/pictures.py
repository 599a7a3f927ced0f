"""Pictures that say what they are: 64 pixels that spell a task, a bill and a check sum.

The provider draws them and the checker reads them back from the stored file, so that a picture under a wrong name, half a
picture or an old one cannot pass for the right one. Knows neither the product nor the provider.
"""

import io
import zlib
from pathlib import Path

from PIL import Image

_SIDE = 8
_BITS = 24
SMALL, LARGE = 64, 640
"""Sides in pixels. A large picture is stored raw: more than a megabyte, which the product receives in several pieces."""


def draw(task: int, bill: int, *, large: bool = False) -> bytes:
    """A PNG of black and white squares that spell the task's number and the bill's."""
    value = _with_sum(task, bill)
    grid = Image.new("RGB", (_SIDE, _SIDE))
    for place in range(_SIDE * _SIDE):
        white = value >> place & 1
        grid.putpixel((place % _SIDE, place // _SIDE), (255, 255, 255) if white else (0, 0, 0))
    side = LARGE if large else SMALL
    out = io.BytesIO()
    grid.resize((side, side), Image.Resampling.NEAREST).save(out, "PNG", compress_level=0 if large else 1)
    return out.getvalue()


def read(path: Path) -> tuple[int, int]:
    """The task and the bill that a stored picture names. Raises ValueError for a file that names none."""
    try:
        with Image.open(path) as picture:
            picture.load()
            pixels = picture.convert("L")
    except Exception as error:  # whatever Pillow raises, the file is no picture
        raise ValueError(f"{path.name} cannot be decoded: {type(error).__name__}") from error
    step = pixels.width // _SIDE
    value = 0
    for place in range(_SIDE * _SIDE):
        at = (place % _SIDE * step + step // 2, place // _SIDE * step + step // 2)
        value |= (1 if pixels.getpixel(at) > 127 else 0) << place  # type: ignore[operator]  # one band: a number
    mask = (1 << _BITS) - 1
    task, bill = value & mask, value >> _BITS & mask
    if value != _with_sum(task, bill):
        raise ValueError(f"{path.name} holds a picture of something else")
    return task, bill


def _with_sum(task: int, bill: int) -> int:
    number = bill << _BITS | task
    return zlib.crc32(number.to_bytes(6, "big")) % 0x10000 << 2 * _BITS | number
