import re
import struct
import threading
import zlib
from hashlib import sha256
from typing import Any

import pytest
from PIL import Image, ImageDraw

from batchgen.errors import PictureError
from batchgen.storage.pictures import check_picture, wrong_size

from .pictures import WHOLE, drawing, encoded, png_chunk, png_of_size


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_picture_is_described_by_its_content(name: str) -> None:
    data = WHOLE[name]

    facts = check_picture(data)

    assert facts.format == name.split(maxsplit=1)[0]
    assert facts.extension == {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}[facts.format]
    assert (facts.width, facts.height) == (64, 48)
    assert facts.sha256 == sha256(data).hexdigest()
    assert (facts.blank, facts.animated, facts.trailing) == (False, False, 0)


@pytest.mark.parametrize("name", WHOLE)
def test_a_picture_cut_off_anywhere_is_refused(name: str) -> None:
    data = WHOLE[name]

    for length in [*range(0, len(data) - 40, 97), *range(max(0, len(data) - 40), len(data))]:
        with pytest.raises(PictureError):
            check_picture(data[:length])


@pytest.mark.parametrize(("name", "word"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WebP")])
def test_a_cut_is_told_with_its_place(name: str, word: str) -> None:
    with pytest.raises(PictureError, match=re.escape(f"a {word} cut off after 500 bytes")):
        check_picture(WHOLE[name][:500])


def test_a_jpeg_that_goes_on_as_an_error_page_is_refused() -> None:
    with pytest.raises(PictureError, match="cut off"):
        check_picture(WHOLE["jpeg"][:-100] + b"<p>upstream closed the connection</p>" * 2000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "nothing: 0 bytes"),
        (b"\x89PNG", "a picture cut off after 4 bytes"),
        (b"RIFF\x10\0\0\0WE", "a picture cut off after 10 bytes"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>502", "an HTML page instead of a picture"),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "an XML document instead of a picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns=""/>', "an SVG; only PNG, JPEG and WebP are kept"),
        (b'{"error": {"message": "expired"}}', "JSON instead of a picture"),
        (b"upstream timed out", "text instead of a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file; only PNG, JPEG and WebP are kept"),
        (encoded(drawing(), "GIF"), "a GIF; only PNG, JPEG and WebP are kept"),
        (encoded(drawing(), "BMP"), "a BMP; only PNG, JPEG and WebP are kept"),
        (encoded(drawing(), "TIFF"), "a TIFF; only PNG, JPEG and WebP are kept"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF; only PNG, JPEG and WebP are kept"),
        (b"\x1f\x8b\x08\0", "gzip-compressed data; only PNG, JPEG and WebP are kept"),
        (bytes(range(200)), "not a picture: the bytes are of no known kind"),
        (png_of_size(12_000, 10_000), "115 megapixels, more than the 64 allowed"),
        (png_of_size(0, 10), "a damaged PNG: it has no pixels"),
        (WHOLE["png"][:100] + b"X" + WHOLE["png"][101:], "a damaged PNG: wrong checksum at byte 33"),
        (
            WHOLE["jpeg"][:-2] + WHOLE["jpeg"],
            f"a damaged JPEG: its structure breaks at byte {len(WHOLE['jpeg']) - 2:,}",
        ),
    ],
)
def test_what_is_no_picture_is_named_in_words(data: bytes, message: str) -> None:
    with pytest.raises(PictureError) as caught:
        check_picture(data)
    assert caught.value.message == message


def test_a_pixel_bomb_is_refused_before_it_is_decoded() -> None:
    for width, height in [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (8192, 8193)]:
        with pytest.raises(PictureError, match="megapixels, more than the 64 allowed"):
            check_picture(png_of_size(width, height))


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    data = WHOLE["jpeg progressive"]
    last_scan = data.rindex(b"\xff\xda")

    with pytest.raises(PictureError, match="scans"):
        check_picture(data[:-2] + data[last_scan:-2] * 200 + b"\xff\xd9")


def test_a_png_whose_checksums_are_right_but_whose_pixels_are_short_is_refused() -> None:
    with pytest.raises(PictureError, match="a damaged PNG: its pixels cannot be decoded"):
        check_picture(png_of_size(10, 10))


@pytest.mark.parametrize("name", ["png", "jpeg progressive", "webp"])
def test_what_follows_the_end_is_kept_and_counted(name: str) -> None:
    polyglot = WHOLE[name] + b"<script>alert(1)</script>"

    facts = check_picture(polyglot)

    assert facts.trailing == 25
    assert facts.format == name.split(maxsplit=1)[0]
    assert facts.sha256 == sha256(polyglot).hexdigest()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_read(mode: str) -> None:
    image = drawing("L").convert("I").point(lambda value: value * 257) if mode == "I;16" else drawing(mode)
    flat = Image.new(mode, (64, 48), 255 if mode in {"1", "L", "P"} else 30_000 if mode == "I;16" else None)

    facts = check_picture(encoded(image.convert(mode), "PNG"))

    assert facts.mode == mode
    assert not facts.blank
    assert check_picture(encoded(flat, "PNG")).blank


def test_print_colours_are_read_from_a_jpeg() -> None:
    assert check_picture(encoded(drawing("CMYK"), "JPEG")).mode == "CMYK"
    assert check_picture(encoded(Image.new("CMYK", (64, 48), (0, 0, 0, 255)), "JPEG")).blank


def test_one_pixel_is_a_picture() -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        facts = check_picture(encoded(Image.new("RGB", (1, 1), "red"), kind))
        assert (facts.width, facts.height, facts.blank) == (1, 1, True)


def test_a_rotation_in_the_metadata_leaves_the_stored_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    facts = check_picture(encoded(drawing(), "JPEG", exif=exif))

    assert (facts.width, facts.height) == (64, 48)


def test_broken_metadata_does_not_spoil_a_whole_picture() -> None:
    plain = WHOLE["jpeg"]
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\xff\xff" * 40
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    png = WHOLE["png"]
    text = png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(80_000_000)))

    assert check_picture(plain[:2] + segment + plain[2:]).trailing == 0
    assert check_picture(png[:33] + text + png[33:]).width == 64


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_marked_and_its_first_frame_checked(kind: str) -> None:
    frames = [drawing(), drawing().rotate(90), drawing().rotate(180)]

    facts = check_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))

    assert facts.animated
    assert not facts.blank


