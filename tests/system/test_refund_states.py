"""Acceptance cases R-80 to R-101: currencies, charges, and every state a refund can reach."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.fixtures import (
    FAILURE,
    SUCCESS,
    advance,
    amounts,
    ask,
    assert_available,
    card,
    charges,
    credit,
    element,
    events_since,
    get_order,
    get_refund,
    given_captured,
    given_partly_cancelled,
    line_amounts,
    listed,
    mark,
    monies,
    only_charge,
    paid_by,
    paid_through,
    refund,
    refund_line,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_invalid,
    assert_not_available,
    assert_unknown,
    expect,
    money,
)
from tests.support.service import Processor, Service

HOUR = 3600
NOTED = {"received": True, "duplicate": False}


def test_r_80_half_of_yen(api: Api) -> None:
    order = given_captured(api, "J")
    assert refund(api, order, percent=50)["amount"] == money("1651.0")
    assert_available(api, order, "1650.0")
    assert refund(api, order, percent=50)["amount"] == money("825.0")


def test_r_81_yen_have_no_fraction(api: Api) -> None:
    order = given_captured(api, "J")
    assert_invalid(ask(api, order, amount=33.5), "amount", "33.5")
    assert refund(api, order, amount=33.0)["amount"] == money("33.0")


def test_r_82_half_of_dinar(api: Api) -> None:
    order = given_captured(api, "K")
    assert refund(api, order, percent=50)["amount"] == money("5.253")
    assert_available(api, order, "5.252")


def test_r_83_card_first_then_credit(api: Api) -> None:
    order = given_captured(api, "G")
    start = mark(api)
    made = settled_refund(api, order, percent=50)
    assert paid_through(order, made) == [
        ("creditCard", money("6.89")),
        ("customerCredit", money("6.56")),
    ]
    assert get_order(api, order)["refundedAmount"] == money("13.45")
    assert_available(api, order, "13.44")
    types = Counter(types_since(api, start))
    assert (types["order.charge.refund.complete"], types["refund.complete"]) == (2, 1)


def test_r_84_the_rest_goes_to_the_credit(api: Api) -> None:
    order = given_captured(api, "G")
    settled_refund(api, order, percent=50)
    made = settled_refund(api, order, percent=100)
    assert made["amount"] == money("13.44")
    assert paid_through(order, made) == [("customerCredit", money("13.44"))]


def test_r_85_card_is_used_up(api: Api) -> None:
    order = given_captured(api, "G")
    first = settled_refund(api, order, amount=6.00)
    assert paid_through(order, first) == [("creditCard", money("6.0"))]
    second = settled_refund(api, order, amount=5.00)
    assert paid_through(order, second) == [
        ("creditCard", money("0.89")),
        ("customerCredit", money("4.11")),
    ]
    third = settled_refund(api, order, percent=100)
    assert paid_through(order, third) == [("customerCredit", money("15.89"))]


def test_r_86_half_of_the_money_could_not_be_paid(api: Api) -> None:
    order = given_captured(api, "G", payment=paid_by(card(6.89), credit(20.00, "RefundFail")))
    start = mark(api)
    made = settled_refund(api, order, percent=50)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("6.89"))
    assert made["failureReason"] == "partially_refunded"
    assert_available(api, order, "20.0", "16.0")
    assert types_since(api, start)[-4:] == [
        "order.charge.refund.complete",
        "order.charge.refund.failed",
        "refund.complete",
        "order.refunded",
    ]


def test_r_87_refund_fails(api: Api) -> None:
    order = given_captured(api, "R")
    start = mark(api)
    made = settled_refund(api, order, percent=100)
    assert (made["state"], made["refundedAmount"]) == ("failed", money("0.0"))
    assert made["failureReason"] == "expired_or_canceled_card"
    assert [charge["refunds"][0]["state"] for charge in made["charges"]] == ["failed"]
    assert_available(api, order, "27.01")
    assert types_since(api, start) == FAILURE


def test_r_88_failed_refund_is_asked_for_again(api: Api) -> None:
    order = given_captured(api, "R")
    failed = settled_refund(api, order, percent=100)
    assert failed["state"] == "failed"
    again = refund(api, order, percent=100)
    assert again["id"] != failed["id"]


def test_r_89_refund_fails_after_a_minute(api: Api) -> None:
    order = given_captured(api, "S")
    made = settled_refund(api, order, percent=100)
    assert made["state"] == "pending"
    assert_available(api, order, "0.0")
    advance(api, 60)
    made = get_refund(api, made)
    assert (made["state"], made["failureReason"]) == ("failed", "account_frozen")
    assert_available(api, order, "27.01")


def test_r_90_ten_at_once(api: Api) -> None:
    order = given_captured(api, "A")
    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(ask, api, order, amount=5.00) for _ in range(10)]
    answers = [call.result() for call in calls]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 5
    for answer in refused:
        assert_not_available(answer)
    assert_available(api, order, "2.01")
    assert len(listed(api, "/refunds")) == 5


def test_r_91_metadata_of_a_pending_refund(api: Api) -> None:
    made = refund(api, given_captured(api, "A"), percent=50)
    start = mark(api)
    updated = expect(api.post(f"/refunds/{made['id']}", {"metadata": {"ticket": "7"}}))
    assert updated == {**made, "metadata": {"ticket": "7"}}
    (event,) = events_since(api, start)
    assert event["type"] == "refund.updated"
    assert event["data"] == {"object": updated, "previousAttributes": {"metadata": {}}}


def test_r_92_only_metadata_can_be_updated(api: Api) -> None:
    made = refund(api, given_captured(api, "A"), percent=50)
    assert_unknown(api.post(f"/refunds/{made['id']}", {"amount": 1}), "amount")
    assert get_refund(api, made) == made


def test_r_93_refunds_by_state(api: Api) -> None:
    order = given_captured(api, "A")
    succeeded = settled_refund(api, order, amount=1.00)
    failed = settled_refund(api, given_captured(api, "R"), percent=100)
    pending = refund(api, order, amount=1.00)
    assert (succeeded["state"], failed["state"]) == ("succeeded", "failed")
    assert listed(api, "/refunds") == [pending["id"], failed["id"], succeeded["id"]]
    assert listed(api, "/refunds?state=failed") == [failed["id"]]
    assert listed(api, "/refunds?failureReason=expired_or_canceled_card") == [failed["id"]]
    assert_invalid(api.get("/refunds?state=bogus"), "state", "bogus")


def test_r_94_refunds_by_sku_and_order(api: Api) -> None:
    of_cap = refund_line(api, given_captured(api, "B"), "b", percent=50)
    order = given_captured(api, "A")
    of_order = refund(api, order, percent=50)
    assert listed(api, "/refunds?skuId=sku-cap") == [of_cap["id"]]
    assert listed(api, f"/refunds?orderId={order['id']}") == [of_order["id"]]


def fail_late(service: Service, api: Api, record: Doc, note: str) -> Doc:
    """The processor takes a success back; the notification's answer."""
    data = {"operationId": record["id"], "failureReason": "account_closed"}
    answer = expect(service.notify("refund.failed", data, note))
    settle(api)
    return answer


