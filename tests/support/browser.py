"""Visits the dashboard with Chromium, and notes what a page asks for and complains about."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Frame,
    Locator,
    Page,
    Playwright,
    Response,
)

from tests.support.service import PASSWORD

WHERE = (
    os.environ.get("CHROMIUM"),
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    shutil.which("google-chrome"),
)
MISSING = "There is no Chromium: `make browser`, as root on Debian, or set CHROMIUM to its path"
PATIENCE_MS = 15_000
# Lesser findings are matters of taste.
_GRAVE = ["serious", "critical"]
_AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
_BARRIERS = """async (grave) => (await axe.run({resultTypes: ["violations"]})).violations
  .filter((each) => grave.includes(each.impact))
  .flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 200)}`))"""


def chromium() -> str | None:
    """The browser's program, if the machine has one."""
    return next((path for path in WHERE if path and Path(path).exists()), None)


def launch(playwright: Playwright) -> Browser:
    """A browser. Skips the test where there is none; with REFUNDRY_BROWSER=required, fails."""
    path = chromium()
    if path is None:
        assert os.environ.get("REFUNDRY_BROWSER") != "required", MISSING
        pytest.skip(MISSING)
    # Without a sandbox of its own: it does not start as root with one, and visits only us.
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


def barriers_in(place: Page | Frame) -> list[str]:
    """What axe-core calls a serious or critical bar in a page or one of its frames."""
    place.evaluate(_AXE)
    return place.evaluate(_BARRIERS, _GRAVE)


@dataclass(slots=True)
class Effort:
    """What a person did: pages seen, clicks, keys struck."""

    pages: int = 0
    clicks: int = 0
    keys: int = 0


# Without slots: Playwright remembers a listener on the object that it is bound to.
@dataclass
class Tab:
    """One tab. origin: of the service. script: whether pages may run theirs.

    asked: every address that was requested. complaints: what the console said.
    """

    page: Page
    origin: str
    script: bool = True
    asked: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])
    effort: Effort = field(default_factory=Effort)
    _answered: list[Response] = field(default_factory=list[Response])

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self._note)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self._answered.clear()
            if response.status < 300:
                self.effort.pages += 1
        self._answered.append(response)

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium reports each page of status 400 and above, which tests ask for on purpose.
        ours = message.text.startswith("Failed to load resource") and any(
            each.url == urldefrag(message.location["url"]).url
            and each.request.is_navigation_request()
            for each in self._answered
        )
        if message.type in ("error", "warning") and not ours:
            self.complaints.append(message.text)

    def go(self, path: str) -> int:
        """Open an address; gives its status."""
        response = self.page.goto(self.origin + path)
        assert response is not None
        return response.status

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def sign_in(self, email: str, path: str = "/dashboard/login") -> None:
        """Sign in on the page that `path` leads to."""
        self.go(path)
        self.fill("email", email)
        self.fill("password", PASSWORD)
        self.click("sign-in")

    def find(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    def has(self, testid: str) -> bool:
        return self.find(testid).count() > 0

    def read(self, testid: str) -> str:
        return " ".join(self.find(testid).inner_text().split())

    def rows(self, testid: str) -> list[list[str]]:
        """The body of a table, cell by cell."""
        found = self.find(testid).locator("> tbody > tr").all()
        return [[" ".join(cell.split()) for cell in row.locator("> *").all_inner_texts()]
                for row in found]  # fmt: skip

    def click(self, target: str | Locator) -> None:
        """Click what has a test id, or a thing that was found."""
        self.effort.clicks += 1
        (self.find(target) if isinstance(target, str) else target).click()

    def fill(self, testid: str, text: str) -> None:
        """Put a text into a field at once; `type` strikes the keys."""
        self.find(testid).fill(text)

    def type(self, text: str) -> None:
        self.effort.keys += len(text)
        self.page.keyboard.type(text)

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.effort.keys += 1
            self.page.keyboard.press(key)

    def preview(self) -> None:
        """See what the refund form would do: at once with the script, else by its button."""
        if self.script:
            self.page.locator("#panel:not(.busy)").wait_for()
            self.page.locator("#submit, #panel .note.bad").first.wait_for()
        else:
            self.click("review")

    def wait(self, true: Callable[[], bool]) -> None:
        """Reload until something is true, as a person does."""
        for _ in range(50):
            if true():
                return
            self.page.wait_for_timeout(200)
            self.page.reload()
        raise AssertionError(f"still not on {self.path}")

    def strangers(self) -> list[str]:
        """What was asked of anybody but the service."""
        return [url for url in self.asked if not url.startswith((f"{self.origin}/", "data:"))]

    def barriers(self) -> list[str]:
        """What axe-core calls a serious or critical bar on the page at hand."""
        return barriers_in(self.page)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def moving(self) -> list[str]:
        """What of the page at hand moves, or would when it changes."""
        return self.page.evaluate(
            """[...document.querySelectorAll("*")].filter((each) => {
              const style = getComputedStyle(each);
              return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none"
                || style.scrollBehavior === "smooth";
            }).map((each) => each.outerHTML.slice(0, 120))"""
        )
