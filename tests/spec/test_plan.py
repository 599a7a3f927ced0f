"""What a run would do and cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.plan import LeftOut, make_plan, plan_to_json

TWO = "models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]\n"


def nothing_done(ids: Sequence[str]) -> Mapping[str, str]:
    return {}


def test_everything_is_new_at_first_and_priced_per_picture(read: Callable[..., Job]) -> None:
    job = read(f"prompts: [a, b]\nseeds: {{count: 3}}\nparams: {{n: 2, size: 512x512}}\n{TWO}")
    plan = make_plan(job, expand(job, night=""), nothing_done)
    flux, wide = plan.models

    # 2 prompts × 3 seeds = 6 requests of 2 pictures each, for 0.10 and 0.35 a picture
    assert (flux.tasks, flux.pictures, flux.new, flux.new_tasks) == (6, 12, 12, 6)
    assert (flux.cost, wide.cost) == (Decimal("1.20"), Decimal("4.20"))
    assert plan.known_cost == Decimal("5.40")
    assert not plan.price_unknown
    assert (flux.maybe_free, wide.maybe_free) == (10, 5)
    assert (plan.total("pictures"), plan.currency) == (24, "CNY")


def test_states_are_asked_in_chunks_and_counted_as_pictures(read: Callable[..., Job]) -> None:
    job = read("prompts: [a]\nseeds: {count: 1203}")
    tasks = list(expand(job, night=""))
    names = ["done", "waiting", "failed", "unknown", "lost", "expired", "new"]
    states = {task.task_id: names[task.index % 7] for task in tasks}
    sizes: list[int] = []

    def look(ids: Sequence[str]) -> Mapping[str, str]:
        sizes.append(len(ids))
        return {key: states[key] for key in ids if states[key] != "new"}

    (model,) = make_plan(job, iter(tasks), look).models
    counted = [model.done, model.waiting, model.failed, model.unknown, model.lost, model.new]

    assert max(sizes) <= 1000
    assert sum(sizes) == 1203
    assert sum(counted) == 1203
    assert (model.done, model.lost) == (171, 2 * 172)
    assert model.cost == model.new * Decimal("0.10")


def test_a_price_that_nobody_knows_is_not_zero(read: Callable[..., Job]) -> None:
    job = read(f"prompts: [a]\n{TWO}")
    use = job.models[1]
    job = replace(job, models=(job.models[0], replace(use, model=replace(use.model, price=None))))
    plan = make_plan(job, expand(job, night=""), nothing_done)

    assert plan.price_unknown
    assert plan.models[1].cost is None
    assert plan.known_cost == Decimal("0.10")
    done = make_plan(job, expand(job, night=""), lambda ids: dict.fromkeys(ids, "done"))
    assert not done.price_unknown


def test_the_plan_says_what_was_left_out_where(read: Callable[..., Job]) -> None:
    job = read(
        f"prompts: [a, {{prompt: b, params: {{strength: 0.5}}}}]\nparams: {{steps: 28}}\n{TWO}", sets=["size=512x512"]
    )
    label = "flux-kontext-pro-text-to-image"

    assert set(make_plan(job, expand(job, night=""), nothing_done).left_out) == {
        LeftOut("steps", label, 2),
        LeftOut("strength", label, 1),
        LeftOut("size", label, 2),
    }


def test_the_plan_as_json_has_money_as_text(read: Callable[..., Job]) -> None:
    job = read("prompts: [a]")
    data = plan_to_json(make_plan(job, expand(job, night=""), nothing_done))

    assert data["known_cost"] == "0.10"
    assert data["models"][0]["price"] == "0.10"
