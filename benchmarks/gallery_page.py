"""How the page of a gallery does in Chromium: time to the first row, smoothness of scrolling, memory.

    python benchmarks/gallery_page.py [PICTURES…]           (default: 10,000 and 100,000)
    python benchmarks/gallery_page.py --shots FOLDER        also writes pictures of the page, to be looked at

The folders are those of `gallery.py`, built by `batchgen gallery`. Needs Chromium and its driver, and Linux for the memory.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gallery import make_folder  # type: ignore[import-not-found, unused-ignore]  # beside this file
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "hide-scrollbars")
WATCH = """
window.seen = {};
new MutationObserver(() => {
  if (!window.seen.row && document.querySelector(".cell")) window.seen.row = performance.now();
}).observe(document, {childList: true, subtree: true});
document.addEventListener("load", (event) => {
  if (event.target.matches?.(".cell img")) window.seen.picture ??= performance.now();
}, true);
window.tasks = [];
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((each) => each.duration))).observe({entryTypes: ["longtask"]});
"""
SCROLL = """
const [step, done] = arguments;
const grid = document.getElementById("grid");
window.tasks = [];
const gaps = [];
let before = performance.now();
const start = before;
let drawn = 0;
let empty = 0;
requestAnimationFrame(function next(now) {
  gaps.push(now - before);
  before = now;
  grid.scrollTop += step;
  drawn += 1;
  setTimeout(() => (empty += document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.closest(".row") ? 0 : 1)); // after it was drawn
  if (now - start < 4000 && grid.scrollTop + grid.clientHeight < grid.scrollHeight) requestAnimationFrame(next);
  else done({gaps: gaps.slice(2), tasks: window.tasks, empty, drawn});
});
"""
SIZES = [(390, 844), (1280, 800), (2560, 1440)]


def main() -> None:
    """Print a line for each size of gallery."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pictures", type=int, nargs="*", default=[10_000, 100_000])
    arguments.add_argument("--shots", type=Path)
    options = arguments.parse_args()
    for pictures in options.pictures:
        with tempfile.TemporaryDirectory() as above:
            job_file = make_folder(Path(above), pictures)
            command = [sys.executable, "-m", "batchgen", "gallery", str(job_file)]
            built = subprocess.run(command, check=True, capture_output=True, text=True)
            page = Path(built.stdout.split("\n")[0].strip())
            _measure(page, pictures, options.shots)


def _measure(page: Path, pictures: int, shots: Path | None) -> None:
    browser = _browser()
    try:
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        _size(browser, 1280, 800)
        browser.get(page.as_uri())
        _until(browser, "return window.seen.picture && batchgen.data.isWhole")
        seen: dict[str, float] = _js(browser, "return window.seen")
        loading: list[float] = _js(browser, "return window.tasks")
        whole = _js(browser, "return performance.now()")
        print(
            f"{pictures:,} pictures: first row {seen['row']:.0f} ms, first picture {seen['picture']:.0f} ms,"
            f" all data {whole:.0f} ms, longest task while opening {max(loading, default=0):.0f} ms"
        )
        for name, step in (("quietly", 60), ("fast", 600), ("wildly", 6000)):
            found: dict[str, Any] = browser.execute_async_script(SCROLL, step)
            gaps = sorted(found["gaps"]) or [0.0]
            print(
                f"  scrolling {name} ({step} pixels a frame): {found['drawn']} frames, half within {gaps[len(gaps) // 2]:.0f} ms,"
                f" 99 % within {gaps[int(len(gaps) * 0.99)]:.0f} ms, longest task {max(found['tasks'], default=0):.0f} ms,"
                f" frames without a row in the middle: {found['empty']}"
            )
        heap = {
            each["name"]: each["value"] for each in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        }
        print(
            f"  memory of the page's process {_memory(browser):.0f} MB, of its scripts {heap['JSHeapUsedSize'] / 1e6:.0f} MB"
        )
        for axes, name in (
            ("rows=[]", "no rows"),
            ('rows=["row"]&columns=["var:style","model","try"]', "a variable on the columns"),
        ):
            started = time.perf_counter()
            browser.execute_script("location.hash = arguments[0]", axes)
            _js(browser, "return document.getElementById('grid').offsetHeight")
            print(f"  arranged anew, {name}: {(time.perf_counter() - started) * 1000:.0f} ms")
        if shots:
            _shoot(browser, page, shots, pictures)
    finally:
        browser.quit()


def _shoot(browser: webdriver.Chrome, page: Path, shots: Path, pictures: int) -> None:
    shots.mkdir(parents=True, exist_ok=True)
    for wide, high in SIZES:
        for dark in (False, True):
            _size(browser, wide, high, dark=dark)
            browser.get("about:blank")
            browser.get(page.as_uri())
            time.sleep(1)
            name = f"{pictures}-{wide}-{'dark' if dark else 'light'}.png"
            (shots / name).write_bytes(browser.get_screenshot_as_png())


def _browser() -> webdriver.Chrome:
    options = Options()
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.execute_cdp_cmd("Performance.enable", {})
    return browser


def _size(browser: webdriver.Chrome, wide: int, high: int, *, dark: bool = False) -> None:
    metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": False}
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def _js(browser: webdriver.Chrome, script: str) -> Any:
    return browser.execute_script(script)


def _until(browser: webdriver.Chrome, script: str) -> None:
    end = time.monotonic() + 60
    while not _js(browser, script):
        if time.monotonic() > end:
            sys.exit("the page never came that far")
        time.sleep(0.02)


def _memory(browser: webdriver.Chrome) -> float:
    """Of all processes of this browser that draw pages, the largest: its own memory and its share of what is common, in MB."""
    found = [0.0]
    children = _descendants(browser.service.process.pid)
    for pid in children:
        try:
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                found.append(next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000)
        except OSError:
            continue
    return max(found)


def _descendants(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            child = int(path.parent.name)
            found += [child, *_descendants(child)]
    return found


if __name__ == "__main__":
    main()
