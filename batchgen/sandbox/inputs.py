"""Input pictures of a request: opened when they come inside it, and made small enough to travel in a link.

Links are never opened: a picture derived from the link's text stands for what is behind it, except for this server's own
links, which say themselves what they show. It refuses to contact anything.
"""

import base64
import binascii
import hashlib
import random
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from batchgen.sandbox.answers import RefusalError
from batchgen.sandbox.canvas import Pen, Scene
from batchgen.sandbox.drawing import draw
from batchgen.sandbox.links import read_link
from batchgen.sandbox.palette import palette_for, rgb

BUDGET = 900
"""Bytes for all input pictures of one link."""
SHOWN_AT_MOST = 4
_PIXELS_AT_MOST = 24_000_000
_ONE_AT_A_TIME = threading.Lock()
"""Turning a large picture upright takes several times its memory."""
_DATA = re.compile(r"data:image/[^,]{1,40},", re.IGNORECASE)
_OWN_LINK = re.compile(r"/image/([\w-]+)/output/([\w.-]+)$", re.ASCII)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_LINK = re.compile(r"https?://", re.IGNORECASE)
_TRIES = ((128, 40), (128, 15), (96, 20), (72, 20), (56, 20), (40, 15), (28, 10), (16, 0))
"""Longest side and WebP quality, tried from the best on."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input picture: its digest, its shape (width / height) and the picture itself, at most 256 pixels wide and high."""

    digest: str
    ratio: float
    picture: Image.Image


def read_input(text: str) -> Input:
    """The picture behind a data URI, bare base64 or a link. Raises RefusalError for data that is not a picture."""
    if _LINK.match(text):
        return _own(text) or _stand_in(text)
    prefix = _DATA.match(text[:64])
    try:
        data = base64.b64decode("".join(text[prefix.end() if prefix else 0 :].split()), validate=True)
    except (binascii.Error, ValueError):
        raise RefusalError("400", "an input picture is not valid base64") from None
    try:
        with _ONE_AT_A_TIME, Image.open(BytesIO(data)) as opened:
            if opened.width * opened.height > _PIXELS_AT_MOST:
                raise RefusalError("400", f"an input picture has {opened.width} x {opened.height} pixels: too many")
            opened.draft("RGB", (512, 512))
            picture = _upright(opened)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, *_BOMBS):
        raise RefusalError("400", "an input picture cannot be read as a picture") from None
    return _input(data, picture)


def _input(identity: bytes, picture: Image.Image) -> Input:
    return Input(hashlib.sha256(identity).hexdigest(), picture.width / picture.height, picture)


def _upright(opened: Image.Image) -> Image.Image:
    """The picture turned as its camera says, on white where it is clear, and small."""
    picture = opened.convert("RGBA")
    picture.thumbnail((256, 256))
    picture = ImageOps.exif_transpose(picture)
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _own(link: str) -> Input | None:
    """The picture behind a link of a sandbox, without any request: the link tells what it shows."""
    match = _OWN_LINK.search(link)
    try:
        sketch, _ = read_link(match[1], match[2]) if match else (None, 0.0)
    except ValueError:
        return None
    if sketch is None:
        return None
    ratio = sketch.width / sketch.height
    small = replace(sketch, width=round(256 * min(1, ratio)), height=round(256 / max(1, ratio)), format="PNG")
    with Image.open(BytesIO(draw(small))) as picture:
        return _input(link.encode("utf-8", "surrogatepass"), picture.convert("RGB"))


def _stand_in(link: str) -> Input:
    """A square picture with shapes and colours of the link's own."""
    chance = random.Random(link)  # noqa: S311  # repeatable on purpose
    colours = tuple(rgb(colour) for colour in palette_for(link))
    scene = Scene(192, 192, chance, colours, 0.5, 0.8)
    ground = scene.blend([[colours[chance.randint(2, 4)] for _ in range(2)] for _ in range(2)])

    def shapes(pen: Pen) -> None:
        for level in (1, 0, 4):
            x, y, reach = chance.uniform(0.25, 0.75), chance.uniform(0.25, 0.75), chance.uniform(0.12, 0.3)
            if chance.random() < 0.5:
                pen.disc(x, y, reach, colours[level])
            else:
                pen.polygon([(x, y - reach), (x + reach, y + reach), (x - reach, y + reach)], colours[level])

    return _input(link.encode("utf-8", "surrogatepass"), scene.smooth(ground, shapes))


def shrink(inputs: Sequence[Input]) -> tuple[bytes, ...]:
    """The first few inputs as WebP, together within `BUDGET` bytes."""
    shown = inputs[:SHOWN_AT_MOST]
    return tuple(_shrunk(given.picture, BUDGET // len(shown)) for given in shown)


def _shrunk(picture: Image.Image, budget: int) -> bytes:
    data = b""
    for side, quality in _TRIES:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        target = BytesIO()
        small.save(target, "WEBP", quality=quality, method=5)
        data = target.getvalue()
        if len(data) <= budget:
            break
    return data