def test_r_95_late_failure(service: Service, api: Api) -> None:
    order = given_captured(api, "A")
    made = settled_refund(api, order, amount=13.51)
    assert made["state"] == "succeeded"
    (record,) = only_charge(api, order)["refunds"]
    start, note = mark(api), str(uuid.uuid4())
    assert fail_late(service, api, record, note) == NOTED
    failed = get_refund(api, made)
    assert (failed["state"], failed["refundedAmount"]) == ("failed", money("0.0"))
    assert failed["failureReason"] == "account_closed"
    after = get_order(api, order)
    assert after["refundedAmount"] == money("0.0")
    assert_available(api, order, "27.01")
    assert types_since(api, start) == FAILURE[-2:]

    assert fail_late(service, api, record, note) == {"received": True, "duplicate": True}
    assert fail_late(service, api, record, str(uuid.uuid4())) == NOTED
    assert (get_refund(api, made), get_order(api, order)) == (failed, after)
    assert types_since(api, start) == FAILURE[-2:]


def test_r_96_refunds_within_the_batch_window_are_sent_as_one() -> None:
    with Service(env={"REFUNDRY_REFUND_BATCH_WINDOW": "60"}) as batching:
        api = batching.api(batching.open_account().secret_test)
        order = given_captured(api, "A")
        both = [refund(api, order, amount=amount) for amount in (5.00, 3.00)]
        settle(api)
        assert [get_refund(api, each) for each in both] == both, "sent before the window closed"
        advance(api, 60)
        settle(api)
        assert amounts(only_charge(api, order)["refunds"]) == monies("8.0")
        done = [get_refund(api, each) for each in both]
        assert [each["state"] for each in done] == ["succeeded", "succeeded"]
        assert [paid_through(order, each) for each in done] == [
            [("creditCard", money("5.0"))],
            [("creditCard", money("3.0"))],
        ]
        assert [each["refundedAmount"] for each in done] == monies("5.0", "3.0")
        assert_available(api, order, "19.01")


