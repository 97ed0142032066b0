"""Races of returns, disputes and chargebacks: one wins, and the books add up."""

import asyncio
import uuid
from itertools import cycle
from typing import cast

import pytest

from refundry.domain.order import OrderState
from refundry.domain.refund import RefundState
from refundry.domain.refusal import (
    ChargeInDispute,
    DisputeClosed,
    OrderNotSubmitted,
    RefundDuringDispute,
    Refusal,
    ReturnAccepted,
    ReturnDuringDispute,
    ReturnTooLarge,
)
from refundry.errors import Refused, required
from refundry.operations.inbox import Data, Notification
from refundry.operations.notifications import Received, receive
from refundry.operations.work import step, submit_due
from refundry.orders.store import find_order
from refundry.refunds.lanes import RefundLanes
from tests.db.racing import all_of, figures, refusals, states, won
from tests.support.after_sale import (
    accept_return,
    authorise_return,
    lose_dispute,
    open_dispute,
    win_dispute,
)
from tests.support.books import Shop, findings
from tests.support.fixtures import order_body
from tests.support.http import Doc


async def events(shop: Shop, order: Doc) -> list[str]:
    """The types of an order's events, in their sequence."""
    rows = await shop.database.fetch(
        "SELECT type FROM events WHERE account_id = $1 AND order_id = $2 ORDER BY order_sequence",
        shop.tenant.account_id, order["id"],
    )  # fmt: skip
    return [row["type"] for row in rows]


async def state(shop: Shop, order: Doc) -> OrderState:
    return required(await find_order(shop.database, shop.tenant, order["id"])).order.state


async def owed(shop: Shop, order: Doc) -> int:
    return await shop.database.fetchval(
        "SELECT sum(owed_minor)::bigint FROM charge_operations"
        " WHERE account_id = $1 AND order_id = $2",
        shop.tenant.account_id, order["id"],
    )  # fmt: skip


@pytest.mark.parametrize("grouped", [False, True], ids=["one by one", "in groups"])
async def test_no_refund_is_accepted_once_a_dispute_is_open(
    shop: Shop, processes: list[RefundLanes], grouped: bool
) -> None:
    """Callers ask while disputes are opened on their orders, and again after the answer."""
    orders = [await shop.captured(order_body("A")) for _ in range(4)]
    ways = cycle(processes if grouped else [None])

    early = [await shop.ask(order, "0.10", next(ways)) for order in orders]

    async def dispute(order: Doc) -> list[object]:
        await asyncio.sleep(0.01)
        await open_dispute(shop, order)
        return await all_of(shop.ask(order, "0.10", next(ways)) for _ in range(5))

    async def ask(order: Doc, number: int) -> str:
        await asyncio.sleep(0.002 * number)
        return await shop.ask(order, "0.10", next(ways))

    disputes = [asyncio.create_task(dispute(order)) for order in orders]
    asked = await all_of(ask(order, number) for number in range(15) for order in orders)
    for task in disputes:
        assert refusals(await task) == {RefundDuringDispute: 5}
    assert set(refusals(asked)) <= {RefundDuringDispute}
    accepted = [*early, *map(str, won(asked))]
    made = 0
    for order in orders:
        kinds = await events(shop, order)
        assert kinds.count("order.dispute") == 1
        assert "refund.created" not in kinds[kinds.index("order.dispute") :]
        made += kinds.count("refund.created")
    assert made == len(accepted)
    assert await findings(shop.database) == []
    # What was accepted before goes on.
    await shop.settle()
    assert await states(shop, accepted) == {RefundState.SUCCEEDED: made}
    assert {await state(shop, order) for order in orders} == {OrderState.DISPUTE}


async def test_two_acceptances_at_once_make_the_refunds_once(shop: Shop) -> None:
    orders = [await shop.captured(order_body("W")) for _ in range(4)]
    goods = [await authorise_return(shop, order, 2, 3) for order in orders]
    pairs = list(zip(orders, goods, strict=True))
    results = await all_of(accept_return(shop, *pair) for _ in range(4) for pair in pairs)
    assert len(won(results)) == 4
    assert refusals(results) == {ReturnAccepted: 12}
    assert [await figures(shop, order) for order in orders] == [(7022, 7022, 0)] * 4
    await shop.settle()
    assert [await figures(shop, order) for order in orders] == [(7022, 0, 7022)] * 4
    assert {await state(shop, order) for order in orders} == {OrderState.RETURNED}
    for order in orders:
        kinds = await events(shop, order)
        assert kinds.count("return.accepted") == kinds.count("refund.created") == 1
    assert await findings(shop.database) == []


