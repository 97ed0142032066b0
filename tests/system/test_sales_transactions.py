"""Sales transactions: what one says of a line, and every way to look for one."""

import pytest

from tests.support.disputes import charge_back, sales_of
from tests.support.fixtures import (
    advance,
    card,
    credit,
    given_captured,
    listed,
    order_body,
    paid_by,
)
from tests.support.http import (
    Api,
    Doc,
    assert_error,
    assert_forbidden,
    assert_invalid,
    expect,
    money,
)
from tests.support.service import Account, Service

SALES = "/sales-transactions"
TYPES = (
    "sale",
    "replacement",
    "replacement_refund",
    "replacement_return",
    "fraud_chargeback",
    "non_fraud_chargeback",
    "refund",
    "return",
    "fraud_detection",
    "declined_settlement",
)
ADDRESS = {"line1": "1", "city": "Duluth", "postalCode": "55802", "state": "MN"}
ZERO = money("0.0")


def place(country: str) -> Doc:
    return {"name": "Ana Lind", "address": {**ADDRESS, "country": country}}


@pytest.fixture
def two(api: Api) -> tuple[Doc, Doc]:
    """A's chargeback of 10.00 as fraud; 5 s later that of 27.10 of D, not fraud."""
    first = given_captured(api, "A", upstreamId="WEB-1")
    charge_back(api, first, 10.00)
    advance(api, 5)
    second = given_captured(api, "D", upstreamId="WEB-2", items=_caps())
    charge_back(api, second, fraud=False)
    (sale,), (other,) = sales_of(api, first), sales_of(api, second)
    return sale, other


def _caps() -> list[Doc]:
    lines = order_body("D")["items"]
    lines[0]["skuId"] = "sku-cap"
    return lines


def test_it_says_what_was_taken_of_the_line(api: Api, account: Account) -> None:
    items = order_body("A")["items"]
    items[0]["metadata"] = {"size": "M"}
    order = given_captured(
        api, "A", items=items, upstreamId="WEB-9", metadata={"shop": 1}, shipFrom=place("US"),
        shipTo=place("CA"), billTo=place("MX"),
        sellingEntity={"id": "seller", "name": "Example Seller Inc."},
    )  # fmt: skip
    lost = charge_back(api, order, 10.00)
    (sale,) = sales_of(api, order)
    at = lost["resolvedTime"]
    assert sale == {
        "id": sale["id"],
        "createdTime": at,
        "updatedTime": at,
        "saleTime": at,
        "currency": "USD",
        "amount": money("-10.0"),
        "type": "fraud_chargeback",
        "orderId": order["id"],
        "orderUpstreamId": "WEB-9",
        "skuId": "sku-tee",
        "quantity": 2,
        "lineItemId": order["items"][0]["id"],
        "payoutAmounts": {
            "currency": "USD",
            "exchangeRate": money("1.0"),
            "amount": money("-10.0"),
            "tax": money("-0.75"),
            "shipping": money("-1.85"),
            "regulatoryFees": ZERO,
            "landedCost": ZERO,
            "productPrice": money("-7.4"),
            "digitalRiverShare": ZERO,
            "distributorShare": ZERO,
            "transactionFees": ZERO,
            "shippingDiscount": ZERO,
            "regulatoryFeeDiscount": ZERO,
            "remitShipping": ZERO,
            "remitLandedCost": ZERO,
            "payoutAmount": money("-10.0"),
            "storeCredit": ZERO,
        },
        "payerId": "seller",
        "payerName": "Example Seller Inc.",
        "payeeId": account.account_id,
        "payeeName": sale["payeeName"],
        "shipFromCountry": "US",
        "shipToCountry": "CA",
        "billToCountry": "MX",
        "paymentType": "creditCard",
        "orderMetadata": {"shop": 1},
        "lineItemMetadata": {"size": "M"},
        "liveMode": False,
    }
    assert sale["payeeName"].startswith("Test ")
    assert expect(api.get(f"{SALES}/{sale['id']}")) == sale


def test_what_an_order_does_not_say_is_left_out(api: Api, account: Account) -> None:
    order = given_captured(api, "A")
    charge_back(api, order, 10.00)
    (sale,) = sales_of(api, order)
    absent = {"orderUpstreamId", "shipFromCountry", "shipToCountry", "billToCountry",
              "salesSummaryId", "skuTaxCode"}  # fmt: skip
    assert absent.isdisjoint(sale)
    assert (sale["orderMetadata"], sale["lineItemMetadata"]) == ({}, {})
    assert (sale["payerId"], sale["payerName"]) == (account.account_id, sale["payeeName"])
    assert sale["payeeId"] == account.account_id


