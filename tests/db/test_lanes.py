"""Grouped refunds: everybody gets the answer that they would have had alone."""

import asyncio
import json
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from refundry.db.database import NothingDone
from refundry.domain.refund import RefundAsk, RefundType
from refundry.domain.refusal import AmountUnavailable, OrderUnknown
from refundry.errors import Refused
from refundry.orders.store import find_order
from refundry.refunds.commands import RefundRequest, create_refund, planned
from refundry.refunds.lanes import RefundLanes
from refundry.refunds.store import find_refundable, insert_refunds
from tests.support.books import Shop, findings
from tests.support.fixtures import order_body
from tests.support.http import Doc

WATCHDOG_SECONDS = 60


async def request(shop: Shop, order_id: str, **fields: Any) -> RefundRequest:
    ask = RefundAsk(order_id, None, "USD", **fields)
    return RefundRequest(ask, await shop.now(), timedelta(), None)


async def outcome(work: "asyncio.Future[bytes] | asyncio.Task[bytes]") -> str:
    """An answer without what differs from one refund to the next, or the name of a refusal."""
    try:
        made = json.loads(await work)
    except Refused as refused:
        return type(refused.refusal).__name__
    return f"{made.get('amount')} {made.get('type')} {made['state']}"


async def events_of(shop: Shop, order: Doc) -> list[tuple[int, str]]:
    rows = await shop.database.fetch(
        "SELECT order_sequence, type FROM events WHERE account_id = $1 AND order_id = $2"
        " ORDER BY created_at, seq",
        shop.tenant.account_id, order["id"],
    )  # fmt: skip
    return [(row["order_sequence"], row["type"]) for row in rows]


