"""Request fields: from the texts that people write to the values that are sent and hashed.

It owns text that stands for a number or a list, and input pictures (found, hashed once, never opened again). What a field
accepts is the catalogue's to say.
"""

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from batchgen.catalog.catalog import Field
from batchgen.spec.files import in_words, open_regular
from batchgen.spec.task import InputPicture

LARGEST_PICTURE = 32 * 1024 * 1024
"""Bytes of one input picture: it is sent inside of a request, a third larger."""
MOST_PICTURES = 1_000
_FORMATS = "PNG, JPEG, WebP, GIF or BMP"
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_INT = re.compile(r"[-+]?\d{1,20}")
_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)


def from_text(field: Field, text: str) -> Any:
    """What `text` (a cell, a filled-in template, a `--set`) stands for in `field`; unchanged when it fits no number."""
    stripped = text.strip()
    if field.type == "int" and _INT.fullmatch(stripped):
        return int(stripped)
    if field.type in {"int", "float"}:
        try:
            return float(stripped)
        except ValueError:
            return text
    if field.type == "bool":
        return {"true": True, "false": False}.get(stripped.lower(), text)
    if field.type == "pictures":
        if stripped.startswith("["):
            try:
                return json.loads(stripped)
            except (ValueError, RecursionError):
                return text
        return [part.strip() for part in text.split("|", MOST_PICTURES) if part.strip()]
    return text


class MissingPictureError(ValueError):
    """An input picture that is not there, cannot be read or is no picture; the text names the file."""


class PictureBook:
    """Finds input pictures. Every file is read and hashed once; relative ones are relative to `folder`."""

    def __init__(self, folder: Path, hashes: MutableMapping[str, str]) -> None:
        self.folder = folder
        self.hashes = hashes
        self._inline: dict[str, str] = {}

    def find(self, source: str) -> InputPicture:
        """The picture that `source` (a link, a data URI or a path) means.

        Raises MissingPictureError for a file that cannot be read, ValueError for a broken data URI.
        """
        if _LINK.match(source):
            return InputPicture(source)
        if source[:5].lower() == "data:":
            if source not in self._inline:
                self._inline[source] = _hash_of_data_uri(source)
            return InputPicture(source, sha256=self._inline[source])
        path = os.path.normpath(self.folder / source)
        if path not in self.hashes:
            self.hashes[path] = _hash_of_file(path, source)
        return InputPicture(source, sha256=self.hashes[path], path=path)

    def canonical(self, field: Field, value: Any) -> Any:
        """`value` as it is sent and hashed. Raises ValueError with what was expected."""
        canonical = field.canonical(value)
        if field.type == "picture":
            return self.find(canonical)
        if field.type == "pictures":
            return tuple(self.find(item) for item in canonical)
        return canonical


def _hash_of_file(path: str, source: str) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_PICTURE + 1)
    except (OSError, ValueError) as error:
        raise MissingPictureError(f"cannot read the picture {source}: {in_words(error)}") from None
    if not data:
        raise MissingPictureError(f"the picture {source} is empty")
    if len(data) > LARGEST_PICTURE:
        raise MissingPictureError(f"the picture {source} is larger than {LARGEST_PICTURE // 1024 // 1024} MB")
    # What a job names goes to a server: only a picture may, whatever the file is called.
    if not is_picture(data):
        raise MissingPictureError(f"{source} is not sent: what it holds is no {_FORMATS} picture")
    return hashlib.sha256(data).hexdigest()


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as a PNG, JPEG, WebP, GIF or BMP file does."""
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return True
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    # Two letters alone would let many a text pass.
    return data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS


def _hash_of_data_uri(source: str) -> str:
    head = _DATA.match(source)
    try:
        data = base64.b64decode(source[head.end() :], validate=True) if head else b""
    except (binascii.Error, ValueError):
        data = b""
    if not is_picture(data) or len(data) > LARGEST_PICTURE:
        raise ValueError("a data URI such as data:image/png;base64,… with the whole picture in it")
    return hashlib.sha256(data).hexdigest()


def is_path(source: str) -> bool:
    """Whether a picture is named by a path, and not by a link or a data URI."""
    return not _LINK.match(source) and source[:5].lower() != "data:"