def test_duty_and_importer_tax_are_landed_cost(api: Api) -> None:
    order = given_captured(api, "D")
    charge_back(api, order, fraud=False)
    (sale,) = sales_of(api, order)
    names = ("landedCost", "shipping", "productPrice", "tax", "regulatoryFees", "payoutAmount")
    assert [sale["payoutAmounts"][name] for name in names] == [
        money("-7.1"), money("-10.0"), money("-10.0"), ZERO, ZERO, money("-27.1"),
    ]  # fmt: skip
    assert sale["payoutAmounts"]["currency"] == sale["currency"] == "EUR"


def test_the_payment_is_that_of_the_disputed_charge(api: Api) -> None:
    order = given_captured(api, "G", payment=paid_by(card(6.89), credit(20.00)))
    by_type = {source["id"]: source["type"] for source in order["payment"]["sources"]}
    for charge in order["payment"]["charges"]:
        charge_back(api, order, chargeId=charge["id"])
    types = [by_type[charge["sourceId"]] for charge in order["payment"]["charges"]]
    assert [sale["paymentType"] for sale in sales_of(api, order)] == types


def test_filters(api: Api, two: tuple[Doc, Doc]) -> None:
    sale, other = two
    a, b = sale["id"], other["id"]
    since = other["createdTime"]
    found = {
        "": [b, a],
        f"createdTime[gte]={since}": [b],
        f"createdTime[lt]={since}": [a],
        f"saleTime={since}": [b],
        f"saleTime[lt]={since}": [a],
        "amount=-10.0": [a],
        "amount[lt]=-10": [b],
        "amount[gte]=-27.1&amount[lte]=-10": [b, a],
        "amount[gt]=0": [],
        "quantity=2": [a],
        "quantity[lt]=2": [b],
        "quantity[gte]=1": [b, a],
        "digitalRiverShare=0": [b, a],
        "digitalRiverShare[gt]=0": [],
        "payoutAmount=-27.1": [b],
        "payoutAmount[gt]=-20": [a],
        f"ids={a}": [a],
        f"ids[]={a}&ids[]={b}": [b, a],
        "type=fraud_chargeback": [a],
        "type=non_fraud_chargeback": [b],
        "currency=EUR": [b],
        "currency=USD": [a],
        f"orderId={sale['orderId']}": [a],
        "orderUpstreamId=WEB-2": [b],
        "skuId=sku-tee": [a],
        "skuId=sku-cap": [b],
        "paymentType=creditCard": [b, a],
        "paymentType=payPal": [],
        "salesSummaryId=none": [],
        "type=fraud_chargeback&currency=EUR": [],
    }
    assert {query: listed(api, f"{SALES}?{query}") for query in found} == found


def test_every_documented_type_may_be_asked_for(api: Api, two: tuple[Doc, Doc]) -> None:
    counts = {kind: len(listed(api, f"{SALES}?type={kind}")) for kind in TYPES}
    assert counts == {kind: int(kind.endswith("chargeback")) for kind in TYPES}
    assert_invalid(api.get(f"{SALES}?type=bogus"), "type", "bogus")


def test_pages(api: Api, two: tuple[Doc, Doc]) -> None:
    sale, other = two
    page = expect(api.get(f"{SALES}?limit=1"))
    assert page == {"hasMore": True, "data": [other]}
    page = expect(api.get(f"{SALES}?limit=5000&startingAfter={other['id']}"))
    assert page == {"hasMore": False, "data": [sale]}
    assert_invalid(api.get(f"{SALES}?limit=5001"), "limit", "5001")
    assert_invalid(api.get(f"{SALES}?limit=0"), "limit", "0")
    assert_invalid(api.get(f"{SALES}?quantity=many"), "quantity", "many")


def test_permissions_and_modes(
    service: Service, account: Account, api: Api, two: tuple[Doc, Doc]
) -> None:
    sale, _ = two
    path = f"{SALES}/{sale['id']}"
    key = account.create_key(kind="restricted", permissions={"sales-transactions": "read"})
    reader = service.api(key)
    assert expect(reader.get(path)) == sale
    assert len(listed(reader, SALES)) == 2
    assert_forbidden(reader.get("/orders"))
    key = account.create_key(kind="restricted", permissions={"disputes": "read_write"})
    assert_forbidden(service.api(key).get(path))
    live = service.api(account.secret_live)
    message = f"Sales transaction '{sale['id']}' not found."
    assert_error(live.get(path), 404, "not_found", "not_found", "id", message)
    assert listed(live, SALES) == []
    message = "Sales transaction 'st_x' not found."
    assert_error(api.get(f"{SALES}/st_x"), 404, "not_found", "not_found", "id", message)
