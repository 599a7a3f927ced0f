"""Whether bytes are a whole picture, and what is known about it.

Only the content decides: a walk to the end mark shows that nothing is cut off, and one full decode shows that it can be
looked at. Neither does alone: a decoder takes a PNG that lost its end, and a walk takes any pixels. What a decode may
take of the memory is asked for beforehand. This module refuses to change a picture, to know where it comes from and to
write anything.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import cast

from PIL.Image import DecompressionBombError, Image, Resampling
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from batchgen.errors import PictureError, StorageError
from batchgen.storage.looks import look_of, make_thumbnail, reduced
from batchgen.storage.png_rows import check_rows
from batchgen.storage.room import Room
from batchgen.storage.walks import PictureFormat, Walk, damaged, too_large_to_check, walk_to_end

EXTENSIONS: dict[PictureFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MAX_PIXELS = 64 * 1024 * 1024
"""8192 x 8192: what a picture may decode to before it counts as an attack on the memory."""
DECODING_BYTES = 240 * 1024 * 1024
"""What all pictures that are being looked at may take together: a JPEG in several scans holds 3 to 6 bytes a pixel,
a WebP 13 (four times 4096x4096 is what fits), and a PNG that does not fit is checked by its rows."""

_THUMBNAIL_FROM = 256
"""Pixels of the longer side: a JPEG for a thumbnail is decoded at the coarsest scale that leaves so many."""
_ONE_COLOUR = 4
"""Difference within a channel (of 255) that compression may leave in a picture of one colour."""
_NEARLY_BLACK = 12
_ROUNDING = 3
"""By how much a block's mean may lie outside the range of its pixels."""
_BAND_PIXELS = 1 << 20


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What was found in a whole picture. Sizes are pixels as stored, before any rotation that metadata asks for."""

    format: PictureFormat
    extension: str
    """With its dot, from the content: `.png`, `.jpg` or `.webp`."""
    width: int
    height: int
    mode: str
    """Pillow's word for the channels: `RGB`, `RGBA`, `L`, `CMYK`, …"""
    sha256: str
    """Hex, over all the bytes received."""
    blank: bool
    """One colour, nearly black or fully transparent."""
    black: bool
    """Nearly black."""
    look: int | None
    """Its difference hash (`storage.looks`); None for one that was only checked row by row."""
    thumbnail: bytes
    """A small WebP of it, when one was asked for and the memory allowed it; else empty."""
    animated: bool
    """Several frames; only the first was decoded."""
    trailing: int
    """How many bytes follow the end of the picture."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one decode showed."""

    mode: str
    blank: bool
    black: bool
    look: int | None
    thumbnail: bytes


def check_picture(
    data: bytes, sha256: str | None = None, room: Room | None = None, *, thumbnail: bool = False
) -> PictureFacts:
    """The facts about the one whole picture that `data` is; thread-safe, one decode.

    `sha256` (hex) saves hashing when it was taken while the bytes came in; threads that share a `room` share its
    memory. Raises `PictureError` with what the bytes are instead, and `StorageError` when this machine has no memory
    left to decode them.
    """
    walk = walk_to_end(data)
    pixels = walk.width * walk.height
    if pixels == 0:
        raise damaged(walk.format, "it has no pixels")
    if pixels > MAX_PIXELS:
        raise PictureError(f"{-(-pixels // 2**20)} megapixels, more than the {MAX_PIXELS // 2**20} allowed")
    try:
        seen = _look(walk, data, room or Room(DECODING_BYTES), thumbnail=thumbnail)
    except DecompressionBombError as error:
        raise StorageError(
            f"this process may not decode a picture of {walk.width}x{walk.height} pixels",
            "Leave `PIL.Image.MAX_IMAGE_PIXELS` alone, then run the same command again.",
        ) from error
    return PictureFacts(
        format=walk.format,
        extension=EXTENSIONS[walk.format],
        width=walk.width,
        height=walk.height,
        mode=seen.mode,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        blank=seen.blank,
        black=seen.black,
        look=seen.look,
        thumbnail=seen.thumbnail,
        animated=walk.animated,
        trailing=len(data) - walk.end,
    )


