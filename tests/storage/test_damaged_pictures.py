"""Whatever is done to a picture: it is refused in words, or it decodes in full and is what the facts say."""

import io
import logging
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from PIL.Image import DecompressionBombError

from batchgen.errors import PictureError, StorageError
from batchgen.storage.pictures import PictureFacts, check_picture
from batchgen.storage.room import Room
from batchgen.storage.walks import walk_to_end

from .pictures import MOVING, POLYGLOTS, WHOLE, encoded, png, png_chunk

ORIGINALS = WHOLE | MOVING | POLYGLOTS
NARROW = Room(1 << 10)
"""So little that every PNG is checked by its rows."""


def blindly_damaged(data: bytes, chance: random.Random) -> bytes:
    how, start = chance.randrange(5), chance.randrange(len(data))
    length = chance.randrange(1, 64)
    if how == 0:
        return data[:start]
    if how == 1:
        return data[:start] + bytes([data[start] ^ 1 << chance.randrange(8)]) + data[start + 1 :]
    if how == 2:
        return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]
    if how == 3:
        return data[:start] + data[start + length :]
    other = ORIGINALS[chance.choice(sorted(ORIGINALS))]
    return data[:start] + other[chance.randrange(len(other)) :]


Pieces = list[tuple[bytes, bytes]]


def png_pieces(data: bytes) -> Pieces:
    pieces, start = [], 8
    while start + 12 <= len(data):
        stop = start + 8 + int.from_bytes(data[start : start + 4])
        pieces.append((data[start + 4 : start + 8], data[start + 8 : stop]))
        start = stop + 4
    return pieces


def webp_pieces(data: bytes) -> Pieces:
    pieces, start = [], 12
    while start + 8 <= len(data):
        stop = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        pieces.append((data[start : start + 4], data[start + 8 : stop]))
        start = stop + stop % 2
    return pieces


def jpeg_pieces(data: bytes) -> Pieces:
    pieces, start = [], 2
    while data[start] == 0xFF and data[start + 1] != 0xDA:
        stop = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        pieces.append((data[start : start + 2], data[start + 4 : stop]))
        start = stop
    return [*pieces, (b"", data[start:])]


def png_of(pieces: Pieces) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in pieces)


def webp_of(pieces: Pieces) -> bytes:
    inner = b"".join(kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2) for kind, body in pieces)
    return b"RIFF" + (len(inner) + 4).to_bytes(4, "little") + b"WEBP" + inner


def jpeg_of(pieces: Pieces) -> bytes:
    return b"\xff\xd8" + b"".join(kind + (len(body) + 2).to_bytes(2) + body if kind else body for kind, body in pieces)


FORMS: dict[str, tuple[Callable[[bytes], Pieces], Callable[[Pieces], bytes]]] = {
    "png": (png_pieces, png_of),
    "jpeg": (jpeg_pieces, jpeg_of),
    "webp": (webp_pieces, webp_of),
}


def damaged_by_the_rules(name: str, data: bytes, chance: random.Random) -> bytes:
    """Damage inside of a structure that is whole again afterwards: lengths and checksums are right."""
    take_apart, put_together = FORMS[name.partition(" ")[0]]
    pieces = take_apart(data)
    at, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    kind, body = pieces[at]
    how = chance.randrange(6)
    if how == 0 and body:
        place = chance.randrange(len(body))
        pieces[at] = kind, body[:place] + bytes([body[place] ^ 1 << chance.randrange(8)]) + body[place + 1 :]
    elif how == 1 and body:
        place = chance.randrange(min(len(body), 12))  # sizes and depths stand in front
        pieces[at] = kind, body[:place] + bytes([chance.randrange(256)]) + body[place + 1 :]
    elif how == 2:
        pieces[at], pieces[other] = pieces[other], pieces[at]
    elif how == 3:
        pieces.insert(other, pieces[at])
    elif how == 4:
        del pieces[at]
    else:
        pieces[at] = kind, body[: chance.randrange(len(body) + 1)]
    return put_together(pieces)


def facts_of(data: bytes, room: Room | None = None) -> PictureFacts | None:
    try:
        return check_picture(data, room=room)
    except PictureError as error:
        refusal = error.message
    assert refusal.isprintable()
    assert len(refusal) < 200
    return None


