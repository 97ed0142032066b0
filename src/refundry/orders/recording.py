"""Stores what a command did to an order: the new figures and the events, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from refundry.db.database import Tx
from refundry.domain.event import Change, Draft
from refundry.http.document import to_json_text
from refundry.ids import new_uuid
from refundry.orders import store
from refundry.orders.store import OrderFacts, StoredOrder
from refundry.orders.wire import charge_view, order_view
from refundry.outbox.store import NewEvent, append_events, event_times
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Rendered:
    """A resource as JSON text, for an event. sealed_token: of the gap in it."""

    object: str
    previous: str | None = None
    sealed_token: bytes | None = None


Renderer = Callable[[Draft], Rendered | None]


async def record(
    tx: Tx,
    tenant: Tenant,
    before: StoredOrder,
    change: Change,
    *,
    facts: OrderFacts | None = None,
    render: Renderer | None = None,
) -> StoredOrder:
    """Write a change to an order whose row the caller has locked; gives the order as stored.

    render: for drafts of other resources than the order and its charges; None from it means
    that the draft is left to the ordinary rendering.
    """
    kept = facts or before.facts
    events = [_event(draft, tenant, kept, render) for draft in change.drafts]
    times = event_times(change.now, before.order.last_event_at, len(events))
    after = replace(
        change.order,
        event_sequence=before.order.event_sequence + len(events),
        last_event_at=times[-1] if times else before.order.last_event_at,
    )
    await store.save_order(
        tx, tenant, before.order, after,
        event_sequence=after.event_sequence, last_event_at=after.last_event_at,
    )  # fmt: skip
    if events:
        first = before.order.event_sequence + 1
        await append_events(tx, tenant, after.id, events, times, first)
    return StoredOrder(after, kept)


def _event(draft: Draft, tenant: Tenant, facts: OrderFacts, render: Renderer | None) -> NewEvent:
    rendered = (render(draft) if render else None) or _ordinary(draft, tenant, facts)
    return NewEvent(
        new_uuid(), draft.type.value, rendered.object, rendered.previous, rendered.sealed_token
    )


def _ordinary(draft: Draft, tenant: Tenant, facts: OrderFacts) -> Rendered:
    stored = StoredOrder(draft.order, facts)
    if draft.charge_id is not None:
        charge = draft.order.charge(draft.charge_id)
        return Rendered(to_json_text(charge_view(stored, charge, live=tenant.live)))
    return Rendered(to_json_text(order_view(stored, live=tenant.live)))
