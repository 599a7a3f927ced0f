"""Shards: plain tar files of bounded size, the same bytes for the same pictures, and names that break nothing."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.errors import UsageError
from batchgen.views.chosen import Choice, Exported
from batchgen.views.webdataset_export import ShardSize, export_webdataset

from .stored import Folder, picture


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "foo")
    yield made
    made.ledger.close()


def export(folder: Folder, output: Path, size: ShardSize | None = None) -> Exported:
    reader = folder.reader()
    try:
        return export_webdataset(reader, folder.path, Choice(), output, size)
    finally:
        reader.close()


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path, "r:") as shard:
        return [(each.name, shard.extractfile(each).read()) for each in shard if each.isfile()]  # type: ignore[union-attr]


def test_a_sample_is_a_picture_its_prompt_and_its_line_of_the_manifest(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1), prompt="狐狸\r\n", file_name="images/a.b/c.test.png")

    exported = export(folder, tmp_path)

    key = f"{1:064x}-1"
    found = members(tmp_path / "shards" / "png-000000.tar")
    assert [name for name, _ in found] == [f"{key}.png", f"{key}.txt", f"{key}.json"]
    assert [data for _, data in found[:2]] == [picture(1), "狐狸\r\n".encode()]
    assert json.loads(found[2][1])["file_name"] == "images/a.b/c.test.png"
    assert (exported.path, exported.notes) == (tmp_path / "shards", ("1 shard: png-*.tar",))


def test_a_shard_is_what_tarfile_itself_would_write(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1), prompt="x" * 512)

    export(folder, tmp_path)

    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as shard:
        for name, data in members(tmp_path / "shards" / "png-000000.tar"):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 946_684_800
            shard.addfile(info, io.BytesIO(data))
    own = (tmp_path / "shards" / "png-000000.tar").read_bytes()
    assert written.getvalue().rstrip(b"\0") == own.rstrip(b"\0")
    assert own.endswith(bytes(1024))


@pytest.mark.parametrize(
    ("size", "in_shards"),
    [(ShardSize(pictures=3), [3, 3, 1]), (ShardSize(bytes=8_000), [2, 2, 2, 1]), (ShardSize(bytes=1), [1] * 7)],
)
def test_a_shard_is_full_by_number_or_by_size(
    size: ShardSize, in_shards: list[int], folder: Folder, tmp_path: Path
) -> None:
    for number in range(1, 8):
        folder.add(number, data=picture(number))

    export(folder, tmp_path, size)

    shards = sorted((tmp_path / "shards").glob("*.tar"))
    assert [shard.name for shard in shards] == [f"png-{number:06}.tar" for number in range(len(in_shards))]
    assert [len(members(shard)) // 3 for shard in shards] == in_shards
    assert [name for shard in shards for name, _ in members(shard)][::3] == [f"{n:064x}-1.png" for n in range(1, 8)]


def test_each_format_has_shards_of_its_own(folder: Folder, tmp_path: Path) -> None:
    for number, kind in enumerate(["png", "jpeg", "webp", "jpeg"], 1):
        folder.add(number, data=picture(number, kind), format=kind)

    exported = export(folder, tmp_path)

    found = {shard.name: len(members(shard)) // 3 for shard in (tmp_path / "shards").glob("*.tar")}
    assert found == {"png-000000.tar": 1, "jpg-000000.tar": 2, "webp-000000.tar": 1}
    assert exported.notes == ("3 shards: jpg-*.tar, png-*.tar, webp-*.tar",)


def test_a_task_that_another_program_named_leads_to_no_path(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1))
    folder.ledger.execute("PRAGMA foreign_keys = OFF")
    for table in ("tasks", "attempts", "pictures"):
        folder.ledger.execute(f"UPDATE {table} SET task_id = '../../x.y/z'")

    export(folder, tmp_path)

    names = [name for name, _ in members(tmp_path / "shards" / "png-000000.tar")]
    assert all("/" not in name and name.count(".") == 1 for name in names)


def test_changed_pictures_are_left_out_and_without_any_there_is_no_export(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, data=picture(1)).write_bytes(picture(1)[::-1])
    with pytest.raises(UsageError, match="missing or changed"):
        export(folder, tmp_path / "out")
    folder.add(2, data=picture(2))

    exported = export(folder, tmp_path / "out")

    assert (exported.pictures, exported.left_out) == (1, 1)
