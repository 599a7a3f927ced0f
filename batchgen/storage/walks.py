"""Where a picture's bytes end, and what may be said of it before anything is decoded: format, size, cost of a decode.

A walk goes from the first mark to the end mark by the lengths that stand between, so that nothing is missing and
nothing can be hidden; metadata is left out of what a decoder sees, so that no parser ever meets it. This module
refuses to look at pixels.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from batchgen.errors import PictureError

PictureFormat = Literal["png", "jpeg", "webp"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NAMES: dict[PictureFormat, str] = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP"}

# A real file has a few dozen; more is a way to keep the checker busy.
_MAX_PARTS = 100_000
_MAX_SCANS = 100
_MAX_SCANNED_PIXELS = 24 * 64 * 1024 * 1024
"""Every scan of a JPEG costs a pass over all its pixels. Those for screens have 10, those for print 18."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A picture whose structure is whole. Sizes are pixels as its header says; the pixels may still be damaged."""

    format: PictureFormat
    width: int
    height: int
    end: int
    """How many bytes the picture has; more may follow."""
    kept: tuple[tuple[int, int], ...]
    """The parts of the file, from and to, that are the picture without its metadata."""
    pixel_bytes: int = 4
    """What Pillow keeps of a decoded pixel, in bytes."""
    working_bytes: int = 0
    """What the decoder needs beside the pixels it gives out, in bytes."""
    animated: bool = False

    def essence(self, data: bytes) -> bytes:
        """The picture without its metadata and without what follows its end."""
        return b"".join([data[start:stop] for start, stop in self.kept])

    def memory(self, scale: int = 1) -> int:
        """How many bytes a decode takes at one part in `scale` of the width and of the height."""
        copied = sum(stop - start for start, stop in self.kept)
        return copied + self.working_bytes + -(-self.width // scale) * -(-self.height // scale) * self.pixel_bytes


def walk_to_end(data: bytes) -> Walk:
    """The structure of the picture at the start of `data`. Raises `PictureError` with what the bytes are instead."""
    if data.startswith(PNG_SIGNATURE):
        return _walk_png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _walk_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _walk_webp(data)
    raise PictureError(_what_else(data))


def damaged(found: PictureFormat, detail: str) -> PictureError:
    """The error for a picture that begins like one and is none."""
    return PictureError(f"a damaged {_NAMES[found]}: {detail}")


def too_large_to_check(walk: Walk, limit: int) -> PictureError:
    """The error for a picture that would take more than `limit` bytes of memory to look at."""
    kind = "progressive " if walk.format == "jpeg" else ""
    return PictureError(
        f"a {kind}{_NAMES[walk.format]} of {walk.width}x{walk.height} pixels: looking at it takes "
        f"{-(-walk.memory(8 if walk.format == 'jpeg' else 1) // 2**20)} MiB of memory, more than the {limit // 2**20} allowed"
    )


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker: neither stuffing, nor a restart within a scan, nor fill bytes before it."""
_JPEG_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""APPn but for JFIF (0) and Adobe (14), which say how colours are to be read; and comments."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_JPEG_PROGRESSIVE = frozenset({0xC2, 0xCA})
_JPEG_START, _JPEG_END, _JPEG_SCAN = 0xD8, 0xD9, 0xDA


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    components: int
    progressive: bool
    coefficients: int
    """Bytes of all of them, which a decoder holds at once when they come in several scans."""


def _walk_jpeg(data: bytes) -> Walk:
    frame: _Frame | None = None
    in_first_scan = scans = 0
    kept: list[tuple[int, int]] = []
    kept_from = 0
    for code, start, body, stop in _jpeg_segments(data):
        if code in _JPEG_FRAMES:
            if frame is not None:
                raise damaged("jpeg", f"a second header at byte {start:,}")
            frame = _jpeg_frame(code, data[body + 2 : stop])
        elif code == _JPEG_SCAN:
            in_first_scan = in_first_scan or data[body + 2]
            scans += 1
        elif code in _JPEG_METADATA:
            kept.append((kept_from, start))
            kept_from = stop
        elif code == _JPEG_END:
            if frame is None or not 0 < scans <= _MAX_SCANS:
                raise damaged("jpeg", f"it ends with {scans} scans of its pixels")
            if scans * frame.width * frame.height > _MAX_SCANNED_PIXELS:
                raise PictureError(
                    f"a JPEG of {frame.width}x{frame.height} pixels in {scans} scans, more than anyone makes"
                )
            return Walk(
                "jpeg",
                frame.width,
                frame.height,
                end=stop,
                kept=(*kept, (kept_from, stop)),
                pixel_bytes=1 if frame.components == 1 else 4,
                working_bytes=frame.coefficients if frame.progressive or in_first_scan < frame.components else 0,
            )
    raise _cut_off("jpeg", data)


def _jpeg_frame(code: int, header: bytes) -> _Frame:
    if code not in _JPEG_SEQUENTIAL | _JPEG_PROGRESSIVE:
        raise PictureError("a lossless or hierarchical JPEG, which no viewer shows")
    components = header[5] if len(header) > 5 else 0
    sampling = [divmod(byte, 16) for byte in header[7 : 6 + 3 * components : 3]]
    if not sampling or len(header) != 6 + 3 * components or not all(h and v for h, v in sampling):
        raise damaged("jpeg", "its header is not readable")
    width, height = int.from_bytes(header[3:5]), int.from_bytes(header[1:3])
    across, down = max(h for h, _ in sampling), max(v for _, v in sampling)
    blocks = -(-width // (8 * across)) * -(-height // (8 * down)) * sum(h * v for h, v in sampling)
    return _Frame(width, height, components, code in _JPEG_PROGRESSIVE, blocks * 64 * 2)


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
        if code != _JPEG_START and max(position, body + 3) > len(data):
            return
        if code == _JPEG_START or length < 2:
            raise damaged("jpeg", f"its structure breaks at byte {start:,}")
        yield code, start, body, position
    raise damaged("jpeg", "too many segments")


_ROW_BYTES = 24
"""What Pillow keeps of a row beside its pixels: much, where a picture is one pixel wide and millions high."""
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""The chunks that pixels depend on. Without the animation's chunks a decoder sees the first frame."""


def _walk_png(data: bytes) -> Walk:
    view = memoryview(data)
    header = b""
    kept: list[tuple[int, int]] = []
    kept_from = 0
    animated = has_pixels = False
    start = 8
    for _ in range(_MAX_PARTS):
        length, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        stop = start + 12 + length
        if stop > len(data):
            raise _cut_off("png", data)
        if zlib.crc32(view[start + 4 : stop - 4]) != int.from_bytes(data[stop - 4 : stop]):
            raise damaged("png", f"wrong checksum at byte {start:,}")
        if (kind == b"IHDR") is not (not header) or (kind == b"IHDR" and length != 13):
            raise damaged("png", f"its structure breaks at byte {start:,}")
        if kind == b"IHDR":
            header = data[start + 8 : stop - 4]
        elif kind == b"IEND":
            if not has_pixels:
                raise damaged("png", "it ends before its pixels")
            return Walk(
                "png",
                int.from_bytes(header[:4]),
                int.from_bytes(header[4:8]),
                end=stop,
                kept=(*kept, (kept_from, stop)),
                pixel_bytes=(2 if header[8] == 16 else 1) if header[9] in {0, 3} else 4,
                working_bytes=_ROW_BYTES * int.from_bytes(header[4:8]),
                animated=animated,
            )
        elif kind not in _PNG_PIXELS:
            kept.append((kept_from, start))
            kept_from = stop
        animated |= kind == b"acTL"
        has_pixels |= kind == b"IDAT"
        start = stop
    raise damaged("png", "too many chunks")


def _walk_webp(data: bytes) -> Walk:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _cut_off("webp", data)
    start = 12
    for _ in range(_MAX_PARTS):
        if start >= end:
            width, height, animated = _webp_size(data)
            # Its decoder is made for animations: two canvases and a copy of one, beside the picture itself.
            working = 9 * width * height
            return Walk("webp", width, height, end=end, kept=((0, end),), working_bytes=working, animated=animated)
        stop = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        if stop > end:
            raise damaged("webp", f"its structure breaks at byte {start:,}")
        start = stop + stop % 2
    raise damaged("webp", "too many chunks")


def _webp_size(data: bytes) -> tuple[int, int, bool]:
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF, False
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, False
    if kind == b"VP8X":
        width, height = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        return width, height, bool(body[0] & 2)
    raise damaged("webp", "its header is not readable")


def _cut_off(found: PictureFormat, data: bytes) -> PictureError:
    return PictureError(f"a {_NAMES[found]} cut off after {len(data):,} bytes")


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
    for signature in (PNG_SIGNATURE, b"\xff\xd8\xff", b"RIFF"):
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