def wrong_size(facts: PictureFacts, asked: str | None) -> bool:
    """Whether the picture is not what the request's size (`1024x768`) or aspect ratio (`16:9`) asked for.

    A ratio may be off by 5 %, because models round to whole blocks. Words such as `auto` or `2K` ask for nothing exact.
    """
    exact = re.fullmatch(r"\s*(\d+)\s*[xX×*]\s*(\d+)\s*", asked or "")
    if exact:
        return (facts.width, facts.height) != (int(exact[1]), int(exact[2]))
    ratio = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", asked or "")
    if ratio and int(ratio[1]) and int(ratio[2]):
        found, wanted = facts.width * int(ratio[2]), facts.height * int(ratio[1])
        return abs(found - wanted) > 0.05 * wanted
    return False


def wrong_format(facts: PictureFacts, asked: str) -> bool:
    """Whether the picture is of another format than the request's word for it, such as `png` or `jpg`."""
    word = asked.strip().lower().removeprefix("image/")
    return bool(word) and {"jpg": "jpeg"}.get(word, word) != facts.format


def _look(walk: Walk, data: bytes, room: Room, *, thumbnail: bool) -> _Seen:
    """Decode the picture in full, and say what there is on it."""
    # A JPEG of an eighth of its size is the means of its blocks: every bit is still read, at half the work.
    scale = _scale(walk, room, thumbnail=thumbnail)
    if walk.memory(scale) > room.size:
        if walk.format != "png":
            raise too_large_to_check(walk, room.size)
        with room.take(room.size):
            return _look_at_rows(walk, data)
    with room.take(walk.memory(scale)):
        image = _decode(walk, walk.essence(data), scale)
        if walk.format == "png" and _may_lack_rows(image):
            _look_at_rows(walk, data)
        mode, blank = image.mode, _is_blank(image, slack=_ROUNDING if scale > 1 else 0)
        black = blank and _is_black(image)
        look, small = _shown_small(image, thumbnail=thumbnail)
        del image
    if blank and scale > 1:
        scale = next(scale for scale in (1, 2, 4, 8) if walk.memory(scale) <= room.size)
        with room.take(walk.memory(scale)):
            blank = _is_plain(_decode(walk, walk.essence(data), scale))
    return _Seen(mode, blank, blank and black, look, small)


def _shown_small(image: Image, *, thumbnail: bool) -> tuple[int | None, bytes]:
    """Look and thumbnail. Neither is a reason to refuse what decoded: oddities of modes and palettes cost them alone."""
    try:
        few = reduced(image)
        return look_of(few), make_thumbnail(few) if thumbnail else b""
    except Exception:  # noqa: BLE001  # as above, Pillow raises whatever it stumbles over
        return None, b""


