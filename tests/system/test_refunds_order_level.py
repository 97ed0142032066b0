"""Acceptance cases R-01 to R-26: refunds of a whole order."""

import pytest

from tests.support.fixtures import (
    SUCCESS,
    ask,
    assert_available,
    element,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    given_captured,
    given_half_captured,
    listed,
    mark,
    refund,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import (
    Api,
    assert_bad,
    assert_invalid,
    assert_missing,
    assert_not_available,
    money,
)

PERCENT_RANGE = "The value must be between 0.01 and 100.00 inclusive."
ONLY_ONE = "Only one of amount, percent and items may be provided."


def test_r_01_half_is_held_at_once(api: Api) -> None:
    order = given_captured(api, "A")
    made = refund(api, order, percent=50)
    assert (made["amount"], made["items"], made["refundedAmount"]) == (money("13.51"), [], 0)
    assert made["state"] == "pending"
    assert not {"charges", "percent"} & set(made)
    assert_available(api, order, "13.5", "10.8")
    assert get_order(api, order)["refundedAmount"] == money("0.0")


def test_r_02_half_succeeds(api: Api) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    made = settled_refund(api, order, percent=50)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("13.51"))
    (charge,) = made["charges"]
    (record,) = charge["refunds"]
    assert (charge["captured"], charge["refunded"]) == (True, True)
    assert set(record) == {"createdTime", "amount", "state"}
    assert (record["amount"], record["state"]) == (money("13.51"), "complete")
    now = get_order(api, order)
    assert (now["refundedAmount"], now["state"]) == (money("13.51"), "complete")
    assert_available(api, order, "13.5")
    assert types_since(api, start) == SUCCESS


def test_r_03_half_again(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, percent=50)
    assert refund(api, order, percent=50)["amount"] == money("6.75")
    assert_available(api, order, "6.75", "5.4")


def test_r_04_then_all_that_is_left(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, percent=50)
    refund(api, order, percent=50)
    assert refund(api, order, percent=100)["amount"] == money("6.75")
    assert_available(api, order, "0.0", "0.0")


def test_r_05_amount_as_a_string(api: Api) -> None:
    order = given_captured(api, "A")
    assert refund(api, order, amount="27.01")["amount"] == money("27.01")
    assert_available(api, order, "0.0")


def test_r_06_full_refund_keeps_the_state(api: Api) -> None:
    order = given_captured(api, "A")
    assert settled_refund(api, order, percent=100)["amount"] == money("27.01")
    now = get_order(api, order)
    assert (now["refundedAmount"], now["state"]) == (money("27.01"), "complete")


def test_r_07_more_than_available(api: Api) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    assert_not_available(ask(api, order, amount=27.02))
    assert_available(api, order, "27.01")
    assert types_since(api, start) == []


def test_r_08_to_the_last_cent(api: Api) -> None:
    order = given_captured(api, "A")
    refund(api, order, amount=10.00)
    assert_available(api, order, None, "13.61")
    assert_not_available(ask(api, order, amount=17.02))
    refund(api, order, amount=17.01)
    assert_available(api, order, "0.0")


def test_r_09_a_third(api: Api) -> None:
    order = given_captured(api, "A")
    assert refund(api, order, percent=33.33)["amount"] == money("9.0")
    assert_available(api, order, "18.01", "14.41")


def test_r_10_percent_that_rounds_to_nothing(api: Api) -> None:
    order = given_captured(api, "A")
    message = "The requested refund amount is less than the smallest refundable amount."
    assert_bad(ask(api, order, percent=0.01), "invalid_parameter", "amountRequested", message)


def test_r_11_smallest_percent(api: Api) -> None:
    order = given_captured(api, "A")
    assert refund(api, order, percent=0.02)["amount"] == money("0.01")
    assert_available(api, order, "27.0", "21.6")


@pytest.mark.parametrize("percent", [0, 100.01, -5])
def test_r_12_percent_out_of_range(api: Api, percent: float) -> None:
    response = ask(api, given_captured(api, "A"), percent=percent)
    assert_bad(response, "invalid_parameter", "percent", PERCENT_RANGE)


def test_r_12_percent_is_not_a_boolean(api: Api) -> None:
    assert_invalid(ask(api, given_captured(api, "A"), percent=True), "percent", "true")


