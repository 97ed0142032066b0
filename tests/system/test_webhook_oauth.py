"""Acceptance case W-07 and the rules around it: OAuth with a real token server."""

import pytest

from tests.support.answers import OK, hang, status
from tests.support.fixtures import advance, given_accepted, settle
from tests.support.http import Api, Doc, assert_bad
from tests.support.receiver import Answer, Endpoint, Receiver
from tests.support.service import Service
from tests.support.tokens import Tokens
from tests.support.webhooks import (
    accept_order,
    attempts,
    change,
    delivery_states,
    event_ids,
    only_attempt,
    subscribe,
)


@pytest.fixture(scope="module")
def service(webhook_service: Service) -> Service:
    return webhook_service


def subscribe_with(api: Api, endpoint: Endpoint, tokens: Tokens, **more: str) -> Doc:
    """A webhook that gets its tokens from `tokens`; more: fields of `oauth`."""
    return subscribe(api, endpoint, transportType="OAUTH", oauth={**tokens.oauth(), **more})


def bearers(endpoint: Endpoint) -> list[str | None]:
    return [head.get("authorization") for head in endpoint.heads]


def test_w_07_one_token_serves_many_deliveries(api: Api, receiver: Receiver) -> None:
    tokens = Tokens(receiver, "shop", "p&ss wörd")
    endpoint = receiver.endpoint(tokens.guard())
    subscribe_with(api, endpoint, tokens)
    for _ in range(2):
        accept_order(api)
    assert [form["grant_type"] for form in tokens.requests] == ["password"]
    assert bearers(endpoint) == ["Bearer t1", "Bearer t1"]


def test_deliveries_at_once_share_one_token_request(api: Api, receiver: Receiver) -> None:
    tokens = Tokens(receiver)
    endpoint = receiver.endpoint(tokens.guard())
    subscribe_with(api, endpoint, tokens)
    for _ in range(8):
        given_accepted(api, "A")
    settle(api)
    assert len(tokens.requests) == 1
    assert set(bearers(endpoint)) == {"Bearer t1"}


@pytest.mark.parametrize("more", [{}, {"grantType": "client_credentials"}])
def test_without_a_user_the_grant_is_that_of_the_client(
    api: Api, receiver: Receiver, more: dict[str, str]
) -> None:
    tokens = Tokens(receiver)
    endpoint = receiver.endpoint(tokens.guard())
    subscribe_with(api, endpoint, tokens, **more)
    accept_order(api)
    client = {"client_id": tokens.client_id, "client_secret": tokens.client_secret}
    assert tokens.requests == [{"grant_type": "client_credentials", **client}]
    assert bearers(endpoint) == ["Bearer t1"]


def test_the_client_grant_does_not_tell_the_password(api: Api, receiver: Receiver) -> None:
    tokens = Tokens(receiver)
    endpoint = receiver.endpoint(tokens.guard())
    person = {"userName": "shop", "password": "secret"}
    subscribe_with(api, endpoint, tokens, grantType="client_credentials", **person)
    accept_order(api)
    assert bearers(endpoint) == ["Bearer t1"]


def test_a_revoked_token_is_replaced_within_the_attempt(
    service: Service, api: Api, receiver: Receiver
) -> None:
    tokens = Tokens(receiver)
    endpoint = receiver.endpoint(tokens.guard())
    webhook = subscribe_with(api, endpoint, tokens)
    accept_order(api)
    tokens.revoke()
    accept_order(api)
    assert bearers(endpoint) == ["Bearer t1", "Bearer t1", "Bearer t2"]
    assert len(tokens.requests) == 2
    assert [each.status for each in attempts(service, webhook)] == [204, 204]
    accept_order(api)
    assert bearers(endpoint)[-1] == "Bearer t2"
    assert len(tokens.requests) == 2


def test_an_endpoint_that_likes_no_token_is_asked_twice_per_attempt(
    service: Service, api: Api, receiver: Receiver
) -> None:
    tokens = Tokens(receiver)
    endpoint = receiver.endpoint(status(401))
    webhook = subscribe_with(api, endpoint, tokens)
    accept_order(api)
    assert bearers(endpoint) == ["Bearer t1", "Bearer t2"]
    assert only_attempt(service, webhook).status == 401
    assert delivery_states(service, webhook) == ["pending"]


def test_a_401_without_oauth_is_not_asked_again(
    service: Service, api: Api, receiver: Receiver
) -> None:
    endpoint = receiver.endpoint(status(401))
    webhook = subscribe(api, endpoint)
    accept_order(api)
    assert len(endpoint.arrivals) == 1
    assert only_attempt(service, webhook).status == 401


@pytest.mark.parametrize(("lives", "asked"), [(60, 2), (90, 1), (None, 1)])
def test_a_token_is_kept_until_a_minute_before_its_end(
    api: Api, receiver: Receiver, lives: int | None, asked: int
) -> None:
    tokens = Tokens(receiver, expires_in=lives)
    endpoint = receiver.endpoint(tokens.guard())
    subscribe_with(api, endpoint, tokens)
    accept_order(api)
    accept_order(api)
    assert len(tokens.requests) == asked
    assert len(endpoint.arrivals) == 2


def test_new_credentials_need_a_new_token(api: Api, receiver: Receiver) -> None:
    first, second = Tokens(receiver), Tokens(receiver, client_id="client-8")
    endpoint = receiver.endpoint(OK)
    webhook = subscribe_with(api, endpoint, first)
    accept_order(api)
    change(api, webhook, oauth=second.oauth())
    accept_order(api)
    assert (len(first.requests), len(second.requests)) == (1, 1)


@pytest.mark.parametrize("answer", [status(500), status(200, b"{}"), status(200, b"no JSON"), hang])
def test_without_a_token_nothing_is_sent_and_the_attempt_has_failed(
    service: Service, api: Api, receiver: Receiver, answer: Answer
) -> None:
    tokens = Tokens(receiver)
    tokens.endpoint.answer = answer
    endpoint = receiver.endpoint(OK)
    webhook = subscribe_with(api, endpoint, tokens)
    accept_order(api)
    assert endpoint.arrivals == []
    attempt = only_attempt(service, webhook)
    assert attempt.error
    assert attempt.duration_ms < 3400


def test_a_token_server_that_comes_back_heals_the_retry(api: Api, receiver: Receiver) -> None:
    tokens = Tokens(receiver)
    right = tokens.endpoint.answer
    tokens.endpoint.answer = status(503)
    endpoint = receiver.endpoint(tokens.guard())
    subscribe_with(api, endpoint, tokens)
    event = accept_order(api)
    tokens.endpoint.answer = right
    advance(api, 600)
    assert event_ids(endpoint) == [event["id"]]


def test_the_token_endpoint_is_not_a_way_around_the_networks(api: Api, receiver: Receiver) -> None:
    tokens = Tokens(receiver)
    oauth = {**tokens.oauth(), "tokenEndPoint": "http://169.254.169.254/token"}
    address = receiver.endpoint(OK).url
    asked = {"types": ["refund.complete"], "address": address}
    asked |= {"transportType": "OAUTH", "oauth": oauth}
    value = oauth["tokenEndPoint"]
    message = f"'{value}' is not a valid oauth.tokenEndPoint."
    assert_bad(api.post("/webhooks", asked), "invalid_parameter", "oauth.tokenEndPoint", message)
