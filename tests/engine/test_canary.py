"""What a broken key, a changed field or a model that refuses everything costs: a few calls, whatever the size of the job."""

import pytest

from batchgen.clock import RealClock
from batchgen.errors import Exit
from batchgen.events import CallBilled, CallSent, Event
from batchgen.sandbox.faults import parse_faults

from .conftest import Bench, StartSandbox

DEV = "models: [black-forest-labs/flux.1-dev]\n"
MAX_PRO_DEV = """models:
  - black-forest-labs/flux-kontext-max/text-to-image
  - black-forest-labs/flux-kontext-pro/text-to-image
  - black-forest-labs/flux.1-dev
"""


def job(tasks: int, models: str = DEV, more: str = "") -> str:
    return f"prompts: [{', '.join(f'lamp {number}' for number in range(tasks))}]\n{models}{more}"


def sent(events: list[Event]) -> list[str]:
    return [event.label for event in events if isinstance(event, CallSent)]


async def test_one_picture_of_each_model_comes_before_the_rest_and_the_cheapest_first(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    bench.clock = RealClock()  # type: ignore[assignment]  # a model waits for the canary of the one before it

    report = await bench.go(job(40, MAX_PRO_DEV), await sandboxes())

    labels = sent(bench.events)
    billed = [number for number, event in enumerate(bench.events) if isinstance(event, CallBilled)]
    fourth = [number for number, event in enumerate(bench.events) if isinstance(event, CallSent)][3]
    assert report["counts"]["done"] == 120
    assert labels[:3] == [
        "flux.1-dev",
        "flux-kontext-pro-text-to-image",
        "flux-kontext-max-text-to-image",
    ]
    assert billed[2] < fourth


@pytest.mark.parametrize(
    ("tasks", "more", "first"), [(101, "", 1), (100, "", 0), (101, "canary: 0\n", 0), (9, "canary: 3\n", 3)]
)
async def test_a_canary_is_the_custom_of_large_jobs_and_the_choice_of_others(
    tasks: int, more: str, first: int, bench: Bench, sandboxes: StartSandbox
) -> None:
    report = await bench.go(job(tasks, more=more), await sandboxes())

    order = [event.name for event in bench.events if isinstance(event, CallSent | CallBilled)]
    alone = 0
    while order[2 * alone : 2 * alone + 2] == ["call_sent", "call_billed"]:
        alone += 1
    assert report["counts"]["done"] == tasks
    assert alone >= first if first else alone == 0


@pytest.mark.parametrize("fault", ["400", "404", "no-data"])
async def test_a_model_whose_canary_is_refused_or_brings_nothing_stops_after_one_call(
    fault: str, bench: Bench, sandboxes: StartSandbox
) -> None:
    sandbox = await sandboxes(faults=parse_faults(fault))

    report = await bench.go(job(200), sandbox)

    assert report["exit_code"] == Exit.UNAVAILABLE
    assert "its first picture" in report["reason"]
    assert report["counts"]["pending"] == 199
    assert sandbox.bill.requests == 1


async def test_a_refused_canary_stops_no_other_model(bench: Bench, sandboxes: StartSandbox) -> None:
    bench.clock = RealClock()  # type: ignore[assignment]
    sandbox = await sandboxes(faults=parse_faults("400@1"))

    report = await bench.go(job(60, MAX_PRO_DEV), sandbox)

    done = {model["label"]: model["done"] for model in report["models"]}
    assert done == {"flux.1-dev": 0, "flux-kontext-pro-text-to-image": 60, "flux-kontext-max-text-to-image": 60}
    assert report["exit_code"] == Exit.UNAVAILABLE
    assert report["reason"].startswith("flux.1-dev: its first picture was refused: Invalid param")


async def test_a_key_that_is_refused_costs_one_call(bench: Bench, sandboxes: StartSandbox) -> None:
    bench.clock = RealClock()  # type: ignore[assignment]
    sandbox = await sandboxes(faults=parse_faults("401"))

    report = await bench.go(job(60, MAX_PRO_DEV), sandbox)

    assert report["exit_code"] == Exit.ACCOUNT
    assert sandbox.bill.requests == 1


async def test_a_prompt_that_the_provider_does_not_want_says_nothing_of_its_model(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    sandbox = await sandboxes(faults=parse_faults("400-content@1-3"))

    report = await bench.go(job(101), sandbox)

    assert report["exit_code"] == Exit.TASKS_FAILED
    assert (report["counts"]["done"], report["counts"]["failed"]) == (98, 3)


async def test_a_canary_is_never_a_task_that_was_refused_before(bench: Bench, sandboxes: StartSandbox) -> None:
    prompts = "prompts: ['lamp [[fault:400]]', " + ", ".join(f"lamp {number}" for number in range(120)) + "]\n"
    sandbox = await sandboxes()
    first = await bench.go(prompts + DEV, sandbox)

    second = await bench.go(prompts + DEV, sandbox, rebuy=frozenset({"failed"}))

    assert (first["counts"]["done"], first["counts"]["failed"]) == (0, 1)
    assert (second["counts"]["done"], second["counts"]["failed"]) == (120, 1)


@pytest.mark.parametrize(("fault", "refused"), [("400", 10), ("500-moderation", 50), ("400-content", 50)])
async def test_refusals_with_the_same_words_in_a_row_stop_a_model(
    fault: str, refused: int, bench: Bench, sandboxes: StartSandbox
) -> None:
    sandbox = await sandboxes(faults=parse_faults(f"{fault}@6-99"))

    report = await bench.go(job(90, more="limits: {concurrency: 1}\n"), sandbox)

    assert report["exit_code"] == Exit.UNAVAILABLE
    assert "in a row with the same words" in report["reason"]
    assert (report["counts"]["done"], report["counts"]["failed"]) == (5, refused)


async def test_refusals_between_pictures_stop_nothing(bench: Bench, sandboxes: StartSandbox) -> None:
    faults = ",".join(f"400@{first}-{first + 8}" for first in range(2, 90, 10))
    sandbox = await sandboxes(faults=parse_faults(faults))

    report = await bench.go(job(90, more="limits: {concurrency: 1}\n"), sandbox)

    assert report["exit_code"] == Exit.TASKS_FAILED
    assert report["counts"]["pending"] == 0
