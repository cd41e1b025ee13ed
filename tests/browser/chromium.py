"""A real Chromium, the system's own: nothing is downloaded, and a machine without one is told what to install."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
OURS = ("127.0.0.1", "")
"""Hosts that a page may ask; none is what data: and blob: have."""


def executable() -> str:
    """The path of Chromium. Fails the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(
            "no Chromium is installed, and pages are tested in a real one; on Debian: apt-get install chromium "
            f"(looked on PATH for {', '.join(NAMES)})",
            pytrace=False,
        )
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser. While it is there, this thread counts as running an event loop: its tests are plain functions."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        try:
            yield browser
        finally:
            browser.close()


class Tabs:
    """Opens tabs, each with cookies and settings of its own, and remembers what went wrong in any of them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def open(self, url: str = "", **settings: Any) -> Page:
        """A new tab, at `url` where one is given. Settings are those of Playwright's `new_context`, such as `locale`."""
        context = self._browser.new_context(**settings)
        context.set_default_timeout(15_000)
        context.on("request", self._asked)
        page = context.new_page()
        page.on("pageerror", self._raised)
        page.on("console", self._said)
        if url:
            page.goto(url)
        return page

    def close(self) -> None:
        """Close every tab."""
        for context in self._browser.contexts:
            context.close()

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)
        if (urlsplit(request.url).hostname or "") not in OURS:
            self.complaints.append(f"another host is asked: {request.url}")

    def _raised(self, error: Error) -> None:
        self.complaints.append(f"a script failed: {error.message}\n{error.stack}")

    def _said(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.complaints.append(message.text)
