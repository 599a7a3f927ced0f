"""Files that can be made again at any time, such as a gallery: replaced whole, never through a planted link.

They may be written while a run holds the folder's lock, since nothing that is paid for depends on them; a lock of their
own keeps two writers apart. They are not synced: what a power cut damages differs, and is written again. This module
refuses to touch anything outside its one subfolder.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from batchgen.errors import StorageError
from batchgen.storage.disk import Folders, create, in_words, names, open_root, read, write_all

_PART = ".part"
_TURNS, _TURN_S = 200, 0.05
"""How often a busy folder is tried, and how long it is let be in between, in seconds."""


class DerivedFolder:
    """The subfolder `name` of the output folder `folder`; use it as a context manager. Methods raise `StorageError`.

    Names are relative to the subfolder, with `/`; they come from this program, never from outside. Several threads may
    write.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self._name = name
        with in_words(self.path):
            self._root = open_root(folder)
            try:
                with Folders(self._root, set()) as folders:
                    self._own = os.dup(folders.open_to_change((name,)))
            except BaseException:
                os.close(self._root)
                raise
        try:
            self._wait_for_turn()
        except BaseException:
            self._close()
            raise

    def _wait_for_turn(self) -> None:
        """Return when no other writer is at work; one that hangs is not waited for longer than it may take."""
        for _ in range(_TURNS):
            try:
                fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                threading.Event().wait(_TURN_S)
            except OSError:  # a disk without locks: two writers then write the same
                return
            else:
                return
        raise StorageError(f"{self.path}: another process has been writing it for a while", "Try again later.")

    def write(self, name: str, data: bytes) -> bool:
        """Give a file this content; a reader sees the old one or the new one. False when it has the content already."""
        *above, base = name.split("/")
        with in_words(self.path / name), Folders(self._root, set()) as folders:
            folder = folders.open_to_change((self._name, *above))
            if read(base, folder, len(data)) == data:
                return False
            part = f".{base}.{secrets.token_hex(4)}{_PART}"
            descriptor = create(part, folder)
            try:
                try:
                    write_all(descriptor, data)
                finally:
                    os.close(descriptor)
                os.replace(part, base, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(part, dir_fd=folder)
                raise
        return True

    def read(self, name: str, at_most: int) -> bytes | None:
        """The content of a file; None when there is no regular file of that name, or a larger one."""
        *above, base = name.split("/")
        with in_words(self.path / name), Folders(self._root, set()) as folders:
            try:
                return read(base, folders.open((self._name, *above)), at_most)
            except FileNotFoundError:
                return None

    def read_beside(self, name: str, at_most: int) -> bytes | None:
        """The same for a file in the output folder itself."""
        with in_words(self.path.parent / name):
            return read(name, self._root, at_most)

    def has(self, name: str) -> bool:
        """Whether something has that name. Cheap: a look, nothing is opened."""
        try:
            os.stat(name, dir_fd=self._own, follow_symlinks=False)
        except (OSError, ValueError):
            return False
        return True

    def tidy(self, folder: str, is_stale: Callable[[str], bool]) -> None:
        """Take away the files of one folder that `is_stale` names, and what a writer that was killed left half done."""
        with in_words(self.path / folder), Folders(self._root, set()) as folders, suppress(FileNotFoundError):
            descriptor = folders.open((self._name, *folder.split("/")))
            for name in names(descriptor):
                if is_stale(name) or (name.startswith(".") and name.endswith(_PART)):
                    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                        os.unlink(name, dir_fd=descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        os.close(self._own)
        os.close(self._root)
