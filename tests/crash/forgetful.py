"""A model of a disk that forgets whatever was not synced, fed with the system calls of a run.

Every file has the content that programs see and the one that survives a power cut; every folder likewise has two sets of
names. fsync moves the first to the second, for that file or that folder alone: real disks keep more, and none promises to.
It refuses to know what the files are for.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .trace import CHANGES, FOREIGN, SYNCS, Call

_MAPPED = "-shm"
"""The end of the names of files that are written through memory, which no trace of calls shows."""


@dataclass(slots=True, eq=False)
class File:
    """One file: `content` is what programs read; `durable` what was synced, None if nothing ever was."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes | None = None
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes since the last sync, in order: place and data; without data the file was cut there."""
    written: int = 0
    """How many writes there were since the beginning."""
    synced_by: int = 0
    """The number of the sync that made `durable`: one that began before it and ends after it adds nothing."""

    @property
    def whole(self) -> bool:
        """Whether all that programs see survives."""
        return self.durable is not None and not self.pending

    def write(self, place: int, data: bytes) -> None:
        if place > len(self.content):
            self.content.extend(bytes(place - len(self.content)))
        self.content[place : place + len(data)] = data
        self.pending.append((place, data))
        self.written += 1

    def cut(self, size: int) -> None:
        _resize(self.content, size)
        self.pending.append((size, None))
        self.written += 1

    def torn(self, choice: random.Random) -> bytes:
        """What survives when the disk had time for some of the writes, and not for the first ones first."""
        content = bytearray(self.durable or b"")
        for place, data in self.pending:
            if choice.random() < 0.5:
                continue
            if data is None:
                _resize(content, place)
            else:
                _resize(content, max(place, len(content)))
                content[place : place + len(data)] = data
        return bytes(content)


@dataclass(slots=True, eq=False)
class Folder:
    """One folder: `names` is what programs see, `durable` what was synced."""

    names: "dict[str, File | Folder]" = field(default_factory=dict)
    durable: "dict[str, File | Folder]" = field(default_factory=dict)
    synced_by: int = 0


@dataclass(slots=True)
class _Sync:
    """A sync that has begun: what it will have made durable when it ends."""

    node: File | Folder
    content: bytes
    written: int
    names: dict[str, File | Folder]
    number: int


class Disk:
    """The model, of everything below `root`, which is empty and durable when the model begins."""

    def __init__(self, root: Path) -> None:
        self._root = PurePosixPath(root.resolve())
        self._top = Folder()
        self._syncs: dict[int, _Sync] = {}
        self._begun = 0
        self._places: dict[int, int] = {}
        self._appending: set[int] = set()
        self.version = 0
        """Grows with every change of what programs see or of what survives."""

    def concerns(self, call: Call) -> bool:
        """Whether a call changes or syncs something below the root, as far as its arguments tell."""
        return any(self._inside(path) for path in _paths(call))

    def begins(self, call: Call, thread: int) -> None:
        """A sync covers what was written before it began."""
        if call.name not in SYNCS:
            return
        node = self._at(call.descriptor(0)[1])
        self._begun += 1
        if isinstance(node, File):
            self._syncs[thread] = _Sync(node, bytes(node.content), node.written, {}, self._begun)
        elif isinstance(node, Folder):
            self._syncs[thread] = _Sync(node, b"", 0, dict(node.names), self._begun)

    def ends(self, call: Call, thread: int) -> None:
        """A call has ended: what it changed is changed, and what it synced survives."""
        if call.result is None or call.result < 0:
            self._syncs.pop(thread, None)
            return
        if call.name in FOREIGN:
            assert not self.concerns(call), f"the model of the disk does not know {call.name}: teach it"
        elif call.name in SYNCS:
            self._synced(thread)
        elif call.name in CHANGES:
            getattr(self, f"_{call.name}")(call)
            self.version += 1

    def process_ended(self) -> None:
        """A process has ended: what it had open is closed. What was not synced is still not durable."""
        self._syncs.clear()
        self._places.clear()
        self._appending.clear()

    def seen(self, name: str) -> File | None:
        """A file as programs see it."""
        node = self._at(f"{self._root}/{name}")
        return node if isinstance(node, File) else None

    def sure(self, name: str) -> bytes | None:
        """The content that survives under a name in the worst case; None when the name itself may be gone."""
        node: File | Folder | None = self._top
        for part in PurePosixPath(name).parts:
            if not isinstance(node, Folder) or node.names.get(part) is not node.durable.get(part):
                return None
            node = node.durable.get(part)
        return node.durable or b"" if isinstance(node, File) else None

    def surviving(self, name: str) -> File | None:
        """A file that survives when the disk kept nothing but what was synced, removed names included."""
        node: File | Folder | None = self._top
        for part in PurePosixPath(name).parts:
            node = node.durable.get(part) if isinstance(node, Folder) else None
        return node if isinstance(node, File) else None

    def files_seen(self, below: str) -> Iterator[tuple[str, File]]:
        """Every file below a folder that programs see, with its name below the root."""
        start = self._at(f"{self._root}/{below}")
        if isinstance(start, Folder):
            yield from _walk(start, below)

    def differences(self, below: str) -> Iterator[str]:
        """Where the model and a real folder differ: calls that nobody traced. Empty for a model that saw everything."""
        root = Path(self._root)
        real = {path.relative_to(root).as_posix(): path for path in (root / below).rglob("*") if path.is_file()}
        seen = dict(self.files_seen(below))
        for name in sorted(real.keys() ^ seen.keys()):
            yield f"{name} is {'on the disk' if name in real else 'in the model'} alone"
        for name in sorted(real.keys() & seen.keys()):
            if not name.endswith(_MAPPED) and real[name].read_bytes() != seen[name].content:
                yield f"{name} has another content on the disk than in the model"

    def _synced(self, thread: int) -> None:
        sync = self._syncs.pop(thread, None)
        if sync is None or sync.number < sync.node.synced_by:
            return
        self.version += 1
        sync.node.synced_by = sync.number
        if isinstance(sync.node, File):
            sync.node.durable = sync.content
            later = sync.node.written - sync.written
            sync.node.pending = sync.node.pending[-later:] if later else []
        else:
            sync.node.durable = sync.names

    def _inside(self, path: str) -> bool:
        return PurePosixPath(path).is_relative_to(self._root) and not path.endswith("(deleted)")

    def _at(self, path: str) -> File | Folder | None:
        if not self._inside(path):
            return None
        node: File | Folder | None = self._top
        for part in PurePosixPath(path).relative_to(self._root).parts:
            node = node.names.get(part) if isinstance(node, Folder) else None
        return node

    def _holder(self, path: str) -> tuple[Folder | None, str]:
        """The folder that holds a path, None outside of the root, and the path's last name."""
        above, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
        node = self._at(above)
        assert node is None or isinstance(node, Folder), f"{above} is no folder in the model"
        assert node is not None or not self._inside(above), f"{above} is not in the model"
        return node, name

    def _file(self, call: Call) -> File | None:
        node = self._at(call.descriptor(0)[1])
        return node if isinstance(node, File) else None

    def _openat(self, call: Call) -> None:
        number, path = call.opened
        self._places[number] = 0
        flags = call.arguments[2].split("|")
        self._appending.discard(number)
        if "O_APPEND" in flags:
            self._appending.add(number)
        if not self._inside(path):
            return
        folder, name = self._holder(path)
        if folder is None:
            return
        file = folder.names.get(name)
        if file is None and "O_CREAT" in flags:
            folder.names[name] = File()
        elif isinstance(file, File) and "O_TRUNC" in flags:
            file.cut(0)

    def _write(self, call: Call) -> None:
        file, number = self._file(call), call.descriptor(0)[0]
        if file is None:
            return
        data = call.strings[0][: call.result]
        place = len(file.content) if number in self._appending else self._places.get(number, 0)
        file.write(place, data)
        self._places[number] = place + len(data)

    def _pwrite64(self, call: Call) -> None:
        file = self._file(call)
        if file is not None:
            file.write(int(call.arguments[-1]), call.strings[0][: call.result])

    def _ftruncate(self, call: Call) -> None:
        file = self._file(call)
        if file is not None:
            file.cut(int(call.arguments[1]))

    def _fallocate(self, call: Call) -> None:
        file = self._file(call)
        if file is None:
            return
        _, mode, place, size = call.arguments
        assert mode == "0", f"the model of the disk does not know fallocate with mode {mode}"
        file.cut(max(len(file.content), int(place) + int(size)))

    def _link(self, call: Call) -> None:
        self._relink(*_two_paths(call), keep=True)

    _linkat = _link

    def _rename(self, call: Call) -> None:
        assert not call.text.endswith(("RENAME_EXCHANGE", "RENAME_WHITEOUT")), "a rename that the model does not know"
        self._relink(*_two_paths(call), keep=False)

    _renameat = _renameat2 = _rename

    def _relink(self, old: str, new: str, *, keep: bool) -> None:
        source, old_name = self._holder(old)
        target, new_name = self._holder(new)
        if source is None and target is None:
            return
        assert source is not None, f"{old} came into the folder from outside of the model"
        assert target is not None, f"{old} left the model for {new}"
        node = source.names[old_name] if keep else source.names.pop(old_name)
        target.names[new_name] = node

    def _mkdir(self, call: Call) -> None:
        folder, name = self._holder(_one_path(call))
        if folder is not None:
            folder.names[name] = Folder()

    _mkdirat = _mkdir

    def _unlink(self, call: Call) -> None:
        folder, name = self._holder(_one_path(call))
        if folder is not None:
            del folder.names[name]

    _unlinkat = _rmdir = _unlink


