"""Stores what commands did to orders: the new figures and the events, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from refundry.db.database import Tx
from refundry.domain.event import Change, Draft
from refundry.http.document import to_json_text
from refundry.ids import new_ordered_uuid
from refundry.orders.saving import Saving, save_orders
from refundry.orders.store import OrderFacts, OrderKey, StoredOrder, order_key
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


class Recording:
    """Collects changes to any number of orders, to write all of them in a few statements.

    An order may be changed several times: each change begins with what the one before gave.
    """

    def __init__(self) -> None:
        self._savings: dict[OrderKey, Saving] = {}
        self._events: list[NewEvent] = []

    def record(
        self,
        tenant: Tenant,
        before: StoredOrder,
        change: Change,
        *,
        facts: OrderFacts | None = None,
        render: Renderer | None = None,
    ) -> StoredOrder:
        """Note a change to an order whose row the caller has locked; gives the order after it.

        render: for drafts of other resources than the order and its charges; None from it means
        that the draft is left to the ordinary rendering.
        """
        kept = facts or before.facts
        order = before.order
        times = event_times(change.now, order.last_event_at, len(change.drafts))
        for number, (draft, time) in enumerate(zip(change.drafts, times, strict=True), start=1):
            rendered = (render(draft) if render else None) or _ordinary(draft, tenant, kept)
            self._events.append(
                NewEvent(
                    tenant, order.id, order.event_sequence + number, time, new_ordered_uuid(),
                    draft.type.value, rendered.object, rendered.previous, rendered.sealed_token,
                )
            )  # fmt: skip
        after = replace(
            change.order,
            event_sequence=order.event_sequence + len(times),
            last_event_at=times[-1] if times else order.last_event_at,
        )
        key = order_key(tenant, order.id)
        first = self._savings[key].before if key in self._savings else order
        self._savings[key] = Saving(tenant, first, after)
        return StoredOrder(after, kept)

    async def write(self, tx: Tx) -> None:
        """Write everything that was noted."""
        if self._savings:
            await save_orders(tx, list(self._savings.values()))
        if self._events:
            await append_events(tx, self._events)


async def record(
    tx: Tx,
    tenant: Tenant,
    before: StoredOrder,
    change: Change,
    *,
    facts: OrderFacts | None = None,
    render: Renderer | None = None,
) -> StoredOrder:
    """Write one change to an order whose row the caller has locked; gives the order as stored.

    The rest is as for `Recording.record`.
    """
    recording = Recording()
    after = recording.record(tenant, before, change, facts=facts, render=render)
    await recording.write(tx)
    return after


def _ordinary(draft: Draft, tenant: Tenant, facts: OrderFacts) -> Rendered:
    stored = StoredOrder(draft.order, facts)
    if draft.charge_id is not None:
        charge = draft.order.charge(draft.charge_id)
        return Rendered(to_json_text(charge_view(stored, charge, live=tenant.live)))
    return Rendered(to_json_text(order_view(stored, live=tenant.live)))
