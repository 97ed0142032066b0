import json
from decimal import Decimal
from typing import Any

import pytest

from refundry.domain.refund import AmountBasis, ElementAsk, RefundAsk, RefundType
from refundry.errors import BadFields
from refundry.http.document import read_object
from refundry.http.fields import Fields
from refundry.refunds.reading import read_refund

ONE_OF = "Only one of amount, percent and items may be provided."
RANGE = "The value must be between 0.01 and 100.00 inclusive."
BASE = {"orderId": "o1", "currency": "USD"}


def read(body: dict[str, Any], basis: AmountBasis = AmountBasis.LINE) -> RefundAsk:
    return read_refund(Fields(read_object(json.dumps(body).encode()), []), basis)


def problems(body: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    """The problems with `body`: code, parameter, message."""
    with pytest.raises(BadFields) as caught:
        read(body)
    return [(each.code, each.parameter, each.message) for each in caught.value.problems]


def missing(parameter: str) -> tuple[str, str, str]:
    return "missing_parameter", parameter, "A parameter is missing."


def invalid(parameter: str, message: str) -> tuple[str, str, str]:
    return "invalid_parameter", parameter, message


def bad(parameter: str, value: str) -> tuple[str, str, str]:
    return invalid(parameter, f"'{value}' is not a valid {parameter}.")


def test_an_order_level_request_is_read() -> None:
    ask = read(
        BASE
        | {"amount": 13.51, "type": "SHIPPING", "reason": "late", "metadata": {"a": 1, "b": None}}
    )
    assert ask == RefundAsk(
        order_id="o1",
        invoice_id=None,
        currency="USD",
        amount=Decimal("13.51"),
        type=RefundType.SHIPPING,
        reason="late",
        metadata='{"a":1}',
        sent_amount="13.51",
    )


def test_an_item_level_request_is_read() -> None:
    items = [
        {"itemId": "1", "quantity": "2", "percent": 50, "type": "fees"},
        {"skuId": "s", "amount": "1.50"},
    ]
    ask = read({"invoiceId": "i1", "currency": "usd", "items": items}, AmountBasis.UNIT)
    assert (ask.order_id, ask.invoice_id, ask.currency) == (None, "i1", "usd")
    assert ask.basis is AmountBasis.UNIT
    assert ask.items == (
        ElementAsk("1", None, 2, None, Decimal(50), RefundType.FEES, "null"),
        ElementAsk(None, "s", None, Decimal("1.50"), None, None, "1.50"),
    )


def test_empty_items_count_as_absent() -> None:
    assert read(BASE | {"items": [], "percent": 100, "type": "tax"}).items == ()
    assert problems(BASE | {"items": []}) == [missing("amount")]


Problem = tuple[str, str, str]
ORDER_LEVEL: list[tuple[dict[str, Any], list[Problem]]] = [
    ({}, [missing("orderId"), missing("currency"), missing("amount")]),
    (BASE, [missing("amount")]),
    (BASE | {"amount": None, "percent": None, "items": None}, [missing("amount")]),
    (BASE | {"amount": 1, "percent": 1}, [invalid("percent", ONE_OF)]),
    (BASE | {"amount": 1, "items": [{}]}, [invalid("items", ONE_OF)]),
    (BASE | {"percent": 1, "items": [{}]}, [invalid("items", ONE_OF)]),
    (BASE | {"amount": 1, "percent": 1, "items": [{}]},
     [invalid("percent", ONE_OF), invalid("items", ONE_OF)]),
    (BASE | {"amount": 0}, [bad("amount", "0")]),
    (BASE | {"amount": -1}, [bad("amount", "-1")]),
    (BASE | {"amount": 10**12}, [bad("amount", "1000000000000")]),
    (BASE | {"amount": "ten"}, [bad("amount", "ten")]),
    (BASE | {"amount": " 10 "}, [bad("amount", " 10 ")]),
    (BASE | {"amount": "1e1"}, [bad("amount", "1e1")]),
    (BASE | {"amount": True}, [bad("amount", "true")]),
    (BASE | {"percent": 0}, [invalid("percent", RANGE)]),
    (BASE | {"percent": 100.01}, [invalid("percent", RANGE)]),
    (BASE | {"percent": "all"}, [bad("percent", "all")]),
    (BASE | {"percent": 1, "type": "sku"}, [bad("type", "sku")]),
    (BASE | {"percent": 1, "reason": "x" * 65}, [bad("reason", "x" * 65)]),
    (BASE | {"percent": 1, "reason": ""}, [bad("reason", "")]),
    (BASE | {"percent": 1, "metadata": {"a": []}}, [bad("metadata.a", "[]")]),
    (BASE | {"percent": 1, "colour": 1},
     [("unknown_parameter", "colour", "'colour' is an unknown parameter.")]),
    (BASE | {"items": "all"}, [bad("items", "all")]),
    (BASE | {"items": {"0": {}}}, [bad("items", '{"0":{}}')]),
    (BASE | {"items": [{"itemId": "1", "amount": 1}], "type": "fees"}, [bad("type", "fees")]),
    (BASE | {"items": [{"itemId": "1", "amount": 1}], "type": "sku"}, [bad("type", "sku")]),
    ({"orderId": 7, "currency": "USD", "amount": 1}, [bad("orderId", "7")]),
    ({"orderId": "o1", "currency": 7, "amount": 1},
     [invalid("currency", "Currency 7 is not supported.")]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), ORDER_LEVEL)
def test_bad_fields_of_the_order_level_are_named(
    body: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(body) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, [missing("items[0].itemId"), missing("items[0].amount")]),
        ({"itemId": "1"}, [missing("items[0].amount")]),
        ({"amount": 1}, [missing("items[0].itemId")]),
        ({"itemId": "1", "amount": 1, "percent": 1},
         [invalid("items[0].percent", "Only one of amount and percent may be provided.")]),
        ({"itemId": "1", "amount": 0}, [bad("items[0].amount", "0")]),
        ({"itemId": "1", "percent": 0}, [invalid("items[0].percent", RANGE)]),
        ({"itemId": "1", "amount": 1, "quantity": 0}, [bad("items[0].quantity", "0")]),
        ({"itemId": "1", "amount": 1, "quantity": 1.5}, [bad("items[0].quantity", "1.5")]),
        ({"itemId": "1", "amount": 1, "type": "tax"}, [bad("items[0].type", "tax")]),
        ({"itemId": "1", "amount": 1, "type": "importer_tax"},
         [bad("items[0].type", "importer_tax")]),
        ({"itemId": "1", "amount": 1, "x": 1},
         [("unknown_parameter", "items[0].x", "'items[0].x' is an unknown parameter.")]),
    ],
)  # fmt: skip
def test_bad_fields_of_an_element_are_named(
    item: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert problems(BASE | {"items": [item]}) == expected


def test_an_element_that_is_no_object_is_named() -> None:
    body = BASE | {"items": [{"itemId": "1", "amount": 1}, "2"]}
    assert problems(body) == [bad("items[1]", "2")]


def test_five_hundred_elements_are_the_most() -> None:
    items = [{"itemId": str(n), "amount": 1} for n in range(501)]
    assert len(read(BASE | {"items": items[:500]}).items) == 500
    assert [each[1] for each in problems(BASE | {"items": items})] == ["items"]


def test_everything_wrong_is_told_at_once_in_the_order_of_the_table() -> None:
    body = {
        "metadata": 1, "reason": "", "items": [{"amount": 0}], "type": "x", "colour": 1,
        "percent": 0, "amount": "x", "invoiceId": "", "orderId": "",
    }  # fmt: skip
    assert [each[1] for each in problems(body)] == [
        "orderId", "invoiceId", "currency", "amount", "percent", "type", "items", "reason",
        "metadata", "colour",
    ]  # fmt: skip
