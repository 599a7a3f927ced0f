"""Pages read well at 80 columns without colour; numbers and commands stay whole; outside text is text."""

import io
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console, RenderableType

from batchgen.catalog.catalog import load_provider
from batchgen.spec.job import PromptFile
from batchgen.spec.plan import LeftOut, ModelPlan, Plan
from batchgen.views.tables import model_page, models_table, one_line, plan_table, status_table, summary
from tests.views.story import HOSTILE, LABELS, report


def printed(page: RenderableType, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(page)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def model_plan(label: str = "flux.1-dev", **changes: Any) -> ModelPlan:
    values: dict[str, Any] = {
        "label": label,
        "model": f"black-forest-labs/{label}",
        "tasks": 312,
        "pictures": 312,
        "done": 280,
        "waiting": 2,
        "failed": 0,
        "unknown": 0,
        "lost": 0,
        "new": 30,
        "new_tasks": 30,
        "price": Decimal("0.35"),
        "free_images": 5,
    }
    return ModelPlan(**(values | changes))


def plan(*models: ModelPlan, **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "job": "neon-city",
        "provider": "modelverse",
        "currency": "CNY",
        "models": models or (model_plan(),),
        "left_out": (),
        "files": (),
    }
    return Plan(**(values | changes))


def test_a_plan_in_one_line() -> None:
    assert one_line(plan(), 240) == ("312 pictures: 280 done, 2 to download, 30 new; about CNY 10.50; ~4 min")


def test_a_finished_plan_has_nothing_to_buy() -> None:
    done = model_plan(done=312, waiting=0, new=0)

    assert one_line(plan(done)) == "312 pictures: 312 done, 0 new; nothing to buy"


def test_a_price_that_nobody_knows_is_unknown() -> None:
    dear = model_plan("wide", price=None)

    assert one_line(plan(dear)).endswith("; price unknown")
    assert one_line(plan(model_plan(), dear)).endswith("; CNY 10.50 and a part of unknown price")
    assert any("nobody knows the price of wide" in line for line in printed(plan_table(plan(dear))))


def test_play_money_says_that_nothing_is_billed() -> None:
    assert one_line(plan(provider="sandbox@local")).endswith("(sandbox: nothing is billed)")
    assert "sandbox" not in one_line(plan(provider="modelverse@local"))


def test_the_plan_has_a_row_per_model_and_a_sum() -> None:
    lines = printed(plan_table(plan(*(model_plan(label, pictures=31_200, new=3000) for label in LABELS))))

    rows = [line.split() for line in lines if line.startswith((*LABELS, "all 8"))]
    assert rows[3] == ["flux-kontext-pro-text-to-image", "31200", "280", "2", "3000", "0.35", "1050.00"]
    assert rows[-1] == ["all", "8", "models", "249600", "2240", "16", "24000", "8400.00"]


def test_the_plan_says_what_is_free_left_out_unused_and_left_as_it_is() -> None:
    given = plan(
        model_plan("wide", model="lab/flux", failed=3, unknown=1, lost=2),
        left_out=(LeftOut("steps", "wide", 12),),
        files=(PromptFile("animals.csv", 40, ("image",), ("animal", "sku"), ("notes",)),),
        warnings=("a seed is very large",),
    )
    text = " ".join(" ".join(printed(plan_table(given))).split())

    assert "up to 5 of the new pictures may be free" in text
    assert "wide is lab/flux" in text
    assert "steps is not sent to wide: it does not take it" in text
    assert "animals.csv: 40 rows; sent: image; variables: animal, sku; unused: notes" in text
    assert "warning: a seed is very large" in text
    assert "`--retry failed` buys them again" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_page_is_wider_than_its_console_and_no_number_is_broken(width: int) -> None:
    provider = load_provider("modelverse")
    big = model_plan("flux-kontext-max-text-to-image", pictures=1_000_000, new=999_999, price=Decimal("0.70"))
    pages = [
        plan_table(plan(big, big)),
        summary(report()),
        status_table(report(), 1_700_000_000.0),
        models_table(provider),
        *(model_page(model, provider) for model in provider.models.values()),
    ]
    for page in pages:
        assert max(map(len, printed(page, width))) <= width
    assert any("699999.30" in line for line in printed(plan_table(plan(big)), width))
    assert any("3500.00" in line for line in printed(summary(report()), width))


def test_a_command_too_long_for_the_console_still_is_one_command() -> None:
    lines = printed(summary(report(folder="/home/someone/pictures/outputs/neon-city-in-the-rain", next=[])), 74)
    start = next(index for index, line in enumerate(lines) if line.endswith("\\"))

    assert lines[start] == "    batchgen run /home/someone/pictures/outputs/neon-city-in-the-rain \\"
    assert lines[start + 1].strip() == "--retry unknown"


def test_the_catalogue_lists_whole_ids_with_price_and_needs() -> None:
    provider = load_provider("modelverse")
    text = "\n".join(printed(models_table(provider), 60))

    assert all(model_id in text for model_id in provider.models)
    assert "2026-03-24" in text
    needs = [line.split() for line in printed(models_table(provider)) if line.startswith("stepfun-ai")]
    assert needs == [["stepfun-ai/step1x-edit", "0.30", "5", "prompt", "+", "image"]]


def test_a_model_page_shows_every_field_with_type_default_and_range() -> None:
    provider = load_provider("modelverse")
    model = provider.model("black-forest-labs/flux.1-dev")
    text = "\n".join(printed(model_page(model, provider), 120))

    assert "CNY 0.10 a picture, the first 10 free" in text
    assert all(f"\n{name} " in text for name in model.fields)
    assert "guidance_scale   float    2.5        1 to 10" in text
    assert "prompt           string   required" in text


def test_status_says_how_far_the_folder_is_and_when_the_first_link_dies() -> None:
    waiting = [{"prompt_id": "p", "label": "l", "expires_at": 1_700_000_000.0 + day * 86_400} for day in (3, 1)]
    lines = printed(status_table(report(waiting=waiting, reason=""), 1_700_000_000.0))

    assert lines[0] == "neon-city: 9981 of 10000 done"
    assert "CNY 3500.35 spent, CNY 0.70 maybe billed" in lines
    assert any("the first link dies Wed 15 Nov" in line or "the first link dies Thu 16 Nov" in line for line in lines)


def test_outside_text_is_shown_as_text() -> None:
    hostile = plan(model_plan(HOSTILE, model=HOSTILE), job=HOSTILE, warnings=(HOSTILE,), currency="CNY")
    lines = printed(plan_table(hostile), 200) + printed(summary(report(job=HOSTILE, folder=HOSTILE)), 200)

    assert all(line.isprintable() for line in lines)
    assert any("[/b] [link=https://x]" in line for line in lines)
