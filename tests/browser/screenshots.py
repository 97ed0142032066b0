"""Makes the pictures of docs/images from a service with sample data: `make screenshots`."""

import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.contract.connectors.stand import Plan
from tests.support.browser import Tab, chromium, launch
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import (
    advance,
    fulfil,
    given_captured,
    line,
    order_body,
    paid_by,
    refund,
    settle,
    settled_refund,
    source,
)
from tests.support.http import Api, Doc, expect
from tests.support.returns import given_return
from tests.support.service import PASSWORD, ROOT, Account, Service
from tests.support.settlement import STRIPE, report_text
from tests.support.stripe_desk import StripeDesk, stripe_desk

IMAGES = ROOT / "docs" / "images"
WIDTH = 1280
MOST_BYTES = 150_000
DAY = 24 * 3600
ADA = "ada@shop.example"
PEOPLE = (
    (ADA, "Ada Lind", "administrator", False),
    ("bo@shop.example", "Bo Berg", "customer_service", True),
    ("chidi@shop.example", "Chidi Eze", "customer_service", False),
    ("dana@shop.example", "Dana Ruiz", "finance_manager", False),
    ("emre@shop.example", "Emre Kaya", "developer", False),
    ("freya@shop.example", "Freya Holm", "user_manager", False),
)
# What shoppers bought: name of the product, price, tax, units, and how they paid.
SALES = (
    (("Rain jacket", 89.00, 7.12, 1), ("Wool socks", 24.00, 1.92, 3)),
    (("Hiking boots", 149.00, 11.92, 1),),
    (("Tent, two persons", 219.00, 17.52, 1), ("Tent pegs", 12.00, 0.96, 2)),
    (("Sleeping bag", 99.00, 7.92, 1),),
    (("Camping stove", 54.00, 4.32, 1), ("Gas canister", 15.00, 1.20, 3)),
)
REASONS = ("requested_by_customer", "product_unsatisfactory", "late_delivery")
DAYS = 12


def product(name: str, amount: float, tax: float, units: int) -> Doc:
    sku = name.lower().replace(",", "").replace(" ", "-")
    details = {"id": sku, "name": name, "physical": True}
    return line(amount, tax, units, sku, productDetails=details)


def order_of(number: int, **fields: object) -> Doc:
    """The body of an order that was delivered; number: in the order of their coming."""
    sale = SALES[number % len(SALES)]
    total = round(sum(amount + tax for _, amount, tax, _ in sale) + 8.64, 2)
    shipping = {"amount": 8.00, "taxAmount": 0.64, "description": "standard", "serviceLevel": "SG"}
    paid = source("creditCard", total, creditCard={
        "number": "4444 2222 3333 1111", "expirationMonth": 7, "expirationYear": 2030,
    })  # fmt: skip
    return order_body("A", id=str(518_204_000_100 + 37 * number), items=[product(*p) for p in sale],
                      shippingChoice=shipping, totalAmount=total, payment=paid_by(paid),
                      upstreamId=f"WEB-{2041 + number}", **fields)  # fmt: skip


def deliver(api: Api, body: Doc) -> Doc:
    """An order, shipped whole and paid."""
    order = expect(api.post("/orders", body), 201)
    fulfil(api, order, *(item["quantity"] for item in order["items"]))
    settle(api)
    return order


def trade(api: Api) -> tuple[Doc, Doc, Doc, Doc]:
    """Some days of a shop; the order to be refunded, one with refunds, a refund that failed, and
    one that waits for bank details."""
    number = 0
    orders: list[Doc] = []
    for day in range(DAYS):
        for _ in range(2 + day % 3):
            order = deliver(api, order_of(number))
            orders.append(order)
            if number % 3:
                reason = REASONS[number % len(REASONS)]
                refund(api, order, percent=(25, 50, 100)[number % 3], reason=reason)
            number += 1
        if day % 4 == 1:
            refund(api, given_captured(api, "R"), amount=27.01, reason="late_delivery")
        advance(api, DAY)
    refund(api, given_captured(api, "J"), percent=100)
    waiting = refund(api, given_captured(api, "Q"), percent=100, reason="requested_by_customer")
    busy = deliver(api, order_of(number - number % len(SALES) + 5))
    refund(api, busy, type="shipping", percent=100, reason="late_delivery")
    given_return(api, busy, 1)
    settle(api)
    refund(api, busy, items=[{"itemId": busy["items"][0]["id"], "quantity": 1, "amount": 20}])
    failed = refund(api, given_captured(api, "R"), amount=12.5, reason="product_unsatisfactory")
    settle(api)
    return deliver(api, order_of(number - number % len(SALES) + 10)), busy, failed, waiting


def picture(name: str, tab: Tab) -> None:
    """Write what the tab shows."""
    tab.page.evaluate("document.activeElement.blur(), window.scrollTo(0, 0)")
    tab.page.mouse.move(0, 0)
    path = IMAGES / f"{name}.png"
    tab.page.screenshot(path=path, animations="disabled")
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    assert size <= MOST_BYTES, "too large for a page of documentation"


def refund_form(tab: Tab, order: Doc) -> None:
    tab.go(f"/dashboard/orders/{order['id']}/refunds/new")
    tab.click("kind-items")
    tab.page.get_by_role("button", name="more").first.click()
    tab.page.locator("#reason").fill("requested_by_customer")
    tab.preview()


