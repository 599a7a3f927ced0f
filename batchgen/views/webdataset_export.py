"""WebDataset shards: tar files in which each picture stands beside its prompt and its line of the manifest.

It owns the names inside of the shards, their size, and that the same pictures give the same bytes. A shard holds
pictures of one format, because readers take the kinds of files in all samples to be those of the first. It refuses to
write what a sample's name could break: names are a task's id and a number.
"""

import re
import sqlite3
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from batchgen.storage.manifest import ManifestRow
from batchgen.views.chosen import Choice, Exported, chosen
from batchgen.views.export_columns import ENDINGS, picture_name
from batchgen.views.export_folder import Draft, Layout, replacing_export
from batchgen.views.hf_export import refuse_empty

FOLDER: Final = "shards"
LAYOUT = Layout("webdataset", FOLDER, re.compile(r"(png|jpg|webp)-\d{6,}\.tar"))
_ZEROS = bytes(tarfile.BLOCKSIZE)
_YEAR_2000 = 946_684_800
"""The time of every file, in seconds since the epoch: the same pictures give the same bytes whenever they are exported."""


@dataclass(frozen=True, slots=True)
class ShardSize:
    """When a shard is full: pictures in it, and bytes of it."""

    pictures: int = 10_000
    bytes: int = 1_000_000_000


def export_webdataset(
    connection: sqlite3.Connection, folder: Path, choice: Choice, output: Path, size: ShardSize | None = None
) -> Exported:
    """Write the chosen pictures of an output folder as `shards/png-000000.tar`, … in `output`, which is made if missing.

    Each sample is a picture, `.txt` (its prompt) and `.json` (its line of the manifest), in the order of the manifest.
    Earlier shards are replaced as a whole when the new ones are whole. Raises UsageError for a choice without a single
    whole picture and for files that no export made, StorageError for disk and ledger.
    """
    written = 0
    with (
        chosen(connection, folder, choice) as pictures,
        replacing_export(output, LAYOUT) as draft,
        ExitStack() as stack,
    ):
        series: dict[str, _Series] = {}
        for row, _ in pictures:
            data = pictures.read(row)
            if data is None:
                continue
            ending = ENDINGS[row.format]
            if ending not in series:
                series[ending] = stack.enter_context(_Series(draft, ending, size or ShardSize()))
            series[ending].add(row, data)
            written += 1
        refuse_empty(written, pictures.left_out, folder)
    count = sum(each.shards for each in series.values())
    notes = (
        f"{count:,} {'shard' if count == 1 else 'shards'}: {', '.join(f'{name}-*.tar' for name in sorted(series))}",
    )
    return Exported(output / FOLDER, written, pictures.left_out, draft.replaced, notes)


class _Series:
    """The shards of pictures of one format, the last of which is open."""

    def __init__(self, draft: Draft, ending: str, size: ShardSize) -> None:
        self.shards = 0
        self._draft, self._ending, self._size = draft, ending, size
        self._file: BinaryIO | None = None
        self._pictures = 0

    def add(self, row: ManifestRow, data: bytes) -> None:
        name = picture_name(row)
        sample = b"".join(
            (
                _member(f"{name}.{self._ending}", data),
                _member(f"{name}.txt", row.prompt.encode("utf-8", "replace")),
                _member(f"{name}.json", row.to_line().encode()),
            )
        )
        file = self._file
        if file is None or self._pictures >= self._size.pictures or file.tell() + len(sample) > self._size.bytes:
            file = self._next()
        file.write(sample)
        self._pictures += 1

    def _next(self) -> BinaryIO:
        self._finish()
        self._file = self._draft.new(f"{self._ending}-{self.shards:06}.tar")
        self.shards += 1
        self._pictures = 0
        return self._file

    def _finish(self) -> None:
        if self._file is not None:
            with self._file as file:
                file.write(_ZEROS * 2)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), _YEAR_2000
    return info.tobuf(tarfile.USTAR_FORMAT) + data + _ZEROS[: -len(data) % tarfile.BLOCKSIZE]