@pytest.mark.parametrize("by_the_rules", [False, True])
def test_a_thousand_damaged_pictures_are_refused_or_decode_in_full(
    by_the_rules: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    chance = random.Random(7)
    names = sorted(set(ORIGINALS) - set(POLYGLOTS)) if by_the_rules else sorted(ORIGINALS)
    refused = 0
    for number in range(1000):
        name = names[number % len(names)]
        original = ORIGINALS[name]
        data = damaged_by_the_rules(name, original, chance) if by_the_rules else blindly_damaged(original, chance)
        facts = facts_of(data)
        if facts is None:
            refused += 1
            continue
        essence = walk_to_end(data).essence(data)
        with Image.open(io.BytesIO(essence), formats=("PNG", "JPEG", "WEBP")) as image:
            image.load()
            assert image.size == (facts.width, facts.height)
            assert image.format == facts.format.upper()
            assert image.mode == facts.mode
    assert 300 < refused < 1000
    assert not caplog.records


def test_a_thousand_damaged_pngs_are_judged_alike_by_their_rows_and_by_a_decoder() -> None:
    chance = random.Random(11)
    names = [name for name in sorted(WHOLE) if name.startswith("png")]
    accepted = 0
    for number in range(1000):
        name = names[number % len(names)]
        data = damaged_by_the_rules(name, WHOLE[name], chance)
        whole, by_rows = facts_of(data), facts_of(data, NARROW)
        if by_rows is not None:
            accepted += 1
            assert whole is not None
            assert (by_rows.mode, by_rows.width, by_rows.sha256) == (whole.mode, whole.width, whole.sha256)
        elif whole is not None:
            with pytest.raises(zlib.error):  # only the checksum at the very end, which decoders do not come to
                zlib.decompress(b"".join(body for kind, body in png_pieces(data) if kind == b"IDAT"))
    assert 100 < accepted < 900


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x10\0\0\0WEBPVP8X"]), st.binary(max_size=200)
)
def test_no_bytes_raise_anything_but_a_word_about_the_picture(front: bytes, data: bytes) -> None:
    facts_of(front + data)


@pytest.mark.parametrize("name", POLYGLOTS)
def test_a_picture_that_is_something_else_too_is_kept_as_the_picture_that_it_is(name: str) -> None:
    facts = check_picture(POLYGLOTS[name])

    assert facts.format == name.partition(" ")[0]
    assert facts.extension == {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}[facts.format]
    assert (facts.width, facts.height) == (64, 48)


@pytest.mark.parametrize("front", [b"GIF89a", b"<html>", b"%PDF-1.4\n", b"PK\x03\x04"])
def test_something_else_with_a_picture_inside_is_refused(front: bytes) -> None:
    with pytest.raises(PictureError):
        check_picture(front + WHOLE["jpeg"])


def cut_pixels(kind: str) -> bytes:
    """The structure is whole and rows are missing, which Pillow can be told to take."""
    if kind == "png":
        return png(64, 48, 8, 2, bytes((1 + 64 * 3) * 20))
    data = WHOLE["jpeg"]
    scan = data.index(b"\xff\xda")
    return data[: scan + 200] + b"\xff\xd9"


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_no_lenience_of_the_whole_process_makes_half_a_picture_a_whole_one(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts_of(cut_pixels(kind))

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    assert facts_of(cut_pixels(kind)) == before
    assert kind == "jpeg" or before is None
    assert all(check_picture(data).width == 64 for data in WHOLE.values())


def test_no_limit_of_the_whole_process_makes_a_picture_a_damaged_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    for kind in ("png", "webp"):
        with pytest.raises(StorageError, match="may not decode") as caught:
            check_picture(WHOLE[kind])
        assert isinstance(caught.value.__cause__, DecompressionBombError)


def test_no_decoder_that_is_registered_later_gets_to_see_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> object:
        raise AssertionError

    monkeypatch.setattr(Image, "OPEN", dict.fromkeys(("PNG", "JPEG", "WEBP"), (never, never)))

    assert check_picture(WHOLE["png"]).format == "png"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(Image.new("RGB", (9, 9)), "GIF"), "a GIF"),
        (encoded(Image.new("RGB", (9, 9)), "TIFF"), "a TIFF"),
        (encoded(Image.new("RGB", (16, 16)), "ICO"), "an icon file"),
        (encoded(Image.new("RGB", (9, 9)), "EPS"), "a PostScript file"),
        (encoded(Image.new("RGB", (9, 9)), "AVIF"), "an AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
    ],
)
def test_other_kinds_are_refused_by_name(data: bytes, kind: str) -> None:
    with pytest.raises(PictureError, match=f"^{kind}; only PNG, JPEG and WebP are kept"):
        check_picture(data)
