"""From a call to its row: ids that sort by time, what the call was about, its headers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refundry.api_log.entry import COLUMNS, Entry, collection_of, id_at, row_of
from refundry.tenant import ApiKey, Tenant

NOW = datetime(2026, 5, 1, 9, 58, 12, 345678, tzinfo=UTC)
TENANT = Tenant("acc-1", live=False)
KEY = ApiKey("key-1", "Shop", TENANT, "restricted", {}, "2021-12-13", "line", timedelta())
TOKEN = "32a00080-9cbb-4898-9ce9-69b6e709f344"
REFUSAL = b'{"type":"bad_request","errors":[{"code":"a","message":"One."},{"message":"Two."}]}'
moments = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))


def row(
    method: str = "POST",
    path: str = "/refunds",
    status: int = 201,
    *,
    request: bytes = b'{"orderId":"500000000001"}',
    answer: bytes = b'{"id":"re_1","amount":1.0}',
    parameters: dict[str, str] | None = None,
    query: bytes = b"",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    entry = Entry(
        TENANT, KEY, NOW, 0.0125, method, path, parameters or {}, query, headers or {}, "req-1",
        request, len(request), status, False, answer, len(answer),
    )  # fmt: skip
    return dict(zip(COLUMNS, row_of(entry), strict=True))


def test_a_row_says_who_asked_for_what_and_what_came_of_it() -> None:
    found = row()
    own = {name: found[name] for name in ("account_id", "live", "called_at", "duration_ms")}
    assert own == {"account_id": "acc-1", "live": False, "called_at": NOW, "duration_ms": 12.5}
    names = ("key_id", "key_name", "key_kind", "method", "path", "query", "status", "error_code")
    assert [found[name] for name in names] == [
        "key-1", "Shop", "restricted", "POST", "/refunds", None, 201, None,
    ]  # fmt: skip
    assert found["request_body"] == '{"orderId":"500000000001"}'
    assert found["answer_body"] == '{"id":"re_1","amount":1.0}'
    assert found["id"].version == 7


@given(moments, moments, st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
def test_ids_sort_as_their_times_do(one: datetime, other: datetime, a: int, b: int) -> None:
    if one < other:
        assert id_at(one, a) < id_at(other, 0) <= id_at(other, b)


@pytest.mark.parametrize(
    ("call", "resource_id"),
    [
        ({}, "re_1"),
        ({"status": 400, "answer": REFUSAL}, "500000000001"),
        ({"status": 400, "answer": REFUSAL, "request": b'{"a":1,"orderId":"7"}'}, "7"),
        ({"status": 400, "answer": REFUSAL, "request": b"nonsense"}, None),
        ({"status": 400, "answer": REFUSAL, "request": b'{"orderId":["x"]}'}, None),
        ({"status": 503, "answer": REFUSAL}, None),
        ({"method": "GET", "path": "/refunds", "status": 200}, None),
        ({"method": "GET", "path": "/refunds/re_9", "parameters": {"id": "re_9"}}, "re_9"),
        ({"path": "/orders/5/x", "parameters": {"id": "5"}, "status": 404}, "5"),
    ],
)
def test_a_call_is_found_by_what_it_was_about(call: dict[str, Any], resource_id: str) -> None:
    assert row(**call)["resource_id"] == resource_id


def test_a_refusal_gives_its_code_and_every_message() -> None:
    found = row(status=400, answer=REFUSAL)
    assert (found["error_code"], found["error_message"]) == ("a", "One.\nTwo.")


def test_a_refund_token_is_not_kept() -> None:
    path = f"/refundry/v1/refund-tokens/{TOKEN}"
    found = row("GET", path, 200, parameters={"token": TOKEN}, query=b"token=Zq7&a=b")
    assert (found["path"], found["query"]) == ("/refundry/v1/refund-tokens/***", "token=***&a=b")
    assert TOKEN not in repr(found)
    assert found["resource_id"] is None


def test_the_troubleshooting_headers_are_kept() -> None:
    headers = {
        "upstream-id": "cart-7",
        "upstream-application-id": "shopware/6.5/x",
        "upstream-session-id": "session-1",
        "forwarded": 'for=10.0.0.1;proto=https, For="[2001:DB8::17]:4711";by=203.0.113.43',
        "authorization": "Bearer sk_test_" + "0" * 32,
    }
    found = row(headers=headers)
    names = ("upstream_id", "application", "application_version", "session_id", "shopper_address")
    assert [found[name] for name in names] == [
        "cart-7", "shopware", "6.5/x", "session-1", "[2001:db8::17]:4711",
    ]  # fmt: skip
    assert "sk_test" not in repr(found)
    assert [row()[name] for name in names] == [None] * 5


def test_long_headers_and_paths_are_cut() -> None:
    found = row(path="/refunds/" + "x" * 5000, headers={"upstream-id": "y" * 5000})
    assert (len(found["path"]), len(found["upstream_id"])) == (500, 200)


@pytest.mark.parametrize(
    ("path", "collection"),
    [("/refunds", "/refunds"), ("/refunds/re_1", "/refunds"), ("/", "/"),
     ("/refundry/v1/disputes/dp_1", "/refundry/v1/disputes"), ("/refundry", "/refundry"),
     ("/orders/5/disputes", "/orders")],
)  # fmt: skip
def test_paths_of_one_kind_are_one_collection(path: str, collection: str) -> None:
    assert collection_of(path) == collection
