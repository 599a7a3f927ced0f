"""Links that carry their picture."""

import base64
import random
from io import BytesIO

import pytest
from PIL import Image

from batchgen.sandbox.inputs import read_input
from batchgen.sandbox.links import read_link, write_link
from batchgen.sandbox.page import read_order
from batchgen.sandbox.plan import plan_pictures
from batchgen.sandbox.sketch import Sketch


def noisy_photo() -> str:
    target = BytesIO()
    Image.frombytes("RGB", (200, 300), random.Random(1).randbytes(180_000)).save(target, "PNG")
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()


def sketch(prompt: str, pictures: int) -> Sketch:
    model = "black-forest-labs/flux-kontext-max/multi" if pictures else "black-forest-labs/flux.1-dev"
    images = {"images": [noisy_photo()] * pictures} if pictures else {}
    order = read_order({"model": model, "prompt": prompt, "seed": 9_999_999_999, **images})
    inputs = [read_input(text) for text in order.inputs]
    return plan_pictures(order, order.seed, inputs, count=1, scale=1, picture_format="by-model")[0]


def parts(link: str) -> tuple[str, str]:
    _, _, token, _, name = link.split("/")
    return token, name


@pytest.mark.parametrize("pictures", [0, 1, 4])
@pytest.mark.parametrize("characters", ["a word and another ", "图片生成接口参数", "🎨🐈"])
def test_a_link_stays_short_and_gives_its_sketch_back(characters: str, pictures: int) -> None:
    chance = random.Random(3)
    text = "".join(chance.choice(characters) for _ in range(2000))
    given = sketch(text, pictures)
    link = write_link(given, 1_700_000_000)
    assert len("https://sandbox.example.com:65535" + link) < 2000
    assert read_link(*parts(link)) == (given, 1_700_000_000.0)


@pytest.mark.parametrize("token", ["", "AAAA", "x" * 500, "é", "A" * 3])
def test_a_link_that_was_never_given_is_refused(token: str) -> None:
    _, name = parts(write_link(sketch("a", 0), 1))
    with pytest.raises(ValueError, match="link"):
        read_link(token, name)


def test_a_link_that_lost_its_end_is_refused() -> None:
    token, name = parts(write_link(sketch("a", 0), 1))
    for changed in ((token[:-1], name), (token, name.replace(".png", ".jpeg")), (token, "x" + name[1:])):
        with pytest.raises(ValueError, match="link"):
            read_link(*changed)
