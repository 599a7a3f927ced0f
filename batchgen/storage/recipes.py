"""The recipe inside a picture's file: how it was made, written beside the pixels, which stay byte for byte what they were.

PNG: text chunks after the header. JPEG: a comment, and words in EXIF when the picture has none. WebP: a chunk of its own at
the end, and EXIF likewise. `strip` gives back exactly what came. It refuses to know what a recipe says, to decode pixels,
and to unpack anything: a forged one is at most a text.
"""

import struct
import zlib
from collections.abc import Iterator

from batchgen.storage.walks import PNG_SIGNATURE, PictureFormat, walk_to_end

LARGEST_RECIPE = 60_000
"""Bytes: what one segment of a JPEG holds."""
_WORDS_AT_MOST = 20_000
_KEYWORD = b"batchgen"
_WORDS = b"parameters"
_MARK = b"batchgen-recipe/1 "
_WEBP_CHUNK = b"bgRC"
_AFTER_HEADER = len(PNG_SIGNATURE) + 25
_HAS_EXIF, _HAS_ALPHA = 0x08, 0x10


def embed(data: bytes, kind: PictureFormat, recipe: str, words: str) -> bytes:
    """The file of a whole picture with its recipe in it; `words` are for programs that show how pictures were made.

    `data` itself where that cannot be: a recipe that is too long, an odd container.
    """
    text = recipe.encode()
    if len(text) > LARGEST_RECIPE:
        return data
    made = {"png": _into_png, "jpeg": _into_jpeg, "webp": _into_webp}[kind](data, text, words[:_WORDS_AT_MOST])
    if made is None or strip(made) != data:
        return data
    walk_to_end(made)
    return made


def strip(data: bytes) -> bytes:
    """The file as it was received: without the recipe that `embed` put in last."""
    if data.startswith(PNG_SIGNATURE):
        return _out_of_png(data)
    if data.startswith(b"\xff\xd8"):
        return _out_of_jpeg(data)
    if _is_webp(data):
        return _out_of_webp(data)
    return data


def read_recipe(data: bytes) -> str | None:
    """The recipe in a picture's file, wherever a program that copied it may have put it; None when there is none."""
    found = None
    if data.startswith(PNG_SIGNATURE):
        bodies = (data[start:end] for kind, start, end in _png_chunks(data) if kind == b"iTXt")
        found = next((body[len(_KEYWORD) + 5 :] for body in bodies if body.startswith(_KEYWORD + bytes(5))), None)
    elif data.startswith(b"\xff\xd8"):
        bodies = (data[start:end] for marker, start, end in _jpeg_segments(data) if marker == 0xFE)
        found = next((body.partition(b"\n")[2] for body in bodies if body.startswith(_MARK)), None)
    elif _is_webp(data):
        bodies = (data[start:end] for kind, start, end in _webp_chunks(data) if kind == _WEBP_CHUNK)
        found = next((body.partition(b"\n")[2] for body in bodies if body.startswith(_MARK)), None)
    if found is None or len(found) > LARGEST_RECIPE:
        return None
    try:
        return found.decode()
    except UnicodeDecodeError:
        return None


def _into_png(data: bytes, recipe: bytes, words: str) -> bytes | None:
    ascii_words = words.isascii()
    shown = _png_chunk(b"tEXt", _WORDS + b"\0" + words.encode()) if ascii_words else _itxt(_WORDS, words.encode())
    return b"".join((data[:_AFTER_HEADER], shown, _itxt(_KEYWORD, recipe), data[_AFTER_HEADER:]))


def _out_of_png(data: bytes) -> bytes:
    chunks = _png_chunks(data)
    next(chunks, None)
    words, recipe = next(chunks, None), next(chunks, None)
    if words is None or recipe is None or words[0] not in {b"tEXt", b"iTXt"} or recipe[0] != b"iTXt":
        return data
    if not data.startswith(_WORDS + b"\0", words[1]) or not data.startswith(_KEYWORD + bytes(5), recipe[1]):
        return data
    return data[:_AFTER_HEADER] + data[recipe[2] + 4 :]


