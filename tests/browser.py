"""A real browser, cut off from the network, for the built book: helpers of the tests that open it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = {"width": 360, "height": 800}
DESK = {"width": 1280, "height": 900}
THEMES = ("light", "dark")
EXPLORER = '[data-explorer="place"]'


@contextmanager
def chromium() -> Iterator:
    """A browser of this machine's; the test is skipped, and says why, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page of the book as opened offline in one theme: what the console said, and which requests failed."""

    def __init__(self, browser, theme: str, size: dict[str, int] = DESK):
        self.context = browser.new_context(viewport=size, color_scheme=theme, offline=True)
        self.context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))

    def go(self, file: Path, fragment: str = "") -> None:
        self.errors.clear()
        self.page.goto(file.as_uri() + fragment, wait_until="load")
        if self.page.locator(EXPLORER).count():
            self.page.wait_for_selector(f'{EXPLORER}[data-ready="yes"]')

    def violations(self) -> list[str]:
        """What axe-core finds that is serious or critical, one line each."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        return self.page.evaluate(
            """axe.run(document, {preload: false, resultTypes: ['violations']}).then((report) => report.violations
                .filter((issue) => ['serious', 'critical'].includes(issue.impact))
                .map((issue) => `${issue.id}: ${issue.nodes[0].html.slice(0, 160)}`))"""
        )

    def close(self) -> None:
        self.context.close()
