"""Requests that nobody means well: the documented envelope, never a 500, and no secret in a log."""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message

from refundry.clock import Clock
from refundry.http.admission import Admission
from refundry.http.answer import Answer
from refundry.http.call import Call, Operation
from refundry.http.problems import TYPES
from refundry.pipeline import Gate, Resource
from refundry.processors.signature import sign
from tests.support.command import run_sql
from tests.support.fixtures import (
    VISA,
    ask,
    card,
    get_refund,
    given_captured,
    listed,
    order_body,
    paid_by,
    settled_refund,
)
from tests.support.http import Api, Doc, assert_bad, expect
from tests.support.service import Account, Service

NOTIFICATIONS = "/refundry/v1/processor-notifications"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
OWN_PATHS = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/style.css")
TOKENS = "/refundry/v1/refund-tokens/{token}"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service of this file's own: everything in its log comes from here."""
    with Service() as service:
        yield service


@pytest.fixture(scope="module")
def account(service: Service) -> Account:
    return service.open_account()


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire; status 0: the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def codes(self) -> list[str | None]:
        return [each.get("code") for each in json.loads(self.body)["errors"]]


def exchange(service: Service, sent: bytes) -> Reply:
    """Send bytes on a connection of their own and read the one answer."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        # Where it has heard enough before the end, its answer is still there to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        while not complete(received):
            try:
                part = connection.recv(1 << 16)
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
    if not received:
        return Reply(0, {}, b"")
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(status.split(" ", 2)[1]), headers, body)


def complete(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(end) and length is not None and len(body) >= int(length[1])


def request(
    account: Account, method: str, target: bytes, *headers: bytes, body: bytes | None = None
) -> bytes:
    """A request with the account's secret key, in bytes that no client would let through."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: test", b"Connection: close",
             b"Authorization: Bearer " + account.secret_test.encode(), *headers]  # fmt: skip
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def assert_documented(reply: Reply) -> None:
    """An error as the contract writes it: http.md, section 5."""
    assert 400 <= reply.status < 500, reply
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    document = json.loads(reply.body)
    assert set(document) == {"type", "errors"}
    assert document["type"] == TYPES[reply.status]
    assert document["errors"]
    for each in document["errors"]:
        assert set(each) <= {"code", "parameter", "message"}
        assert each["message"]


def post(account: Account, path: str, body: bytes, *headers: bytes) -> bytes:
    return request(account, "POST", path.encode(), *headers, body=body)


def operations(service: Service) -> dict[str, set[str]]:
    """Every path of the API and the methods that it takes."""
    document = expect(service.api(None).get("/openapi.json"))
    found = {
        path: {name.upper() for name in item if name.upper() in METHODS}
        for path, item in document["paths"].items()
    }
    # Browsers ask first whether a page of the shop may send bank details.
    found[TOKENS].add("OPTIONS")
    return found | {path: {"GET"} for path in OWN_PATHS}


def test_a_wrong_method_is_told_the_right_ones(service: Service, account: Account) -> None:
    paths = operations(service)
    assert len(paths) > 15
    for path, known in paths.items():
        target = path.replace("{id}", "some-id").encode()
        for method in set(METHODS) - known:
            reply = exchange(service, request(account, method, target))
            assert (reply.status, method, path) == (405, method, path)
            assert set(reply.headers["allow"].upper().split(", ")) == known
            if method != "HEAD":
                assert_documented(reply)
                assert reply.codes == ["method_not_allowed"]


@pytest.mark.parametrize(
    "target",
    [
        b"/nowhere",
        b"/v1/refunds",
        b"/refunds/a/b",
        b"//refunds",
        b"/refunds/../orders",
        b"/refunds/%2e%2e/orders",
        b"/refunds/a%2fb",
        b"/refunds/%00",
        b"/refunds/a%00b",
        b"/refunds/%ff",
        b"/refunds/%ed%a0%80",
        b"/refunds/%0d%0aSet-Cookie:%20a=b",
        b"/refunds/" + b"a" * 8000,
        b"/refunds/" + b"%" * 100,
        b"/refunds/%F0%9F%92%B8",
        b"/REFUNDS",
        b"/refunds;a=b",
        b"/docs/../../../../etc/passwd",
        b"/docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        b"*",
    ],
)
def test_a_path_that_leads_nowhere_is_a_404(
    service: Service, account: Account, target: bytes
) -> None:
    reply = exchange(service, request(account, "GET", target))
    assert_documented(reply)
    assert reply.status == 404
    assert reply.codes == ["not_found"]
    assert "set-cookie" not in reply.headers


