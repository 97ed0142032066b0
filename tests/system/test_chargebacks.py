"""Chargebacks over money that is on its way: what is owed, and what was paid twice."""

from decimal import Decimal

import pytest

from tests.support.disputes import (
    NOTED,
    charge_back,
    given_dispute,
    lose,
    sales_of,
    tell,
)
from tests.support.fixtures import (
    SUCCESS,
    advance,
    amounts,
    ask,
    ask_line,
    assert_available,
    charges,
    element,
    events_since,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    given_captured,
    mark,
    monies,
    only_charge,
    refund,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import Api, Doc, assert_not_available, money
from tests.support.returns import accept_return, accepted_return, given_return
from tests.support.service import Service

DAYS_30 = 30 * 24 * 3600


def figures(api: Api, order: Doc) -> tuple[Decimal, Decimal, bool]:
    """refundedAmount, availableToRefundAmount, and whether the order is flagged."""
    now = get_order(api, order)
    flag = now.get("overRefunded")
    assert flag in (None, True), "shown where it is true, and absent otherwise"
    return now["refundedAmount"], now["availableToRefundAmount"], flag is True


def record_of(api: Api, order: Doc, made: Doc) -> Doc:
    """The only charge-level record of a refund, with its id."""
    (charge,) = made["charges"]
    (brief,) = charge["refunds"]
    full = next(each for each in charges(api, order).values() if each["id"] == charge["id"])
    (record,) = [each for each in full["refunds"] if brief.items() <= each.items()]
    return record


def given_taken_while_pending(api: Api, amount: float) -> tuple[Doc, Doc]:
    """S with a refund of `amount` at the processor, and then a chargeback of everything."""
    order = given_captured(api, "S")
    made = settled_refund(api, order, amount=amount)
    assert made["state"] == "pending"
    lost = charge_back(api, order)
    assert lost["chargebackAmount"] == money("27.01")
    return order, get_refund(api, made)


def test_what_is_held_is_owed(api: Api) -> None:
    order, made = given_taken_while_pending(api, 10.00)
    assert figures(api, order) == (money("27.01"), money("0.0"), False)
    assert amounts(sales_of(api, order)) == monies("-27.01")
    assert_not_available(ask(api, order, amount=0.01))
    advance(api, 60)
    assert get_refund(api, made)["state"] == "failed"
    assert figures(api, order) == (money("27.01"), money("0.0"), False)
    assert_not_available(ask(api, order, amount=0.01))


def test_what_is_not_owed_is_available_again(api: Api) -> None:
    order = given_captured(api, "S")
    settled_refund(api, order, amount=10.00)
    charge_back(api, order, 20.00)
    assert figures(api, order) == (money("20.0"), money("0.0"), False)
    advance(api, 60)
    assert figures(api, order) == (money("20.0"), money("7.01"), False)
    assert refund(api, order, amount=7.01)["state"] == "pending"


def test_a_chargeback_that_fits_beside_what_is_held_owes_nothing(api: Api) -> None:
    order = given_captured(api, "S")
    settled_refund(api, order, amount=10.00)
    charge_back(api, order, 17.01)
    assert figures(api, order) == (money("17.01"), money("0.0"), False)
    advance(api, 60)
    assert figures(api, order) == (money("17.01"), money("10.0"), False)


def test_an_order_is_over_refunded(service: Service, api: Api) -> None:
    order, made = given_taken_while_pending(api, 10.00)
    record = record_of(api, order, made)
    start = mark(api)
    assert tell(service, "refund.complete", operationId=record["id"]) == NOTED
    settle(api)
    made = get_refund(api, made)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("10.0"))
    assert figures(api, order) == (money("37.01"), money("0.0"), True)
    assert types_since(api, start) == SUCCESS[3:]
    shown = events_since(api, start)[-1]["data"]["object"]
    assert (shown["overRefunded"], shown["refundedAmount"]) == (True, money("37.01"))
    assert shown["state"] == "complete"
    assert_available(api, order, "0.0", "0.0")
    assert_not_available(ask(api, order, amount=0.01))
    assert_not_available(ask_line(api, order, amount=0.01))


