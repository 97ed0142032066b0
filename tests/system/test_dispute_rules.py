"""What the operations on disputes refuse and show, and who may use them."""

import json

import pytest

from tests.support.disputes import (
    LOST,
    ask_dispute,
    ask_to_lose,
    assert_refund_in_dispute,
    assert_state_refused,
    charge_back,
    close,
    dispute_of,
    disputes_of,
    get_dispute,
    given_dispute,
    lose,
    sales_of,
    win,
)
from tests.support.fixtures import (
    advance,
    ask,
    ask_to_fulfil,
    assert_available,
    cancel,
    charges,
    element,
    events_since,
    get_order,
    given_accepted,
    given_captured,
    listed,
    mark,
    order_body,
    paid_by,
    refund,
    settle,
    settled_refund,
    source,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_conflict,
    assert_error,
    assert_forbidden,
    assert_invalid,
    assert_missing,
    assert_unknown,
    expect,
    money,
)
from tests.support.returns import accepted_return, ask_return, assert_return_in_dispute
from tests.support.service import Account, Service

DISPUTES = "/refundry/v1/disputes"


@pytest.fixture
def order(api: Api) -> Doc:
    return given_captured(api, "A")


def assert_missing_object(response: object, noun: str, object_id: str) -> None:
    message = f"{noun} '{object_id}' not found."
    assert_error(response, 404, "not_found", "not_found", "id", message)  # type: ignore[arg-type]


def test_what_is_told_of_a_dispute_is_kept(api: Api, order: Doc) -> None:
    told = {"amount": 5.5, "reason": "fraudulent", "processorReference": "case-1"}
    dispute = given_dispute(api, order, **told)
    assert {name: dispute[name] for name in told} == {**told, "amount": money("5.5")}
    assert get_dispute(api, dispute) == dispute
    lost = lose(api, dispute)
    assert lost["chargebackAmount"] == money("5.5"), "at most the disputed amount, by default"


def test_more_than_was_disputed_may_be_lost(api: Api, order: Doc) -> None:
    dispute = given_dispute(api, order, amount=5.5)
    assert lose(api, dispute, 20.00)["chargebackAmount"] == money("20.0")
    assert_available(api, order, "7.01")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (27.02, "27.02"),
        (28, "28"),
        (0, "0"),
        (-1, "-1"),
        (10.005, "10.005"),
        ("x", "x"),
        (True, "true"),
    ],
)
def test_amounts_are_positive_and_within_the_limit(
    api: Api, order: Doc, amount: object, shown: str
) -> None:
    dispute = given_dispute(api, order)
    assert_invalid(ask_to_lose(api, dispute, amount), "amount", shown)
    assert get_dispute(api, dispute) == dispute


@pytest.mark.parametrize("amount", [0, -1, 10.005, True])
def test_a_disputed_amount_is_positive_and_exact(api: Api, order: Doc, amount: object) -> None:
    assert_invalid(ask_dispute(api, order, amount=amount), "amount", json.dumps(amount))
    assert get_order(api, order)["state"] == "complete"


def test_banks_may_dispute_more_than_is_left(api: Api, order: Doc) -> None:
    settled_refund(api, order, amount=13.51)
    dispute = given_dispute(api, order, amount=27.01)
    assert dispute["amount"] == money("27.01")
    assert lose(api, dispute)["chargebackAmount"] == money("13.5")


def test_fields_of_a_dispute(api: Api, order: Doc) -> None:
    assert_unknown(ask_dispute(api, order, foo=1), "foo")
    assert_invalid(ask_dispute(api, order, chargeId="nope"), "chargeId", "nope")
    other = given_captured(api, "A")["payment"]["charges"][0]["id"]
    assert_invalid(ask_dispute(api, order, chargeId=other), "chargeId", other)
    assert disputes_of(api, order) == []


