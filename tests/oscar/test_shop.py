"""Refunds in a shop of django-oscar, as its customers and its staff see them."""

import pytest

from tests.oscar.conftest import Visit
from tests.oscar.visiting import buy, hand_in, open_refunds, ship, states, wait_for_state
from tests.support.browser import Tab
from tests.support.disputes import charge_back
from tests.support.fixtures import refund
from tests.support.http import money
from tests.support.oscar_shop import CLERK, CUSTOMER, Shop, until
from tests.support.service import Service
from tests.sync.test_commerce_sync import fail_late

PAYMENTS_REFUNDED = (
    "SELECT COUNT(*) FROM order_paymentevent e JOIN order_paymenteventtype t"
    " ON t.id = e.event_type_id JOIN order_order o ON o.id = e.order_id"
    " WHERE o.number = ? AND t.name = 'Refund'"
)
UNITS_REFUNDED = (
    "SELECT COALESCE(SUM(q.quantity), 0) FROM order_paymenteventquantity q"
    " JOIN order_paymentevent e ON e.id = q.event_id JOIN order_order o ON o.id = e.order_id"
    " WHERE o.number = ?"
)
MAKE_IT_A_GUESTS = """
from oscar.core.loading import get_model
orders = get_model("order", "Order").objects.filter(number="{}")
orders.update(user=None, guest_email="guest@shop.example")
print("hash", orders.get().verification_hash())
"""
# What the app adds to Oscar; Oscar's own tables are wider than a telephone.
OUR_PAGES = (
    "/dashboard/refunds/",
    "/dashboard/refunds/orders/{}/",
    "/dashboard/refunds/orders/{}/proceed/",
)


def test_buy_ship_and_refund_half(shop: Shop, visit: Visit) -> None:
    """The customer buys in the browser; staff ship, refund half, and see what becomes of it."""
    customer, staff = visit(CUSTOMER), visit()
    number = buy(customer, "Hiking boots", "visa")
    # 125.21 net with 19 %: 149.00; delivery 5.00, packaging 1.00.
    until(lambda: shop.api.get(f"/orders/{number}").status_code == 200)
    assert shop.order(number)["totalAmount"] == money("155.00")
    tab = staff
    tab.go(f"/dashboard/orders/{number}/")
    assert tab.find("action-refunds").get_attribute("aria-disabled") == "true"
    ship(staff, number)
    order = shop.complete(number)
    assert order["capturedAmount"] == money("155.00")
    open_refunds(staff, number)
    assert staff.read("available-complete") == "154.00 EUR"
    assert staff.read("available-fees") == "1.00 EUR"
    staff.find("amount-amount").fill("77.50")
    staff.fill("refund-reason", "requested_by_customer")
    staff.click("refund-submit")
    wait_for_state(staff, "Pending")
    assert staff.read("refund-status") == "Refund pending"
    assert staff.read("available") == "77.50 EUR"
    shop.settle()
    wait_for_state(staff, "Succeeded")
    staff.page.get_by_test_id("refund-status").get_by_text("Partially refunded").wait_for()
    assert staff.read("refunded") == "77.50 EUR"
    customer.go(f"/accounts/orders/{number}/")
    assert customer.read("customer-status") == "Partially refunded"
    assert customer.read("customer-refunded") == "77.50 EUR"
    until(lambda: len(shop.mails(number, "is on its way")) == 1)
    (mail,) = shop.mails(number, "is on its way")
    assert "77.50 EUR" in mail.get_payload()
    assert "ending in 1111" in mail.get_payload()
    assert len(shop.mails(number, "^We are working on your refund")) == 1


def test_a_refund_that_fails_says_why(shop: Shop, visit: Visit) -> None:
    number = shop.place([("tent-two", 1)], "visa-refund-fails")
    shop.complete(number)
    tab = visit()
    open_refunds(tab, number)
    tab.click("kind-complete")
    tab.click("refund-submit")
    wait_for_state(tab, "Pending")
    shop.settle()
    wait_for_state(tab, "Failed")
    assert "The card has expired or was cancelled." in tab.rows("refunds")[0]
    until(lambda: len(shop.mails(number, "^We could not pay out your refund")) == 1)
    assert len(shop.mails(number, "^We are working on your refund")) == 1
    assert shop.mails(number, "is on its way") == []
    assert not any("expired" in mail.get_payload() for mail in shop.mails(number, ""))
    customer = visit(CUSTOMER)
    customer.go(f"/accounts/orders/{number}/")
    assert (
        customer.read("customer-status") == "Your refund could not be paid out. Please contact us."
    )
    assert "expired" not in customer.page.locator("body").inner_text()


