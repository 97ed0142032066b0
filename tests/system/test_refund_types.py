"""Acceptance cases R-50 to R-72: refunds of tax, shipping, duty, importer tax and fees."""

import pytest

from tests.support.fixtures import (
    ask,
    ask_line,
    assert_available,
    get_order,
    given_captured,
    line_amounts,
    monies,
    refund,
    refund_line,
    settled_refund,
)
from tests.support.http import (
    Api,
    Doc,
    assert_full_tax_only,
    assert_invalid,
    assert_not_available,
    money,
)


def given_tax_refunded(api: Api) -> Doc:
    """A as R-51 leaves it."""
    order = given_captured(api, "A")
    refund(api, order, type="tax", percent=100)
    return order


def given_importer_tax_refunded(api: Api) -> Doc:
    """D as R-62 leaves it."""
    order = given_captured(api, "D")
    refund(api, order, type="importer_tax", percent=100)
    return order


def given_all_but_fees_refunded(api: Api) -> Doc:
    """E as R-66 leaves it."""
    order = given_captured(api, "E")
    refund(api, order, percent=100)
    return order


def test_r_50_tax_settled(api: Api) -> None:
    order = given_captured(api, "P")
    made = settled_refund(api, order, type="tax", percent=100)
    assert (made["amount"], made["type"], made["items"]) == (money("2.01"), "tax", [])
    assert_available(api, order, "25.0")
    assert get_order(api, order)["refundedAmount"] == money("2.01")


def test_r_51_tax_of_line_and_shipping(api: Api) -> None:
    order = given_captured(api, "A")
    assert refund(api, order, type="tax", percent=100)["amount"] == money("2.01")
    assert_available(api, order, "25.0", "20.0")


def test_r_52_part_of_the_tax(api: Api) -> None:
    assert_full_tax_only(ask(api, given_captured(api, "A"), type="tax", percent=50))


def test_r_53_tax_as_an_amount(api: Api) -> None:
    order = given_captured(api, "A")
    assert_full_tax_only(ask(api, order, type="tax", amount=2.00))
    assert refund(api, order, type="tax", amount=2.01)["amount"] == money("2.01")


def test_r_54_tax_after_half_was_refunded(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, percent=50)
    assert_not_available(ask(api, order, type="tax", amount=2.01))
    assert refund(api, order, type="tax", amount=1.00)["amount"] == money("1.0")
    assert_available(api, order, "12.5", "10.0")


def test_r_55_tax_twice(api: Api) -> None:
    assert_not_available(ask(api, given_tax_refunded(api), type="tax", percent=100))


def test_r_56_shipping_after_tax(api: Api) -> None:
    order = given_tax_refunded(api)
    assert refund(api, order, type="shipping", percent=100)["amount"] == money("5.0")
    assert_available(api, order, "20.0")


def test_r_57_shipping_with_its_tax(api: Api) -> None:
    order = given_captured(api, "A")
    made = settled_refund(api, order, type="shipping", percent=100)
    assert (made["amount"], made["type"]) == (money("5.4"), "shipping")
    assert_available(api, order, "21.61", "21.61")


def test_r_58_part_of_the_shipping(api: Api) -> None:
    order = given_captured(api, "A")
    assert refund(api, order, type="shipping", percent=75)["amount"] == money("4.05")
    assert_available(api, order, "22.96", "21.61")


def test_r_59_shipping_in_parts(api: Api) -> None:
    order = given_captured(api, "A")
    refund(api, order, type="shipping", amount=2.00)
    assert_not_available(ask(api, order, type="shipping", amount=5.00))
    assert refund(api, order, type="shipping", percent=100)["amount"] == money("3.4")


@pytest.mark.parametrize(
    ("quantity", "percent", "amount"), [(2, 75, "4.05"), (1, 100, "2.7")], ids=["part", "unit"]
)
def test_r_60_shipping_of_a_line(api: Api, quantity: int, percent: int, amount: str) -> None:
    order = given_captured(api, "A")
    made = refund_line(api, order, type="shipping", quantity=quantity, percent=percent)
    assert line_amounts(made) == monies(amount)
    assert made["items"][0]["type"] == "shipping"
    assert "type" not in made


def test_r_61_shipping_of_one_line_then_of_the_order(api: Api) -> None:
    order = given_captured(api, "F")
    assert line_amounts(refund_line(api, order, type="shipping", percent=100)) == monies("2.7")
    assert refund(api, order, type="shipping", percent=100)["amount"] == money("2.7")
    assert_available(api, order, "21.6", "10.8", "10.8")


def test_r_62_importer_tax(api: Api) -> None:
    order = given_captured(api, "D")
    assert refund(api, order, type="importer_tax", percent=100)["amount"] == money("4.7")
    assert_available(api, order, "22.4", "10.0")


def test_r_63_part_of_the_importer_tax(api: Api) -> None:
    assert_full_tax_only(ask(api, given_captured(api, "D"), type="importer_tax", percent=50))


def test_r_64_duty_in_parts(api: Api) -> None:
    order = given_importer_tax_refunded(api)
    assert refund(api, order, type="duty", percent=50)["amount"] == money("1.2")
    assert_not_available(ask(api, order, type="duty", amount=1.21))
    assert line_amounts(refund_line(api, order, type="duty", percent=100)) == monies("1.2")
    assert_available(api, order, "20.0")


@pytest.mark.parametrize("type", ["importer_tax", "tax"])
def test_r_65_taxes_of_a_line(api: Api, type: str) -> None:
    response = ask_line(api, given_captured(api, "D"), type=type, percent=100)
    assert_invalid(response, "items[0].type", type)


def test_r_66_everything_leaves_the_fees(api: Api) -> None:
    order = given_captured(api, "E")
    assert refund(api, order, percent=100)["amount"] == money("26.89")
    assert_available(api, order, "17.2", "0.0")


def test_r_67_fees_go_only_as_fees(api: Api) -> None:
    order = given_all_but_fees_refunded(api)
    assert_not_available(ask(api, order, amount=0.01))
    assert refund(api, order, type="fees", percent=50)["amount"] == money("8.6")
    assert refund(api, order, type="fees", percent=100)["amount"] == money("8.6")
    assert_available(api, order, "0.0")


@pytest.mark.parametrize("amount", [26.90, 44.09])
def test_r_68_amount_that_would_need_the_fees(api: Api, amount: float) -> None:
    assert_not_available(ask(api, given_captured(api, "E"), amount=amount))


def test_r_69_type_after_type(api: Api) -> None:
    order = given_captured(api, "E")
    for type, amount in (("tax", "3.09"), ("fees", "16.0"), ("shipping", "5.0"), (None, "20.0")):
        assert refund(api, order, type=type, percent=100)["amount"] == money(amount)
    assert_available(api, order, "0.0")


def test_r_70_fees_of_one_unit(api: Api) -> None:
    order = given_captured(api, "E")
    made = refund_line(api, order, type="fees", quantity=1, percent=100)
    assert line_amounts(made) == monies("8.6")
    assert_available(api, order, "35.49", "21.51")


def test_r_71_half_without_fees(api: Api) -> None:
    order = given_captured(api, "E")
    assert refund(api, order, percent=50)["amount"] == money("13.45")
    assert_available(api, order, "30.64", "10.75")


@pytest.mark.parametrize("type", ["duty", "fees", "importer_tax"])
def test_r_72_type_of_which_there_is_nothing(api: Api, type: str) -> None:
    assert_not_available(ask(api, given_captured(api, "A"), type=type, percent=100))
