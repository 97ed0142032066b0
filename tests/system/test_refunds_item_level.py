"""Acceptance cases R-30 to R-49: refunds of lines."""

import pytest

from tests.support.fixtures import (
    amounts,
    ask,
    ask_line,
    assert_available,
    element,
    get_order,
    get_refund,
    given_captured,
    given_half_captured,
    line,
    line_amounts,
    listed,
    monies,
    only_charge,
    refund,
    refund_line,
    settle,
    settled_refund,
)
from tests.support.http import (
    Api,
    assert_bad,
    assert_invalid,
    assert_missing,
    assert_not_available,
    money,
)
from tests.support.service import Account, Service


@pytest.fixture
def unit_api(service: Service, account: Account) -> Api:
    """A key whose `items[].amount` is the price of one unit."""
    permissions = {"refunds": "read_write"}
    key = account.create_key(kind="restricted", permissions=permissions, item_amount_basis="unit")
    return service.api(key)


def test_r_30_two_lines(api: Api) -> None:
    order = given_captured(api, "B")
    both = [
        element(order, "a", quantity="2", percent=100),
        element(order, "b", quantity="4", percent=50),
    ]
    made = refund(api, order, items=both)
    assert "amount" not in made
    assert line_amounts(made) == monies("21.61", "21.61")
    assert [item["quantity"] for item in made["items"]] == [2, 4]
    assert [item["refundedAmount"] for item in made["items"]] == monies("0.0", "0.0")
    settle(api)
    done = get_refund(api, made)
    assert [item["refundedAmount"] for item in done["items"]] == monies("21.61", "21.61")
    assert (done["state"], done["refundedAmount"]) == ("succeeded", money("43.22"))
    assert_available(api, order, "21.6", "0.0", "21.6")
    assert amounts(only_charge(api, order)["refunds"]) == monies("43.22")


def test_r_31_two_whole_lines(api: Api) -> None:
    order = given_captured(api, "C")
    both = [
        element(order, "a", quantity=2, percent=100),
        element(order, "b", quantity=3, percent=100),
    ]
    made = settled_refund(api, order, items=both)
    assert line_amounts(made) == monies("21.61", "72.92")
    assert made["refundedAmount"] == money("94.53")
    assert_available(api, order, "0.0")


def test_r_32_one_of_two_units_three_times(api: Api) -> None:
    order = given_captured(api, "A")
    assert line_amounts(refund_line(api, order, quantity=1, percent=100)) == monies("10.81")
    assert line_amounts(refund_line(api, order, quantity=1, percent=100)) == monies("10.8")
    assert_available(api, order, "5.4")
    assert_not_available(ask_line(api, order, quantity=1, percent=100))


def test_r_33_one_of_three_units_four_times(api: Api) -> None:
    order = given_captured(api, "M")
    for amount in ("21.61", "21.61", "21.6"):
        assert line_amounts(refund_line(api, order, quantity=1, percent=100)) == monies(amount)
    assert_not_available(ask_line(api, order, quantity=1, percent=100))


def test_r_34_half_then_the_rest(api: Api) -> None:
    order = given_captured(api, "A")
    assert line_amounts(refund_line(api, order, quantity=2, percent=50)) == monies("10.81")
    assert line_amounts(refund_line(api, order, quantity=2, percent=100)) == monies("10.8")


def test_r_35_half_of_one_unit(api: Api) -> None:
    order = given_captured(api, "A")
    assert line_amounts(refund_line(api, order, quantity=1, percent=50)) == monies("5.4")
    assert_available(api, order, None, "16.21")


def test_r_36_amount_short_of_a_cent(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, items=[element(order, "a", quantity=2, amount=21.60)])
    assert_available(api, order, "5.41", "0.01")
    assert get_order(api, order)["refundedAmount"] == money("21.6")


def test_r_37_amount_above_the_line(api: Api) -> None:
    assert_not_available(ask_line(api, given_captured(api, "A"), amount=21.62))


def test_r_38_more_units_than_ordered(api: Api) -> None:
    response = ask_line(api, given_captured(api, "A"), quantity=3, percent=100)
    message = "The requested refund quantity is greater than the order quantity."
    assert_bad(response, "invalid_parameter", "items[0].quantity", message)


