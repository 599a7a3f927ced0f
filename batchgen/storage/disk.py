"""What a file system does, one step at a time: folders without links, whole writes, fsync; its errors in words.

Everything is relative to an open folder, so that a link planted anywhere below it leads nowhere. It refuses to know
what the files are: that is `files.py`.
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from batchgen.errors import StorageError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_AGAIN = "then run the same command again: nothing that is paid for is lost."
_WORDS: dict[int, tuple[str, str]] = {
    errno.EACCES: ("no permission to write", "Make it writable for this user or choose another `output.folder`."),
    errno.ENOSPC: ("the disk is full", f"Free some space (files count too, not bytes alone), {_AGAIN}"),
    errno.EDQUOT: ("your disk quota is used up", f"Free some space or ask for more, {_AGAIN}"),
    errno.EIO: ("the disk reports an error", f"Check the disk or choose another one, {_AGAIN}"),
    errno.EROFS: ("the disk is read-only", f"Mount it writable or choose another `output.folder`, {_AGAIN}"),
    errno.EMFILE: ("too many files are open", f"Raise the limit (`ulimit -n 4096`), {_AGAIN}"),
    errno.ENOENT: ("it was moved or deleted while in use", f"Put it back, {_AGAIN}"),
    errno.EXDEV: ("it lies on another disk than the rest of its output folder", "Keep the whole folder on one disk."),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "Shorten `output.name` in the job."),
    errno.EFBIG: ("larger than a file may be here", f"Raise the limit (`ulimit -f unlimited`), {_AGAIN}"),
    errno.EISDIR: ("a folder stands where a file belongs", f"Move it away, {_AGAIN}"),
    errno.EEXIST: ("a file stands where a folder belongs", f"Move it away, {_AGAIN}"),
    errno.ENOTDIR: (
        "a file or a link stands where a folder belongs (links are not followed here)",
        f"Move it, {_AGAIN}",
    ),
}
_WORDS[errno.ELOOP] = _WORDS[errno.ENOTDIR]
_WORDS[errno.EPERM] = _WORDS[errno.EACCES]
_WORDS[errno.ENFILE] = _WORDS[errno.EMFILE]
_WORDS[errno.ESTALE] = _WORDS[errno.ENOENT]


@contextmanager
def in_words(shown: Path | str) -> Iterator[None]:
    """Raise what the system says about the file or folder `shown` as a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        what, hint = _WORDS.get(error.errno or 0, (os.strerror(error.errno or 0).lower(), f"Repair that, {_AGAIN}"))
        raise StorageError(f"{shown}: {what}", hint) from error


def is_shortage_of_files(error: BaseException) -> bool:
    """Whether an error of this room means that too many files are open for now: it passes by itself."""
    return getattr(error.__cause__, "errno", None) in {errno.EMFILE, errno.ENFILE}


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, readable by this user alone, so that a power cut does not undo it."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    try:
        _sync_names_in(path.parent)  # one that is there may be what a killed run made and did not come to sync
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:  # where nobody can make one, nobody did
            raise
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE, exist_ok=True)
        _sync_names_in(folder.parent)


def _sync_names_in(path: Path) -> None:
    descriptor = os.open(path, _FOLDER)
    try:
        sync_folder(descriptor)
    finally:
        os.close(descriptor)


def open_root(path: Path) -> int:
    """Open the folder that everything else is relative to; the user may have made it a link."""
    return os.open(path, _FOLDER)


def create(name: str, folder: int) -> int:
    """Open a file that must not exist yet, for this user alone."""
    return os.open(name, _CREATE, FILE_MODE, dir_fd=folder)


def read(name: str, folder: int, at_most: int | None = None) -> bytes | None:
    """The content of a file; None when there is no regular file of that name, or one of more than `at_most` bytes.

    Links and devices are not opened.
    """
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
            return None
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or (at_most is not None and facts.st_size > at_most):
            return None
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def holds(name: str, folder: int, size: int, sha256: str) -> bool:
    """Whether a file of that name is there with that content."""
    data = read(name, folder, size)
    return data is not None and hashlib.sha256(data).hexdigest() == sha256


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file of a name with `/` in it. Raises `StorageError` for one that leads elsewhere."""
    parts = tuple(name.split("/"))
    if not name or any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise StorageError(f"“{name}” is no name inside the output folder", "Change `output.name` in the job.")
    return parts


def open_own(path: Path, flags: int) -> int:
    """Open a file that this program keeps and changes in place, for this user alone; made if `flags` say so.

    Raises `StorageError` when something else stands there: a link, a folder, a device, a pipe, or, to write, a file with
    a second name, because what is written would show up under that name too.
    """
    to_write = flags & os.O_ACCMODE != os.O_RDONLY
    refuse_planted(path, to_write=to_write)
    with in_words(path):
        # Not waiting for the other end of a pipe that somebody put there just now.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
        try:
            _refuse_odd(path, os.fstat(descriptor), to_write=to_write)
        except StorageError:
            os.close(descriptor)
            raise
    return descriptor


def refuse_planted(path: Path, *, to_write: bool) -> None:
    """Raise `StorageError` when something stands at `path` that is no file of this program's own."""
    try:
        facts = os.lstat(path)
    except OSError:
        return  # nothing there; whoever opens it says what else is wrong
    _refuse_odd(path, facts, to_write=to_write)


