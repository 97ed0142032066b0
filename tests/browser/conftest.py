"""A browser, a service, and people who come to it with tabs of their own."""

from collections.abc import Iterator
from typing import Literal, Protocol

import pytest
from playwright.sync_api import Browser, sync_playwright

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
    with Service(env={"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}) as service:
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
