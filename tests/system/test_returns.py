"""Acceptance cases T-01 to T-16: returns, their acceptance, and the refunds that follow."""

from tests.support.disputes import given_dispute
from tests.support.fixtures import (
    SUCCESS,
    assert_available,
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
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_conflict,
    assert_invalid,
    assert_missing,
    expect,
    money,
)
from tests.support.returns import (
    ACCEPTED,
    accept_return,
    accept_units,
    accepted_return,
    ask_return,
    ask_units,
    assert_return_in_dispute,
    assert_too_many,
    get_return,
    given_return,
    update_return,
)

ANNOUNCED = ["return.accepted", *SUCCESS[:2]]


def members(goods: Doc, name: str) -> list[object]:
    return [item[name] for item in goods["items"]]


def made_refunds(api: Api, goods: Doc) -> list[Doc]:
    return [expect(api.get(f"/refunds/{refund_id}")) for refund_id in goods["refundIds"]]


def test_t_01_a_return_is_authorised(api: Api) -> None:
    order = given_captured(api, "W")
    start = mark(api)
    made = expect(ask_return(api, order, 2, "3", reason="Damaged Goods"), 201)
    lines = order["items"]
    assert made == {
        "id": made["id"],
        "createdTime": made["createdTime"],
        "updatedTime": made["createdTime"],
        "orderId": order["id"],
        "currency": "USD",
        "reason": "Damaged Goods",
        "items": [
            {"itemId": lines[0]["id"], "skuId": "sku-tee", "quantity": 2, "quantityAccepted": 0,
             "amount": money("21.61"), "state": "created"},
            {"itemId": lines[1]["id"], "skuId": "sku-cap", "quantity": 3, "quantityAccepted": 0,
             "amount": money("48.61"), "state": "created"},
        ],
        "state": "created",
        "liveMode": False,
    }  # fmt: skip
    assert made["id"].startswith("ret_")
    assert_available(api, order, "70.22", "21.61", "48.61")
    (event,) = events_since(api, start)
    assert event["type"] == "return.created"
    assert event["data"] == {"object": made}
    assert get_return(api, made) == made


def test_t_02_acceptance_makes_one_refund(api: Api) -> None:
    order = given_captured(api, "W")
    goods = given_return(api, order, 2, "3", reason="Damaged Goods")
    start = mark(api)
    accepted = accept_return(api, goods)
    assert members(accepted, "state") == ["accepted", "accepted"]
    assert members(accepted, "quantityAccepted") == [2, 3]
    assert members(accepted, "amount") == monies("21.61", "48.61")
    (made,) = made_refunds(api, accepted)
    assert line_amounts(made) == monies("21.61", "48.61")
    assert [item["quantity"] for item in made["items"]] == [2, 3]
    assert (made["reason"], made["state"]) == ("Damaged Goods", "pending")
    events = events_since(api, start)
    assert [event["type"] for event in events] == ANNOUNCED
    assert [event["data"]["object"] for event in events] == [accepted, made, made]
    assert_available(api, order, "0.0", "0.0", "0.0")


def test_t_03_the_order_is_returned_with_its_refund(api: Api) -> None:
    order = given_captured(api, "W")
    accepted = accepted_return(api, order, 2, 3)
    start = mark(api)
    settle(api)
    (made,) = made_refunds(api, accepted)
    assert (made["state"], made["refundedAmount"]) == ("succeeded", money("70.22"))
    after = get_order(api, order)
    assert (after["state"], members(after, "state")) == ("returned", ["returned", "returned"])
    assert after["refundedAmount"] == money("70.22")
    assert types_since(api, start) == SUCCESS[2:]
    last = events_since(api, start)[-1]["data"]["object"]
    assert (last["state"], last) == ("returned", after)
    assert "returned" in last["stateTransitions"]


def test_t_04_part_of_the_goods_refunds_nothing(api: Api) -> None:
    order = given_captured(api, "V")
    goods = given_return(api, order, 2, 3)
    start = mark(api)
    after = accept_units(api, order, goods, "a", 2)
    assert (after["state"], members(after, "state")) == ("created", ["accepted", "created"])
    assert members(after, "quantityAccepted") == [2, 0]
    assert members(after, "amount") == monies("21.61", "64.82")
    assert "refundIds" not in after
    assert listed(api, "/refunds") == []
    assert_available(api, order, "86.43")
    (event,) = events_since(api, start)
    assert event["type"] == "return.updated"
    assert event["data"] == {"object": after, "previousAttributes": {"items": goods["items"]}}


def test_t_05_the_last_of_the_goods_refunds_each_arrival(api: Api) -> None:
    order = given_captured(api, "V")
    goods = given_return(api, order, 2, 3)
    accept_units(api, order, goods, "a", 2)
    start = mark(api)
    accepted = accept_units(api, order, goods, "b", 3)
    assert accepted["state"] == "accepted"
    assert types_since(api, start) == [*ANNOUNCED, *SUCCESS[:2]]
    first, second = made_refunds(api, accepted)
    assert line_amounts(first) == monies("21.61")
    assert line_amounts(second) == monies("64.82")
    settle(api)
    assert get_order(api, order)["state"] == "returned"
    assert get_order(api, order)["refundedAmount"] == money("86.43")


