import asyncio
import json
import sqlite3

from batchgen.engine.downloads import TRIES
from batchgen.engine.watch import Control
from batchgen.errors import Exit
from batchgen.events import CallSent, Event, PictureDelayed, PictureGone, PictureStored, RunEnded, RunStarted
from batchgen.sandbox.faults import parse_faults

from .conftest import Bench, StartSandbox

DEV = "models: [black-forest-labs/flux.1-dev]\n"


async def test_a_download_that_fails_eight_times_waits_for_the_next_run(bench: Bench, sandboxes: StartSandbox) -> None:
    sandbox = await sandboxes()
    report = await bench.go("prompts: ['lamp [[fault:picture-truncated]]', chair]\n" + DEV, sandbox)

    delays = [event for event in bench.events if isinstance(event, PictureDelayed)]
    assert report["exit_code"] == Exit.UNAVAILABLE
    assert (report["counts"]["done"], report["counts"]["waiting"]) == (1, 1)
    assert len(delays) == TRIES
    assert delays[-1].gave_up
    assert sandbox.bill.requests == 2


async def test_downloads_that_fail_never_lead_to_another_paid_call(bench: Bench, sandboxes: StartSandbox) -> None:
    sandbox = await sandboxes(faults=parse_faults("picture-truncated"))
    for _ in range(3):
        await bench.go("prompts: [lamp, chair]\n" + DEV, sandbox)

    assert sandbox.bill.requests == 2


async def test_a_link_past_its_time_is_still_tried_once_and_then_expired(bench: Bench, sandboxes: StartSandbox) -> None:
    first = await sandboxes()
    await bench.go("prompts: ['lamp [[fault:picture-truncated]]', 'cup [[fault:picture-truncated]]']\n" + DEV, first)
    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    ledger.execute("UPDATE pictures SET url = '/image/gone/output/x.png' WHERE picture_id = 1")
    ledger.commit()
    ledger.close()
    bench.clock.ahead_s = 8 * 86400.0
    bench.events.clear()

    await bench.go("prompts: [chair]\n" + DEV, first)

    gone = [event for event in bench.events if isinstance(event, PictureGone)]
    tried = [event for event in bench.events if isinstance(event, PictureDelayed)]
    assert [event.state for event in gone] == ["expired"]
    assert len(tried) == TRIES  # the other link still answers, however old it is