def test_fields_of_a_resolution(api: Api, order: Doc) -> None:
    dispute = given_dispute(api, order)
    assert_missing(close(api, dispute), "outcome")
    assert_invalid(close(api, dispute, outcome="maybe"), "outcome", "maybe")
    assert_missing(close(api, dispute, outcome="lost"), "fraud")
    assert_invalid(close(api, dispute, outcome="lost", fraud="yes"), "fraud", "yes")
    assert_unknown(close(api, dispute, outcome="won", foo=1), "foo")
    assert get_dispute(api, dispute) == dispute
    assert expect(close(api, dispute, outcome="WON"))["state"] == "won"


def test_amounts_may_be_texts(api: Api, order: Doc) -> None:
    dispute = expect(ask_dispute(api, order, amount="12.50"), 201)
    assert dispute["amount"] == money("12.5")
    lost = expect(ask_to_lose(api, dispute, "10"))
    assert lost["chargebackAmount"] == money("10.0")


def test_unknown_objects(api: Api) -> None:
    assert_missing_object(ask_dispute(api, {"id": "000"}), "Order", "000")
    assert_missing_object(api.get(f"{DISPUTES}/dp_x"), "Dispute", "dp_x")
    assert_missing_object(close(api, {"id": "dp_x"}, outcome="won"), "Dispute", "dp_x")


def test_a_charge_has_one_open_dispute(api: Api, order: Doc) -> None:
    dispute = given_dispute(api, order)
    assert_state_refused(ask_dispute(api, order), f"Order {order['id']} is in dispute.")
    win(api, dispute)
    again = given_dispute(api, order)
    assert [each["id"] for each in disputes_of(api, order)] == [again["id"], dispute["id"]]


@pytest.mark.parametrize("state", ["pending_payment", "in_review", "blocked"])
def test_orders_that_were_never_accepted_cannot_be_disputed(api: Api, state: str) -> None:
    order = expect(api.post("/orders", order_body("A", state=state)), 201)
    message = f"'{state}' orders cannot be disputed."
    assert_state_refused(ask_dispute(api, order), message)


def test_cancelled_orders_cannot_be_disputed(api: Api) -> None:
    order = given_accepted(api, "A")
    cancel(api, order, 2)
    settle(api)
    assert_state_refused(ask_dispute(api, order), "'cancelled' orders cannot be disputed.")


def test_an_accepted_order_goes_back_to_accepted(api: Api) -> None:
    order = given_accepted(api, "A")
    dispute = given_dispute(api, order)
    start = mark(api)
    lost = lose(api, dispute)
    assert lost["chargebackAmount"] == money("0.0")
    assert lost.get("salesTransactionIds", []) == []
    assert types_since(api, start) == ["order.dispute.resolved"]
    after = get_order(api, order)
    assert (after["state"], after["refundedAmount"]) == ("accepted", money("0.0"))
    assert after["payment"]["charges"][0]["refunded"] is False
    assert sales_of(api, order) == []


def test_nothing_can_be_lost_of_a_charge_without_captures(api: Api) -> None:
    order = given_accepted(api, "A")
    dispute = given_dispute(api, order, amount=27.01)
    assert_invalid(ask_to_lose(api, dispute, 0.01), "amount", "0.01")


def test_a_returned_order_is_disputed_and_returned_again(api: Api) -> None:
    order = given_captured(api, "A")
    accepted_return(api, order, 2)
    settle(api)
    assert get_order(api, order)["state"] == "returned"
    charge_back(api, order)
    after = get_order(api, order)
    assert (after["state"], after["fraudState"]) == ("returned", "passed")
    assert after["refundedAmount"] == money("27.01")


def test_an_order_is_returned_during_a_dispute(api: Api) -> None:
    order = given_captured(api, "A")
    accepted_return(api, order, 2)
    dispute = given_dispute(api, order)
    start = mark(api)
    settle(api)
    during = get_order(api, order)
    assert (during["state"], "returned" in during["stateTransitions"]) == ("dispute", True)
    last = events_since(api, start)[-1]
    assert (last["type"], last["data"]["object"]["state"]) == ("order.refunded", "dispute")
    win(api, dispute)
    assert get_order(api, order)["state"] == "returned"


