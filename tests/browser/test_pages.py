"""Every page that links lead to: usable by all, in both themes, narrow, light, and still."""

from collections.abc import Callable, Iterator

import pytest

from refundry.portal.routes import PAGES
from tests.browser.conftest import Open, Scheme
from tests.portal.test_every_page import furnish_by_hand
from tests.support.browser import Tab
from tests.support.crawl import Found, find_pages
from tests.support.http import Api
from tests.support.portal import Visitor
from tests.support.receiver import Receiver
from tests.support.service import Account, Service
from tests.support.settlement import given_conflict
from tests.support.showcase import fill

PHONE = 390
MOST_BYTES = 100_000
OF_A_KIND = 3
# Pages that no link leads to, and why.
UNLINKED = {
    "/static/{digest}/{name}": "files of the pages",
    "/login": "where one is sent",
    "/password/{token}": "comes by mail",
    "/start": "where the sign-in leads",
    "/home/{name}": "pictures of Home",
    "/profile/qr-code.svg": "a picture while a code is set up",
    "/refunds/{id}/news": "the script's",
    "/bulk/{id}/news": "the script's",
    "/bulk/{id}/result.csv": "there once a file is done",
    "/{rest:path}": "what leads nowhere",
}
# Linked from one order, which is seldom among the few that are followed; see `capture_retried`.
OF_ONE_ORDER = {"/orders/{id}/retry"}
MAIN = ("/orders", "/orders/{id}", "/orders/{id}/refunds/new", "/refunds/{id}", "/webhooks/{id}")


@pytest.fixture(scope="module")
def shown(service: Service) -> Account:
    """An account with something of everything; what the tests see of it they leave as it is."""
    return service.open_account()


@pytest.fixture
def account(shown: Account) -> Account:
    return shown


@pytest.fixture(scope="module")
def visitor(service: Service, shown: Account, receiver: Receiver) -> Iterator[Visitor]:
    """An administrator of that account."""
    api: Api = service.api(shown.secret_test)
    fill(api, receiver)
    visitor = Visitor(service)
    visitor.sign_in(shown.create_user("administrator"))
    furnish_by_hand(visitor)
    given_conflict(service, shown, live=False)
    yield visitor
    visitor.close()


@pytest.fixture(scope="module")
def found(visitor: Visitor) -> Found:
    """The pages of the account."""
    return find_pages(visitor, "/dashboard")


def pages(found: Found, *routes: str) -> list[str]:
    """A path of each of these routes; without any, some of every route that gives a page."""
    if routes:
        return [found.pages[route][0] for route in routes]
    return [
        path
        for paths in found.pages.values()
        for path in paths[:OF_A_KIND]
        if not path.endswith((".csv", ".svg"))
    ]


def faults(tab: Tab, path: str) -> list[str]:
    """What is wrong with a page, wide and narrow."""
    tab.page.set_viewport_size({"width": 1280, "height": 900})
    wrong = [] if tab.go(path) == 200 else ["no page"]
    wrong += tab.barriers()
    for width in (1024, PHONE):
        tab.page.set_viewport_size({"width": width, "height": 844})
        if tab.overflow() > 0:
            wrong.append(f"wider than {width} by {tab.overflow()}")
    return [f"{path}: {each}" for each in wrong]


def test_links_lead_to_every_page_and_nowhere_else(found: Found) -> None:
    routes = {page.path for page in PAGES if page.method == "GET"}
    unlinked = {route for route in routes if not found.pages.get(route)}
    assert unlinked - OF_ONE_ORDER == UNLINKED.keys()
    assert found.dead == []


def test_pages_are_light(visitor: Visitor, found: Found) -> None:
    def weight(path: str) -> int:
        screen = visitor.get(path)
        files = {str(each["href"]) for each in screen.soup.select("link[rel=stylesheet]")}
        files |= {str(each["src"]) for each in screen.soup.select("script")}
        bodies = [screen.response.content, *(visitor.get(f).response.content for f in files)]
        return sum(map(len, bodies))

    weights = {path: weight(path) for path in pages(found)}
    print(f"heaviest: {max(weights.items(), key=lambda each: each[1])}")
    assert {path: size for path, size in weights.items() if size > MOST_BYTES} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_anybody_from_the_main_pages(
    open_tab: Open, found: Found, scheme: Scheme
) -> None:
    tab = open_tab(scheme=scheme)
    assert [each for path in pages(found, *MAIN) for each in faults(tab, path)] == []


