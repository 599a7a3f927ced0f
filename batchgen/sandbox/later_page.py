"""The provider's pages of May 2026 as this server reads them: more fields for the eight models, and other models.

Like `page.py` it shares nothing with the catalogue.
"""

from collections.abc import Mapping
from decimal import Decimal

from batchgen.sandbox.page import (
    FIRST,
    MODELS,
    RATIOS,
    Check,
    Model,
    Page,
    number,
    one_of,
    picture,
    pictures,
    some_text,
    text,
    whole,
)

_COMMON = "prompt model n response_format steps seed guidance_scale negative_prompt"
_PLAY_PRICE = Decimal("0.25")
"""For models whose price the provider does not list per picture."""


def _more(model_id: str, fields: str) -> Model:
    """One of the eight with the fields that its own page has."""
    known = MODELS[model_id]
    takes = frozenset(f"{_COMMON} {fields}".split())
    return Model(known.id, known.short, takes, known.input_field, known.price, known.play_s, known.format)


def _other(
    model_id: str, like: str, fields: str, *, needs: str = "", price: str = "", form: str = "PNG", inline: bool = False
) -> Model:
    takes = frozenset(("prompt", "model", *fields.split()))
    return Model(model_id, like, takes, needs, Decimal(price) if price else _PLAY_PRICE, 0.8, form, inline)


_FLUX = "black-forest-labs/flux"
_GPT = "n size quality output_format output_compression"
_WAN = "image images size n seed watermark thinking_mode"
_MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        _more(f"{_FLUX}.1-dev", "image size strength"),
        _more(f"{_FLUX}-kontext-pro", "image strength"),
        _more(f"{_FLUX}-kontext-pro/multi", "images aspect_ratio"),
        _more(f"{_FLUX}-kontext-pro/text-to-image", "aspect_ratio"),
        _more("stepfun-ai/step1x-edit", "image strength"),
        _more(f"{_FLUX}-kontext-max", "image strength"),
        _more(f"{_FLUX}-kontext-max/multi", "images aspect_ratio"),
        _more(f"{_FLUX}-kontext-max/text-to-image", "aspect_ratio"),
        _other("Qwen/Qwen-Image", "flux.1-dev", "seed size", price="0.25"),
        _other("Qwen/Qwen-Image-Edit", "step1x-edit", "seed size image", needs="image", price="0.30"),
        _other("doubao-seedream-4.5", "kontext-pro text", "images size response_format watermark", form="JPEG"),
        _other(
            "doubao-seedream-5-0-260128",
            "kontext-pro text",
            "images size response_format output_format watermark",
            form="JPEG",
        ),
        _other("wan2.7-image", "kontext-max text", _WAN),
        _other("wan2.7-image-pro", "kontext-max text", _WAN),
        *(_other(name, "flux.1-dev", _GPT, inline=True) for name in ("gpt-image-1", "gpt-image-1.5", "gpt-image-2")),
    )
}


def _truth(value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


_CHECKS: Mapping[str, Check] = {
    "prompt": some_text,
    "model": text,
    "n": whole(1, 4),
    "image": picture,
    "images": pictures,
    "response_format": one_of("url"),
    "strength": number(0, 1),
    "aspect_ratio": one_of(*RATIOS),
    "steps": whole(1, 50),
    "seed": whole(-1, 9_999_999_999),
    "guidance_scale": number(1, 10),
    "negative_prompt": text,
    "watermark": _truth,
    "thinking_mode": _truth,
    "quality": one_of("auto", "low", "medium", "high"),
    "output_format": one_of("png", "jpeg", "webp"),
    "output_compression": whole(0, 100),
    "size": some_text,
}
_OWN_CHECKS: Mapping[tuple[str, str], Check] = {
    (f"{_FLUX}-kontext-pro", "guidance_scale"): number(1, 20),
    **{(name, "n"): whole(1, 10) for name in _MODELS if name.startswith("gpt-")},
}


def _check(model: Model, name: str) -> Check | None:
    if name == "size" and model.id == f"{_FLUX}.1-dev":
        return FIRST.check(model, name)
    return _OWN_CHECKS.get((model.id, name)) or _CHECKS.get(name)


LATER = Page("docs-2026-05", _MODELS, _check, steps=20)
PAGES = {page.name: page for page in (FIRST, LATER)}
EVERY_MODEL = {**FIRST.models, **LATER.models}
"""By id, for links that were made under either page."""
