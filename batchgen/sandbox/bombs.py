"""Small bytes that become large: a gzip stream and a PNG header. Made without ever holding what they unpack to.

It refuses to send them.
"""

import struct
import zlib

BOMB_BYTES = 300 * 1024 * 1024
BOMB_SIDE = 50_000
_BLOCK = 1024 * 1024


def gzip_bomb(begin: bytes, end: bytes = b"", fill: bytes = b" ") -> bytes:
    """A gzip stream of `begin`, 300 MB of one byte, and `end`."""
    block = fill * _BLOCK
    squeeze = zlib.compressobj(9, wbits=-15)
    first = squeeze.compress(begin) + squeeze.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back, so the same compressed block may stand there any number of times.
    again = squeeze.compress(block) + squeeze.flush(zlib.Z_FULL_FLUSH)
    last = squeeze.compress(end) + squeeze.flush()
    checksum = zlib.crc32(begin)
    for _ in range(BOMB_BYTES // _BLOCK):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(end, checksum)
    length = len(begin) + BOMB_BYTES + len(end)
    header = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    tail = struct.pack("<II", checksum, length & 0xFFFFFFFF)
    return header + first + again * (BOMB_BYTES // _BLOCK) + last + tail


def pixel_bomb() -> bytes:
    """A PNG of right structure that claims a side of 50,000 pixels and holds next to none."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