def test_an_order_is_cancelled_during_a_dispute(api: Api) -> None:
    order = given_accepted(api, "A")
    cancel(api, order, 2)
    dispute = given_dispute(api, order)
    start = mark(api)
    settle(api)
    shown = [
        e["data"]["object"]["state"]
        for e in events_since(api, start)
        if e["type"] == "order.cancelled"
    ]
    assert shown == ["dispute"]
    win(api, dispute)
    assert get_order(api, order)["state"] == "cancelled"


def test_what_waits_for_the_end_of_a_dispute(api: Api, order: Doc) -> None:
    made = refund(api, order, amount=1.00)
    given_dispute(api, order)
    assert_refund_in_dispute(ask(api, order, amount=1.00))
    assert_refund_in_dispute(ask(api, order, items=[element(order, "a", percent=50)]))
    assert_return_in_dispute(ask_return(api, order, 1))
    message = f"Order '{order['id']}' has not been submitted."
    response = ask_to_fulfil(api, order, "quantity", 1)
    assert_conflict(response, "order_not_submitted", "orderId", message)
    expect(api.post(f"/orders/{order['id']}", {"metadata": {"a": 1}}))
    expect(api.post(f"/refunds/{made['id']}", {"metadata": {"a": 1}}))


def test_a_passed_review_is_opened_and_passed_again(api: Api) -> None:
    times = {"passed": "2024-05-01T09:40:02Z"}
    order = given_captured(api, "A", fraudState="passed", fraudStateTransitions=times)
    dispute = given_dispute(api, order)
    during = get_order(api, order)["fraudStateTransitions"]
    assert during == {**times, "review_opened": dispute["createdTime"]}
    won = win(api, dispute)
    after = get_order(api, order)["fraudStateTransitions"]
    assert after == {**during, "passed": won["resolvedTime"]}


@pytest.mark.parametrize("name", ["G", "H"])
def test_two_charges_are_disputed_at_once(api: Api, name: str) -> None:
    order = given_captured(api, name)
    start = mark(api)
    on_card = given_dispute(api, order)
    assert on_card["chargeId"] == charges(api, order)["creditCard"]["id"]
    card, credit = (each["amount"] for each in order["payment"]["sources"])
    assert on_card["amount"] == card
    assert_state_refused(ask_dispute(api, order), f"Order {order['id']} is in dispute.")
    on_credit = dispute_of(api, order, "customerCredit")
    assert on_credit["amount"] == credit
    assert types_since(api, start) == ["order.dispute"]

    assert_invalid(ask_to_lose(api, on_card, 26.89), "amount", "26.89")
    lose(api, on_card)
    during = get_order(api, order)
    assert (during["state"], during["fraudState"]) == ("dispute", "review_opened")
    assert (during["refundedAmount"], during["availableToRefundAmount"]) == (card, credit)
    assert_refund_in_dispute(ask(api, order, amount=1.00))
    win(api, on_credit)
    after = get_order(api, order)
    assert (after["state"], after["fraudState"]) == ("complete", "passed")
    assert types_since(api, start) == ["order.dispute", *LOST]
    made = settled_refund(api, order, percent=100)
    assert (made["amount"], made["refundedAmount"]) == (credit, credit)


def test_the_first_of_two_disputes_may_be_won(api: Api) -> None:
    order = given_captured(api, "G")
    on_card, on_credit = given_dispute(api, order), dispute_of(api, order, "customerCredit")
    start = mark(api)
    win(api, on_card)
    assert types_since(api, start) == []
    assert get_order(api, order)["state"] == "dispute"
    lose(api, on_credit, 20.00)
    assert types_since(api, start) == LOST
    assert_available(api, order, "6.89")
    assert get_order(api, order)["state"] == "complete"


