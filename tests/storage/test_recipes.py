"""A recipe in a file: the bytes as received come back, programs open the picture as before, forged ones do no harm."""

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from batchgen.storage.pictures import check_picture
from batchgen.storage.recipes import LARGEST_RECIPE, embed, read_recipe, strip
from batchgen.storage.walks import PictureFormat, walk_to_end

from .pictures import drawing, encoded, interlaced, png_chunk, sixteen_bits

RECIPE, WORDS = '{"schema": "batchgen-recipe/1", "prompt": "狐 🦊"}', "a fox 狐\nSteps: 3, Seed: 7"


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x010E], tags[0x0112] = "mine", 6
    return tags.tobytes()


def with_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "of somebody else")
    info.add_itxt("batchgen", "not a recipe", zip=True)
    return info


def animated(kind: str) -> bytes:
    return encoded(drawing(), kind, save_all=True, append_images=[drawing("RGB").rotate(90)], duration=50)


PICTURES: dict[str, tuple[PictureFormat, bytes]] = {
    "png": ("png", encoded(drawing(), "PNG")),
    "png with texts": ("png", encoded(drawing("RGBA"), "PNG", pnginfo=with_text(), exif=exif(), icc_profile=b"x" * 99)),
    "png palette": ("png", encoded(drawing("P"), "PNG")),
    "png 16 bits": ("png", sixteen_bits()),
    "png interlaced": ("png", interlaced(64, 48, 8, 2)),
    "png animated": ("png", animated("PNG")),
    "png and a script": ("png", encoded(drawing(), "PNG") + b"<script>"),
    "jpeg": ("jpeg", encoded(drawing(), "JPEG")),
    "jpeg with exif": ("jpeg", encoded(drawing(), "JPEG", exif=exif(), comment=b"mine", icc_profile=b"x" * 70_000)),
    "jpeg progressive": ("jpeg", encoded(drawing(), "JPEG", progressive=True)),
    "jpeg cmyk": ("jpeg", encoded(drawing("CMYK"), "JPEG")),
    "jpeg without jfif": ("jpeg", b"\xff\xd8" + encoded(drawing(), "JPEG")[20:]),
    "jpeg and more": ("jpeg", encoded(drawing(), "JPEG") + bytes(7)),
    "webp": ("webp", encoded(drawing(), "WEBP")),
    "webp lossless": ("webp", encoded(drawing(), "WEBP", lossless=True)),
    "webp opacity": ("webp", encoded(drawing("RGBA"), "WEBP", lossless=True)),
    "webp lossy opacity": ("webp", encoded(drawing("RGBA").rotate(20), "WEBP")),
    "webp with exif": ("webp", encoded(drawing(), "WEBP", exif=exif(), xmp=b"<x/>", icc_profile=b"x" * 99)),
    "webp with xmp": ("webp", encoded(drawing(), "WEBP", xmp=b"<x/>")),
    "webp animated": ("webp", animated("WEBP")),
    "webp and more": ("webp", encoded(drawing(), "WEBP") + b"more"),
}
CARRY_NONE = {"webp and more"}


@pytest.mark.parametrize("name", PICTURES)
def test_the_file_as_received_comes_back_and_the_pixels_are_the_same(name: str) -> None:
    kind, data = PICTURES[name]

    carrying = embed(data, kind, RECIPE, WORDS)

    assert strip(carrying) == data
    assert (carrying == data) == (name in CARRY_NONE)
    assert read_recipe(carrying) == (None if name in CARRY_NONE else RECIPE)
    assert walk_to_end(carrying).format == kind
    before, after = check_picture(data), check_picture(carrying)
    same = ("format", "width", "height", "mode", "blank", "look", "animated", "trailing")
    assert [getattr(after, field) for field in same] == [getattr(before, field) for field in same]
    with Image.open(io.BytesIO(data)) as plain, Image.open(io.BytesIO(carrying)) as shown:
        assert shown.tobytes() == plain.tobytes()
        assert shown.info.get("icc_profile") == plain.info.get("icc_profile")
        assert shown.getexif().get(0x0112) == plain.getexif().get(0x0112)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_carries_a_recipe_already_gets_its_own_and_gives_the_other_back(name: str) -> None:
    kind, data = PICTURES[name]
    first = embed(data, kind, '{"of": "another"}', "other words")

    second = embed(first, kind, RECIPE, WORDS)

    assert strip(second) == first
    assert kind == "webp" or read_recipe(second) == (None if name in CARRY_NONE else RECIPE)


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "webp opacity"])
def test_programs_of_the_trade_read_the_words(name: str) -> None:
    kind, data = PICTURES[name]
    with Image.open(io.BytesIO(embed(data, kind, RECIPE, WORDS))) as picture:
        picture.load()
        assert shown_words(picture) == WORDS


def shown_words(picture: Any) -> str:
    if "parameters" in picture.info:
        return str(picture.info["parameters"])
    raw: bytes = picture.getexif().get_ifd(0x8769)[0x9286]
    assert raw.startswith(b"UNICODE\0")
    return raw[8:].decode("utf-16-be")


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_what_is_too_long_is_left_out_and_long_words_are_cut(name: str) -> None:
    kind, data = PICTURES[name]

    assert embed(data, kind, "x" * (LARGEST_RECIPE + 1), WORDS) == data
    carrying = embed(data, kind, "x" * LARGEST_RECIPE, "w" * 1_000_000)
    assert read_recipe(carrying) == "x" * LARGEST_RECIPE
    assert strip(carrying) == data


@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_damaged_and_forged_files_raise_nothing(name: str, chance: st.DataObject) -> None:
    kind, data = PICTURES[name]
    damaged = bytearray(embed(data, kind, RECIPE, WORDS))
    for _ in range(chance.draw(st.integers(1, 4))):
        place = chance.draw(st.integers(0, min(len(damaged) - 1, 700)))
        damaged[place] = chance.draw(st.integers(0, 255))
    cut = bytes(damaged[: chance.draw(st.integers(1, len(damaged)))])

    strip(cut)
    read_recipe(cut)


def test_a_packed_recipe_is_not_unpacked_and_a_broken_text_is_none() -> None:
    start = PICTURES["png"][1][:33]
    rest = PICTURES["png"][1][33:]

    packed = start + png_chunk(b"iTXt", b"batchgen\0\1\0\0\0" + b"x" * 50) + rest
    broken = start + png_chunk(b"iTXt", b"batchgen" + bytes(5) + b"\xff\xfe") + rest
    endless = start + struct.pack(">I", 2**31) + b"iTXtbatchgen"

    assert [read_recipe(data) for data in (packed, broken, endless)] == [None, None, None]
