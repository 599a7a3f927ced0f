"""Pictures: the same for the same request, different for everything else, and always drawable."""

import base64
import itertools
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from batchgen.sandbox.drawing import draw
from batchgen.sandbox.inputs import read_input
from batchgen.sandbox.page import MODELS, read_order
from batchgen.sandbox.plan import plan_pictures
from batchgen.sandbox.sketch import Sketch

PRODUCTS = Path(__file__).parents[2] / "jobs" / "products"
DEV = "black-forest-labs/flux.1-dev"
STEP = "stepfun-ai/step1x-edit"


def photo(name: str) -> str:
    return "data:image/JPEG;base64," + base64.b64encode((PRODUCTS / f"{name}.jpg").read_bytes()).decode()


def sketches(
    model: str = DEV, *, prompt: str = "a fox", seed: int = 7, scale: float = 0.1, **fields: Any
) -> list[Sketch]:
    field = MODELS[model].input_field
    inputs = {"image": photo("mug")} if field == "image" else {"images": [photo("mug"), photo("lamp")]}
    order = read_order({"model": model, "prompt": prompt, "seed": seed, **(inputs if field else {}), **fields})
    pictures = [read_input(text) for text in order.inputs]
    return plan_pictures(order, order.seed, pictures, count=order.n, scale=scale, picture_format="by-model")


def drawn(model: str = DEV, **fields: Any) -> bytes:
    return draw(sketches(model, **fields)[0])


def opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as picture:
        return picture.convert("RGB")


def distance(first: Image.Image, second: Image.Image) -> float:
    """Mean difference of a level between two pictures' upper parts, where no caption is."""
    upper = [
        picture.crop((0, 0, picture.width, picture.height * 2 // 3)).resize((48, 32)) for picture in (first, second)
    ]
    return sum(ImageStat.Stat(ImageChops.difference(*upper)).mean) / 3


@pytest.mark.parametrize("model", MODELS)
def test_the_same_request_gives_the_same_bytes(model: str) -> None:
    assert drawn(model) == drawn(model)


@pytest.mark.parametrize("model", MODELS)
def test_another_seed_prompt_or_field_gives_another_picture(model: str) -> None:
    files = [
        drawn(model),
        drawn(model, seed=8),
        drawn(model, prompt="a fox at night"),
        drawn(model, guidance_scale=9),
    ]
    assert len(set(files)) == 4


@pytest.mark.parametrize("model", ["black-forest-labs/flux.1-dev", "black-forest-labs/flux-kontext-pro/text-to-image"])
def test_another_seed_moves_the_shapes_and_not_only_the_grain(model: str) -> None:
    assert distance(opened(drawn(model)), opened(drawn(model, seed=8))) > 8


def test_the_pictures_of_one_answer_differ() -> None:
    assert len({draw(sketch) for sketch in sketches(n=4)}) == 4


def test_no_two_models_look_alike() -> None:
    pictures = {model: opened(drawn(model)) for model in MODELS}
    near = [
        (first, second, round(distance(pictures[first], pictures[second])))
        for first, second in itertools.combinations(MODELS, 2)
        if distance(pictures[first], pictures[second]) < 15
    ]
    assert near == []


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.input_field == "image"])
def test_an_edit_shows_its_input(model: str) -> None:
    chair = opened(base64.b64decode(photo("chair").partition(",")[2])).convert("L")
    bottle = opened(base64.b64decode(photo("bottle").partition(",")[2])).convert("L")
    edited = opened(drawn(model, image=photo("chair"), scale=0.25)).convert("L")

    def likeness(photograph: Image.Image) -> float:
        shapes = [picture.resize((16, 16)).crop((0, 0, 16, 11)).tobytes() for picture in (edited, photograph)]
        means = [sum(shape) / len(shape) for shape in shapes]
        pairs = [(a - means[0], b - means[1]) for a, b in zip(*shapes, strict=True)]
        scale = (sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)) ** 0.5
        return float(sum(a * b for a, b in pairs) / scale)

    assert likeness(chair) > 0.6
    assert likeness(chair) > likeness(bottle) + 0.2


@pytest.mark.parametrize("model", MODELS)
def test_the_picture_has_the_planned_size_and_format(model: str) -> None:
    sketch = sketches(model)[0]
    with Image.open(BytesIO(draw(sketch))) as picture:
        assert (sketch.width, sketch.height) == picture.size
        assert MODELS[model].format == picture.format


def test_the_caption_can_be_read_at_256_pixels() -> None:
    """Letters stand out from their strip: both lines of text have rows with light and dark in turn."""
    picture = opened(drawn(prompt="HHHHHHHHHHHHHHHHHHHH", size="256x256", scale=1)).convert("L")
    changes = [
        sum(abs(a - b) > 90 for a, b in itertools.pairwise(picture.crop((0, y, 256, y + 1)).tobytes()))
        for y in range(256)
    ]
    assert max(changes[220:235]) >= 20
    assert max(changes[236:250]) >= 20


@pytest.mark.parametrize("scale", [0.02, 0.1, 1])
@pytest.mark.parametrize(
    "prompt", ["一座霓虹城市", "𝒻𝒶𝓃𝒸𝓎 — ünïcödé", "\u202eright to left\x07", "x" * 3000, "🎨🎨", "\ud800"]
)
def test_any_prompt_can_be_drawn(prompt: str, scale: float) -> None:
    assert opened(drawn(prompt=prompt, scale=scale, size="256x256")).width >= 16


@pytest.mark.parametrize("model", MODELS)
def test_every_model_draws_at_the_smallest_scale(model: str) -> None:
    assert opened(drawn(model, scale=0.001)).size == (16, 16)


@pytest.mark.parametrize("data", ["AAAA", "not base64", base64.b64encode(b"GIF89a").decode()])
def test_input_data_that_is_no_picture_is_refused(data: str) -> None:
    with pytest.raises(Exception, match="input picture"):
        read_input(f"data:image/png;base64,{data}")


def test_a_link_as_input_is_not_opened_and_still_shows_something_of_its_own() -> None:
    first, second = (drawn(STEP, image=f"https://pictures.example.com/{name}.png") for name in ("a", "b"))
    assert distance(opened(first), opened(second)) > 5
