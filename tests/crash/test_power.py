"""The power fails while a run works on a disk that forgets; the next one keeps every promise."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from .children import ROOT
from .power import NOT_RUN, main, points
from .tally import LEFT_OUT


def test_a_power_cut_on_a_real_file_system_breaks_no_promise(request: pytest.FixtureRequest) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.crash.power", "--points", "2", "--seed", "5", "--tasks", "40"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        check=False,
    )

    if done.returncode == NOT_RUN:
        reason = done.stdout.splitlines()[-1]
        request.node.user_properties.append((LEFT_OUT, reason))
        pytest.skip(reason)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("power cuts 2, "), done.stdout
    assert done.stdout.endswith("red 0\n")


def test_where_no_disk_can_be_mounted_the_points_are_counted_as_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no unshare, no mount
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = main(["--points", "20"])

    assert code == NOT_RUN
    assert "power loss: 20 points NOT RUN: " in said.getvalue()


def test_half_of_the_power_cuts_come_at_named_places_and_half_at_any_moment() -> None:
    planned = list(points(20, seed=3, tasks=160, duration_s=2.0))

    assert sum(bool(point.place) for point in planned) == 10
    assert len({point.place for point in planned}) == 11
    assert {point.shape.answers for point in planned} == {"url", "base64"}
    assert planned == list(points(20, seed=3, tasks=160, duration_s=2.0))