async def test_what_the_job_no_longer_asks_for_is_downloaded_all_the_same(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    first = await sandboxes()
    await bench.go("prompts: ['lamp [[fault:picture-truncated]]']\n" + DEV, first)
    await bench.go("prompts: [something else]\n" + DEV, first)

    delays = [event for event in bench.events if isinstance(event, PictureDelayed)]
    assert len(delays) == 2 * TRIES


async def test_a_display_that_breaks_is_switched_off_and_the_run_goes_on(bench: Bench, sandboxes: StartSandbox) -> None:
    calls: list[Event] = []

    def broken(event: Event) -> None:
        calls.append(event)
        raise RuntimeError("a display must never do this")

    bench.listeners.append(broken)
    report = await bench.go("prompts: [lamp, chair]\n" + DEV, await sandboxes())

    assert report["counts"]["done"] == 2
    assert len(calls) == 1


async def test_events_tell_the_run_from_its_plan_to_its_report(bench: Bench, sandboxes: StartSandbox) -> None:
    report = await bench.go("prompts: [lamp, chair]\nbudget: {images: 9}\n" + DEV, await sandboxes())

    first, *_, last = bench.events
    assert isinstance(first, RunStarted)
    assert first.pools[0].to_buy == 2
    assert isinstance(last, RunEnded)
    assert last.report == report == json.loads((bench.folder / "report.json").read_text())


async def test_a_polite_stop_lets_calls_in_flight_end_and_starts_no_new_ones(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    control = Control()

    def stop_soon(event: Event) -> None:
        if isinstance(event, CallSent):
            control.stop(Exit.SIGINT)

    bench.listeners.append(stop_soon)
    sandbox = await sandboxes()
    prompts = "prompts: [" + ", ".join(f"lamp {number}" for number in range(50)) + "]\n"
    report = await bench.go(prompts + DEV, sandbox, control=control)

    counts = report["counts"]
    assert report["exit_code"] == Exit.SIGINT
    assert counts["unknown"] == 0
    assert counts["done"] == sandbox.bill.pictures < 50


async def test_a_cancelled_run_writes_down_its_calls_as_unknown(bench: Bench, sandboxes: StartSandbox) -> None:
    sandbox = await sandboxes(faults=parse_faults("slow"))
    sent = asyncio.Event()

    def notice(event: Event) -> None:
        if isinstance(event, CallSent):
            sent.set()

    bench.listeners.append(notice)
    running = asyncio.create_task(bench.go("prompts: [lamp]\n" + DEV, sandbox))
    await sent.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    ledger = sqlite3.connect(bench.folder / "ledger.sqlite3")
    states = [row[0] for row in ledger.execute("SELECT state FROM attempts")]
    ledger.close()
    assert states == ["unknown"]


async def test_an_input_picture_that_changed_after_the_plan_is_not_sent_under_the_old_id(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    sandbox = await sandboxes()
    picture = bench.folder.parent.parent / "in.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n as planned")
    control = Control()

    def meddle(event: Event) -> None:
        if isinstance(event, RunStarted):
            picture.write_bytes(b"\x89PNG\r\n\x1a\n something else")

    bench.listeners.append(meddle)
    report = await bench.go(
        "prompts: [{prompt: darker, params: {image: in.png}}]\nmodels: [black-forest-labs/flux-kontext-pro]\n",
        sandbox,
        control=control,
    )

    assert report["exit_code"] == Exit.TASKS_FAILED
    assert sandbox.bill.requests == 0


async def test_a_job_that_shares_a_folder_with_another_never_takes_its_file_names(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    sandbox = await sandboxes()
    name = "output: {name: same}\n"
    await bench.go("prompts: [lamp]\n" + DEV + name, sandbox)
    await bench.go("prompts: [chair]\n" + DEV + name, sandbox)

    stored = [event.file_name for event in bench.events if isinstance(event, PictureStored)]
    assert len(set(stored)) == 2
    assert all((bench.folder / file_name).exists() for file_name in stored)


async def test_pictures_gone_are_told(bench: Bench, sandboxes: StartSandbox) -> None:
    await bench.go("prompts: ['lamp [[fault:picture-404]]', 'cup [[fault:no-data]]']\n" + DEV, await sandboxes())

    gone = {event.state for event in bench.events if isinstance(event, PictureGone)}
    assert gone == {"expired", "lost"}


async def test_a_dead_link_is_believed_after_two_minutes_and_bought_again_only_when_told(
    bench: Bench, sandboxes: StartSandbox
) -> None:
    sandbox = await sandboxes()
    job = "prompts: ['lamp [[fault:picture-404@1]]']\n" + DEV

    first = await bench.go(job, sandbox)
    waited = bench.clock.slept_s
    second = await bench.go(job, sandbox)
    after_two = sandbox.bill.requests
    third = await bench.go(job, sandbox, rebuy=frozenset({"expired"}))

    assert [report["exit_code"] for report in (first, second, third)] == [3, 3, 0]
    assert waited >= 120
    assert after_two == 1
    assert any("--retry expired" in command for command in first["next"])
    assert third["counts"]["done"] == 1


async def test_a_paid_answer_without_a_picture_is_kept_as_the_proof(bench: Bench, sandboxes: StartSandbox) -> None:
    await bench.go("prompts: ['cup [[fault:no-data]]']\n" + DEV, await sandboxes())

    (kept,) = (bench.folder / "unusable").iterdir()
    assert json.loads(kept.read_bytes())["data"] == []
