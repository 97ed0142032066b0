"""What may be asked of returns: a new one, units that arrived, other data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refundry.db.database import Database, Tx
from refundry.domain.event import Change, Draft, EventType
from refundry.domain.refund import Refund
from refundry.domain.refusal import ApprovalRequired, OrderUnknown
from refundry.domain.returns import Return, accept, plan_acceptance, plan_return
from refundry.errors import NotFound, Refused, required
from refundry.http.document import to_json
from refundry.idempotency import Keeper
from refundry.ids import new_refund_id, new_return_id
from refundry.metrics import observe_refund
from refundry.orders.commands import lock_or_refuse, merged_metadata
from refundry.orders.recording import Rendered, record
from refundry.orders.store import StoredOrder
from refundry.refunds.limits import OverLimit, Requester, spend
from refundry.refunds.saving import insert_return_refund
from refundry.refunds.wire import render_draft
from refundry.returns import store
from refundry.returns.reading import ReturnRequest, ReturnUpdate
from refundry.returns.wire import render_return, return_view
from refundry.sealing import Vault
from refundry.tenant import Tenant


async def create_return(
    database: Database,
    tenant: Tenant,
    request: ReturnRequest,
    now: datetime,
    receipt: Keeper | None,
) -> bytes:
    """Authorise a return; gives the Return resource. No money moves. Raises Refused."""

    async def work(tx: Tx) -> bytes:
        stored = await lock_or_refuse(tx, tenant, request.order_id)
        if stored is None:
            raise Refused(OrderUnknown(request.order_id))
        goods = await _planned(tx, tenant, stored, request, now)
        await store.insert_return(tx, tenant, goods, stored.order)
        change = Change(stored.order, now)
        change.return_event(EventType.RETURN_CREATED, goods)
        await record(
            tx, tenant, stored, change, render=lambda draft: render_return(draft, live=tenant.live)
        )
        body = to_json(return_view(goods, stored.order, live=tenant.live))
        if receipt:
            await receipt.store(tx, 201, body)
        return body

    return await database.run(work)


async def _planned(
    tx: Tx, tenant: Tenant, stored: StoredOrder, request: ReturnRequest, now: datetime
) -> Return:
    open_units = await store.open_units(tx, tenant, request.order_id)
    items = plan_return(stored.order, request.items, open_units)
    if not isinstance(items, tuple):
        raise Refused(items)
    second = now.replace(microsecond=0)
    return Return(
        id=new_return_id(),
        order_id=request.order_id,
        created_at=second,
        updated_at=second,
        items=items,
        reason=request.reason,
        location=request.location,
        metadata=request.metadata,
    )


@dataclass(frozen=True, slots=True)
class ReturnDesk:
    """What updates of returns work with. batch_window: how long refunds wait for others.

    requester: whose limits apply to the refund that an acceptance makes; None if none do.
    """

    database: Database
    vault: Vault
    batch_window: timedelta
    requester: Requester | None = None


async def update_return(
    desk: ReturnDesk,
    tenant: Tenant,
    return_id: str,
    update: ReturnUpdate,
    now: datetime,
    receipt: Keeper | None,
) -> bytes:
    """Accept units, or change location and metadata; gives the Return resource.

    Raises NotFound and Refused.
    """
    found = await store.find_return(desk.database, tenant, return_id)
    if found is None:
        raise NotFound("Return", return_id)
    order_id = found.order_id

    async def work(tx: Tx) -> tuple[bytes, list[Refund]]:
        stored = required(await lock_or_refuse(tx, tenant, order_id))
        before = required(await store.find_return(tx, tenant, return_id))
        change = Change(stored.order, now)
        after = _apply(change, before, update)
        kept = stored
        if change.drafts:
            await store.save_return(tx, tenant, after)
            for refund in change.refunds.values():
                await _spend(tx, tenant, desk.requester, refund)
                await insert_return_refund(tx, tenant, refund, now + desk.batch_window)
            render = _renderer(tenant, desk.vault)
            kept = await record(tx, tenant, stored, change, render=render)
        body = to_json(return_view(after, kept.order, live=tenant.live))
        if receipt:
            await receipt.store(tx, 200, body)
        return body, list(change.refunds.values())

    body, refunds = await desk.database.run(work)
    for refund in refunds:
        observe_refund(refund, live=tenant.live)
    return body


async def _spend(tx: Tx, tenant: Tenant, requester: Requester | None, refund: Refund) -> None:
    """Count the refund of an acceptance. Above the limit nothing waits: the goods are accepted by
    somebody whose limit allows it. Raises Refused."""
    if requester is None:
        return
    try:
        await spend(tx, tenant, requester, refund)
    except OverLimit as over:
        raise Refused(ApprovalRequired()) from over


def _apply(change: Change, before: Return, update: ReturnUpdate) -> Return:
    """The return after an update, with the events of it. Raises Refused."""
    goods = replace(
        before,
        location=update.location or before.location,
        metadata=merged_metadata(before.metadata, update.metadata, clear=update.clear_metadata),
    )
    if update.takes_units:
        units = plan_acceptance(change.order, goods, update.items, everything=update.accept)
        if not isinstance(units, dict):
            raise Refused(units)
        goods = accept(change, goods, units, new_refund_id=new_refund_id)
    if change.drafts or goods == before:
        return goods
    goods = replace(goods, updated_at=change.now.replace(microsecond=0))
    changed = ("items", "location", "metadata")
    change.return_event(EventType.RETURN_UPDATED, goods, before, changed)
    return goods


def _renderer(tenant: Tenant, vault: Vault) -> Callable[[Draft], Rendered | None]:
    def render(draft: Draft) -> Rendered | None:
        if draft.goods is not None:
            return render_return(draft, live=tenant.live)
        return render_draft(draft, live=tenant.live, vault=vault, sealed_token=None)

    return render
