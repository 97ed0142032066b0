"""A processor that keeps one order waiting keeps no other order waiting."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from aiohttp import web

from refundry.db.database import Database
from refundry.operations.work import Calls, Stalled, Worker, step, submit_due
from refundry.settings import Settings
from refundry.worker import open_worker
from tests.support.books import Shop, open_shop
from tests.support.fixtures import order_body


class Late:
    """A processor that answers everything at once, but for what it is told to hold back."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.held: set[str] = set()
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked.append(asked["amount"])
        if str(asked["amount"]) in self.held:
            await self.free.wait()
        return web.json_response({"state": "complete"})


@asynccontextmanager
async def worker_of(database: Database, settings: Settings, late: Late) -> AsyncGenerator[Worker]:
    application = web.Application()
    application.router.add_post("/", late.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    own = msgspec.structs.replace(
        settings,
        test_processor="http",
        test_processor_url=f"http://127.0.0.1:{port}/",
        test_processor_secret="s",
    )
    try:
        async with open_worker(own, database) as worker:
            yield worker
    finally:
        await runner.cleanup()


async def states(shop: Shop, *refunds: str) -> list[str]:
    return [(await shop.find(refund)).refund.state.value for refund in refunds]


async def test_a_slow_call_keeps_only_its_own_order_waiting(
    database: Database, settings: Settings
) -> None:
    late = Late()
    async with worker_of(database, settings, late) as worker:
        shop = await open_shop(worker)
        slow, quick = [await shop.captured(order_body("A")) for _ in range(2)]
        late.held.add("5.0")
        ended = asyncio.Event()
        calls = Calls(ended.set)
        room = calls.room
        first = await shop.ask(slow, "5.00")
        while not await step(worker, shop.tenant.account_id, calls) or len(late.asked) < 3:
            await asyncio.sleep(0.01)  # two captures, then the call that is held back
        assert calls.orders == [slow["id"]]
        behind, other = await shop.ask(slow, "1.00"), await shop.ask(quick, "2.00")
        while (await states(shop, other)) == ["pending"]:
            await step(worker, shop.tenant.account_id, calls)
            await asyncio.sleep(0.01)
        assert await states(shop, first, behind, other) == ["pending", "pending", "succeeded"]
        late.free.set()
        await calls.finish()
        while await step(worker, shop.tenant.account_id, calls):
            await calls.finish()
        assert await states(shop, first, behind, other) == ["succeeded"] * 3
        assert (calls.room, calls.orders) == (room, [])
        assert ended.is_set()


async def test_a_drain_does_not_wait_for_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = await shop.captured(order_body("A"))
    await shop.ask(order, "1.00")
    await submit_due(shop.worker, shop.tenant.account_id)
    # Held by a worker that is gone, for longer than any lease lasts.
    await shop.database.execute(
        "UPDATE charge_operations SET leased_until = now() + interval '1 day'"
        " WHERE order_id = $1 AND due_at IS NOT NULL",
        order["id"],
    )

    def soon(_settings: Settings) -> timedelta:
        return timedelta(seconds=0.3)

    monkeypatch.setattr("refundry.operations.work.stalled_after", soon)
    with pytest.raises(Stalled):
        await shop.settle()
    await shop.database.execute(
        "UPDATE charge_operations SET leased_until = NULL WHERE order_id = $1", order["id"]
    )
    await shop.settle()
    assert (await shop.order(order)).refunded == 100
