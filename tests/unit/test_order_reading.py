import json
from datetime import UTC, datetime
from typing import Any

import pytest

from refundry.domain.intake import ChargeAsk, PastAmount
from refundry.errors import BadFields
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.orders.reading import ReadOrder, read_order
from tests.unit.given import NOW, cells

CARD = {"type": "creditCard", "amount": 27.01}
LINE = {
    "skuId": "sku-tee",
    "amount": 20.00,
    "quantity": 2,
    "tax": {"rate": 0.08025, "amount": 1.61},
}
BODY: dict[str, Any] = {
    "currency": "USD",
    "items": [LINE],
    "shippingChoice": {"amount": 5.00, "taxAmount": 0.40, "description": "standard"},
    "payment": {"sources": [CARD]},
}


def read(body: dict[str, Any], *, live: bool = False) -> ReadOrder:
    fields = Fields(read_object(json.dumps(body).encode()), [])
    return read_order(fields, live=live, now=NOW)


def problems(body: dict[str, Any], *, live: bool = False) -> list[tuple[str | None, str]]:
    """The problems with `body`: parameter and message."""
    with pytest.raises(BadFields) as caught:
        read(body, live=live)
    return [(each.parameter, each.message) for each in caught.value.problems]


def with_line(**more: object) -> dict[str, Any]:
    return BODY | {"items": [LINE | more]}


def with_source(**more: object) -> dict[str, Any]:
    return BODY | {"payment": {"sources": [CARD | more]}}


def bad(parameter: str, value: str) -> tuple[str, str]:
    return parameter, f"'{value}' is not a valid {parameter}."


def missing(parameter: str) -> tuple[str, str]:
    return parameter, "A parameter is missing."


def test_fixture_a_is_read() -> None:
    ask = read(BODY).ask
    assert len(ask.id) == 12
    assert ask.id.isdecimal()
    assert (ask.currency.code, ask.state.value, ask.shipping) == ("USD", "accepted", (500, 40))
    (line,) = ask.lines
    assert (line.sku_id, line.quantity, line.ordered) == ("sku-tee", 2, cells(2000, 161))
    assert (line.physical, line.shipping, line.fulfilled_units) == (True, None, None)
    (source,) = ask.sources
    assert (source.type, source.amount, source.waits) == ("creditCard", 2701, False)
    assert ask.charges is None


def test_every_component_is_read_into_its_cell() -> None:
    body = with_line(
        importerTax={"amount": 3},
        duties={"amount": 4},
        fees={"amount": 5, "taxAmount": 6},
        shipping={"amount": 1, "taxAmount": 2},
    )
    (line,) = read(body).ask.lines
    assert line.ordered == cells(2000, 161, duty=400, importer_tax=300, fees=(500, 600))
    assert line.shipping == (100, 200)


def test_totals_are_kept_as_they_were_sent() -> None:
    read_totals = read(BODY | {"totalAmount": 27.010, "subtotal": "25"}).ask.totals
    assert read_totals == {"totalAmount": (2701, "27.01"), "subtotal": (2500, "25")}


def test_what_is_only_passed_through_keeps_its_digits() -> None:
    kept = read(BODY | {"totalDiscount": 1.50, "shipTo": {"name": "Ana"}, "made": "up"}).details
    assert json.loads(kept) == {
        "shipTo": {"name": "Ana"},
        "totalDiscount": 1.5,
        "shippingChoice": {"description": "standard"},
    }
    (line,) = read(with_line(metadata={"a": 1.25}, unheard="of")).line_details
    assert json.loads(line) == {"taxRate": 0.08025, "metadata": {"a": 1.25}}


BAD_FIELDS: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, [missing("currency"), missing("items")]),
    (BODY | {"currency": "EURO"}, [bad("currency", "EURO")]),
    (BODY | {"currency": 840}, [bad("currency", "840")]),
    (BODY | {"id": "a b"}, [bad("id", "a b")]),
    (BODY | {"id": "x" * 65}, [bad("id", "x" * 65)]),
    (BODY | {"items": []}, [bad("items", "[]")]),
    (with_line(skuId=None), [missing("items[0].skuId")]),
    (with_line(amount=None), [missing("items[0].amount")]),
    (with_line(amount=-1), [bad("items[0].amount", "-1")]),
    (with_line(amount=20.001), [bad("items[0].amount", "20.001")]),
    (with_line(quantity=0), [bad("items[0].quantity", "0")]),
    (with_line(quantity=1_000_001), [bad("items[0].quantity", "1000001")]),
    (with_line(tax={"amount": "x"}), [bad("items[0].tax.amount", "x")]),
    (with_line(fulfilledQuantity=1), [bad("items[0].fulfilledQuantity", "1")]),
    (with_line(state="lost"), [bad("items[0].state", "lost")]),
    (BODY | {"items": [LINE | {"id": "1"}, LINE | {"id": "1"}]}, [bad("items[1].id", "1")]),
    (BODY | {"state": "cancelled"}, [bad("state", "cancelled")]),
    (BODY | {"createdTime": "2030-01-01T00:00:00Z"},
     [bad("createdTime", "2030-01-01T00:00:00Z")]),
    (BODY | {"stateTransitions": {"accepted": "soon"}},
     [bad("stateTransitions.accepted", "soon")]),
    (BODY | {"fraudState": "fine"}, [bad("fraudState", "fine")]),
    (BODY | {"customerType": "robot"}, [bad("customerType", "robot")]),
    (BODY | {"requestToBeForgotten": "yes"}, [bad("requestToBeForgotten", "yes")]),
    (BODY | {"totalTax": -1}, [bad("totalTax", "-1")]),
    (BODY | {"payment": None}, [missing("payment.sources")]),
    (BODY | {"payment": {}}, [missing("payment.sources")]),
    (BODY | {"payment": "card"}, [bad("payment", "card")]),
    (BODY | {"payment": {"sources": "card"}}, [bad("payment.sources", "card")]),
    (with_source(type=None), [missing("payment.sources[0].type")]),
    (with_source(amount=0), [bad("payment.sources[0].amount", "0")]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BAD_FIELDS)
