"""Previews over HTTP: the worked figures, the refusals, and that nothing comes of them."""

from tests.support.fixtures import (
    ask,
    element,
    event_log,
    get_order,
    get_refund,
    given_captured,
    refund,
    settle,
)
from tests.support.http import Api, Doc, assert_bad, assert_missing, expect, money
from tests.support.service import Account, Service

PATH = "/refundry/v1/refund-previews"


def preview(api: Api, order: Doc, **fields: object) -> Doc:
    """What a refund of an order would come to."""
    body = {"orderId": order["id"], "currency": order["currency"], **fields}
    return expect(api.post(PATH, body))


def test_half_of_an_order_to_the_cent(api: Api) -> None:
    order = given_captured(api, "A")
    before = get_order(api, order), event_log(api)
    shown = preview(api, order, percent=50)
    assert (shown["allowed"], shown["refusals"], shown["notIncluded"]) == (True, [], [])
    assert (shown["amount"], shown["mostAmount"]) == (money("13.51"), money("27.01"))
    given = {name: value for name, value in shown["components"].items() if value}
    assert given == {
        "product": money("10.0"), "tax": money("0.81"), "shipping": money("2.5"),
        "shippingTax": money("0.2"),
    }  # fmt: skip
    (line,) = shown["lines"]
    assert line["components"] == shown["components"]
    assert (line["availableToRefundAmount"], line["availableAfterwards"]) == (
        money("21.61"), money("10.8"),
    )  # fmt: skip
    assert shown["availableAfterwards"] == money("13.5")
    assert before == (get_order(api, order), event_log(api))


def test_the_split_is_the_one_that_is_then_made(api: Api) -> None:
    order = given_captured(api, "G")
    refund(api, order, percent=10)
    shown = preview(api, order, percent=50)
    made = refund(api, order, percent=50)
    settle(api)
    charges = get_refund(api, made)["charges"]
    told = {each["id"]: each["amount"] for each in shown["charges"]}
    assert told == {each["id"]: each["refunds"][0]["amount"] for each in charges}
    assert sum(told.values()) == made["amount"] == shown["amount"]


def test_items_and_what_is_left_out(api: Api) -> None:
    order = given_captured(api, "E")
    shown = preview(api, order, items=[element(order, "a", quantity=1, percent=100)])
    (item,) = shown["items"]
    assert (item["quantity"], item["amount"]) == (1, shown["amount"])
    left_out = {each["component"]: each for each in shown["notIncluded"]}
    assert set(left_out) == {"shipping", "shippingTax", "fees", "feesTax"}
    assert (left_out["fees"]["amount"], left_out["fees"]["type"]) == (money("16.0"), "fees")


def test_refusals_are_those_of_the_request(api: Api) -> None:
    order = given_captured(api, "A")
    shown = preview(api, order, amount=27.02)
    assert (shown["allowed"], shown["amount"]) == (False, 0)
    assert shown["refusals"] == ask(api, order, amount=27.02).json()["errors"]
    assert shown["availableAfterwards"] == money("27.01")
    shown = preview(api, order, amount=27.02, currency="EUR")
    assert [each["parameter"] for each in shown["refusals"]] == ["currency", "amountRequested"]


def test_bodies_that_are_no_request_are_answered_alike(api: Api) -> None:
    order = given_captured(api, "A")
    assert_missing(api.post(PATH, {"orderId": order["id"], "amount": 1}), "currency")
    for body in (
        {},
        {"orderId": order["id"], "currency": "USD", "amount": -1, "colour": 1},
        {"orderId": "none", "currency": "USD", "amount": 1},
        {"invoiceId": "none", "currency": "USD", "amount": 1},
    ):
        answer, same = api.post(PATH, body), api.post("/refunds", body)
        assert (answer.status_code, answer.json()) == (400, same.json())
    nobody = {"orderId": "none", "currency": "USD", "amount": 1}
    assert_bad(api.post(PATH, nobody), "invalid_parameter", "orderId", "Order 'none' not found.")


def _key(account: Account, **permissions: str) -> str:
    return account.create_key(kind="restricted", permissions=permissions)


def test_reading_refunds_is_right_enough(service: Service, account: Account) -> None:
    api = service.api(account.secret_test)
    order = given_captured(api, "A")
    body = {"orderId": order["id"], "currency": "USD", "amount": 1}
    reader = service.api(_key(account, refunds="read"))
    assert reader.post(PATH, body).status_code == 200
    assert reader.post("/refunds", body).status_code == 403
    other = service.api(_key(account, refunds="write"))
    assert other.post(PATH, body).status_code == 403
    stranger = service.api(service.open_account().secret_test)
    assert stranger.post(PATH, body).status_code == 400
