"""Whether bytes are a whole picture, and what is known about it.

Only the content decides: a walk to the end mark shows that nothing is cut off, and one full decode shows that it can be
looked at. Neither does alone: a decoder takes a PNG that lost its end, and a walk takes any pixels. The walk leaves
metadata out of what the decoder sees, so that no parser ever meets it. This module refuses to change a picture, to
know where it comes from and to write anything.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, cast

from PIL.Image import Image, Resampling
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from batchgen.errors import PictureError, StorageError

PictureFormat = Literal["png", "jpeg", "webp"]

EXTENSIONS: dict[PictureFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MAX_PIXELS = 64 * 1024 * 1024
"""8192 x 8192: what a picture may decode to before it counts as an attack on the memory."""

_NAMES: dict[PictureFormat, str] = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP"}
_DECODERS: dict[PictureFormat, Callable[[BytesIO], Image]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "webp": WebPImageFile,
}

# A real file has a few dozen; more is a way to keep the checker busy (every JPEG scan costs a pass over all pixels).
_MAX_PARTS = 100_000
_MAX_SCANS = 100

_ONE_COLOUR = 4
"""Difference within a channel (of 255) that compression may leave in a picture of one colour."""
_NEARLY_BLACK = 12
_ROUNDING = 3
"""By how much a block's mean may lie outside the range of its pixels."""


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
    animated: bool
    """Several frames; only the first was decoded."""
    trailing: int
    """How many bytes follow the end of the picture."""


@dataclass(frozen=True, slots=True)
class _Walk:
    format: PictureFormat
    width: int
    height: int
    end: int
    essence: bytes
    """The picture without its metadata and without what follows its end."""
    animated: bool = False


def check_picture(data: bytes, sha256: str | None = None) -> PictureFacts:
    """The facts about the one whole picture that `data` is; thread-safe, one decode.

    `sha256` (hex) saves hashing when it was taken while the bytes came in. Raises `PictureError` with what the bytes
    are instead, and `StorageError` when this machine has no memory left to decode them.
    """
    walk = _walk(data)
    pixels = walk.width * walk.height
    if pixels == 0:
        raise _damaged(walk.format, "it has no pixels")
    if pixels > MAX_PIXELS:
        raise PictureError(f"{-(-pixels // 2**20)} megapixels, more than the {MAX_PIXELS // 2**20} allowed")
    image = _decode(walk, reduced=True)
    return PictureFacts(
        format=walk.format,
        extension=EXTENSIONS[walk.format],
        width=walk.width,
        height=walk.height,
        mode=image.mode,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        blank=_is_blank(walk, image),
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


def _walk(data: bytes) -> _Walk:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _walk_png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _walk_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _walk_webp(data)
    raise PictureError(_what_else(data))


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker: neither stuffing, nor a restart within a scan, nor fill bytes before it."""
_JPEG_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""APPn but for JFIF (0) and Adobe (14), which say how colours are to be read; and comments."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_START, _JPEG_END, _JPEG_SCAN = 0xD8, 0xD9, 0xDA


def _walk_jpeg(data: bytes) -> _Walk:
    size: tuple[int, int] | None = None
    scans = 0
    dropped: list[tuple[int, int]] = []
    for code, start, body, stop in _jpeg_segments(data):
        if code in _JPEG_FRAMES:
            if size is not None:
                raise _damaged("jpeg", f"a second header at byte {start:,}")
            size = int.from_bytes(data[body + 5 : body + 7]), int.from_bytes(data[body + 3 : body + 5])
        elif code == _JPEG_SCAN:
            scans += 1
        elif code in _JPEG_METADATA:
            dropped.append((start, stop))
        elif code == _JPEG_END:
            if size is None or not 0 < scans <= _MAX_SCANS:
                raise _damaged("jpeg", f"it ends with {scans} scans of its pixels")
            return _Walk("jpeg", *size, end=stop, essence=_without(data, dropped, stop))
    raise _cut_off("jpeg", data)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Marker code, where it starts, where its content starts, where that stops. Ends early when the data do."""
    position = 2
    for _ in range(_MAX_PARTS):
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            return
        start, body = found.span()
        code = data[start + 1]
        if code == _JPEG_END:
            yield code, start, body, body
            return
        length = int.from_bytes(data[body : body + 2])
        position = body + length
        if code != _JPEG_START and max(position, body + 2) > len(data):
            return
        if code == _JPEG_START or length < 2:
            raise _damaged("jpeg", f"its structure breaks at byte {start:,}")
        yield code, start, body, position
    raise _damaged("jpeg", "too many segments")


_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""The chunks that pixels depend on. Without the animation's chunks a decoder sees the first frame."""


def _walk_png(data: bytes) -> _Walk:
    view = memoryview(data)
    size: tuple[int, int] | None = None
    dropped: list[tuple[int, int]] = []
    animated = has_pixels = False
    start = 8
    for _ in range(_MAX_PARTS):
        length, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        stop = start + 12 + length
        if stop > len(data):
            raise _cut_off("png", data)
        if zlib.crc32(view[start + 4 : stop - 4]) != int.from_bytes(data[stop - 4 : stop]):
            raise _damaged("png", f"wrong checksum at byte {start:,}")
        if (kind == b"IHDR") is not (size is None) or (kind == b"IHDR" and length != 13):
            raise _damaged("png", f"its structure breaks at byte {start:,}")
        if kind == b"IHDR":
            size = int.from_bytes(data[start + 8 : start + 12]), int.from_bytes(data[start + 12 : start + 16])
        elif kind == b"IEND":
            if size is None or not has_pixels:
                raise _damaged("png", "it ends before its pixels")
            return _Walk("png", *size, end=stop, essence=_without(data, dropped, stop), animated=animated)
        elif kind not in _PNG_PIXELS:
            dropped.append((start, stop))
        animated |= kind == b"acTL"
        has_pixels |= kind == b"IDAT"
        start = stop
    raise _damaged("png", "too many chunks")


def _walk_webp(data: bytes) -> _Walk:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _cut_off("webp", data)
    start = 12
    for _ in range(_MAX_PARTS):
        if start >= end:
            size, animated = _webp_size(data)
            return _Walk("webp", *size, end=end, essence=data[:end], animated=animated)
        stop = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        if stop > end:
            raise _damaged("webp", f"its structure breaks at byte {start:,}")
        start = stop + stop % 2
    raise _damaged("webp", "too many chunks")


def _webp_size(data: bytes) -> tuple[tuple[int, int], bool]:
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return (int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF), False
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), False
    if kind == b"VP8X":
        size = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        return size, bool(body[0] & 2)
    raise _damaged("webp", "its header is not readable")


