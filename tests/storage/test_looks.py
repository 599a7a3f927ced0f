"""The look of a picture: the same for the same picture in another size or format, another for another picture."""

import io

import pytest
from PIL import Image, ImageChops, ImageOps

from batchgen.storage.looks import THUMBNAIL_PX, difference, look_of, make_thumbnail, reduced, thumbnail_name
from tests.storage.pictures import drawing


def test_a_look_is_64_bits_and_counts_where_two_differ() -> None:
    look = look_of(reduced(drawing()))

    assert 0 <= look < 2**64
    assert difference(look, look) == 0
    assert difference(0, 2**64 - 1) == 64


def test_another_size_or_format_moves_few_bits_and_a_mirrored_picture_many() -> None:
    picture = Image.linear_gradient("L").rotate(35).resize((400, 300)).convert("RGB")
    data = io.BytesIO()
    picture.resize((200, 150)).save(data, "JPEG", quality=60)
    with Image.open(data) as smaller:
        assert difference(look_of(reduced(picture)), look_of(reduced(smaller))) <= 4
    assert difference(look_of(reduced(picture)), look_of(reduced(ImageOps.mirror(picture)))) > 20


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
@pytest.mark.parametrize("size", [(40, 30), (1, 700), (2000, 1500)])
def test_pictures_of_every_mode_and_form_have_a_look_and_a_thumbnail(mode: str, size: tuple[int, int]) -> None:
    few = reduced(Image.new(mode, size, 1))

    assert 0 <= look_of(few) < 2**64
    with Image.open(io.BytesIO(make_thumbnail(few)), formats=("WEBP",)) as thumbnail:
        assert max(thumbnail.size) <= THUMBNAIL_PX
        assert min(size) == 1 or thumbnail.width * size[1] == pytest.approx(thumbnail.height * size[0], rel=0.05)


def test_a_thumbnail_shows_the_picture_and_keeps_what_is_transparent() -> None:
    picture = drawing().convert("RGBA").resize((900, 600))
    picture.paste((0, 0, 0, 0), (0, 0, 450, 600))

    with Image.open(io.BytesIO(make_thumbnail(reduced(picture)))) as thumbnail:
        assert thumbnail.convert("RGBA").getpixel((20, 100))[3] == 0  # type: ignore[index]
        shown, meant = (each.convert("RGB").resize((8, 8)) for each in (thumbnail, picture))
        difference_of_means = ImageChops.difference(shown, meant).convert("L").getextrema()
    assert difference_of_means[1] < 40  # type: ignore[operator]


def test_a_thumbnail_lies_below_the_gallery_by_the_hash_of_what_was_received() -> None:
    assert thumbnail_name("ab" * 32) == f"gallery/thumbs/ab/{'ab' * 16}.webp"
