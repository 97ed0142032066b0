"""Made-up headers, cursors, ids and metadata on the real service: refused or taken, no fault."""

import json
from collections.abc import Iterator
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refundry.http.problems import TYPES
from tests.support.service import Account, Service
from tests.support.wire import Reply, replies

pytestmark = pytest.mark.check
fuzzed = settings(max_examples=150, deadline=None)
# What a parser lets through to us: no line ends, no NUL, no other control characters.
header_bytes = st.binary(max_size=300).map(
    lambda raw: bytes(byte for byte in raw if (byte >= 0x20 and byte != 0x7F) or byte == 9)
)
near_key = st.one_of(
    header_bytes,
    header_bytes.map(lambda raw: b"Bearer " + raw),
    st.from_regex(rb"\ABearer sk_(test|live)_[0-9a-fA-F]{30,34}\Z"),
    st.sampled_from([b"", b"Bearer", b"bearer  ", b"Basic Og==", b"Bearer sk_test_" + b"0" * 31]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=50), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service of this file's own: everything in its log comes from here."""
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def account(service: Service) -> Account:
    return service.open_account()


def ask(service: Service, head: bytes, *headers: bytes, body: bytes = b"") -> Reply:
    """The one answer to one request."""
    lines = [head + b" HTTP/1.1", b"Host: a", b"Connection: close", *headers]
    lines.append(b"Content-Length: %d" % len(body))
    (reply,) = replies(service.port, b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return reply


def key_of(account: Account) -> bytes:
    return b"Authorization: Bearer " + account.secret_test.encode()


def assert_documented(reply: Reply, *statuses: int) -> None:
    assert reply.status in statuses, reply
    if reply.status >= 400:
        assert json.loads(reply.body)["type"] == TYPES[reply.status]


@fuzzed
@given(near_key)
@example(b"Bearer sk_test_" + "١".encode() * 32)
def test_no_made_up_key_is_taken(service: Service, value: bytes) -> None:
    reply = ask(service, b"GET /refunds", b"Authorization: " + value)
    assert_documented(reply, 401)
    assert json.loads(reply.body)["errors"] == [{"message": "An authorization error has occurred."}]


@fuzzed
@given(header_bytes)
def test_an_idempotency_key_is_taken_or_named(
    service: Service, account: Account, value: bytes
) -> None:
    sent = ask(service, b"POST /refunds", key_of(account), b"Idempotency-Key: " + value, body=b"{}")
    assert_documented(sent, 400)
    kept = value.strip(b" \t")
    good = 0 < len(kept) <= 255 and all(0x20 <= byte < 0x7F for byte in kept)
    names = [each.get("parameter") for each in json.loads(sent.body)["errors"]]
    assert (names == ["Idempotency-Key"]) == (not good)


@fuzzed
@given(st.binary(max_size=100), st.sampled_from([b"orders", b"refunds", b"events", b"charges"]))
def test_a_cursor_or_an_id_is_one_or_named(
    service: Service, account: Account, value: bytes, noun: bytes
) -> None:
    text = quote_from_bytes(value, safe="").encode()
    for cursor in (b"startingAfter", b"endingBefore"):
        reply = ask(service, b"GET /%b?%b=%b" % (noun, cursor, text), key_of(account))
        assert_documented(reply, 400)
        assert json.loads(reply.body)["errors"][0]["parameter"] == cursor.decode()
    # Where nothing is left of the id, it is the list.
    assert_documented(ask(service, b"GET /%b/%b" % (noun, text), key_of(account)), 200, 404)


@fuzzed
@given(json_values)
@example({"a": "x" * 501})
@example({"k" * 41: 1})
@example({str(n): n for n in range(51)})
@example({"": 1})
@example({"a": float("inf")})
def test_metadata_is_within_its_bounds_or_named(
    service: Service, account: Account, metadata: object
) -> None:
    order = {
        "currency": "USD",
        "items": [{"skuId": "a", "amount": 1, "quantity": 1}],
        "metadata": metadata,
    }
    body = json.dumps(order).encode()
    reply = ask(service, b"POST /orders", key_of(account), body=body)
    assert_documented(reply, 201, 400)
    if reply.status == 201:
        kept = json.loads(reply.body).get("metadata", {})
        assert len(kept) <= 50
        assert all(0 < len(name) <= 40 for name in kept)
        assert all(not isinstance(value, str) or len(value) <= 500 for value in kept.values())
        assert all(isinstance(value, str | bool | int | float) for value in kept.values())


def test_after_all_of_it_the_service_is_well(service: Service, account: Account) -> None:
    assert service.healthy()
    bad = [line for line in service.log_since(0).splitlines() if '"level":"error"' in line]
    assert bad == []
