"""What is recorded of every kind of receiver, and that none of them keeps events from others.

All of them are called with one event, side by side, and with another one after they have mended.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support import answers
from tests.support.answers import GIGABYTE, OK, redirect, status
from tests.support.certificates import Authority
from tests.support.fixtures import advance
from tests.support.http import Api, Doc
from tests.support.receiver import Answer, Endpoint, Receiver
from tests.support.service import Service, free_port
from tests.support.webhooks import (
    Attempt,
    accept_order,
    attempts,
    delivery_states,
    event_ids,
    is_signed,
    only_attempt,
    subscribe,
    token_of,
)

RETRY_AFTER = status(429, b"slow down", {"Retry-After": "1"})
LONG = status(500, b"y" * 100_000)
# What kernel and client may have taken of an answer that nobody reads.
IN_FLIGHT_BYTES = 16 * 2**20
ANSWERED: dict[str, tuple[Answer, int]] = {
    "gone": (status(410, b"gone"), 410),
    "retry_after": (RETRY_AFTER, 429),
    "error": (status(500, "zoë\0".encode()), 500),
    "not_modified": (status(304), 304),
    "found": (status(404), 404),
}
ACCEPTED: dict[str, tuple[Answer, int]] = {
    "ok": (status(200, b"thank you"), 200),
    "no_content": (OK, 204),
    "odd_success": (status(299), 299),
    "flood": (answers.flood, 200),
    "drip": (answers.drip, 200),
    "cut_off": (answers.cut_off, 200),
    "old_style": (answers.old_style, 200),
    "no_gzip": (status(200, b"no gzip", {"Content-Encoding": "gzip"}), 200),
}
BROKEN: dict[str, Answer] = {
    "hang": answers.hang,
    "late": answers.slow(3.5),
    "reset": answers.reset,
    "hang_up": answers.hang_up,
    "garbage": answers.garbage,
    "huge_header": answers.huge_header,
    "drip_head": answers.drip_head,
}
EVERY: dict[str, Answer] = {
    **{name: answer for name, (answer, _) in (ANSWERED | ACCEPTED).items()},
    **BROKEN,
    "long": LONG,
}


@dataclass(frozen=True)
class Gallery:
    """One account, and a webhook to each kind of receiver; `first` is the event they had."""

    service: Service
    api: Api
    endpoints: dict[str, Endpoint]
    webhooks: dict[str, Doc]
    target: Endpoint
    first: Doc

    def attempt(self, name: str) -> Attempt:
        """The first attempt there."""
        return attempts(self.service, self.webhooks[name])[0]

    def state(self, name: str) -> str:
        return delivery_states(self.service, self.webhooks[name])[0]


@pytest.fixture(scope="module")
def service(webhook_service: Service) -> Service:
    return webhook_service


@pytest.fixture(scope="module")
def gallery(service: Service, receiver: Receiver, secure_receiver: Receiver) -> Gallery:
    api = service.api(service.open_account().secret_test)
    target = receiver.endpoint(OK)
    every = {**EVERY, "redirect": redirect(302, target)}
    endpoints = {name: receiver.endpoint(answer) for name, answer in every.items()}
    endpoints["tls"] = secure_receiver.endpoint(OK)
    endpoints["tls_hang"] = secure_receiver.endpoint(answers.hang)
    webhooks = {name: subscribe(api, endpoint) for name, endpoint in endpoints.items()}
    return Gallery(service, api, endpoints, webhooks, target, accept_order(api))


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_that_is_no_success_is_recorded_and_tried_again(
    gallery: Gallery, name: str
) -> None:
    attempt = gallery.attempt(name)
    assert (attempt.status, attempt.error) == (ANSWERED[name][1], None)
    assert gallery.state(name) == "pending"


@pytest.mark.parametrize("name", [*ACCEPTED, "tls"])
def test_any_2xx_is_a_success(gallery: Gallery, name: str) -> None:
    attempt = gallery.attempt(name)
    assert attempt.status == ACCEPTED.get(name, (OK, 204))[1]
    assert gallery.state(name) == "succeeded"
    assert attempt.duration_ms < 3400


@pytest.mark.parametrize("name", [*BROKEN, "tls_hang"])
def test_what_is_no_answer_is_an_error_and_tried_again(gallery: Gallery, name: str) -> None:
    attempt = gallery.attempt(name)
    assert attempt.error
    assert attempt.duration_ms < 3400
    assert gallery.state(name) == "pending"


def test_only_three_seconds_are_waited_for(gallery: Gallery) -> None:
    for name in ("hang", "tls_hang", "late", "drip_head"):
        assert 2900 <= gallery.attempt(name).duration_ms <= 3400


def test_a_quick_answer_is_not_kept_waiting(gallery: Gallery) -> None:
    for name in ("ok", "error", "reset", "flood"):
        assert gallery.attempt(name).duration_ms < 2000


def test_the_errors_tell_one_failure_from_another(gallery: Gallery) -> None:
    found = {gallery.attempt(name).error for name in ("hang", "reset", "garbage")}
    assert len(found) == 3


def test_every_receiver_had_the_event(gallery: Gallery) -> None:
    for endpoint in gallery.endpoints.values():
        assert event_ids(endpoint)[0] == gallery.first["id"]
        assert endpoint.most_open == 1


def test_a_redirect_leads_nowhere(gallery: Gallery) -> None:
    assert gallery.attempt("redirect").status == 302
    assert gallery.target.arrivals == []


def test_of_a_body_only_the_first_4_kib_are_kept(gallery: Gallery) -> None:
    assert gallery.attempt("long").response == b"y" * 4096
    assert gallery.attempt("flood").response == b"x" * 4096
    assert gallery.attempt("ok").response == b"thank you"
    assert gallery.attempt("error").response == "zoë\0".encode()
    assert gallery.attempt("no_gzip").response == b"no gzip"
    assert gallery.attempt("cut_off").response == b"so far"
    assert gallery.attempt("no_content").response in (b"", None)


def test_a_body_of_a_gigabyte_is_left_where_it_is(gallery: Gallery) -> None:
    endpoint = gallery.endpoints["flood"]
    assert endpoint.open == 0
    assert 4096 <= endpoint.sent < IN_FLIGHT_BYTES < GIGABYTE


def test_https_deliveries_are_signed_too(gallery: Gallery) -> None:
    (arrival, *_) = gallery.endpoints["tls"].arrivals
    assert is_signed(arrival, token_of(gallery.service, gallery.webhooks["tls"]))


def test_whoever_has_mended_hears_of_the_next_event_and_of_the_missed_one(
    gallery: Gallery,
) -> None:
    failed = {name for name in gallery.endpoints if gallery.state(name) == "pending"}
    for endpoint in gallery.endpoints.values():
        endpoint.answer = OK
    # A connection that breaks may have been tried twice; duplicates are allowed.
    before = {name: len(endpoint.arrivals) for name, endpoint in gallery.endpoints.items()}
    second = accept_order(gallery.api)
    for name, endpoint in gallery.endpoints.items():
        assert event_ids(endpoint)[before[name] :] == [second["id"]]
    advance(gallery.api, 600)
    for name, endpoint in gallery.endpoints.items():
        missed = [gallery.first["id"]] if name in failed else []
        assert event_ids(endpoint)[before[name] :] == [second["id"], *missed]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """https with a certificate of an authority that the service does not know."""
    with Receiver(Authority(tmp_path_factory.mktemp("stranger"), "stranger")) as receiver:
        yield receiver


def test_a_certificate_that_nobody_vouches_for_gets_nothing(
    service: Service, api: Api, stranger: Receiver
) -> None:
    endpoint = stranger.endpoint(OK)
    webhook = subscribe(api, endpoint)
    accept_order(api)
    attempt = only_attempt(service, webhook)
    assert attempt.error
    assert "certificate" in attempt.error.lower()
    assert endpoint.arrivals == []


def test_a_certificate_for_another_name_gets_nothing(
    service: Service, api: Api, secure_receiver: Receiver
) -> None:
    endpoint = secure_receiver.endpoint(OK)
    webhook = subscribe(api, endpoint.url.replace("127.0.0.1", "127.0.0.2"))
    accept_order(api)
    assert only_attempt(service, webhook).error
    assert endpoint.arrivals == []


def test_nobody_at_home_is_an_error(service: Service, api: Api) -> None:
    webhook = subscribe(api, f"http://127.0.0.1:{free_port()}/")
    accept_order(api)
    attempt = only_attempt(service, webhook)
    assert attempt.error
    assert attempt.status is None
    assert delivery_states(service, webhook) == ["pending"]


def test_plain_http_to_a_server_of_https_is_an_error(
    service: Service, api: Api, secure_receiver: Receiver
) -> None:
    endpoint = secure_receiver.endpoint(OK)
    webhook = subscribe(api, endpoint.url.replace("https:", "http:"))
    accept_order(api)
    assert only_attempt(service, webhook).error
    assert endpoint.arrivals == []


def test_a_name_that_nobody_knows_is_an_error(service: Service, api: Api) -> None:
    webhook = subscribe(api, "http://nobody.invalid/")
    accept_order(api)
    attempt = only_attempt(service, webhook)
    assert attempt.error
    assert attempt.duration_ms < 3400


def test_no_cookie_is_kept(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(status(200, headers={"Set-Cookie": "a=b; Path=/"}))
    subscribe(api, endpoint)
    for _ in range(2):
        accept_order(api)
    assert ["cookie" in head for head in endpoint.heads] == [False, False]


def test_an_address_keeps_its_query_and_its_escapes(api: Api, receiver: Receiver) -> None:
    endpoint = receiver.endpoint(OK)
    path = endpoint.url.removeprefix(receiver.address)
    subscribe(api, f"{receiver.address}/a%2Fb%20c?to={path}&x=%26")
    event = accept_order(api)
    (stray,) = (each for each in receiver.strays if path in each.path)
    assert stray.path == f"/a%2Fb%20c?to={path}&x=%26"
    assert json.loads(stray.body)["id"] == event["id"]