@pytest.mark.parametrize("colour", ["black", "white", "#808080", (6, 5, 7)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_one_colour_is_blank(kind: str, colour: Any) -> None:
    assert check_picture(encoded(Image.new("RGB", (300, 200), colour), kind)).blank


def test_a_nearly_black_picture_is_blank_and_a_dark_one_is_not() -> None:
    noise = Image.effect_noise((300, 200), 60)

    assert check_picture(encoded(noise.point(lambda value: value // 25), "PNG")).blank
    assert not check_picture(encoded(noise.point(lambda value: value // 6), "PNG")).blank


def test_one_small_thing_in_a_white_picture_is_enough() -> None:
    image = Image.new("RGB", (1024, 1024), "white")
    image.putpixel((517, 303), (0, 0, 0))

    assert not check_picture(encoded(image, "PNG")).blank


def test_a_jpeg_of_fine_lines_is_not_blank_although_every_block_has_the_same_mean() -> None:
    lines = Image.new("L", (256, 256), "black")
    for column in range(0, 256, 4):
        lines.paste(255, (column, 0, column + 2, 256))

    assert not check_picture(encoded(lines, "JPEG")).blank


def test_a_shape_on_transparent_ground_is_not_blank_and_nothing_at_all_is() -> None:
    shape = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    empty = encoded(shape, "PNG")
    ImageDraw.Draw(shape).ellipse((10, 10, 90, 90), fill=(0, 0, 0, 255))

    assert check_picture(empty).blank
    assert not check_picture(encoded(shape, "PNG")).blank


def test_many_threads_check_at_once() -> None:
    found: list[int] = []

    def work() -> None:
        found.extend(check_picture(data).width for data in WHOLE.values() for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [64] * (4 * 5 * len(WHOLE))


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ("64x48", False),
        ("64*48", False),
        (" 64 × 48 ", False),
        ("48x64", True),
        ("1024x1024", True),
        ("4:3", False),
        ("16:12", False),
        ("3:4", True),
        ("16:9", True),
        ("auto", False),
        ("2K", False),
        ("0:0", False),
        ("", False),
        (None, False),
    ],
)
def test_a_size_other_than_asked_is_noticed(asked: str | None, wrong: bool) -> None:
    assert wrong_size(check_picture(WHOLE["png"]), asked) is wrong