def test_lists_of_disputes(api: Api, order: Doc) -> None:
    other = given_captured(api, "B")
    first = given_dispute(api, order)
    advance(api, 5)
    second = given_dispute(api, other)
    advance(api, 5)
    lost = lose(api, second, 1.00)
    third = given_dispute(api, other)
    ids = [each["id"] for each in (third, second, first)]
    assert listed(api, DISPUTES) == ids
    assert listed(api, f"{DISPUTES}?orderId={other['id']}") == ids[:2]
    assert listed(api, f"{DISPUTES}?state=open") == [ids[0], ids[2]]
    assert listed(api, f"{DISPUTES}?state=lost") == [ids[1]]
    assert listed(api, f"{DISPUTES}?state=won") == []
    assert listed(api, f"{DISPUTES}?createdTime[gte]={second['createdTime']}") == ids[:2]
    assert listed(api, f"{DISPUTES}?createdTime={first['createdTime']}") == ids[2:]
    assert listed(api, f"{DISPUTES}?ids={ids[2]}&ids={ids[0]}") == [ids[0], ids[2]]
    assert listed(api, f"{DISPUTES}?limit=1&startingAfter={ids[0]}") == [ids[1]]
    assert expect(api.get(f"{DISPUTES}?state=lost"))["data"] == [lost]
    assert_invalid(api.get(f"{DISPUTES}?state=bogus"), "state", "bogus")


def test_permissions(service: Service, account: Account, api: Api, order: Doc) -> None:
    reader = service.api(account.create_key(kind="restricted", permissions={"disputes": "read"}))
    writer = service.api(account.create_key(kind="restricted", permissions={"disputes": "write"}))
    dispute = expect(ask_dispute(writer, order), 201)
    assert get_dispute(reader, dispute) == dispute
    assert listed(reader, DISPUTES) == [dispute["id"]]
    assert_forbidden(ask_dispute(reader, order))
    assert_forbidden(close(reader, dispute, outcome="won"))
    assert_forbidden(writer.get(DISPUTES))
    assert_forbidden(reader.get("/sales-transactions"))
    assert_forbidden(service.api(account.public_test).get(DISPUTES))
    assert win(writer, dispute)["state"] == "won"
    orders = service.api(
        account.create_key(kind="restricted", permissions={"orders": "read_write"})
    )
    assert_forbidden(ask_dispute(orders, order))


def test_a_repeated_request_opens_and_closes_once(api: Api, order: Doc) -> None:
    path, key = f"/refundry/v1/orders/{order['id']}/disputes", {"Idempotency-Key": "open"}
    first, second = (api.post(path, {"amount": 10.00}, key) for _ in range(2))
    assert expect(first, 201) == expect(second, 201)
    assert second.headers["Idempotent-Replayed"] == "true"
    path, key = f"{DISPUTES}/{expect(first, 201)['id']}", {"Idempotency-Key": "close"}
    body = {"outcome": "lost", "fraud": False}
    first, second = (api.post(path, body, key) for _ in range(2))
    assert expect(first) == expect(second)
    assert len(sales_of(api, order)) == 1
    assert_available(api, order, "17.01")


def test_modes_are_apart(service: Service, account: Account, api: Api, order: Doc) -> None:
    dispute = given_dispute(api, order)
    live = service.api(account.secret_live)
    assert_missing_object(ask_dispute(live, order), "Order", order["id"])
    assert_missing_object(live.get(f"{DISPUTES}/{dispute['id']}"), "Dispute", dispute["id"])
    response = close(live, dispute, outcome="won")
    assert_missing_object(response, "Dispute", dispute["id"])
    body = order_body("A", state="complete", payment=paid_by(source("payPal", 27.01)))
    sold = expect(live.post("/orders", body), 201)
    start = mark(live)
    lost = charge_back(live, sold, 10.00)
    (sale,) = sales_of(live, sold)
    assert (lost["liveMode"], sale["liveMode"], sale["paymentType"]) == (True, True, "payPal")
    assert [each["liveMode"] for each in events_since(live, start)] == [True] * 4
    assert_missing_object(
        api.get(f"/sales-transactions/{sale['id']}"), "Sales transaction", sale["id"]
    )
    assert listed(live, DISPUTES) == [lost["id"]]