def test_a_chargeback_changes_the_status(shop: Shop, visit: Visit) -> None:
    number = shop.place([("camping-stove", 1)])
    order = shop.complete(number)
    tab = visit()
    open_refunds(tab, number)
    charge_back(shop.api, order, 10)
    shop.settle()
    tab.page.get_by_test_id("refund-status").get_by_text("Partially charged back").wait_for()
    assert (tab.read("chargeback"), tab.read("available")) == ("10.00 EUR", "50.00 EUR")
    customer = visit(CUSTOMER)
    customer.go(f"/accounts/orders/{number}/")
    assert customer.read("customer-status") == "Partially refunded by your bank"
    charge_back(shop.api, order)
    shop.settle()
    tab.page.get_by_test_id("refund-status").get_by_text("Charged back", exact=True).wait_for()
    assert tab.read("available") == "0.00 EUR"


def test_a_refund_from_refundrys_dashboard_shows_in_oscar(
    shop: Shop, visit: Visit, office: Tab
) -> None:
    """Staff proceed from Oscar's page of the order to Refundry's, and refund it there."""
    number = shop.place([("rain-jacket", 2), ("wool-socks", 3)], voucher="SAVE10")
    shop.complete(number)
    tab = visit()
    tab.go(f"/dashboard/orders/{number}/")
    tab.click("actions")
    tab.click("action-refunds")
    link = tab.find("proceed").get_attribute("href")
    path = f"/dashboard/orders/{number}"
    assert link == f"{shop.refundry_url}{path}"
    office.sign_in(shop.member, path)
    assert office.path == path
    office.click("create-refund")
    office.click("kind-shipping")
    office.preview()
    office.click("submit")
    open_refunds(tab, number)
    shop.settle()
    wait_for_state(tab, "Succeeded")
    assert tab.rows("refunds")[0][2:5] == ["Shipping", "5.00 EUR", "5.00 EUR"]


@pytest.mark.check
def test_lines_are_refunded_by_quantity(shop: Shop, visit: Visit) -> None:
    number = shop.place([("wool-socks", 3), ("trail-mix", 2)])
    order = shop.complete(number)
    tab = visit()
    open_refunds(tab, number)
    tab.click("kind-items")
    tab.find("qty-1").select_option("1")
    tab.find("qty-2").select_option("2")
    tab.fill("line-amount-2", "4.00")
    tab.click("refund-submit")
    wait_for_state(tab, "Pending")
    socks = order["items"][0]["availableToRefundAmount"]
    share = (socks / 3).quantize(money("0.01"))
    assert tab.rows("refunds")[0][2:4] == ["Line items", f"{share + 4} EUR"]
    shop.settle()
    wait_for_state(tab, "Succeeded")
    until(lambda: shop.query_one(UNITS_REFUNDED, number) == 3)
    open_refunds(tab, number)
    tab.find("amount-fees").fill("1.00")
    tab.click("refund-submit")
    wait_for_state(tab, "Pending")
    shop.settle()
    wait_for_state(tab, "Succeeded")
    assert tab.rows("refunds")[0][2:5] == ["Fees", "1.00 EUR", "1.00 EUR"]


@pytest.mark.check
def test_a_success_that_turns_out_to_have_failed_is_taken_back(
    service: Service, shop: Shop, visit: Visit
) -> None:
    number = shop.place([("wool-socks", 1)])
    order = shop.complete(number)
    tab = visit()
    open_refunds(tab, number)
    refund(shop.api, order, amount=6)
    shop.settle()
    wait_for_state(tab, "Succeeded")
    until(lambda: shop.query_one(PAYMENTS_REFUNDED, number) == 1)
    fail_late(service, shop.api, order)
    wait_for_state(tab, "Failed")
    tab.page.get_by_test_id("refund-status").get_by_text("Refund failed").wait_for()
    assert "The account has been closed." in tab.rows("refunds")[0]
    assert tab.read("refunded") == "0.00 EUR"
    until(lambda: shop.query_one(PAYMENTS_REFUNDED, number) == 0)


