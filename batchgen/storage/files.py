"""The files of one output folder: unfinished ones, pictures under their final names, spooled answers, inputs.

What has a final name is whole and on the disk itself; everything unfinished lies in `parts/`. Nothing is overwritten
but what is derived (report, manifest). All of it blocks, so it runs in a disk thread; several threads may use one
`ResultFolder`. It refuses to know what was bought and whether a picture is the one that was asked for.
"""

import dataclasses
import hashlib
import itertools
import os
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from batchgen.errors import PictureError, StorageError
from batchgen.storage.disk import (
    Folders,
    allocate,
    create,
    holds,
    in_words,
    make_folder,
    names,
    open_root,
    parts_of,
    place,
    read,
    sync_file,
    sync_folder,
    write_all,
)
from batchgen.storage.pictures import DECODING_BYTES, EXTENSIONS, PictureFacts, check_picture
from batchgen.storage.queries import SPOOL_KEY
from batchgen.storage.recipes import LARGEST_RECIPE, embed, strip
from batchgen.storage.room import Room
from batchgen.storage.thumbnails import keep_thumbnails

_MAX_NAMES = 1000
_RESERVE_BYTES = 16 * 1024**2
_RESERVE = "reserve.part"
_FOLDERS = ("parts", "images", "spool", "inputs", "unusable")
_ANSWER_AT_MOST = 72 * 1024**2
"""Bytes of a kept answer: pictures in base64, and what stands around them."""
_EMBED_AT_MOST = 24 * 1024**2
"""Bytes: a file with its recipe is made in memory, beside the one as received. Larger pictures stay as they came."""
_PICTURE_AT_MOST = 64 * 1024**2
"""No picture that comes in is larger, so a larger file under a picture's name is something else."""


@dataclass(frozen=True, slots=True)
class Landing:
    """A picture that came in and is to be stored. `key` is unique among those on their way."""

    key: str
    data: "bytes | PartFile"
    stem: str
    """The task's name below `images/`, without extension; folders are separated by `/`."""
    picture_number: int
    """From 1, among the pictures of one answer."""
    task_id: str
    recipe: str = ""
    """What is written into the file, and `words` for programs that show it; empty for nothing."""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Landed:
    """A picture that is whole, checked and durable; `file_name` is relative to the output folder, with `/`."""

    key: str
    """Of its `Landing`."""
    file_name: str
    facts: PictureFacts
    bytes: int
    source_sha256: str
    """Hex, of the bytes as received."""


@dataclass(frozen=True, slots=True)
class StorageFailure:
    """A picture that was not stored because its bytes are not one; `error` says what they are."""

    key: str
    error: PictureError


class PartFile:
    """A file that is not whole yet: it lies in `parts/`, and its size and hash are known as it grows.

    It must end in `ResultFolder.store_batch` or `discard`. Methods raise `StorageError`.
    """

    def __init__(self, shown: Path, name: str, folder: int, *, hashed: bool = True) -> None:
        self.name = name
        self.bytes = 0
        self._shown = shown
        self._folder = folder
        self._hash = hashlib.sha256() if hashed else None
        self._finished = False
        # A cancelled download leaves its write to a thread that goes on; closing the file under it could hand the
        # descriptor's number to another file, and the rest of the block with it.
        self._busy = threading.Lock()
        with in_words(shown), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        with in_words(shown):
            self._descriptor: int | None = create(name, folder)

    @property
    def sha256(self) -> str | None:
        """Hex, over what was written so far."""
        return self._hash.hexdigest() if self._hash else None

    def write(self, data: bytes | memoryview) -> None:
        """Add `data` at the end."""
        with self._busy:
            with in_words(self._shown):
                write_all(self._open(), data)
            self.bytes += len(data)
            if self._hash:
                self._hash.update(data)

    def replace(self, data: bytes) -> None:
        """Hold `data` instead of what was written: in a new file, since the old one may be on its way to the disk."""
        with self._busy:
            with in_words(self._shown):
                os.close(self._open())
                os.unlink(self.name, dir_fd=self._folder)
                self._descriptor = create(self.name, self._folder)
            self.bytes = 0
            self._hash = hashlib.sha256() if self._hash else None
        self.write(data)

    def content(self) -> bytes:
        """Everything that was written."""
        with in_words(self._shown):
            blocks, position = [], 0
            while block := os.pread(self._open(), self.bytes - position, position):
                blocks.append(block)
                position += len(block)
        if position != self.bytes:
            raise StorageError(f"{self._shown}: it was changed while in use", "Run the same command again.")
        return b"".join(blocks)

    def finish(self) -> None:
        """Return when the content is on the disk itself. If this fails the file is of no use any more: discard it."""
        if not self._finished:
            with in_words(self._shown):
                sync_file(self._open())
            self._finished = True

    def discard(self) -> None:
        """Give up the file, or only its temporary name if it has a final one. Harmless when done twice."""
        with self._busy:
            if self._descriptor is None:
                return
            descriptor, self._descriptor = self._descriptor, None
            with in_words(self._shown):
                os.close(descriptor)
                with suppress(FileNotFoundError):
                    os.unlink(self.name, dir_fd=self._folder)

    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError("the part was already stored or discarded")
        return self._descriptor


