"""What returns do to orders and refunds, and who may use them, beyond the numbered cases."""

import pytest

from tests.support.disputes import given_dispute, win
from tests.support.fixtures import (
    FAILURE,
    advance,
    ask,
    cancel,
    element,
    events_since,
    fulfil,
    get_order,
    get_refund,
    given_accepted,
    given_captured,
    line_amounts,
    listed,
    mark,
    monies,
    order_body,
    paid_by,
    refund_line,
    settle,
    settled_refund,
    source,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_bad,
    assert_conflict,
    assert_error,
    assert_forbidden,
    assert_invalid,
    expect,
    money,
)
from tests.support.returns import (
    ACCEPTED,
    accept_return,
    accept_units,
    accepted_return,
    arrival,
    ask_return,
    ask_units,
    assert_return_in_dispute,
    assert_too_many,
    get_return,
    given_return,
    update_return,
)
from tests.support.service import Account, Service

LOCATION = {"address": {"line1": "Am Markt 1", "city": "Bremen", "postalCode": "28195",
                        "state": "HB", "country": "DE"}}  # fmt: skip


@pytest.fixture
def order(api: Api) -> Doc:
    return given_captured(api, "V")


def test_cancelled_units_do_not_come_back(api: Api) -> None:
    order = given_accepted(api, "V")
    fulfil(api, order, 1, 3)
    cancel(api, order, 1, 0)
    settle(api)
    assert_too_many(ask_return(api, order, 2))
    accepted_return(api, order, 1, 3)
    settle(api)
    after = get_order(api, order)
    assert (after["state"], after["availableToRefundAmount"]) == ("returned", money("0.0"))


def test_state_and_items_together_accept_everything_in_one_refund(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 2, 3)
    start = mark(api)
    body = {**ACCEPTED, "items": [arrival(order, "b", 1)]}
    accepted = expect(update_return(api, goods, body))
    assert accepted["state"] == "accepted"
    assert [item["quantityAccepted"] for item in accepted["items"]] == [2, 3]
    (refund_id,) = accepted["refundIds"]
    made = get_refund(api, {"id": refund_id})
    by_line = {item["itemId"]: item["amount"] for item in made["items"]}
    first, second = order["items"]
    assert by_line == {first["id"]: money("21.61"), second["id"]: money("64.82")}
    assert types_since(api, start) == ["return.accepted", "refund.created", "refund.pending"]


def test_state_with_too_many_items_accepts_nothing(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 2, 3)
    body = {**ACCEPTED, "items": [arrival(order, "b", 4)]}
    assert_too_many(update_return(api, goods, body))
    assert get_return(api, goods) == goods


def test_acceptance_and_metadata_at_once_are_one_event(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 2)
    start = mark(api)
    after = expect(update_return(api, goods, {**ACCEPTED, "metadata": {"dock": 4}}))
    assert (after["state"], after["metadata"]) == ("accepted", {"dock": 4})
    assert types_since(api, start) == ["return.accepted", "refund.created", "refund.pending"]
    assert events_since(api, start)[0]["data"] == {"object": after}


def test_acceptance_ends_with_the_last_unit(api: Api, order: Doc) -> None:
    accepted = accepted_return(api, order, 2)
    message = f"Return {accepted['id']} is accepted."
    response = ask_units(api, order, accepted, "a", 1)
    assert_conflict(response, "invalid_state", "state", message)
    response = update_return(api, accepted, {**ACCEPTED, "metadata": {"x": 1}})
    assert_conflict(response, "invalid_state", "state", message)
    moved = expect(update_return(api, accepted, {"location": LOCATION}))
    assert moved["location"] == LOCATION
    assert "metadata" not in moved


def test_during_a_dispute_only_metadata_may_change(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 2)
    dispute = given_dispute(api, order)
    assert_return_in_dispute(update_return(api, goods, ACCEPTED))
    assert_return_in_dispute(ask_units(api, order, goods, "a", 1))
    after = expect(update_return(api, goods, {"metadata": {"case": 7}}))
    assert after["metadata"] == {"case": 7}
    win(api, dispute)
    assert accept_return(api, goods)["items"][0]["quantityAccepted"] == 2


