"""Picture links that carry all they need: the sketch, when they die, and a proof that nothing was cut off.

`/image/<sketch>/output/<uuid>-u1_<uuid>.<ext>`, below 2,000 characters whatever the prompt. It refuses to draw and to
look at the time: the reader compares.
"""

import base64
import binascii
import hashlib
import json
import struct
import uuid
import zlib
from dataclasses import fields, replace

from batchgen.sandbox.later_page import EVERY_MODEL
from batchgen.sandbox.sketch import LARGEST_SIDE, SMALLEST_SIDE, Sketch

_EXTENSIONS = {"PNG": "png", "JPEG": "jpeg"}
_HEADER_AT_MOST = 20_000
_NAMES = tuple(field.name for field in fields(Sketch))


def write_link(sketch: Sketch, expires_at: float) -> str:
    """The path of a link to the picture, from the server's root; `expires_at` is UTC seconds."""
    values = [getattr(sketch, name) for name in _NAMES]
    values[_NAMES.index("inputs")] = [len(data) for data in sketch.inputs]
    header = json.dumps([int(expires_at), *values], ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    packed = zlib.compress(header, 9)
    raw = struct.pack(">H", len(packed)) + packed + b"".join(sketch.inputs)
    token = base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
    return f"/image/{token}/output/{_proof(token)}.{_EXTENSIONS[sketch.format]}"


def read_link(token: str, name: str) -> tuple[Sketch, float]:
    """The sketch and the expiry in a link's two varying parts. Raises ValueError for one that this server never gave."""
    stem, _, extension = name.rpartition(".")
    if stem != _proof(token):
        raise ValueError("the link was changed or cut")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        (length,) = struct.unpack_from(">H", raw)
        expander = zlib.decompressobj()
        header = expander.decompress(raw[2 : 2 + length], _HEADER_AT_MOST)
        expires_at, *values = json.loads(header)
        given = dict(zip(_NAMES, values, strict=True))
        sizes = given["inputs"]
        sketch = replace(Sketch(**given), palette=tuple(given["palette"]), inputs=_split(raw[2 + length :], sizes))
        sound = extension == _EXTENSIONS[sketch.format] and sketch.model in EVERY_MODEL
        sound = sound and all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (sketch.width, sketch.height))
    except (binascii.Error, struct.error, zlib.error, ValueError, TypeError, KeyError) as error:
        raise ValueError("the link is not one of this server's") from error
    if not sound:
        raise ValueError("the link is not one of this server's")
    return sketch, float(expires_at)


def _split(data: bytes, sizes: list[int]) -> tuple[bytes, ...]:
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return tuple(parts)


def _proof(token: str) -> str:
    """The two UUIDs at a link's end: they belong to this token and to no other."""
    digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
    return f"{uuid.UUID(bytes=digest[:16], version=4)}-u1_{uuid.UUID(bytes=digest[16:], version=4)}"
