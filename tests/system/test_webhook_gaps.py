"""A receiver sees from `sequence` that it missed something, and gets it: recover and resend."""

import json
from collections import defaultdict

import pytest

from tests.support.answers import OK, status
from tests.support.fixtures import (
    CAPTURE,
    SUCCESS,
    advance,
    event_log,
    given_captured,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc, assert_bad, assert_conflict, error, read
from tests.support.receiver import Endpoint, Receiver
from tests.support.service import Service
from tests.support.webhooks import ACCEPTED, accept_order, change, event_ids, subscribe

EVERYTHING = [ACCEPTED, *CAPTURE, *SUCCESS]


@pytest.fixture(scope="module")
def service(webhook_service: Service) -> Service:
    return webhook_service


def sequences(endpoint: Endpoint) -> dict[str, set[int]]:
    """By order: the numbers of the events that arrived."""
    found: dict[str, set[int]] = defaultdict(set)
    for body in endpoint.bodies:
        event = json.loads(body)
        found[order_of(event)].add(event["sequence"])
    return dict(found)


def order_of(event: Doc) -> str:
    about = event["data"]["object"]
    return about.get("orderId", about["id"])


def gaps(endpoint: Endpoint) -> dict[str, set[int]]:
    """By order: the numbers that are missing below the highest one that arrived."""
    every = sequences(endpoint)
    missing = {order: set(range(1, max(had) + 1)) - had for order, had in every.items()}
    return {order: numbers for order, numbers in missing.items() if numbers}


def recover(api: Api, webhook: Doc, since: str) -> int:
    """Ask for all that was missed; gives how many were queued."""
    path = f"/refundry/v1/webhooks/{webhook['id']}/recover"
    answer = api.post(path, {"since": since})
    assert answer.status_code in (200, 202), answer.text
    return read(answer)["queued"]


def resend(api: Api, webhook: Doc, event: Doc) -> None:
    path = f"/refundry/v1/webhooks/{webhook['id']}/resend"
    answer = api.post(path, {"eventId": event["id"]})
    assert answer.status_code in (200, 202), answer.text


def test_an_order_numbers_its_events_without_a_gap(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    subscribe(api, endpoint, *EVERYTHING)
    order = given_captured(api, "A")
    settled_refund(api, order, percent=50)
    log = event_log(api)
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1))
    assert sorted(event_ids(endpoint)) == sorted(event["id"] for event in log)
    assert gaps(endpoint) == {}