def _itxt(keyword: bytes, text: bytes) -> bytes:
    return _png_chunk(b"iTXt", keyword + bytes(5) + text)  # not packed, no language, no translated keyword


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk's body, up to the pixels' end or to what is no chunk."""
    place = len(PNG_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind = data[place + 4 : place + 8]
        if place + 12 + length > len(data) or kind == b"IEND":
            return
        yield kind, place + 8, place + 8 + length
        place += 12 + length


def _into_jpeg(data: bytes, recipe: bytes, words: str) -> bytes | None:
    segments = list(_jpeg_segments(data))
    has_exif = any(marker == 0xE1 and data.startswith(b"Exif\0", start) for marker, start, _ in segments)
    exif = b"" if has_exif else _segment(0xE1, b"Exif\0\0" + _exif(words))
    comment = _segment(0xFE, _MARK + f"{len(exif)}\n".encode() + recipe)
    place = _after_jfif(segments)
    return b"".join((data[:place], exif, comment, data[place:]))


def _out_of_jpeg(data: bytes) -> bytes:
    segments = list(_jpeg_segments(data))
    place = _after_jfif(segments)
    for marker, start, end in segments:
        if marker == 0xFE and data.startswith(_MARK, start):
            before = data[start + len(_MARK) : start + len(_MARK) + 6].partition(b"\n")[0]
            if before.isdigit() and start - 4 - int(before) == place:
                return data[:place] + data[end:]
            return data
    return data


def _after_jfif(segments: list[tuple[int, int, int]]) -> int:
    """Readers want the JFIF segment first, and all else behind it."""
    return segments[0][2] if segments and segments[0][0] == 0xE0 else 2


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's body before the pixels."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF or marker in {0x01, 0xD8, 0xD9, 0xDA} or 0xD0 <= marker <= 0xD7:
            return
        (length,) = struct.unpack_from(">H", data, place + 2)
        if length < 2 or place + 2 + length > len(data):
            return
        yield marker, place + 4, place + 2 + length
        place += 2 + length


def _exif(words: str) -> bytes:
    """A TIFF with nothing but a UserComment, in the letters that programs of this trade expect there."""
    comment = b"UNICODE\0" + words.encode("utf-16-be", "replace")
    pointer = struct.pack(">HHHII", 1, 0x8769, 4, 1, 26) + bytes(4)
    entry = struct.pack(">HHHII", 1, 0x9286, 7, len(comment), 44) + bytes(4)
    return struct.pack(">2sHI", b"MM", 42, 8) + pointer + entry + comment


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _into_webp(data: bytes, recipe: bytes, words: str) -> bytes | None:
    chunks = list(_webp_chunks(data))
    if len(data) % 2 or len(data) - 8 != struct.unpack_from("<I", data, 4)[0] or not chunks:
        return None  # something follows the picture, or it is not padded
    kind, start, _ = chunks[0]
    head, rest = b"", data[12:]
    if kind != b"VP8X":
        size = _webp_size(data, kind, start)
        if size is None or len(chunks) != 1:
            return None
        width, height, alpha = size
        flags = _HAS_EXIF | (_HAS_ALPHA if alpha else 0)
        body = struct.pack("<I", flags) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        head, added = _webp_chunk(b"VP8X", body), "xe"
    elif data[start] & _HAS_EXIF:
        added = ""
    else:
        added, rest = "e", rest[:8] + bytes([data[start] | _HAS_EXIF]) + rest[9:]
    exif = _webp_chunk(b"EXIF", _exif(words)) if added else b""
    own = _webp_chunk(_WEBP_CHUNK, _MARK + f"{added}\n".encode() + recipe)
    body = b"".join((b"WEBP", head, rest, exif, own))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _out_of_webp(data: bytes) -> bytes:
    chunks = list(_webp_chunks(data))
    if len(chunks) < 2 or chunks[-1][0] != _WEBP_CHUNK or not data.startswith(_MARK, chunks[-1][1]):
        return data
    start = chunks[-1][1]
    added = data[start + len(_MARK) : start + len(_MARK) + 4].partition(b"\n")[0]
    end = start - 8
    if added:
        if chunks[-2][0] != b"EXIF":
            return data
        end = chunks[-2][1] - 8
    if added == b"xe":
        body = b"WEBP" + data[chunks[1][1] - 8 : end]
    elif added == b"e":
        flags = chunks[0][1]
        body = b"".join((data[8:flags], bytes([data[flags] & ~_HAS_EXIF]), data[flags + 1 : end]))
    else:
        body = data[8:end]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_size(data: bytes, kind: bytes, start: int) -> tuple[int, int, bool] | None:
    """Width, height and whether it has opacity, of a picture in the simple form."""
    if kind == b"VP8 " and data[start + 3 : start + 6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, start + 6)
        return width & 0x3FFF, height & 0x3FFF, False
    if kind == b"VP8L" and data[start : start + 1] == b"\x2f":
        (bits,) = struct.unpack_from("<I", data, start + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    return None


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk's body."""
    place = 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        if place + 8 + length > len(data):
            return
        yield data[place : place + 4], place + 8, place + 8 + length
        place += 8 + length + length % 2
