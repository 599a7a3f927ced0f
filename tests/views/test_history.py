"""Rows of a history: nights that were missed and why, killed and going runs, and sums that agree however they are grouped."""

import csv
import dataclasses
import datetime
import io
import json

import pytest

from batchgen.storage.history import Entry, Run, Spent, projected
from batchgen.storage.runs import Night
from batchgen.views.history import Folder, as_csv, as_json, make_history

ONE = 1_000_000


def at(night: str, hour: float = 26.0) -> float:
    """Hours after midnight of that date: a run of the night begins at two in the next morning."""
    return datetime.datetime.fromisoformat(f"{night}T00:00:00+00:00").timestamp() + hour * 3600


def run(night: str, *, took_h: float | None = 1.0, exit_code: int | None = 0, **change: object) -> Run:
    started = at(night or "2026-05-01")
    made = Run(
        run_id=f"run-{night}",
        job="foo",
        night=night,
        started_at=started,
        ended_at=None if took_h is None else started + took_h * 3600,
        exit_code=exit_code,
        reason="",
        last_sign_at=started + 3600,
        pictures=2,
    )
    return dataclasses.replace(made, **change)  # type: ignore[arg-type]


def entry(night: str, *, label: str = "dev", day: str = "", **spent: int) -> Entry:
    values = {"calls": 2, "billed_pictures": 2, "billed": 3 * ONE} | spent
    return Entry(f"run-{night}", day or night, label, f"m/{label}", "CNY", Spent(**values))


def folder(*runs: Run, entries: tuple[Entry, ...] = (), **change: object) -> Folder:
    made = Folder(
        path="/o/foo",
        job="foo",
        renew="daily",
        utc_offset_s=0.0,
        going=False,
        runs=runs,
        entries=entries or tuple(entry(r.night) for r in runs),
    )
    return dataclasses.replace(made, **change)  # type: ignore[arg-type]


def told(*folders: Folder, now: float | None = None) -> list[tuple[str, str]]:
    """Nights and words; unless `now` says otherwise, the last night that had a run is the present one."""
    last = max(run.night for folder in folders for run in folder.runs)
    return [(row["night"], row["ended"]) for row in make_history(folders, now=now or at(last, 40)).rows]


def test_a_night_without_a_run_is_missed_and_stands_between_the_others() -> None:
    assert told(folder(run("2026-05-01"), run("2026-05-03"))) == [
        ("2026-05-01", "done"),
        ("2026-05-02", "missed: no run began"),
        ("2026-05-03", "done"),
    ]


def test_nights_in_a_row_are_missed_up_to_the_one_that_is_over() -> None:
    had = folder(run("2026-05-01"), run("2026-05-04"))
    history = make_history([had], now=at("2026-05-08", 20))

    assert [(row["night"], row["missed"], row["ended"]) for row in history.rows if row["kind"] == "missed"] == [
        ("2026-05-02", 2, "missed until 2026-05-03, 2 nights: no run began"),
        ("2026-05-05", 3, "missed until 2026-05-07, 3 nights: no run began"),
    ]
    assert history.missed == 5
    assert (
        make_history([had], month="2026-05", now=at("2026-06-08")).missed,
        make_history([had], month="2026-07", now=at("2026-06-08")).missed,
    ) == (29, 0)


def test_a_job_that_was_tried_in_one_night_misses_none() -> None:
    assert told(folder(run("2026-05-01")), now=at("2026-05-20")) == [("2026-05-01", "done")]


def test_a_run_that_only_fetched_is_not_the_run_of_a_night() -> None:
    fetched = run("2026-05-02", began_to_buy=False)

    assert told(folder(run("2026-05-01"), fetched, run("2026-05-03"))) == [
        ("2026-05-01", "done"),
        ("2026-05-02", "missed: no run began"),
        ("2026-05-02", "done; bought nothing"),
        ("2026-05-03", "done"),
    ]


def test_a_run_that_goes_on_takes_the_nights_after_it() -> None:
    going = folder(run("2026-05-01"), run("2026-05-02", took_h=None, exit_code=None), going=True)

    assert told(going, now=at("2026-05-05", 20))[2:] == [
        ("2026-05-03", "missed until 2026-05-04, 2 nights: the run of 2026-05-02 was still going")
    ]


@pytest.mark.parametrize("night", ["tonight", "0001-01-01", "9999-12-31", "2026-02-30"])
def test_a_night_that_is_none_is_shown_and_leads_nowhere(night: str) -> None:
    odd = folder(run("2026-05-01"), dataclasses.replace(run("2026-05-03"), night=night), run("2026-05-02"))

    assert [ended for _, ended in told(odd, now=at("2026-05-02", 40))] == ["done"] * 3


def test_a_night_that_another_run_took_is_missed_for_that_reason() -> None:
    long, killed = (
        run("2026-05-01", took_h=30),
        run("2026-05-01", took_h=None, exit_code=None, last_sign_at=at("2026-05-02", 27)),
    )

    for first in (long, killed):
        assert told(folder(first, run("2026-05-03")))[1] == (
            "2026-05-02",
            "missed: the run of 2026-05-01 was still going",
        )


