"""The fields of returns: what is refused, and what an update leaves."""

from unittest.mock import ANY

import httpx
import pytest

from tests.support.disputes import given_dispute
from tests.support.fixtures import (
    element,
    events_since,
    given_captured,
    listed,
    mark,
    order_body,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_bad,
    assert_conflict,
    assert_invalid,
    assert_missing,
    assert_unknown,
    error,
    expect,
    money,
    read,
)
from tests.support.returns import (
    arrival,
    ask_return,
    ask_units,
    assert_return_in_dispute,
    assert_too_many,
    get_return,
    given_return,
    update_return,
)

ADDRESS = {
    "line1": "Am Markt 1",
    "city": "Bremen",
    "postalCode": "28195",
    "state": "HB",
    "country": "DE",
}
LOCATION = {"address": ADDRESS, "name": "Dock 4", "phone": "1", "email": "dock@example.com"}


@pytest.fixture
def order(api: Api) -> Doc:
    return given_captured(api, "V")


def errors_of(response: httpx.Response) -> list[Doc]:
    assert response.status_code == 400, response.text
    return read(response)["errors"]


def missing(parameter: str) -> Doc:
    return error("missing_parameter", parameter, "A parameter is missing.")


def test_every_bad_field_is_listed(api: Api) -> None:
    body: Doc = {
        "items": [{"quantity": 0}, {"skuId": "s"}],
        "reason": "x" * 65,
        "metadata": {"a": []},
    }
    assert errors_of(api.post("/returns", body)) == [
        missing("orderId"),
        missing("items[0].itemId"),
        error("invalid_parameter", "items[0].quantity", "'0' is not a valid items[0].quantity."),
        missing("items[1].quantity"),
        error("invalid_parameter", "reason", f"'{'x' * 65}' is not a valid reason."),
        error("invalid_parameter", "metadata.a", "'[]' is not a valid metadata.a."),
    ]


def test_items_are_required(api: Api, order: Doc) -> None:
    assert_missing(api.post("/returns", {"orderId": order["id"]}), "items")
    assert ask_return(api, order, items=[]).status_code == 400
    assert ask_return(api, order, items=[element(order, "a", quantity=1)] * 501).status_code == 400
    assert listed(api, "/returns") == []


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (-1, "-1"), (1.5, "1.5"), (True, "true"), ("two", "two")]
)
def test_quantity_is_a_whole_number_from_one(
    api: Api, order: Doc, value: object, shown: str
) -> None:
    goods = given_return(api, order, 2)
    items = [element(order, "a", quantity=value)]
    assert_invalid(ask_return(api, order, items=items), "items[0].quantity", shown)
    assert_invalid(ask_units(api, order, goods, "a", value), "items[0].quantity", shown)


def test_numbers_may_be_texts(api: Api, order: Doc) -> None:
    goods = given_return(api, order, "2.0000")
    assert goods["items"][0]["quantity"] == 2
    after = expect(ask_units(api, order, goods, "a", "1"))
    assert after["items"][0]["quantityAccepted"] == 1


def test_unknown_members_are_refused(api: Api, order: Doc) -> None:
    assert_unknown(ask_return(api, order, 1, foo=1), "foo")
    items = [element(order, "a", quantity=1, bar=1)]
    assert_unknown(ask_return(api, order, items=items), "items[0].bar")
    address = {"address": {**ADDRESS, "planet": "Earth"}}
    assert_unknown(ask_return(api, order, 1, location=address), "location.address.planet")
    assert_unknown(ask_return(api, order, 1, location={**LOCATION, "dock": 4}), "location.dock")
    goods = given_return(api, order, 1)
    assert_unknown(update_return(api, goods, {"reason": "other"}), "reason")
    body = {"items": [{**arrival(order, "a", 1), "bar": 1}]}
    assert_unknown(update_return(api, goods, body), "items[0].bar")
    assert get_return(api, goods) == goods


@pytest.mark.parametrize("name", list(ADDRESS))
def test_an_address_is_whole(api: Api, order: Doc, name: str) -> None:
    location = {"address": {key: value for key, value in ADDRESS.items() if key != name}}
    parameter = f"location.address.{name}"
    assert_missing(ask_return(api, order, 1, location=location), parameter)
    goods = given_return(api, order, 1)
    assert_missing(update_return(api, goods, {"location": location}), parameter)


def test_an_empty_address_misses_all_of_it(api: Api, order: Doc) -> None:
    response = ask_return(api, order, 1, location={"address": {"line2": "Dock 4"}})
    assert errors_of(response) == [missing(f"location.address.{name}") for name in ADDRESS]


def test_location_is_shown_as_sent_and_replaced_as_a_whole(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 1, location=LOCATION)
    assert goods["location"] == LOCATION
    start, moved = mark(api), {"address": {**ADDRESS, "line2": "Gate 2", "city": "Emden"}}
    after = expect(update_return(api, goods, {"location": moved}))
    assert after["location"] == moved
    (event,) = events_since(api, start)
    assert event["type"] == "return.updated"
    assert event["data"] == {"object": after, "previousAttributes": {"location": LOCATION}}


def test_a_first_location_had_nothing_before(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 1)
    start = mark(api)
    after = expect(update_return(api, goods, {"location": LOCATION}))
    (event,) = events_since(api, start)
    assert event["data"] == {"object": after, "previousAttributes": {"location": {}}}


