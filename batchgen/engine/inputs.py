"""Input pictures on their way into a request: read, checked against the plan, kept once, and encoded unchanged.

What a picture's file held when the task was planned is part of the task's id, so a file that changed since then is
refused rather than sent under the wrong id. Links are passed on as they are: only the provider opens them.
"""

import asyncio
import base64
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from batchgen.api.dialects import data_uri
from batchgen.errors import UsageError
from batchgen.spec.fields import is_picture
from batchgen.spec.task import InputPicture
from batchgen.storage.files import ResultFolder

_KEPT_ENCODED = 8

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
            while len(self._encoded) > _KEPT_ENCODED:
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


def picture_bytes(picture: InputPicture) -> bytes:
    """The bytes of an input picture that is a file or a data URI. Raises UsageError when its file cannot be read."""
    if picture.path is None:
        header, _, payload = picture.source.partition(",")
        raw = unquote_to_bytes(payload)
        return base64.b64decode(raw) if ";base64" in header.lower() else raw
    try:
        return Path(picture.path).read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UsageError(f"{picture.path}: {reason}", "put the input picture back, then run again") from None


def media_type(data: bytes) -> str:
    """The picture's format by its first bytes, as media types spell it; `png` when none is recognised."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for start, name in _SIGNATURES if data.startswith(start)), "png")
