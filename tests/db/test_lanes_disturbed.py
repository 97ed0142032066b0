"""Groups that lose a deadlock, whose members give up, or that are cancelled: nothing is lost, and
nothing is written twice."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from refundry.db.database import Database, Unreachable, connect_arguments
from refundry.domain.refund import RefundAsk
from refundry.refunds.commands import RefundRequest
from refundry.refunds.lanes import RefundLanes
from refundry.settings import Settings
from tests.db.racing import figures
from tests.support.books import Shop, findings
from tests.support.fixtures import order_body
from tests.support.http import Doc

WATCHDOG_SECONDS = 60
PERCENT = Decimal(10)  # 2.70 of 27.01
Asked = asyncio.Task[bytes]


@pytest.fixture(autouse=True)
async def watchdog() -> AsyncIterator[None]:
    async with asyncio.timeout(WATCHDOG_SECONDS):
        yield


class Obstacle:
    """A transaction of somebody else that stands in the way of a group."""

    def __init__(self, connection: Any, shop: Shop, pid: int) -> None:
        self._connection = connection
        self._shop = shop
        self._pid = pid

    async def take_lines(self, order: Doc) -> None:
        """Lock the lines of an order, which no group does before it has the order itself."""
        await self._connection.execute(
            "UPDATE order_lines SET held = held WHERE account_id = $1 AND order_id = $2",
            self._shop.tenant.account_id, order["id"],
        )  # fmt: skip

    async def take_order(self, order: Doc) -> None:
        """Lock an order, and wait for it as long as it takes."""
        await self._connection.execute(
            "SELECT 1 FROM orders WHERE account_id = $1 AND id = $2 FOR UPDATE",
            self._shop.tenant.account_id, order["id"],
        )  # fmt: skip

    async def is_waited_for(self) -> None:
        """Wait until a statement waits for this transaction."""
        while not await self._shop.database.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))",
            self._pid,
        ):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def obstacle(shop: Shop) -> AsyncGenerator[Obstacle]:
    """Gone at the end of the block. It never finds a deadlock itself: the group does."""
    async with shop.database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL deadlock_timeout = '1min'")
        yield Obstacle(connection, shop, await connection.fetchval("SELECT pg_backend_pid()"))


async def given_orders(shop: Shop, count: int) -> list[Doc]:
    """In the order in which groups lock them."""
    orders = [await shop.captured(order_body("A")) for _ in range(count)]
    return sorted(orders, key=lambda order: str(order["id"]))


def ask_all(
    lanes: RefundLanes, shop: Shop, orders: list[Doc], request: RefundRequest
) -> list[Asked]:
    """The same request on several orders at once: they go as one group."""
    return [
        asyncio.create_task(lanes.create(shop.tenant, on_order(request, order))) for order in orders
    ]


def on_order(request: RefundRequest, order: Doc) -> RefundRequest:
    ask = RefundAsk(order["id"], None, order["currency"], percent=PERCENT)
    return RefundRequest(ask, request.now, request.batch_window, None)


@pytest.fixture
async def request_now(shop: Shop) -> RefundRequest:
    """A request on no order yet."""
    return RefundRequest(RefundAsk("", None, "USD"), await shop.now(), timedelta(), None)


async def assert_held_once(shop: Shop, orders: list[Doc]) -> None:
    assert [await figures(shop, order) for order in orders] == [(2701, 270, 0)] * len(orders)
    rows = await shop.database.fetch(
        "SELECT order_id FROM refunds WHERE account_id = $1", shop.tenant.account_id
    )
    assert sorted(row["order_id"] for row in rows) == [order["id"] for order in orders]
    assert await findings(shop.database) == []


async def test_a_group_that_loses_a_deadlock_is_tried_again_as_a_group(
    shop: Shop, request_now: RefundRequest
) -> None:
    orders = await given_orders(shop, 5)
    lanes = RefundLanes(shop.database)
    with capture_logs() as logs:
        async with obstacle(shop) as other:
            await other.take_lines(orders[-1])
            asked = ask_all(lanes, shop, orders, request_now)
            await other.is_waited_for()
            # The group has the first order and waits for the last, and now the other way round:
            # this returns only because the group has been undone.
            await other.take_order(orders[0])
            assert not any(each.done() for each in asked)
        await asyncio.gather(*asked)
    assert [(log["event"], log["members"], log["error"]) for log in logs] == [
        ("group_repeated", 5, "DeadlockDetectedError")
    ]
    await assert_held_once(shop, orders)


async def test_a_group_that_loses_deadlock_after_deadlock_goes_on_one_by_one(
    shop: Shop, request_now: RefundRequest
) -> None:
    orders = await given_orders(shop, 5)
    lanes = RefundLanes(shop.database)
    with capture_logs() as logs:
        async with obstacle(shop) as other:
            await other.take_lines(orders[-1])
            asked = ask_all(lanes, shop, orders, request_now)
            for order in orders[:3]:
                await other.is_waited_for()
                await other.take_order(order)
        await asyncio.gather(*asked)
    events = ["group_repeated", "group_repeated", "group_split"]
    assert [log["event"] for log in logs] == events
    await assert_held_once(shop, orders)


async def test_a_group_that_cannot_be_serialized_is_tried_again(
    shop: Shop, settings: Settings, request_now: RefundRequest
) -> None:
    """As where the database is set to repeatable reads: what changed meanwhile ends a statement."""
    orders = await given_orders(shop, 3)
    arguments = connect_arguments(settings)
    arguments["server_settings"] = {"default_transaction_isolation": "repeatable read"}
    async with asyncpg.create_pool(**arguments, min_size=1, max_size=4) as pool:
        lanes = RefundLanes(Database(pool))
        with capture_logs() as logs:
            async with obstacle(shop) as other:
                await other.take_lines(orders[1])
                asked = ask_all(lanes, shop, orders, request_now)
                await other.is_waited_for()
            await asyncio.gather(*asked)
    assert [(log["event"], log["error"]) for log in logs] == [
        ("group_repeated", "SerializationError")
    ]
    await assert_held_once(shop, orders)


async def test_groups_of_two_processes_that_hold_the_same_orders_crosswise_do_not_deadlock(
    shop: Shop, processes: list[RefundLanes], request_now: RefundRequest
) -> None:
    orders = await given_orders(shop, 8)
    rounds = 10
    with capture_logs() as logs:
        for _ in range(rounds):
            there = ask_all(processes[0], shop, orders, request_now)
            back = ask_all(processes[1], shop, orders[::-1], request_now)
            await asyncio.gather(*there, *back, return_exceptions=False)
    assert logs == []
    rows = await shop.database.fetch(
        "SELECT order_id, count(*) AS refunds FROM refunds WHERE account_id = $1 GROUP BY order_id",
        shop.tenant.account_id,
    )
    assert {row["order_id"]: row["refunds"] for row in rows} == {
        order["id"]: 2 * rounds for order in orders
    }
    assert await findings(shop.database) == []


async def test_who_gives_up_while_he_waits_is_not_served_and_the_others_are(
    shop: Shop, request_now: RefundRequest
) -> None:
    first, *orders = await given_orders(shop, 5)
    lanes = RefundLanes(shop.database, most_lanes=1)
    async with obstacle(shop) as other:
        await other.take_lines(first)
        ahead = ask_all(lanes, shop, [first], request_now)
        await other.is_waited_for()
        asked = ask_all(lanes, shop, orders, request_now)
        await asyncio.sleep(0.05)
        asked[1].cancel()
        await asyncio.wait(asked[1:2])
    await asyncio.gather(*ahead, asked[0], *asked[2:])
    assert asked[1].cancelled()
    await assert_held_once(shop, [first, orders[0], *orders[2:]])
    assert await figures(shop, orders[1]) == (2701, 0, 0)


async def test_who_gives_up_while_his_group_is_written_does_not_harm_it(
    shop: Shop, request_now: RefundRequest
) -> None:
    """His refund is in the statement already: it is written, as if his line had been cut."""
    orders = await given_orders(shop, 4)
    lanes = RefundLanes(shop.database)
    async with obstacle(shop) as other:
        await other.take_lines(orders[0])
        asked = ask_all(lanes, shop, orders, request_now)
        await other.is_waited_for()
        asked[2].cancel()
        await asyncio.wait(asked[2:3])
    await asyncio.gather(*asked[:2], *asked[3:])
    assert asked[2].cancelled()
    await assert_held_once(shop, orders)


async def test_who_gave_up_is_left_out_when_his_group_is_tried_again(
    shop: Shop, request_now: RefundRequest
) -> None:
    orders = await given_orders(shop, 4)
    lanes = RefundLanes(shop.database)
    async with obstacle(shop) as other:
        await other.take_lines(orders[-1])
        asked = ask_all(lanes, shop, orders, request_now)
        await other.is_waited_for()
        asked[1].cancel()
        await other.take_order(orders[0])
    await asyncio.gather(asked[0], *asked[2:])
    await assert_held_once(shop, [orders[0], *orders[2:]])


async def test_a_cancelled_lane_tells_its_members_and_another_serves_who_waits(
    shop: Shop, request_now: RefundRequest
) -> None:
    orders = await given_orders(shop, 4)
    lanes = RefundLanes(shop.database, most_lanes=1)
    before = asyncio.all_tasks()
    async with obstacle(shop) as other:
        await other.take_lines(orders[0])
        taken = ask_all(lanes, shop, orders[:2], request_now)
        await other.is_waited_for()
        waiting = ask_all(lanes, shop, orders[2:], request_now)
        await asyncio.sleep(0.05)
        (lane,) = asyncio.all_tasks() - before - {*taken, *waiting}
        lane.cancel()
        results = await asyncio.gather(*taken, return_exceptions=True)
        assert all(isinstance(each, Unreachable) for each in results)
        await asyncio.gather(*waiting)
    await assert_held_once(shop, orders[2:])


async def test_a_lane_that_is_cancelled_before_its_first_step_is_replaced(
    shop: Shop, request_now: RefundRequest
) -> None:
    orders = await given_orders(shop, 2)
    lanes = RefundLanes(shop.database, most_lanes=1)
    before = asyncio.all_tasks()
    asked = ask_all(lanes, shop, orders, request_now)
    while not (started := asyncio.all_tasks() - before - set(asked)):
        await asyncio.sleep(0)
    (lane,) = started
    lane.cancel()
    await asyncio.gather(*asked)
    assert lane.cancelled()
    await assert_held_once(shop, orders)
