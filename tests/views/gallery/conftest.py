"""One browser for each module, and a page that complains about nothing."""

from collections.abc import Iterator

import pytest

from .browser import Reader, chromium


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with chromium(tmp_path_factory.mktemp("downloads")) as reader:
        yield reader


@pytest.fixture
def reader(chrome: Reader) -> Iterator[Reader]:
    """The module's browser, in a usual window; after the test its console must be empty."""
    chrome.size(1280, 900)
    chrome.driver.get("about:blank")
    chrome.complaints()
    yield chrome
    chrome.driver.get("about:blank")
    assert chrome.complaints() == []
