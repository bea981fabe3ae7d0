"""A real browser on Prefect's pages, for tests: Debian's chromium driven by Playwright."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Pages", "browser_pages"]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# Of a machine that is busy elsewhere.
PATIENCE_MS = 120_000


class Pages:
    """Prefect's UI in one tab. `shots` is the folder that screenshots are kept in."""

    def __init__(self, page: Any, ui: str, shots: Path) -> None:
        self.page, self.ui, self.shots = page, ui, shots

    def shot(self, name: str) -> Path:
        """Keep a screenshot of what the tab shows."""
        path = self.shots / f"{name}.png"
        self.page.wait_for_timeout(1000)  # what fades in
        self.page.screenshot(path=path)
        return path

    def open(self, address: str) -> None:
        """Go to an address, or to a path of the UI."""
        self.page.goto(f"{self.ui}{address}" if address.startswith("/") else address)

    def shows(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page shows `text`."""
        self.page.get_by_text(text).first.wait_for()

    def click(self, name: str) -> None:
        """Click on the last button of this name: a dialogue's lies above the page's."""
        self.page.get_by_role("button", name=name, exact=True).last.click()

    # -- the form of a run -----------------------------------------------------------------------------------------

    def field(self, name: str) -> Any:
        """A field of the form."""
        label = self.page.locator(".schema-form-property__label", has_text=re.compile(f"^{name}( |$)"))
        return self.page.locator(".schema-form-property").filter(has=label).first

    def write(self, name: str, value: object) -> None:
        """Fill a field with text."""
        self.field(name).locator("textarea, input").first.fill(str(value))

    def choose(self, name: str, value: str) -> None:
        """Choose from a field's list."""
        # by the keyboard: the list closes again under a click that gives it the focus
        self.field(name).locator("button.p-select-button__control").press(" ")
        self.page.locator(".p-select-option", has_text=re.compile(f"^{value}$")).click()

    def number(self, name: str, value: int) -> None:
        """Fill a field that may also be empty with a number."""
        self.write(name, value)


@contextlib.contextmanager
def browser_pages(ui: str, shots: Path, sign_in: str | None = None) -> Iterator[Pages]:
    """A browser, closed at the end, signed in by the link `sign_in`. Skips the test where there is none and none could
    be installed."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on this machine: `make browser` installs Debian's, as root")
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(PATIENCE_MS)
            pages = Pages(page, ui, shots)
            refused: list[str] = []
            page.on("response", lambda it: refused.append(f"{it.status} {it.url}") if it.status >= 400 else None)
            try:
                if sign_in is not None:
                    pages.open(sign_in)
                    page.wait_for_url(re.compile("/dashboard"))
                yield pages
            except BaseException as error:
                pages.shot("at the failure")
                error.add_note(f"The browser was at {page.url}; not answered: {', '.join(refused[-20:]) or 'none'}")
                error.add_note(f"The page said: {page.inner_text('body')[:1000]}")
                raise
        finally:
            browser.close()