HOSTILE_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \r\n\t",
    "half an object": b'{"a": ',
    "an object and more": b"{}{}",
    "an array": b"[]",
    "a string": b'"text"',
    "a number": b"1",
    "null": b"null",
    "two megabytes": b'{"a":"' + b"a" * (2 * MEGABYTE) + b'"}',
    "a byte above a megabyte": b'{"a":"' + b"a" * (MEGABYTE - 7) + b'"}',
    "brackets": b"[" * 100_000,
    "deep arrays": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 60_000 + b"1" + b"}" * 60_000,
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "NaN": b'{"amount": NaN}',
    "Infinity": b'{"amount": Infinity}',
    "-Infinity": b'{"amount": -Infinity}',
    "a leading zero": b'{"amount": 01}',
    "a leading point": b'{"amount": .5}',
    "a plus sign": b'{"amount": +1}',
    "a hexadecimal number": b'{"amount": 0x10}',
    "single quotes": b"{'amount': 1}",
    "a trailing comma": b'{"amount": 1,}',
    "a comment": b'{"amount": 1 /* much */}',
    "a raw control character": b'{"reason": "a\x01b"}',
    "a raw NUL": b'{"reason": "a\x00b"}',
    "an escaped NUL": b'{"reason": "a\\u0000b"}',
    "an escaped NUL in a name": b'{"a\\u0000b": 1}',
    "an escaped NUL in metadata": b'{"metadata": {"a": "\\u0000"}}',
    "half a character": b'{"reason": "\\ud800"}',
    "the other half": b'{"reason": "\\udc00"}',
    "two halves the wrong way round": b'{"reason": "\\udc00\\ud800"}',
    "half a character in a name": b'{"\\ud800": 1}',
    "a broken escape": b'{"reason": "\\u12"}',
    "an unknown escape": b'{"reason": "\\x41"}',
    "bytes that are not UTF-8": b'{"reason": "\xff"}',
    "an overlong encoding": b'{"reason": "\xc0\x80"}',
    "a half encoded as UTF-8": b'{"reason": "\xed\xa0\x80"}',
    "a byte order mark": b'\xef\xbb\xbf{"reason": "a"}',
    "UTF-16": '{"reason": "a"}'.encode("utf-16"),
    "a form": b"amount=1&currency=USD",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_a_body_that_is_no_json_object_is_an_invalid_format_everywhere(
    service: Service, account: Account, name: str
) -> None:
    body = HOSTILE_BODIES[name]
    for path, methods in operations(service).items():
        # An empty body is no update of a refund, and no mistake (refunds.md, section 9).
        # Of a token that nobody has, no body is read: its 404 comes first.
        if "POST" not in methods or path == TOKENS:
            continue
        if path == "/refunds/{id}" and not body.strip():
            continue
        target = path.replace("{id}", "some-id")
        signature = (
            b"Refundry-Signature: " + sign(service.sandbox_secret, int(time.time()), body).encode()
        )
        reply = exchange(service, post(account, target, body, signature))
        assert_documented(reply)
        assert (path, reply.status, reply.codes) == (path, 400, ["invalid_format"])


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/xml",
        b"multipart/form-data; boundary=a",
        b"application/x-www-form-urlencoded",
        b"application/octet-stream",
        b"text/html",
        b"application/json2",
        b"json",
        b"\xff",
        b"application/json, text/html",
    ],
)
def test_another_media_type_is_an_invalid_format(
    service: Service, account: Account, media_type: bytes
) -> None:
    reply = exchange(service, post(account, "/refunds", b"{}", b"Content-Type: " + media_type))
    assert_documented(reply)
    assert (reply.status, reply.codes) == (400, ["invalid_format"])


