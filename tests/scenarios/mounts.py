"""A command on a disk of its own: a tmpfs in a mount namespace, gone when the command ends. Needs root."""

import functools
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import KEY, Ran, bare_environment

CLI = shlex.join([sys.executable, "-m", "batchgen"])


@functools.cache
def mounts_work() -> bool:
    """Whether this user may mount a tmpfs."""
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


needs_mounts = pytest.mark.skipif(not mounts_work(), reason="NOT RUN: this user may not mount a disk of its own")


def on_a_disk_of_its_own(home: Path, folder: Path, options: str, script: str, base_url: str) -> Ran:
    """Run a shell script with a fresh tmpfs, mounted with `options`, at `folder`; `$CLI` is the command line."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = f"mount -t tmpfs -o {options} none {shlex.quote(str(folder))}\nCLI={shlex.quote(CLI)}\n{script}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", lines],
        capture_output=True,
        text=True,
        env=bare_environment(home, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=base_url, OUT=str(folder)),
        cwd="/",
        timeout=110,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert os.path.ismount(folder) is False
    return Ran(done.returncode, done.stdout, done.stderr)