def test_orders_are_numbered_each_for_itself(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    subscribe(api, endpoint, *EVERYTHING)
    orders = [given_captured(api, "A")["id"] for _ in range(2)]
    numbers = set(range(1, len(CAPTURE) + 2))
    assert sequences(endpoint) == dict.fromkeys(orders, numbers)


def test_a_receiver_that_was_off_sees_the_gap_and_recovers_from_it(
    api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint, *EVERYTHING)
    order = given_captured(api, "A")
    known = set(event_ids(endpoint))
    since = event_log(api)[-1]["createdTime"]
    change(api, webhook, enabled=False)
    settled_refund(api, order, percent=50)
    change(api, webhook, enabled=True)
    settled_refund(api, order, percent=25)

    first = len(known) + 1
    assert gaps(endpoint) == {order["id"]: set(range(first, first + len(SUCCESS)))}
    missed = {event["id"] for event in event_log(api)} - set(event_ids(endpoint))
    assert len(missed) == len(SUCCESS)

    assert recover(api, webhook, since) >= len(SUCCESS)
    settle(api)
    assert gaps(endpoint) == {}
    assert set(event_ids(endpoint)) == {event["id"] for event in event_log(api)}


def test_recovering_sends_nothing_that_has_arrived(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    assert recover(api, webhook, event["createdTime"]) == 0
    settle(api)
    assert event_ids(endpoint) == [event["id"]]


def test_recovering_brings_what_was_given_up(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    for seconds in (600, 3000, 7200):
        advance(api, seconds)
    assert len(endpoint.arrivals) == 4
    endpoint.answer = OK
    assert recover(api, webhook, event["createdTime"]) == 1
    settle(api)
    assert event_ids(endpoint) == [event["id"]] * 5


def test_recovering_brings_what_was_dropped(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    change(api, webhook, enabled=False)
    change(api, webhook, enabled=True)
    endpoint.answer = OK
    assert recover(api, webhook, event["createdTime"]) == 1
    settle(api)
    advance(api, 24 * 3600)
    assert event_ids(endpoint) == [event["id"]] * 2


def test_recovering_leaves_alone_what_is_on_its_way(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    endpoint.answer = OK
    assert recover(api, webhook, event["createdTime"]) == 0
    advance(api, 24 * 3600)
    assert event_ids(endpoint) == [event["id"]] * 2


def test_what_is_recovered_is_tried_as_often_as_anything(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint, enabled=False)
    event = accept_order(api)
    change(api, webhook, enabled=True)
    recover(api, webhook, event["createdTime"])
    settle(api)
    for seconds in (600, 3000, 7200, 24 * 3600):
        advance(api, seconds)
    assert event_ids(endpoint) == [event["id"]] * 4


def test_recovering_twice_queues_once(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint, enabled=False)
    event = accept_order(api)
    change(api, webhook, enabled=True)
    assert recover(api, webhook, event["createdTime"]) == 1
    settle(api)
    assert recover(api, webhook, event["createdTime"]) == 0
    settle(api)
    assert event_ids(endpoint) == [event["id"]]


def test_only_events_since_then_and_of_subscribed_types_are_recovered(
    api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint, ACCEPTED, enabled=False)
    accept_order(api)
    advance(api, 60)
    given_captured(api, "A")
    (since, late) = (e for e in event_log(api) if e["type"] == ACCEPTED)
    change(api, webhook, enabled=True)
    assert recover(api, webhook, late["createdTime"]) == 1
    settle(api)
    assert event_ids(endpoint) == [late["id"]]
    assert recover(api, webhook, since["createdTime"]) == 1
    settle(api)
    assert event_ids(endpoint) == [late["id"], since["id"]]


def test_an_event_can_be_sent_again(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    for count in (2, 3):
        resend(api, webhook, event)
        settle(api)
        assert event_ids(endpoint) == [event["id"]] * count


def test_what_is_sent_again_is_tried_once(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    event = accept_order(api)
    endpoint.answer = status(500)
    resend(api, webhook, event)
    advance(api, 0)
    advance(api, 30 * 24 * 3600)
    assert event_ids(endpoint) == [event["id"]] * 2


def test_any_event_can_be_sent_to_any_webhook(api: Api, receiver: Receiver) -> None:
    event = accept_order(api)
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint, "refund.complete")
    resend(api, webhook, event)
    settle(api)
    assert event_ids(endpoint) == [event["id"]]


def test_what_is_not_there_cannot_be_sent_again(api: Api, receiver: Receiver) -> None:
    nowhere = "00000000-0000-0000-0000-000000000000"
    event = accept_order(api)
    webhook = subscribe(api, receiver.endpoint(OK))
    for path in ("recover", "resend"):
        body = {"since": event["createdTime"]} if path == "recover" else {"eventId": event["id"]}
        unknown = api.post(f"/refundry/v1/webhooks/{nowhere}/{path}", body)
        wanted = error("not_found", "id", f"Webhook '{nowhere}' not found.")
        assert (unknown.status_code, read(unknown)["errors"]) == (404, [wanted])
    path = f"/refundry/v1/webhooks/{webhook['id']}/resend"
    unknown = api.post(path, {"eventId": nowhere})
    assert_bad(unknown, "invalid_parameter", "eventId", f"Event '{nowhere}' not found.")


def test_nothing_is_queued_for_a_webhook_that_is_off(api: Api, receiver: Receiver) -> None:
    event = accept_order(api)
    webhook = subscribe(api, receiver.endpoint(OK), enabled=False)
    path = f"/refundry/v1/webhooks/{webhook['id']}"
    refused = (
        api.post(f"{path}/recover", {"since": event["createdTime"]}),
        api.post(f"{path}/resend", {"eventId": event["id"]}),
    )
    for answer in refused:
        message = f"Webhook {webhook['id']} is disabled."
        assert_conflict(answer, "invalid_state", "enabled", message)


def test_an_account_cannot_have_the_events_of_another(
    service: Service, api: Api, receiver: Receiver
) -> None:
    other = service.api(service.open_account().secret_test)
    foreign = accept_order(other)
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    path = f"/refundry/v1/webhooks/{webhook['id']}"
    assert api.post(f"{path}/resend", {"eventId": foreign["id"]}).status_code == 400
    assert other.post(f"{path}/resend", {"eventId": foreign["id"]}).status_code == 404
    settle(api)
    assert endpoint.arrivals == []
