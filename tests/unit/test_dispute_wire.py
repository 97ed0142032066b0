import json
from dataclasses import replace
from typing import Any

import pytest

from refundry.disputes.wire import dispute_view, sales_view
from refundry.domain.dispute import Dispute, DisputeState, SalesTransaction
from refundry.domain.order import Order
from refundry.http.document import to_json
from refundry.orders.store import OrderFacts, StoredOrder
from tests.support.reference import problems_of
from tests.unit.given import SECOND, captured, cells, line
from tests.unit.given_disputes import case, charged_back, order_e

ACCOUNT = ("acc_1", "Example Merchant")


def stored(
    order: Order, *line_details: str, details: str = "{}", metadata: str = "{}", **facts: Any
) -> StoredOrder:
    """The order with what is passed through, as JSON texts."""
    kept = line_details or ("{}",) * len(order.lines)
    return StoredOrder(
        order,
        OrderFacts("s", "c", details=details, metadata=metadata, line_details=kept, **facts),
    )


def show(whole: StoredOrder, sales: SalesTransaction, *, live: bool = False) -> dict[str, Any]:
    """The resource as JSON brings it, which fits the reference."""
    shown = json.loads(to_json(sales_view(sales, whole, account=ACCOUNT, live=live)))
    assert problems_of(shown, {"$ref": "#/components/schemas/SalesTransaction"}) == []
    return shown


def made(order: Order, amount: int, *, fraud: bool = True) -> list[SalesTransaction]:
    return charged_back(order, amount, fraud=fraud)[2]


def tee() -> Order:
    """Two tees for 20.00 with a SKU."""
    return captured(line(cells(2000), 2, sku="sku-tee"))


def of_tee(whole: StoredOrder) -> dict[str, Any]:
    return show(whole, made(whole.order, 1000)[0])


def view(dispute: Dispute, *, live: bool = False) -> dict[str, Any]:
    shown = json.loads(to_json(dispute_view(dispute, live=live)))
    assert problems_of(shown, {"$ref": "#/components/schemas/Dispute"}) == []
    return shown


def test_an_open_dispute_shows_what_is_known() -> None:
    assert view(case(tee(), amount=1000)) == {
        "id": "dp_c0",
        "createdTime": "2024-05-01T09:58:12Z",
        "orderId": "o1",
        "chargeId": "c0",
        "currency": "USD",
        "amount": 10.0,
        "state": "open",
        "liveMode": False,
    }


def test_a_lost_dispute_shows_what_the_bank_took() -> None:
    dispute = replace(case(tee()), reason="fraudulent", processor_reference="dsp_1")
    _, lost, _ = charged_back(tee(), 1000, fraud=False)
    lost = replace(lost, reason=dispute.reason, processor_reference="dsp_1")
    added = {
        "reason": "fraudulent",
        "state": "lost",
        "resolvedTime": "2024-05-01T09:58:12Z",
        "chargebackAmount": 10.0,
        "fraud": False,
        "salesTransactionIds": ["st_c0_1"],
        "processorReference": "dsp_1",
        "liveMode": True,
    }
    assert view(lost, live=True) == view(dispute) | added


def test_a_won_dispute_shows_when_and_nothing_of_money() -> None:
    won = replace(case(tee()), state=DisputeState.WON, resolved_at=SECOND)
    shown = view(won)
    assert (shown["state"], shown["resolvedTime"]) == ("won", "2024-05-01T09:58:12Z")
    assert {"chargebackAmount", "fraud", "salesTransactionIds"}.isdisjoint(shown)


def test_a_dispute_that_took_nothing_says_so() -> None:
    lost = replace(
        case(tee()), state=DisputeState.LOST, resolved_at=SECOND, chargeback=0, fraud=True
    )
    shown = view(lost)
    assert shown["chargebackAmount"] == 0
    assert "salesTransactionIds" not in shown


def test_a_sales_transaction_is_negative_and_whole() -> None:
    """D-09: 20.00 of 44.09, of which 16.00 + 1.20 are fees."""
    (sales,) = made(order_e(), 2000)
    shown = show(stored(order_e()), sales, live=True)
    payout = shown["payoutAmounts"]
    wanted = {
        "currency": "USD",
        "exchangeRate": 1.0,
        "amount": -20.0,
        "tax": -1.4,
        "shipping": -2.27,
        "regulatoryFees": -7.26,
        "landedCost": 0.0,
        "productPrice": -9.07,
        "payoutAmount": -20.0,
    }
    assert {name: payout[name] for name in wanted} == wanted
    assert {payout[name] for name in payout.keys() - wanted.keys()} == {0.0}
    assert payout.keys() - wanted.keys() == {
        "digitalRiverShare", "distributorShare", "transactionFees", "shippingDiscount",
        "regulatoryFeeDiscount", "remitShipping", "remitLandedCost", "storeCredit",
    }  # fmt: skip
    assert (shown["amount"], shown["type"]) == (-20.0, "fraud_chargeback")
    assert (shown["quantity"], shown["lineItemId"], shown["liveMode"]) == (2, "line0", True)
    assert {shown["createdTime"], shown["updatedTime"], shown["saleTime"]} == {
        "2024-05-01T09:58:12Z"
    }
    assert "-0.0" not in to_json(payout).decode()


