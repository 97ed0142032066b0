"""What has ended stays as it is, whatever the code above asks to be written."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from refundry.db.database import Database, Tx
from refundry.disputes.store import close_dispute, find_dispute, name_dispute
from refundry.domain.dispute import Dispute, DisputeState
from refundry.domain.order import Order
from refundry.domain.returns import Return, ReturnState
from refundry.errors import required
from refundry.operations.work import Worker
from refundry.orders.saving import Saving, save_orders
from refundry.orders.store import find_order
from refundry.returns.store import find_return, save_return
from tests.db.statements import undone
from tests.support.after_sale import (
    accept_return,
    authorise_return,
    lose_dispute,
    open_dispute,
    win_dispute,
)
from tests.support.books import Shop, open_shop
from tests.support.fixtures import order_body
from tests.support.http import Doc


@pytest.fixture(scope="module")
async def shop(worker: Worker) -> Shop:
    return await open_shop(worker)


async def accepted_return(shop: Shop, order: Doc) -> Return:
    goods = await accept_return(shop, order, await authorise_return(shop, order, 1, 0))
    return required(await find_return(shop.database, shop.tenant, goods["id"]))


CHANGES: list[tuple[Callable[[Return], Return], bool]] = [
    (lambda goods: replace(goods, state=ReturnState.CREATED), False),
    (lambda goods: replace(goods, acceptances=(*goods.acceptances, {0: 1})), False),
    (lambda goods: replace(goods, metadata='{"a":1}', location='{"name":"Desk"}'), True),
]


@pytest.mark.parametrize(("change", "allowed"), CHANGES, ids=["reopen", "more units", "metadata"])
async def test_an_accepted_return_changes_in_what_is_kept_with_it_only(
    database: Database, shop: Shop, change: Callable[[Return], Return], allowed: bool
) -> None:
    goods = await accepted_return(shop, await shop.captured(order_body("W")))
    async with undone(database) as tx:
        if allowed:
            await save_return(tx, shop.tenant, change(goods))
            assert await find_return(tx, shop.tenant, goods.id) == change(goods)
            return
        with pytest.raises(AssertionError, match=f"{goods.id} is accepted already"):
            await save_return(tx, shop.tenant, change(goods))


@pytest.mark.parametrize("won", [False, True], ids=["lost", "won"])
async def test_a_closed_dispute_stays_closed(database: Database, shop: Shop, won: bool) -> None:
    opened = await open_dispute(shop, await shop.captured(order_body("A")))
    await (win_dispute(shop, opened) if won else lose_dispute(shop, opened, "1.00"))
    dispute = await stored(shop, opened)
    other = DisputeState.LOST if won else DisputeState.WON
    for after in (dispute, replace(dispute, state=other), replace(dispute, chargeback=2)):
        async with undone(database) as tx:
            with pytest.raises(AssertionError, match=f"{dispute.id} is closed already"):
                await close_dispute(tx, shop.tenant, after)


async def stored(shop: Shop, dispute: Doc) -> Dispute:
    return required(await find_dispute(shop.database, shop.tenant, dispute["id"]))


async def test_a_dispute_keeps_the_name_that_its_processor_gave_it(
    database: Database, shop: Shop
) -> None:
    opened = await open_dispute(shop, await shop.captured(order_body("A")))
    dispute = await stored(shop, opened)
    async with undone(database) as tx:
        for reference in ("dsp_first", "dsp_second"):
            await name_dispute(tx, shop.tenant, dispute, reference)
        named = required(await find_dispute(tx, shop.tenant, dispute.id))
        assert named.processor_reference == "dsp_first"


async def owing_order(shop: Shop) -> Order:
    """An order whose chargeback found 7.01 and is owed 20.00."""
    made = await shop.captured(order_body("A"))
    await shop.ask(made, "20.00")
    await lose_dispute(shop, await open_dispute(shop, made), "27.01")
    order = required(await find_order(shop.database, shop.tenant, made["id"])).order
    assert [each.owed for each in order.chargebacks] == [2000]
    return order


async def save_owed(tx: Tx, shop: Shop, order: Order, owed: int) -> None:
    """Write another figure of what the order's chargeback is owed, its shares as they are."""
    (chargeback,) = order.chargebacks
    charge = order.charge(chargeback.charge_id).with_operation(replace(chargeback, owed=owed))
    await save_orders(tx, [Saving(shop.tenant, order, order.with_charge(charge))])


async def test_what_is_owed_never_grows(database: Database, shop: Shop) -> None:
    order = await owing_order(shop)
    (chargeback,) = order.chargebacks
    async with undone(database) as tx:
        with pytest.raises(AssertionError, match=f"{chargeback.id}.* is owed nothing"):
            await save_owed(tx, shop, order, 2001)
