"""What a refund's page tells of the processor behind a gateway, and how it is asked."""

from collections.abc import Iterator

import pytest

from tests.contract.connectors.stand import Plan
from tests.portal.conftest import SignIn, Stranger
from tests.support.fixtures import settled_refund
from tests.support.http import Api, Doc, expect
from tests.support.portal import Visitor
from tests.support.service import Account
from tests.support.stripe_desk import StripeDesk, stripe_desk

ARN = "74850120752112040000000"


@pytest.fixture
def stripe(account: Account) -> Iterator[StripeDesk]:
    with stripe_desk() as desk:
        desk.take_payments_of(account)
        yield desk


def page_of(made: Doc) -> str:
    return f"/dashboard/refunds/{made['id']}"


def test_staff_and_customer_see_the_reference_and_the_arn(
    stripe: StripeDesk, api: Api, admin: Visitor, stranger: Stranger
) -> None:
    made = settled_refund(api, stripe.sold(api), amount=5)
    assert made["state"] == "succeeded"
    page = admin.get(page_of(made))
    assert page.read("gateway") == "main"
    assert page.read("processor-reference").startswith("re_")
    assert page.read("arn") == ARN
    assert page.read("attempts") == "1"
    assert page.read("next-check") == "none"
    assert page.read("check-why") == "It has ended, so nobody is asked any more."
    assert not page.has("ask-processor")
    assert "sent to Stripe" in page.read("timeline")
    link = str(page.find("status-link")["value"])
    assert ARN in stranger().get(link).read("arns")
    german = stranger().get(f"{link}?lang=de")
    assert "nennen Sie Ihrer Bank diese Nummer" in german.read("arns")


def test_what_is_under_way_is_looked_up_when_somebody_asks(
    stripe: StripeDesk, api: Api, admin: Visitor, account: Account
) -> None:
    order = stripe.sold(api)
    stripe.plan(Plan(end="pending"))
    made = settled_refund(api, order, amount=5)
    page = admin.get(page_of(made))
    assert page.read("last-checked") == "never"
    assert page.read("next-check") != "none"
    wait = "Stripe accepted it and has not said yet what became of it."
    assert page.read("check-why") == wait
    fields = page.fields("form[action$=check]")
    stripe.settle(fields["operation"])
    asked = admin.post(f"{page_of(made)}/check", fields)
    assert asked.read("flash").startswith("The processor is being asked.")
    settle_work(api)
    assert admin.get(page_of(made)).read("state") == "Succeeded"
    assert "refund.check" in {action for _, action, _ in account.audited()}
    again = admin.post(f"{page_of(made)}/check", fields)
    assert again.status == 400


def settle_work(api: Api) -> None:
    expect(api.post("/refundry/v1/test/advance", {"seconds": 0}))


def test_a_parked_refund_says_what_to_do_and_who_may(
    stripe: StripeDesk, api: Api, admin: Visitor, sign_in: SignIn
) -> None:
    order = stripe.sold(api)
    stripe.plan(Plan(fault="wrong_amount"))
    made = settled_refund(api, order, amount=5)
    page = admin.get(page_of(made))
    assert "the processor says 4.99 USD" in page.read("parked")
    assert "Nobody is asked any more" in page.read("timeline")
    assert page.has("mark-complete")
    looker = sign_in("finance_manager")
    assert not looker.get(page_of(made)).has("ask-processor")
    fields = {"csrf_token": looker.csrf(), "operation": "x"}
    assert looker.post(f"{page_of(made)}/check", fields).status == 403