def _refuse_odd(path: Path, facts: os.stat_result, *, to_write: bool) -> None:
    kinds = ((stat.S_ISLNK, "a link (links are not followed here)"), (stat.S_ISDIR, "a folder"))
    if not stat.S_ISREG(facts.st_mode):
        found = next((words for is_kind, words in kinds if is_kind(facts.st_mode)), "a pipe or a device")
        raise StorageError(f"{path}: {found} stands where a file belongs", f"Move it away, {_AGAIN}")
    if to_write and facts.st_nlink > 1:
        raise StorageError(
            f"{path}: this file has a second name elsewhere (a hard link), and what is written would change both",
            f"Put a copy in its place (`cp -p`, then `mv`), {_AGAIN}",
        )


def names(folder: int) -> list[str]:
    """The names in an open folder, in no order."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`, however many calls the system needs for it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def allocate(descriptor: int, size: int) -> None:
    """Make an empty file take up `size` bytes of the disk, where the system can do that without writing them."""
    fallocate = getattr(os, "posix_fallocate", None)
    if fallocate is not None:  # macOS has none
        fallocate(descriptor, 0, size)


def sync_file(descriptor: int) -> None:
    """Return when the file's content is on the disk itself. After an error never call it again for that file.

    The kernel may take the lost pages for clean after it reported them once: a second call would claim success.
    """
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:  # macOS: fsync alone leaves the data in the drive's own memory
        try:
            fcntl.fcntl(descriptor, full_sync)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOTTY}:
                raise
        else:
            return
    os.fsync(descriptor)


def sync_folder(descriptor: int) -> None:
    """Return when the folder's names are on the disk; network file systems that cannot do it are let off."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise


def place(source: tuple[str, int], target: tuple[str, int]) -> bool:
    """Give a whole file its final name; False when that name is taken. Both are a name and its open folder.

    The old name may stay behind. Nothing is ever overwritten, and the final name never shows half a file.
    """
    try:
        os.link(source[0], target[0], src_dir_fd=source[1], dst_dir_fd=target[1], follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}:
            raise
        return place_without_link(source, target)
    return True


def place_without_link(source: tuple[str, int], target: tuple[str, int]) -> bool:
    """`place` for disks without hard links: an empty file claims the name, and the whole one replaces it."""
    try:
        os.close(create(*target))
    except FileExistsError:
        return False
    try:
        os.rename(source[0], target[0], src_dir_fd=source[1], dst_dir_fd=target[1])
    except OSError:
        os.unlink(target[0], dir_fd=target[1])
        raise
    return True


class Folders:
    """The folders that one piece of work touches: opened once, made where missing, fsynced together at its end.

    `durable` holds the folders whose own names are known to be on the disk; it outlives this object.
    """

    def __init__(self, root: int, durable: set[tuple[str, ...]]) -> None:
        self._root = root
        self._durable = durable
        self._open: dict[tuple[str, ...], int] = {(): root}
        self._changed: set[tuple[str, ...]] = set()

    def open(self, parts: tuple[str, ...]) -> int:
        """A descriptor of the folder `parts` below the root, valid until this object is closed.

        Raises OSError; `FileNotFoundError` when it does not exist, and another where a link stands in the way.
        """
        found = self._open.get(parts)
        if found is None:
            found = os.open(parts[-1], _FOLDER | os.O_NOFOLLOW, dir_fd=self.open(parts[:-1]))
            self._open[parts] = found
        return found

    def size_of(self, parts: tuple[str, ...], name: str) -> int | None:
        """In bytes, of whatever stands there; None when nothing does."""
        try:
            return os.stat(name, dir_fd=self.open(parts), follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def open_to_change(self, parts: tuple[str, ...]) -> int:
        """The same for a folder in which a name is going to change; it is made if missing."""
        if parts not in self._changed:
            self._make(parts)
            self._changed.add(parts)
        return self.open(parts)

    def _make(self, parts: tuple[str, ...]) -> None:
        if parts in self._durable or not parts:
            with suppress(FileNotFoundError):  # somebody may have deleted it since
                self.open(parts)
                return
        above = self.open_to_change(parts[:-1])
        with suppress(FileExistsError):
            os.mkdir(parts[-1], FOLDER_MODE, dir_fd=above)

    def sync(self) -> None:
        """Return when every changed name is on the disk."""
        for parts in self._changed:
            sync_folder(self._open[parts])
        self._durable.update(self._changed)
        self._changed.clear()

    def sync_found(self, parts: tuple[str, ...], name: str) -> None:
        """Return when a file of an earlier run is on the disk: its content, and every name on the way to it."""
        descriptor = os.open(name, _READ, dir_fd=self.open(parts))
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)
        for depth in range(len(parts), -1, -1):
            sync_folder(self.open(parts[:depth]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for parts, descriptor in self._open.items():
            if parts:
                os.close(descriptor)


def sha256_below(root: Path, name: str) -> str | None:
    """The hash (hex) of the file `name` below `root`; None when there is no such file.

    `name` may come from a stranger's manifest: it leads out of `root` neither by `..` nor from the top, and devices and
    pipes are no files. Links are followed: only a hash comes of it, and users move pictures to other disks. Raises
    StorageError for a file that cannot be read.
    """
    if any(part in {"", ".", ".."} for part in name.split("/")) or "\0" in name:
        return None
    with in_words(root / name):
        try:
            descriptor = os.open(root / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENAMETOOLONG}:
                return None
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        finally:
            os.close(descriptor)
