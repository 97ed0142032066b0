"""Acceptance cases X-01 to X-11: the cards and names that steer the test mode."""

import re

import pytest

from tests.support.fixtures import (
    VISA,
    advance,
    ask,
    assert_available,
    cancel,
    card,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    given_captured,
    listed,
    mark,
    only_charge,
    order_body,
    paid_by,
    settle,
    settled_refund,
    source,
    types_since,
)
from tests.support.http import Api, Doc, assert_charge_refused, assert_not_available, expect, money

SUCCESS_CARDS = [
    (VISA, "Visa"),
    ("5466 1600 0000 0008", "Mastercard"),
    ("3434 567890 12341", "American Express"),
    ("3034 567890 1235", "Diners Club"),
    ("6011 9876 9876 9876", "Discover"),
    ("3528 9876 9876 9879", "JCB"),
    ("6226 2200 0000 0009", "UnionPay"),
    ("5454 5454 5454 5454", "Mastercard"),
    ("4917 6100 0000 0000", "Visa"),
]
THIRTY_DAYS = 30 * 24 * 3600


def paid_with(number: str) -> Doc:
    return paid_by(card(27.01, number))


def paid_from(type: str, last_name: str) -> Doc:
    return paid_by(source(type, 27.01, last_name))


def capture_states(api: Api, order: Doc) -> list[str]:
    return [capture["state"] for capture in only_charge(api, order)["captures"]]


@pytest.mark.parametrize(("number", "brand"), SUCCESS_CARDS)
def test_x_01_success_card(api: Api, number: str, brand: str) -> None:
    order = given_captured(api, "A", payment=paid_with(number))
    made = settled_refund(api, order, percent=100)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("27.01"))
    details = order["payment"]["sources"][0]["creditCard"]
    assert (details["brand"], details["lastFourDigits"]) == (brand, number.replace(" ", "")[-4:])
    assert "number" not in details


@pytest.mark.parametrize("number", ["4000 0000 0000 3295", "4000 0000 0000 3600"])
def test_x_02_source_or_charge_fails(api: Api, number: str) -> None:
    assert_charge_refused(api.post("/orders", order_body("A", payment=paid_with(number))))
    assert listed(api, "/orders") == []


def test_x_03_cancel_fails(api: Api) -> None:
    order = given_accepted(api, "A", payment=paid_with("4000 0000 0000 4442"))
    start = mark(api)
    cancel(api, order, 2)
    settle(api)
    assert [each["state"] for each in only_charge(api, order)["cancels"]] == ["failed"]
    types = types_since(api, start)
    assert "order.charge.cancel.failed" in types
    assert "order.cancelled" not in types
    assert get_order(api, order)["state"] != "cancelled"


def test_x_04_capture_fails_after_a_minute(api: Api) -> None:
    order = given_accepted(api, "A", payment=paid_with("4485 9517 8852 1565"))
    fulfil(api, order, 2)
    settle(api)
    assert capture_states(api, order) == ["pending"]
    advance(api, 60)
    assert capture_states(api, order) == ["failed"]


def test_x_05_capture_stays_pending(api: Api) -> None:
    order = given_accepted(api, "A", payment=paid_with("4024 0071 2057 9635"))
    fulfil(api, order, 2)
    advance(api, THIRTY_DAYS)
    assert capture_states(api, order) == ["pending"]
    assert_available(api, order, "0.0")
    assert_not_available(ask(api, order, percent=100))


def test_x_06_pay_pal_refund_fails(api: Api) -> None:
    order = given_captured(api, "A", payment=paid_from("payPal", "RefundFail"))
    made = settled_refund(api, order, percent=100)
    assert (made["state"], made["failureReason"]) == ("failed", "declined")


def test_x_07_direct_debit_refund_fails_after_a_minute(api: Api) -> None:
    order = given_captured(api, "A", payment=paid_from("directDebit", "RefundFailedAfterPending"))
    made = settled_refund(api, order, percent=100)
    assert made["state"] == "pending"
    advance(api, 60)
    made = get_refund(api, made)
    assert (made["state"], made["failureReason"]) == ("failed", "account_closed")


@pytest.mark.parametrize(
    ("last_name", "state"), [("refundFail", "failed"), ("RefundFail", "succeeded")]
)
def test_x_08_names_are_case_sensitive(api: Api, last_name: str, state: str) -> None:
    order = given_captured(api, "A", payment=paid_from("alipay", last_name))
    assert settled_refund(api, order, percent=100)["state"] == state


def test_x_09_google_pay_capture_fails(api: Api) -> None:
    order = given_accepted(api, "A", payment=paid_from("googlePay", "CaptureFail"))
    fulfil(api, order, 2)
    settle(api)
    assert capture_states(api, order) == ["failed"]


def test_x_10_unlisted_card_number(api: Api) -> None:
    response = api.post("/orders", order_body("A", payment=paid_with("4111 1111 1111 1111")))
    (only,) = expect(response, 400)["errors"]
    parameter = "payment.sources[0].creditCard.number"
    assert (only["code"], only["parameter"]) == ("invalid_parameter", parameter)
    shown = re.fullmatch(rf"'(.+)' is not a valid {re.escape(parameter)}\.", only["message"])
    assert shown is not None
    assert len(re.findall(r"\d", shown[1])) <= 10, "the number is not masked"
    assert listed(api, "/orders") == []


def test_x_11_klarna_charge_fails(api: Api) -> None:
    payment = paid_from("klarnaCredit", "ChargeCreationFail")
    assert_charge_refused(api.post("/orders", order_body("A", payment=payment)))
    assert listed(api, "/orders") == []