class ResultFolder:
    """The output folder of a run, which holds its lock. Every method raises `StorageError`, in the user's words.

    Links below the folder are never followed; the folder itself may be one.
    """

    def __init__(self, path: Path, *, thumbnails: bool = False) -> None:
        self.path = path
        self._thumbnails = thumbnails
        self._durable: set[tuple[str, ...]] = {()}
        self._numbers = itertools.count(1)
        # First the bytes of a picture, then what they decode to: always in this order, so that nobody waits for ever.
        self._reading = Room(_PICTURE_AT_MOST)
        self._decoding = Room(DECODING_BYTES)
        with in_words(path):
            make_folder(path)
            self._root = open_root(path)
            with Folders(self._root, self._durable) as folders:
                for name in _FOLDERS:  # a link in the place of one of them is met before anything is paid for
                    with in_words(path / name), suppress(FileNotFoundError):
                        folders.open((name,))
                self._parts = os.dup(folders.open_to_change(("parts",)))
                folders.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; working folders that are empty disappear."""
        self.release_reserve()
        for name in ("parts", "spool"):
            with suppress(OSError):
                os.rmdir(name, dir_fd=self._root)
        os.close(self._parts)
        os.close(self._root)

    def reserve(self) -> None:
        """Put some room aside, so that on a full disk what is already paid for can still be written down."""
        with in_words(self.path):
            with suppress(FileNotFoundError):
                os.unlink(_RESERVE, dir_fd=self._parts)
            descriptor = create(_RESERVE, self._parts)
            try:
                allocate(descriptor, _RESERVE_BYTES)
            finally:
                os.close(descriptor)

    def release_reserve(self) -> None:
        """Give the room that was put aside to whoever writes next. Never raises; harmless when done twice."""
        with suppress(OSError):
            os.unlink(_RESERVE, dir_fd=self._parts)

    def free_bytes(self) -> int:
        """How many bytes this user may still write on the folder's disk."""
        with in_words(self.path):
            facts = os.statvfs(self._root)
        return facts.f_bavail * facts.f_frsize

    def create_part(self, key: str) -> PartFile:
        """An empty unfinished file; one that an earlier run left under the same key is thrown away."""
        (key,) = parts_of(key)
        return PartFile(self.path / "parts" / f"{key}.part", f"{key}.part", self._parts)

    def clean_parts(self) -> int:
        """Throw away what earlier runs left unfinished, and say how many files. Only before the first part is made."""
        with in_words(self.path / "parts"):
            unfinished = [name for name in names(self._parts) if name.endswith(".part")]
            for name in unfinished:
                os.unlink(name, dir_fd=self._parts)
        return len(unfinished)

    def store_batch(self, items: Sequence[Landing]) -> list[Landed | StorageFailure]:
        """Check the pictures and store them durably under final names; the folders are fsynced once for all.

        The result has one entry for each item, in order. A name that is taken by the same bytes is taken over: an
        earlier run was stopped before it could say so. After a `StorageError` none of the items counts as stored.
        """
        try:
            with in_words(self.path), Folders(self._root, self._durable) as folders:
                results = [self._land(item, folders) for item in items]
                folders.sync()
            landed = [each for each in results if isinstance(each, Landed)]
            keep_thumbnails(self._root, self._parts, {each.source_sha256: each.facts.thumbnail for each in landed})
        except BaseException:
            for item in items:
                if isinstance(item.data, PartFile):
                    item.data.discard()
            raise
        return results

    def find_stored(self, stem: str, picture_number: int, task_id: str, taken: Container[str] = ()) -> Landed | None:
        """The picture that an earlier run stored for this task without noting it, after the full check; its key is "".

        `taken` are file names that are known to belong to other pictures. Of several the last made is returned; it is
        durable, even if the run that made it was killed before it could see to that.
        """
        *above, base = parts_of(stem)
        found = None
        with in_words(self.path / "images" / stem), Folders(self._root, self._durable) as folders:
            for place_in_line, name in enumerate(_file_names(base, picture_number, task_id)):
                exists = False
                for extension in EXTENSIONS.values():
                    file_name = "/".join(("images", *above, name + extension))
                    size = folders.size_of(("images", *above), name + extension)
                    exists = exists or size is not None
                    if size is not None and file_name not in taken:
                        found = self._whole_picture(folders, file_name, size) or found
                if not exists and place_in_line > 0:
                    break
            if found is not None:
                *folder, file = found.file_name.split("/")
                folders.sync_found(tuple(folder), file)
        return found

    def spool_write(self, key: str, body: bytes) -> None:
        """Keep a paid answer: it is durable under its key when this returns, and never there in part."""
        self.write_atomically(f"spool/{key}.body", body)

    def spool_read(self, key: str) -> bytes | None:
        """A kept answer, or None when there is none, or one that is larger than any answer."""
        return self._read(f"spool/{key}.body", _ANSWER_AT_MOST) if SPOOL_KEY.fullmatch(key) else None

    def spool_bytes(self, key: str) -> int:
        """How large a kept answer is; 0 when there is none that `spool_read` would read."""
        if not SPOOL_KEY.fullmatch(key):
            return 0
        with in_words(self.path / "spool"), Folders(self._root, self._durable) as folders, suppress(FileNotFoundError):
            size = os.stat(f"{key}.body", dir_fd=folders.open(("spool",)), follow_symlinks=False).st_size
            return size if size <= _ANSWER_AT_MOST else 0
        return 0

    def spool_delete(self, key: str) -> None:
        """Forget a kept answer, if there is one."""
        if not SPOOL_KEY.fullmatch(key):
            return  # a ledger may come from a stranger, and so may what lies in the folder
        with in_words(self.path / "spool"), Folders(self._root, self._durable) as folders, suppress(FileNotFoundError):
            os.unlink(f"{key}.body", dir_fd=folders.open(("spool",)))

    def spool_keys(self) -> list[str]:
        """The keys of all kept answers, sorted; all are durable, even those of a run that was killed while it kept them.

        Files of other names are somebody else's, and are passed over.
        """
        with in_words(self.path / "spool"), Folders(self._root, self._durable) as folders, suppress(FileNotFoundError):
            sync_folder(folders.open(("spool",)))
            sync_folder(self._root)
        keys = (name.removesuffix(".body") for name in self._names_in("spool") if name.endswith(".body"))
        return sorted(filter(SPOOL_KEY.fullmatch, keys))

    def keep_input(self, data: bytes, sha256: str, extension: str) -> str:
        """Keep an input picture as it is sent, once; its name relative to the folder."""
        name = f"inputs/{sha256}{extension}"
        if self._read(name, len(data)) != data:
            self.write_atomically(name, data)
        return name

    def read_input(self, sha256: str) -> bytes:
        """A kept input picture, its content checked against its name."""
        name = next((name for name in self._names_in("inputs") if name.startswith(sha256)), sha256)
        data = self._read(f"inputs/{name}", _PICTURE_AT_MOST)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            what = "is missing" if data is None else "was changed"
            raise StorageError(
                f"{self.path / 'inputs' / name}: this input picture {what}",
                "Put the original back, or run the job again with the picture it names.",
            )
        return data

    def write_atomically(self, name: str, data: bytes) -> None:
        """Replace the file `name` (relative to the folder, with `/`): a reader sees the old or the new, whole."""
        with self.replacing(name) as part:
            part.write(data)

    @contextmanager
    def replacing(self, name: str) -> Iterator[PartFile]:
        """The same for content that is written piece by piece; an exception leaves the old file as it was."""
        *above, base = parts_of(name)
        temporary = f"{base}.{next(self._numbers)}.part"
        part = PartFile(self.path / name, temporary, self._parts, hashed=False)
        try:
            yield part
            part.finish()
            with in_words(self.path / name), Folders(self._root, self._durable) as folders:
                folder = folders.open_to_change(tuple(above))
                os.replace(temporary, base, src_dir_fd=self._parts, dst_dir_fd=folder)
                folders.sync()
        finally:
            part.discard()

    def _whole_picture(self, folders: Folders, file_name: str, size: int) -> Landed | None:
        *parts, name = file_name.split("/")
        with self._reading.take(size):
            data = read(name, folders.open(tuple(parts)), _PICTURE_AT_MOST)
            if data is None:
                return None
            try:
                facts = check_picture(data, room=self._decoding)
                source = strip(data) if len(data) <= _EMBED_AT_MOST + 2 * LARGEST_RECIPE else data
                return Landed("", file_name, facts, len(data), hashlib.sha256(source).hexdigest())
            except PictureError:
                return None

    def _land(self, item: Landing, folders: Folders) -> Landed | StorageFailure:
        part = item.data if isinstance(item.data, PartFile) else self.create_part(item.key)
        try:
            if isinstance(item.data, PartFile):
                with self._reading.take(part.bytes):
                    facts = self._checked(item, part, part.content())
            else:
                facts = self._checked(item, part, item.data)
            source_sha256, facts = facts.sha256, dataclasses.replace(facts, sha256=part.sha256 or facts.sha256)
            part.finish()
            file_name = self._final_name(item, part, facts, folders)
        except PictureError as error:
            return StorageFailure(item.key, error)
        finally:
            part.discard()
        return Landed(item.key, file_name, facts, part.bytes, source_sha256)

    def _checked(self, item: Landing, part: PartFile, data: bytes) -> PictureFacts:
        """The facts about the picture as received; the unfinished file then holds it with its recipe."""
        facts = check_picture(data, part.sha256 if part.bytes else None, self._decoding, thumbnail=self._thumbnails)
        fits = item.recipe and len(data) <= _EMBED_AT_MOST
        carrying = embed(data, facts.format, item.recipe, item.words) if fits else data
        if not part.bytes:
            part.write(carrying)
        elif carrying is not data:
            part.replace(carrying)
        return facts

    def _final_name(self, item: Landing, part: PartFile, facts: PictureFacts, folders: Folders) -> str:
        *above, base = parts_of(item.stem)
        parts = ("images", *above)
        with in_words(self.path / "images" / (item.stem + facts.extension)):
            folder = folders.open_to_change(parts)
            for name in _file_names(base, item.picture_number, item.task_id):
                file = name + facts.extension
                if place((part.name, self._parts), (file, folder)) or holds(file, folder, part.bytes, facts.sha256):
                    return "/".join((*parts, file))
        raise StorageError(
            f"{self.path / 'images' / item.stem}: {_MAX_NAMES} files of this name exist already",
            "Choose a more telling `output.name` in the job.",
        )

    def _read(self, name: str, at_most: int) -> bytes | None:
        *above, base = parts_of(name)
        with (
            in_words(self.path / name),
            Folders(self._root, self._durable) as folders,
            suppress(FileNotFoundError),
        ):
            return read(base, folders.open(tuple(above)), at_most)
        return None

    def _names_in(self, folder: str) -> list[str]:
        with in_words(self.path / folder), Folders(self._root, self._durable) as folders:
            try:
                return names(folders.open((folder,)))
            except FileNotFoundError:
                return []


def _file_names(base: str, picture_number: int, task_id: str) -> Iterator[str]:
    """The names a picture may get, without extension, in the order they are tried."""
    suffix = _suffix(picture_number)
    yield f"{base}{suffix}"
    yield f"{base}-{task_id[:8]}{suffix}"
    for number in range(2, _MAX_NAMES):
        yield f"{base}-{task_id[:8]}{suffix}-{number}"


def _suffix(picture_number: int) -> str:
    return "" if picture_number == 1 else f"-{picture_number}"