def test_a_job_that_renews_nothing_misses_nothing() -> None:
    fixed = folder(
        run("", started_at=at("2026-05-01")), run("", started_at=at("2026-05-09")), renew="never", entries=(entry(""),)
    )

    assert make_history([fixed], now=at("2026-05-20")).missed == 0


def test_weeks_are_missed_by_the_week() -> None:
    weekly = folder(run("2026-05-04"), run("2026-05-18"), renew="weekly")

    assert [night for night, ended in told(weekly) if ended.startswith("missed")] == ["2026-05-11"]


def test_days_on_which_no_run_ever_began_are_not_missed() -> None:
    days = [datetime.date(2026, 5, 3) + datetime.timedelta(days=step) for step in range(21)]
    nights = [day.isoformat() for day in days if day.weekday() not in {4, 5} and day.day != 12]

    missed = [night for night, ended in told(folder(*map(run, nights))) if ended.startswith("missed")]

    assert missed == ["2026-05-12"]


def test_nights_with_a_folder_of_their_own_are_one_series() -> None:
    folders = [
        folder(run(night), path=f"/o/{night}", night=night, renew="never") for night in ("2026-05-01", "2026-05-03")
    ]

    assert told(*folders)[1] == ("2026-05-02", "missed: no run began")


def test_killed_and_going_runs_are_told_apart() -> None:
    unended = run("2026-05-02", took_h=None, exit_code=None)

    (killed,) = make_history([folder(unended)], now=at("2026-05-20")).rows
    (going,) = make_history([folder(unended, going=True)], now=at("2026-05-20")).rows

    assert killed["ended"].startswith("killed; last sign of life ")
    assert killed["duration_s"] == 3600
    assert going["ended"] == "it is going on now"

    later = run("2026-06-02", took_h=None, exit_code=None)
    month = make_history([folder(unended, later, going=True)], month="2026-05", now=at("2026-06-02", 27)).rows
    assert [row["ended"][:6] for row in month] == ["killed", "missed"]


def test_what_a_run_may_still_buy_is_not_lacking() -> None:
    going = folder(run("2026-05-02", took_h=None), going=True, nights=[Night("2026-05-02", 50, 3)])

    (row,) = make_history([going], now=at("2026-05-02", 27)).rows
    assert (row["ended"], row["not_bought"]) == ("it is going on now", 0)


def test_what_is_open_is_told_as_commands() -> None:
    folders = [folder(run("2026-05-01"), path=f"/o/{name}", waiting=3, unknown=name == "a b") for name in ("a b", "c")]

    history = make_history(folders, now=at("2026-05-01", 40))

    assert history.owing == ["batchgen recover '/o/a b'", "batchgen recover /o/c", "batchgen status '/o/a b'"]
    assert json.loads(as_json(history))["next"] == history.owing


def test_reason_refusals_and_what_was_not_bought_are_in_the_words() -> None:
    nights = [Night("2026-05-01", 5, 2), Night("2026-05-02", 5, 5)]
    rows = told(
        folder(
            run("2026-05-01", exit_code=5, reason="budget reached: 10 pictures a night"),
            run("2026-05-02", exit_code=3),
            entries=(entry("2026-05-01"), entry("2026-05-02", refused=4)),
            nights=nights,
        )
    )

    assert rows == [
        ("2026-05-01", "budget reached: 10 pictures a night; 3 not bought"),
        ("2026-05-02", "4 refused"),
    ]


def test_sums_agree_however_they_are_grouped() -> None:
    entries = (
        entry("2026-05-01", label="dev", day="2026-05-01", billed=ONE),
        entry("2026-05-01", label="max", day="2026-05-02", billed=7 * ONE, maybe=2 * ONE, maybe_pictures=1),
        entry("2026-06-01", label="dev", day="2026-06-01", billed=5 * ONE),
    )
    folders = [folder(run("2026-05-01"), run("2026-06-01"), entries=entries)]

    for month, billed in (("", 13), ("2026-05", 8), ("2026-06", 5)):
        for by in ("run", "day", "model", "job"):
            history = make_history(folders, by=by, month=month, now=at("2026-06-20"))
            rows = [row for row in history.rows if row["kind"] != "missed"]
            assert history.totals["CNY"].billed == billed * ONE
            assert sum(float(row["billed"]) for row in rows) == billed, (month, by)
            assert sum(row["calls"] for row in rows) == history.totals["CNY"].calls


def test_a_month_is_projected_from_its_second_day_with_costs_on() -> None:
    today = datetime.date(2026, 5, 10)

    assert projected({"2026-05-01": ONE}, today) is None
    assert projected({"2026-05-01": ONE, "2026-05-10": ONE}, today) == 6_200_000
    assert projected({"2026-04-30": ONE, "2026-05-10": ONE}, today) is None


@pytest.mark.parametrize("hostile", ['=HYPERLINK("http://x")', "foo\x1b[2J\nbar", 'a,"b"'])
def test_no_outside_text_is_obeyed_by_a_spreadsheet_or_a_terminal(hostile: str) -> None:
    history = make_history([folder(run("2026-05-01", job=hostile, reason=hostile))], now=at("2026-05-20"))

    (row,) = csv.DictReader(io.StringIO(as_csv(history), newline=""))
    assert row["job"][:1] != "="
    assert "\x1b" not in as_csv(history) + as_json(history)
    assert json.loads(as_json(history))["rows"][0]["exit_code"] == 0
