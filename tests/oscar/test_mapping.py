"""Oscar's figures become the body of POST /orders, to the last minor unit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refundry_sync.oscar.mapping import (
    CannotMap,
    LineFacts,
    OrderFacts,
    Price,
    SourceFacts,
    fulfillment_body,
    order_body,
    refundry_id,
)

# Net prices in cents, and tax rates as shops have them.
CENTS = st.integers(0, 5_000_000)
RATES = st.sampled_from([0, 700, 1_000, 1_900, 2_000, 802, 2_550])


def price(net: str, gross: str) -> Price:
    return Price(Decimal(net), Decimal(gross))


def order(*lines: LineFacts, total: str, **fields: Any) -> OrderFacts:
    shipping = fields.pop("shipping", price("0", "0"))
    return OrderFacts("100001", "100001", fields.pop("currency", "EUR"), Decimal(total), lines,
                      shipping, **fields)  # fmt: skip


def line(net: str, gross: str, quantity: int = 1, number: int = 1) -> LineFacts:
    return LineFacts(f"100001-{number}", "tee", "Tee", quantity, price(net, gross))


def body_of(facts: OrderFacts) -> dict[str, Any]:
    return order_body(facts, {"visa": "creditCard"}, "creditCard")


def amounts(body: dict[str, Any]) -> list[Decimal]:
    """Every cell of the order that is to be paid."""
    nothing: dict[str, Decimal] = {}
    found: list[Decimal] = []
    for item in body["items"]:
        fees = item.get("fees", nothing)
        found += [item["amount"], item["tax"]["amount"]]
        found += [fees.get(name, Decimal(0)) for name in ("amount", "taxAmount")]
    choice = body.get("shippingChoice", nothing)
    return [*found, choice.get("amount", Decimal(0)), choice.get("taxAmount", Decimal(0))]


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """A price as a strategy of Oscar makes it: from net, or from gross, each rounded once."""
    cents, rate = draw(CENTS), draw(RATES)
    if draw(st.booleans()):
        gross = (cents * (10_000 + rate) + 5_000) // 10_000
        return Price(Decimal(cents).scaleb(-2), Decimal(gross).scaleb(-2))
    net = (cents * 10_000 + (10_000 + rate) // 2) // (10_000 + rate)
    return Price(Decimal(net).scaleb(-2), Decimal(cents).scaleb(-2))


@st.composite
def orders(draw: st.DrawFn) -> OrderFacts:
    """Orders whose total is the sum of the figures, or misses it by a cent a line."""
    found = draw(st.lists(prices(), min_size=1, max_size=8))
    lines = [
        LineFacts(f"1-{n}", f"sku-{n}", "A thing", draw(st.integers(1, 9)), each)
        for n, each in enumerate(found)
    ]
    shipping = draw(prices())
    surcharges = [("deposit", each) for each in draw(st.lists(prices(), max_size=2))]
    total = sum(p.incl_tax for p in [*found, shipping, *(p for _, p in surcharges)])
    paid = sum(1 for each in found if each.incl_tax > 1)
    total += Decimal(draw(st.integers(-paid, paid))).scaleb(-2)
    return OrderFacts("1", "1", "EUR", total, lines, shipping, "Post", surcharges)


@given(orders())
def test_the_body_adds_up_to_what_the_customer_paid(facts: OrderFacts) -> None:
    body = body_of(facts)
    assert sum(amounts(body)) == body["totalAmount"] == facts.total_incl_tax
    assert all(each >= 0 and each == each.quantize(Decimal("0.01")) for each in amounts(body))
    paid = sum(each["amount"] for each in body.get("payment", {"sources": []})["sources"])
    assert paid == facts.total_incl_tax


@given(orders())
def test_no_figure_moves_by_more_than_a_cent(facts: OrderFacts) -> None:
    for item, line in zip(body_of(facts)["items"], facts.lines, strict=True):
        gross = item["amount"] + item["tax"]["amount"]
        assert abs(gross - line.price.incl_tax) <= Decimal("0.02")
        assert item["quantity"] == line.quantity


@given(orders(), st.sampled_from(["JPY", "KRW"]))
def test_a_currency_without_cents_gets_whole_amounts(facts: OrderFacts, currency: str) -> None:
    whole = facts.total_incl_tax.to_integral_value()
    facts = OrderFacts(
        facts.id, facts.number, currency, whole, facts.lines, facts.shipping, "", facts.surcharges
    )
    body = body_of(facts)
    assert sum(amounts(body)) == whole
    assert all(each == each.to_integral_value() for each in amounts(body))


def test_an_order_with_tax_and_shipping() -> None:
    facts = order(
        line("20.00", "21.61", 2),
        total="27.01",
        shipping=price("5.00", "5.40"),
        shipping_method="Standard",
        sources=(SourceFacts("visa", Decimal("27.01"), "pay_1"),),
        fields={"email": "ana@shop.example"},
    )
    assert body_of(facts) == {
        "id": "100001",
        "upstreamId": "100001",
        "currency": "EUR",
        "email": "ana@shop.example",
        "items": [
            {
                "id": "100001-1",
                "skuId": "tee",
                "quantity": 2,
                "amount": Decimal("20.00"),
                "tax": {"amount": Decimal("1.61")},
                "productDetails": {"id": "tee", "name": "Tee", "physical": True},
            }
        ],
        "shippingChoice": {
            "amount": Decimal("5.00"),
            "taxAmount": Decimal("0.40"),
            "description": "Standard",
        },
        "totalAmount": Decimal("27.01"),
        "payment": {
            "sources": [
                {
                    "type": "creditCard",
                    "amount": Decimal("27.01"),
                    "processorReference": "pay_1",
                }
            ]
        },
    }


def test_a_surcharge_becomes_fees_of_the_lines() -> None:
    lines = line("30.00", "33.00"), line("10.00", "11.00", number=2)
    facts = order(*lines, total="48.40", surcharges=(("deposit", price("4.00", "4.40")),))
    fees = [item["fees"] for item in body_of(facts)["items"]]
    assert fees == [
        {"amount": Decimal("3.00"), "taxAmount": Decimal("0.30")},
        {"amount": Decimal("1.00"), "taxAmount": Decimal("0.10")},
    ]


def test_figures_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(CannotMap, match="do not add up to its total"):
        body_of(order(line("10.00", "11.00"), total="12.00"))


def test_a_fraction_of_a_yen_is_refused() -> None:
    with pytest.raises(CannotMap, match=r"366\.30 JPY is not an amount of money"):
        body_of(order(line("333.00", "366.30"), total="366.30", currency="JPY"))


def test_payments_that_miss_the_total_are_refused() -> None:
    sources = (SourceFacts("visa", Decimal("10.00")),)
    with pytest.raises(CannotMap, match="payment sources of the order do not add up"):
        body_of(order(line("10.00", "11.00"), total="11.00", sources=sources))


def test_store_credit_pays_beside_one_other_source() -> None:
    sources = SourceFacts("visa", Decimal("6.00")), SourceFacts("customer credit", Decimal("5.00"))
    body = body_of(order(line("10.00", "11.00"), total="11.00", sources=sources))
    assert [s["type"] for s in body["payment"]["sources"]] == ["creditCard", "customerCredit"]
    sources = SourceFacts("visa", Decimal("6.00")), SourceFacts("paypal", Decimal("5.00"))
    with pytest.raises(CannotMap, match="one payment source besides customerCredit"):
        body_of(order(line("10.00", "11.00"), total="11.00", sources=sources))


def test_a_free_order_has_no_payment() -> None:
    assert "payment" not in body_of(order(line("0", "0"), total="0"))


@pytest.mark.parametrize(
    ("number", "prefix", "found"),
    [
        ("100001", "", "100001"),
        ("100001", "de-", "de-100001"),
        ("2026/11 #7", "", "key-7"),
        ("x" * 65, "a", "akey-7"),
    ],
)
def test_the_order_keeps_its_number_where_an_id_may(number: str, prefix: str, found: str) -> None:
    assert refundry_id(number, 7, prefix) == found


def test_a_shipment_names_its_lines() -> None:
    assert fulfillment_body("100001", [("100001-1", "41", 2)], "TRACK 1") == {
        "orderId": "100001",
        "items": [{"itemId": "100001-1", "quantity": 2, "shipmentItemId": "41"}],
        "trackingNumber": "TRACK 1",
    }
