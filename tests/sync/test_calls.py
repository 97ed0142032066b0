"""What the client sends, and what it refuses to send."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from refundry_sync.client import AsyncClient, Client
from refundry_sync.client.call import encode
from refundry_sync.client.filters import query_of
from refundry_sync.client.operations.orders import get_order, update_order
from refundry_sync.client.operations.refunds import create_refund, get_refund, list_refunds

SECRET = "sk_test_8c1f0e3d5b7a49268f0d3c5e7a91b2c4"


def test_amounts_are_sent_exactly() -> None:
    body = {"amount": Decimal("27.010"), "n": 3, "items": [{"percent": Decimal("1E+1")}], "x": None}
    assert encode(body) == b'{"amount":27.010,"n":3,"items":[{"percent":1E+1}],"x":null}'


@pytest.mark.parametrize(
    ("body", "error", "where"),
    [
        ({"amount": 27.01}, TypeError, "amount"),
        ({"items": [{"amount": 1}, {"amount": 0.1}]}, TypeError, r"items\[1\].amount"),
        ({"amount": Decimal("NaN")}, ValueError, "amount"),
        ({"tax": {"amount": Decimal("Infinity")}}, ValueError, "tax.amount"),
        ({"createdTime": datetime(2024, 5, 1)}, ValueError, "createdTime"),
    ],
)
def test_what_is_not_exact_is_not_sent(body: Any, error: type[Exception], where: str) -> None:
    with pytest.raises(error, match=where):
        create_refund(body)


@pytest.mark.parametrize("wrong", ["", ".", ".."])
def test_an_id_is_never_another_path(wrong: str) -> None:
    with pytest.raises(ValueError, match="id"):
        get_refund(wrong)
    with pytest.raises(ValueError, match="id"):
        update_order(wrong, {})
    assert get_refund("a/../b?c#d").path == "/refunds/a%2F..%2Fb%3Fc%23d"
    assert get_order("1", expand=True).path == "/orders/1?expand=true"


@pytest.mark.parametrize("wrong", ["", "a" * 256, "a\nb", "ä"])
def test_idempotency_keys_are_what_a_header_takes(wrong: str) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        create_refund({}, idempotency_key=wrong)


def test_filters_are_written_as_the_api_has_them() -> None:
    paris = timezone(timedelta(hours=2))
    filters = {
        "created_time_gte": datetime(2024, 5, 1, 12, 0, 0, 500, paris),
        "created_time_lt": date(2024, 6, 1),
        "updated_time": "2024-05-01T00:00:00Z",
        "fraud_review_opened_gt": datetime(2024, 5, 1, tzinfo=UTC),
        "in_review_lte": date(2024, 6, 1),
        "refunded_amount_gt": Decimal("1E+1"),
        "digital_river_share": -3,
        "upstream_ids": ["a,b", "c"],
        "expand": True,
        "state": None,
    }
    assert query_of(filters, page_size=100) == (
        ("createdTime[gte]", "2024-05-01T10:00:00.000500Z"),
        ("createdTime[lt]", "2024-06-01"),
        ("updatedTime", "2024-05-01T00:00:00Z"),
        ("fraudStateTransitions.review_opened[gt]", "2024-05-01T00:00:00Z"),
        ("in_review[lte]", "2024-06-01"),
        ("refundedAmount[gt]", "10"),
        ("digitalRiverShare", "-3"),
        ("upstreamIds", "a,b"),
        ("upstreamIds", "c"),
        ("expand", "true"),
        ("limit", "100"),
    )
    first = list_refunds(page_size=3, starting_after="re_1", state="failed").first
    assert first.query == (("limit", "3"), ("startingAfter", "re_1"), ("state", "failed"))


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ({"ids": []}, ValueError),
        ({"amount": 1.5}, TypeError),
        ({"amount": Decimal("NaN")}, TypeError),
        ({"created_time": datetime(2024, 5, 1)}, ValueError),
        ({"starting_after": "a", "ending_before": "b"}, ValueError),
    ],
)
def test_filters_that_would_find_something_else_are_refused(
    filters: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        query_of(filters)


def test_a_list_is_checked_when_it_is_asked_for() -> None:
    with Client("http://127.0.0.1:9", SECRET) as client, pytest.raises(ValueError, match="ids"):
        client.refunds.list(ids=[])


async def test_clients_are_made_with_an_address_and_a_key() -> None:
    for wrong in ("refunds.shop.example", "ftp://x", "http://", "http://x/?a", "http://x y"):
        with pytest.raises(ValueError, match="address"):
            Client(wrong, SECRET)
    for wrong in ("sk test", "sk\n", "sk_ä"):
        with pytest.raises(ValueError, match="key"):
            AsyncClient("http://x", wrong)
    with pytest.raises(ValueError, match="attempts"):
        Client("http://x", SECRET, attempts=0)
    with Client("https://x/api/", SECRET) as client:
        assert repr(client) == "Client('https://x/api')"
    async with AsyncClient("https://x", SECRET) as other:
        assert repr(other) == "AsyncClient('https://x')"
