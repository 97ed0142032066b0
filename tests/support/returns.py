"""The steps of a return: asked for, taken in part by part, accepted."""

import httpx

from tests.support.fixtures import element
from tests.support.http import Api, Doc, assert_conflict, expect

ACCEPTED = {"state": "accepted"}


def ask_return(api: Api, order: Doc, *units: object, **fields: object) -> httpx.Response:
    """POST /returns. units: one figure per line, 0 leaves the line out."""
    items = [
        element(order, letter, quantity=count)
        for letter, count in zip("ab", units, strict=False)
        if count
    ]
    return api.post("/returns", {"orderId": order["id"], "items": items, **fields})


def given_return(api: Api, order: Doc, *units: object, **fields: object) -> Doc:
    """A return of which nothing has arrived."""
    made = expect(ask_return(api, order, *units, **fields), 201)
    assert made["state"] == "created"
    return made


def update_return(api: Api, goods: Doc, body: Doc) -> httpx.Response:
    return api.post(f"/returns/{goods['id']}", body)


def arrival(order: Doc, letter: str, quantity: object) -> Doc:
    """An element of `items` that accepts units of a line."""
    return element(order, letter, quantity=quantity, state="accepted")


def ask_units(
    api: Api, order: Doc, goods: Doc, letter: str = "a", quantity: object = 1
) -> httpx.Response:
    """Accept some units of a line."""
    return update_return(api, goods, {"items": [arrival(order, letter, quantity)]})


def accept_units(api: Api, order: Doc, goods: Doc, letter: str, quantity: int) -> Doc:
    return expect(ask_units(api, order, goods, letter, quantity))


def accept_return(api: Api, goods: Doc) -> Doc:
    """Accept all that is outstanding."""
    accepted = expect(update_return(api, goods, ACCEPTED))
    assert accepted["state"] == "accepted"
    return accepted


def accepted_return(api: Api, order: Doc, *units: int, **fields: object) -> Doc:
    return accept_return(api, given_return(api, order, *units, **fields))


def get_return(api: Api, goods: Doc) -> Doc:
    return expect(api.get(f"/returns/{goods['id']}"))


def assert_too_many(response: httpx.Response, parameter: str = "items[0].qty") -> None:
    message = "Return quantity is larger than order quantity"
    assert_conflict(response, "quantity_too_large", parameter, message)


def assert_return_in_dispute(response: httpx.Response) -> None:
    message = "A return cannot be performed while there is a dispute on the order."
    assert_conflict(response, "invalid_parameter", "order", message)