@pytest.mark.parametrize("accept", [b"text/html", b"application/xml", b"\xff", b"text/*"])
def test_who_wants_no_json_gets_a_406(service: Service, account: Account, accept: bytes) -> None:
    reply = exchange(service, request(account, "GET", b"/refunds", b"Accept: " + accept))
    assert_documented(reply)
    assert (reply.status, reply.codes) == (406, ["not_acceptable"])


HOSTILE_NUMBERS: dict[str, str] = {
    "too large for anything": "1e999",
    "too large for any exponent": "1e" + "9" * 20,
    "a negative one": "-1",
    "minus zero": "-0",
    "zero": "0",
    "an exponent": "1e0" + "0" * 1000 + "9",
    "900,000 digits": "9" * 900_000,
    "900,000 zeros behind the point": "1." + "0" * 899_999 + "1",
    "900,000 digits in a string": '"' + "9" * 900_000 + '"',
    "a number in words": '"NaN"',
    "infinity in words": '"Infinity"',
    "hexadecimal in a string": '"0x10"',
    "with an underscore": '"1_000"',
    "with a space": '" 1"',
    "in other digits": '"\\u0661"',
    "full-width": '"\\uff11"',
    "true": "true",
    "an array": "[1]",
    "an object": '{"amount": 1}',
}


@pytest.mark.parametrize("name", HOSTILE_NUMBERS)
def test_a_number_that_is_none_is_named_as_it_was_sent(
    service: Service, account: Account, name: str
) -> None:
    number = HOSTILE_NUMBERS[name]
    members = ["amount", "percent"]
    for member in members:
        body = f'{{"orderId": "100000000001", "currency": "USD", "{member}": {number}}}'
        reply = exchange(service, post(account, "/refunds", body.encode()))
        assert_documented(reply)
        assert (reply.status, reply.codes) == (400, ["invalid_parameter"])
        assert json.loads(reply.body)["errors"][0]["parameter"] == member
    for path, text in {
        "/refunds": f'{{"orderId": "1", "currency": "USD", "items": [{{"itemId": "1",'
        f' "quantity": {number}, "amount": {number}}}]}}',
        "/fulfillments": f'{{"orderId": "1", "items": [{{"itemId": "1", "quantity": {number}}}]}}',
        "/orders": f'{{"currency": "USD", "totalAmount": {number}, "items": [{{"amount": {number},'
        f' "quantity": {number}, "tax": {{"amount": {number}}}}}],'
        f' "payment": {{"sources": [{{"type": "payPal", "amount": {number}}}]}}}}',
        "/refundry/v1/test/advance": f'{{"seconds": {number}}}',
    }.items():
        reply = exchange(service, post(account, path, text.encode()))
        if path != "/refundry/v1/test/advance" or reply.status != 200:
            assert_documented(reply)


@pytest.mark.parametrize("amount", ["1e-999", "0.0000009", "0.0051"])
def test_less_than_the_smallest_amount_is_not_taken_for_zero(api: Api, amount: str) -> None:
    order = given_captured(api, "A")
    text = f'{{"orderId": "{order["id"]}", "currency": "USD", "amount": {amount}}}'
    refused = api.request("POST", "/refunds", content=text)
    assert_bad(refused, "invalid_parameter", "amount", f"'{amount}' is not a valid amount.")


