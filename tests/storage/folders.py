"""An output folder and what is put into it, for the tests of files and of disks."""

import io
from hashlib import sha256
from pathlib import Path

from PIL import Image

from batchgen.storage.files import Landed, Landing, ResultFolder

TASK = "ab12cd34" * 8
OTHER_TASK = "99999999" * 8


def picture(colour: str = "red", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (32, 24), colour)
    image.putpixel((3, 3), (1, 2, 3))
    image.save(buffer, kind)
    return buffer.getvalue()


def landing(data: bytes, stem: str = "harbour.dusk/flux-7", number: int = 1, task: str = TASK) -> Landing:
    return Landing(f"{task}-{number}-{sha256(data).hexdigest()[:6]}", data, stem, number, task)


def store(folder: ResultFolder, *items: Landing) -> list[str]:
    results = folder.store_batch(items)
    assert all(isinstance(result, Landed) for result in results)
    return [result.file_name for result in results if isinstance(result, Landed)]


def files_in(path: Path) -> set[str]:
    return {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()}