def test_a_refusal_is_said_in_words_and_listed(shop: Shop, visit: Visit) -> None:
    number = shop.place([("trail-mix", 1)])
    shop.complete(number)
    tab = visit()
    open_refunds(tab, number)
    tab.find("amount-amount").fill("1000")
    tab.click("refund-submit")
    words = "The requested refund amount is greater than the available amount."
    assert tab.read("refund-error") == words
    assert tab.find("amount-amount").input_value() == "1000"
    assert states(tab) == ["Refused"]
    tab.go(f"/dashboard/refunds/?q={number}&state=refused")
    assert tab.rows("refunds")[0][0] == number
    assert words in tab.rows("refunds")[0]
    tab.go("/dashboard/refunds/?state=succeeded")
    assert number not in [row[0] for row in tab.rows("refunds")]


def test_bank_details_are_asked_for_by_mail(shop: Shop, visit: Visit) -> None:
    number = shop.place([("wool-socks", 1)], "wire-transfer")
    order = shop.complete(number)
    refund(shop.api, order, percent=100)
    shop.settle()
    until(lambda: len(shop.mails(number, "We need your bank details")) == 1)
    customer = visit(CUSTOMER)
    customer.go(f"/accounts/orders/{number}/")
    link = customer.page.get_by_role("link", name="Give your bank details").get_attribute("href")
    (mail,) = shop.mails(number, "We need your bank details")
    assert link is not None
    assert link in mail.get_payload()
    assert link.startswith(str(shop.refundry_url))
    hand_in(shop, link.rpartition("/")[2])
    shop.settle()
    until(lambda: len(shop.mails(number, "^Thank you for your bank details")) == 1)
    until(lambda: len(shop.mails(number, "is on its way")) == 1)
    (mail,) = shop.mails(number, "is on its way")
    assert "17.00 EUR" in mail.get_payload()


@pytest.mark.check
def test_a_guest_reads_of_the_refund_too(shop: Shop, visit: Visit) -> None:
    number = shop.place([("trail-mix", 1)])
    said = shop.manage("manage.py", "shell", "-c", MAKE_IT_A_GUESTS.format(number))
    refund(shop.api, shop.complete(number), amount=1)
    shop.settle()
    until(lambda: len(shop.mails(number, "is on its way")) == 1)
    (mail,) = shop.mails(number, "is on its way")
    assert mail["To"] == "guest@shop.example"
    tab = visit(None)
    tab.go(f"/accounts/order-status/{number}/{said.split('hash ')[-1].strip()}/")
    tab.page.locator("#id_email").fill("guest@shop.example")
    tab.page.get_by_role("button", name="Submit").click()
    tab.find("customer-status").wait_for()
    assert tab.read("customer-refunded") == "1.00 EUR"


@pytest.mark.check
def test_our_pages_fit_a_telephone(shop: Shop, visit: Visit) -> None:
    number = shop.place([("trail-mix", 1)])
    refund(shop.api, shop.complete(number), amount=1)
    shop.settle()
    tab = visit(width=390)
    for page in OUR_PAGES:
        assert tab.go(page.format(number)) == 200
        assert tab.overflow() == 0


def test_staff_without_the_permission_see_no_refunds(shop: Shop, visit: Visit) -> None:
    number = shop.place([("wool-socks", 1)])
    tab = visit(CLERK)
    assert tab.go(f"/dashboard/orders/{number}/") == 200
    assert not tab.has("tab-refunds")
    assert not tab.has("actions")
    assert tab.page.locator("a[href='/dashboard/refunds/']").count() == 0
    for path in ("", f"orders/{number}/", f"orders/{number}/list/", f"orders/{number}/proceed/"):
        assert tab.page.request.get(f"{shop.url}/dashboard/refunds/{path}").status == 403


@pytest.mark.parametrize("path", ["", "orders/100001/"])
def test_strangers_are_asked_to_sign_in(shop: Shop, visit: Visit, path: str) -> None:
    tab = visit(None)
    tab.go(f"/dashboard/refunds/{path}")
    assert tab.path == "/dashboard/login/"
