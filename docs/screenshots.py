"""Makes the two pictures in README.md, from what `make demo` makes: `make screenshots`.

The terminal is the real program on a pseudo-terminal, drawn by a browser; the gallery is the page that the run leaves.
Needs Chromium and its driver. It refuses to touch `outputs/`: the demo runs in a folder that goes away again.
"""

import html
import os
import pty
import select
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from io import BytesIO
from pathlib import Path
from termios import TIOCSWINSZ

import pyte
from PIL import Image
from pyte.screens import Char
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PROJECT = Path(__file__).resolve().parent.parent
PICTURES = PROJECT / "docs" / "pictures"
COLUMNS, LINES = 92, 24
_PALETTE = {
    "default": "#d7dae0",
    "black": "#3f4451",
    "red": "#e6787f",
    "green": "#8ccf7e",
    "brown": "#e5c76b",
    "yellow": "#e5c76b",
    "blue": "#67b0e8",
    "magenta": "#c47fd5",
    "cyan": "#6cd0c8",
    "white": "#d7dae0",
}
_DIM, _GREY = b"\x1b[2m", b"\x1b[38;2;112;119;135m"
"""pyte knows no dim letters."""
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 22px 26px; background: #14171c; display: inline-block; }}
pre {{ margin: 0; font: 15px/1.38 "DejaVu Sans Mono", Menlo, monospace; color: #d7dae0; }}
</style><pre>{rows}</pre>"""


def main() -> None:
    """Write docs/pictures/terminal.png and docs/pictures/gallery.png."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, _browser() as browser:
        folder = Path(place)
        shutil.copytree(PROJECT / "jobs", folder / "jobs")
        page = folder / "terminal.html"
        page.write_text(_as_html(_run(folder)), encoding="utf-8")
        _shoot(browser, page, PICTURES / "terminal.png", element="body", size=(1200, 900))
        gallery = folder / "outputs" / "demo" / "gallery" / "index.html"
        _shoot(browser, gallery, PICTURES / "gallery.png", element=None, size=(1280, 800))


def _run(folder: Path) -> pyte.Screen:
    """Run the demo on a terminal; the screen as it was when about two thirds were done."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "batchgen", "run", "jobs/demo.yaml"])  # noqa: S606
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    shots: list[pyte.Screen] = []
    while data := _read(terminal):
        stream.feed(data.replace(_DIM, _GREY))
        if not select.select([terminal], [], [], 0.03)[0]:  # between two frames, not in the middle of one
            shots.append(_copy(screen))
    os.waitpid(process, 0)
    running = [shot for shot in shots if any("/38" in line or "fox" in line for line in shot.display)]
    return (running or shots)[len(running or shots) * 2 // 3]


def _read(terminal: int) -> bytes:
    select.select([terminal], [], [], 60)
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def _copy(screen: pyte.Screen) -> pyte.Screen:
    copy = pyte.Screen(screen.columns, screen.lines)
    for number in range(screen.lines):
        for column in range(screen.columns):
            copy.buffer[number][column] = screen.buffer[number][column]
    return copy


def _as_html(screen: pyte.Screen) -> str:
    rows = ["".join(map(_cell, (screen.buffer[line][column] for column in range(COLUMNS)))) for line in range(LINES)]
    used = max((number for number, text in enumerate(screen.display) if text.strip()), default=0)
    return _PAGE.format(rows="\n".join(rows[: used + 1]))


def _cell(char: Char) -> str:
    style = f"color:{_colour(char.fg)}"
    if char.bg != "default":
        style += f";background:{_colour(char.bg)}"
    if char.bold:
        style += ";font-weight:bold"
    return f'<span style="{style}">{html.escape(char.data)}</span>'


def _colour(name: str) -> str:
    if name in _PALETTE:
        return _PALETTE[name]
    return f"#{name}" if len(name) == 6 else _PALETTE[name.removeprefix("bright")]


@contextmanager
def _browser() -> Iterator[webdriver.Chrome]:
    options = Options()
    for flag in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars", "force-device-scale-factor=1.25"):
        options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def _shoot(browser: webdriver.Chrome, page: Path, to: Path, *, element: str | None, size: tuple[int, int]) -> None:
    browser.set_window_size(*size)
    browser.get(page.as_uri())
    time.sleep(1.5)
    png = (
        browser.find_element("css selector", element).screenshot_as_png if element else browser.get_screenshot_as_png()
    )
    # 256 colours of its own are enough for a page, and a third of the bytes.
    Image.open(BytesIO(png)).convert("RGB").quantize(256).save(to, optimize=True)
    print(f"{to}: {to.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
