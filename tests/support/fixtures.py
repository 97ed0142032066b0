"""The orders A to W of acceptance.md, and the steps its cases are made of.

A line is `amount + tax x quantity`; its letter (a, b) is its place in the order.
"""

import copy
from decimal import Decimal

import httpx

from tests.support.http import Api, Doc, expect, money

VISA = "4444 2222 3333 1111"
SUCCESS = [
    "refund.created",
    "refund.pending",
    "order.charge.refund.pending",
    "order.charge.refund.complete",
    "refund.complete",
    "order.refunded",
]
FAILURE = [*SUCCESS[:3], "order.charge.refund.failed", "refund.failed"]
CAPTURE = [
    "fulfillment.created",
    "order.charge.capture.pending",
    "order.charge.processing",
    "order.fulfilled",
    "order.charge.capture.complete",
    "order.charge.complete",
    "order.complete",
]


def line(
    amount: float, tax: float, quantity: int, sku: str = "sku-tee", **components: object
) -> Doc:
    tax_part = {"tax": {"amount": tax}}
    return {"skuId": sku, "amount": amount, "quantity": quantity, **tax_part, **components}


def source(type: str, amount: float, last_name: str = "Lind", **more: object) -> Doc:
    owner = {"firstName": "Ana", "lastName": last_name, "email": "ana.lind@example.com"}
    return {"type": type, "amount": amount, "owner": owner, **more}


def card(amount: float, number: str = VISA) -> Doc:
    details = {"number": number, "expirationMonth": 7, "expirationYear": 2030}
    return source("creditCard", amount, creditCard=details)


def credit(amount: float, last_name: str = "Lind") -> Doc:
    return source("customerCredit", amount, last_name)


def _order(
    currency: str,
    total: float,
    lines: list[Doc],
    shipping: tuple[float, float] | None = None,
    sources: list[Doc] | None = None,
) -> Doc:
    """shipping: amount and tax. sources: one card unless given."""
    order: Doc = {"currency": currency, "email": "ana.lind@example.com", "items": lines}
    if shipping is not None:
        order["shippingChoice"] = {
            "amount": shipping[0],
            "taxAmount": shipping[1],
            "description": "standard",
            "serviceLevel": "SG",
        }
    order["totalAmount"] = total
    order["payment"] = {"sources": sources or [card(total)]}
    return order


_TEE = line(20.00, 1.61, 2)
_TEE_G = line(20.00, 1.51, 2)
_SHIP_A = (5.00, 0.40)
_SHIP_G = (5.00, 0.38)
_GERMAN = {"line1": "Am Markt 1", "city": "Bremen", "postalCode": "28195", "country": "DE"}
_WIRE = source("wireTransfer", 29.75)
_WIRE["owner"]["address"] = _GERMAN

