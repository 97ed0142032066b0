"""What may be asked of refunds: a new one, and a change of its metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg

from refundry.db.database import Database, Tx
from refundry.domain.event import Change, Draft, EventType
from refundry.domain.order import Order
from refundry.domain.refund import Refund, RefundAsk, plan_refund
from refundry.domain.refusal import (
    ApprovalRequired,
    ConcurrentUpdate,
    InvalidField,
    InvoiceUnknown,
    OrderUnknown,
)
from refundry.errors import NotFound, Refused, required
from refundry.http.document import JsonValue, to_json, to_json_text
from refundry.idempotency import Keeper, Receipt
from refundry.ids import new_refund_id
from refundry.metrics import observe_refund
from refundry.orders.commands import lock_or_refuse, merged_metadata
from refundry.orders.recording import Rendered, record
from refundry.orders.store import order_by_invoice
from refundry.refunds import store
from refundry.refunds.drafts import keep_draft
from refundry.refunds.limits import OverLimit, Requester, spend
from refundry.refunds.replacing import take_place
from refundry.refunds.saving import RefundSaving, save_refunds
from refundry.refunds.store import NewRefund, StoredRefund
from refundry.refunds.wire import refund_view, render_draft
from refundry.sealing import Vault
from refundry.tenant import Tenant

# After this many lost races for an order a request takes its lock and waits for its turn.
_OPTIMISTIC_TRIES = 3


class _Changed(Exception):
    """Another command changed the order between our read and our write."""


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A request for a refund with what goes along. batch_window: how long to wait for others.

    expected: what it has to come to, in minor units, where somebody was shown an amount.
    requester: whom limits apply to; None where none do.
    """

    ask: RefundAsk
    now: datetime
    batch_window: timedelta
    receipt: Keeper | None
    expected: int | None = None
    requester: Requester | None = None


async def create_refund(database: Database, tenant: Tenant, request: RefundRequest) -> bytes:
    """Accept a refund and queue it for its processor; gives the Refund resource.

    No money moves yet. Raises Refused; above the requester's limit, with a draft that waits.
    """
    try:
        return await _create(database, tenant, request)
    except OverLimit as over:
        requester = required(request.requester)
        draft_id = await keep_draft(database, tenant, requester, request.ask, over.refund)
        raise Refused(ApprovalRequired(draft_id)) from over


async def _create(database: Database, tenant: Tenant, request: RefundRequest) -> bytes:
    """Read, decide, write if nobody wrote in between; else again, in the end under the order's
    lock. Raises Refused and OverLimit.
    """
    order_id = await find_order_id(database, tenant, request.ask)
    for _ in range(_OPTIMISTIC_TRIES):
        order = await store.find_refundable(database, tenant, order_id)
        new = planned(tenant, order, request)
        if await _write(database, new, request):
            return accepted(new)

    async def work(tx: Tx) -> NewRefund:
        await lock_or_refuse(tx, tenant, order_id)
        order = await store.find_refundable(tx, tenant, order_id)
        new = planned(tenant, order, request)
        await _note(tx, new, request)
        written = await store.insert_refunds(tx, [new])
        assert written
        if new.refund.replaces is not None:
            await take_place(tx, new)
        return new

    return accepted(await database.run(work))


def accepted(new: NewRefund) -> bytes:
    """Count a refund that is written; gives the Refund resource."""
    observe_refund(new.refund, live=new.tenant.live)
    return new.text.encode()


async def find_order_id(database: Database, tenant: Tenant, ask: RefundAsk) -> str:
    """The order that a request names, by its id or by its invoice. Raises Refused."""
    if ask.invoice_id is None:
        assert ask.order_id is not None
        return ask.order_id
    order_id = await order_by_invoice(database, tenant, ask.invoice_id)
    if ask.order_id is None and order_id is None:
        raise Refused(InvoiceUnknown(ask.invoice_id))
    if ask.order_id is not None and order_id != ask.order_id:
        if await store.find_refundable(database, tenant, ask.order_id) is None:
            raise Refused(OrderUnknown(ask.order_id))
        raise Refused(InvalidField("invoiceId", ask.invoice_id))
    assert order_id is not None
    return order_id