def _walk(folder: Folder, below: str) -> Iterator[tuple[str, File]]:
    for name, node in folder.names.items():
        path = f"{below}/{name}"
        if isinstance(node, File):
            yield path, node
        else:
            yield from _walk(node, path)


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _joined(folder: str, name: bytes) -> str:
    return str(PurePosixPath(folder) / name.decode())


def _one_path(call: Call) -> str:
    """The path that a call is about: absolute, or relative to the folder that it names."""
    folder = call.descriptor(0)[1] if call.name.endswith("at") else "/"
    return _joined(folder, call.strings[0])


def _two_paths(call: Call) -> tuple[str, str]:
    old, new = call.strings
    if not call.name.rstrip("2").endswith("at"):
        return _joined("/", old), _joined("/", new)
    return _joined(call.descriptor(0)[1], old), _joined(call.descriptor(2)[1], new)


def _paths(call: Call) -> tuple[str, ...]:
    if call.name == "openat":
        return (call.opened[1],) if call.result is not None and call.result >= 0 else ()
    if call.name in {"mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"}:
        return (_one_path(call),)
    if call.name in {"link", "linkat", "rename", "renameat", "renameat2"}:
        return _two_paths(call)
    if call.name in {"truncate", "symlinkat"}:
        return tuple(text.decode() for text in call.strings)
    return (call.descriptor(0)[1],) if call.text[:1].isdigit() else ()