def test_r_97_reason(api: Api) -> None:
    order = given_captured(api, "A")
    refund(api, order, amount=1.00)
    made = refund(api, order, amount=1.00, reason="requested_by_customer")
    assert made["reason"] == "requested_by_customer"
    assert listed(api, "/refunds?reason=requested_by_customer") == [made["id"]]


def test_r_98_after_captures_and_cancels(api: Api) -> None:
    order = given_partly_cancelled(api)
    both = [
        element(order, "a", quantity=1, percent=100),
        element(order, "b", quantity=1, amount=21.51),
    ]
    assert line_amounts(settled_refund(api, order, items=both)) == monies("32.26", "21.51")
    assert_available(api, order, "34.94")
    assert get_order(api, order)["refundedAmount"] == money("53.77")


@pytest.mark.parametrize("late", [False, True], ids=["failed", "failed late"])
def test_r_99_failed_stays_failed(service: Service, api: Api, late: bool) -> None:
    """R is A with the card whose refunds fail; A itself fails late."""
    order = given_captured(api, "A" if late else "R")
    made = settled_refund(api, order, amount=13.51)
    (record,) = only_charge(api, order)["refunds"]
    if late:
        fail_late(service, api, record, str(uuid.uuid4()))
    failed, before, start = get_refund(api, made), get_order(api, order), mark(api)
    assert (failed["state"], record["amount"]) == ("failed", money("13.51"))
    data = {"operationId": record["id"]}
    answer = expect(service.notify("refund.complete", data, str(uuid.uuid4())))
    assert answer == NOTED
    settle(api)
    assert (get_refund(api, made), get_order(api, order)) == (failed, before)
    assert_available(api, order, "27.01")
    assert types_since(api, start) == []


def test_r_100_unknown_outcome_is_held_until_it_is_known() -> None:
    """The processor pays at the first call and never says so, for 25 hours."""
    with Processor() as processor:
        env = {**processor.environment(), "REFUNDRY_PROCESSOR_TIMEOUT": "0.3"}
        with Service(env=env) as service:
            api = service.api(service.open_account().secret_test)
            order = given_captured(api, "A")
            processor.answer("hang_after", "refund")
            start, calls = mark(api), processor.calls()
            made = settled_refund(api, order, percent=50)
            for _ in range(23):
                advance(api, HOUR)
            assert "needsAttention" not in get_refund(api, made)
            for _ in range(2):
                advance(api, HOUR)
            made = get_refund(api, made)
            assert (made["state"], made["needsAttention"]) == ("pending", True)
            assert [charge["refunds"][0]["state"] for charge in made["charges"]] == ["pending"]
            assert_available(api, order, "13.5")
            assert processor.calls() >= calls + 25
            assert types_since(api, start) == SUCCESS[:3]

            processor.answer("complete")
            advance(api, HOUR)
            made = get_refund(api, made)
            assert (made["state"], made["refundedAmount"]) == ("succeeded", money("13.51"))
            assert "needsAttention" not in made
            assert_available(api, order, "13.5")
            assert types_since(api, start) == SUCCESS
            charge = only_charge(api, order)["id"]
        paid = {"kind": "refund", "amount": money("13.51"), "currency": "USD", "times": 1}
        assert processor.paid("refund") == [{**paid, "chargeId": charge}]


def test_r_101_late_failure_of_one_of_two_records(service: Service, api: Api) -> None:
    order = given_captured(api, "G")
    made = settled_refund(api, order, percent=50)
    (record,) = charges(api, order)["customerCredit"]["refunds"]
    assert record["amount"] == money("6.56")
    start = mark(api)
    assert fail_late(service, api, record, str(uuid.uuid4())) == NOTED
    made = get_refund(api, made)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("6.89"))
    assert made["failureReason"] == "partially_refunded"
    assert get_order(api, order)["refundedAmount"] == money("6.89")
    assert_available(api, order, "20.0", "16.0")
    assert types_since(api, start) == ["order.charge.refund.failed", "refund.updated"]
