"""A folder that an export is written to: its files get their names when all of them are whole, and nothing else changes.

It owns what is replaced (an earlier export of the same form, known by the marker in its folder) and in which order, so
that what a reader finds at any moment is the old export, the new one, or none. It refuses to touch any file that no
export made, and to know what the files hold.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from batchgen.errors import StorageError, UsageError
from batchgen.spec.wording import harmless
from batchgen.storage import disk

MARKER: Final = ".batchgen-export.json"
SCHEMA: Final = "export/1"
_LARGEST_MARKER = 65_536
_LARGEST_BESIDE = 4 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Layout:
    """What one form of export consists of, below the folder that the user names."""

    kind: str
    folder: str
    """The folder with its data."""
    files: re.Pattern[str]
    """The name of each file in that folder, or below it with one `/`."""
    index: str = ""
    """A file beside the folder without which no reader takes the export for whole; it comes last."""
    card: str = ""
    """A file beside the folder that people may edit: then it is theirs, and is kept."""

    @property
    def beside(self) -> tuple[str, ...]:
        """The files beside the folder."""
        return tuple(name for name in (self.index, self.card) if name)


@contextmanager
def write_errors_in_words(path: Path) -> Iterator[None]:
    """Raise what the system says while an export is written as a StorageError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or "the system refused").lower()
        raise StorageError(
            f"{harmless(str(path))} cannot be written: {reason}",
            "nothing was changed; repair that, or name another folder with --output",
        ) from None


@contextmanager
def replacing_export(output: Path, layout: Layout) -> "Iterator[Draft]":
    """A draft of an export into `output`, which is made if missing; it takes its place when the block ends well.

    Raises UsageError when something that no export made stands in its way, or another export is being written there,
    StorageError for the disk. Then all that was there before is there still.
    """
    with write_errors_in_words(output):
        output.mkdir(parents=True, exist_ok=True)
        top = os.open(output, _FOLDER)
        try:
            _lock(top, output)
            draft = Draft(output, top, layout)
            try:
                yield draft
                draft.publish()
            finally:
                draft.close()
        finally:
            os.close(top)