def test_a_late_failure_mends_what_was_paid_twice(service: Service, api: Api) -> None:
    order, made = given_taken_while_pending(api, 10.00)
    record = record_of(api, order, made)
    tell(service, "refund.complete", operationId=record["id"])
    data = {"operationId": record["id"], "failureReason": "account_closed"}
    tell(service, "refund.failed", **data)
    settle(api)
    assert get_refund(api, made)["state"] == "failed"
    assert figures(api, order) == (money("27.01"), money("0.0"), False)


def test_a_refund_that_fails_late_after_a_chargeback_is_available(
    service: Service, api: Api
) -> None:
    order = given_captured(api, "A")
    made = settled_refund(api, order, amount=13.51)
    record = record_of(api, order, made)
    charge_back(api, order)
    assert figures(api, order) == (money("27.01"), money("0.0"), False)
    start = mark(api)
    tell(service, "refund.failed", operationId=record["id"], failureReason="account_closed")
    assert get_refund(api, made)["state"] == "failed"
    assert figures(api, order) == (money("13.5"), money("13.51"), False)
    assert types_since(api, start) == ["order.charge.refund.failed", "refund.failed"]
    assert settled_refund(api, order, amount=13.51)["state"] == "succeeded"


def test_a_late_failure_pays_what_is_owed(service: Service, api: Api) -> None:
    """S with 10.00 paid and 5.00 on its way; the bank takes the 17.01 that the charge has left."""
    order = given_captured(api, "S")
    first = settled_refund(api, order, amount=10.00)
    paid = record_of(api, order, first)
    tell(service, "refund.complete", operationId=paid["id"])
    settled_refund(api, order, amount=5.00)
    charge_back(api, order)
    assert figures(api, order) == (money("27.01"), money("0.0"), False)
    tell(service, "refund.failed", operationId=paid["id"], failureReason="declined")
    assert figures(api, order) == (money("17.01"), money("5.0"), False)
    advance(api, 60)
    assert figures(api, order) == (money("17.01"), money("10.0"), False)


def test_a_capture_pays_what_is_owed(api: Api) -> None:
    """S with one of two units captured and that refunded; the second unit comes later."""
    order = given_accepted(api, "S")
    fulfil(api, order, 1)
    settle(api)
    made = settled_refund(api, order, amount=13.51)
    assert made["state"] == "pending"
    charge_back(api, order)
    assert figures(api, order) == (money("13.51"), money("0.0"), False)
    assert get_order(api, order)["state"] == "accepted"
    fulfil(api, order, 1)
    settle(api)
    assert get_order(api, order)["capturedAmount"] == money("27.01")
    assert figures(api, order) == (money("13.51"), money("0.0"), False)
    advance(api, 60)
    assert get_refund(api, made)["state"] == "failed"
    assert figures(api, order) == (money("13.51"), money("13.5"), False)


def test_an_expired_refund_pays_what_is_owed(api: Api) -> None:
    order = given_captured(api, "J")
    made = settled_refund(api, order, percent=100)
    assert made["state"] == "pending_information"
    lost = charge_back(api, order)
    assert lost["chargebackAmount"] == money("3301.0")
    advance(api, DAYS_30 + 1)
    assert get_refund(api, made)["state"] == "expired"
    assert figures(api, order) == (money("3301.0"), money("0.0"), False)


def test_a_second_chargeback_takes_the_rest(api: Api) -> None:
    order = given_captured(api, "A")
    charge_back(api, order, 10.00)
    dispute = given_dispute(api, order)
    assert dispute["amount"] == money("17.01")
    lose(api, dispute, fraud=False)
    assert figures(api, order) == (money("27.01"), money("0.0"), False)
    assert amounts(only_charge(api, order)["refunds"]) == monies("10.0", "17.01")
    assert [(sale["type"], sale["amount"]) for sale in sales_of(api, order)] == [
        ("fraud_chargeback", money("-10.0")),
        ("non_fraud_chargeback", money("-17.01")),
    ]
    last = given_dispute(api, order)
    assert last["amount"] == money("0.0")
    assert lose(api, last)["chargebackAmount"] == money("0.0")
    assert len(sales_of(api, order)) == 2


