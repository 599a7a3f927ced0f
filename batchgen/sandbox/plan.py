"""From an order to the sketches of its pictures: which number, words and inputs decide what.

It refuses to draw and to choose a random seed: the caller gives the seed that is used.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

from batchgen.sandbox.inputs import Input, shrink
from batchgen.sandbox.page import Order
from batchgen.sandbox.palette import palette_for
from batchgen.sandbox.sketch import Sketch, picture_size, scaled

_CAPTION_CHARACTERS = 150
_CAPTION_BYTES = 330


def plan_pictures(
    order: Order,
    seed: int,
    inputs: Sequence[Input],
    *,
    count: int,
    scale: float,
    picture_format: Literal["png", "jpeg", "by-model"],
) -> list[Sketch]:
    """One sketch per picture, `count` of them; each differs from the others of the same answer."""
    size = picture_size(order, inputs[0].ratio if inputs else None)
    width, height = scaled(size, scale)
    small = shrink(inputs) if inputs else ()
    seen = "|".join(given.digest for given in inputs)
    shown = [order.strength, order.steps, order.guidance_scale, order.negative_prompt, size]
    format_name = order.model.format if picture_format == "by-model" else picture_format.upper()
    return [
        Sketch(
            model=order.model.id,
            text=_beginning(order.prompt),
            seed=seed,
            composition=_number(order.prompt, seed, number, seen),
            variation=_number(order.model.id, order.prompt, seed, number, seen, *shown),
            palette=palette_for(order.prompt),
            width=width,
            height=height,
            format=format_name,
            detail=min(100, round(order.steps / 50 * 90)),
            contrast=round((order.guidance_scale - 1) / 9 * 100),
            strength=round(order.strength * 100),
            inputs=small,
        )
        for number in range(count)
    ]


def _beginning(prompt: str) -> str:
    """As much of the prompt as a caption shows and a link can carry."""
    text = " ".join(prompt.encode("utf-8", "replace").decode("utf-8").split())[:_CAPTION_CHARACTERS]
    return text.encode("utf-8")[:_CAPTION_BYTES].decode("utf-8", "ignore")


def _number(*parts: object) -> int:
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