def test_of_a_name_that_comes_twice_the_last_counts(api: Api) -> None:
    """As most readers of JSON take it; two meanings of one body must not be booked."""
    order = given_captured(api, "A")
    text = f'{{"orderId": "{order["id"]}", "currency": "USD", "amount": 27.01, "amount": 1.00}}'
    headers = {"Content-Type": "application/json"}
    made = expect(api.request("POST", "/refunds", content=text, headers=headers), 201)
    assert made["amount"] == 1
    text = text.replace("1.00", '"much"')
    refused = api.request("POST", "/refunds", content=text, headers=headers)
    assert_bad(refused, "invalid_parameter", "amount", "'much' is not a valid amount.")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        (b"state=%00", "state"),
        (b"state=%ff", "state"),
        (b"state=pending&state=x", "state"),
        (b"limit=%00", "limit"),
        (b"limit=" + b"9" * 5000, "limit"),
        (b"limit=%D9%A1", "limit"),
        (b"limit=1e1", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=", "limit"),
        (b"startingAfter=%00", "startingAfter"),
        (b"startingAfter=%ED%A0%80", "startingAfter"),
        (b"startingAfter=" + b"a" * 20_000, "startingAfter"),
        (b"endingBefore=' OR 1=1 --".replace(b" ", b"+"), "endingBefore"),
        (b"amount=NaN", "amount"),
        (b"amount=1e999", "amount"),
        (b"amount[gte]=" + b"9" * 5000, "amount"),
        (b"amount[%00]=1", "amount"),
        (b"createdTime=9999-99-99", "createdTime"),
        (b"createdTime=0000-01-01T00:00:00Z", "createdTime"),
        (b"createdTime[gt]=2024-02-30T00:00:00Z", "createdTime"),
        (b"createdTime[regex]=.*", "createdTime"),
        (b"ids=%00", "ids"),
        (b"orderId=a%00b", "orderId"),
    ],
)
def test_a_hostile_parameter_is_named(
    service: Service, account: Account, query: bytes, parameter: str
) -> None:
    reply = exchange(service, request(account, "GET", b"/refunds?" + query))
    assert_documented(reply)
    assert (reply.status, reply.codes) == (400, ["invalid_parameter"])
    assert json.loads(reply.body)["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize(
    "query",
    [
        b"&".join(b"p%d=x" % n for n in range(2500)),
        b"&".join(b"ids=x%d" % n for n in range(2500)),
        b"ids[%d]=x" % 10**30,
        b"&" * 5000,
        b"=" * 5000,
        b"%" * 5000,
        b"[" * 5000 + b"=1",
        b"amount[gte][gte]=1",
        b"%00=1",
        b"%ff=%ff",
        b"orderId=%ff",
        b"orderId=' OR 1=1 --".replace(b" ", b"%20"),
        b"reason=%25%5F",
        b"__proto__=1&constructor[prototype]=1",
    ],
)
def test_a_strange_query_finds_nothing(service: Service, account: Account, query: bytes) -> None:
    for path in (b"/refunds", b"/orders", b"/events", b"/charges"):
        reply = exchange(service, request(account, "GET", path + b"?" + query))
        if reply.status == 200:
            assert set(json.loads(reply.body)) == {"hasMore", "data"}
        else:
            assert_documented(reply)


