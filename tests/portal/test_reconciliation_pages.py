"""The pages of reconciliation: the list, each thing on it, its steps, and the month's file."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.portal.conftest import SignIn
from tests.support.command import refundry, run_sql, said
from tests.support.fixtures import given_captured, order_body, refund
from tests.support.http import Api, expect
from tests.support.portal import Screen, Visitor
from tests.support.service import Account, Service
from tests.support.settlement import STRIPE, given_conflict, report_text

LIST = "/dashboard/reconciliation"
CREDENTIALS = json.dumps({"secret_key": "sk_test_1", "webhook_secret": "whsec_1"})
ROW = {
    "balance_transaction_id": "txn_1", "created_utc": "2026-05-04 10:00:00", "currency": "usd",
    "reporting_category": "refund", "source_id": "re_1", "charge_id": "ch_page",
    "gross": "-5.00",
}  # fmt: skip


def read_report(service: Service, account: Account, path: Path, text: str) -> None:
    """As the command does. The gateway takes no source that the sandbox has."""
    name = run_sql(
        service.data_dir, "SELECT name FROM accounts WHERE id = $1", account.account_id
    )[0]["name"]  # fmt: skip
    owner = ["--account", name]
    said(refundry("processor", "add", "stripe", "--sources", "konbini", *owner,
                  data_dir=service.data_dir, stdin=CREDENTIALS))  # fmt: skip
    path.write_text(text)
    done = refundry("reconcile", str(path), "--processor", "stripe", *owner,
                    data_dir=service.data_dir)  # fmt: skip
    said(done, 1)


def act(visitor: Visitor, screen: Screen, step: str, **fields: str) -> Screen:
    return visitor.post(f"{screen.path}/{step}", {"csrf_token": visitor.csrf()} | fields)


def oddities(visitor: Visitor) -> list[str]:
    links = [str(a["href"]) for a in visitor.get(LIST).soup.select("main td a[href]")]
    return [link for link in links if link.startswith(f"{LIST}/")]


def test_an_extra_refund_is_adopted_by_one_button(
    service: Service, account: Account, api: Api, sign_in: SignIn, tmp_path: Path
) -> None:
    body = order_body("A")
    body["payment"]["sources"][0]["processorReference"] = "ch_page"
    order = expect(api.post("/orders", body), 201)
    given = [{"itemId": item["id"], "quantity": item["quantity"]} for item in order["items"]]
    expect(api.post("/fulfillments", {"orderId": order["id"], "items": given}), 201)
    api.post("/refundry/v1/test/advance", {"seconds": 1})
    strange = ROW | {"balance_transaction_id": "txn_2", "source_id": "=cmd", "charge_id": "ch_no"}
    read_report(service, account, tmp_path / "r.csv", report_text(STRIPE, ROW, strange))
    finance = sign_in("finance_manager")
    first, second = oddities(finance)
    screen = finance.get(second)
    assert screen.read("why") == "we have no refund with this reference"
    refused = act(finance, screen, "adopt")
    assert (refused.status, refused.error) == (
        400, "No order here has a charge of this payment.",
    )  # fmt: skip
    done = act(finance, finance.get(first), "adopt")
    assert (done.path, done.read("flash")) == (LIST, "Adopted.")
    assert oddities(finance) == [second]
    found = expect(api.get(f"/orders/{order['id']}"), 200)
    assert Decimal(str(found["refundedAmount"])) == 5
    assert account.audited()[0][1:] == ("reconciliation.adopted", first.rpartition("/")[2])
    assert finance.get(first).status == 404

    looked = act(finance, finance.get(second), "check")
    assert looked.read("flash").startswith("Looked at again.")
    unsaid = act(finance, finance.get(second), "deal", note=" ")
    assert unsaid.error == "Say in the note what was done about it."
    done = act(finance, finance.get(second), "deal", note="of another shop <b>")
    assert done.read("flash") == "Marked as dealt with."
    assert oddities(finance) == []
    assert "Nothing to look at." in finance.get(LIST).text
    assert account.audited()[0][1:] == ("reconciliation.dealt_with", second.rpartition("/")[2])


def test_a_conflict_is_listed_with_its_reason(
    service: Service, account: Account, admin: Visitor
) -> None:
    given_conflict(service, account, live=False)
    (row,) = admin.get(LIST).rows("conflict")
    assert row[0] == "Refund made at the processor"
    assert row[4:6] == ["7.00 USD", "the charge has less left"]


def test_the_months_file_adds_up_to_its_totals_and_to_the_order(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    for amount in (1, 2.5):
        refund(api, order, amount=amount)
    api.post("/refundry/v1/test/advance", {"seconds": 1})
    month = f"{datetime.now(UTC):%Y-%m}"
    screen = admin.get(f"{LIST}?month={month}")
    assert screen.rows("totals") == [["Refunds", "USD", "2", "3.50 USD", "2"]]
    answer = admin.get(str(screen.find("export")["href"])).response
    assert answer.headers["content-disposition"] == f'attachment; filename="refunds-{month}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(Decimal(row["Amount"]) for row in rows) == Decimal("3.50")
    assert {row["Order ID"] for row in rows} == {order["id"]}
    refunded = expect(api.get(f"/orders/{order['id']}"), 200)["refundedAmount"]
    assert Decimal(str(refunded)) == Decimal("3.5")


@pytest.mark.parametrize("text", ["2026", "2026-13", "x", "2026-05-01"])
def test_a_month_that_is_none_is_refused(admin: Visitor, text: str) -> None:
    for page in (LIST, f"{LIST}.csv"):
        refused = admin.get(f"{page}?month={text}")
        assert (refused.status, refused.error) == (
            400, f"'{text}' is not a month. Write it like 2026-05.",
        )  # fmt: skip
