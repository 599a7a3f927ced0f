"""Runs a scripted display in a child process on a pseudo terminal and reads its screen as a person would see it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass, field
from pathlib import Path

import pyte

_ROOT = Path(__file__).parents[2]


@dataclass
class Terminal:
    """A child that ran on a terminal: all that it wrote, and the screen when it stood still and at the end."""

    columns: int
    rows: int
    written: bytes = b""
    still: list[str] = field(default_factory=list)
    screen: list[str] = field(default_factory=list)
    cursor_hidden: bool = False
    exit_code: int = 0

    def resize(self, descriptor: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))


def show(script: str, *, columns: int = 80, rows: int = 24, **environment: str) -> Terminal:
    """Run `script`; it prints `READY` to stdout when its display stands still, then reads a line and ends."""
    seen = Terminal(columns, rows)
    ours, theirs = pty.openpty()
    seen.resize(theirs)
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    kept = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=kept | environment,
        cwd=_ROOT,
    )
    os.close(theirs)
    assert child.stdin is not None
    assert child.stdout is not None
    watched = [ours, child.stdout.fileno()]
    while ours in watched:
        for ready in select.select(watched, [], [])[0]:
            data = _read(ready)
            if ready == ours and data:
                seen.written += data
                stream.feed(data)
            elif ready == ours:
                watched.remove(ours)
            elif data:
                seen.still = list(screen.display)
                child.stdin.write(b"go on\n")
                child.stdin.flush()
            else:
                watched.remove(ready)
    seen.screen = list(screen.display)
    seen.cursor_hidden = screen.cursor.hidden
    child.stdin.close()
    child.stdout.close()
    seen.exit_code = child.wait()
    os.close(ours)
    return seen


def _read(descriptor: int) -> bytes:
    # Linux reports the end of a terminal as an input/output error.
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""
