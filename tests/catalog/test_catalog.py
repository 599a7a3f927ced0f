"""The catalogue is the provider's page, figure by figure."""

from decimal import Decimal
from typing import Any

import pytest

from batchgen.catalog.catalog import Field, load_provider, nearest, provider_names
from batchgen.errors import CatalogError

BFL = "black-forest-labs"
EVERY = {"prompt", "seed", "guidance_scale"}
PAGE = {
    f"{BFL}/flux.1-dev": (10, "0.10", EVERY | {"n", "image", "response_format", "size", "strength", "steps"}, set()),
    f"{BFL}/flux-kontext-pro": (5, "0.35", EVERY | {"image"}, {"image"}),
    f"{BFL}/flux-kontext-pro/multi": (5, "0.35", EVERY | {"images"}, {"images"}),
    f"{BFL}/flux-kontext-pro/text-to-image": (5, "0.35", EVERY | {"n", "aspect_ratio"}, set()),
    "stepfun-ai/step1x-edit": (5, "0.30", EVERY | {"image", "steps", "negative_prompt"}, {"image"}),
    f"{BFL}/flux-kontext-max": (0, "0.70", EVERY | {"image"}, {"image"}),
    f"{BFL}/flux-kontext-max/multi": (0, "0.70", EVERY | {"images"}, {"images"}),
    f"{BFL}/flux-kontext-max/text-to-image": (0, "0.70", EVERY | {"n", "aspect_ratio"}, set()),
}


@pytest.mark.parametrize("name", ["modelverse", "sandbox"])
def test_eight_models_with_their_fields_free_pictures_and_prices(name: str) -> None:
    provider = load_provider(name)
    found = {
        model.id: (model.free_images, str(model.price), set(model.fields), set(model.required) - {"prompt"})
        for model in provider.models.values()
    }

    assert found == PAGE
    assert all("prompt" in model.required for model in provider.models.values())


def test_ranges_and_defaults_are_the_pages() -> None:
    fields = load_provider("modelverse").fields
    limits: dict[str, Any] = {name: (field.default, field.minimum, field.maximum) for name, field in fields.items()}

    assert limits["n"] == (1, 1, 4)
    assert limits["size"] == ("1024x1024", 256, 1536)
    assert limits["strength"] == (0.8, 0, 1)
    assert limits["seed"] == (-1, -1, 9999999999)
    assert limits["guidance_scale"] == (2.5, 1, 10)
    assert limits["steps"] == (28, None, None)
    assert fields["aspect_ratio"].choices == ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
    assert fields["response_format"].choices == ("url", "b64_json")


def test_links_live_seven_days_and_prices_have_currency_date_and_source() -> None:
    provider = load_provider("modelverse")

    assert provider.link_lifetime_s == 7 * 86400
    assert (provider.currency, provider.prices_as_of) == ("CNY", "2026-03-24")
    assert provider.prices_source
    assert provider.base_url == "https://api.modelverse.cn/v1"


def field(name: str) -> Field:
    return load_provider("modelverse").fields[name]


@pytest.mark.parametrize(
    ("name", "value", "canonical"),
    [
        ("n", 4, 4), ("n", 2.0, 2), ("guidance_scale", 4, 4.0), ("size", " 512X768 ", "512x768"), ("strength", 0, 0.0),
        ("seed", -1, -1), ("seed", 9999999999, 9999999999), ("steps", 10_000, 10_000), ("aspect_ratio", "16:9", "16:9"),
        ("images", "a.png", ["a.png"]),
    ],
)  # fmt: skip
def test_a_value_has_one_spelling(name: str, value: Any, canonical: Any) -> None:
    found = field(name).canonical(value)

    assert found == canonical
    assert type(found) is type(canonical)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 0), ("n", 5), ("n", True), ("n", "2"), ("n", 1.5), ("size", "2000x10"), ("size", "512"), ("size", 512),
        ("strength", 1.1), ("strength", float("nan")), ("seed", -2), ("seed", 10**10), ("guidance_scale", 0.5),
        ("guidance_scale", 11), ("aspect_ratio", "5:4"), ("response_format", "png"), ("image", ""), ("images", []),
        ("images", [""]), ("negative_prompt", 7), ("steps", "many"),
    ],
)  # fmt: skip
def test_a_value_outside_the_page_is_refused_with_what_was_expected(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        field(name).canonical(value)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(CatalogError) as caught:
        load_provider("modelverse").model("black-forest-labs/flux-1-dev")

    assert f"{BFL}/flux.1-dev" in caught.value.hint
    assert nearest("promts", ["prompts", "params"]) == "prompts"
    assert nearest("zzz", ["prompts"]) is None
    with pytest.raises(CatalogError):
        load_provider("nobody")


def test_prices_are_exact_money() -> None:
    assert all(isinstance(model.price, Decimal) for model in load_provider("modelverse").models.values())
    assert provider_names() == ("modelverse", "sandbox")
