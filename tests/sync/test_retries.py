"""What the client does when answers are late, wrong, refused for now, or do not come at all."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from itertools import pairwise

import pytest

from refundry_sync.client import AsyncClient, CallReport, Client
from refundry_sync.client.exchange import retry_after
from refundry_sync.errors import (
    BadAnswer,
    Conflict,
    RateLimited,
    ServerError,
    Unreachable,
)
from tests.support.answers import (
    OK,
    cut_off,
    drip,
    flood,
    garbage,
    hang,
    hang_up,
    huge_header,
    in_turn,
    redirect,
    reset,
    slow,
    status,
)
from tests.support.receiver import Answer, Endpoint, Receiver
from tests.support.service import free_port

REFUND = b'{"id":"re_1","currency":"EUR","state":"pending","refundedAmount":0.0,"amount":1.10}'
CREATED = status(201, REFUND)
FOUND = status(200, REFUND)
BODY = {"orderId": "1", "currency": "EUR", "amount": Decimal("1.10")}
KEY = "sk_test_8c1f0e3d5b7a49268f0d3c5e7a91b2c4"
IN_USE = b'{"type":"conflict","errors":[{"code":"idempotency_key_in_use","message":"Wait."}]}'
BUSY = b'{"type":"conflict","errors":[{"code":"concurrent_update","message":"Busy."}]}'

Given = Callable[..., tuple[Client, Endpoint]]


@pytest.fixture
def given(receiver: Receiver) -> Iterator[Given]:
    """A client, and the path of a server that answers it as said."""
    clients: list[Client] = []

    def make(answer: Answer, path: str = "/refunds", **options: object) -> tuple[Client, Endpoint]:
        endpoint = receiver.endpoint(answer, path)
        settings: dict[str, object] = {"first_wait": 0.01, "timeout": 5.0, **options}
        clients.append(Client(endpoint.url.removesuffix(path), KEY, **settings))  # pyright: ignore[reportArgumentType]
        return clients[-1], endpoint

    yield make
    for each in clients:
        each.close()


FAULTS: dict[str, Answer] = {
    "500": status(500),
    "502": status(502, b"<html>"),
    "503": status(503),
    "504": status(504),
    "408": status(408),
    "in use": status(409, IN_USE),
    "reset": reset,
    "hang up": hang_up,
    "cut off": cut_off,
    "garbage": garbage,
    "huge header": huge_header,
}
NOT_OURS = {
    "html": b"<html>",
    "array": b"[]",
    "empty": b"",
    "fields missing": b'{"id":"re_1"}',
    "no amount": REFUND.replace(b"1.10", b'"much"'),
    "deep": b"[" * 100_000,
    "bytes": b"\xff",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_post_is_repeated_with_the_same_key(given: Given, fault: Answer) -> None:
    client, endpoint = given(in_turn(fault, fault, CREATED))
    assert client.refunds.create(BODY).amount == Decimal("1.1")
    keys = [head["idempotency-key"] for head in endpoint.heads]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert set(endpoint.bodies) == {b'{"orderId":"1","currency":"EUR","amount":1.10}'}
    client.refunds.create(BODY)
    assert endpoint.heads[-1]["idempotency-key"] != keys[0]
    client.refunds.create(BODY, idempotency_key="mine")
    assert endpoint.heads[-1]["idempotency-key"] == "mine"


def test_after_the_attempts_the_last_fault_is_told(given: Given) -> None:
    client, endpoint = given(status(503, headers={"Retry-After": "0"}), attempts=3)
    with pytest.raises(ServerError) as refused:
        client.refunds.create(BODY)
    assert (refused.value.status, len(endpoint.arrivals)) == (503, 3)
    assert str(refused.value) == "503: no reason given"
    assert refused.value.request_id == endpoint.heads[0]["x-request-id"]
    client, endpoint = given(reset, attempts=2)
    with pytest.raises(Unreachable, match=r"POST /refunds: 2 attempts: ReadError"):
        client.refunds.create(BODY)
    assert len(endpoint.arrivals) == 2


def test_nobody_is_there() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", KEY, attempts=2, first_wait=0.01) as client,
        pytest.raises(Unreachable, match="ConnectError"),
    ):
        client.refunds.get("re_1")


def test_retry_after_is_waited_for(given: Given) -> None:
    limited = status(429, headers={"Retry-After": "1"})
    client, endpoint = given(in_turn(limited, CREATED))
    client.refunds.create(BODY)
    first, second = endpoint.arrivals
    assert second.at - first.at >= 1
    client, endpoint = given(status(429, headers={"Retry-After": "301"}))
    with pytest.raises(RateLimited) as refused:
        client.refunds.create(BODY)
    assert (refused.value.retry_after, len(endpoint.arrivals)) == (301, 1)


def test_retry_after_may_be_a_time() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    said = {"retry-after": format_datetime(now + timedelta(seconds=7), usegmt=True)}
    assert retry_after({**said, "date": format_datetime(now, usegmt=True)}) == 7
    assert retry_after({**said, "date": format_datetime(now + timedelta(days=1), usegmt=True)}) == 0
    for text in ("", "soon", "-1", "1.5", "٣"):
        assert retry_after({"retry-after": text}) is None
    assert retry_after(said) is None
    assert retry_after({"retry-after": "9" * 5000}) is not None


def test_pauses_grow(given: Given) -> None:
    client, endpoint = given(status(500), attempts=4, first_wait=0.1)
    with pytest.raises(ServerError):
        client.refunds.create(BODY)
    times = [each.at for each in endpoint.arrivals]
    pauses = [after - before for before, after in pairwise(times)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True):
        assert least <= pause


def test_what_a_rule_refuses_is_not_repeated(given: Given) -> None:
    client, endpoint = given(status(409, BUSY))
    with pytest.raises(Conflict) as refused:
        client.refunds.create(BODY)
    assert refused.value.codes == ("concurrent_update",)
    assert len(endpoint.arrivals) == 1


def test_a_server_without_idempotency_keys_gets_a_post_once(given: Given) -> None:
    for fault in (status(500), status(503), hang_up):
        client, endpoint = given(in_turn(fault, CREATED), repeat_posts=False)
        with pytest.raises((ServerError, Unreachable)):
            client.refunds.create(BODY)
        assert len(endpoint.arrivals) == 1
    client, endpoint = given(in_turn(status(429), CREATED), repeat_posts=False)
    assert client.refunds.create(BODY).id == "re_1"
    client, endpoint = given(in_turn(hang_up, FOUND), "/refunds/re_1", repeat_posts=False)
    assert client.refunds.get("re_1").id == "re_1"


def test_a_token_is_handed_in_once(given: Given) -> None:
    client, endpoint = given(in_turn(hang_up, OK), "/refundry/v1/refund-tokens/t1")
    with pytest.raises(Unreachable, match="1 attempt:"):
        client.refund_tokens.submit("t1", {"fields": {}})
    assert len(endpoint.arrivals) == 1
    assert "authorization" not in endpoint.heads[0]


def test_a_delete_whose_answer_was_lost_has_worked(given: Given) -> None:
    client, endpoint = given(in_turn(hang_up, status(404)), "/webhooks/w1")
    assert client.webhooks.delete("w1") is None
    assert len(endpoint.arrivals) == 2


@pytest.mark.parametrize("answer", [hang, slow(60), drip], ids=["hang", "slow", "drip"])
def test_time_outs_end_an_attempt(given: Given, answer: Answer) -> None:
    client, endpoint = given(in_turn(answer, CREATED), timeout=0.3)
    began = time.monotonic()
    assert client.refunds.create(BODY).id == "re_1"
    assert time.monotonic() - began < 10
    assert len({head["idempotency-key"] for head in endpoint.heads}) == 1


@pytest.mark.parametrize("body", NOT_OURS.values(), ids=NOT_OURS)
def test_an_answer_of_something_else_is_not_believed(given: Given, body: bytes) -> None:
    client, endpoint = given(status(200, body), "/refunds/re_1")
    with pytest.raises(BadAnswer, match=r"GET /refunds/\{id\}: status 200"):
        client.refunds.get("re_1")
    assert len(endpoint.arrivals) == 1


def test_an_answer_without_an_end_is_not_kept(given: Given) -> None:
    client, endpoint = given(flood, "/refunds/re_1", timeout=30.0)
    with pytest.raises(BadAnswer, match="67108864 bytes"):
        client.refunds.get("re_1")
    assert len(endpoint.arrivals) == 1


def test_redirects_are_not_followed_with_our_key(given: Given, receiver: Receiver) -> None:
    elsewhere = receiver.endpoint(FOUND)
    client, _ = given(redirect(307, elsewhere), "/refunds/re_1")
    with pytest.raises(BadAnswer, match="status 307"):
        client.refunds.get("re_1")
    assert elsewhere.arrivals == []


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (b'{"hasMore":true,"data":[]}', "without elements"),
        (b'{"hasMore":true,"data":[{"currency":"EUR","state":"x"}]}', "Refund"),
        (b'{"hasMore":true,"data":[%s]}' % REFUND, "go on from"),
        (b'{"hasMore":true}', "not a page"),
        (b'{"hasMore":true,"data":[1]}', "not a JSON object"),
    ],
)
def test_a_list_without_an_end_is_noticed(given: Given, page: bytes, why: str) -> None:
    client, endpoint = given(status(200, page))
    with pytest.raises(BadAnswer, match=why):
        list(client.refunds.list())
    assert len(endpoint.arrivals) <= 2


async def test_the_asynchronous_client_repeats_as_well(receiver: Receiver) -> None:
    endpoint = receiver.endpoint(in_turn(status(500), hang, reset, CREATED), "/refunds")
    url = endpoint.url.removesuffix("/refunds")
    async with AsyncClient(url, KEY, first_wait=0.01, timeout=0.3) as client:
        assert (await client.refunds.create(BODY)).id == "re_1"
    assert len({head["idempotency-key"] for head in endpoint.heads}) == 1
    assert len(endpoint.arrivals) == 4


def test_every_attempt_is_told_without_secrets(given: Given) -> None:
    secrets = ("hush", "4444222233331111", KEY, "t0ken")
    reports: list[CallReport] = []
    webhook = b'{"id":"w1","types":[],"address":"x","authentication":{"password":"hush"}}'
    answer = in_turn(status(500, b"oh"), status(201, webhook))
    client, endpoint = given(answer, "/webhooks", on_call=reports.append)
    client.webhooks.create({"authentication": {"password": "hush"}, "address": f"x?key={KEY}"})
    client, _ = given(hang_up, "/refundry/v1/refund-tokens/t0ken", on_call=reports.append)
    with pytest.raises(Unreachable):
        client.refund_tokens.submit("t0ken", {"fields": {"iban": "hush", "number": "hush"}})
    client, _ = given(CREATED, "/orders", on_call=reports.append)
    card = {"number": "4444222233331111", "expirationYear": 2030}
    with pytest.raises(BadAnswer):
        client.orders.create({"payment": {"sources": [{"creditCard": card}]}})
    told = [(each.operation, each.attempt, each.status) for each in reports]
    assert told == [
        ("POST /webhooks", 1, 500),
        ("POST /webhooks", 2, 201),
        ("POST /refundry/v1/refund-tokens/{token}", 1, None),
        ("POST /orders", 1, 201),
    ]
    assert reports[0].idempotency_key == endpoint.heads[0]["idempotency-key"]
    assert reports[0].request_id == endpoint.heads[0]["x-request-id"]
    assert reports[0].key == "sk_test_***b2c4"
    assert reports[0].answer_body() == "(2 bytes that are not JSON)"
    assert '"expirationYear":2030' in (reports[3].request_body() or "")
    for each in reports:
        text = f"{each!r} {each.request_body()} {each.answer_body()} {each.error}"
        assert not [secret for secret in secrets if secret in text], text


def test_a_hook_that_fails_does_not_fail_the_refund(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(report: CallReport) -> None:
        raise RuntimeError("no disk")

    client, endpoint = given(CREATED, on_call=fail)
    assert client.refunds.create(BODY).id == "re_1"
    assert len(endpoint.arrivals) == 1
    assert "on_call failed" in caplog.text