@pytest.mark.parametrize(("quantity", "shown"), [(0, "0"), (1.5, "1.5")])
def test_r_39_bad_quantity(api: Api, quantity: float, shown: str) -> None:
    response = ask_line(api, given_captured(api, "A"), quantity=quantity, percent=100)
    assert_invalid(response, "items[0].quantity", shown)


@pytest.mark.parametrize("fields", [{"quantity": "2.0000"}, {}])
def test_r_39_quantity_as_a_decimal_string_or_left_out(api: Api, fields: dict[str, str]) -> None:
    made = refund_line(api, given_captured(api, "A"), percent=100, **fields)
    assert line_amounts(made) == monies("21.61")
    assert made["items"][0]["quantity"] == 2


def test_r_40_item_ids(api: Api) -> None:
    order = given_captured(api, "A")
    response = ask(api, order, items=[{"itemId": "nope", "percent": 50}])
    assert_bad(response, "invalid_parameter", "items[0].itemId", "Item 'nope' not found.")
    made = refund(api, order, items=[{"skuId": "sku-tee", "percent": 50}])
    assert made["items"][0]["itemId"] == order["items"][0]["id"]
    assert_missing(ask(api, order, items=[{"percent": 50}]), "items[0].itemId")


def test_r_41_sku_of_two_lines(api: Api) -> None:
    lines = [line(20.00, 1.61, 2), line(40.00, 3.21, 4)]
    order = given_captured(api, "B", items=lines)
    response = ask(api, order, items=[{"skuId": "sku-tee", "percent": 50}])
    message = "SKU 'sku-tee' matches more than one item."
    assert_bad(response, "invalid_parameter", "items[0].skuId", message)


def test_r_42_one_bad_element_refuses_all(api: Api) -> None:
    order = given_captured(api, "B")
    both = [element(order, "a", percent=100), element(order, "b", amount=43.22)]
    assert_not_available(ask(api, order, items=both))
    assert_available(api, order, "64.82", "21.61", "43.21")
    assert listed(api, "/refunds") == []


def test_r_43_same_line_twice(api: Api) -> None:
    order = given_captured(api, "A")
    twice = [element(order, "a", percent=10), element(order, "a", percent=20)]
    assert_invalid(ask(api, order, items=twice), "items[1].itemId", order["items"][0]["id"])


def test_r_44_amount_of_one_unit(api: Api, unit_api: Api) -> None:
    order = given_captured(api, "A")
    assert line_amounts(refund_line(unit_api, order, quantity=2, amount=10.805)) == monies("21.61")


def test_r_45_amount_of_the_element(api: Api) -> None:
    order = given_captured(api, "A")
    response = ask_line(api, order, quantity=2, amount=10.805)
    assert_invalid(response, "items[0].amount", "10.805")
    assert line_amounts(refund_line(api, order, quantity=2, amount=10.80)) == monies("10.8")


def test_r_46_unit_amounts_of_product_and_fees(api: Api, unit_api: Api) -> None:
    order = given_captured(api, "E")
    both = [
        element(order, "a", quantity=2, amount=10.755),
        element(order, "a", type="fees", quantity=2, amount=8.60),
    ]
    made = refund(unit_api, order, items=both)
    assert line_amounts(made) == monies("21.51", "17.2")
    assert listed(api, "/refunds?amount=38.71") == [made["id"]]
    assert_available(api, order, "5.38")


def test_r_47_two_units_of_which_one_is_captured(api: Api) -> None:
    order = given_half_captured(api)
    assert line_amounts(refund_line(api, order, quantity=2, percent=100)) == monies("10.81")


def test_r_48_line_after_half_of_the_order(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, percent=50)
    assert line_amounts(refund_line(api, order, quantity=2, percent=100)) == monies("10.8")
    assert refund(api, order, type="shipping", percent=100)["amount"] == money("2.7")
    assert_available(api, order, "0.0")


def test_r_49_exactly_one_of_amount_and_percent(api: Api) -> None:
    order = given_captured(api, "A")
    assert_missing(ask_line(api, order, quantity=1), "items[0].amount")
    response = ask_line(api, order, amount=1.00, percent=50)
    message = "Only one of amount and percent may be provided."
    assert_bad(response, "invalid_parameter", "items[0].percent", message)
