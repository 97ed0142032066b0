"""Event logs: found by group, type, day and resource; shown whole, and sent again."""

import json
from datetime import datetime, timedelta

from tests.support.answers import OK
from tests.support.fixtures import given_captured, only_charge, settle, settled_refund
from tests.support.http import Api, expect
from tests.support.portal import Screen, Visitor
from tests.support.receiver import Receiver
from tests.support.webhooks import accept_order, change, event_ids, subscribe

EVENTS = "/dashboard/events"


def types(screen: Screen) -> list[str]:
    return [row[0] for row in screen.rows("events")] if screen.has("events") else []


def test_events_are_found_by_group_and_type(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    settled_refund(api, order, amount=1)
    everything = types(admin.get(EVENTS))
    logged = [event["type"] for event in expect(api.get("/events?limit=100"))["data"]]
    assert everything == logged
    grouped = {
        name: types(admin.get(f"{EVENTS}?group={name}"))
        for name in ("Charge", "Fulfillment", "Order", "Refund", "Return", "Invoice", "SKU")
    }
    assert all(each.startswith("order.charge.") for each in grouped["Charge"])
    assert not any(each.startswith("order.charge.") for each in grouped["Order"])
    assert grouped["Refund"] == ["refund.complete", "refund.pending", "refund.created"]
    assert grouped["Fulfillment"] == ["fulfillment.created"]
    assert grouped["Return"] == grouped["Invoice"] == grouped["SKU"] == []
    assert sorted(each for group in grouped.values() for each in group) == sorted(everything)
    assert types(admin.get(f"{EVENTS}?type=refund.pending")) == ["refund.pending"]
    assert types(admin.get(f"{EVENTS}?type=refund")) == []


def test_all_groups_can_be_chosen_in_the_contracts_order(admin: Visitor) -> None:
    options = admin.get(EVENTS).find("group").find_all("option")
    assert [each.get_text() for each in options] == [
        "All", "Charge", "Checkout", "Customer", "File", "File link", "Fulfillment",
        "Manufacturer", "Order", "Refund", "Return", "SKU", "Invoice", "Source",
    ]  # fmt: skip


def test_events_are_found_by_resource_and_day(api: Api, admin: Visitor) -> None:
    order = given_captured(api, "A")
    made = settled_refund(api, order, amount=1)
    settled_refund(api, order, amount=2)
    given_captured(api, "B")

    def found(**filters: str) -> list[str]:
        return types(admin.get(f"{EVENTS}?" + "&".join(f"{k}={v}" for k, v in filters.items())))

    refund_types = ["refund.complete", "refund.pending", "refund.created"]
    assert found(resource=made["id"]) == refund_types
    assert found(resource=made["id"], type="refund.pending") == ["refund.pending"]
    charge = only_charge(api, order)
    assert set(found(resource=charge["id"])) <= {
        each for each in found(group="Charge") if each.startswith("order.charge.")
    }
    assert found(resource=charge["id"])
    assert {"refund.created", "order.accepted"} <= set(found(resource=order["id"]))
    assert found(resource=made["id"][:10]) == []
    created = expect(api.get("/events?limit=1"))["data"][0]["createdTime"][:10]
    later = (datetime.fromisoformat(created) + timedelta(days=1)).date().isoformat()
    assert found(resource=made["id"], **{"from": created, "to": created}) == refund_types
    assert found(resource=made["id"], **{"from": later}) == []
    assert admin.get(f"{EVENTS}?from=yesterday").status == 400


def test_an_event_shows_its_payload_and_where_it_went_and_is_sent_again(
    api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint, other = receiver.endpoint(OK), receiver.endpoint(OK)
    subscribe(api, endpoint)
    event = accept_order(api)
    late = subscribe(api, other, "refund.failed")
    page = admin.get(f"{EVENTS}/{event['id']}")
    shown = json.loads(page.find("payload").get_text())
    assert shown == json.loads(endpoint.bodies[0])
    (row,) = page.rows("deliveries")
    assert (row[0], row[1], row[2]) == (endpoint.url, "Succeeded", "1")
    assert row[4].startswith("204 ")
    fields = page.fields("#resend-form") | {"webhook": late["id"]}
    address = f"{EVENTS}/{event['id']}/resend"
    assert admin.post(address, fields).read("flash") == "The event is being sent again, once."
    assert admin.post(address, fields).read("flash").startswith("This form was sent before")
    settle(api)
    assert event_ids(other) == [event["id"]]
    rows = admin.get(f"{EVENTS}/{event['id']}").rows("deliveries")
    assert {row[0] for row in rows} == {endpoint.url, f"{other.url} Resent"}


def test_a_disabled_webhook_gets_nothing_again(
    api: Api, admin: Visitor, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    change(api, webhook, enabled=False)
    page = admin.get(f"{EVENTS}/{event['id']}")
    fields = page.fields("#resend-form") | {"webhook": webhook["id"]}
    refused = admin.post(f"{EVENTS}/{event['id']}/resend", fields)
    assert refused.status == 400
    assert "disabled" in refused.error
    settle(api)
    assert len(endpoint.arrivals) == 1
