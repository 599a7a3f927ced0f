"""Input pictures on their way into a request: read, checked against the plan, kept once, and encoded unchanged.

What a picture's file held when the task was planned is part of the task's id, so a file that changed since then is
refused rather than sent under the wrong id. Something else may stand there by then, and a job out of a stranger's folder
may name anything: it is looked at before it is opened, and read to its bound. Links are passed on as they are: only the
provider opens them.
"""

import asyncio
import base64
import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

from batchgen.api.dialects import data_uri
from batchgen.errors import UsageError
from batchgen.spec.fields import LARGEST_PICTURE, is_picture
from batchgen.spec.files import in_words, open_regular
from batchgen.spec.task import InputPicture
from batchgen.storage.files import ResultFolder

REQUESTS_AT_MOST = 24 * 1024**2
"""Bytes of input pictures in all requests at once; about four times as much is in use while they are sent."""
REQUEST_AT_MOST = 48 * 1024**2
"""Bytes of input pictures in one request, which then waits until it is alone."""
_KEPT_ENCODED = 48 * 1024**2
"""Characters of encoded pictures that are kept for the next request."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
)


class Inputs:
    """Turns a task's picture fields into what is sent; keeps a copy of each picture in `inputs/`."""

    def __init__(self, folder: ResultFolder, disk: Executor) -> None:
        self._folder = folder
        self._disk = disk
        self._encoded: OrderedDict[str, str] = OrderedDict()
        self._kept: dict[str, str] = {}

    async def resolve(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """`params` with every `InputPicture` as a link or a data URI. Raises UsageError for one that changed or went."""
        resolved: dict[str, Any] = {}
        for name, value in params.items():
            if isinstance(value, InputPicture):
                resolved[name] = await self._wire(value)
            elif isinstance(value, tuple):
                resolved[name] = [await self._wire(item) if isinstance(item, InputPicture) else item for item in value]
            else:
                resolved[name] = value
        return resolved

    def bytes_of(self, params: Mapping[str, Any]) -> int:
        """How large the pictures of one request are: files as they lie there, data URIs by their text."""
        pictures = [item for value in params.values() for item in (value if isinstance(value, tuple) else (value,))]
        return sum(_size_of(item) for item in pictures if isinstance(item, InputPicture))

    def recorded(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Resolved `params` as ledger and manifest keep them: a picture is its copy in `inputs/`, or its link."""
        return {
            name: [self._record(item) for item in value] if isinstance(value, tuple) else self._record(value)
            for name, value in params.items()
        }

    def _record(self, value: Any) -> Any:
        if not isinstance(value, InputPicture):
            return value
        return f"inputs/{value.sha256}.{self._kept[value.sha256]}" if value.sha256 else value.source

    async def _wire(self, picture: InputPicture) -> str:
        if picture.sha256 is None:
            return picture.source
        encoded = self._encoded.get(picture.sha256)
        if encoded is None:
            loop = asyncio.get_running_loop()
            encoded = await loop.run_in_executor(self._disk, self._load, picture)
            self._encoded[picture.sha256] = encoded
            while self._encoded and sum(map(len, self._encoded.values())) > _KEPT_ENCODED:
                self._encoded.popitem(last=False)
        return encoded

    def _load(self, picture: InputPicture) -> str:
        assert picture.sha256 is not None
        data = picture_bytes(picture)
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise UsageError(
                f"{picture.path}: the input picture changed after the plan was made",
                "run again: the changed picture makes new tasks",
            )
        if not is_picture(data):
            raise UsageError(
                f"{picture.path}: this is no picture, and is not sent", "put the picture back, then run again"
            )
        extension = media_type(data)
        if picture.sha256 not in self._kept:
            self._folder.keep_input(data, picture.sha256, f".{extension}")
            self._kept[picture.sha256] = extension
        return picture.source if picture.path is None else data_uri(data, f"image/{extension}")


def _size_of(picture: InputPicture) -> int:
    if picture.path is None:
        return len(picture.source) if picture.sha256 else 0
    with suppress(OSError, ValueError):
        return os.stat(picture.path).st_size  # noqa: PTH116  # one for each request
    return 0


def picture_bytes(picture: InputPicture) -> bytes:
    """The bytes of an input picture that is a file or a data URI. Raises UsageError when its file cannot be read."""
    if picture.path is None:
        header, _, payload = picture.source.partition(",")
        raw = unquote_to_bytes(payload)
        return base64.b64decode(raw) if ";base64" in header.lower() else raw
    hint = "put the input picture back, then run again"
    try:
        with open_regular(picture.path) as file:
            data = file.read(LARGEST_PICTURE + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{picture.path}: {in_words(error).lower()}", hint) from None
    if len(data) > LARGEST_PICTURE:
        raise UsageError(f"{picture.path}: it is larger than {LARGEST_PICTURE // 1024 // 1024} MB", hint)
    return data


def media_type(data: bytes) -> str:
    """The picture's format by its first bytes, as media types spell it; `png` when none is recognised."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for start, name in _SIGNATURES if data.startswith(start)), "png")
