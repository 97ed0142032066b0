"""Kept bodies of orders: a read after a write never gives an older body, whoever wrote."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import pytest

from refundry.db.database import open_database
from refundry.errors import Refused, required
from refundry.http.document import to_json
from refundry.orders.bodies import OrderBodies
from refundry.orders.commands import OrderUpdate, update_order
from refundry.orders.store import find_order, order_key
from refundry.orders.wire import order_view
from refundry.refunds.lanes import RefundLanes
from refundry.settings import Settings
from tests.support.books import Shop
from tests.support.fixtures import order_body
from tests.support.http import Doc


async def fresh(shop: Shop, order: Doc, *, expand: bool = False) -> bytes:
    """The order as it is, put into words anew."""
    stored = required(await find_order(shop.database, shop.tenant, order["id"]))
    return to_json(order_view(stored, live=shop.tenant.live, expand=expand))


async def update(shop: Shop, order: Doc, **members: object) -> None:
    change = OrderUpdate(
        metadata=members or None, clear_metadata=False, upstream_id=None,
        request_to_be_forgotten=None, accept=False,
    )  # fmt: skip
    await update_order(shop.database, shop.tenant, order["id"], change, await shop.now(), None)


async def test_a_body_is_kept_until_the_order_changes(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    key = order_key(shop.tenant, order["id"])
    bodies = OrderBodies(shop.database)
    first = await bodies.find(key)
    assert first == await fresh(shop, order)
    assert await bodies.find(key) is first
    assert await bodies.find(key, expand=True) == await fresh(shop, order, expand=True)
    await update(shop, order, ticket="CS-1")
    assert await bodies.find(key) == await fresh(shop, order) != first


async def test_every_kind_of_change_by_another_process_is_seen(
    shop: Shop, settings: Settings
) -> None:
    """The reader has connections of its own; the writers are the product's own commands."""
    order = await shop.take_in(order_body("A"))
    key = order_key(shop.tenant, order["id"])
    lanes = RefundLanes(shop.database)
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "fulfilled": lambda: shop.fulfil(order, *(i["quantity"] for i in order["items"])),
        "captured": shop.settle,
        "metadata": lambda: update(shop, order, note="x"),
        "grouped refund": lambda: shop.ask(order, "1.00", lanes),
        "refund": lambda: shop.ask(order, "2.00"),
        "settled": shop.settle,
        "another refund": lambda: shop.ask(order, "0.50", lanes),
        "settled again": shop.settle,
    }
    async with open_database(settings) as database:
        bodies = OrderBodies(database)
        seen = [await bodies.find(key)]
        for name, change in changes.items():
            await change()
            body = await bodies.find(key)
            assert body == await fresh(shop, order), name
            assert body not in seen, name
            assert await bodies.find(key) is body, name
            seen.append(body)


async def test_readers_amid_writers_never_see_an_older_order(shop: Shop) -> None:
    orders = [await shop.captured(order_body("A")) for _ in range(3)]
    bodies, lanes = OrderBodies(shop.database), RefundLanes(shop.database)
    committed = {order["id"]: 0 for order in orders}
    draw = random.Random(5)
    writing = True

    async def write() -> None:
        for _ in range(25):
            order = draw.choice(orders)
            try:
                await shop.ask(order, "0.10", lanes)
            except Refused:
                continue
            stored = required(await find_order(shop.database, shop.tenant, order["id"]))
            committed[order["id"]] = max(committed[order["id"]], stored.order.version)

    async def read() -> int:
        reads = 0
        while writing:
            order = draw.choice(orders)
            least = committed[order["id"]]
            body = required(await bodies.find(order_key(shop.tenant, order["id"])))
            assert json.loads(body)["version"] >= least
            reads += 1
        return reads

    readers = [asyncio.create_task(read()) for _ in range(6)]
    await asyncio.gather(*(write() for _ in range(4)))
    writing = False
    assert min(await asyncio.gather(*readers)) > 0
    for order in orders:
        assert await bodies.find(order_key(shop.tenant, order["id"])) == await fresh(shop, order)


async def test_kept_bodies_stay_within_their_memory(shop: Shop) -> None:
    orders = [await shop.take_in(order_body("A")) for _ in range(8)]
    size = len(await fresh(shop, orders[0]))
    most = 3 * (size + 1000)
    bodies = OrderBodies(shop.database, most_bytes=most)
    first = order_key(shop.tenant, orders[0]["id"])
    kept = await bodies.find(first)
    for order in orders * 2:
        assert await bodies.find(order_key(shop.tenant, order["id"])) == await fresh(shop, order)
        assert size < bodies.kept_bytes <= most
    assert await bodies.find(first) == kept
    assert await bodies.find(first) is not kept


async def test_an_unknown_order_has_no_body(shop: Shop) -> None:
    order = await shop.take_in(order_body("A"))
    bodies = OrderBodies(shop.database)
    assert await bodies.find(order_key(shop.tenant, "unknown")) is None
    account_id, _, order_id = order_key(shop.tenant, order["id"])
    assert await bodies.find((account_id, True, order_id)) is None


@pytest.mark.parametrize("rounds", [8])
async def test_lone_refunds_and_their_settlement_keep_their_plans(
    shop: Shop, settings: Settings, rounds: int
) -> None:
    """PostgreSQL plans the first five runs; one that plans on would do so for each refund."""
    order = await shop.captured(order_body("A"))
    async with open_database(settings) as database:
        lanes = RefundLanes(database)
        for _ in range(rounds):
            await shop.ask(order, "0.10", lanes)
        rows = await database.fetch(
            "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements"
        )
    plans = {row["statement"]: (row["generic_plans"], row["custom_plans"]) for row in rows}
    assert [runs for text, runs in plans.items() if "INSERT INTO refunds" in text] == [
        (rounds - 5, 5)
    ]
    assert [runs for text, runs in plans.items() if "l.held::text" in text] == [(rounds - 5, 5)]
