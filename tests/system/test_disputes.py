"""Acceptance cases D-01 to D-17: disputes, and the chargebacks of those that are lost."""

import uuid

from tests.support.disputes import (
    LOST,
    NOTED,
    ask_to_lose,
    assert_refund_in_dispute,
    assert_state_refused,
    charge_back,
    disputes_of,
    get_dispute,
    given_dispute,
    lose,
    sales_of,
    win,
)
from tests.support.fixtures import (
    CAPTURE,
    advance,
    amounts,
    ask,
    ask_to_fulfil,
    assert_available,
    events_since,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    given_captured,
    given_half_captured,
    listed,
    mark,
    monies,
    only_charge,
    refund,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_conflict,
    assert_invalid,
    assert_not_available,
    expect,
    money,
)
from tests.support.service import Processor, Service


def chargebacks(api: Api, order: Doc) -> list[Doc]:
    """The refund records of the order's only charge."""
    return only_charge(api, order)["refunds"]


def test_d_01_a_dispute_is_opened(api: Api) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    dispute = given_dispute(api, order)
    assert dispute == {
        "id": dispute["id"],
        "createdTime": dispute["createdTime"],
        "orderId": order["id"],
        "chargeId": order["payment"]["charges"][0]["id"],
        "currency": "USD",
        "amount": money("27.01"),
        "state": "open",
        "liveMode": False,
    }
    assert dispute["id"].startswith("dp_")
    after = get_order(api, order)
    assert (after["state"], after["fraudState"]) == ("dispute", "review_opened")
    assert after["stateTransitions"]["dispute"] == dispute["createdTime"]
    assert after["fraudStateTransitions"]["review_opened"] == dispute["createdTime"]
    assert after["stateTransitions"].items() > order["stateTransitions"].items()
    assert_available(api, order, "27.01")
    (event,) = events_since(api, start)
    assert event["type"] == "order.dispute"
    assert event["data"] == {"object": after}
    assert get_dispute(api, dispute) == dispute


def test_d_02_no_refund_during_a_dispute(api: Api) -> None:
    order = given_captured(api, "A")
    given_dispute(api, order)
    assert_refund_in_dispute(ask(api, order, percent=50))
    assert listed(api, "/refunds") == []


def test_d_03_no_fulfilment_during_a_dispute(api: Api) -> None:
    order = given_half_captured(api)
    given_dispute(api, order)
    message = f"Order '{order['id']}' has not been submitted."
    response = ask_to_fulfil(api, order, "quantity", 1)
    assert_conflict(response, "order_not_submitted", "orderId", message)


def test_d_04_a_dispute_is_won(api: Api) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    start = mark(api)
    advance(api, 5)
    won = win(api, dispute)
    assert won == {**dispute, "state": "won", "resolvedTime": won["resolvedTime"]}
    after = get_order(api, order)
    assert (after["state"], after["fraudState"]) == ("complete", "passed")
    assert after["fraudStateTransitions"]["passed"] == won["resolvedTime"]
    assert after["stateTransitions"]["dispute"] == dispute["createdTime"]
    assert after["stateTransitions"].items() > order["stateTransitions"].items()
    assert_available(api, order, "27.01")
    (event,) = events_since(api, start)
    assert event["type"] == "order.dispute.resolved"
    assert event["data"] == {"object": after}
    assert refund(api, order, percent=50)["amount"] == money("13.51")


def test_d_05_the_bank_takes_a_part(api: Api) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    start = mark(api)
    lost = lose(api, dispute, 10.00)
    after = get_order(api, order)
    assert (after["refundedAmount"], after["state"]) == (money("10.0"), "complete")
    assert_available(api, order, "17.01", "13.61")
    (record,) = chargebacks(api, order)
    assert (record["amount"], record["state"]) == (money("10.0"), "complete")
    (sale,) = sales_of(api, order)
    assert (sale["type"], sale["amount"]) == ("fraud_chargeback", money("-10.0"))
    assert lost == {
        **dispute,
        "state": "lost",
        "resolvedTime": lost["resolvedTime"],
        "chargebackAmount": money("10.0"),
        "fraud": True,
        "salesTransactionIds": [sale["id"]],
    }
    created, taken, resolved = events_since(api, start)
    assert [created["type"], taken["type"], resolved["type"]] == LOST
    assert created["data"] == {"object": sale}
    assert resolved["data"] == {"object": after}
    shown = taken["data"]["object"]
    assert (shown["state"], shown["fraudState"]) == ("dispute", "review_opened")
    figures = ("refundedAmount", "availableToRefundAmount")
    assert [shown[name] for name in figures] == [after[name] for name in figures]
    assert after["version"] == shown["version"] + 1
    assert listed(api, "/refunds") == []


