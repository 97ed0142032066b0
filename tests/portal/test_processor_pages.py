"""The pages of gateways: what goes through them, what they can do, and whether they work."""

from collections.abc import Iterator

import pytest

from tests.contract.connectors.stand import Plan
from tests.db.gateways.till import CREDENTIALS
from tests.portal.conftest import SignIn
from tests.support.fixtures import order_body, settled_refund, source
from tests.support.http import Api, expect
from tests.support.portal import Visitor
from tests.support.service import Account
from tests.support.stripe_desk import StripeDesk, stripe_desk

PAYPAL = '{"client_id": "c", "client_secret": "hush", "webhook_id": "w"}'


@pytest.fixture
def stripe() -> Iterator[StripeDesk]:
    with stripe_desk() as desk:
        yield desk


def test_without_gateways_the_page_says_who_plays_the_processor(admin: Visitor) -> None:
    page = admin.get("/dashboard/processors")
    assert "the sandbox plays the processor" in page.text
    assert not page.has("gateways")


def test_a_gateway_shows_what_is_open_and_what_it_can(
    stripe: StripeDesk, api: Api, account: Account, admin: Visitor
) -> None:
    gateway_id = stripe.take_payments_of(account)
    order = stripe.sold(api)
    stripe.plan(Plan(end="pending"))
    settled_refund(api, order, amount=5)
    stripe.plan(Plan(fault="wrong_amount"))
    settled_refund(api, order, amount=3)
    (row,) = admin.get("/dashboard/processors").rows("gateways")
    assert row == ["main", "Stripe", "creditCard", "Open", "2", "1", "not yet"]
    page = admin.get(f"/dashboard/processors/{gateway_id}")
    assert page.read("status") == "Open"
    assert "Captures a payment once" in page.read("abilities")
    address = str(page.find("notifications")["value"])
    assert address.endswith(f"/refundry/v1/processor-notifications/{gateway_id}")
    assert "1 parked" in page.text


def test_a_check_says_what_works_and_what_is_to_mend(
    stripe: StripeDesk, account: Account, admin: Visitor
) -> None:
    gateway_id = stripe.take_payments_of(account)
    path = f"/dashboard/processors/{gateway_id}"
    page = admin.get(path)
    assert not page.has("findings"), "nobody is asked before somebody wants it"
    found = admin.post(f"{path}/check", page.fields("form[action$=check]"))
    assert "Fine" in found.read("findings")
    assert ("gateway.check", gateway_id) in {(what, whose) for _, what, whose in account.audited()}


def test_credentials_that_do_not_work_are_said_in_words(
    stripe: StripeDesk, account: Account, admin: Visitor
) -> None:
    wrong = CREDENTIALS.replace("sk_test_contract", "sk_test_another")
    gateway_id = account.open_gateway(stripe.url, wrong)
    page = admin.get(f"/dashboard/processors/{gateway_id}")
    found = admin.post(f"/dashboard/processors/{gateway_id}/check",
                       page.fields("form[action$=check]"))  # fmt: skip
    assert "To mend" in found.read("findings")
    assert "sk_test_another" not in found.text


def test_only_developers_and_administrators_see_them(sign_in: SignIn) -> None:
    assert sign_in("developer").get("/dashboard/processors").status == 200
    assert sign_in("customer_service").get("/dashboard/processors").status == 403


def test_a_payment_that_is_too_old_for_its_processor_is_warned_of(
    api: Api, account: Account, admin: Visitor
) -> None:
    account.open_gateway("http://127.0.0.1:1", PAYPAL, processor="paypal", source_type="payPal")
    paid = {"sources": [source("payPal", 27.01, processorReference="8MC585209K746392H")]}
    order = expect(api.post("/orders", order_body("A", payment=paid, state="complete")), 201)
    path = f"/dashboard/orders/{order['id']}/refunds"

    def warned() -> bool:
        fields = admin.get(f"{path}/new").fields() | {"kind": "order", "amount-of-order": "1.50"}
        page = admin.post(f"{path}/review", fields)
        return page.has("warning") and (
            "PayPal refunds a payment for 180 days, and this one was captured"
            in page.read("warning")
        )

    assert not warned()
    expect(api.post("/refundry/v1/test/advance", {"seconds": 181 * 86400}))
    assert warned()
