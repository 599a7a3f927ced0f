"""What every test has: no environment that leaks in, and no machine but this one."""

import os
import signal

import pytest

from .crash import tally

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started by a shell's `&`: what the tests start would inherit that, and could not be stopped with Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LEAKS = ("MODELVERSE_API_KEY", "MODELVERSE_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_COLOR", "COLUMNS")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _LEAKS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("TZ", os.environ.get("TZ", "UTC"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the kill tests did, in a green run too."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    ended = [report for report in reports if getattr(report, "when", "") == "teardown"]
    for line in tally.lines(each for report in ended for each in report.user_properties):
        terminalreporter.write_line(line)