def test_estimates_follow_the_money_until_acceptance(api: Api, order: Doc) -> None:
    goods = given_return(api, order, 2, 3)
    accept_units(api, order, goods, "b", 3)
    refund_line(api, order, "b", amount=64.00)
    amounts = [item["amount"] for item in get_return(api, goods)["items"]]
    assert amounts == monies("21.61", "0.82")
    accepted = accept_return(api, goods)
    amounts = [item["amount"] for item in accepted["items"]]
    assert amounts == monies("21.61", "0.82")
    settle(api)
    assert [item["amount"] for item in get_return(api, goods)["items"]] == amounts


def test_money_that_is_not_captured_is_not_refunded(api: Api) -> None:
    order = given_accepted(api, "A")
    fulfil(api, order, 2)
    goods = given_return(api, order, 2)
    assert goods["items"][0]["amount"] == money("0.0")
    accepted = accept_return(api, goods)
    assert "refundIds" not in accepted
    settle(api)
    assert get_order(api, order)["availableToRefundAmount"] == money("27.01")
    assert get_return(api, goods)["items"][0]["amount"] == money("0.0")


def test_an_order_is_returned_by_an_acceptance_that_refunds_nothing(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, items=[element(order, "a", percent=100)])
    assert get_order(api, order)["state"] == "complete"
    goods = given_return(api, order, 2)
    start = mark(api)
    accept_return(api, goods)
    assert get_order(api, order)["state"] == "returned"
    assert types_since(api, start) == ["return.accepted"]


def test_a_full_refund_without_a_return_returns_nothing(api: Api) -> None:
    order = given_captured(api, "A")
    given_return(api, order, 2)
    settled_refund(api, order, percent=100)
    assert get_order(api, order)["state"] == "complete"


def test_the_return_stays_accepted_where_its_refund_fails(api: Api) -> None:
    order = given_captured(api, "R")
    accepted = accepted_return(api, order, 2)
    start = mark(api)
    settle(api)
    assert types_since(api, start) == FAILURE[2:]
    (refund_id,) = accepted["refundIds"]
    assert get_refund(api, {"id": refund_id})["state"] == "failed"
    after = get_return(api, accepted)
    assert (after["state"], after["refundIds"]) == ("accepted", [refund_id])
    now = get_order(api, order)
    assert (now["state"], now["items"][0]["state"]) == ("complete", "returned")
    expect(ask(api, order, percent=100), 201)


def test_the_order_is_not_returned_while_a_refund_of_a_return_is_open(api: Api) -> None:
    order = given_captured(api, "V")
    first = accepted_return(api, order, 2)
    second = accepted_return(api, order, 0, 3)
    assert get_order(api, order)["state"] == "complete"
    settle(api)
    assert get_order(api, order)["state"] == "returned"
    states = [get_refund(api, {"id": each["refundIds"][0]})["state"] for each in (first, second)]
    assert states == ["succeeded", "succeeded"]


def test_a_refund_of_a_return_has_the_shape_of_any_other(api: Api, order: Doc) -> None:
    accepted = accepted_return(api, order, 0, 2, reason="Wrong colour", metadata={"x": 1})
    (refund_id,) = accepted["refundIds"]
    made = get_refund(api, {"id": refund_id})
    cap = {"itemId": order["items"][1]["id"], "skuId": "sku-cap", "quantity": 2}
    assert made == {
        "id": refund_id,
        "createdTime": made["createdTime"],
        "currency": "USD",
        "items": [{**cap, "amount": money("43.21"), "refundedAmount": money("0.0")}],
        "orderId": order["id"],
        "refundedAmount": money("0.0"),
        "reason": "Wrong colour",
        "state": "pending",
        "liveMode": False,
    }
    assert listed(api, f"/refunds?orderId={order['id']}") == [refund_id]
    assert line_amounts(made) == monies("43.21")


