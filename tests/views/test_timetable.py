"""A nightly run as text: days and times in words, quoting for systemd and for cron, and the days on which clocks change."""

import dataclasses
import datetime
import re
import zoneinfo
from pathlib import Path

import pytest

from batchgen.errors import UsageError
from batchgen.views.timetable import (
    Timetable,
    crontab,
    days_in_words,
    days_without,
    evenings,
    parse_at,
    parse_days,
    service,
    timer,
    unit_name,
)

TABLE = Timetable(
    unit="batchgen-foo",
    title="foo",
    command=("/opt/batchgen", "run", "--quiet", "/jobs/foo.yaml"),
    hour=2,
    minute=5,
    days=tuple(range(7)),
    zone="Europe/Berlin",
    longest_call_s=300,
    variables={},
)


def of_path(path: str) -> Timetable:
    return dataclasses.replace(TABLE, command=("/opt/batchgen", "run", path))


def on(days: str) -> Timetable:
    return dataclasses.replace(TABLE, days=parse_days(days))


@pytest.mark.parametrize(("text", "at"), [("02:00", (2, 0)), ("2:00", (2, 0)), (" 23:59 ", (23, 59)), ("0:07", (0, 7))])
def test_a_time_of_day_is_read_as_people_write_it(text: str, at: tuple[int, int]) -> None:
    assert parse_at(text) == at


@pytest.mark.parametrize("text", ["26:00", "2", "02:60", "2am", "", "02:00:00", "\x1b[2J"])
def test_what_is_no_time_of_day_is_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_at(text)

    assert re.fullmatch(r"--at [^\x1b]*is no time of day", caught.value.message)


@pytest.mark.parametrize(
    ("text", "days", "words", "calendar", "cron"),
    [
        ("daily", (0, 1, 2, 3, 4, 5, 6), "every day", "", "*"),
        ("mon-fri", (0, 1, 2, 3, 4), "Monday to Friday", "Mon..Fri ", "1-5"),
        ("Mon, Wed,friday", (0, 2, 4), "Monday, Wednesday, Friday", "Mon,Wed,Fri ", "1,3,5"),
        ("sat-sun", (5, 6), "Saturday, Sunday", "Sat,Sun ", "0,6"),
        ("fri-mon", (0, 4, 5, 6), "Friday to Monday", "Mon,Fri,Sat,Sun ", "0,1,5,6"),
        ("wed-sun", (2, 3, 4, 5, 6), "Wednesday to Sunday", "Wed..Sun ", "0,3,4,5,6"),
        ("tue", (1,), "Tuesday", "Tue ", "2"),
        ("mon-sun", (0, 1, 2, 3, 4, 5, 6), "every day", "", "*"),
    ],
)
def test_days_in_every_form_mean_the_same_to_people_systemd_and_cron(
    text: str, days: tuple[int, ...], words: str, calendar: str, cron: str
) -> None:
    assert parse_days(text) == days
    assert days_in_words(days) == words
    assert f"\nOnCalendar={calendar}*-*-* 02:05:00\n" in timer(on(text))
    assert f"\n5 2 * * {cron} /opt/batchgen" in crontab(on(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mon-frj", "'frj' is no day; did you mean fri?"),
        ("dayly", "'dayly' is no day; did you mean daily?"),
        ("mon,,fri", "a day is missing"),
        ("", "a day is missing"),
        ("1-5", "'1' is no day"),
    ],
)
def test_what_is_no_day_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_days(text)

    assert words in refused.value.message


def test_small_hours_belong_to_the_evening_before() -> None:
    assert days_in_words(evenings(parse_days("mon-fri"))) == "Sunday to Thursday"


def test_a_unit_has_a_name_that_systemd_takes_as_it_is() -> None:
    assert unit_name(["neon-city"]) == "batchgen-neon-city"
    assert unit_name(["a b@c/d%i"]) == "batchgen-a-b-c-d-i"
    assert unit_name(["foo", "bar", "baz"]) == "batchgen-foo-and-2-more"
    assert unit_name(["霓虹"]) != unit_name(["港口"])
    assert unit_name(["霓虹"]).isascii()


def test_the_days_on_which_clocks_change_over_the_hour_are_found() -> None:
    berlin, first = zoneinfo.ZoneInfo("Europe/Berlin"), datetime.date(2027, 1, 1)

    assert days_without(2, 30, berlin, first) == [datetime.date(2027, 3, 28), datetime.date(2027, 10, 31)]
    assert days_without(4, 0, berlin, first) == []
    assert days_without(2, 30, zoneinfo.ZoneInfo("Asia/Shanghai"), first) == []


