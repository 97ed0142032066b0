"""Imported orders on the real database: once each, as single requests would write them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from refundry.db.database import Database
from refundry.errors import Refused, required
from refundry.http.document import read_object, to_json
from refundry.importing.batches import BatchResult, import_batch
from refundry.importing.exports import Entry
from refundry.importing.judging import to_body
from refundry.importing.samples import sample_orders
from refundry.orders.store import find_order
from tests.support.books import Shop, findings, open_shop
from tests.support.http import Doc

COUNT = 120
# What is drawn anew, or says when something was written.
OWN = {"account_id", "seq", "session_id", "client_secret", "updated_at"}
TABLES = {
    "orders": "SELECT * FROM orders WHERE account_id = $1 ORDER BY id",
    "order_lines": "SELECT * FROM order_lines WHERE account_id = $1 ORDER BY order_id, position",
    "charges": "SELECT * FROM charges WHERE account_id = $1 ORDER BY order_id, position",
    "charge_operations": """
        SELECT * FROM charge_operations WHERE account_id = $1
         ORDER BY order_id, charge_id, kind, amount_minor, shares
    """,
}


def entries(*lines: bytes) -> list[Entry]:
    return [Entry("orders.jsonl", n, line) for n, line in enumerate(lines, start=1)]


async def take(shop: Shop, *lines: bytes) -> BatchResult:
    return await import_batch(shop.database, shop.tenant, entries(*lines), await shop.now())


async def rows(shop: Shop, *, without: frozenset[str] = frozenset()) -> Mapping[str, Any]:
    return {
        table: [
            {name: value for name, value in row.items() if name not in OWN | without}
            for row in await shop.database.fetch(statement, shop.tenant.account_id)
        ]
        for table, statement in TABLES.items()
    }


async def test_imported_orders_pass_the_audit_and_can_be_refunded(shop: Shop) -> None:
    lines = list(sample_orders(COUNT, seed=11))
    result = await take(shop, *lines)
    assert (result.imported, result.known, result.refused) == (COUNT, 0, 0)
    assert await findings(shop.database) == []
    order: Doc = next(
        order
        for order in map(json.loads, lines)
        if order["state"] == "complete" and order["availableToRefundAmount"] > 1
    )
    await shop.ask(order, str(order["availableToRefundAmount"]))
    await shop.settle()
    stored = required(await find_order(shop.database, shop.tenant, order["id"])).order
    assert stored.refunded == stored.captured
    assert stored.available_to_refund == 0


async def test_what_was_imported_is_not_touched_again(shop: Shop) -> None:
    lines = list(sample_orders(COUNT, seed=12))
    await take(shop, *lines[:50])
    before = (await rows(shop))["orders"]
    result = await take(shop, *lines)
    assert (result.imported, result.known) == (COUNT - 50, 50)
    everything = await rows(shop)
    known = {row["id"] for row in before}
    assert [row for row in everything["orders"] if row["id"] in known] == before
    result = await take(shop, *lines)
    assert (result.imported, result.known) == (0, COUNT)
    assert await rows(shop) == everything


async def test_a_batch_writes_what_single_requests_write(shop: Shop) -> None:
    """Row by row, for orders whose refunds are where the rule for whole orders puts them."""
    other = await open_shop(shop.worker)
    lines: list[bytes] = []
    for line in sample_orders(COUNT, seed=13):
        order = json.loads(line)
        if order["state"] not in ("complete", "returned"):
            continue
        try:
            posted = await other.take_in(_to_post(line))
        except Refused:
            continue  # Some units of a line were cancelled: the API wants to be told how many.
        if _left(posted) == _left(order):
            lines.append(line)
    result = await take(shop, *lines)
    assert (result.imported, result.refused) == (len(lines), 0)
    assert len(lines) > COUNT // 2
    ours, theirs = await rows(shop), await rows(other)
    ids = {row["id"] for row in ours["orders"]}
    for table, written in ours.items():
        key = "id" if table == "orders" else "order_id"
        drawn = {"id"} if table == "charge_operations" else set[str]()
        expected = [row for row in theirs[table] if row[key] in ids]
        assert _without(written, drawn) == _without(expected, drawn)


def _to_post(line: bytes) -> Doc:
    """An export as a body for the API: without what failed, with the units of cancelled lines."""
    body = read_object(line)
    to_body(body)
    order: Doc = json.loads(to_json(body))
    for item in order["items"]:
        if item["state"] == "cancelled":
            item["cancelledQuantity"] = item["quantity"]
    return order


def _left(order: Doc) -> list[float]:
    return [item["availableToRefundAmount"] for item in order["items"]]


def _without(found: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    return [{n: v for n, v in row.items() if n not in names} for row in found]


async def test_of_refused_orders_nothing_is_written(shop: Shop) -> None:
    lines = list(sample_orders(300, seed=14, refusable=True))
    result = await take(shop, *lines)
    assert result.refused > 0
    assert result.imported + result.refused == 300
    refused = [remark for remark in result.remarks if remark.errors]
    assert len(refused) == result.refused
    stored = {row["id"] for row in (await rows(shop))["orders"]}
    assert len(stored) == result.imported
    for remark in refused:
        order = json.loads(lines[remark.number - 1])
        assert order.get("id") == remark.order_id
        assert order.get("id") not in stored
        assert remark.errors[0]["message"]
    assert await findings(shop.database) == []


@pytest.mark.parametrize("name", ["items", "charges"])
async def test_an_id_of_another_order_refuses_one_order_alone(shop: Shop, name: str) -> None:
    first, *lines = [json.loads(line) for line in sample_orders(20, seed=15)]
    await take(shop, json.dumps(first).encode())
    if name == "items":
        lines[7]["items"][0]["id"] = first["items"][0]["id"]
        parameter = "items[0].id"
    else:
        lines[7]["payment"]["charges"][0]["id"] = first["payment"]["charges"][0]["id"]
        parameter = "payment.charges[0].id"
    result = await take(shop, *[json.dumps(line).encode() for line in lines])
    assert (result.imported, result.refused) == (18, 1)
    (remark,) = [remark for remark in result.remarks if remark.errors]
    assert (remark.number, remark.order_id) == (8, lines[7]["id"])
    assert remark.errors[0]["parameter"] == parameter


async def test_an_order_that_comes_twice_is_taken_once(shop: Shop) -> None:
    (line,) = sample_orders(1, seed=16)
    result = await take(shop, line, line)
    assert (result.imported, result.known) == (1, 1)


async def test_accounts_and_modes_do_not_see_each_other(shop: Shop, database: Database) -> None:
    (line,) = sample_orders(1, seed=17)
    other = await open_shop(shop.worker)
    assert (await take(shop, line)).imported == 1
    assert (await take(other, line)).imported == 1
    assert await findings(database) == []
