"""What the page allows and what it refuses, field by field."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchgen.sandbox.answers import RefusalError
from batchgen.sandbox.page import MODELS, read_order
from batchgen.sandbox.sketch import picture_size

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "requests.json").read_text("utf-8"))
DEV = "black-forest-labs/flux.1-dev"
PRO = "black-forest-labs/flux-kontext-pro"
TEXT = "black-forest-labs/flux-kontext-max/text-to-image"
MULTI = "black-forest-labs/flux-kontext-max/multi"
STEP = "stepfun-ai/step1x-edit"
LINK = "https://pictures.example.com/a.png"


def body(model: str = DEV, **fields: Any) -> dict[str, Any]:
    return {"model": model, "prompt": "a boat", **fields}


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_every_golden_request_is_an_order(case: dict[str, Any]) -> None:
    order = read_order(case["body"])
    assert (case["model"], case["prompt"], case["seed"]) == (order.model.id, order.prompt, order.seed)


def test_the_golden_requests_cover_every_model_and_every_field_of_it() -> None:
    used: dict[str, set[str]] = {name: set() for name in MODELS}
    for case in GOLDEN:
        used[case["model"]] |= set(case["body"])
    assert {name: set(model.takes) for name, model in MODELS.items()} == used


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"model": 3, "prompt": "x"},
        {"model": DEV},
        body(prompt=""),
        body(prompt=["x"]),
        body(n=0),
        body(n=5),
        body(n=True),
        body(n=1.5),
        body(n="2"),
        body(size="255x1024"),
        body(size="1024x1537"),
        body(size="1024*1024"),
        body(size="1024"),
        body(size=1024),
        body(strength=1.01),
        body(strength=-0.1),
        body(strength="0.5"),
        body(strength=float("nan")),
        body(steps=0),
        body(steps=2.5),
        body(seed=-2),
        body(seed=10_000_000_000),
        body(seed="7"),
        body(seed=None),
        body(guidance_scale=0.5),
        body(guidance_scale=10.5),
        body(guidance_scale=10**400),
        body(response_format="png"),
        body(image="photo.png"),
        body(image="data:text/plain;base64,AAAA"),
        body(image="file:///etc/passwd"),
        body(TEXT, aspect_ratio="5:4"),
        body(TEXT, aspect_ratio=["1:1"]),
        body(PRO),
        body(PRO, image=[LINK]),
        body(MULTI),
        body(MULTI, images=[]),
        body(MULTI, images=LINK),
        body(MULTI, images=[LINK, 7]),
        body(STEP, image=LINK, negative_prompt=1),
    ],
    ids=repr,
)
def test_what_the_page_does_not_allow_is_an_invalid_param(wrong: Any) -> None:
    with pytest.raises(RefusalError) as caught:
        read_order(wrong)
    assert caught.value.row == "400"
    assert caught.value.detail


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (DEV, "aspect_ratio", "1:1"),
        (DEV, "images", [LINK]),
        (DEV, "negative_prompt", "x"),
        (TEXT, "size", "1024x1024"),
        (TEXT, "image", LINK),
        (TEXT, "response_format", "url"),
        (PRO, "n", 1),
        (PRO, "steps", 28),
        (STEP, "strength", 0.5),
        (DEV, "quality", "hd"),
    ],
)
def test_a_field_of_another_model_is_refused_or_left_out(model: str, field: str, value: Any) -> None:
    fields = {field: value} | ({"image": LINK} if MODELS[model].input_field == "image" else {})
    with pytest.raises(RefusalError, match=field):
        read_order(body(model, **fields))
    assert read_order(body(model, **fields), ignore_unsupported=True).prompt == "a boat"


def test_a_model_that_the_page_does_not_list_is_a_matter_of_permission() -> None:
    with pytest.raises(RefusalError) as caught:
        read_order(body("flux.1-dev"))
    assert caught.value.row == "400-permission"


def test_defaults_are_those_of_the_page() -> None:
    order = read_order(body())
    assert (
        order.n,
        order.size,
        order.strength,
        order.steps,
        order.seed,
        order.guidance_scale,
    ) == (1, (1024, 1024), 0.8, 28, -1, 2.5)


def test_pictures_have_the_shape_that_was_asked_for() -> None:
    assert picture_size(read_order(body(size="640x480")), None) == (640, 480)
    assert picture_size(read_order(body(TEXT, aspect_ratio="21:9")), None) == (1552, 656)
    assert picture_size(read_order(body(TEXT)), None) == (1024, 1024)
    assert picture_size(read_order(body(PRO, image=LINK)), 2 / 3) == (832, 1248)
    assert picture_size(read_order(body(PRO, image=LINK)), 16 / 9) == (1392, 752)