def test_t_06_one_line_in_two_arrivals(api: Api) -> None:
    order = given_captured(api, "V")
    goods = given_return(api, order, 0, 3)
    after = accept_units(api, order, goods, "b", 2)
    assert (members(after, "quantityAccepted"), members(after, "state")) == ([2], ["created"])
    accepted = accept_units(api, order, goods, "b", 1)
    assert [line_amounts(each) for each in made_refunds(api, accepted)] == [
        monies("43.21"),
        monies("21.61"),
    ]
    assert members(accepted, "amount") == monies("64.82")


def test_t_07_no_more_than_was_fulfilled_and_is_not_on_its_way(api: Api) -> None:
    order = given_captured(api, "V")
    assert_too_many(ask_return(api, order, 0, 4))
    given_return(api, order, 0, 3)
    assert_too_many(ask_return(api, order, 0, 1))


def test_t_08_units_that_were_not_fulfilled_cannot_come_back(api: Api) -> None:
    order = given_accepted(api, "V")
    fulfil(api, order, 0, 1)
    settle(api)
    assert_too_many(ask_return(api, order, 0, 2))
    made = given_return(api, order, 0, 1)
    assert members(made, "amount") == monies("21.61")


def test_t_09_no_more_arrives_than_was_authorised(api: Api) -> None:
    order = given_captured(api, "V")
    goods = given_return(api, order, 0, 3)
    after = accept_units(api, order, goods, "b", 2)
    assert_too_many(ask_units(api, order, goods, "b", 2))
    assert get_return(api, goods) == after


def test_t_10_an_accepted_return_stays_accepted(api: Api) -> None:
    order = given_captured(api, "V")
    accepted = accepted_return(api, order, 2)
    message = f"Return {accepted['id']} is accepted."
    assert_conflict(update_return(api, accepted, ACCEPTED), "invalid_state", "state", message)
    start = mark(api)
    after = expect(update_return(api, accepted, {"metadata": {"x": 1}}))
    assert after == {**accepted, "updatedTime": after["updatedTime"], "metadata": {"x": 1}}
    (event,) = events_since(api, start)
    assert event["type"] == "return.updated"
    assert event["data"] == {"object": after, "previousAttributes": {"metadata": {}}}


def test_t_11_no_return_during_a_dispute(api: Api) -> None:
    order = given_captured(api, "V")
    given_dispute(api, order)
    assert_return_in_dispute(ask_return(api, order, 2))


def test_t_12_what_is_left_of_the_line_is_refunded(api: Api) -> None:
    order = given_captured(api, "V")
    settled_refund(api, order, items=[element(order, "b", amount=64.00)])
    goods = given_return(api, order, 0, 3)
    assert members(goods, "amount") == monies("0.82")
    accepted = accept_return(api, goods)
    (made,) = made_refunds(api, accepted)
    assert line_amounts(made) == monies("0.82")
    assert members(accepted, "amount") == monies("0.82")


def test_t_13_nothing_left_makes_no_refund(api: Api) -> None:
    order = given_captured(api, "V")
    settled_refund(api, order, items=[element(order, "b", percent=100)])
    goods = given_return(api, order, 0, 3)
    start = mark(api)
    accepted = accept_return(api, goods)
    assert "refundIds" not in accepted
    assert members(accepted, "amount") == monies("0.0")
    assert types_since(api, start) == ["return.accepted"]
    assert len(listed(api, "/refunds")) == 1


def test_t_14_fields(api: Api) -> None:
    order = given_captured(api, "V")
    body = {"orderId": order["id"], "items": [{"quantity": 1}]}
    assert_missing(api.post("/returns", body), "items[0].itemId")
    body = {"orderId": order["id"], "items": [element(order, "a")]}
    assert_missing(api.post("/returns", body), "items[0].quantity")
    goods = given_return(api, order, 1)
    assert_invalid(update_return(api, goods, {"state": "closed"}), "state", "closed")
    assert get_return(api, goods) == goods


def test_t_15_returned_once_every_line_is_returned_or_refunded(api: Api) -> None:
    order = given_captured(api, "L")
    accepted_return(api, order, 1)
    settle(api)
    assert get_order(api, order)["state"] == "complete"
    start = mark(api)
    made = settled_refund(api, order, items=[element(order, "b", percent=10)])
    assert line_amounts(made) == monies("2.7")
    after = get_order(api, order)
    assert (after["state"], after["refundedAmount"]) == ("returned", money("17.7"))
    assert members(after, "state") == ["returned", "fulfilled"]
    assert_available(api, order, "24.31", "0.0", "24.31")
    assert events_since(api, start)[-1]["data"]["object"]["state"] == "returned"


def test_t_16_returns_are_filtered(api: Api) -> None:
    first, second = given_captured(api, "A"), given_captured(api, "B")
    of_first = given_return(api, first, 1)
    of_second = given_return(api, second, 0, 1)
    accepted = accepted_return(api, second, 2)
    everything = [accepted["id"], of_second["id"], of_first["id"]]
    assert listed(api, "/returns") == everything
    assert listed(api, f"/returns?orderId={second['id']}") == everything[:2]
    assert listed(api, "/returns?state=accepted") == everything[:1]
    assert listed(api, "/returns?state=created") == everything[1:]
    assert listed(api, "/returns?skuId=sku-cap") == [of_second["id"]]
    assert listed(api, "/returns?skuId=sku-tee") == [accepted["id"], of_first["id"]]
    (shown,) = expect(api.get("/returns?state=accepted"))["data"]
    assert shown == get_return(api, accepted)
    assert get_refund(api, {"id": shown["refundIds"][0]})["orderId"] == second["id"]
