"""What every test has: no environment that leaks in, and no machine but this one."""

import os

import pytest

_LEAKS = ("MODELVERSE_API_KEY", "MODELVERSE_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_COLOR", "COLUMNS")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _LEAKS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("TZ", os.environ.get("TZ", "UTC"))