def test_the_order_shows_that_it_changed(api: Api, order: Doc) -> None:
    before = get_order(api, order)
    advance(api, 5)
    goods = given_return(api, order, 2)
    advance(api, 5)
    accepted = accept_return(api, goods)
    after = get_order(api, order)
    assert after["updatedTime"] > before["updatedTime"]
    assert after["version"] > before["version"]
    assert accepted["updatedTime"] > goods["updatedTime"] == goods["createdTime"]
    assert "returned" in after["items"][0]["stateTransitions"]


def test_lists_of_returns(api: Api, order: Doc) -> None:
    made: list[Doc] = []
    for _ in range(3):
        made.append(given_return(api, order, 0, 1))
        advance(api, 5)
    first, second, third = [each["id"] for each in made]
    since = made[1]["createdTime"]
    assert listed(api, f"/returns?createdTime[gte]={since}") == [third, second]
    assert listed(api, f"/returns?createdTime={since}") == [second]
    assert listed(api, f"/returns?createdTime[lt]={since}") == [first]
    assert listed(api, f"/returns?ids={first},{third}") == [third, first]
    assert listed(api, f"/returns?startingAfter={third}&limit=1") == [second]
    assert listed(api, "/returns?orderId=none") == []
    assert_invalid(api.get("/returns?state=bogus"), "state", "bogus")
    assert_invalid(api.get("/returns?startingAfter=ret_no"), "startingAfter", "ret_no")


def test_permissions(service: Service, account: Account, api: Api, order: Doc) -> None:
    reader = service.api(account.create_key(kind="restricted", permissions={"returns": "read"}))
    writer = service.api(account.create_key(kind="restricted", permissions={"returns": "write"}))
    made = expect(ask_return(writer, order, 1), 201)
    assert get_return(reader, made) == made
    assert listed(reader, "/returns") == [made["id"]]
    assert_forbidden(ask_return(reader, order, 1))
    assert_forbidden(update_return(reader, made, ACCEPTED))
    assert_forbidden(writer.get(f"/returns/{made['id']}"))
    assert_forbidden(service.api(account.public_test).get("/returns"))
    assert accept_return(writer, made)["state"] == "accepted"


def test_a_repeated_request_makes_one_return(api: Api, order: Doc) -> None:
    body = {"orderId": order["id"], "items": [element(order, "a", quantity=1)]}
    key = {"Idempotency-Key": "return-1"}
    first, second = api.post("/returns", body, key), api.post("/returns", body, key)
    assert expect(first, 201) == expect(second, 201)
    assert second.headers["Idempotent-Replayed"] == "true"
    goods = expect(first, 201)
    taken = {"items": [arrival(order, "a", 1)]}
    answers = [api.post(f"/returns/{goods['id']}", taken, {"Idempotency-Key": "r2"})
               for _ in range(2)]  # fmt: skip
    assert expect(answers[0]) == expect(answers[1])
    assert len(listed(api, "/refunds")) == len(listed(api, "/returns")) == 1


def test_modes_are_apart(service: Service, account: Account, api: Api, order: Doc) -> None:
    goods = given_return(api, order, 1)
    live = service.api(account.secret_live)
    message = f"Return '{goods['id']}' not found."
    for response in (live.get(f"/returns/{goods['id']}"), update_return(live, goods, ACCEPTED)):
        assert_error(response, 404, "not_found", "not_found", "id", message)
    message = f"Order '{order['id']}' not found."
    assert_bad(ask_return(live, order, 1), "invalid_parameter", "orderId", message)
    payment = paid_by(source("payPal", 27.01))
    body = order_body("A", state="complete", payment=payment)
    sold = expect(live.post("/orders", body), 201)
    start = mark(live)
    made = accepted_return(live, sold, 2)
    assert made["liveMode"] is True
    assert made["items"][0]["amount"] == money("21.61")
    assert [event["liveMode"] for event in events_since(live, start)] == [True] * 4
    assert listed(live, "/returns") == [made["id"]]
    assert listed(api, "/returns") == [goods["id"]]
