"""Input pictures: only what is one by its content may be sent, and nothing else is opened for long."""

import base64
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.catalog.catalog import Field
from batchgen.spec.expand import expand
from batchgen.spec.fields import LARGEST_PICTURE, MissingPictureError, PictureBook, from_text
from batchgen.spec.job import Job

from .conftest import PNG

BMP = b"BM" + struct.pack("<IHHII", 70, 0, 0, 54, 40) + bytes(52)
PICTURES = {
    "png": PNG + b"x",
    "jpeg": b"\xff\xd8\xff\xe0x",
    "webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "gif 87": b"GIF87ax",
    "gif 89": b"GIF89ax",
    "bmp": BMP,
}
OTHERS = {
    "a private key": b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
    "passwords": b"root:x:0:0:root:/root:/bin/bash\n",
    "settings": b"MODELVERSE_API_KEY=sk-canary123456\n",
    "a text that begins like a BMP": b"BMW is a maker of cars and motorcycles in Munich",
    "a text that begins like a GIF": b"GIF8 is no version of it",
    "sound": b"RIFF\x10\0\0\0WAVEfmt ",
    "a page": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a PNG further down": b"\n" + PNG,
    "a mark alone": b"\x89PNG",
}


def test_what_begins_like_a_picture_is_taken(tmp_path: Path) -> None:
    book = PictureBook(tmp_path, {})
    for name, data in PICTURES.items():
        (tmp_path / name).write_bytes(data)
        from_file = book.find(name)
        inline = book.find("data:image/png;base64," + base64.b64encode(data).decode())

        assert from_file.sha256 == inline.sha256


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_what_holds_no_picture_is_refused_as_a_file_and_inline(data: bytes, tmp_path: Path) -> None:
    book = PictureBook(tmp_path, {})
    (tmp_path / "holiday.png").write_bytes(data)

    with pytest.raises(MissingPictureError, match=r"holiday\.png is not sent"):
        book.find("holiday.png")
    with pytest.raises(ValueError, match="with the whole picture in it"):
        book.find("data:image/png;base64," + base64.b64encode(data).decode())
    assert not book.hashes


def test_pipes_devices_folders_and_huge_files_are_no_pictures(tmp_path: Path) -> None:
    book = PictureBook(tmp_path, {})
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with (tmp_path / "huge.png").open("wb") as sparse:
        sparse.write(PNG)
        sparse.truncate(LARGEST_PICTURE + 1)
    said = []
    for name in ("pipe.png", "folder.png", "huge.png", "/dev/zero", "no\0name", "none.png"):
        with pytest.raises(MissingPictureError) as caught:
            book.find(name)
        said.append(str(caught.value).partition(": ")[2] or str(caught.value))

    odd = "it is a pipe, a device or a socket, and no file"
    none = "there is no such file"
    assert said == [
        odd,
        "it is a folder",
        "the picture huge.png is larger than 32 MB",
        odd,
        "this is no file name",
        none,
    ]


def test_a_picture_reached_through_a_variable_is_looked_into_as_well(complaints: Callable[..., str]) -> None:
    said = complaints(
        "prompts: [{prompt: a, params: {image: 'in/{who}.png'}}]\nvars: {who: [fox, key]}",
        {"in/fox.png": PNG, "in/key.png": OTHERS["a private key"]},
    )

    assert "in/key.png is not sent" in said
    assert "fox" not in said


def test_the_same_inline_picture_is_decoded_once(read: Callable[..., Job]) -> None:
    inline = "data:image/png;base64," + base64.b64encode(PNG + b"x").decode()
    job = read(f"prompts: [a, b, {{prompt: c, params: {{steps: 5}}}}]\nparams: {{image: '{inline}'}}")
    found = {id(task.params["image"].sha256) for task in expand(job, night="")}

    assert len({task.params["image"].sha256 for task in expand(job, night="")}) == 1
    assert len(found) <= 2  # once when it is read, once when it is expanded


def test_a_cell_of_brackets_without_end_is_no_list() -> None:
    field = Field("images", "pictures", "")

    assert from_text(field, "[" * 100_000) == "[" * 100_000
    assert len(from_text(field, "x|" * 100_000)) <= 1001