async def test_shipments_that_arrive_at_once_are_counted_one_by_one(shop: Shop) -> None:
    """Seven single units of the five authorised: five are taken, and each is a refund."""
    order = await shop.captured(order_body("W"))
    goods = await authorise_return(shop, order, 2, 3)
    arrivals = [(1, 0)] * 3 + [(0, 1)] * 4
    results = await all_of(accept_return(shop, order, goods, *units) for units in arrivals)
    assert len(won(results)) == 5
    assert set(refusals(results)) <= {ReturnTooLarge, ReturnAccepted}
    await shop.settle()
    # A third of 48.61 is 16.20 each time, so that 0.01 of that line stays.
    assert await figures(shop, order) == (7022, 0, 7021)
    kinds = await events(shop, order)
    assert (kinds.count("return.updated"), kinds.count("refund.complete")) == (4, 5)
    assert await state(shop, order) is OrderState.RETURNED
    assert await findings(shop.database) == []


async def test_the_same_units_are_authorised_once(shop: Shop) -> None:
    order = await shop.captured(order_body("W"))
    results = await all_of(authorise_return(shop, order, 1, 2) for _ in range(10))
    assert len(won(results)) == 1
    assert refusals(results) == {ReturnTooLarge: 9}


async def test_a_dispute_races_with_goods_that_arrive(shop: Shop) -> None:
    """Whichever is first: an acceptance behind the dispute is refused as a whole."""
    orders = [await shop.captured(order_body("W")) for _ in range(10)]
    goods = [await authorise_return(shop, order, 2, 3) for order in orders]
    pairs = list(zip(orders, goods, strict=True))
    disputes = [open_dispute(shop, order) for order in orders[::2]]
    arrivals = [accept_return(shop, *pair) for pair in pairs]
    results = await all_of([*disputes, *arrivals, *(open_dispute(shop, o) for o in orders[1::2])])
    assert set(refusals(results)) <= {ReturnDuringDispute}
    for order in orders:
        kinds = await events(shop, order)
        assert "return.accepted" not in kinds[kinds.index("order.dispute") :]
        accepted = kinds.count("return.accepted") * 7022
        assert await figures(shop, order) == (7022, accepted, 0)
    assert await findings(shop.database) == []


async def test_a_dispute_races_with_what_is_shipped(shop: Shop) -> None:
    orders = [await shop.take_in(order_body("A")) for _ in range(10)]
    jobs = [job for order in orders for job in (open_dispute(shop, order), shop.fulfil(order, 2))]
    results = await all_of(jobs)
    assert set(refusals(results)) <= {OrderNotSubmitted}
    for order in orders:
        kinds = await events(shop, order)
        assert "fulfillment.created" not in kinds[kinds.index("order.dispute") :]


