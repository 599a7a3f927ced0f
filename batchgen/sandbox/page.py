"""The images API page as this server reads it: the eight models, their fields, ranges and prices, and the check of a request.

The table is written out from the page and shares nothing with the catalogue: two readings that golden bodies compare.
It refuses to open links and to look inside pictures.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchgen.sandbox.answers import RefusalError

CURRENCY = "CNY"
RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
RANDOM_SEED = -1
_HIGHEST_SEED = 9_999_999_999
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)
_LINK = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_NAMED_SIZES = {"1K": 1024, "2K": 2048, "4K": 4096}
_BASE64_START = re.compile(r"[A-Za-z0-9+/\s]{40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the page. `play_s` is the median time a picture takes here, in seconds; the real ones take longer."""

    id: str
    short: str
    takes: frozenset[str]
    input_field: str
    price: Decimal
    play_s: float
    format: str
    inline: bool = False
    """Whether its answers hold pictures and never links."""

    @property
    def edits(self) -> bool:
        """Whether it cannot work without input pictures."""
        return bool(self.input_field)


def _takes(fields: str) -> frozenset[str]:
    """The named fields, and those that every model takes."""
    return frozenset(("prompt", "model", "seed", "guidance_scale", *fields.split()))


_TEXT = _takes("n aspect_ratio")
_DEV = _takes("n image response_format size strength steps")
_STEP = _takes("image steps negative_prompt")
_EDIT, _MULTI = _takes("image"), _takes("images")
_LOW, _MIDDLE, _PRO, _MAX = (Decimal(price) for price in ("0.10", "0.30", "0.35", "0.70"))
_FLUX = "black-forest-labs/flux"
MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        Model(f"{_FLUX}.1-dev", "flux.1-dev", _DEV, "", _LOW, 0.5, "PNG"),
        Model(f"{_FLUX}-kontext-pro", "kontext-pro", _EDIT, "image", _PRO, 0.5, "JPEG"),
        Model(f"{_FLUX}-kontext-pro/multi", "kontext-pro multi", _MULTI, "images", _PRO, 0.65, "JPEG"),
        Model(f"{_FLUX}-kontext-pro/text-to-image", "kontext-pro text", _TEXT, "", _PRO, 0.5, "JPEG"),
        Model("stepfun-ai/step1x-edit", "step1x-edit", _STEP, "image", _MIDDLE, 1.4, "PNG"),
        Model(f"{_FLUX}-kontext-max", "kontext-max", _EDIT, "image", _MAX, 0.8, "PNG"),
        Model(f"{_FLUX}-kontext-max/multi", "kontext-max multi", _MULTI, "images", _MAX, 1.0, "PNG"),
        Model(f"{_FLUX}-kontext-max/text-to-image", "kontext-max text", _TEXT, "", _MAX, 0.8, "PNG"),
    )
}


@dataclass(frozen=True, slots=True)
class Order:
    """A request that the page allows, with the page's defaults filled in. `size` is None unless the model takes it."""

    model: Model
    prompt: str
    seed: int
    n: int
    inputs: tuple[str, ...]
    response_format: str | None
    size: tuple[int, int] | None
    aspect_ratio: str
    strength: float
    steps: int
    guidance_scale: float
    negative_prompt: str


@dataclass(frozen=True, slots=True)
class Page:
    """One reading of the provider's pages: its models, a check of each field by model and name, and how many steps it takes."""

    name: str
    models: Mapping[str, Model]
    check: "Callable[[Model, str], Check | None]"
    """The check of a field for a model; None for what is no field of the interface."""
    steps: int