def test_metadata_is_merged_and_cleared(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 1, metadata={"a": "x", "n": 1.5, "b": True})
    assert goods["metadata"] == {"a": "x", "n": money("1.5"), "b": True}
    start = mark(api)
    after = expect(update_return(api, goods, {"metadata": {"n": None, "c": 2}}))
    assert after["metadata"] == {"a": "x", "b": True, "c": 2}
    cleared = expect(api.post(f"/returns/{goods['id']}", {"metadata": None}))
    assert "metadata" not in cleared
    previous = [event["data"]["previousAttributes"] for event in events_since(api, start)]
    assert previous == [{"metadata": goods["metadata"]}, {"metadata": after["metadata"]}]
    assert types_since(api, start) == ["return.updated"] * 2


def test_unknown_order_or_item(api: Api, order: Doc) -> None:
    response = api.post("/returns", {"orderId": "000", "items": [{"itemId": "x", "quantity": 9}]})
    assert_bad(response, "invalid_parameter", "orderId", "Order '000' not found.")
    items = [element(order, "b", quantity=9), {"itemId": "nope", "quantity": 1}]
    response = ask_return(api, order, items=items)
    assert_bad(response, "invalid_parameter", "items[1].itemId", "Item 'nope' not found.")
    response = ask_return(api, order, items=[{"skuId": "sku-no", "quantity": 1}])
    assert_bad(response, "invalid_parameter", "items[0].skuId", "Item 'sku-no' not found.")


def test_dispute_is_looked_at_before_items(api: Api, order: Doc) -> None:
    given_dispute(api, order)
    assert_return_in_dispute(ask_return(api, order, items=[{"itemId": "nope", "quantity": 1}]))
    response = ask_return(api, order, items=[element(order, "a", quantity=0)])
    assert_invalid(response, "items[0].quantity", "0")


def test_lines_go_by_sku(api: Api, order: Doc) -> None:
    items = [{"skuId": "sku-cap", "quantity": 2}]
    goods = expect(api.post("/returns", {"orderId": order["id"], "items": items}), 201)
    assert goods["items"][0]["itemId"] == order["items"][1]["id"]
    taken = [{"skuId": "sku-cap", "quantity": 2, "state": "ACCEPTED"}]
    assert expect(update_return(api, goods, {"items": taken}))["state"] == "accepted"


def test_a_sku_of_two_lines_names_neither(api: Api) -> None:
    lines = order_body("B")["items"]
    lines[1]["skuId"] = "sku-tee"
    order = given_captured(api, "B", items=lines)
    response = ask_return(api, order, items=[{"skuId": "sku-tee", "quantity": 1}])
    message = "SKU 'sku-tee' matches more than one item."
    assert_bad(response, "invalid_parameter", "items[0].skuId", message)


def test_the_same_line_twice_is_added_up(api: Api, order: Doc) -> None:
    two = [element(order, "b", quantity=2)] * 2
    response = ask_return(api, order, items=[element(order, "a", quantity=1), *two])
    assert_conflict(response, "quantity_too_large", ANY, ANY)
    assert read(response)["errors"][0]["parameter"] in ("items[1].qty", "items[2].qty")
    parts = [element(order, "b", quantity=1), element(order, "b", quantity=2)]
    goods = expect(ask_return(api, order, items=parts), 201)
    assert [item["quantity"] for item in goods["items"]] == [3]
    twice = [arrival(order, "b", 2), arrival(order, "b", 2)]
    response = update_return(api, goods, {"items": twice})
    assert_conflict(response, "quantity_too_large", ANY, ANY)
    after = expect(update_return(api, goods, {"items": [arrival(order, "b", 1)] * 2}))
    assert after["items"][0]["quantityAccepted"] == 2


def test_the_first_line_that_exceeds_is_named(api: Api, order: Doc) -> None:
    assert_too_many(ask_return(api, order, 1, 4), "items[1].qty")
    assert_too_many(ask_return(api, order, 3, 4), "items[0].qty")
    goods = given_return(api, order, 2, 3)
    items = [arrival(order, "a", 2), arrival(order, "b", 4)]
    assert_too_many(update_return(api, goods, {"items": items}), "items[1].qty")
    assert get_return(api, goods) == goods


def test_elements_of_an_acceptance_are_whole(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 2)
    body = {"items": [element(order, "a", state="accepted")]}
    assert_missing(update_return(api, goods, body), "items[0].quantity")
    body = {"items": [element(order, "a", quantity=1)]}
    assert_missing(update_return(api, goods, body), "items[0].state")
    body = {"items": [{"quantity": 1, "state": "accepted"}]}
    assert_missing(update_return(api, goods, body), "items[0].itemId")
    body = {"items": [element(order, "a", quantity=1, state="created")]}
    response = update_return(api, goods, body)
    assert response.status_code == 400
    assert read(response)["errors"][0]["code"] == "invalid_parameter"
    assert_invalid(update_return(api, goods, {"state": "created"}), "state", "created")


def test_only_items_of_the_return_are_accepted(api: Api, order: Doc) -> None:
    goods, other = given_return(api, order, 2), order["items"][1]
    message = f"Item '{other['id']}' not found."
    response = ask_units(api, order, goods, "b", 1)
    assert_bad(response, "invalid_parameter", "items[0].itemId", message)
    body = {"items": [{"skuId": "sku-cap", "quantity": 1, "state": "accepted"}]}
    message = "Item 'sku-cap' not found."
    assert_bad(update_return(api, goods, body), "invalid_parameter", "items[0].skuId", message)
