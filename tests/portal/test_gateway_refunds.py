"""What a refund's page tells of the processor behind a gateway, and how it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.connectors.stand import Plan
from tests.portal.conftest import SignIn, Stranger
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import settled_refund
from tests.support.http import Api, Doc, expect
from tests.support.portal import Visitor
from tests.support.service import Account, Service
from tests.support.settlement import STRIPE, report_text
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


def test_finance_finds_the_refund_in_the_report(
    stripe: StripeDesk, api: Api, admin: Visitor, account: Account, service: Service, tmp_path: Path
) -> None:
    made = settled_refund(api, stripe.sold(api), amount=5)
    page = admin.get(page_of(made))
    assert not page.has("report"), "no report was read yet"
    report = tmp_path / "report.csv"
    report.write_text(report_text(STRIPE, {
        "balance_transaction_id": "txn_1", "source_id": page.read("processor-reference"),
        "created_utc": "2026-05-04 10:00:00", "reporting_category": "refund", "currency": "usd",
        "gross": "-5.00", "fee": "0.15", "automatic_payout_id": "po_9",
    }))  # fmt: skip
    name = run_sql(
        service.data_dir, "SELECT name FROM accounts WHERE id = $1", account.account_id
    )[0]["name"]  # fmt: skip
    said(refundry("reconcile", str(report), "--processor", "stripe", "--account", name,
                  data_dir=service.data_dir))  # fmt: skip
    told = admin.get(page_of(made)).read("report")
    assert told == "of 2026-05-04, payout po_9, fee 0.15 USD"