def read_order(body: Any, page: Page | None = None, *, ignore_unsupported: bool = False) -> Order:
    """The order in a request's JSON, by the page of June 2025 or another one. Raises RefusalError with the page's error row and what is wrong."""
    if not isinstance(body, dict):
        raise RefusalError("400", "the body must be a JSON object")
    page = page or FIRST
    model = _named_model(body.get("model"), page)
    if not ignore_unsupported:
        _refuse_unsupported(model, body, page)
    fields = {name: value for name, value in body.items() if name in model.takes}
    for name, value in fields.items():
        check = page.check(model, name)
        expected = check(value) if check else ""
        if expected:
            raise RefusalError("400", f"{name} must be {expected}")
    _require(model, fields)
    single = (fields["image"],) if "image" in fields else ()
    return Order(
        model=model,
        prompt=fields["prompt"],
        seed=fields.get("seed", RANDOM_SEED),
        n=fields.get("n", 1),
        inputs=tuple(fields.get("images", single)),
        response_format="b64_json" if model.inline else fields.get("response_format"),
        size=_width_height(fields.get("size", "1024x1024")) if "size" in model.takes else None,
        aspect_ratio=fields.get("aspect_ratio", "1:1"),
        strength=float(fields.get("strength", 0.8)),
        steps=fields.get("steps", page.steps),
        guidance_scale=float(fields.get("guidance_scale", 2.5)),
        negative_prompt=fields.get("negative_prompt", ""),
    )


def _width_height(size: str) -> tuple[int, int]:
    """In pixels; of the sizes with a name, the square ones."""
    found = _SIZE.fullmatch(size)
    side = _NAMED_SIZES.get(size, 1024)
    return (int(found[1]), int(found[2])) if found else (side, side)


def _named_model(name: Any, page: Page) -> Model:
    if not isinstance(name, str) or not name:
        raise RefusalError("400", "model is required and must be text")
    if name not in page.models:
        raise RefusalError("400-permission", f"not support model {name[:200]}")
    return page.models[name]


def _refuse_unsupported(model: Model, body: Mapping[str, Any], page: Page) -> None:
    for name in body:
        if page.check(model, name) is None:
            raise RefusalError("400", f"{name[:100]} is not a field of this interface")
        if name not in model.takes:
            raise RefusalError("400", f"{name} is not supported by {model.id}")


def _require(model: Model, fields: Mapping[str, Any]) -> None:
    if "prompt" not in fields:
        raise RefusalError("400", "prompt is required")
    if model.edits and model.input_field not in fields:
        raise RefusalError("400", f"{model.input_field} is required by {model.id}")


Check = Callable[[Any], str]
"""What was expected, or nothing when a value is fine."""


def text(value: Any) -> str:
    """Any text."""
    return "" if isinstance(value, str) else "text"


def some_text(value: Any) -> str:
    """A text that is not empty."""
    return "" if isinstance(value, str) and value.strip() else "text that is not empty"


def whole(low: int, high: int) -> Callable[[Any], str]:
    """The check of a whole number."""

    def check(value: Any) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return "" if fits else f"a whole number between {low} and {high}"

    return check


def number(low: float, high: float) -> Callable[[Any], str]:
    """The check of a number."""

    def check(value: Any) -> str:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return "" if fits else f"a number between {low:g} and {high:g}"

    return check


def one_of(*choices: str) -> Callable[[Any], str]:
    """The check of a word out of several."""

    def check(value: Any) -> str:
        return "" if value in choices else f"one of {', '.join(choices)}"

    return check


def _size(value: Any) -> str:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    fits = match is not None and all(256 <= int(side) <= 1536 for side in match.groups())
    return "" if fits else "WIDTHxHEIGHT in pixels with each side between 256 and 1536"


def picture(value: Any) -> str:
    """An input picture."""
    fits = isinstance(value, str) and (_LINK.match(value) or _DATA_URI.match(value))
    return "" if fits else "a link (http or https) or data:image/<format>;base64,<data>"


def pictures(value: Any) -> str:
    """A list of them."""

    def fits(item: Any) -> bool:
        return not picture(item) or (isinstance(item, str) and _BASE64_START.match(item) is not None)

    is_list = isinstance(value, list) and bool(value)
    return "" if is_list and all(fits(item) for item in value) else "a list of links or base64 pictures, at least one"


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "prompt": some_text,
    "model": text,
    "n": whole(1, 4),
    "image": picture,
    "images": pictures,
    "response_format": one_of("url", "b64_json"),
    "size": _size,
    "strength": number(0, 1),
    "aspect_ratio": one_of(*RATIOS),
    "steps": whole(1, 1000),
    "seed": whole(RANDOM_SEED, _HIGHEST_SEED),
    "guidance_scale": number(1, 10),
    "negative_prompt": text,
}
"""Field -> a check that gives what was expected, or nothing when the value is fine."""


FIRST = Page("page-2025-06", MODELS, lambda _model, name: _CHECKS.get(name), steps=28)
"""The page of June 2025: the contract."""
