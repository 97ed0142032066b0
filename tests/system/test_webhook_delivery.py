"""Acceptance cases W-01, W-02, W-10 to W-26 of delivery in test mode, to real receivers.

OAuth (W-07) is in test_webhook_oauth.py, live mode (W-13, W-17, W-18) in tests/db.
"""

import json
from decimal import Decimal

import pytest

from tests.support.answers import OK, basic, in_turn, redirect, slow, status
from tests.support.command import run_sql
from tests.support.fixtures import (
    advance,
    ask,
    given_accepted,
    given_captured,
    line,
    listed,
    settle,
    settled_refund,
)
from tests.support.http import Api, Doc, assert_bad, expect
from tests.support.receiver import Receiver
from tests.support.service import Account, Service
from tests.support.webhooks import (
    ACCEPTED,
    accept_order,
    attempts,
    change,
    delivery_states,
    event_ids,
    is_signed,
    next_second,
    only_attempt,
    signed_at,
    subscribe,
    token_of,
)

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def service(webhook_service: Service) -> Service:
    return webhook_service


def refunded(api: Api) -> Doc:
    """R-02: half of order A, settled."""
    return settled_refund(api, given_captured(api, "A"), percent=50)


def test_w_01_events_by_wildcard_are_newest_first(api: Api) -> None:
    refunded(api)
    found = expect(api.get("/events?type=refund.*"))["data"]
    wanted = ["refund.complete", "refund.pending", "refund.created"]
    assert [event["type"] for event in found] == wanted


def test_w_02_events_by_names(api: Api) -> None:
    refunded(api)
    found = listed(api, "/events?types=refund.complete&types=order.refunded")
    joined = listed(api, "/events?types=refund.complete,order.refunded")
    assert len(found) == 2
    assert joined == found
    message = "Only one of type and types may be provided."
    both = api.get("/events?type=refund.*&types=refund.complete")
    assert_bad(both, "invalid_parameter", "types", message)