def test_d_06_the_rest_stays_refundable(api: Api) -> None:
    order = given_captured(api, "A")
    charge_back(api, order, 10.00)
    assert_not_available(ask(api, order, amount=17.02))
    made = settled_refund(api, order, amount=17.01)
    assert made["state"] == "succeeded"
    assert_available(api, order, "0.0", "0.0")


def test_d_07_the_bank_takes_it_all(api: Api) -> None:
    order = given_captured(api, "A")
    lost = charge_back(api, order, fraud=False)
    assert (lost["chargebackAmount"], lost["fraud"]) == (money("27.01"), False)
    assert get_order(api, order)["refundedAmount"] == money("27.01")
    assert_available(api, order, "0.0", "0.0")
    assert [sale["type"] for sale in sales_of(api, order)] == ["non_fraud_chargeback"]


def test_d_08_no_more_than_was_not_refunded(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, amount=13.51)
    dispute = given_dispute(api, order)
    assert dispute["amount"] == money("13.5")
    assert_invalid(ask_to_lose(api, dispute, 13.51), "amount", "13.51")
    assert get_dispute(api, dispute) == dispute
    lose(api, dispute, 13.50)
    assert get_order(api, order)["refundedAmount"] == money("27.01")
    assert_available(api, order, "0.0", "0.0")


def test_d_09_fees_are_taken_too(api: Api) -> None:
    order = given_captured(api, "E")
    charge_back(api, order, 20.00)
    assert_available(api, order, "24.09", "11.75")
    (sale,) = sales_of(api, order)
    names = ("regulatoryFees", "tax", "shipping", "productPrice", "landedCost", "amount")
    assert [sale["payoutAmounts"][name] for name in names] == monies(
        "-7.26", "-1.4", "-2.27", "-9.07", "0.0", "-20.0"
    )


def test_d_10_one_sales_transaction_for_each_line(api: Api) -> None:
    order = given_captured(api, "F")
    start = mark(api)
    lost = charge_back(api, order, 10.00)
    sales = sales_of(api, order)
    assert amounts(sales) == monies("-5.0", "-5.0")
    assert [sale["lineItemId"] for sale in sales] == [item["id"] for item in order["items"]]
    assert lost["salesTransactionIds"] == [sale["id"] for sale in sales]
    assert_available(api, order, "17.0", "6.8", "6.8")
    assert types_since(api, start) == ["order.dispute", LOST[0], *LOST]


def test_d_11_a_pending_refund_goes_on(api: Api) -> None:
    order = given_captured(api, "A")
    made = refund(api, order, percent=50)
    given_dispute(api, order)
    start = mark(api)
    settle(api)
    assert get_refund(api, made)["state"] == "succeeded"
    assert get_order(api, order)["state"] == "dispute"
    last = events_since(api, start)[-1]
    assert (last["type"], last["data"]["object"]["state"]) == ("order.refunded", "dispute")


def test_d_12_the_processor_says_so(service: Service, api: Api) -> None:
    order = given_captured(api, "A")
    charge_id = order["payment"]["charges"][0]["id"]
    start, note, reference = mark(api), str(uuid.uuid4()), f"case-{uuid.uuid4()}"
    data = {"processorReference": reference, "chargeId": charge_id, "amount": 27.01}
    assert expect(service.notify("dispute.opened", data, note)) == NOTED
    repeated = expect(service.notify("dispute.opened", data, note))
    assert repeated == {"received": True, "duplicate": True}
    assert types_since(api, start) == ["order.dispute"]
    (dispute,) = disputes_of(api, order)
    assert (dispute["amount"], dispute["processorReference"]) == (money("27.01"), reference)
    path = "/refundry/v1/processor-notifications"
    body = {"id": "n", "type": "dispute.opened", "data": data}
    bad = service.api(None).post(path, body, {"Refundry-Signature": "1714557600, AAAA"})
    assert bad.status_code == 401
    assert service.api(None).post(path, body).status_code == 401


