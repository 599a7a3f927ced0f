"""What the report says of the month: nothing before it can be said, then what it will cost if it goes on so."""

import datetime

from .conftest import Bench, StartSandbox

DEV = "models: [black-forest-labs/flux.1-dev]\n"


async def test_a_month_is_projected_from_its_second_day_with_costs_on(bench: Bench, sandboxes: StartSandbox) -> None:
    sandbox = await sandboxes()
    told = []
    for day, prompts in ((10, "[lamp]"), (10, "[lamp, chair]"), (11, "[lamp, chair, cup]")):
        noon = datetime.datetime(2031, 5, day, 4, tzinfo=datetime.UTC)  # noon where the provider is
        bench.clock.ahead_s += noon.timestamp() - bench.clock.now()
        report = await bench.go(f"prompts: {prompts}\n" + DEV, sandbox)
        told.append((report["this_run"]["spent"], report["projected_month"]))

    # CNY 0.30 in two days, and twenty days of May are left.
    assert told == [("0.10", None), ("0.10", None), ("0.10", "3.30")]
    assert report["by_scope"]["month:2031-05"]["spent"] == "0.30"
