"""A real browser on a page of the folder, and the few things that a reader of the gallery does."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "hide-scrollbars", "mute-audio")
PATIENCE_S = 15.0

needs_chromium = pytest.mark.skipif(
    shutil.which("chromedriver") is None
    or (shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")) is None,
    reason="no chromium with its chromedriver is installed",
)


@contextmanager
def chromium(downloads: Path) -> Iterator["Reader"]:
    """A browser that saves files below `downloads`."""
    options = Options()
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield Reader(driver, downloads)
    finally:
        driver.quit()


class Reader:
    """Who sits before the browser."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def size(self, wide: int, high: int, *, dark: bool = False, calm: bool = False) -> None:
        """A window of that size, and what the reader's system prefers."""
        metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": False}
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, page: Path | str, view: str = "") -> None:
        """Open a page afresh and wait until all of its cells have come."""
        self.driver.get("about:blank")
        self._log("performance")
        self.driver.get((page if isinstance(page, str) else page.as_uri()) + (f"#{view}" if view else ""))
        self.wait(lambda: self.js("return Boolean(window.batchgen && batchgen.data.isWhole)"))

    def js(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Until something is so."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.02)
        pytest.fail("it never became so")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        actions = ActionChains(self.driver)
        for key in keys:
            actions = actions.send_keys(key)
        actions.perform()

    def paste(self) -> None:
        """Put what is on the clipboard where the cursor is."""
        ActionChains(self.driver).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL).perform()

    def click(self, selector: str) -> None:
        """Click what a selector finds first."""
        self.driver.find_element("css selector", selector).click()

    def text(self, selector: str) -> str:
        """The text of what a selector finds first, as it stands in the page."""
        return str(self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of all that a selector finds."""
        return list(
            self.js("return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector)
        )

    def names(self) -> list[str]:
        """What the cells that are drawn are called, row by row."""
        return list(self.js("""
            return [...document.querySelectorAll(".cell")]
              .sort((a, b) => a.closest(".row").offsetTop - b.closest(".row").offsetTop || a.offsetTop - b.offsetTop || a.offsetLeft - b.offsetLeft)
              .map((each) => each.getAttribute("aria-label"))
        """))  # fmt: skip

    def active(self) -> str:
        """What the active cell is called."""
        return str(self.js("""
            const id = document.getElementById("grid").getAttribute("aria-activedescendant");
            return id ? document.getElementById(id).getAttribute("aria-label") : "";
        """))  # fmt: skip

    def choose(self, filter_: str, *values: str) -> None:
        """Tick boxes in a filter's menu, and close it again."""
        self.js("document.getElementById(arguments[0]).click()", f"filter-{filter_}")
        for value in values:
            self.js("""
                const box = [...document.querySelectorAll(".panel input")].find((each) => each.value === arguments[0]);
                box.click();
            """, value)  # fmt: skip
        self.js(
            "document.getElementById(arguments[0]).click(); document.getElementById('grid').focus()",
            f"filter-{filter_}",
        )

    def saved(self, name: str) -> str:
        """The text of a file that the page saved."""
        path = self.downloads / name
        self.wait(path.exists)
        text = path.read_text(encoding="utf-8")
        path.unlink()
        return text

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def complaints(self) -> list[str]:
        """What the console holds since it was last asked."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] in {"SEVERE", "WARNING"}]

    def requests(self) -> list[str]:
        """Every address that the page asked for since it was opened."""
        entries = (json.loads(entry["message"])["message"] for entry in self._log("performance"))
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]


def outside(urls: list[str], folder: Path) -> list[str]:
    """Those addresses that are no file below the folder."""
    inside = str(folder.resolve()) + "/"
    return [
        url
        for url in urls
        if urlsplit(url).scheme not in {"about", "blob"}
        and not (urlsplit(url).scheme == "file" and unquote(urlsplit(url).path).startswith(inside))
    ]