FIXTURES: dict[str, Doc] = {
    "A": _order("USD", 27.01, [_TEE], _SHIP_A),
    "B": _order("USD", 64.82, [_TEE, line(40.00, 3.21, 4, "sku-cap")]),
    "C": _order("USD", 94.53, [_TEE, line(67.50, 5.42, 3, "sku-cap")]),
    "D": _order(
        "EUR",
        27.10,
        [line(10.00, 0, 1, duties={"amount": 2.40}, importerTax={"amount": 4.70})],
        (10.00, 0),
    ),
    "E": _order(
        "USD",
        44.09,
        [line(20.00, 1.51, 2, fees={"amount": 16.00, "taxAmount": 1.20})],
        _SHIP_G,
    ),
    "F": _order(
        "USD",
        27.00,
        [
            line(10.00, 0.80, 1, "sku-tee", shipping={"amount": 2.50, "taxAmount": 0.20}),
            line(10.00, 0.80, 1, "sku-cap", shipping={"amount": 2.50, "taxAmount": 0.20}),
        ],
        _SHIP_A,
    ),
    "G": _order("USD", 26.89, [_TEE_G], _SHIP_G, [card(6.89), credit(20.00)]),
    "H": _order("USD", 26.89, [_TEE_G], _SHIP_G, [card(15.89), credit(11.00)]),
    "J": _order("JPY", 3301, [line(3000, 301, 1)], sources=[source("konbini", 3301)]),
    "K": _order("BHD", 10.505, [line(10.005, 0.500, 1)]),
    "L": _order("USD", 42.01, [line(15.00, 0, 1), line(25.00, 2.01, 1, "sku-cap")]),
    "M": _order("USD", 64.82, [line(60.00, 4.82, 3)]),
    "N": _order("USD", 145.16, [line(90.00, 6.78, 3), line(45.00, 3.38, 2, "sku-cap")]),
    "P": _order("USD", 27.01, [line(25.00, 2.01, 1)]),
    "Q": _order(
        "EUR",
        29.75,
        [
            line(10.00, 1.90, 1, productDetails={"id": "p1", "name": "Tee", "physical": True}),
            line(
                10.00,
                1.90,
                1,
                "sku-app",
                productDetails={"id": "p2", "name": "App", "physical": False},
            ),
        ],
        (5.00, 0.95),
        [_WIRE],
    ),
    "R": _order("USD", 27.01, [_TEE], _SHIP_A, [card(27.01, "4000 0000 0000 4111")]),
    "S": _order("USD", 27.01, [_TEE], _SHIP_A, [card(27.01, "4556 6025 6424 0839")]),
    "V": _order("USD", 86.43, [_TEE, line(60.00, 4.82, 3, "sku-cap")]),
    "W": _order("USD", 70.22, [_TEE, line(45.00, 3.61, 3, "sku-cap")]),
}


def order_body(name: str, **fields: object) -> Doc:
    """The body of POST /orders for a fixture; `fields` replace its own."""
    return {**copy.deepcopy(FIXTURES[name]), **fields}


def paid_by(*sources: Doc) -> Doc:
    """`payment` of an order body, to go as a field into `order_body`."""
    return {"sources": list(sources)}


def given_accepted(api: Api, name: str, **fields: object) -> Doc:
    body = order_body(name, **fields)
    order = expect(api.post("/orders", body), 201)
    assert order["state"] == "accepted"
    assert order["totalAmount"] == money(str(body["totalAmount"]))
    return order


def given_captured(api: Api, name: str, **fields: object) -> Doc:
    """Ingested accepted, fully fulfilled, settled: `complete`, and all of it captured."""
    order = given_accepted(api, name, **fields)
    fulfil(api, order, *(item["quantity"] for item in order["items"]))
    settle(api)
    order = get_order(api, order)
    assert (order["state"], order["capturedAmount"]) == ("complete", order["totalAmount"])
    return order


def given_half_captured(api: Api) -> Doc:
    """A, of which 1 of 2 units is fulfilled and settled."""
    order = given_accepted(api, "A")
    fulfil(api, order, 1)
    settle(api)
    return get_order(api, order)


def given_partly_cancelled(api: Api) -> Doc:
    """N as O-13 leaves it: a 2 and b 1 fulfilled, a 1 and b 1 cancelled, settled."""
    order = given_accepted(api, "N")
    fulfil(api, order, 2, 1)
    cancel(api, order, 1, 1)
    settle(api)
    return get_order(api, order)


def advance(api: Api, seconds: int) -> None:
    """Moves the account's test clock and runs all the work that is due (secret test key)."""
    expect(api.post("/refundry/v1/test/advance", {"seconds": seconds}))


def settle(api: Api) -> None:
    advance(api, 0)


def get_order(api: Api, order: Doc) -> Doc:
    return expect(api.get(f"/orders/{order['id']}"))


def get_refund(api: Api, refund: Doc) -> Doc:
    return expect(api.get(f"/refunds/{refund['id']}"))


def ask_to_fulfil(api: Api, order: Doc, key: str, *units: int) -> httpx.Response:
    """key: quantity or cancelQuantity. units: one figure per line, 0 leaves the line out."""
    parts = zip(order["items"], units, strict=True)
    items = [{"itemId": item["id"], key: count} for item, count in parts if count]
    return api.post("/fulfillments", {"orderId": order["id"], "items": items})


