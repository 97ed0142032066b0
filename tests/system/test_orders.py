"""Acceptance cases O-01 to O-28: ingestion, totals, fulfilment, capture and cancel amounts."""

from tests.support.fixtures import (
    CAPTURE,
    FIXTURES,
    amounts,
    ask,
    ask_to_fulfil,
    assert_available,
    cancel,
    card,
    charges,
    credit,
    events_since,
    fulfil,
    get_order,
    given_accepted,
    given_captured,
    given_partly_cancelled,
    line,
    listed,
    mark,
    monies,
    only_charge,
    order_body,
    paid_by,
    settle,
    settled_refund,
    types_since,
)
from tests.support.http import (
    Api,
    Doc,
    assert_charge_refused,
    assert_conflict,
    assert_invalid,
    assert_not_available,
    assert_unknown,
    expect,
    money,
)
from tests.support.service import Account, Service


def test_o_01_ingested_order(api: Api) -> None:
    order = expect(api.post("/orders", order_body("A")), 201)
    figures = ("totalAmount", "subtotal", "totalTax", "totalShipping")
    assert [order[name] for name in figures] == monies("27.01", "25.0", "2.01", "5.0")
    zeros = ("capturedAmount", "refundedAmount", "availableToRefundAmount")
    assert [order[name] for name in zeros] == monies("0.0", "0.0", "0.0")
    assert order["items"][0]["availableToRefundAmount"] == money("0.0")
    assert order["state"] == "accepted"
    (charge,) = order["payment"]["charges"]
    assert (charge["state"], charge["captured"]) == ("capturable", False)
    assert "captures" not in charge
    assert get_order(api, order) == order
    assert types_since(api, 0) == ["order.accepted"]


def test_o_02_wrong_total(api: Api) -> None:
    response = api.post("/orders", order_body("A", totalAmount=27.02))
    assert_invalid(response, "totalAmount", "27.02")


def test_o_03_sources_do_not_add_up(api: Api) -> None:
    response = api.post("/orders", order_body("A", payment=paid_by(card(27.00))))
    assert_invalid(response, "payment.sources", "27.0")


def test_o_04_two_primary_sources(api: Api) -> None:
    body = order_body("A", payment=paid_by(card(13.50), card(13.51)))
    refused = expect(api.post("/orders", body), 400)
    assert refused["type"] == "bad_request"
    (only,) = refused["errors"]
    assert (only["code"], only["parameter"]) == ("invalid_parameter", "payment.sources")
    assert listed(api, "/orders") == []


def test_o_05_shipping_goes_to_physical_items(api: Api) -> None:
    order = given_accepted(api, "Q")
    assert [item["shipping"] for item in order["items"]] == [
        {"amount": money("5.0"), "taxAmount": money("0.95")},
        {"amount": money("0.0"), "taxAmount": money("0.0")},
    ]


def test_o_06_item_shipping_does_not_add_up(api: Api) -> None:
    body = order_body("F")
    body["items"][1]["shipping"]["amount"] = 2.00
    assert_invalid(api.post("/orders", body), "items.shipping", "4.5")


def test_o_07_duplicate_order(api: Api) -> None:
    given_accepted(api, "A", id="219900000001")
    response = api.post("/orders", order_body("A", id="219900000001"))
    message = "Order '219900000001' already exists."
    assert_conflict(response, "order_already_exists", "id", message)
    assert listed(api, "/orders") == ["219900000001"]


def test_o_08_card_number_in_live_mode(service: Service, account: Account) -> None:
    live = service.api(account.secret_live)
    response = live.post("/orders", order_body("A"))
    assert_unknown(response, "payment.sources[0].creditCard.number")
    assert listed(live, "/orders") == []


def test_o_09_full_capture(api: Api) -> None:
    order = given_accepted(api, "A")
    start = mark(api)
    fulfil(api, order, 2)
    settle(api)
    now = get_order(api, order)
    assert (now["capturedAmount"], now["state"]) == (money("27.01"), "complete")
    assert_available(api, order, "27.01", "21.61")
    assert types_since(api, start) == CAPTURE


