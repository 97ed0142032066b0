"""A browser, a service, and people who come to it with tabs of their own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.browser import Tab, launch
from tests.support.http import Api
from tests.support.service import Account, Service
from tests.support.webhooks import LOOPBACK

Scheme = Literal["light", "dark"]
# Pages are the same without their script, but for the ways that it shortens.
WITH_AND_WITHOUT_SCRIPT = pytest.mark.parametrize(
    "script",
    [pytest.param(True, id="script"), pytest.param(False, id="plain", marks=pytest.mark.check)],
)


SHOP_PAGE = """<!doctype html><html lang="en"><title>Shop</title><div id="place"></div>
<script src="{origin}/v1/DigitalRiver.js"></script>
<script>
  const told = [];
  const dr = new DigitalRiver("{key}", {{locale: "{locale}"}});
  const element = dr.createElement("{name}", {{
    refundToken: "{token}",
    classes: {{base: "b", complete: "c", invalid: "i"}},
    style: {style},
  }});
  element.on("ready", (event) => told.push(["ready", event]));
  element.on("change", (event) => told.push(["change", event]));
  element.mount("place");
</script>"""


COLOURS = '{base: {color: "rgb(0, 0, 255)"}, empty: {color: "rgb(255, 0, 0)"}}'


class Open(Protocol):
    """Opens a tab. role: who is signed in; None: nobody."""

    def __call__(
        self,
        role: str | None = "administrator",
        *,
        in_refund_set: bool = False,
        script: bool = True,
        width: int = 1280,
        scheme: Scheme = "light",
        still: bool = False,
    ) -> Tab: ...


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service(env={"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}, quick=True) as service:
        yield service


@pytest.fixture
def account(service: Service) -> Account:
    return service.open_account()


@pytest.fixture
def api(service: Service, account: Account) -> Api:
    """The account's secret test key."""
    return service.api(account.secret_test)


# Ended with each module: while it is open, no test with a loop of its own can run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-testid")
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_tab(service: Service, account: Account, browser: Browser) -> Iterator[Open]:
    """Tabs; what they did is looked at in the end: nothing was asked of others, and the console,
    which tells of every violation of the content security policy too, had nothing to say."""
    tabs: list[Tab] = []

    def come(
        role: str | None = "administrator",
        *,
        in_refund_set: bool = False,
        script: bool = True,
        width: int = 1280,
        scheme: Scheme = "light",
        still: bool = False,
    ) -> Tab:
        context = browser.new_context(
            java_script_enabled=script,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce" if still else "no-preference",
        )
        origin = str(service.client.base_url).rstrip("/")
        tab = Tab(context.new_page(), origin, script)
        tabs.append(tab)
        if role is not None:
            tab.sign_in(account.create_user(role, in_refund_set=in_refund_set))
        return tab

    yield come
    for tab in tabs:
        tab.page.context.close()
    assert [tab.strangers() for tab in tabs if tab.strangers()] == []
    assert [tab.complaints for tab in tabs if tab.complaints] == []


@pytest.fixture
def tab(open_tab: Open) -> Tab:
    """An administrator who is signed in."""
    return open_tab()


class Shop(Protocol):
    """Opens the shop's page with the form of a refund token.

    name: of the element. style: of its fields, as the shop's script says it.
    """

    def __call__(
        self,
        token: str,
        name: str = "offlinerefund",
        *,
        locale: str = "en-US",
        scheme: Scheme = "light",
        style: str = COLOURS,
    ) -> Page: ...


@pytest.fixture
def shop(service: Service, account: Account, browser: Browser) -> Iterator[Shop]:
    """A merchant's page, from an origin of its own, that shows the form of a token."""
    text = ""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    contexts: list[BrowserContext] = []

    def visit(
        token: str,
        name: str = "offlinerefund",
        *,
        locale: str = "en-US",
        scheme: Scheme = "light",
        style: str = COLOURS,
    ) -> Page:
        nonlocal text
        origin = str(service.client.base_url).rstrip("/")
        text = SHOP_PAGE.format(
            origin=origin, key=account.public_test, name=name, token=token, locale=locale,
            style=style,
        )  # fmt: skip
        contexts.append(browser.new_context(color_scheme=scheme))
        page = contexts[-1].new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        return page

    yield visit
    for context in contexts:
        context.close()
    server.shutdown()
    server.server_close()