def planned(tenant: Tenant, order: Order | None, request: RefundRequest) -> NewRefund:
    """What is to be written for a request on `order`. Raises Refused."""
    if order is None:
        raise Refused(OrderUnknown(request.ask.order_id or ""))
    refund = plan_refund(order, request.ask, refund_id=new_refund_id(), now=request.now)
    if not isinstance(refund, Refund):
        raise Refused(refund)
    if request.expected not in (None, refund.amount):
        raise Refused(ConcurrentUpdate())
    text = to_json_text(refund_view(refund, (), live=tenant.live))
    due_at = request.now + request.batch_window
    return NewRefund(tenant, order, refund, text, request.now, due_at)


async def _write(database: Database, new: NewRefund, request: RefundRequest) -> bool:
    try:
        alone = request.receipt is None and request.requester is None
        if alone and new.refund.replaces is None:
            return bool(await store.insert_refunds(database, [new]))
        async with database.transaction() as tx:
            await _note(tx, new, request)
            if not await store.insert_refunds(tx, [new]):
                raise _Changed
            if new.refund.replaces is not None:
                await take_place(tx, new)
    except (_Changed, asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
        return False
    return True


async def _note(tx: Tx, new: NewRefund, request: RefundRequest) -> None:
    """What goes into the refund's transaction besides it. Raises OverLimit."""
    if request.requester is not None:
        await spend(tx, new.tenant, request.requester, new.refund)
    if request.receipt is not None:
        await request.receipt.store(tx, 201, new.text.encode())


@dataclass(frozen=True, slots=True)
class MetadataUpdate:
    """New metadata; a null inside removes a key. clear: remove all."""

    members: dict[str, JsonValue] | None
    clear: bool


async def update_refund(
    database: Database,
    vault: Vault,
    tenant: Tenant,
    refund_id: str,
    update: MetadataUpdate,
    now: datetime,
    receipt: Receipt | None,
) -> tuple[bytes, bool]:
    """Merge metadata; gives the Refund resource and whether it shows a token. Raises NotFound."""
    found = await store.find_refund(database, tenant, refund_id)
    if found is None:
        raise NotFound("Refund", refund_id)

    async def work(tx: Tx) -> tuple[bytes, bool]:
        after = await _merge(tx, vault, tenant, found.refund, update, now)
        body = to_json(shown_view(after, vault, live=tenant.live))
        sealed = after.sealed_token is not None
        if receipt:
            await receipt.store(tx, 200, body, sealed=sealed)
        return body, sealed

    return await database.run(work)


async def _merge(
    tx: Tx, vault: Vault, tenant: Tenant, known: Refund, update: MetadataUpdate, now: datetime
) -> StoredRefund:
    order = await lock_or_refuse(tx, tenant, known.order_id)
    stored = await store.find_refund(tx, tenant, known.id)
    assert order is not None
    assert stored is not None
    before = stored.refund
    text = merged_metadata(before.metadata or "{}", update.members, clear=update.clear)
    after = replace(before, metadata=None if text == "{}" else text)
    if after.metadata == before.metadata:
        return stored
    change = Change(order.order, now)
    change.refund_event(
        EventType.REFUND_UPDATED, after, (order.order, before), changed=("metadata",)
    )

    def render(draft: Draft) -> Rendered | None:
        return render_draft(draft, live=tenant.live, vault=vault, sealed_token=stored.sealed_token)

    await save_refunds(tx, [RefundSaving(tenant, before, after, change.order)], vault)
    await record(tx, tenant, order, change, render=render)
    return replace(stored, refund=after)


def shown_view(stored: StoredRefund, vault: Vault, *, live: bool) -> Mapping[str, JsonValue]:
    """The Refund resource with its token in clear, while it has one."""
    token = vault.open(stored.sealed_token) if stored.sealed_token else ""
    return refund_view(stored.refund, stored.parts, live=live, token=token)