def test_o_10_capture_not_settled(api: Api) -> None:
    order = given_accepted(api, "A")
    fulfil(api, order, 2)
    assert get_order(api, order)["state"] == "fulfilled"
    charge = only_charge(api, order)
    assert charge["state"] == "processing"
    assert [capture["state"] for capture in charge["captures"]] == ["pending"]
    assert_available(api, order, "0.0")


def test_o_11_capture_in_two_parts(api: Api) -> None:
    order = given_accepted(api, "A")
    fulfil(api, order, 1)
    settle(api)
    now = get_order(api, order)
    assert (now["capturedAmount"], now["state"]) == (money("13.51"), "accepted")
    assert only_charge(api, order)["state"] == "capturable"
    assert_available(api, order, "13.51", "10.81")
    fulfil(api, order, 1)
    settle(api)
    assert amounts(only_charge(api, order)["captures"]) == monies("13.51", "13.5")
    assert_available(api, order, "27.01")
    assert get_order(api, order)["state"] == "complete"


def test_o_12_three_captures(api: Api) -> None:
    order = given_accepted(api, "M")
    for _ in range(3):
        fulfil(api, order, 1)
    assert amounts(only_charge(api, order)["captures"]) == monies("21.61", "21.6", "21.61")


def test_o_13_captures_and_cancels(api: Api) -> None:
    order = given_partly_cancelled(api)
    charge = only_charge(api, order)
    assert amounts(charge["captures"]) == monies("64.52", "24.19")
    assert amounts(charge["cancels"]) == monies("32.26", "24.19")
    assert order["capturedAmount"] == money("88.71")
    assert order["cancelledAmount"] == money("56.45")
    assert order["state"] == "complete"
    assert_available(api, order, "88.71", "64.52", "24.19")


def test_o_14_capture_takes_the_credit_first(api: Api) -> None:
    order = given_accepted(api, "H")
    fulfil(api, order, 1)
    settle(api)
    by_type = charges(api, order)
    captured = {
        type: (charge["state"], amounts(charge["captures"])) for type, charge in by_type.items()
    }
    assert captured == {
        "customerCredit": ("complete", monies("11.0")),
        "creditCard": ("capturable", monies("2.45")),
    }


def test_o_15_cancel_takes_the_card_first(api: Api) -> None:
    payment = paid_by(card(15.00), credit(5.00))
    body = {"currency": "USD", "items": [line(20.00, 0, 2)], "payment": payment}
    order = expect(api.post("/orders", body), 201)
    cancel(api, order, 1)
    settle(api)
    by_type = charges(api, order)
    assert amounts(by_type["creditCard"]["cancels"]) == monies("10.0")
    assert by_type["creditCard"]["cancels"][0]["state"] == "complete"
    assert not {"cancels", "captures"} & set(by_type["customerCredit"])


def test_o_16_everything_cancelled(api: Api) -> None:
    order = given_accepted(api, "A")
    start = mark(api)
    cancel(api, order, 2)
    settle(api)
    now = get_order(api, order)
    assert (now["state"], now["cancelledAmount"]) == ("cancelled", money("27.01"))
    assert only_charge(api, order)["state"] == "cancelled"
    assert {"order.charge.cancelled", "order.cancelled"} <= set(types_since(api, start))
    assert_not_available(ask(api, order, percent=100))


def test_o_17_more_units_than_ordered(api: Api) -> None:
    order = given_accepted(api, "A")
    response = ask_to_fulfil(api, order, "quantity", 3)
    message = "Fulfillment quantity is larger than order quantity"
    assert_conflict(response, "quantity_too_large", "items[0].quantity", message)


def test_o_18_fulfilled_order(api: Api) -> None:
    order = given_captured(api, "A")
    response = ask_to_fulfil(api, order, "quantity", 1)
    message = f"Resource '{order['id']}' is fulfilled."
    assert_conflict(response, "order_fulfilled", "orderId", message)


def test_o_19_imported_order(api: Api) -> None:
    order = expect(api.post("/orders", order_body("A", state="complete")), 201)
    assert (order["state"], order["capturedAmount"]) == ("complete", money("27.01"))
    assert amounts(only_charge(api, order)["captures"]) == monies("27.01")
    assert_available(api, order, "27.01")
    assert types_since(api, 0) == []


