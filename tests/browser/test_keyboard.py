"""The main ways by keyboard alone, with the focus to be seen at every step."""

import pytest
from playwright.sync_api import expect as see

from tests.browser.conftest import Open
from tests.contract.connectors.stand import Plan
from tests.support.browser import Tab
from tests.support.fixtures import given_captured, listed, settled_refund
from tests.support.http import Api, expect, money
from tests.support.service import Account
from tests.support.stripe_desk import stripe_desk

# A page with more stops than this before a thing is not usable by keyboard.
PATIENCE = 60
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"


def reach(tab: Tab, testid: str) -> None:
    """Tab to a thing, seeing at every stop where the focus is."""
    for _ in range(PATIENCE):
        tab.press("Tab")
        assert tab.page.evaluate(OUTLINE) != "none", tab.page.evaluate(
            "document.activeElement.outerHTML.slice(0, 200)"
        )
        if tab.find(testid).evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{testid} is not reached on {tab.path}")


def follow_only(tab: Tab, table: str) -> None:
    """Follow the only link of a table."""
    link = tab.find(table).locator("tbody a")
    link.evaluate("each => each.setAttribute('data-testid', 'found')")
    reach(tab, "found")
    tab.press("Enter")


@pytest.mark.parametrize("script", [True, pytest.param(False, marks=pytest.mark.check)])
def test_half_an_order_is_refunded_by_keyboard(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    tab.go("/dashboard/orders")
    reach(tab, "q")
    tab.type(order["id"])
    tab.press("Enter")
    tab.page.wait_for_url("**q=*")
    tab.press("Tab")
    skip = tab.page.get_by_role("link", name="Skip to the content")
    see(skip).to_be_focused()
    see(skip).to_be_in_viewport()
    tab.press("Enter")
    follow_only(tab, "orders")
    tab.find("create-refund").wait_for()
    reach(tab, "create-refund")
    tab.press("Enter")
    tab.page.locator("#refund-form").wait_for()
    reach(tab, "kind-order")
    tab.press("Space")
    reach(tab, "amount-of-order")
    tab.type("13.51")  # what Tab reaches is selected: the keys replace it
    if not script:
        reach(tab, "review")
        tab.press("Enter")
    tab.page.locator("#panel:not(.busy) #submit").wait_for()
    reach(tab, "submit")
    tab.press("Enter")
    see(tab.find("flash")).to_have_text("Refund submitted.")
    (refund_id,) = listed(api, f"/refunds?orderId={order['id']}")
    assert expect(api.get(f"/refunds/{refund_id}"))["amount"] == money("13.51")


def test_a_return_is_made_by_keyboard(api: Api, open_tab: Open) -> None:
    order = given_captured(api, "A")
    tab = open_tab("customer_service")
    tab.go(f"/dashboard/orders/{order['id']}")
    reach(tab, "create-return")
    tab.press("Enter")
    tab.find("reason").wait_for()
    reach(tab, f"qty-{order['items'][0]['id']}")
    tab.press("ArrowUp")
    reach(tab, "reason")
    tab.type("Too small")
    reach(tab, "review")
    tab.press("Enter")
    tab.find("consequence").wait_for()
    reach(tab, "submit")
    tab.press("Enter")
    see(tab.find("flash")).to_have_text("Return created.")
    (made,) = expect(api.get("/returns"))["data"]
    assert (made["items"][0]["quantity"], made["reason"]) == (1, "Too small")


def test_the_skip_link_leads_past_the_navigation(tab: Tab) -> None:
    tab.go("/dashboard/orders")
    tab.press("Tab")
    tab.press("Enter")
    tab.press("Tab")
    assert tab.page.evaluate("document.activeElement.closest('main') !== null")
    tab.page.reload()
    tab.press("Tab", 2)
    assert tab.page.evaluate("document.activeElement.closest('main') === null")


def test_on_a_phone_the_menu_opens_by_keyboard(open_tab: Open) -> None:
    tab = open_tab(width=390)
    tab.go("/dashboard/orders")
    entry = tab.find("navigation").get_by_role("link", name="Refunds", exact=True)
    see(entry).to_be_hidden()
    menu = tab.page.locator("nav summary").first
    menu.focus()
    tab.press("Enter")
    see(entry).to_be_visible()
    tab.press("Tab")
    assert tab.page.evaluate("document.activeElement.closest('nav') !== null")


def test_what_does_not_agree_is_looked_at_by_keyboard(
    api: Api, account: Account, open_tab: Open
) -> None:
    with stripe_desk() as desk:
        desk.take_payments_of(account)
        order = desk.sold(api)
        desk.plan(Plan(fault="wrong_amount"))
        settled_refund(api, order, amount=5)
        tab = open_tab()
        tab.go("/dashboard/reconciliation")
        reach(tab, "check")
        tab.press("Enter")
        see(tab.find("flash")).to_contain_text("Looked at again.")
        tab.go("/dashboard/processors")
        follow_only(tab, "gateways")
        tab.find("abilities").wait_for()
        reach(tab, "check")
        tab.press("Enter")
        see(tab.find("findings")).to_contain_text("Fine")
