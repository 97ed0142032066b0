"""Pays a failed refund in another way: to a bank account, as store credit, or by hand.

The first payout stays failed for good; the refund made here stands in its place.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from refundry.access.audit_log import Actor, Change, audit
from refundry.db.database import Tx
from refundry.domain import settlement
from refundry.domain.another_way import WAYS_AT_ONCE, Chain, plan_replacement
from refundry.domain.event import Change as OrderChange
from refundry.domain.refund import Refund, Way
from refundry.errors import NotFound, Refused, required
from refundry.http.document import to_json_text
from refundry.ids import new_ordered_uuid, new_refund_id, new_uuid
from refundry.operations.commands import Books, Ledger
from refundry.operations.twice import note_dealt_with
from refundry.orders.commands import lock_or_refuse
from refundry.orders.store import StoredOrder, lock_order, order_key
from refundry.refunds import store
from refundry.refunds.replacing import find_chain, take_place
from refundry.refunds.store import NewRefund, StoredRefund
from refundry.refunds.wire import refund_view
from refundry.tenant import Tenant

RETRY = "retry"
"""What a way is called that goes through the same payment again."""
AlongWith = Callable[[Tx, str], Awaitable[None]]
"""What goes into the transaction besides it; takes the id of the refund that was made."""


@dataclass(frozen=True, slots=True)
class AnotherWay:
    """How a failed refund is to be paid, who says so, and why. way: None for a retry through the
    same payment. now: on the clock of its mode; real_now: of the machine."""

    way: Way | None
    reason: str
    actor: Actor
    now: datetime
    real_now: datetime

    @property
    def note(self) -> str:
        """As it is kept with the records."""
        return f"{self.actor.name}: {self.reason}"


async def pay_another_way(
    books: Books, tenant: Tenant, refund_id: str, asked: AnotherWay, along: AlongWith | None = None
) -> str:
    """Make a refund in the place of a failed one; gives its id.

    To a bank account: it waits for the shopper's details. As store credit or by hand: it has
    succeeded at once, as its payment is nobody's to be asked for. A retry waits for its processor
    like any refund. Raises NotFound and Refused.
    """
    assert asked.reason
    known = await store.find_refund(books.database, tenant, refund_id)
    if known is None:
        raise NotFound("Refund", refund_id)
    order_id = known.refund.order_id

    async def work(tx: Tx) -> tuple[str, Ledger]:
        stored = await lock_or_refuse(tx, tenant, order_id)
        chain = await find_chain(tx, tenant, refund_id)
        made = await _make(tx, tenant, required(stored), chain, asked)
        ledger = Ledger(books, {})
        if asked.way is not None:
            ledger = await _begin(tx, books, tenant, made, asked)
        await _note(tx, tenant, chain, made.refund, asked)
        if along is not None:
            await along(tx, made.refund.id)
        return made.refund.id, ledger

    made_id, ledger = await books.database.run(work)
    ledger.observe()
    return made_id


async def _make(
    tx: Tx, tenant: Tenant, stored: StoredOrder, chain: Chain, asked: AnotherWay
) -> StoredRefund:
    """Write the refund with its first events. Raises Refused."""
    refund = plan_replacement(
        stored.order, chain, asked.way, refund_id=new_refund_id(), now=asked.now
    )
    if not isinstance(refund, Refund):
        raise Refused(refund)
    order = required(await store.find_refundable(tx, tenant, refund.order_id))
    text = to_json_text(refund_view(refund, (), live=tenant.live))
    new = NewRefund(tenant, order, refund, text, asked.now, asked.now)
    written = await store.insert_refunds(tx, [new])
    assert written, "the order's row is ours"
    await take_place(tx, new)
    return required(await store.find_refund(tx, tenant, refund.id))


async def _begin(
    tx: Tx, books: Books, tenant: Tenant, made: StoredRefund, asked: AnotherWay
) -> Ledger:
    """Make its records, and end them or let them wait for bank details."""
    stored = required(await lock_order(tx, tenant, made.refund.order_id))
    key = order_key(tenant, made.refund.order_id)
    ledger = Ledger(books, {key: stored})
    change = OrderChange(stored.order, asked.now)
    operations = settlement.submit(change, [made.refund], new_ordered_uuid)
    for operation in operations:
        refunds = [change.refunds[made.refund.id]]
        if asked.way in WAYS_AT_ONCE:
            settlement.settle(change, operation, refunds, None)
        else:
            settlement.ask_for_information(change, operation, refunds, new_uuid)
    ledger.record(key, change, [made])
    await ledger.write(tx)
    ids = [operation.id for operation in operations]
    await _mark(tx, tenant, made.refund.order_id, ids, asked)
    return ledger


async def _mark(
    tx: Tx, tenant: Tenant, order_id: str, operation_ids: list[str], asked: AnotherWay
) -> None:
    """Say of records how they are paid, so that no gateway is asked for them."""
    await tx.execute(
        """
        UPDATE charge_operations SET way = $5, note = $6
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = ANY ($4::text[])
        """,
        tenant.account_id, tenant.live, order_id, operation_ids, asked.way, asked.note,
    )  # fmt: skip


async def _note(tx: Tx, tenant: Tenant, chain: Chain, made: Refund, asked: AnotherWay) -> None:
    """Keep who did it, and why; what was paid after all is dealt with by recording it."""
    if chain.paid_after_all:
        for refund in (chain.first, *chain.replacements):
            await note_dealt_with(tx, tenant, refund, f"recorded as {made.id}, {asked.note}")
    after = {"way": asked.way or RETRY, "reason": asked.reason, "replaces": chain.first.id}
    for change in (
        Change("refund.another_way", "refund", chain.first.id, None,
               {**after, "refund": made.id}, tenant.live),
        Change("refund.create", "refund", made.id, None, after, tenant.live),
    ):  # fmt: skip
        await audit(tx, tenant.account_id, asked.actor, change, asked.real_now)