def test_duty_and_importer_tax_are_the_landed_cost() -> None:
    order = captured(line(cells(1000, duty=240, importer_tax=470)))
    payout = show(stored(order), made(order, 1710)[0])["payoutAmounts"]
    assert (payout["landedCost"], payout["productPrice"], payout["tax"]) == (-7.1, -10.0, 0.0)


def test_a_currency_without_a_minor_unit_is_shown_in_its_own_digits() -> None:
    order = captured(line(cells(3000, 301)), code="JPY")
    shown = show(stored(order), made(order, 3301, fraud=False)[0])
    assert (shown["currency"], shown["amount"]) == ("JPY", -3301)
    assert shown["type"] == "non_fraud_chargeback"


def test_an_order_that_passed_nothing_through_is_sold_by_its_account() -> None:
    shown = of_tee(stored(captured(line(cells(2000), 2))))
    assert (shown["payerId"], shown["payerName"]) == ACCOUNT
    assert (shown["payeeId"], shown["payeeName"]) == ACCOUNT
    assert (shown["orderMetadata"], shown["lineItemMetadata"]) == ({}, {})
    assert shown["paymentType"] == "creditCard"
    absent = {
        "orderUpstreamId", "skuId", "skuTaxCode", "shipFromCountry", "shipToCountry",
        "billToCountry", "salesSummaryId",
    }  # fmt: skip
    assert absent.isdisjoint(shown)


def test_what_was_passed_through_is_shown() -> None:
    details = {
        "sellingEntity": {"id": "seller", "name": "Example Seller Inc."},
        "shipFrom": {"address": {"country": "DE"}},
        "shipTo": {"name": "Ana", "address": {"city": "Duluth", "country": "US"}},
        "billTo": {"address": {"country": "CA"}},
    }
    kept = {"productDetails": {"taxCode": "4512.100"}, "metadata": {"color": "red"}}
    whole = stored(
        tee(), json.dumps(kept), details=json.dumps(details), metadata='{"a":1}',
        upstream_id="WEB-1",
    )  # fmt: skip
    shown = of_tee(whole)
    assert (shown["payerId"], shown["payerName"]) == ("seller", "Example Seller Inc.")
    assert (shown["payeeId"], shown["payeeName"]) == ACCOUNT
    assert shown["orderUpstreamId"] == "WEB-1"
    assert (shown["skuId"], shown["skuTaxCode"]) == ("sku-tee", "4512.100")
    countries = [shown[f"{name}Country"] for name in ("shipFrom", "shipTo", "billTo")]
    assert countries == ["DE", "US", "CA"]
    assert (shown["orderMetadata"], shown["lineItemMetadata"]) == ({"a": 1}, {"color": "red"})


@pytest.mark.parametrize("odd", ["Am Markt 1", 7, [], [{"country": "DE"}], None, {}, True])
def test_addresses_and_sellers_that_are_no_objects_are_passed_over(odd: object) -> None:
    for details in (
        {"shipTo": odd, "billTo": odd, "shipFrom": odd, "sellingEntity": odd},
        {"shipTo": {"address": odd}, "billTo": {"address": odd}},
    ):
        kept = json.dumps({"productDetails": odd})
        shown = of_tee(stored(tee(), kept, details=json.dumps(details)))
        assert (shown["payerId"], shown["payerName"]) == ACCOUNT
        countries = {"shipFromCountry", "shipToCountry", "billToCountry", "skuTaxCode"}
        assert countries.isdisjoint(shown)


def test_a_seller_with_half_a_name_keeps_the_accounts_other_half() -> None:
    shown = of_tee(stored(tee(), details='{"sellingEntity": {"id": "seller"}}'))
    assert (shown["payerId"], shown["payerName"]) == ("seller", "Example Merchant")


def test_a_line_shows_what_belongs_to_it() -> None:
    sources = [("customerCredit", 300), ("payPal", 700)]
    order = captured(line(cells(400), sku="a"), line(cells(600), 3, sku="b"), sources=sources)
    first = '{"metadata":{"n":1}}'
    whole = stored(order, first, "{}")
    _, _, both = charged_back(order, 300, "c0")
    shown = [show(whole, each) for each in both]
    assert [each["skuId"] for each in shown] == ["a", "b"]
    assert [each["quantity"] for each in shown] == [1, 3]
    assert [each["amount"] for each in shown] == [-1.2, -1.8]
    assert [each["lineItemMetadata"] for each in shown] == [{"n": 1}, {}]
    assert {each["paymentType"] for each in shown} == {"customerCredit"}