class Draft:
    """An export that is being written, out of sight of readers."""

    def __init__(self, output: Path, top: int, layout: Layout) -> None:
        self._output, self._top, self._layout = output, top, layout
        self._part, self._old = f".{layout.folder}.part", f".{layout.folder}.old"
        self._bring_back()
        self._marker = self._read_marker()
        self.replaced = self._marker is not None
        """Whether it is going to take the place of an earlier export."""
        self._check_beside()
        for name in (self._part, self._old):  # what a killed export left
            self._remove(name)
        for name in layout.beside:
            self._remove_file(f".{name}.part")
        os.mkdir(self._part, dir_fd=top)
        self._inside = os.open(self._part, _FOLDER | os.O_NOFOLLOW, dir_fd=top)
        self._made = {""}
        self._write_marker({})

    def new(self, name: str) -> BinaryIO:
        """A new file in the export's folder, or one level below it."""
        return self._create(self._above_made(name), self._inside)

    def link(self, name: str, folder: int, source: str) -> None:
        """Give the file `source` of an open folder a second name in the export's folder. Raises OSError."""
        os.link(source, self._above_made(name), src_dir_fd=folder, dst_dir_fd=self._inside, follow_symlinks=False)

    def new_beside(self, name: str) -> BinaryIO:
        """A new file beside the export's folder: its index or its card."""
        return self._create(f".{name}.part", self._top)

    @property
    def card_is_edited(self) -> bool:
        """Whether somebody changed the card of the earlier export, so that it stays."""
        if self._marker is None or self._layout.card not in disk.names(self._top):
            return False
        content = self._content(self._layout.card)
        return content is None or _hash(content) != self._marker.get("card")

    def publish(self) -> None:
        """Put everything in its place. A reader finds the index when all else is there, and none in between."""
        layout = self._layout
        edited = self.card_is_edited
        if layout.card:
            before = (self._marker or {}).get("card", "") if edited else _hash(self._content(f".{layout.card}.part"))
            self._write_marker({"card": before})
        self._sync()
        for name in (layout.index, "" if edited else layout.card):
            self._remove_file(name)
        with suppress(FileNotFoundError):
            self._rename(layout.folder, self._old)
        self._rename(self._part, layout.folder)
        if layout.card and not edited:
            self._rename(f".{layout.card}.part", layout.card)
        if layout.index:
            self._rename(f".{layout.index}.part", layout.index)
        disk.sync_folder(self._top)

    def close(self) -> None:
        """Remove what is not in its place: the rest of a draft that failed, or the earlier export."""
        os.close(self._inside)
        for name in (self._part, self._old):
            with suppress(OSError, UsageError):
                self._remove(name)
        for name in self._layout.beside:
            with suppress(OSError):
                self._remove_file(f".{name}.part")

    def _sync(self) -> None:
        """Return when what the draft holds is on the disk."""
        if self._layout.index:
            os.sync()  # one call, where there may be a million pictures
            return
        for name in _walk(self._inside):
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._inside)
            try:
                disk.sync_file(number)
            finally:
                os.close(number)
        disk.sync_folder(self._inside)

    def _bring_back(self) -> None:
        """Give an earlier export its name again, when it was taken from it by one that was killed right after."""
        with suppress(FileNotFoundError):
            os.stat(self._layout.folder, dir_fd=self._top, follow_symlinks=False)
            return
        with suppress(FileNotFoundError):
            self._rename(self._old, self._layout.folder)

    def _above_made(self, name: str) -> str:
        above = name.rpartition("/")[0]
        if above not in self._made:
            os.mkdir(above, dir_fd=self._inside)
            self._made.add(above)
        return name

    def _create(self, name: str, folder: int) -> BinaryIO:
        return os.fdopen(os.open(name, _NEW, 0o666, dir_fd=folder), "wb")

    def _rename(self, name: str, to: str) -> None:
        os.rename(name, to, src_dir_fd=self._top, dst_dir_fd=self._top)

    def _remove_file(self, name: str) -> None:
        with suppress(FileNotFoundError):
            if name:
                os.unlink(name, dir_fd=self._top)

    def _content(self, name: str) -> bytes | None:
        return disk.read(name, self._top, _LARGEST_BESIDE) if name else None

    def _write_marker(self, facts: dict[str, Any]) -> None:
        with suppress(FileNotFoundError):
            os.unlink(MARKER, dir_fd=self._inside)
        with self._create(MARKER, self._inside) as file:
            file.write(json.dumps({"batchgen": SCHEMA, "format": self._layout.kind} | facts).encode() + b"\n")

    def _read_marker(self) -> dict[str, Any] | None:
        """What the marker of the earlier export says; None without one. Raises UsageError for a folder that is none."""
        try:
            folder = os.open(self._layout.folder, _FOLDER | os.O_NOFOLLOW, dir_fd=self._top)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise self._foreign(self._layout.folder) from None
            raise
        try:
            marker = _parsed(disk.read(MARKER, folder, _LARGEST_MARKER))
            if marker.get("batchgen") != SCHEMA or marker.get("format") != self._layout.kind:
                raise self._foreign(self._layout.folder)
            self._check_inside(folder, self._layout.folder)
        finally:
            os.close(folder)
        return marker

    def _check_beside(self) -> None:
        for name in self._layout.beside:
            with suppress(FileNotFoundError):
                facts = os.stat(name, dir_fd=self._top, follow_symlinks=False)
                if self._marker is None or facts.st_mode & 0o170000 != 0o100000:
                    raise self._foreign(name)

    def _check_inside(self, folder: int, shown: str) -> None:
        """Raise UsageError for anything in the folder of an export that no export puts there."""
        for name in _walk(folder):
            if name != MARKER and not self._layout.files.fullmatch(name):
                raise self._foreign(f"{shown}/{name}")

    def _remove(self, name: str) -> None:
        try:
            folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._top)
        except FileNotFoundError:
            return
        try:
            self._check_inside(folder, name)
            for path in _walk(folder):
                os.unlink(path, dir_fd=folder)
            for above in disk.names(folder):
                os.rmdir(above, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=self._top)

    def _foreign(self, name: str) -> UsageError:
        return UsageError(
            f"{harmless(str(self._output / name))} is no export of batchgen, and is not replaced",
            "move it away, or name another folder with --output",
        )


def _walk(folder: int) -> Iterator[str]:
    """Every file in an open folder, and in its folders; what lies deeper counts as a file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry.name
                continue
            below = os.open(entry.name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            try:
                with os.scandir(below) as more:
                    for each in more:
                        yield f"{entry.name}/{each.name}"
            finally:
                os.close(below)


def _lock(top: int, output: Path) -> None:
    """Keep others from exporting to the same folder; where a disk knows no locks, that is left to the user."""
    try:
        fcntl.flock(top, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}:
            raise UsageError(
                f"another export is being written to {harmless(str(output))}", "wait for it, or name another folder"
            ) from None


def _parsed(data: bytes | None) -> dict[str, Any]:
    try:
        content = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _hash(data: bytes | None) -> str:
    return hashlib.sha256(data or b"").hexdigest()
