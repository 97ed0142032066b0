"""Migrations on a database that holds data written under an older schema."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from refundry.auditing import audit
from refundry.db.database import connect_arguments
from refundry.db.migrate import Connection, migrate, migrations
from refundry.domain.order import LineState, OrderState
from refundry.orders.store import find_order
from refundry.settings import Settings
from tests.support.books import Shop
from tests.support.fixtures import order_body
from tests.support.http import Doc

LANDED_FIRST = "29f29ff30957a999cc92924789dceb4134d809a27274f4329ca47d88300eb8b5"
# What orders consist of, each behind what it refers to.
_TABLES = ("accounts", "orders", "order_lines", "charges", "charge_operations", "refunds",
           "refund_parts")  # fmt: skip


@pytest.fixture
async def older(settings: Settings, shop: Shop) -> AsyncIterator[Connection]:
    """A database of its own with the first migration only."""
    await shop.database.execute("CREATE DATABASE older")
    arguments: dict[str, Any] = connect_arguments(settings) | {"database": "older"}
    connection: Connection = await asyncpg.connect(**arguments)
    try:
        first = migrations()[0]
        await connection.execute(first.sql)
        await connection.execute(
            "CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        await connection.execute(
            "INSERT INTO schema_migrations VALUES ($1, $2, $3)",
            first.number, first.name, first.checksum,
        )  # fmt: skip
        yield connection
    finally:
        await connection.close()
        await shop.database.execute("DROP DATABASE older")


async def copy_orders(shop: Shop, older: Connection) -> None:
    """Write the shop's orders as they would stand under the older schema: without what is new."""
    for table in _TABLES:
        name = "id" if table == "accounts" else "account_id"
        rows = await shop.database.fetchval(
            f"SELECT jsonb_agg(to_jsonb(t))::text FROM {table} t WHERE {name} = $1",
            shop.tenant.account_id,
        )
        columns = await older.fetchval(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = $1",
            table,
        )
        await older.execute(
            f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE"
            f" SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, $1::text::jsonb)",
            rows,
        )


async def busy_orders(shop: Shop) -> list[Doc]:
    """Orders as the first version left them: paid, refunded, under way, and imported as returned
    with a unit of each line cancelled."""
    paid = await shop.captured(order_body("A"))
    await shop.ask(paid, "5.00")
    declined = await shop.captured(order_body("R"))
    await shop.ask(declined, "5.00")
    await shop.settle()
    await shop.ask(paid, "3.00")
    body = order_body("W", state="returned")
    back = {"state": "returned", "cancelledQuantity": 1}
    returned = await shop.take_in(body | {"items": [each | back for each in body["items"]]})
    return [paid, declined, returned]


async def test_what_was_written_before_is_taken_along(shop: Shop, older: Connection) -> None:
    orders = await busy_orders(shop)
    await copy_orders(shop, older)
    reported: list[str] = []
    assert await migrate(older, reported.append) == len(migrations()) - 1
    names = dict.fromkeys(text.split()[1] for text in reported)
    assert list(names) == [each.name for each in migrations()[1:]]
    async with older.transaction(isolation="repeatable_read", readonly=True):
        assert [each.findings async for each in audit(older)] == [[]]
    for order in orders:
        assert await find_order(older, shop.tenant, order["id"]) == await find_order(
            shop.database, shop.tenant, order["id"]
        )


async def test_lines_that_were_returned_have_returned_units(shop: Shop, older: Connection) -> None:
    """So that they cannot come back a second time."""
    orders = await busy_orders(shop)
    await copy_orders(shop, older)
    await migrate(older, lambda _text: None)
    *others, returned = [await find_order(older, shop.tenant, each["id"]) for each in orders]
    assert returned is not None
    assert returned.order.state is OrderState.RETURNED
    assert [(each.state, each.returned_units) for each in returned.order.lines] == [
        (LineState.RETURNED, 1),
        (LineState.RETURNED, 2),
    ]
    for other in others:
        assert other is not None
        assert [each.returned_units for each in other.order.lines] == [0]


async def test_lines_are_found_by_the_subscription_that_they_came_with(
    shop: Shop, older: Connection
) -> None:
    body = order_body("B")
    for each, subscription in zip(body["items"], ("sub-1", 7), strict=True):
        each["subscriptionInfo"] = {"subscriptionId": subscription}
    order = await shop.take_in(body)
    await copy_orders(shop, older)
    await older.execute(  # No figure of what is only passed through is read.
        """UPDATE order_lines SET details = '{"subscriptionInfo": 1e999999}' WHERE position = 1"""
    )
    await migrate(older, lambda _text: None)
    rows = await older.fetch(
        "SELECT subscription_id FROM order_lines WHERE order_id = $1 ORDER BY position", order["id"]
    )
    assert [row["subscription_id"] for row in rows] == ["sub-1", None]


async def test_administrators_become_users_who_are_still_to_set_a_password(
    older: Connection,
) -> None:
    await older.execute(
        """
        INSERT INTO accounts (id, name, created_at)
        VALUES ('one', 'One', now()), ('two', 'Two', now());
        INSERT INTO administrators (account_id, email, invited_at)
        VALUES ('one', 'Ana@shop.example', '2024-05-02'), ('two', 'ana@shop.example', '2024-05-01'),
               ('two', 'bo@shop.example', '2024-05-03'), ('two', 'no address', '2024-05-03')
        """
    )
    await migrate(older, lambda _text: None)
    rows = await older.fetch(
        "SELECT account_id, email, name, role, status FROM users ORDER BY lower(email)"
    )
    assert [tuple(row) for row in rows] == [
        ("two", "ana@shop.example", "ana", "administrator", "staged"),
        ("two", "bo@shop.example", "bo", "administrator", "staged"),
    ]


def test_a_migration_that_has_landed_keeps_its_text() -> None:
    """A database that has it applied would refuse the next version."""
    assert migrations()[0].checksum == LANDED_FIRST


async def test_a_migration_is_applied_once(older: Connection) -> None:
    await migrate(older, lambda _text: None)
    assert await migrate(older, lambda _text: None) == 0


async def test_a_migration_waits_for_a_reader_without_stopping_the_writers(
    settings: Settings, older: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refundry.db.migrate._LOCK_SECONDS", 0.2)
    monkeypatch.setattr("refundry.db.migrate._STEP_BACK_SECONDS", 0.1)
    reports: list[str] = []
    arguments: dict[str, Any] = connect_arguments(settings) | {"database": "older"}
    reader: Connection = await asyncpg.connect(**arguments)
    writer: Connection = await asyncpg.connect(**arguments)
    try:
        reading = reader.transaction()
        await reading.start()
        await reader.fetch("SELECT * FROM refunds")
        migrating = asyncio.create_task(migrate(older, reports.append))
        while not any("tries again" in report for report in reports):
            assert not migrating.done()
            # Behind a migration that waited on and on, this would wait with it.
            await writer.execute("UPDATE refunds SET state = state", timeout=10)
            await asyncio.sleep(0.01)
        assert not migrating.done()
        await reading.rollback()
        assert await migrating == len(migrations()) - 1
    finally:
        await reader.close()
        await writer.close()
