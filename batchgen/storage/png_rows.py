"""A PNG's pixels checked row by row, in flat memory: for those that would take too much to be decoded whole.

Inflating the stream and looking at the filter of every row is the whole check that a decoder makes: all else that it
does cannot fail. This module refuses to give out pixels; its first rows come back as a PNG of their own.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.storage.walks import PNG_SIGNATURE

_BLOCK = 1 << 20
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_FILTERS = bytes(range(5))
_WHOLE = ((0, 0, 1, 1),)
_INTERLACED = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""For each pass over the picture: first column and row, then steps between columns and between rows."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What is known of a PNG all of whose rows are there."""

    sample: bytes
    """A PNG of the first rows, or of every eighth pixel when it is interlaced."""
    repeated: bool
    """Every row is written like the one above it: if the sample is of one colour, so is the picture."""


def check_rows(essence: bytes) -> CheckedRows:
    """Check every row of a PNG without metadata whose structure is whole. Raises ValueError when one is not right."""
    chunks = list(_chunks(essence))
    width, height, depth, colour, _, filters, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    pixel_bits = depth * _CHANNELS.get(colour, 0)
    if not pixel_bits or filters or interlaced > 1:
        raise ValueError("it is of no known kind")
    stream = _Inflated(chunks)
    sample, repeated = b"", True
    for left, top, across, down in _INTERLACED if interlaced else _WHOLE:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns <= 0 or rows <= 0:
            continue
        stride = 1 + -(-columns * pixel_bits // 8)
        shown = min(rows, max(2, _BLOCK // stride))
        first = stream.read(stride * shown)
        if not sample:
            header = struct.pack(">IIBB", columns, shown, depth, colour) + bytes(3)
            sample = _small_png(header, chunks, first)
        repeated &= _check_filters(first, stride, stream, stride * (rows - shown))
    return CheckedRows(sample, repeated)


def _check_filters(block: bytes, stride: int, stream: "_Inflated", left: int) -> bool:
    """Look at the first byte of each row of `block` and of the `left` bytes after it; whether row is like row."""
    repeated = block[2 * stride :] == block[stride:-stride]
    last, position = block[-stride:], 0
    while True:
        if block[-position % stride :: stride].strip(_FILTERS):
            raise ValueError("a row has an unknown filter")
        if position:
            joined = last + block
            repeated = repeated and joined[stride:] == joined[:-stride]
            last = joined[-stride:]
        position += len(block)
        if not left:
            return repeated
        block = stream.read(min(left, _BLOCK))
        left -= len(block)


class _Inflated:
    """The picture's stream, unpacked as it is read."""

    def __init__(self, chunks: list[tuple[bytes, memoryview]]) -> None:
        self._packed = iter([body for kind, body in chunks if kind == b"IDAT"])
        self._inflate = zlib.decompressobj()
        self._rest: bytes | memoryview = b""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises ValueError when there are fewer."""
        pieces = []
        while size:
            try:
                piece = self._inflate.decompress(self._rest, size)
            except zlib.error as error:
                raise ValueError("its pixels are not packed right") from error
            self._rest = self._inflate.unconsumed_tail
            pieces.append(piece)
            size -= len(piece)
            if not piece and not self._rest:
                following = next(self._packed, None)
                if following is None or self._inflate.eof:
                    raise ValueError("rows are missing")
                self._rest = following
        return b"".join(pieces)


def _chunks(essence: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, start = memoryview(essence), len(PNG_SIGNATURE)
    while start < len(essence):
        length = int.from_bytes(view[start : start + 4])
        yield essence[start + 4 : start + 8], view[start + 8 : start + 8 + length]
        start += length + 12


def _small_png(header: bytes, chunks: list[tuple[bytes, memoryview]], rows: bytes) -> bytes:
    between = [(kind, bytes(body)) for kind, body in chunks if kind in {b"PLTE", b"tRNS"}]
    parts = [(b"IHDR", header), *between, (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(
        len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4) for kind, body in parts
    )