def bulk_file(tab: Tab, fresh: Doc, busy: Doc) -> None:
    """A file that was checked: two lines are ready, one looks like a duplicate, one is refused."""
    lines = (
        "order_id,amount,currency,reason",
        f"{fresh['id']},8.64,USD,late_delivery",
        f"{busy['id']},15.00,USD,product_unsatisfactory",
        f"{busy['id']},15.00,USD,product_unsatisfactory",
        f"{fresh['id']},1500.00,USD,requested_by_customer",
    )
    tab.go("/dashboard/bulk")
    content = "\n".join(lines).encode()
    tab.find("file").set_input_files(
        {"name": "late-deliveries.csv", "mimeType": "text/csv", "buffer": content}
    )
    tab.click("check")
    tab.find("bulk-total").wait_for()


def bank_details(tab: Tab, api: Api, waiting: Doc) -> None:
    """What the shopper sees."""
    token = expect(api.get(f"/refunds/{waiting['id']}"))["tokenInformation"]["token"]
    tab.go(f"/offline-refund/{token}")


def at_stripe(service: Service, account: Account, api: Api, desk: StripeDesk) -> tuple[str, Doc]:
    """A gateway, and what does not agree there: an answer about another amount, a refund that
    somebody made at the processor. Gives the gateway's id and a refund that agrees."""
    gateway_id = desk.take_payments_of(account)
    paid = settled_refund(api, desk.sold(api), amount=13.5, reason="late_delivery")
    order = desk.sold(api)
    desk.plan(Plan(fault="wrong_amount"))
    settled_refund(api, order, amount=5)
    (reference,) = run_sql(
        service.data_dir,
        "SELECT processor_reference AS it FROM charge_operations WHERE amount_minor = 1350"
        " AND kind = 'refund' AND gateway_id IS NOT NULL",
    )  # fmt: skip
    row = {"created_utc": "2026-05-04 10:00:00", "reporting_category": "refund", "currency": "usd",
           "automatic_payout_id": "po_1QkWzN"}  # fmt: skip
    report = service.data_dir / "payouts.csv"
    report.write_text(report_text(
        STRIPE,
        row | {"balance_transaction_id": "txn_1", "source_id": reference["it"], "gross": "-13.50",
               "fee": "0.30"},
        row | {"balance_transaction_id": "txn_2", "source_id": "re_3QkWyT", "gross": "-24.00"},
    ))  # fmt: skip
    done = refundry("reconcile", str(report), "--processor", "stripe", data_dir=service.data_dir)
    said(done, 1)
    return gateway_id, paid


def processor(tab: Tab, gateway_id: str) -> None:
    tab.go(f"/dashboard/processors/{gateway_id}")
    tab.click("check")
    tab.find("findings").wait_for()


def take(tab: Tab, api: Api, fresh: Doc, busy: Doc, failed: Doc, waiting: Doc) -> None:
    """The pictures of a shop without gateways, in turn."""
    shots: tuple[tuple[str, Callable[[], object]], ...] = (
        ("home", lambda: tab.go("/dashboard")),
        ("refund-form", lambda: refund_form(tab, fresh)),
        ("order", lambda: tab.go(f"/dashboard/orders/{busy['id']}")),
        ("refund-failed", lambda: tab.go(f"/dashboard/refunds/{failed['id']}")),
        ("roles", lambda: tab.go("/dashboard/users")),
        ("permission-set", lambda: tab.go("/dashboard/permission-sets")),
        ("bulk", lambda: bulk_file(tab, fresh, busy)),
        ("bank-details", lambda: bank_details(tab, api, waiting)),
    )
    for name, prepare in shots:
        prepare()
        picture(name, tab)


def take_finance(tab: Tab, gateway_id: str, paid: Doc) -> None:
    """The pictures of what is about gateways."""
    tab.go("/dashboard/reconciliation")
    picture("reconciliation", tab)
    processor(tab, gateway_id)
    picture("processor", tab)
    tab.go(f"/dashboard/refunds/{paid['id']}")
    picture("refund-gateway", tab)


def enrol(data_dir: Path) -> None:
    """The people of the shop, in the only account there is."""
    for email, name, role, member in PEOPLE:
        more = ["--permission-set", "refunds"] if member else []
        said(refundry("user", "create", email, "--name", name, "--role", role, *more,
                      "--password-stdin", data_dir=data_dir, stdin=PASSWORD))  # fmt: skip


def main() -> None:
    """Start a service, fill it and take the pictures."""
    if chromium() is None:
        sys.exit("there is no Chromium: `make browser`")
    IMAGES.mkdir(exist_ok=True)
    with Service() as service, stripe_desk() as desk:
        account = service.open_account()
        api = service.api(account.secret_test)
        run_sql(service.data_dir, "UPDATE accounts SET name = 'Northwind Outdoor'")
        enrol(service.data_dir)
        orders = trade(api)
        at_processor = at_stripe(service, account, api, desk)
        with sync_playwright() as playwright:
            playwright.selectors.set_test_id_attribute("data-testid")
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": WIDTH, "height": 700})
            tab = Tab(page, str(service.client.base_url).rstrip("/"))
            tab.sign_in(ADA)
            take(tab, api, *orders)
            take_finance(tab, *at_processor)
            browser.close()


if __name__ == "__main__":
    main()
