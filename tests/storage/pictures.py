"""Pictures of every kind that is kept, made small: what the tests of the checks look at and damage."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageDraw

PNG = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawing(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    image = Image.new("RGB", size, (200, 180, 90))
    draw = ImageDraw.Draw(image)
    for step in range(0, size[0], 4):
        draw.line((0, step, size[0], size[1] - step), fill=(step * 3 % 256, 255 - step, step * 7 % 256), width=2)
    return image.convert(mode)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_size(width: int, height: int) -> bytes:
    """One whose header says so, without a single pixel."""
    return png(width, height, 8, 0, b"")


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *, interlaced: bool = False) -> bytes:
    """One of the rows as they are, each with its filter in front."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return PNG + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


def interlaced(width: int, height: int, depth: int, colour: int, *, spread: int = 37) -> bytes:
    """One in seven passes; with `spread` 0 of one colour."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = bytearray()
    for left, top, across, down in ADAM7:
        columns, lines = -(-(width - left) // across), -(-(height - top) // down)
        size = -(-columns * channels * depth // 8)
        for line in range(lines if columns > 0 else 0):
            rows += bytes([0]) + bytes((step + line) * spread % 256 for step in range(size))
    return png(width, height, depth, colour, bytes(rows), interlaced=True)


def sixteen_bits() -> bytes:
    """An RGB picture of 16 bits a channel."""
    rows = b"".join(
        bytes([line % 5]) + bytes((step * 7 + line * 13) % 256 for step in range(64 * 6)) for line in range(48)
    )
    return png(64, 48, 16, 2, rows)


def grey_of_sixteen_bits() -> bytes:
    """The same in grey."""
    return png(64, 48, 16, 0, b"".join(bytes([line % 5]) + bytes(range(line, line + 128)) for line in range(48)))


def rotated(kind: str) -> bytes:
    """One that its metadata asks to turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(drawing(), kind, exif=exif)


def animated(kind: str) -> bytes:
    """One of three frames."""
    frames = [drawing(), drawing().rotate(90), drawing().rotate(180)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


WHOLE = {
    "png": encoded(drawing(), "PNG"),
    "png palette": encoded(drawing("P"), "PNG"),
    "png grey": encoded(drawing("L"), "PNG"),
    "png interlaced": interlaced(64, 48, 8, 2),
    "png 16 bits": sixteen_bits(),
    "png grey 16 bits": grey_of_sixteen_bits(),
    "png see-through": encoded(drawing("RGBA"), "PNG"),
    "png rotated": rotated("PNG"),
    "jpeg": encoded(drawing(), "JPEG", quality=85),
    "jpeg progressive": encoded(drawing(), "JPEG", progressive=True),
    "jpeg with restarts": encoded(drawing(), "JPEG", restart_marker_blocks=1),
    "jpeg cmyk": encoded(drawing("CMYK"), "JPEG"),
    "jpeg rotated": rotated("JPEG"),
    "webp rotated": rotated("WEBP"),
    "webp": encoded(drawing(), "WEBP"),
    "webp lossless": encoded(drawing("RGBA"), "WEBP", lossless=True),
    "webp with metadata": encoded(drawing(), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", icc_profile=b"x" * 100),
}

MOVING = {"png moving": animated("PNG"), "webp moving": animated("WEBP")}
ZIP = b"PK\x03\x04\x14\0\0\0\0\0" + bytes(20) + b"PK\x05\x06" + bytes(18)
POLYGLOTS = {
    "jpeg that is a ZIP too": WHOLE["jpeg"] + ZIP,
    "png that is a page too": WHOLE["png"] + b"<html><script>alert(1)</script></html>",
    "png with a page inside": WHOLE["png"][:33] + png_chunk(b"tEXt", b"c\0<html><body>") + WHOLE["png"][33:],
    "jpeg with a GIF inside": WHOLE["jpeg"][:2] + b"\xff\xfe\0\x0cGIF89a/*\0\0" + WHOLE["jpeg"][2:],
    "jpeg with a PDF inside": WHOLE["jpeg"][:2] + b"\xff\xfe\0\x0b%PDF-1.4\n" + WHOLE["jpeg"][2:] + b"%%EOF",
    "webp that is a script too": WHOLE["webp"] + b"*/=1;alert(1)//",
}