def test_bad_fields_are_named_once(body: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert problems(body) == expected


@pytest.mark.parametrize("field", ["discount", "metadata"])
def test_an_order_that_comes_to_nothing_needs_no_source(field: str) -> None:
    free = {"skuId": "gift", "amount": 0, "quantity": 1, field: {"amount": 10.0}}
    assert read({"currency": "USD", "items": [free]}).ask.sources == ()


@pytest.mark.parametrize("state", ["FULFILLED", "complete", "Returned"])
def test_an_imported_order_may_bring_units(state: str) -> None:
    body = with_line(fulfilledQuantity=1, cancelledQuantity=1) | {"state": state}
    (line,) = read(body).ask.lines
    assert (line.fulfilled_units, line.cancelled_units) == (1, 1)
    too_many = with_line(fulfilledQuantity=2, cancelledQuantity=1) | {"state": state}
    assert problems(too_many) == [bad("items[0].fulfilledQuantity", "2")]


def test_an_imported_past_is_read() -> None:
    charge = {
        "id": "C1",
        "captures": [{"amount": 27.01, "createdTime": "2024-04-01", "id": "CAP"}],
        "refunds": [{"amount": 1}],
    }
    body = BODY | {"state": "complete", "payment": {"sources": [CARD], "charges": [charge]}}
    assert read(body).ask.charges == (
        ChargeAsk(
            id="C1",
            type=None,
            captures=(PastAmount(2701, datetime(2024, 4, 1, tzinfo=UTC), "CAP"),),
            cancels=None,
            refunds=(PastAmount(100, None),),
        ),
    )


def test_nothing_of_a_past_may_be_worth_nothing_or_in_the_future() -> None:
    charge = {
        "captures": [{"amount": 0}, {}],
        "refunds": [{"amount": 1, "createdTime": "2025-01-01"}],
    }
    path = "payment.charges[0]"
    assert problems(BODY | {"payment": {"sources": [CARD], "charges": [charge]}}) == [
        bad(f"{path}.captures[0].amount", "0"),
        missing(f"{path}.captures[1].amount"),
        bad(f"{path}.refunds[0].createdTime", "2025-01-01"),
    ]


def test_of_a_test_card_only_brand_and_last_digits_are_kept() -> None:
    card = {
        "number": "4000 0000 0000 4111",
        "expirationYear": 2030,
        "cvv": "123",
        "securityCode": "123",
    }
    (source,) = read(with_source(creditCard=card)).sources
    assert json.loads(source.details) == {
        "creditCard": {"brand": "Visa", "expirationYear": 2030, "lastFourDigits": "4111"}
    }
    assert source.trigger == "refund_card_expired"


@pytest.mark.parametrize(
    ("number", "shown"), [("4111 1111 1111 1111", "************1111"), (4111111, "***1111")]
)
def test_an_unlisted_card_is_refused_and_not_shown(number: object, shown: str) -> None:
    path = "payment.sources[0].creditCard.number"
    assert problems(with_source(creditCard={"number": number})) == [bad(path, shown)]


def test_a_live_order_takes_no_card_number_and_no_triggers() -> None:
    card = {"creditCard": {"number": "4444 2222 3333 1111"}}
    path = "payment.sources[0].creditCard.number"
    assert problems(with_source(**card), live=True) == [
        (path, f"'{path}' is an unknown parameter.")
    ]
    owner = {"lastName": "RefundFail"}
    body = with_source(type="googlePay", owner=owner)
    assert read(body).sources[0].trigger == "refund_declined"
    assert read(body, live=True).sources[0].trigger is None


def test_a_source_may_wait_for_its_authorisation() -> None:
    body = with_source(type="directDebit", owner={"lastName": "ChargeRemainPending"})
    assert read(body).ask.sources[0].waits


def test_a_reference_of_the_processor_is_kept_apart() -> None:
    (source,) = read(with_source(processorReference="pi_1", upstreamId="u")).sources
    assert source.processor_reference == "pi_1"
    assert json.loads(source.details) == {"upstreamId": "u"}


def test_a_line_that_is_not_physical_is_known() -> None:
    body = with_line(productDetails={"physical": False, "name": "Song"})
    assert not read(body).ask.lines[0].physical
