"""Races on the real database: whoever wins, no cent is given twice and the books add up."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from typing import cast

import httpx
import msgspec
import pytest

from refundry.db.database import open_database
from refundry.domain.charge import OperationState
from refundry.domain.refund import RefundState
from refundry.domain.refusal import AmountUnavailable, FulfillmentTooLarge, OrderFulfilled
from refundry.errors import Refused
from refundry.operations.work import Worker, drain, operate_due, step, submit_due
from refundry.refunds.lanes import RefundLanes
from refundry.settings import Settings
from refundry.worker import open_worker
from tests.db.racing import all_of, figures, refusals, states, won
from tests.support.books import Shop, findings, open_shop
from tests.support.fixtures import card, given_captured, order_body, paid_by
from tests.support.http import Doc, expect, read
from tests.support.service import Processor, Service


@pytest.mark.parametrize("grouped", [False, True], ids=["one by one", "in groups"])
async def test_one_of_a_hundred_gets_the_last_cent(
    shop: Shop, processes: list[RefundLanes], grouped: bool
) -> None:
    order = await shop.captured(order_body("A"))
    await shop.ask(order, "27.00")
    ways = cycle(processes if grouped else [None])
    results = await all_of(shop.ask(order, "0.01", next(ways)) for _ in range(100))
    assert len(won(results)) == 1
    assert refusals(results) == {AmountUnavailable: 99}
    assert await figures(shop, order) == (2701, 2701, 0)
    await shop.settle()
    assert await figures(shop, order) == (2701, 0, 2701)
    assert await findings(shop.database) == []


@pytest.mark.parametrize("grouped", [False, True], ids=["one by one", "in groups"])
async def test_callers_at_once_get_what_fits_and_not_a_cent_more(
    shop: Shop, processes: list[RefundLanes], grouped: bool
) -> None:
    """R-90 with other numbers: 1.37 fits nineteen times into 27.01, and 0.98 is left."""
    order = await shop.captured(order_body("A"))
    ways = cycle(processes if grouped else [None])
    results = await all_of(shop.ask(order, "1.37", next(ways)) for _ in range(40))
    assert len(won(results)) == 19
    assert refusals(results) == {AmountUnavailable: 21}
    assert await figures(shop, order) == (2701, 1903 + 700, 0)
    assert await findings(shop.database) == []


async def test_groups_of_several_processes_and_workers_share_the_orders(
    shop: Shop, processes: list[RefundLanes]
) -> None:
    """Groups that hold the same orders in different sequences, while workers settle them."""
    orders = [await shop.captured(order_body("A")) for _ in range(6)]
    chance = random.Random(7)
    asks = [(order, lanes) for order in orders for lanes in processes for _ in range(12)]
    chance.shuffle(asks)
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            await step(shop.worker, shop.tenant.account_id)
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work()) for _ in range(2)]
    results = await all_of(shop.ask(order, "0.25", lanes) for order, lanes in asks)
    done.set()
    await asyncio.gather(*workers)
    assert len(won(results)) == 216
    await shop.settle()
    assert [await figures(shop, order) for order in orders] == [(2701, 0, 900)] * 6
    assert await findings(shop.database) == []


async def test_refunds_of_many_orders_do_not_hinder_each_other(shop: Shop) -> None:
    orders = [await shop.captured(order_body("A")) for _ in range(8)]
    results = await all_of(shop.ask(order, "0.50") for _ in range(10) for order in orders)
    assert len(won(results)) == 80
    assert [await figures(shop, order) for order in orders] == [(2701, 500, 0)] * 8
    await shop.settle()
    assert [await figures(shop, order) for order in orders] == [(2701, 0, 500)] * 8
    assert await findings(shop.database) == []


async def test_the_same_units_are_fulfilled_once(shop: Shop) -> None:
    order = await shop.take_in(order_body("A"))
    results = await all_of(shop.fulfil(order, 2) for _ in range(20))
    assert len(won(results)) == 1
    assert refusals(results) == {OrderFulfilled: 19}
    await shop.settle()
    assert await figures(shop, order) == (2701, 0, 0)


async def test_units_are_fulfilled_by_whom_they_are_enough_for(shop: Shop) -> None:
    """Five of the seven units go to five of twenty callers, two more to one of two pairs."""
    order = await shop.take_in(order_body("A", **seven_units()))
    results = await all_of(
        [*(shop.fulfil(order, 1) for _ in range(20)), *(shop.fulfil(order, 2) for _ in range(2))]
    )
    units = sum(item["quantity"] for each in won(results) for item in fulfilled(each))
    assert units == 7
    assert set(refusals(results)) <= {OrderFulfilled, FulfillmentTooLarge}
    await shop.settle()
    assert (await figures(shop, order))[0] == 2701
    assert await findings(shop.database) == []


def seven_units() -> Doc:
    """Fields for an order of seven units for 27.01."""
    line = {"skuId": "sku-tee", "amount": 25.00, "quantity": 7, "tax": {"amount": 2.01}}
    return {"items": [line], "shippingChoice": None, "payment": paid_by(card(27.01))}


def fulfilled(fulfillment: object) -> list[Doc]:
    assert isinstance(fulfillment, dict)
    return cast("Doc", fulfillment)["items"]


async def test_refunds_race_with_the_settlement_of_others(shop: Shop) -> None:
    """Four workers settle what sixty callers ask for, on three orders, while they still ask."""
    orders = [await shop.captured(order_body("A")) for _ in range(3)]
    asking = [shop.ask(order, "0.37") for _ in range(20) for order in orders]
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            await step(shop.worker, shop.tenant.account_id)
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    results = await all_of(asking)
    done.set()
    await asyncio.gather(*workers)
    assert len(won(results)) == 60
    assert await findings(shop.database) == []
    await shop.settle()
    assert await states(shop, map(str, won(results))) == {RefundState.SUCCEEDED: 60}
    assert [await figures(shop, order) for order in orders] == [(2701, 0, 740)] * 3
    assert await findings(shop.database) == []


async def test_refunds_race_with_late_failures(shop: Shop) -> None:
    """What the bank sends back may be asked for again at once, and only once."""
    order = await shop.captured(order_body("A"))
    paid = [await shop.ask(order, "2.70") for _ in range(10)]
    await shop.settle()
    assert await figures(shop, order) == (2701, 0, 2700)
    records = [(await shop.find(each)).parts[0].part.operation_id for each in paid[:5]]

    async def ask_until(deadline: float) -> object:
        while True:
            try:
                return await shop.ask(order, "2.70")
            except Refused:
                if asyncio.get_running_loop().time() > deadline:
                    raise

    soon = asyncio.get_running_loop().time() + 1
    notices = [shop.notify("refund.failed", record) for record in records for _ in range(2)]
    results = await all_of([*(ask_until(soon) for _ in range(7)), *notices])
    assert len(won(results[:7])) == 5
    assert refusals(results[:7]) == {AmountUnavailable: 2}
    assert await states(shop, paid) == {RefundState.FAILED: 5, RefundState.SUCCEEDED: 5}
    assert await figures(shop, order) == (2701, 1350, 1350)
    assert await findings(shop.database) == []
    await shop.settle()
    assert await figures(shop, order) == (2701, 0, 2700)
    assert await findings(shop.database) == []


async def test_contradicting_notices_are_booked_as_one_of_them(shop: Shop) -> None:
    """A record is told complete and failed at once; a failure after the success is a late one."""
    order = await shop.captured(order_body("A"))
    asked = [await shop.ask(order, "2.70") for _ in range(10)]
    await step_submission(shop)
    records = {each: (await shop.find(each)).parts[0].part.operation_id for each in asked}
    await all_of(
        shop.notify(f"refund.{word}", record)
        for record in records.values()
        for word in ("complete", "failed", "complete", "failed")
    )
    assert await states(shop, asked) == {RefundState.FAILED: 10}
    assert await figures(shop, order) == (2701, 0, 0)
    assert await findings(shop.database) == []


async def step_submission(shop: Shop) -> None:
    """Make the charge-level records, and ask no processor yet."""
    while await submit_due(shop.worker, shop.tenant.account_id):
        pass


async def test_an_expiry_races_with_a_late_notice(shop: Shop) -> None:
    """Bank details never came, and at the deadline the processor says that it paid."""
    orders = [await shop.captured(order_body("Q")) for _ in range(12)]
    asked = [await shop.ask(order, "5.00") for order in orders]
    await shop.settle()
    assert await states(shop, asked) == {RefundState.PENDING_INFORMATION: 12}
    records = [(await shop.find(each)).parts[0].part.operation_id for each in asked]
    await shop.advance(timedelta(days=30, seconds=1))
    notices = [shop.notify("refund.complete", record) for record in records]
    await all_of([*notices[:4], shop.settle(), *notices[4:], shop.settle()])
    ended = await states(shop, asked)
    assert set(ended) <= {RefundState.EXPIRED, RefundState.SUCCEEDED}
    assert ended.total() == 12
    for order, refund_id in zip(orders, asked, strict=True):
        stored = await shop.find(refund_id)
        paid = stored.refund.state is RefundState.SUCCEEDED
        record = OperationState.COMPLETE if paid else OperationState.FAILED
        assert [part.state for part in stored.parts] == [record]
        assert await figures(shop, order) == (2975, 0, 500 if paid else 0)
        assert stored.sealed_token is None
    assert await findings(shop.database) == []


@pytest.fixture
def processor() -> Iterator[Processor]:
    with Processor() as processor:
        yield processor


@pytest.fixture
async def rivals(settings: Settings, processor: Processor) -> AsyncIterator[list[Worker]]:
    """Three workers with connections of their own and a processor that keeps its own books."""
    own = msgspec.structs.replace(
        settings, test_processor="http", test_processor_url=processor.url,
        test_processor_secret=processor.secret, processor_timeout=6.0, pool_size=6,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        workers: list[Worker] = []
        for _ in range(3):
            database = await stack.enter_async_context(open_database(own))
            workers.append(await stack.enter_async_context(open_worker(own, database)))
        yield workers


async def test_two_drains_and_a_worker_pay_each_operation_once(
    rivals: list[Worker], processor: Processor
) -> None:
    shop = await open_shop(rivals[0])
    orders = [await shop.captured(order_body("A")) for _ in range(6)]
    asked = [await shop.ask(order, "0.25") for _ in range(10) for order in orders]
    running = asyncio.Event()

    async def work(worker: Worker) -> None:
        while not running.is_set():
            await step(worker)
            await asyncio.sleep(0)

    working = asyncio.create_task(work(rivals[2]))
    await asyncio.gather(drain(rivals[0], None), drain(rivals[1], None))
    running.set()
    await working
    assert await states(shop, asked) == {RefundState.SUCCEEDED: 60}
    ledger = processor.ledger()
    assert {entry["times"] for entry in ledger.values()} == {1}
    records = [part.part.operation_id for each in asked for part in (await shop.find(each)).parts]
    assert len(set(records)) == 60
    assert sum(Decimal(str(ledger[record]["amount"])) for record in records) == Decimal("15.00")
    assert await findings(shop.database) == []


async def test_a_processor_that_is_asked_by_two_at_once_pays_once(
    rivals: list[Worker], processor: Processor
) -> None:
    """A lease that runs out while its holder still waits: another one asks, under the same key."""
    shop = await open_shop(rivals[0])
    order = await shop.captured(order_body("A"))
    asked = [await shop.ask(order, "0.25") for _ in range(10)]
    await step_submission(shop)
    processor.answer("hang_after", "refund")  # it pays, and never says so
    calls = processor.calls()
    asking: list[asyncio.Task[int]] = []
    for count, worker in enumerate(rivals, 1):
        await shop.database.execute(
            "UPDATE charge_operations SET leased_until = NULL WHERE order_id = $1", order["id"]
        )
        asking.append(asyncio.create_task(operate_due(worker, shop.tenant.account_id)))
        async with asyncio.timeout(5):
            while processor.calls() < calls + 10 * count:
                await asyncio.sleep(0.01)
    assert await asyncio.gather(*asking) == [10, 10, 10]
    assert await states(shop, asked) == {RefundState.PENDING: 10}
    processor.answer("complete", "refund")
    await shop.advance(timedelta(hours=1))
    await asyncio.gather(*(drain(worker, None) for worker in rivals))
    # The drains have done what other tests left, too.
    own = {charge["id"] for charge in order["payment"]["charges"]}
    paid = [entry for entry in processor.paid("refund") if entry["chargeId"] in own]
    assert [entry["times"] for entry in paid] == [1] * 10
    assert await states(shop, asked) == {RefundState.SUCCEEDED: 10}
    assert await findings(shop.database) == []


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


def test_one_idempotency_key_fifty_times_at_once_is_one_refund(service: Service) -> None:
    api = service.api(service.open_account().secret_test)
    order = given_captured(api, "A")
    body = {"orderId": order["id"], "currency": "USD", "amount": 1.00}
    headers = {"Authorization": f"Bearer {api.key}", "Idempotency-Key": str(uuid.uuid4())}

    async def post_all() -> list[httpx.Response]:
        url = f"http://127.0.0.1:{service.port}/refunds"
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            posts = [client.post(url, json=body, headers=headers) for _ in range(50)]
            return await asyncio.gather(*posts)

    responses = asyncio.run(post_all())
    created = [response for response in responses if response.status_code == 201]
    busy = [response for response in responses if response.status_code == 409]
    assert len(created) + len(busy) == 50
    assert len({response.content for response in created}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in created) == 1
    codes = {read(response)["errors"][0]["code"] for response in busy}
    assert codes <= {"idempotency_key_in_use"}
    (refund,) = expect(api.get("/refunds"))["data"]
    assert refund == read(created[0])
    replayed = api.post("/refunds", body, {"Idempotency-Key": headers["Idempotency-Key"]})
    assert (replayed.content, replayed.headers["Idempotent-Replayed"]) == (
        created[0].content,
        "true",
    )