@pytest.mark.parametrize(("amount", "shown"), [(0, "0"), (-1, "-1"), ("abc", "abc")])
def test_r_13_bad_amount(api: Api, amount: object, shown: str) -> None:
    assert_invalid(ask(api, given_captured(api, "A"), amount=amount), "amount", shown)


def test_r_14_currency(api: Api) -> None:
    order = given_captured(api, "A")
    response = ask(api, order, currency="EUR", percent=50)
    assert_bad(response, "invalid_parameter", "currency", "Currency EUR is not supported.")
    assert_missing(ask(api, order, currency=None, percent=50), "currency")


def test_r_15_order(api: Api) -> None:
    body = {"currency": "USD", "percent": 50}
    assert_missing(api.post("/refunds", body), "orderId")
    response = api.post("/refunds", {**body, "orderId": "000"})
    assert_bad(response, "invalid_parameter", "orderId", "Order '000' not found.")


def test_r_16_exactly_one_of_amount_percent_and_items(api: Api) -> None:
    order = given_captured(api, "A")
    response = ask(api, order, amount=1.00, percent=50)
    assert_bad(response, "invalid_parameter", "percent", ONLY_ONE)
    assert_missing(ask(api, order), "amount")
    response = ask(api, order, amount=1.00, items=[element(order, "a", percent=50)])
    assert_bad(response, "invalid_parameter", "items", ONLY_ONE)
    assert listed(api, "/refunds") == []


def test_r_17_no_items_count_as_absent(api: Api) -> None:
    order = given_captured(api, "A")
    assert refund(api, order, items=[], percent=50)["amount"] == money("13.51")


def test_r_18_type(api: Api) -> None:
    order = given_captured(api, "A")
    assert_invalid(ask(api, order, type="sku", percent=50), "type", "sku")
    response = ask(api, order, type="shipping", items=[element(order, "a", percent=50)])
    assert_invalid(response, "type", "shipping")


def test_r_19_nothing_captured(api: Api) -> None:
    order = given_accepted(api, "A")
    assert_not_available(ask(api, order, amount=1.00))
    assert_not_available(ask(api, order, percent=100))


def test_r_20_half_captured(api: Api) -> None:
    order = given_half_captured(api)
    assert refund(api, order, percent=100)["amount"] == money("13.51")
    assert_available(api, order, "0.0")
    assert_not_available(ask(api, given_half_captured(api), amount=27.01))


def test_r_21_the_other_half_is_captured_later(api: Api) -> None:
    order = given_half_captured(api)
    refund(api, order, percent=100)
    fulfil(api, order, 1)
    settle(api)
    assert_available(api, order, "13.5", "10.8")


def test_r_22_order_by_its_invoice(api: Api) -> None:
    order = given_captured(api, "A", invoiceId="I1")
    made = refund(api, order, orderId=None, invoiceId="I1", percent=50)
    assert (made["orderId"], made["invoiceId"]) == (order["id"], "I1")
    assert get_refund(api, made)["invoiceId"] == "I1"


def test_r_23_quarter_of_two_lines(api: Api) -> None:
    order = given_captured(api, "B")
    assert refund(api, order, percent=25)["amount"] == money("16.21")
    assert_available(api, order, None, "16.21", "32.4")


def test_r_24_amount_over_two_lines(api: Api) -> None:
    order = given_captured(api, "L")
    refund(api, order, amount=10.00)
    assert_available(api, order, "32.01", "11.43", "20.58")


def test_r_25_amount_over_item_shipping(api: Api) -> None:
    order = given_captured(api, "F")
    refund(api, order, amount=10.00)
    assert_available(api, order, "17.0", "6.8", "6.8")
    assert refund(api, order, type="shipping", percent=100)["amount"] == money("3.4")


def test_r_26_half_with_duty_and_importer_tax(api: Api) -> None:
    order = given_captured(api, "D")
    assert refund(api, order, percent=50)["amount"] == money("13.55")
    assert_available(api, order, None, "5.0")
    assert refund(api, order, type="importer_tax", percent=100)["amount"] == money("2.35")
    assert refund(api, order, type="duty", percent=100)["amount"] == money("1.2")
    assert_available(api, order, "10.0")
