"""The display on a terminal: every figure is on the screen, it leaves the terminal as it was, outside text is text."""

import re

import pytest

from tests.views.story import LABELS
from tests.views.terminal import Terminal, show

SCRIPT = """
import sys
from batchgen.events import RunEnded
from batchgen.views.live import LiveView
from tests.views.story import START, report, running

class Clock:
    def now(self): return START + 60
    def __getattr__(self, name): raise AssertionError(name)

def stand_still(view):
    # Drawn by the thread that draws, not by the test: the second frame from now holds everything told.
    import threading
    drawn = threading.Semaphore(0)
    live, refresh = view._live, view._live.refresh
    live.refresh = lambda: (refresh(), drawn.release())
    drawn.acquire(); drawn.acquire()
    live.refresh = refresh
    print("READY", flush=True); sys.stdin.readline()

view = LiveView(clock=Clock())
with view:
    for event in running():
        view(event)
    stand_still(view)
    {ending}
"""
END = "view(RunEnded(at=START + 60, exit_code=3, report=report()))"


def shown(ending: str = END, *, columns: int = 80, rows: int = 24, **environment: str) -> Terminal:
    return show(SCRIPT.replace("{ending}", ending), columns=columns, rows=rows, **environment)


def row_of(screen: list[str], label: str) -> list[str]:
    """The figures of one model: what stands behind its label and its bar."""
    line = next(line for line in screen if line.startswith(label + " "))
    return [word for word in line.removeprefix(label).split() if not set(word) <= set("━─#-")]


@pytest.mark.parametrize("columns", [80, 120])
def test_every_named_figure_is_on_the_screen_in_mid_run(columns: int) -> None:
    screen = shown(columns=columns).still

    header = next(line for line in screen if line.startswith("model"))
    for title in ("done", "in flight", "waiting", "failed", "pic/min", "s/pic"):
        assert title in header
    assert row_of(screen, LABELS[0]) == ["160/1250", "2", "3", "1", "60.0", "12.3"]
    assert row_of(screen, LABELS[3]) == ["154/1250", "0", "9", "0", "54.0", "12.3"]
    assert all(any(line.startswith(label + " ") for line in screen) for label in LABELS)
    assert row_of(screen, "all 8 models")[0] == "1256/10000"
    assert re.search(r"neon-city +[━─]+ +12% +1256 of 10000 done +ETA \d\d:\d\d \(\d+ min\)", screen[0])
    money = next(line.rstrip() for line in screen if line.startswith("spent"))
    assert money.split("   ") == [
        "spent CNY 168.00",
        "reserved 0.70",
        "maybe billed 0.35",
        "projected CNY 3210.90",
    ]
    assert any(re.match(r"flux\.1-dev: rate limited, 14 at once, resuming \d\d:\d\d:\d\d", line) for line in screen)
    assert any("1 outcome unknown, maybe billed" in line for line in screen)
    assert any("stopping:" in line for line in screen)


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (60, 24), (20, 5), (200, 60)])
def test_it_fits_terminals_of_other_sizes(columns: int, rows: int) -> None:
    seen = shown(columns=columns, rows=rows)

    assert seen.exit_code == 0
    assert seen.still[0].startswith("neon-city")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_summary_takes_the_place_of_the_bars(columns: int) -> None:
    seen = shown(columns=columns, rows=50)
    text = "\n".join(seen.screen)

    assert not seen.cursor_hidden
    assert "9981 of 10000 done" in " ".join(seen.screen[0:2])
    assert "ETA" not in text
    assert row_of(seen.screen, LABELS[7]) == ["1248", "2", "0", "0", "0", "437.50", "12.3"]
    assert "batchgen run jobs/neon-city.yaml --retry unknown" in text


def test_an_error_leaves_the_last_frame_and_the_terminal_as_it_was() -> None:
    seen = shown("raise RuntimeError('boom')", rows=50)

    assert seen.exit_code == 1
    assert not seen.cursor_hidden
    assert row_of(seen.screen, LABELS[0])[0] == "160/1250"
    assert sum(line.startswith("model ") for line in seen.screen) == 1
    assert seen.screen[-1].strip() == ""
    assert any("RuntimeError: boom" in line for line in seen.screen)


def test_outside_text_sends_nothing_to_the_terminal() -> None:
    seen = shown()

    assert b"\x1b]" not in seen.written
    assert b"\x07" not in seen.written
    assert "\x9b".encode() not in seen.written
    assert "\u202e".encode() not in seen.written
    assert not any(line.startswith("forged") for line in [*seen.still, *seen.screen])
    assert any("[/b] [link=https://x]" in line for line in seen.still)


def test_without_colour_everything_is_still_there() -> None:
    seen = shown(NO_COLOR="1")

    assert not re.search(rb"\x1b\[[0-9;]*3[1-7]m", seen.written)
    assert row_of(seen.still, LABELS[0]) == ["160/1250", "2", "3", "1", "60.0", "12.3"]


def test_it_draws_four_frames_a_second_however_many_events_come() -> None:
    script = """
from batchgen.views.live import LiveView
from tests.views.story import START, bought, started, LABELS
class Clock:
    def now(self): return START + 60
view = LiveView(clock=Clock())
drawn = []
refresh = view._live.refresh
view._live.refresh = lambda: (refresh(), drawn.append(1))
with view:
    view(started())
    for number in range(5000):
        for event in bought(f"t{number}", LABELS[0], START + 1): view(event)
    assert view._live.refresh_per_second == 4
    print("READY", flush=True); input()
assert len(drawn) < 40, len(drawn)
"""
    assert show(script).exit_code == 0


def test_a_terminal_that_is_closed_does_not_end_the_run() -> None:
    script = """
import io
from rich.console import Console
from batchgen.views.live import LiveView
from batchgen.events import RunEnded
from tests.views.story import START, report, running
class Gone(io.StringIO):
    def write(self, text): raise OSError(5, "Input/output error")
    def isatty(self): return True
class Clock:
    def now(self): return START + 60
with LiveView(Console(file=Gone(), force_terminal=True), Clock()) as view:
    for event in running(): view(event)
    view(RunEnded(at=START, exit_code=0, report=report()))
"""
    assert show(script).exit_code == 0