def _scale(walk: Walk, room: Room, *, thumbnail: bool) -> int:
    """One part in how many of width and height is decoded: only JPEGs have a choice."""
    if walk.format != "jpeg":
        return 1
    longer = max(walk.width, walk.height)
    fine = next((scale for scale in (8, 4, 2) if longer // scale >= _THUMBNAIL_FROM), 1)
    return fine if thumbnail and walk.memory(fine) <= room.size else 8


def _may_lack_rows(image: Image) -> bool:
    """Whether the last row may be missing: Pillow takes a stream that ends early, and leaves black what it did not hold."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or all(high == 0 for _, high in _extrema(last))


def _look_at_rows(walk: Walk, data: bytes) -> _Seen:
    try:
        rows = check_rows(walk.essence(data))
    except ValueError as error:
        raise damaged(walk.format, "its pixels cannot be decoded") from error
    sample = walk_to_end(rows.sample)
    image = _decode(sample, rows.sample, 1)
    blank = rows.repeated and _is_plain(image)
    return _Seen(image.mode, blank, blank and _is_black(image), None, b"")


class _FirstFrame(WebPImageFile):
    """A WebP that lets go of its decoder, which holds two canvases, before it makes room for its pixels."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


_DECODERS: dict[PictureFormat, Callable[[BytesIO], Image]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "webp": _FirstFrame,
}


def _decode(walk: Walk, essence: bytes, scale: int) -> Image:
    # The classes themselves instead of Image.open: no other format can answer, and no global state is touched.
    try:
        image = _DECODERS[walk.format](BytesIO(essence))
        agreed = image.size == (walk.width, walk.height)
        if agreed:
            if isinstance(image, JpegImageFile):
                image.draft(None, (max(1, walk.width // scale), max(1, walk.height // scale)))
            image.load()
    except MemoryError as error:
        raise StorageError(
            f"not enough memory to check a picture of {walk.width}x{walk.height} pixels",
            "Close other programs or lower `limits: concurrency`, then run the same command again.",
        ) from error
    except DecompressionBombError:
        raise
    except Exception as error:
        # Pillow raises whatever its parsers stumble over: OSError, SyntaxError, ValueError, RuntimeError, …
        raise damaged(walk.format, "its pixels cannot be decoded") from error
    if not agreed:
        raise damaged(walk.format, "its headers contradict each other")
    return image


def _is_blank(image: Image, slack: int) -> bool:
    # Most pictures are cleared by 4,096 pixels or by their blocks' means; only a suspect is looked at in full.
    if image.width * image.height > 64 * 64:
        sample = image.resize((min(64, image.width), min(64, image.height)), Resampling.NEAREST)
        if not _is_plain(sample, slack=_ROUNDING):
            return False
    return _is_plain(image, slack)


def _is_black(image: Image) -> bool:
    """Whether a picture on which there is nothing is black: a few of its pixels are like all."""
    ranges = _ranges(image.resize((min(8, image.width), min(8, image.height)), Resampling.NEAREST))
    colours, opacity = ranges[:3], ranges[3:]
    return all(high <= _NEARLY_BLACK + _ROUNDING for _, high in colours) and all(
        high > _ONE_COLOUR for _, high in opacity
    )


def _is_plain(image: Image, slack: int = 0) -> bool:
    """Whether there is nothing to see; in bands, because some kinds have to be copied to be looked at."""
    bands = []
    for top in range(0, image.height, rows := max(1, _BAND_PIXELS // image.width)):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        bands.append(_ranges(band))
        joined = [
            (min(low for low, _ in channel), max(high for _, high in channel)) for channel in zip(*bands, strict=True)
        ]
        if not _are_plain(joined, slack):
            return False
        bands = [joined]
    return True


def _ranges(image: Image) -> list[tuple[float, float]]:
    """The least and the most of each channel, of 255."""
    if image.mode not in {"L", "RGB", "RGBA", "I", "I;16"}:
        image = image.convert("RGBA")
    scale = 257 if image.mode.startswith("I") else 1
    return [(low / scale, high / scale) for low, high in _extrema(image)]


def _extrema(image: Image) -> tuple[tuple[float, float], ...]:
    extrema = image.getextrema()
    return cast("tuple[tuple[float, float], ...]", extrema if len(image.getbands()) > 1 else (extrema,))


def _are_plain(ranges: list[tuple[float, float]], slack: int) -> bool:
    if len(ranges) == 4:
        *ranges, (low, high) = ranges
        if high <= _ONE_COLOUR:
            return True
        if high - low > _ONE_COLOUR:
            return False
    one_colour = all(high - low <= _ONE_COLOUR + slack for low, high in ranges)
    return one_colour or all(high <= _NEARLY_BLACK + slack for _, high in ranges)
