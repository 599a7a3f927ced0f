"""The end of a run in words: what is missing, what it cost, and the command that deals with each of it."""

import json

import pytest

from batchgen.views.report import endings, failure_lines, headline, summary_lines
from tests.views.story import HOSTILE, report

NOTHING_MISSING = {"tasks": 312, "done": 312, "new_stored": 30}


def test_every_class_of_what_is_missing_has_its_words_and_its_command() -> None:
    assert endings(report(next=[])) == [
        (
            "2 outcome unknown, maybe billed (2 held for your decision)",
            "batchgen run outputs/neon-city --retry unknown",
        ),
        ("12 refused, not billed", "batchgen run outputs/neon-city --retry failed"),
        ("1 link expired, paid for", "batchgen run outputs/neon-city --retry expired"),
        ("1 paid and lost", "batchgen run outputs/neon-city --retry lost"),
        ("2 paid for, not yet downloaded", "batchgen recover outputs/neon-city"),
        ("3 not yet made", "batchgen run outputs/neon-city"),
    ]


def test_commands_are_those_that_the_engine_gives_and_none_is_told_twice() -> None:
    commands = [
        "batchgen run jobs/a.yaml",
        "batchgen recover jobs/a.yaml",
        "batchgen run jobs/a.yaml --retry unknown",
        "batchgen gallery jobs/a.yaml",
    ]
    lines = summary_lines(report(next=commands))

    assert all(sum(line.endswith(command) for line in lines) == 1 for command in commands)
    assert lines[-1] == "  next: batchgen gallery jobs/a.yaml"


def test_a_folder_with_spaces_can_be_copied_from_the_command() -> None:
    assert endings(report(folder="my pictures/it's", next=[]))[3][1] == (
        "batchgen run 'my pictures/it'\"'\"'s' --retry lost"
    )


def test_a_finished_run_is_three_short_lines() -> None:
    lines = summary_lines(
        report(counts=NOTHING_MISSING, flags={}, failures=[], next=[], exit_code=0, reason="", duration_s=240)
    )

    assert lines == [
        "neon-city: finished; 312 of 312 done, 30 new pictures, in 4 min",
        "  CNY 3213.35 spent in this run, CNY 3500.35 in all, CNY 0.70 maybe billed",
        "  pictures are in outputs/neon-city",
    ]


def test_play_money_is_never_taken_for_money() -> None:
    assert "(sandbox: nothing is billed)" in summary_lines(report(play_money=True))[1]


def test_equal_failures_are_one_line_with_one_example() -> None:
    lines = failure_lines(report())

    assert len(lines) == 2
    assert " and 11 more: content policy: " in lines[0]
    assert lines[1] == "all 16 are in failures.jsonl"


@pytest.mark.parametrize("key", ["job", "reason", "folder", "currency"])
def test_no_text_of_a_report_reaches_the_terminal_as_it_is(key: str) -> None:
    values = {key: HOSTILE, "next": [HOSTILE], "flags": {HOSTILE: 1}}

    assert all(line.isprintable() for line in summary_lines(report(**values)))


def test_a_report_read_back_from_its_file_says_the_same() -> None:
    assert summary_lines(json.loads(json.dumps(report()))) == summary_lines(report())


def test_an_empty_report_is_still_a_line() -> None:
    assert headline({"job": "neon"}) == "neon: finished; 0 of 0 done"
    assert summary_lines({"job": "neon"})
