"""Acceptance cases B-02 to B-13 in a browser, with the script of the pages and without."""

import pytest
from playwright.sync_api import expect as see

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPT, Open
from tests.support.browser import Tab
from tests.support.disputes import given_dispute
from tests.support.fixtures import get_order, given_captured, listed, settled_refund
from tests.support.http import Api, Doc, expect, money

NO_RIGHT = "You need the permission set DigitalRiver Connector – Refunds to create refunds."
TOO_MUCH = "The requested refund amount is greater than the available amount."
KINDS = ("order", "shipping", "fees", "tax")

pytestmark = WITH_AND_WITHOUT_SCRIPT


def page_of(order: Doc) -> str:
    return f"/dashboard/orders/{order['id']}"


def choose(tab: Tab, order: Doc, kind: str, amount: str | None = None) -> None:
    """From the order's page to a choice of the refund form, with an amount of its own."""
    tab.go(page_of(order))
    tab.click("create-refund")
    tab.click(f"kind-{kind}")
    if amount is not None:
        tab.fill(f"amount-of-{kind}", amount)


def submit(tab: Tab) -> None:
    tab.preview()
    tab.click("submit")
    assert tab.read("flash") == "Refund submitted."


def only_refund(api: Api, order: Doc) -> Doc:
    (refund_id,) = listed(api, f"/refunds?orderId={order['id']}")
    return expect(api.get(f"/refunds/{refund_id}"))


def test_b_02_without_the_permission_set_there_is_no_refund(
    api: Api, open_tab: Open, script: bool
) -> None:
    order = given_captured(api, "A")
    tab = open_tab("customer_service", script=script)
    tab.go(page_of(order))
    assert tab.has("create-return")
    assert not tab.has("create-refund")
    # A form of the page, bent to create a refund: its token is the right one.
    form = tab.page.locator("form[action='/dashboard/mode']")
    form.evaluate(f"form => form.setAttribute('action', '{page_of(order)}/refunds')")
    tab.click("mode-switch")
    assert tab.read("error") == NO_RIGHT
    assert listed(api, "/refunds") == []


@pytest.mark.check
def test_b_03_a_member_of_the_set_may(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab("customer_service", in_refund_set=True, script=script)
    tab.go(page_of(order))
    see(tab.find("create-refund")).to_be_enabled()
    tab.click("create-refund")
    assert tab.read("available-order") == "27.01"


def test_b_04_every_choice_shows_what_is_left(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "E")
    tab = open_tab(script=script)
    tab.go(f"{page_of(order)}/refunds/new")
    assert [tab.read(f"available-{kind}") for kind in KINDS] == ["26.89", "5.38", "17.20", "3.09"]
    for kind in ("duty", "importer_tax"):
        see(tab.find(f"kind-{kind}")).to_be_disabled()
    assert not tab.find("amount-of-order").is_visible()
    tab.click("kind-order")
    assert tab.find("amount-of-order").input_value() == "26.89"
    assert tab.read("fees-note") == "Regulatory fees are refunded separately."
    tab.click("kind-shipping")
    assert tab.find("amount-of-shipping").is_visible()
    assert not tab.find("amount-of-order").is_visible()


def test_b_05_half_an_order_is_refunded(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    choose(tab, order, "order", "13.51")
    tab.preview()
    assert tab.read("review-total") == "13.51 USD"
    assert tab.read("review-split") == "To Visa •••• 1111 13.51 USD"
    assert tab.read("left-afterwards") == "13.50 USD"
    assert listed(api, "/refunds") == []
    submit(tab)
    assert tab.path == page_of(order)
    row = tab.rows("refunds")[0]
    assert row[2:6] == ["Complete order", "13.51 USD", "0.00 USD", "Pending"]
    made = only_refund(api, order)
    assert (made["amount"], made["items"]) == (money("13.51"), [])


def test_b_06_more_than_is_left_is_refused(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    choose(tab, order, "order", "27.02")
    tab.preview()
    if not script:
        assert tab.read("error") == TOO_MUCH
    assert tab.page.locator("#panel .note.bad").inner_text() == TOO_MUCH
    assert not tab.has("submit")
    # Enter sends the form whatever the panel shows.
    tab.find("amount-of-order").press("Enter")
    assert tab.read("error") == TOO_MUCH
    assert listed(api, "/refunds") == []


def test_b_07_units_times_amount(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "B")
    first, second = (item["id"] for item in order["items"])
    tab = open_tab(script=script)
    choose(tab, order, "items")
    if script:
        more = tab.page.get_by_role("button", name="more")
        more.nth(0).click()
        more.nth(0).click()
        assert tab.find(f"qty-{first}").input_value() == "2"
    else:
        tab.fill(f"qty-{first}", "2")
    tab.fill(f"amount-{first}", "10.00")
    tab.preview()
    assert tab.read(f"line-total-{first}") == "20.00"
    assert not tab.has(f"line-total-{second}")
    submit(tab)
    (item,) = only_refund(api, order)["items"]
    assert (item["itemId"], item["amount"], item["quantity"]) == (first, money("20.0"), 2)


@pytest.mark.check
def test_b_08_all_units_take_all_that_is_left(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    choose(tab, order, "items")
    tab.fill(f"qty-{order['items'][0]['id']}", "2")
    submit(tab)
    assert only_refund(api, order)["items"][0]["amount"] == money("21.61")


@pytest.mark.check
def test_b_09_fees_are_refunded_by_line(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "E")
    tab = open_tab(script=script)
    choose(tab, order, "fees", "17.20")
    submit(tab)
    (item,) = only_refund(api, order)["items"]
    assert (item["type"], item["amount"]) == ("fees", money("17.2"))


@pytest.mark.check
def test_b_10_tax_is_refunded_in_full(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    choose(tab, order, "tax")
    assert not tab.has("amount-of-tax")
    submit(tab)
    made = only_refund(api, order)
    assert (made["type"], made["amount"]) == ("tax", money("2.01"))


def test_b_11_a_double_click_makes_one_refund(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    tab = open_tab(script=script)
    choose(tab, order, "order", "5.00")
    tab.preview()
    tab.find("submit").dblclick(no_wait_after=True)
    tab.page.wait_for_url(f"**{page_of(order)}?done=*")
    assert tab.read("flash") == "Refund submitted."
    assert len(tab.rows("refunds")) == 1
    assert len(listed(api, "/refunds")) == 1


def test_b_12_in_dispute_nothing_can_be_done(api: Api, open_tab: Open, script: bool) -> None:
    order = given_captured(api, "A")
    given_dispute(api, order)
    tab = open_tab(script=script)
    tab.go(page_of(order))
    assert tab.read("state") == "Disputed"
    for button in ("create-refund", "create-return", "fulfill", "cancel"):
        see(tab.find(button)).to_be_disabled()
        see(tab.find(button)).to_have_attribute("title", "There is a dispute on the order.")


def test_b_13_a_failed_refund_says_why_and_what_to_do(
    api: Api, open_tab: Open, script: bool
) -> None:
    order = given_captured(api, "R")
    made = settled_refund(api, order, amount=5)
    tab = open_tab(script=script)
    tab.go(page_of(order))
    tab.click(tab.find("refunds").locator("tbody a").first)
    assert tab.path == f"/dashboard/refunds/{made['id']}"
    assert tab.read("state") == "Failed"
    words = "The card is expired or cancelled. expired_or_canceled_card"
    assert tab.read("failure-reason") == words
    tab.click("retry")
    assert tab.find("kind-order").is_checked()
    assert tab.find("amount-of-order").input_value() == "5.00"
    assert get_order(api, order)["availableToRefundAmount"] == money("27.01")
