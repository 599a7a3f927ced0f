"""Small pictures for the grid: which are there, and those that are missing made from the stored pictures.

A picture is opened below its folder alone and through no link, and only when it is what the ledger says. It refuses to
fail a gallery: a cell without its small picture shows the large one.
"""

import functools
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from batchgen.errors import PictureError, StorageError
from batchgen.storage.derived import DerivedFolder
from batchgen.storage.disk import Folders, open_root, read
from batchgen.storage.looks import thumbnail_name
from batchgen.storage.pictures import DECODING_BYTES, check_picture
from batchgen.storage.room import Room
from batchgen.views.gallery.cells import Found

_FOLDER = "thumbs"
_ABOVE = f"gallery/{_FOLDER}/"
_THREADS = 4
_PICTURE_AT_MOST = 64 * 1024**2


def whole_in(folder: Path) -> Callable[[Found], bool]:
    """Says of a stored picture whether its file lies in the folder itself, with its size: neither `..` nor links lead out."""
    real = os.path.realpath(folder)

    @functools.lru_cache(maxsize=4096)
    def is_inside(above: str) -> bool:
        return os.path.realpath(f"{folder}/{above}") == f"{real}/{above}"

    def is_whole(found: Found) -> bool:
        try:
            facts = os.stat(f"{folder}/{found.file_name}", follow_symlinks=False)  # noqa: PTH116  # one for each picture
            inside = is_inside(found.file_name.rpartition("/")[0])
        except (OSError, ValueError):
            return False
        return inside and stat.S_ISREG(facts.st_mode) and facts.st_size == found.bytes

    return is_whole


class Thumbnails:
    """The thumbnails of one gallery. At most `at_most` are made (None: all that are missing), several at a time."""

    def __init__(self, folder: Path, derived: DerivedFolder, at_most: int | None) -> None:
        self._folder = folder
        self._derived = derived
        self._left = at_most
        self._room = Room(DECODING_BYTES)
        self.refused = 0
        """Files that are not the picture that the ledger says they are."""

    def add(self, pictures: Iterable[Found]) -> None:
        """Give each of the pictures, whose files are there, its thumbnail's name."""
        wanted: dict[str, list[Found]] = {}
        for found in pictures:
            if not found.source_sha256:
                continue
            name = thumbnail_name(found.source_sha256).removeprefix(_ABOVE)
            if self._derived.has(f"{_FOLDER}/{name}"):
                found.cell.thumb = name
            else:
                wanted.setdefault(name, []).append(found)
        chosen = list(wanted.items())[: self._left]
        if not chosen:
            return
        if self._left is not None:
            self._left -= len(chosen)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails") as threads:
            for (name, cells), made in zip(chosen, threads.map(self._make, chosen), strict=True):
                self.refused += made is None
                for found in cells:
                    found.cell.thumb = name if made else ""

    def _make(self, wanted: tuple[str, list[Found]]) -> bool | None:
        """Whether the thumbnail is there now; None for a file that is not what the ledger says."""
        name, (found, *_) = wanted
        data = self._content(found.file_name)
        if data is None or hashlib.sha256(data).hexdigest() != found.sha256:
            return None
        try:
            thumbnail = check_picture(data, found.sha256, self._room, thumbnail=True).thumbnail
        except PictureError:
            return None
        except StorageError:  # no memory for this one; it is shown in full size
            return False
        if thumbnail:
            self._derived.write(f"{_FOLDER}/{name}", thumbnail)
        return bool(thumbnail)

    def _content(self, file_name: str) -> bytes | None:
        *above, base = file_name.split("/")
        with suppress(OSError):
            root = open_root(self._folder)
            try:
                with Folders(root, set()) as folders:
                    return read(base, folders.open(tuple(above)), _PICTURE_AT_MOST)
            finally:
                os.close(root)
        return None
