"""A real browser for the tests of the page: Chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def started_browser() -> Iterator[Any]:
    """Yield a browser, and end it. Without it the tests are skipped, with what to install."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # As root, and in most containers, Chromium has no sandbox of its own.
        sandbox = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


class Tab:
    """A tab of a phone with a screen of 360 x 740, which notes every error of the page."""

    def __init__(self, context: Any, url: str) -> None:
        self.page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(url)

    def text(self, selector: str) -> str:
        found: str = self.page.locator(selector).first.inner_text()
        return found

    def wait(self, expression: str, timeout_s: float = 30.0) -> None:
        """Wait until a JavaScript expression is true."""
        # The page's own rules forbid playwright's `wait_for_function`, which evaluates a text.
        deadline_s = time.monotonic() + timeout_s
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {expression}"
            self.page.wait_for_timeout(50)

    def wait_for_text(self, selector: str, text: str, timeout_s: float = 30.0) -> None:
        """Wait until the first element of ``selector`` contains ``text``."""
        self.page.locator(selector).filter(has_text=text).first.wait_for(timeout=1000 * timeout_s)

    def _note(self, message: Any) -> None:
        # A server that is away is what some tests are about.
        away = ("ERR_", "Failed to load resource")
        if message.type == "error" and not any(word in message.text for word in away):
            self.errors.append(message.text)


def phone(browser: Any, **options: Any) -> Any:
    """Return a context as a phone has it: small, with touch."""
    screen = {"width": 360, "height": 740}
    return browser.new_context(viewport=screen, is_mobile=True, has_touch=True, **options)