def test_o_20_imported_refund(api: Api) -> None:
    payment: Doc = order_body("A")["payment"]
    payment["charges"] = [
        {"amount": 27.01, "state": "complete", "refunds": [{"amount": 13.51, "state": "complete"}]}
    ]
    order = expect(api.post("/orders", order_body("A", state="complete", payment=payment)), 201)
    assert order["refundedAmount"] == money("13.51")
    assert_available(api, order, "13.5", "10.8")
    assert listed(api, f"/refunds?orderId={order['id']}") == []


def test_o_21_orders_by_upstream_id(api: Api) -> None:
    first = given_captured(api, "A", upstreamId="U1")
    given_captured(api, "A", upstreamId="U2")
    assert listed(api, "/orders?upstreamIds[]=U1") == [first["id"]]


def test_o_22_orders_by_refunded_amount(api: Api) -> None:
    order = given_captured(api, "A")
    given_captured(api, "B")
    settled_refund(api, order, amount=13.51)
    assert listed(api, "/orders?refundedAmount[gt]=0") == [order["id"]]


def test_o_23_metadata_update(api: Api) -> None:
    order = given_captured(api, "A")
    start = mark(api)
    updated = expect(api.post(f"/orders/{order['id']}", {"metadata": {"k": "v"}}))
    assert updated["metadata"] == {"k": "v"}
    assert updated["version"] == order["version"] + 1
    (event,) = events_since(api, start)
    assert event["type"] == "order.updated"
    assert event["data"]["previousAttributes"] == {"metadata": {}}
    assert event["data"]["object"] == updated


def test_o_24_charge_refund_has_an_id_only_in_the_charge(api: Api) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, percent=50)
    (in_order,) = get_order(api, order)["payment"]["charges"][0]["refunds"]
    assert set(in_order) == {"createdTime", "amount", "state"}
    (in_charge,) = only_charge(api, order)["refunds"]
    assert in_charge["id"]
    assert (in_charge["amount"], in_charge["state"]) == (money("13.51"), "complete")


def test_o_25_failed_capture(api: Api) -> None:
    order = given_accepted(api, "A", payment=paid_by(card(27.01, "4000 0000 0000 4103")))
    start = mark(api)
    fulfil(api, order, 2)
    settle(api)
    charge = only_charge(api, order)
    (capture,) = charge["captures"]
    assert (capture["state"], capture["failureCode"]) == ("failed", "failed-request")
    assert capture["failureMessage"] == "Failed to operate on charge"
    assert charge["state"] == "capturable"
    assert_available(api, order, "0.0")
    ending = ["order.charge.capture.failed", "order.charge.capturable"]
    assert types_since(api, start) == [*CAPTURE[:4], *ending]


def test_o_26_charges_of_an_order(api: Api) -> None:
    order = given_captured(api, "G")
    given_captured(api, "A")
    ids = [charge["id"] for charge in order["payment"]["charges"]]
    assert len(ids) == 2
    assert sorted(listed(api, f"/charges?orderId={order['id']}")) == sorted(ids)


def test_o_27_fulfillment(api: Api) -> None:
    order = given_accepted(api, "A")
    made = fulfil(api, order, 2)
    settle(api)
    read = expect(api.get(f"/fulfillments/{made['id']}"))
    assert read["orderDetails"]["id"] == order["id"]
    assert "payment" not in read["orderDetails"]
    (capture,) = only_charge(api, order)["captures"]
    assert read["chargeOperationIds"] == [capture["id"]]


def test_o_28_charge_that_fails(api: Api) -> None:
    payment = paid_by(card(27.01, "4000 0000 0000 3600"))
    assert_charge_refused(api.post("/orders", order_body("A", payment=payment)))
    assert listed(api, "/orders") == []


def test_fixtures_keep_their_sums() -> None:
    """Each fixture's sources add up to its total, as the table of acceptance.md states it."""
    for body in FIXTURES.values():
        paid = sum(money(str(source["amount"])) for source in body["payment"]["sources"])
        assert paid == money(str(body["totalAmount"]))