@pytest.mark.check
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_anybody_from_any_page(open_tab: Open, found: Found, scheme: Scheme) -> None:
    tab = open_tab(scheme=scheme)
    assert [each for path in pages(found) for each in faults(tab, path)] == []


def test_nothing_moves_for_whom_it_should_not(open_tab: Open, found: Found) -> None:
    still, moving = open_tab(still=True), open_tab()
    for path in pages(found, *MAIN)[:3]:
        still.go(path)
        assert still.moving() == []
    moving.go("/dashboard/orders")
    assert moving.moving() != [], "the look of it would find nothing"


Way = Callable[[Tab, Found], None]


def refund_that_is_too_much(tab: Tab, found: Found) -> None:
    path = found.pages["/orders/{id}/refunds/new"][0]
    tab.go(path)
    tab.click(tab.page.locator("[name=kind]:enabled").first)
    tab.page.locator(".money:visible").first.fill("99999.00")
    tab.page.keyboard.press("Enter")
    tab.find("error").wait_for()


def refund_reviewed(tab: Tab, found: Found) -> None:
    tab.go(found.pages["/orders/{id}/refunds/new"][0])
    tab.click(tab.page.locator("[name=kind]:enabled").first)
    tab.preview()
    tab.find("review-total").wait_for()


def return_reviewed(tab: Tab, found: Found) -> None:
    tab.go(found.pages["/orders/{id}/returns/new"][0])
    tab.page.locator(".units").first.fill("1")
    tab.fill("reason", "Too small")
    tab.click("shipping")
    tab.click("shipping")
    tab.click("review")
    tab.find("consequence").wait_for()


def items_reviewed(tab: Tab, found: Found) -> None:
    tab.go(found.pages["/orders/{id}/fulfill"][0])
    tab.page.locator(".units").first.fill("1")
    tab.click("review")
    tab.find("consequence").wait_for()


def capture_retried(tab: Tab, found: Found) -> None:
    tab.go("/dashboard/orders?state=fulfilled")
    tab.click(tab.page.locator("#orders tbody a").first)
    tab.find("retry-capture").wait_for()
    assert tab.barriers() == []
    tab.click("retry-capture")
    tab.find("review-total").wait_for()


def token_revealed(tab: Tab, found: Found) -> None:
    tab.go(found.pages["/webhooks/{id}"][0])
    tab.page.locator("#reveal-password").fill("not the password")
    tab.click("reveal")
    tab.find("error").wait_for()


def nowhere(tab: Tab, found: Found) -> None:
    tab.go("/dashboard/nowhere")
    tab.find("error").wait_for()


WAYS = (refund_that_is_too_much, refund_reviewed, return_reviewed, items_reviewed, capture_retried,
        token_revealed, nowhere)  # fmt: skip


@pytest.mark.check
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_bars_anybody_from_what_forms_answer(
    open_tab: Open, found: Found, way: Way, scheme: Scheme
) -> None:
    tab = open_tab(scheme=scheme)
    way(tab, found)
    assert tab.barriers() == []
    tab.page.set_viewport_size({"width": PHONE, "height": 844})
    assert tab.overflow() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_anybody_from_signing_in(open_tab: Open, scheme: Scheme) -> None:
    tab = open_tab(None, scheme=scheme)
    assert faults(tab, "/dashboard/login") == []
    tab.fill("email", "nobody@shop.example")
    tab.fill("password", "not the password")
    tab.click("sign-in")
    assert tab.read("error") == "Email or password is incorrect."
    assert tab.barriers() == []


def test_what_bars_people_would_be_found(tab: Tab) -> None:
    tab.go("/dashboard/orders")
    tab.page.evaluate(
        """document.querySelector("main").insertAdjacentHTML("beforeend", `<input>
          <p id="pale">Pale</p><p id="wide">Wide</p>`)"""
    )
    tab.page.evaluate("document.getElementById('pale').style.color = '#ddd'")
    tab.page.evaluate("document.getElementById('wide').style.width = '2000px'")
    assert {each.partition(":")[0] for each in tab.barriers()} == {"label", "color-contrast"}
    assert tab.overflow() > 0