HOSTILE_HEADERS: dict[str, tuple[bytes, int]] = {
    "a NUL": (b"X-A: a\x00b", 400),
    "a lone carriage return": (b"X-A: a\rb", 400),
    "no name": (b": a", 400),
    "no colon": (b"just words", 400),
    "a space in the name": (b"X A: b", 400),
    "a folded line": (b"X-A: a\r\n b", 400),
    "200,000 bytes": (b"X-A: " + b"a" * 200_000, 400),
    "200,000 bytes of a key": (b"Authorization: Bearer " + b"a" * 200_000, 400),
    "50,000 headers": (b"\r\n".join(b"X-%d: a" % n for n in range(50_000)), 400),
    "two lengths": (b"Content-Length: 2\r\nContent-Length: 3", 400),
    "a length and chunks": (b"Content-Length: 2\r\nTransfer-Encoding: chunked", 400),
    "a negative length": (b"Content-Length: -1", 400),
    "an endless length": (b"Content-Length: 99999999999999999999", 400),
    "an unknown encoding": (b"Transfer-Encoding: gzip", 400),
    "a second key": (b"Authorization: Bearer sk_test_" + b"0" * 32, 401),
    "a key that is not one": (b"Authorization: Bearer \xff\xfe", 401),
    "another scheme": (b"Authorization: Basic c2s6", 401),
    "an unknown version": (b"digitalriver-version: \xff", 400),
    "a version of 20,000 bytes": (b"digitalriver-version: " + b"1" * 20_000, 400),
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_a_hostile_header_is_refused(service: Service, account: Account, name: str) -> None:
    header, status = HOSTILE_HEADERS[name]
    reply = exchange(service, request(account, "GET", b"/refunds", header))
    assert_documented(reply)
    assert reply.status == status


@pytest.mark.parametrize(
    "header",
    [
        b"X-Request-Id: \xff",
        b"X-Request-Id: " + b"a" * 129,
        b"X-Request-Id: a b",
        b"X-Request-Id:",
        b"Cookie: " + b"a=b; " * 3000,
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        b"Range: bytes=0-1",
        b"If-None-Match: *",
        b"X-HTTP-Method-Override: DELETE",
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: \xff",
        b'forwarded: for="[\xff"',
        b"upstream-id: \xff\xfe",
        b"Accept-Encoding: \xff",
    ],
)
def test_an_odd_header_changes_nothing(service: Service, account: Account, header: bytes) -> None:
    reply = exchange(service, request(account, "GET", b"/refunds?limit=1", header))
    assert reply.status == 200
    assert set(json.loads(reply.body)) == {"hasMore", "data"}
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-request-id"])


def test_a_request_id_is_echoed_but_cannot_split_the_answer(
    service: Service, account: Account
) -> None:
    kept = exchange(service, request(account, "GET", b"/refunds", b"X-Request-Id: shop/1:a"))
    assert kept.headers["x-request-id"] == "shop/1:a"
    for path in (b"/nowhere", b"/refunds/none"):
        kept = exchange(service, request(account, "GET", path, b"X-Request-Id: shop/1:a"))
        assert (kept.status, kept.headers["x-request-id"]) == (404, "shop/1:a")


@pytest.mark.parametrize("key", [b"\xff", b"a" * 256, b"", b"a\tb", "é".encode(), b"a" * 20_000])
def test_a_hostile_idempotency_key_is_refused(
    service: Service, account: Account, key: bytes
) -> None:
    reply = exchange(service, post(account, "/refunds", b"{}", b"Idempotency-Key: " + key))
    assert_documented(reply)
    assert (reply.status, reply.codes) == (400, ["invalid_parameter"])
    assert json.loads(reply.body)["errors"][0]["parameter"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n\r\nGARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"GET /refunds HTTP/9.9\r\n\r\n",
        b"GET /refunds HTTP/1.1\nHost: a\n\n",
        b"GET /refunds\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /refunds?a=\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW /refunds HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET " + b"/a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /refunds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_gets_a_400(service: Service, sent: bytes) -> None:
    reply = exchange(service, sent)
    assert_documented(reply)
    assert (reply.status, reply.codes) == (400, ["invalid_format"])


@pytest.mark.parametrize(
    "cut",
    [
        b"GET /refunds HT",
        b"GET /refunds HTTP/1.1\r\nHost: a",
        b"POST /refunds HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
        b"POST /refunds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_a_client_that_hangs_up_harms_nobody(
    service: Service, account: Account, cut: bytes
) -> None:
    key = b"Authorization: Bearer " + account.secret_test.encode()
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(cut.replace(b"Host: a", b"Host: a\r\n" + key))
    assert service.healthy()


async def test_a_body_that_does_not_come_in_time_is_a_408() -> None:
    """With a limit of a twentieth of a second instead of half a minute."""

    async def never(_call: Call) -> Answer:
        raise AssertionError("the body never came")

    operation = Operation("POST", "/slow", never, "", "", None, open=True)
    # An operation that needs no key asks the gate for the time alone before the body is there.
    services = SimpleNamespace(clock=Clock(), admission=Admission())
    gate = cast("Gate", SimpleNamespace(services=services, journal=None))
    resource = Resource(gate, [operation], body_seconds=0.05)
    sent: list[Message] = []
    parts = iter([{"type": "http.request", "body": b'{"a":', "more_body": True}])

    async def receive() -> Message:
        for part in parts:
            return part
        return await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/slow", "headers": [],
                             "refundry.route": "/slow"}  # fmt: skip
    await resource(scope, receive, send)
    start, body = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert_documented(Reply(start["status"], headers, body["body"]))
    assert (start["status"], headers["connection"]) == (408, "close")
    assert read_codes(body["body"]) == ["request_timeout"]


def read_codes(body: bytes) -> list[str]:
    return [each["code"] for each in json.loads(body)["errors"]]


def dump(service: Service) -> dict[str, str]:
    """Every row of every table as text; bytes come as hexadecimal digits."""
    tables = run_sql(
        service.data_dir,
        "SELECT c.relname AS name FROM pg_class c"
        " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace",
    )
    found: dict[str, str] = {}
    for (name,) in tables:
        rows = run_sql(service.data_dir, f"SELECT t::text AS row FROM {name} t")
        found[name] = "\n".join(row["row"] for row in rows)
    assert len(found) > 15
    return found


def holders(service: Service, secret: str) -> list[str]:
    """The tables that hold a text, in clear or as bytes."""
    return [
        name
        for name, text in dump(service).items()
        if secret in text or secret.encode().hex() in text
    ]


def logs(service: Service) -> str:
    """What the service and its database have logged."""
    return service.log_since(0) + (service.data_dir / "postgresql.log").read_text()


def test_a_refund_token_is_kept_encrypted_only(service: Service, api: Api) -> None:
    """It is in answers, events and stored replays, and in clear it is nowhere at rest."""
    order = given_captured(api, "Q")
    refund = settled_refund(api, order, amount=5.00)
    token: str = refund["tokenInformation"]["token"]
    update = {"metadata": {"seen": True}}
    key = {"Idempotency-Key": "token-in-a-replay"}
    updated = api.post(f"/refunds/{refund['id']}", update, key)
    replayed = api.post(f"/refunds/{refund['id']}", update, key)
    events = api.get("/events?type=refund.*&limit=100")
    for shown in (updated, replayed, events):
        assert token in shown.text
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert holders(service, token) == []
    assert token not in logs(service)
    # The search would find what is there: the refund's id, which is no secret.
    assert "refunds" in holders(service, refund["id"])


def test_keys_and_card_numbers_are_not_kept(service: Service, account: Account, api: Api) -> None:
    given_captured(api, "A")
    for secret in (account.secret_test, account.secret_live, VISA, VISA.replace(" ", "")):
        assert holders(service, secret) == []


def test_a_card_number_in_the_wrong_place_is_not_logged(
    service: Service, account: Account, api: Api
) -> None:
    number = VISA.replace(" ", "")
    size = service.log_size()
    attempts: list[Callable[[], object]] = [
        lambda: api.post("/orders", order_body("A", payment=paid_by({**card(1), "type": number}))),
        lambda: api.post("/orders", {"currency": number}),
        lambda: api.post("/refunds", {"orderId": number, "currency": "USD", "amount": 1}),
        lambda: api.post("/refunds", {number: number}),
        lambda: api.get(f"/refunds/{number}"),
        lambda: api.get(f"/refunds?orderId={number}&state={number}"),
        lambda: api.get(f"/{number}"),
        lambda: service.api(number).get("/refunds"),
        lambda: api.get("/refunds", {"upstream-id": number}),
        lambda: api.get(f"/refunds?key={account.secret_live}"),
        lambda: service.api(account.secret_live).post("/orders", order_body("A")),
        lambda: api.post("/orders", {**order_body("A"), "id": "twice", "metadata": {"a": number}}),
        lambda: api.post("/orders", {**order_body("A"), "id": "twice", "metadata": {"a": number}}),
    ]
    for attempt in attempts:
        attempt()
    written = service.log_since(size)
    assert written.count('"event":"request"') >= len(attempts) - 2
    assert number not in logs(service)
    assert account.secret_live not in logs(service)


def test_after_all_of_it_the_service_works_and_its_log_is_clean(
    service: Service, account: Account, api: Api
) -> None:
    """The last test of this file: the log holds everything that was done above."""
    order = given_captured(api, "A")
    assert (
        get_refund(api, expect(ask(api, order, percent=100), 201))["amount"] == order["totalAmount"]
    )
    assert listed(api, "/refunds")
    said = service.log_since(0)
    events: list[Doc] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert len(events) > 20
    wrong = [event for event in events if event["level"] not in ("info", "warning")]
    assert wrong == [], str(wrong[0])[:3000]
    assert not [event for event in events if event.get("status", 0) >= 500]
    for forbidden in ("Traceback", "exception", account.secret_test, account.secret_live,
                      service.sandbox_secret, VISA, VISA.replace(" ", "")):  # fmt: skip
        assert forbidden not in said
    assert "ERROR" not in (service.data_dir / "postgresql.log").read_text()