def test_d_13_a_dispute_is_closed_once(api: Api) -> None:
    order = given_captured(api, "A")
    dispute = given_dispute(api, order)
    won = win(api, dispute)
    message = f"Dispute {dispute['id']} is closed."
    assert_state_refused(ask_to_lose(api, dispute, 10.00), message)
    assert_state_refused(ask_to_lose(api, dispute), message)
    assert get_dispute(api, dispute) == won
    assert_available(api, order, "27.01")
    lost = charge_back(api, order, 10.00)
    assert_state_refused(ask_to_lose(api, lost, 10.00), message.replace(dispute["id"], lost["id"]))


def test_d_14_sales_transactions_by_type(api: Api) -> None:
    first, second = given_captured(api, "A"), given_captured(api, "A")
    charge_back(api, first, 10.00, fraud=True)
    charge_back(api, second, fraud=False)
    (sale,) = sales_of(api, first)
    assert listed(api, "/sales-transactions?type=fraud_chargeback") == [sale["id"]]
    assert len(listed(api, "/sales-transactions")) == 2


def test_d_15_money_that_the_bank_took_is_not_sent() -> None:
    with Processor() as processor, Service(env=processor.environment()) as service:
        api = service.api(service.open_account().secret_test)
        order = given_captured(api, "A")
        made = refund(api, order, percent=50)
        charge_back(api, order, 27.01)
        assert get_order(api, order)["refundedAmount"] == money("27.01")
        assert_available(api, order, "0.0", "0.0")
        assert sum(amounts(sales_of(api, order))) == money("-27.01")
        start, calls = mark(api), processor.calls()
        settle(api)
        failed = get_refund(api, made)
        assert (failed["state"], failed["failureReason"]) == ("failed", "declined")
        assert [each["refunds"][0]["state"] for each in failed["charges"]] == ["failed"]
        assert (processor.calls(), processor.paid("refund")) == (calls, [])
        assert types_since(api, start) == ["order.charge.refund.failed", "refund.failed"]
        assert get_order(api, order)["refundedAmount"] == money("27.01")
        assert_available(api, order, "0.0", "0.0")


def test_d_16_what_a_failed_refund_frees_is_the_banks(api: Api) -> None:
    order = given_captured(api, "S")
    made = settled_refund(api, order, percent=100)
    assert made["state"] == "pending"
    lost = charge_back(api, order)
    assert lost["chargebackAmount"] == money("27.01")
    assert get_order(api, order)["refundedAmount"] == money("27.01")
    assert_available(api, order, "0.0", "0.0")
    assert amounts(sales_of(api, order)) == monies("-27.01")
    advance(api, 60)
    assert get_refund(api, made)["state"] == "failed"
    assert get_order(api, order)["refundedAmount"] == money("27.01")
    assert_available(api, order, "0.0", "0.0")


def test_d_17_a_transition_during_a_dispute(api: Api) -> None:
    order = given_accepted(api, "A")
    start = mark(api)
    fulfil(api, order, 2)
    dispute = given_dispute(api, order)
    assert dispute["amount"] == money("0.0")
    settle(api)
    during = get_order(api, order)
    assert (during["state"], during["capturedAmount"]) == ("dispute", money("27.01"))
    assert "complete" in during["stateTransitions"]
    (event,) = expect(api.get("/events?type=order.complete"))["data"]
    assert event["data"]["object"]["state"] == "dispute"
    win(api, dispute)
    assert get_order(api, order)["state"] == "complete"
    assert types_since(api, start) == [
        *CAPTURE[:4],
        "order.dispute",
        *CAPTURE[4:],
        "order.dispute.resolved",
    ]
