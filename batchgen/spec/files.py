"""Opens the files that a user or a job names, so that no pipe, device or endless file can hold a run up.

What a job file names may have been named by a stranger: it must be a regular file. The job file itself is named by the
user, who may pipe it in; it is read to its bound, and not waited for without end. It refuses to know what a file holds.
"""

import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

PATIENCE_S = 10.0
"""How long a pipe may be silent before it counts as one that nobody writes into."""

_CHUNK = 1 << 20
_MADE_UP = ("/proc/", "/sys/", "/dev/")


class OddFileError(OSError):
    """Something that is no regular file; `strerror` says what it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(0, reason)


def open_regular(path: str | Path) -> BinaryIO:
    """The regular file at `path`, open for reading.

    Raises OddFileError for a folder, a pipe, a device or a socket, OSError for what cannot be opened, ValueError for a
    path that no file can have.
    """
    # Looked at before it is opened: merely opening a device can do something, and opening a pipe waits.
    _check_regular(os.stat(path).st_mode)  # noqa: PTH116  # the path may be text: ten thousand of them are looked up
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(number).st_mode)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OddFileError("it is a folder")
    if not stat.S_ISREG(mode):
        raise OddFileError("it is a pipe, a device or a socket, and no file")


def read_named(path: Path, most: int) -> bytes:
    """At most `most` + 1 bytes of what the user named on the command line: a file, or a pipe such as `<(…)`.

    Raises OSError for what cannot be read, a folder and a silent pipe among them, ValueError for a path that no file can
    have.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        with open_regular(path) as file:
            return file.read(most + 1)
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return _drain(number, most + 1)
    finally:
        os.close(number)


def _drain(number: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        ready, _, _ = select.select([number], [], [], PATIENCE_S)
        if not ready:
            raise OddFileError(f"nothing came out of it for {PATIENCE_S:g} seconds")
        part = os.read(number, min(size, _CHUNK))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def hidden_target(folder: Path, written: str) -> str | None:
    """Where the path `written` really leads, when a link hides it from who reads the words; None when nothing does.

    What a relative path names lies in `folder`, or where its own `..` say; a link on the way may lead on within the
    folder, but not out of it and not to a file whose name hides it. What an absolute path names stands there to be read.
    What the system makes up (/proc and its like) is no file of anybody's.
    """
    base = os.path.realpath(folder)
    spelled = os.path.normpath(os.path.join(base, written))  # noqa: PTH118
    real = os.path.realpath(spelled)
    if real.startswith(_MADE_UP):
        return real
    if real == spelled or os.path.isabs(written):  # noqa: PTH117
        return None
    inside = Path(os.path.relpath(real, base)).parts
    leaves = inside[0] == os.pardir
    hidden = any(part.startswith(".") and part not in Path(written).parts for part in inside)
    return real if leaves or hidden else None


def in_words(error: Exception) -> str:
    """Why a file cannot be read."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return "this is no file name"
