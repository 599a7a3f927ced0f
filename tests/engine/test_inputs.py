"""Input pictures between the plan and the request: what stands under a picture's name by then may be anything."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from batchgen.engine.inputs import Inputs
from batchgen.errors import UsageError
from batchgen.spec.fields import LARGEST_PICTURE
from batchgen.spec.task import InputPicture
from batchgen.storage.files import ResultFolder

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


@pytest.fixture
def disk() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def planned(path: Path) -> InputPicture:
    path.write_bytes(PNG)
    return InputPicture(path.name, sha256=hashlib.sha256(PNG).hexdigest(), path=str(path))


def a_large_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST_PICTURE + 1)


SWAPPED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "a pipe"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "a folder": (Path.mkdir, "folder"),
    "a large file": (a_large_file, "larger than 32 MB"),
    "nothing": (lambda _: None, "no such file"),
    "another picture": (lambda path: path.write_bytes(PNG + b"!"), "changed"),
}


@pytest.mark.parametrize(("swap", "words"), SWAPPED.values(), ids=SWAPPED)
async def test_what_took_the_place_of_a_picture_is_neither_sent_nor_waited_for(
    swap: Callable[[Path], object], words: str, tmp_path: Path, disk: Executor
) -> None:
    picture = planned(tmp_path / "in.png")
    (tmp_path / "in.png").unlink()
    swap(tmp_path / "in.png")

    with ResultFolder(tmp_path / "out") as folder:
        with pytest.raises(UsageError, match=words):
            await Inputs(folder, disk).resolve({"image": picture})

        assert not (tmp_path / "out" / "inputs").exists()


async def test_what_stands_under_the_name_of_a_kept_picture_is_replaced_unread(tmp_path: Path, disk: Executor) -> None:
    picture = planned(tmp_path / "in.png")
    kept = tmp_path / "out" / "inputs" / f"{picture.sha256}.png"
    kept.parent.mkdir(parents=True)
    with kept.open("wb") as file:
        file.truncate(1 << 40)  # to read it would take more memory than there is

    with ResultFolder(tmp_path / "out") as folder:
        sent = await Inputs(folder, disk).resolve({"image": picture})

    assert sent["image"].startswith("data:image/png;base64,")
    assert kept.read_bytes() == PNG