def _without(data: bytes, dropped: Iterable[tuple[int, int]], end: int) -> bytes:
    pieces, kept_from = [], 0
    for start, stop in dropped:
        pieces.append(data[kept_from:start])
        kept_from = stop
    pieces.append(data[kept_from:end])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decode(walk: _Walk, *, reduced: bool) -> Image:
    """The pixels. `reduced` ones of a JPEG are its 8x8 blocks' means: every bit is still read, at half the work."""
    # The classes themselves instead of Image.open: no other format can answer, and no global state is touched.
    try:
        image = _DECODERS[walk.format](BytesIO(walk.essence))
        agreed = image.size == (walk.width, walk.height)
        if agreed:
            if reduced and isinstance(image, JpegImageFile):
                image.draft(None, (max(1, walk.width // 8), max(1, walk.height // 8)))
            image.load()
    except MemoryError as error:
        raise StorageError(
            f"not enough memory to check a picture of {walk.width}x{walk.height} pixels",
            "Close other programs or lower `limits: concurrency`, then run the same command again.",
        ) from error
    except Exception as error:
        # Pillow raises whatever its parsers stumble over: OSError, SyntaxError, ValueError, RuntimeError, …
        raise _damaged(walk.format, "its pixels cannot be decoded") from error
    if not agreed:
        raise _damaged(walk.format, "its headers contradict each other")
    return image


def _is_blank(walk: _Walk, image: Image) -> bool:
    # Most pictures are cleared by 4,096 pixels or by their blocks' means; only a suspect is looked at in full.
    if image.width * image.height > 64 * 64:
        sample = image.resize((min(64, image.width), min(64, image.height)), Resampling.NEAREST)
        if not _is_plain(sample, slack=_ROUNDING):
            return False
    if image.size != (walk.width, walk.height):
        return _is_plain(image, slack=_ROUNDING) and _is_plain(_decode(walk, reduced=False))
    return _is_plain(image)


def _is_plain(image: Image, slack: int = 0) -> bool:
    if image.mode not in {"L", "RGB", "RGBA", "I", "I;16"}:
        image = image.convert("RGBA")
    scale = 257 if image.mode.startswith("I") else 1
    extrema = image.getextrema()
    bands = cast("tuple[tuple[float, float], ...]", extrema if len(image.getbands()) > 1 else (extrema,))
    ranges = [(low / scale, high / scale) for low, high in bands]
    if len(ranges) == 4:
        low, high = ranges.pop()
        if high <= _ONE_COLOUR:
            return True
        if high - low > _ONE_COLOUR:
            return False
    one_colour = all(high - low <= _ONE_COLOUR + slack for low, high in ranges)
    return one_colour or all(high <= _NEARLY_BLACK + slack for _, high in ranges)


def _cut_off(found: PictureFormat, data: bytes) -> PictureError:
    return PictureError(f"a {_NAMES[found]} cut off after {len(data):,} bytes")


def _damaged(found: PictureFormat, detail: str) -> PictureError:
    return PictureError(f"a damaged {_NAMES[found]}: {detail}")


_OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (rb"GIF8", "a GIF"),
    (rb"BM....\0\0\0\0", "a BMP"),
    (rb"II\*\0|MM\0\*", "a TIFF"),
    (rb"....ftyp(avif|avis)", "an AVIF"),
    (rb"....ftyp(hei|hev|mif|msf)", "a HEIC"),
    (rb"....ftyp", "a video"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL"),
    (rb"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (rb"%PDF", "a PDF"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file"),
    (rb"\0\0\x01\0", "an icon file"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\x1f\x8b", "gzip-compressed data"),
)
_TEXT_KINDS: tuple[tuple[bytes, str], ...] = (
    (rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype\s+svg[^>]*>\s*)?<svg", "an SVG; only PNG, JPEG and WebP are kept"),
    (rb"<!doctype\s+html|<html|<head|<body", "an HTML page instead of a picture"),
    (rb"<", "an XML document instead of a picture"),
    (rb"[{\[]", "JSON instead of a picture"),
    (rb"[\x09\x0a\x0d\x20-\x7e]{1,64}\Z", "text instead of a picture"),
)


def _what_else(data: bytes) -> str:
    if not data:
        return "nothing: 0 bytes"
    for signature in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"):
        if signature.startswith(data[:12]) or (signature == b"RIFF" and data.startswith(b"RIFF") and len(data) < 12):
            return f"a picture cut off after {len(data):,} bytes"
    for pattern, kind in _OTHER_KINDS:
        if re.match(pattern, data[:16], re.DOTALL):
            return f"{kind}; only PNG, JPEG and WebP are kept"
    text = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, kind in _TEXT_KINDS:
        if re.match(pattern, text[:64] if kind.startswith("text") else text, re.DOTALL | re.IGNORECASE):
            return kind
    return "not a picture: the bytes are of no known kind"