def test_lines_without_a_share_have_no_sales_transaction(api: Api) -> None:
    order = given_captured(api, "L")
    settled_refund(api, order, items=[element(order, "a", percent=100)])
    charge_back(api, order, 10.00)
    (sale,) = sales_of(api, order)
    assert (sale["lineItemId"], sale["amount"]) == (order["items"][1]["id"], money("-10.0"))
    assert_available(api, order, "17.01", "0.0", "17.01")


def test_refunds_after_a_chargeback_go_where_there_is_room(api: Api) -> None:
    """The bank took the card's money: what is left is paid to the credit."""
    order = given_captured(api, "G")
    charge_back(api, order)
    made = settled_refund(api, order, amount=5.00)
    credit = charges(api, order)["customerCredit"]
    assert [each["id"] for each in made["charges"]] == [credit["id"]]
    assert_available(api, order, "15.0")


def test_a_refund_whose_charge_was_emptied_is_paid_in_part(api: Api) -> None:
    """G's whole 26.89 asked for, not sent; the bank takes the 20.00 of the credit first."""
    order = given_captured(api, "G")
    made = refund(api, order, percent=100)
    charge_back(api, order, chargeId=charges(api, order)["customerCredit"]["id"])
    settle(api)
    made = get_refund(api, made)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("6.89"))
    assert made["failureReason"] == "partially_refunded"
    assert figures(api, order) == (money("26.89"), money("0.0"), False)


def test_goods_that_come_back_after_a_chargeback_pay_what_is_left(api: Api) -> None:
    order = given_captured(api, "A")
    goods = given_return(api, order, 1)
    charge_back(api, order)
    accepted = accept_return(api, goods)
    assert "refundIds" not in accepted
    assert get_order(api, order)["refundedAmount"] == money("27.01")
    assert goods["items"][0]["amount"] == money("10.81")


@pytest.mark.parametrize("back", [True, False], ids=["no longer returned", "still returned"])
def test_late_failures_of_returned_orders(service: Service, api: Api, back: bool) -> None:
    """L: a came back; b was refunded in part, or came back too."""
    order = given_captured(api, "L")
    accepted_return(api, order, 1, 0 if back else 1)
    settle(api)
    if back:
        made = settled_refund(api, order, items=[element(order, "b", percent=10)])
    else:
        (made,) = [get_refund(api, {"id": refund_id}) for refund_id in refund_ids(api, order)]
    returned = get_order(api, order)
    assert returned["state"] == "returned"
    record = record_of(api, order, made)
    tell(service, "refund.failed", operationId=record["id"])
    assert get_refund(api, made)["state"] == "failed"
    after = get_order(api, order)
    assert after["state"] == ("complete" if back else "returned")
    assert after["version"] > returned["version"]
    if back:
        settled_refund(api, order, items=[element(order, "b", percent=10)])
        assert get_order(api, order)["state"] == "returned"


def refund_ids(api: Api, order: Doc) -> list[str]:
    return [each["id"] for each in api.get(f"/refunds?orderId={order['id']}").json()["data"]]


def test_a_late_failure_in_a_dispute_changes_the_state_to_go_back_to(
    service: Service, api: Api
) -> None:
    order = given_captured(api, "L")
    accepted_return(api, order, 1)
    settle(api)
    made = settled_refund(api, order, items=[element(order, "b", percent=10)])
    assert get_order(api, order)["state"] == "returned"
    dispute = given_dispute(api, order)
    tell(service, "refund.failed", operationId=record_of(api, order, made)["id"])
    assert get_order(api, order)["state"] == "dispute"
    lose(api, dispute, 1.00)
    assert get_order(api, order)["state"] == "complete"