async def test_a_lone_request_is_served_at_once(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    lanes = RefundLanes(shop.database)
    made = json.loads(
        await lanes.create(shop.tenant, await request(shop, order["id"], percent=Decimal(50)))
    )
    assert made["amount"] == 13.51


async def test_a_burst_for_one_order_takes_what_is_there_and_no_more(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    lanes = RefundLanes(shop.database)
    ask = await request(shop, order["id"], amount=Decimal("5.00"))
    answers = await asyncio.gather(
        *(outcome(asyncio.create_task(lanes.create(shop.tenant, ask))) for _ in range(50))
    )
    assert sorted(set(answers)) == ["5.0 None pending", "AmountUnavailable"]
    assert answers.count("5.0 None pending") == 5
    sequences = [sequence for sequence, _ in await events_of(shop, order)]
    assert sequences == list(range(1, len(sequences) + 1))
    await shop.settle()
    assert await findings(shop.database) == []


async def test_groups_answer_as_single_requests_do(shop: Shop) -> None:
    """The same requests, one behind the other, through the lanes and without them."""
    draw = random.Random(7)
    kinds: list[dict[str, Any]] = [
        {"amount": Decimal(draw.randint(1, 900)) / 100} for _ in range(25)
    ]
    kinds += [{"percent": Decimal(draw.randint(1, 40))} for _ in range(15)]
    kinds += [{"percent": Decimal(100), "type": kind} for kind in RefundType]
    kinds += [{"percent": Decimal(50), "type": RefundType.TAX}, {"percent": Decimal("0.01")}]
    draw.shuffle(kinds)
    alone, grouped = [await shop.captured(order_body("E")) for _ in range(2)]
    expected = [
        await outcome(
            asyncio.ensure_future(
                create_refund(shop.database, shop.tenant, await request(shop, alone["id"], **kind))
            )
        )
        for kind in kinds
    ]
    # With one group at a time the first request goes alone, and the rest waits and goes as one.
    lanes = RefundLanes(shop.database, most_lanes=1)
    asks = [await request(shop, grouped["id"], **kind) for kind in kinds]
    work = [asyncio.create_task(lanes.create(shop.tenant, ask)) for ask in asks]
    assert [await outcome(each) for each in work] == expected
    first, second = [
        await find_order(shop.database, shop.tenant, order["id"]) for order in (alone, grouped)
    ]
    assert first is not None
    assert second is not None
    assert first.order.version == second.order.version
    held = [[line.held for line in stored.order.lines] for stored in (first, second)]
    assert held[0] == held[1]
    assert await events_of(shop, alone) == await events_of(shop, grouped)
    assert await findings(shop.database) == []


async def test_a_bad_member_does_not_fail_its_group(shop: Shop) -> None:
    orders = [await shop.captured(order_body("A")) for _ in range(6)]
    lanes = RefundLanes(shop.database)
    # PostgreSQL refuses a NUL in a text: the whole statement of the group fails with it.
    reasons = [None, None, "bad\x00", None, None, None]
    work = [
        asyncio.create_task(
            lanes.create(
                shop.tenant,
                await request(shop, order["id"], amount=Decimal("1.00"), reason=reason),
            )
        )
        for order, reason in zip(orders, reasons, strict=True)
    ]
    results = await asyncio.gather(*work, return_exceptions=True)
    assert isinstance(results[2], asyncpg.PostgresError)
    good = [result for index, result in enumerate(results) if index != 2]
    assert all(isinstance(result, bytes) for result in good)
    count = await shop.database.fetchval(
        "SELECT count(*) FROM refunds WHERE account_id = $1", shop.tenant.account_id
    )
    assert count == 5


async def test_refused_members_hear_why(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    lanes = RefundLanes(shop.database)
    asks = [
        await request(shop, order["id"], amount=Decimal("27.02")),
        await request(shop, "none-such", amount=Decimal("1.00")),
    ]
    results = await asyncio.gather(
        *(lanes.create(shop.tenant, ask) for ask in asks), return_exceptions=True
    )
    refusals = [r.refusal if isinstance(r, Refused) else r for r in results]
    assert refusals == [AmountUnavailable(), OrderUnknown("none-such")]


@pytest.mark.parametrize("burst", [1, 3, 40])
async def test_nobody_waits_for_ever(shop: Shop, burst: int) -> None:
    orders = [await shop.captured(order_body("A")) for _ in range(3)]
    lanes = RefundLanes(shop.database)
    async with asyncio.timeout(WATCHDOG_SECONDS):
        for _ in range(60 // burst + 1):
            asks = [
                await request(shop, orders[n % 3]["id"], amount=Decimal("0.01"))
                for n in range(burst)
            ]
            made = await asyncio.gather(*(lanes.create(shop.tenant, ask) for ask in asks))
            assert len(made) == burst
    assert await findings(shop.database) == []


async def test_a_refusal_caused_by_a_member_that_was_not_written_is_not_given(shop: Shop) -> None:
    """27.01 are there. 20.00 and 10.00 go as one group, so that the second seems too much; but
    15.00 are being taken by somebody else, and so it is the first that is."""
    order, other = [await shop.captured(order_body("A")) for _ in range(2)]
    lanes = RefundLanes(shop.database, most_lanes=1)
    rival = await request(shop, order["id"], amount=Decimal("15.00"))
    async with shop.database.transaction() as tx:
        seen = await find_refundable(tx, shop.tenant, order["id"])
        assert await insert_refunds(tx, [planned(shop.tenant, seen, rival)])
        asks = [
            await request(shop, other["id"], amount=Decimal("1.00")),  # goes alone
            await request(shop, order["id"], amount=Decimal("20.00")),
            await request(shop, order["id"], amount=Decimal("10.00")),
        ]
        work = [asyncio.create_task(lanes.create(shop.tenant, ask)) for ask in asks]
        await asyncio.wait(work, timeout=0.3)
    answers = [await outcome(each) for each in work]
    assert answers == ["1.0 None pending", "AmountUnavailable", "10.0 None pending"]
    await shop.settle()
    assert await findings(shop.database) == []


async def test_who_waits_behind_a_stuck_group_is_refused_and_has_no_effect(shop: Shop) -> None:
    order, other = [await shop.captured(order_body("A")) for _ in range(2)]
    lanes = RefundLanes(shop.database, most_lanes=1, queue_seconds=0.05)
    async with shop.database.transaction() as tx:
        await tx.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order["id"])
        stuck = asyncio.create_task(shop.ask(order, "0.01", lanes))
        await asyncio.sleep(0.02)
        with pytest.raises(NothingDone):
            await shop.ask(other, "0.01", lanes)
        assert not stuck.done()
    made = await stuck
    rows = await shop.database.fetch(
        "SELECT id FROM refunds WHERE account_id = $1", shop.tenant.account_id
    )
    assert [row["id"] for row in rows] == [made]
    assert await shop.ask(other, "0.01", lanes)
