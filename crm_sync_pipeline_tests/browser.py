"""Dagster's UI in a real Chromium, as a person uses it. Chromium is the system's own; it is never downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from crm_sync_pipeline_tests.chaos.dagster_services import LOCATION

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_SECONDS = 60
WINDOW = (1400, 900)


class Ui:
    """One window on Dagster's UI."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address

    def go(self, path: str) -> None:
        """Open a page by its path."""
        self.page.goto(f"{self._address}/{path}")

    def open_launchpad(self, job: str) -> None:
        """The form of a job, as it opens."""
        self.go(f"locations/{LOCATION}/jobs/{job}/playground")
        self.page.get_by_text("All defaults expanded").wait_for()

    def form(self) -> str:
        """What stands in the form."""
        return self.page.locator(".CodeMirror-code").first.inner_text()

    def fill_in(self, config: str) -> None:
        """Write a run config in place of what stands in the form."""
        self.page.locator(".CodeMirror").first.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(config)

    def launch(self) -> None:
        """Launch a run with what stands in the form."""
        button = self.page.get_by_role("button", name="Launch Run")
        expect(button).to_be_enabled()
        button.click()
        self.page.wait_for_url("**/runs/*")

    def see(self, text: str) -> None:
        """Wait until this stands somewhere."""
        self.page.get_by_text(text).first.wait_for()

    def see_status(self, status: str) -> None:
        """Wait until the run that is shown has come to this."""
        self.page.get_by_text(status, exact=True).first.wait_for()

    def take_picture(self, file: Path) -> None:
        """What is to be seen now, as PNG."""
        self.page.screenshot(path=file)


@contextmanager
def ui(address: str, window: tuple[int, int] = WINDOW) -> Iterator[Ui]:
    """A window on the UI at `address`; whatever takes longer than a minute fails."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": window[0], "height": window[1]})
            page.set_default_timeout(PATIENCE_SECONDS * 1000)
            yield Ui(page, address)
        finally:
            browser.close()