@pytest.mark.parametrize(
    ("path", "in_unit", "in_crontab"),
    [
        ("/jobs/foo.yaml", "/jobs/foo.yaml", "/jobs/foo.yaml"),
        ("/my jobs/foo.yaml", '"/my jobs/foo.yaml"', "'/my jobs/foo.yaml'"),
        ("/100%/foo.yaml", "/100%%/foo.yaml", "/100\\%/foo.yaml"),
        ("/$HOME/foo.yaml", "/$$HOME/foo.yaml", "'/$HOME/foo.yaml'"),
        ('/a"b/foo.yaml', '"/a\\"b/foo.yaml"', "'/a\"b/foo.yaml'"),
        ("/霓虹/foo.yaml", "/霓虹/foo.yaml", "'/霓虹/foo.yaml'"),
        ("/a;b/foo.yaml", '"/a;b/foo.yaml"', "'/a;b/foo.yaml'"),
    ],
)
def test_a_path_is_quoted_for_who_reads_it(path: str, in_unit: str, in_crontab: str) -> None:
    assert f"ExecStart=/opt/batchgen run {in_unit}\n" in service(of_path(path))
    assert crontab(of_path(path)).endswith(f" /opt/batchgen run {in_crontab}\n")


def test_a_dollar_in_the_program_itself_is_no_variable() -> None:
    table = dataclasses.replace(TABLE, command=("/opt/$x/batch%gen", "run"))

    assert "ExecStart=/opt/$x/batch%%gen run\n" in service(table)


@pytest.mark.parametrize("path", ["/a\nb.yaml", "/a\u202eb.yaml", "/a\x1b[2Jb.yaml", "/a\udcffb.yaml"])
def test_a_path_that_no_line_can_hold_is_refused(path: str) -> None:
    for make in (service, crontab):
        with pytest.raises(UsageError, match="characters that nobody sees"):
            make(of_path(path))


def test_a_crontab_takes_no_backslash_and_no_long_line_and_says_what_does() -> None:
    with pytest.raises(UsageError, match="backslash") as refused:
        crontab(of_path("/a\\b.yaml"))
    assert "--systemd" in refused.value.hint
    assert '"/a\\\\b.yaml"' in service(of_path("/a\\b.yaml"))

    with pytest.raises(UsageError, match="crons cut it at a thousand") as refused:
        crontab(of_path("/" + "long/" * 200))
    assert "--systemd" in refused.value.hint


def test_a_hostile_title_adds_no_line_and_takes_none_away() -> None:
    table = dataclasses.replace(TABLE, title="foo\n[Service]\nExecStartPre=/bin/false\x1b %n \\")

    for text in (service(table), timer(table), crontab(table)):
        assert "\nExecStartPre" not in text
        assert "\x1b" not in text
    assert "\\\n" not in service(table)
    assert " %n" not in timer(table).replace("%%n", "")


def test_a_stop_leaves_the_longest_call_time_to_end() -> None:
    text = service(dataclasses.replace(TABLE, longest_call_s=899.5))

    assert "\nTimeoutStopSec=1020\n" in text
    assert "\nKillMode=mixed\nTimeoutStopSec" in text
    assert "\nKillSignal=SIGINT\n" in text  # TERM would leave after a minute, whatever is in flight


def test_variables_are_named_in_a_file_and_only_where_there_are_any() -> None:
    table = dataclasses.replace(TABLE, wanted=("THE_KEY",), env_file=Path("/home/me/100%/foo.env"))

    assert "\nEnvironmentFile=/home/me/100%%/foo.env\n" in service(table)
    assert "THE_KEY" in service(table)
    assert "EnvironmentFile" not in service(TABLE)


def test_certificates_are_passed_on() -> None:
    table = dataclasses.replace(TABLE, variables={"SSL_CERT_FILE": "/etc/my certs.pem"})

    assert '\nEnvironment="SSL_CERT_FILE=/etc/my certs.pem"\n' in service(table)
    assert "* SSL_CERT_FILE='/etc/my certs.pem' /opt/batchgen run" in crontab(table)


def test_a_crontab_says_that_it_does_not_catch_up_and_a_timer_does() -> None:
    assert "Cron does not catch up" in crontab(TABLE)
    assert "\nPersistent=true\n" in timer(TABLE)
    assert all("Europe/Berlin" in text for text in (crontab(TABLE), timer(TABLE)))


def test_no_comment_is_wider_than_a_terminal() -> None:
    table = dataclasses.replace(TABLE, runs_command=True, wanted=("MODELVERSE_API_KEY",), env_file=Path("/x"))
    comments = [
        line for text in (service(table), timer(table), crontab(table)) for line in text.split("\n") if line[:1] == "#"
    ]

    assert [line for line in comments if len(line) > 80] == []
