"""Chromium for a file of tests, tabs that no test leaves with an error behind, and the stock JavaScript clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser.chromium import Tabs, chromium
from browser.javascript import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stock JavaScript clients."""
    return build(tmp_path_factory.mktemp("stock-clients"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium for the tests of one file."""
    with chromium() as running:
        yield running


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Tabs for one test. It fails where a script raised, a Content-Security-Policy was violated or another host was asked."""
    opened = Tabs(browser)
    try:
        yield opened
    finally:
        opened.close()
    assert opened.complaints == []