async def test_a_charge_is_disputed_once(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    results = await all_of(open_dispute(shop, order) for _ in range(10))
    assert len(won(results)) == 1
    assert refusals(results) == {ChargeInDispute: 9}
    assert (await events(shop, order)).count("order.dispute") == 1


async def refused(job: object) -> Refusal | None:
    """Why it was refused, if it was."""
    assert asyncio.iscoroutine(job)
    try:
        await job
    except Refused as caught:
        return caught.refusal
    return None


async def test_a_dispute_ends_once(shop: Shop) -> None:
    """Lost and won at once, by several: one is heard, the others are told that it is closed."""
    orders = [await shop.captured(order_body("A")) for _ in range(6)]
    for order in orders:
        dispute = await open_dispute(shop, order)
        jobs = [lose_dispute(shop, dispute, "10.00"), win_dispute(shop, dispute)]
        jobs += [lose_dispute(shop, dispute, "27.01")]
        told = await asyncio.gather(*map(refused, jobs))
        assert sorted(map(str, told)) == [str(DisputeClosed(dispute["id"]))] * 2 + ["None"]
        captured, _, taken = await figures(shop, order)
        assert (captured, taken) in {(2701, 1000), (2701, 0), (2701, 2701)}
        kinds = await events(shop, order)
        assert kinds.count("order.dispute.resolved") == 1
        assert kinds.count("order.chargeback") == (1 if taken else 0)
        assert await state(shop, order) is OrderState.COMPLETE
    assert await findings(shop.database) == []


async def test_two_chargebacks_of_one_order_at_once_leave_it_once(shop: Shop) -> None:
    """A card and credit, both disputed and both lost at the same moment."""
    orders = [await shop.captured(order_body("G")) for _ in range(6)]
    for order in orders:
        charges = [charge["id"] for charge in order["payment"]["charges"]]
        opened = await all_of(open_dispute(shop, order, charge_id=each) for each in charges)
        assert len(won(opened)) == 2
        disputes = [cast("Doc", each) for each in opened]
        ended = await all_of(lose_dispute(shop, each) for each in disputes)
        assert len(won(ended)) == 2
        assert await figures(shop, order) == (2689, 0, 2689)
        kinds = await events(shop, order)
        ends = ("order.dispute", "order.chargeback", "order.dispute.resolved")
        assert [kinds.count(each) for each in ends] == [1, 2, 1]
        assert kinds[-1] == "order.dispute.resolved"
    assert await findings(shop.database) == []


async def test_a_chargeback_races_with_refunds_on_their_way(shop: Shop) -> None:
    """The bank takes all of it while workers send and settle ten refunds of 2.70 each."""
    orders = [await shop.captured(order_body("A")) for _ in range(4)]
    asked = {order["id"]: [await shop.ask(order, "2.70") for _ in range(10)] for order in orders}
    disputes = [await open_dispute(shop, order) for order in orders]
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            await step(shop.worker, shop.tenant.account_id)
            await asyncio.sleep(0)

    workers = [asyncio.create_task(work()) for _ in range(2)]
    results = await all_of(lose_dispute(shop, dispute) for dispute in disputes)
    done.set()
    await asyncio.gather(*workers)
    assert len(won(results)) == 4
    assert await findings(shop.database) == []
    await shop.settle()
    for order in orders:
        ended = await states(shop, asked[order["id"]])
        assert set(ended) <= {RefundState.SUCCEEDED, RefundState.FAILED}
        stored = required(await find_order(shop.database, shop.tenant, order["id"])).order
        assert stored.available_to_refund == 0
        assert stored.refunded == 2701 + await owed(shop, order)
        captured, held, _ = await figures(shop, order)
        assert (captured, held) == (2701, 0)
    assert await findings(shop.database) == []


async def test_a_chargeback_races_with_the_sending_of_a_refund(shop: Shop) -> None:
    """Sent or not, it is decided once: a refund without room is never at the processor."""
    orders = [await shop.captured(order_body("A")) for _ in range(6)]
    asked = [await shop.ask(order, "20.00") for order in orders]
    disputes = [await open_dispute(shop, order) for order in orders]
    sending = [submit_due(shop.worker, shop.tenant.account_id) for _ in range(3)]
    results = await all_of([*sending, *(lose_dispute(shop, each) for each in disputes)])
    assert refusals(results) == {}
    await shop.settle()
    assert await findings(shop.database) == []
    for order, refund_id in zip(orders, asked, strict=True):
        refund = (await shop.find(refund_id)).refund
        stored = required(await find_order(shop.database, shop.tenant, order["id"])).order
        assert stored.refunded == 2701 + refund.refunded
        assert stored.over_refunded is (refund.state is RefundState.SUCCEEDED)
        assert stored.available_to_refund == 0


async def tell(shop: Shop, notification: Notification) -> bool:
    """A notification of the sandbox's processor; whether it was new."""
    received = Received("sandbox", False, notification, "{}")
    return await receive(shop.worker.books, received, await shop.now())


async def test_a_notification_repeated_at_once_is_booked_once(shop: Shop) -> None:
    order = await shop.captured(order_body("A"))
    charge = order["payment"]["charges"][0]["id"]
    reference = f"dsp_{uuid.uuid4()}"
    opened = Notification(
        str(uuid.uuid4()), "dispute.opened",
        Data(charge_id=charge, processor_reference=reference, amount="27.01"),
    )  # fmt: skip
    lost = Notification(
        str(uuid.uuid4()), "dispute.lost",
        Data(processor_reference=reference, amount="10.00", fraud=True),
    )  # fmt: skip
    for notification in (opened, lost):
        heard = await all_of(tell(shop, notification) for _ in range(10))
        assert heard.count(True) == 1
    kinds = await events(shop, order)
    ends = ("order.dispute", "sales_transaction.created", "order.chargeback")
    assert [kinds.count(each) for each in ends] == [1, 1, 1]
    assert await figures(shop, order) == (2701, 0, 1000)
    assert await findings(shop.database) == []


async def test_one_dispute_told_under_many_ids_at_once_is_one(shop: Shop) -> None:
    """A processor that repeats itself with a new id each time."""
    order = await shop.captured(order_body("A"))
    charge = order["payment"]["charges"][0]["id"]
    reference = f"dsp_{uuid.uuid4()}"
    told = Data(charge_id=charge, processor_reference=reference, amount="27.01")
    notes = [Notification(str(uuid.uuid4()), "dispute.opened", told) for _ in range(8)]
    assert await all_of(tell(shop, each) for each in notes) == [True] * 8
    assert (await events(shop, order)).count("order.dispute") == 1
    ended = Data(processor_reference=reference, amount="27.01", fraud=False)
    notes = [Notification(str(uuid.uuid4()), "dispute.lost", ended) for _ in range(8)]
    assert await all_of(tell(shop, each) for each in notes) == [True] * 8
    assert (await events(shop, order)).count("order.chargeback") == 1
    assert await figures(shop, order) == (2701, 0, 2701)
    rows = await shop.database.fetch(
        "SELECT state, count(*) AS times FROM processor_notifications"
        " WHERE id = ANY ($1::text[]) GROUP BY state",
        [each.id for each in notes],
    )
    assert {row["state"]: row["times"] for row in rows} == {"applied": 1, "ignored": 7}
    assert await findings(shop.database) == []
