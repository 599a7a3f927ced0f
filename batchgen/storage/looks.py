"""What a picture looks like: in 64 bits, so that two can be compared, and as a thumbnail for the gallery.

It refuses to read files and to decode: a picture comes decoded.
"""

from io import BytesIO

from PIL import Image

THUMBNAIL_PX = 320
"""The longer side of a thumbnail at most."""
NEAR = 2
"""Up to so many bits of difference two pictures of one prompt are nearly the same: other seeds differ by ten and more."""

_WIDTH, _HEIGHT = 9, 8
_REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"})
_COPIED_PIXELS = 1 << 21
_QUALITY, _EFFORT = 72, 0


def reduced(image: Image.Image) -> Image.Image:
    """The picture in few pixels: in grey, colours or colours with opacity, each the mean of a block."""
    factor = max(1, max(image.size) // THUMBNAIL_PX)
    # Blocks first: a copy of a large picture in another mode would take more memory than the picture.
    if image.mode in _REDUCIBLE:
        image = image.reduce(factor)
    elif image.width * image.height > _COPIED_PIXELS:
        size = max(1, image.width // factor), max(1, image.height // factor)
        image = image.resize(size, Image.Resampling.NEAREST)
    if image.mode.startswith("I"):
        image = image.convert("F").point(lambda value: value * (1 / 257)).convert("L")
    elif image.mode not in {"L", "RGB", "RGBA"}:
        image = image.convert("RGB" if image.mode in {"1", "CMYK", "YCbCr"} else "RGBA")
    longer = max(image.size)
    return image.reduce(factor) if factor > 1 and longer > 2 * THUMBNAIL_PX else image


def look_of(image: Image.Image) -> int:
    """The difference hash of a reduced picture: for 8 rows of 9 grey patches, whether each is darker than its right one.

    64 bits, unsigned. What is transparent counts as white.
    """
    if image.mode == "RGBA":
        image = image.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX)
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    grey = image.convert("L").resize((_WIDTH, _HEIGHT), Image.Resampling.BOX).tobytes()
    look = 0
    for row in range(_HEIGHT):
        for place in range(row * _WIDTH, row * _WIDTH + _WIDTH - 1):
            look = look << 1 | (grey[place] < grey[place + 1])
    return look


def make_thumbnail(image: Image.Image) -> bytes:
    """A WebP of a reduced picture, of at most `THUMBNAIL_PX` a side; what is transparent stays so."""
    longer = max(image.size)
    if longer > THUMBNAIL_PX:
        size = tuple(max(1, round(side * THUMBNAIL_PX / longer)) for side in image.size)
        image = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    file = BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=_EFFORT)
    return file.getvalue()


def difference(a: int, b: int) -> int:
    """In how many of 64 bits two looks differ: 0 for the same picture, twenty and more for another one."""
    return (a ^ b).bit_count()


def thumbnail_name(source_sha256: str) -> str:
    """Where the thumbnail of a picture lies, relative to the output folder, by the hash (hex) of the received bytes."""
    return f"gallery/thumbs/{source_sha256[:2]}/{source_sha256[:32]}.webp"
