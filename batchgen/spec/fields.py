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
from batchgen.spec.task import InputPicture

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
    if field.type == "pictures":
        if stripped.startswith("["):
            try:
                return json.loads(stripped)
            except ValueError:
                return text
        return [part.strip() for part in text.split("|") if part.strip()]
    return text


class MissingPictureError(ValueError):
    """An input picture that is not there or cannot be read; the text names the file."""


class PictureBook:
    """Finds input pictures. Every file is read and hashed once; relative ones are relative to `folder`."""

    def __init__(self, folder: Path, hashes: MutableMapping[str, str]) -> None:
        self.folder = folder
        self.hashes = hashes

    def find(self, source: str) -> InputPicture:
        """The picture that `source` (a link, a data URI or a path) means.

        Raises MissingPictureError for a file that cannot be read, ValueError for a broken data URI.
        """
        if _LINK.match(source):
            return InputPicture(source)
        if source[:5].lower() == "data:":
            return InputPicture(source, sha256=_hash_of_data_uri(source))
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
        with open(path, "rb") as file:  # noqa: PTH123  # the path is text already; ten thousand of them are looked up
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            empty = file.tell() == 0
    except (OSError, ValueError) as error:
        reason = "there is no such file"
        if isinstance(error, IsADirectoryError):
            reason = "it is a folder"
        elif isinstance(error, OSError) and not isinstance(error, FileNotFoundError | NotADirectoryError):
            reason = str(error.strerror)
        raise MissingPictureError(f"cannot read the picture {source}: {reason}") from None
    if empty:
        raise MissingPictureError(f"the picture {source} is empty")
    return digest


def _hash_of_data_uri(source: str) -> str:
    head = _DATA.match(source)
    try:
        data = base64.b64decode(source[head.end() :], validate=True) if head else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise ValueError("a data URI such as data:image/png;base64,… with the whole picture in it")
    return hashlib.sha256(data).hexdigest()


def is_path(source: str) -> bool:
    """Whether a picture is named by a path, and not by a link or a data URI."""
    return not _LINK.match(source) and source[:5].lower() != "data:"
