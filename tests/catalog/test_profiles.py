"""The catalogue's profiles: two readings of one provider, and the sandbox's own reading beside them."""

import pytest

from batchgen.catalog.catalog import load_provider
from batchgen.errors import CatalogError
from batchgen.sandbox.later_page import PAGES

LATER = "docs-2026-05"
EIGHT = [*load_provider("modelverse").models]


def test_the_contract_page_is_the_usual_profile_and_both_providers_have_both() -> None:
    for name in ("modelverse", "sandbox"):
        provider = load_provider(name)
        assert (provider.profile, provider.profiles) == ("page-2025-06", ("page-2025-06", LATER))
        assert load_provider(name, "page-2025-06").models == provider.models
        assert (load_provider(name, LATER).base_url, load_provider(name, LATER).dialect) == (
            provider.base_url,
            provider.dialect,
        )
    assert len(EIGHT) == 8


def test_the_later_pages_give_the_eight_more_fields_and_other_bounds() -> None:
    later = load_provider("modelverse", LATER).models

    assert [*later][:8] == EIGHT
    for name in EIGHT:
        fields = later[name].fields
        assert {"n", "steps", "seed", "guidance_scale", "negative_prompt", "response_format"} <= fields.keys()
        assert (fields["steps"].default, fields["steps"].minimum, fields["steps"].maximum) == (20, 1, 50)
        assert fields["response_format"].choices == ("url",)
        assert load_provider("modelverse").models[name].price == later[name].price
    assert later["black-forest-labs/flux-kontext-pro"].fields["guidance_scale"].maximum == 20
    assert later["black-forest-labs/flux-kontext-max"].fields["guidance_scale"].maximum == 10
    assert "aspect_ratio" in later["black-forest-labs/flux-kontext-pro/multi"].fields
    assert "strength" in later["stepfun-ai/step1x-edit"].fields


def test_an_unknown_price_is_none_and_links_of_seedream_live_a_day() -> None:
    provider = load_provider("modelverse", LATER)
    unknown = [model.id for model in provider.models.values() if model.price is None]

    assert unknown == [
        *("doubao-seedream-5-0-260128", "wan2.7-image", "wan2.7-image-pro"),
        *("gpt-image-1", "gpt-image-1.5", "gpt-image-2"),
    ]
    assert provider.link_lifetime_of("doubao-seedream-4.5") == 86_400
    assert provider.link_lifetime_of("Qwen/Qwen-Image") == provider.link_lifetime_of("no such model") == 7 * 86_400


@pytest.mark.parametrize("profile", ["page-2025-06", LATER])
def test_the_sandbox_reads_the_same_out_of_the_pages(profile: str) -> None:
    models, page = load_provider("modelverse", profile).models, PAGES[profile]

    assert {*models} == {*page.models}
    for name, model in models.items():
        theirs = page.models[name]
        assert {*model.fields} == theirs.takes - {"model"}, name
        assert ("image" in model.required or "images" in model.required) == theirs.edits, name
        assert model.price in {theirs.price, None}, name
        for field in model.fields.values():
            check = page.check(theirs, field.name)
            assert check is not None
            for value in (field.minimum, field.maximum, field.default, *field.choices):
                if value is not None and field.type != "size":
                    assert check(int(value) if field.type == "int" else value) == "", (name, field.name, value)


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(CatalogError) as caught:
        load_provider("modelverse", "docs-2026-5")

    assert "has no profile 'docs-2026-5'" in caught.value.message
    assert "did you mean docs-2026-05" in caught.value.hint


@pytest.mark.parametrize(("value", "good"), [(True, True), (False, True), ("true", False), (1, False), (None, False)])
def test_a_field_that_is_true_or_false(value: object, good: bool) -> None:
    field = load_provider("modelverse", LATER).fields["watermark"]
    if good:
        assert field.canonical(value) is value
    else:
        with pytest.raises(ValueError, match="true or false"):
            field.canonical(value)