def fulfil(api: Api, order: Doc, *units: int) -> Doc:
    return expect(ask_to_fulfil(api, order, "quantity", *units), 201)


def cancel(api: Api, order: Doc, *units: int) -> Doc:
    return expect(ask_to_fulfil(api, order, "cancelQuantity", *units), 201)


def element(order: Doc, letter: str, **fields: object) -> Doc:
    """An element of `items` of a refund request: a line by its letter, and `fields`."""
    return {"itemId": order["items"]["ab".index(letter)]["id"], **fields}


def ask(api: Api, order: Doc, **fields: object) -> httpx.Response:
    """POST /refunds on the order in its currency; a field of None is left out."""
    body = {"orderId": order["id"], "currency": order["currency"], **fields}
    return api.post("/refunds", {key: value for key, value in body.items() if value is not None})


def ask_line(api: Api, order: Doc, letter: str = "a", **fields: object) -> httpx.Response:
    """POST /refunds with one element."""
    return ask(api, order, items=[element(order, letter, **fields)])


def refund(api: Api, order: Doc, **fields: object) -> Doc:
    """An accepted refund, not yet submitted."""
    made = expect(ask(api, order, **fields), 201)
    assert (made["state"], made["refundedAmount"]) == ("pending", 0)
    return made


def refund_line(api: Api, order: Doc, letter: str = "a", **fields: object) -> Doc:
    return refund(api, order, items=[element(order, letter, **fields)])


def settled_refund(api: Api, order: Doc, **fields: object) -> Doc:
    """A refund after its processor has answered."""
    made = refund(api, order, **fields)
    settle(api)
    return get_refund(api, made)


def line_amounts(refund: Doc) -> list[Decimal]:
    return [item["amount"] for item in refund["items"]]


def monies(*texts: str) -> list[Decimal]:
    return [money(text) for text in texts]


def assert_available(api: Api, order: Doc, total: str | None, *lines: str) -> None:
    """The order's availableToRefundAmount (None: not stated) and, if given, those of its lines."""
    now = get_order(api, order)
    if total is not None:
        assert now["availableToRefundAmount"] == money(total)
    if lines:
        assert [item["availableToRefundAmount"] for item in now["items"]] == monies(*lines)


def charges(api: Api, order: Doc) -> dict[str, Doc]:
    """The order's charges as GET /charges/{id} shows them, by the type of their source."""
    types = {source["id"]: source["type"] for source in order["payment"]["sources"]}
    ids = [charge["id"] for charge in order["payment"]["charges"]]
    full = [expect(api.get(f"/charges/{charge_id}")) for charge_id in ids]
    return {types[charge["sourceId"]]: charge for charge in full}


def only_charge(api: Api, order: Doc) -> Doc:
    (charge,) = charges(api, order).values()
    return charge


def amounts(records: list[Doc]) -> list[Decimal]:
    return [record["amount"] for record in records]


def paid_through(order: Doc, refund: Doc) -> list[tuple[str, Decimal]]:
    """The refund's charge-level records in its own order: type of the source, amount."""
    types = {source["id"]: source["type"] for source in order["payment"]["sources"]}
    return [
        (types[charge["sourceId"]], record["amount"])
        for charge in refund["charges"]
        for record in charge["refunds"]
    ]


def listed(api: Api, path: str) -> list[str]:
    """Ids of one page of a list, in its order."""
    return [entry["id"] for entry in expect(api.get(path))["data"]]


def event_log(api: Api) -> list[Doc]:
    """All events of the account and mode, in creation order."""
    page = expect(api.get("/events?limit=100"))
    events: list[Doc] = page["data"]
    while page["hasMore"]:
        page = expect(api.get(f"/events?limit=100&startingAfter={events[-1]['id']}"))
        events += page["data"]
    return events[::-1]


def mark(api: Api) -> int:
    """A point in the account's events, for `events_since`."""
    return len(event_log(api))


def events_since(api: Api, mark: int) -> list[Doc]:
    return event_log(api)[mark:]


def types_since(api: Api, mark: int) -> list[str]:
    return [event["type"] for event in events_since(api, mark)]