def test_w_04_basic_credentials_are_sent(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(basic("u", "p"))
    subscribe(api, endpoint, authentication={"userName": "u", "password": "p"})
    accept_order(api)
    (head,) = endpoint.heads
    assert head["authorization"] == "Basic dTpw"


def test_basic_credentials_may_be_any_text(service: Service, api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(basic("zoë", "pä:ss wörd"))
    credentials = {"username": "zoë", "password": "pä:ss wörd"}
    webhook = subscribe(api, endpoint, authentication=credentials)
    accept_order(api)
    assert only_attempt(service, webhook).status == 204


def test_w_10_an_event_arrives_once_signed(service: Service, api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(200))
    webhook = subscribe(api, endpoint, "refund.complete")
    refunded(api)
    (arrival,) = endpoint.arrivals
    assert is_signed(arrival, token_of(service, webhook))
    assert not is_signed(arrival, "0" * 64)
    event = json.loads(arrival.body)
    assert (event["type"], event["webhookIds"]) == ("refund.complete", [webhook["id"]])
    assert event["digitalriverVersion"] == "2021-12-13"


def test_a_delivery_is_what_the_events_api_shows(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    subscribe(api, endpoint, "refund.complete")
    refunded(api)
    (arrival,) = endpoint.arrivals
    (event,) = expect(api.get("/events?type=refund.complete"))["data"]
    received = json.loads(arrival.body, parse_float=Decimal)
    assert received == event
    assert list(received) == list(event)
    compact = json.dumps(json.loads(arrival.body), separators=(",", ":"))
    assert arrival.body.decode() == compact
    assert arrival.method == "POST"
    assert arrival.headers["content-type"] == "application/json; charset=utf-8"
    assert arrival.headers["user-agent"] == "Refundry-Webhooks/1"
    assert "authorization" not in arrival.headers


def test_w_11_a_webhook_has_its_own_version(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    subscribe(api, endpoint, "refund.complete", apiVersion="2021-03-23")
    refunded(api)
    assert [json.loads(body)["digitalriverVersion"] for body in endpoint.bodies] == ["2021-03-23"]


def test_w_12_test_mode_retries_three_times(service: Service, api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    assert len(endpoint.arrivals) == 1
    counts: list[int] = []
    for seconds in (9 * MINUTE, 49 * MINUTE, 119 * MINUTE):
        advance(api, seconds)
        counts.append(len(endpoint.arrivals))
        next_second()
        advance(api, MINUTE)
        counts.append(len(endpoint.arrivals))
    assert counts == [1, 2, 2, 3, 3, 4]
    advance(api, 30 * DAY)
    assert len(endpoint.arrivals) == 4
    assert delivery_states(service, webhook) == ["exhausted"]


def test_w_12_every_attempt_is_signed_afresh(
    service: Service, api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    for seconds in (10 * MINUTE, 50 * MINUTE, 120 * MINUTE):
        next_second()
        advance(api, seconds)
    token = token_of(service, webhook)
    assert len(set(endpoint.bodies)) == 1
    assert len({signed_at(arrival) for arrival in endpoint.arrivals}) == 4
    assert all(is_signed(arrival, token) for arrival in endpoint.arrivals)
    made = attempts(service, webhook)
    offsets = [(each.started_at - made[0].started_at).total_seconds() for each in made]
    for offset, wanted in zip(offsets, (0, 10 * MINUTE, HOUR, 3 * HOUR), strict=True):
        assert wanted <= offset < wanted + MINUTE
    assert [(each.attempt, each.status) for each in made] == [(n, 500) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_w_14_a_redirect_is_a_failure_and_is_not_followed(
    service: Service, api: Api, receiver: Receiver, code: int
) -> None:
    target = receiver.endpoint(status(200))
    webhook = subscribe(api, receiver.endpoint(redirect(code, target)))
    accept_order(api)
    assert only_attempt(service, webhook).status == code
    assert delivery_states(service, webhook) == ["pending"]
    assert target.arrivals == []


def test_w_15_an_answer_counts_for_three_seconds(
    service: Service, api: Api, receiver: Receiver
) -> None:
    late = subscribe(api, receiver.endpoint(slow(3.5)))
    early = subscribe(api, receiver.endpoint(slow(2.5)))
    accept_order(api)
    failed, made = only_attempt(service, late), only_attempt(service, early)
    assert (failed.status, made.status) == (None, 204)
    assert failed.error
    assert 2900 <= failed.duration_ms <= 3400
    assert 2400 <= made.duration_ms <= 3000
    assert delivery_states(service, late) == ["pending"]
    assert delivery_states(service, early) == ["succeeded"]


def test_w_16_after_a_success_there_is_no_further_attempt(
    service: Service, api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(in_turn(status(500), status(500), OK))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    advance(api, 10 * MINUTE)
    advance(api, 50 * MINUTE)
    assert len(endpoint.arrivals) == 3
    advance(api, 30 * DAY)
    assert len(endpoint.arrivals) == 3
    assert len(set(event_ids(endpoint))) == 1
    assert [each.status for each in attempts(service, webhook)] == [500, 500, 204]
    assert delivery_states(service, webhook) == ["succeeded"]


def test_w_20_every_subscribed_webhook_is_called(api: Api, receiver: Receiver) -> None:
    endpoints = [receiver.endpoint(OK) for _ in range(2)]
    ids = [subscribe(api, endpoint)["id"] for endpoint in endpoints]
    stranger = receiver.endpoint(OK)
    subscribe(api, stranger, "order.refunded")
    event = accept_order(api)
    assert sorted(event["webhookIds"]) == sorted(ids)
    for endpoint in endpoints:
        (body,) = endpoint.bodies
        assert json.loads(body)["webhookIds"] == event["webhookIds"]
    assert stranger.arrivals == []


def test_w_20_webhooks_have_tokens_of_their_own(
    service: Service, api: Api, receiver: Receiver
) -> None:
    endpoints = [receiver.endpoint(OK) for _ in range(2)]
    tokens = [token_of(service, subscribe(api, endpoint)) for endpoint in endpoints]
    accept_order(api)
    first, second = (endpoint.arrivals[0] for endpoint in endpoints)
    assert [is_signed(first, token) for token in tokens] == [True, False]
    assert [is_signed(second, token) for token in tokens] == [False, True]


def test_w_21_what_happens_while_a_webhook_is_off_is_not_sent(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint)
    change(api, webhook, enabled=False)
    missed = accept_order(api)
    change(api, webhook, enabled=True)
    advance(api, DAY)
    assert endpoint.arrivals == []
    assert missed["webhookIds"] == []
    event = accept_order(api)
    assert event_ids(endpoint) == [event["id"]]


def test_switching_a_webhook_off_drops_what_is_outstanding(
    service: Service, api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    change(api, webhook, enabled=False)
    change(api, webhook, enabled=True)
    advance(api, DAY)
    assert len(endpoint.arrivals) == 1
    assert delivery_states(service, webhook) == ["dropped"]


def test_w_22_deleting_a_webhook_drops_what_is_outstanding(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(500))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    assert api.delete(f"/webhooks/{webhook['id']}").status_code == 204
    advance(api, DAY)
    accept_order(api)
    assert len(endpoint.arrivals) == 1


def test_w_22_a_changed_address_holds_for_retries(api: Api, receiver: Receiver) -> None:
    old, new = receiver.endpoint(status(500)), receiver.endpoint(OK)
    webhook = subscribe(api, old)
    event = accept_order(api)
    change(api, webhook, address=new.url)
    advance(api, 10 * MINUTE)
    assert len(old.arrivals) == 1
    assert event_ids(new) == [event["id"]]


def test_w_24_expanded_events_are_for_those_who_asked(
    service: Service, account: Account, api: Api, receiver: Receiver
) -> None:
    run_sql(
        service.data_dir,
        "UPDATE accounts SET expanded_events = true WHERE id = $1",
        account.account_id,
    )
    expanded, standard = receiver.endpoint(OK), receiver.endpoint(OK)
    subscribe(api, expanded, "order.refunded", expandedTypes=["order.refunded"])
    subscribe(api, standard, "order.refunded")
    details = {"id": "p1", "name": "Tee", "physical": True, "metadata": {"shelf": "12"}}
    order = given_captured(api, "A", items=[line(20.00, 1.61, 2, productDetails=details)])
    settled_refund(api, order, percent=50)
    (shown,) = expect(api.get("/events?type=order.refunded"))["data"]
    (event,) = map(json.loads, expanded.bodies)
    (plain,) = map(json.loads, standard.bodies)
    more = event["data"]["object"]["items"][0]["productDetails"]
    assert (more["physical"], more["metadata"]) == (True, {"shelf": "12"})
    for each in (plain, shown):
        (item,) = each["data"]["object"]["items"]
        assert not {"physical", "metadata"} & set(item.get("productDetails", {}))


def test_w_26_a_body_is_ascii(service: Service, api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    webhook = subscribe(api, endpoint, "order.refunded")
    settled_refund(api, given_captured(api, "A", email="zoë@example.com"), percent=50)
    (arrival,) = endpoint.arrivals
    assert arrival.body.isascii()
    assert rb'"email":"zo\u00eb@example.com"' in arrival.body
    assert json.loads(arrival.body)["data"]["object"]["email"] == "zoë@example.com"
    assert is_signed(arrival, token_of(service, webhook))


def test_at_most_ten_requests_are_under_way_for_a_webhook(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(slow(0.15))
    subscribe(api, endpoint)
    for _ in range(35):
        given_accepted(api, "A")
    settle(api)
    assert len(set(event_ids(endpoint))) == 35
    assert endpoint.most_open == 10


def test_modes_do_not_hear_each_other(
    service: Service, account: Account, receiver: Receiver, secure_receiver: Receiver
) -> None:
    test, live = service.api(account.secret_test), service.api(account.secret_live)
    near, far = receiver.endpoint(OK), secure_receiver.endpoint(OK)
    subscribe(test, near)
    subscribe(live, far)
    event = accept_order(test)
    assert event_ids(near) == [event["id"]]
    assert far.arrivals == []


def test_a_refused_refund_tells_nobody(api: Api, receiver: Receiver) -> None:
    order = given_captured(api, "A")
    endpoint = receiver.endpoint(OK)
    subscribe(api, endpoint, "refund.created", "refund.failed", ACCEPTED)
    assert ask(api, order, amount=1000).status_code == 400
    settle(api)
    assert endpoint.arrivals == []
