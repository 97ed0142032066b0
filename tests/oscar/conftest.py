"""One Refundry and one shop for all, and people who come to both with a browser."""

from collections.abc import Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.oscar.visiting import sign_in
from tests.support.browser import Tab, launch
from tests.support.oscar_shop import STAFF, Shop
from tests.support.service import Service
from tests.support.webhooks import LOOPBACK

# Oscar 4.2's page of an order calls a function that its script does not have.
_OSCARS_OWN = "oscar.dashboard.orders.initTable is not a function"


class Visit(Protocol):
    """Opens a tab of the shop. email: who is signed in; None: nobody."""

    def __call__(self, email: str | None = STAFF, *, width: int = 1280) -> Tab: ...


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service(env={"REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK}) as service:
        yield service


@pytest.fixture(scope="session")
def shop(service: Service) -> Iterator[Shop]:
    with Shop(service) as shop:
        yield shop


# Ended with each module: while it is open, no test with a loop of its own can run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-testid")
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in() -> dict[str, StorageState]:
    """The cookies of who has signed in, by address: it costs a second each time."""
    return {}


@pytest.fixture
def visit(shop: Shop, browser: Browser, signed_in: dict[str, StorageState]) -> Iterator[Visit]:
    """Tabs of the shop; in the end: nothing was asked of others, and no script complained."""
    tabs: list[Tab] = []

    def come(email: str | None = STAFF, *, width: int = 1280) -> Tab:
        known = signed_in.get(email or "")
        context = browser.new_context(viewport={"width": width, "height": 900}, storage_state=known)
        tab = Tab(context.new_page(), shop.url)
        tabs.append(tab)
        if email is not None and known is None:
            sign_in(tab, email)
            signed_in[email] = context.storage_state()
        return tab

    yield come
    for tab in tabs:
        tab.page.context.close()
    assert [tab.strangers() for tab in tabs if tab.strangers()] == []
    heard = [each for tab in tabs for each in tab.complaints]
    assert [each for each in heard if _OSCARS_OWN not in each] == []


@pytest.fixture
def office(shop: Shop, browser: Browser) -> Iterator[Tab]:
    """A tab of Refundry's dashboard, where nobody is signed in yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context.new_page(), shop.refundry_url)
    yield tab
    context.close()
    assert (tab.strangers(), tab.complaints) == ([], [])
