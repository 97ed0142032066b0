"""Event logs: every event with its payload, where it went, and a way to send it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from refundry.access.rights import Right
from refundry.access.store import account_version
from refundry.db.listing import Condition
from refundry.domain.event import EventType
from refundry.errors import NotFound, Refused
from refundry.events.wire import event_view
from refundry.http.answer import Answer
from refundry.http.document import to_json
from refundry.http.problems import message_of
from refundry.ids import new_web_token
from refundry.outbox.store import StoredEvent, find_events
from refundry.portal.lists import active_filters, day_conditions, page_of
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import AlreadySubmitted, FormOnce
from refundry.webhooks.commands import Editor, resend
from refundry.webhooks.store import Webhook, list_webhooks

EVENTS = "/dashboard/events"


def _types(*prefixes: str, without: str = "-") -> tuple[str, ...]:
    return tuple(
        kind.value
        for kind in EventType
        if kind.value.startswith(prefixes) and not kind.value.startswith(without)
    )


# Source: contract, dashboard, section 7. Groups that hold none of our types can be chosen all the
# same, and have no events.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Charge": _types("order.charge."),
    "Checkout": _types("checkout"),
    "Customer": _types("customer"),
    "File": _types("file."),
    "File link": _types("fileLink."),
    "Fulfillment": _types("fulfillment."),
    "Manufacturer": _types("manufacturer."),
    "Order": _types("order.", without="order.charge."),
    "Refund": _types("refund."),
    "Return": _types("return."),
    "SKU": _types("sku."),
    "Invoice": _types("invoice"),
    "Source": _types("source."),
}
_FILTERS = ("group", "type", "from", "to", "resource")


async def list_events(visit: Visit) -> Answer:
    """The events, newest first."""
    query = visit.query
    conditions = day_conditions(visit, "t.created_at")
    group, kind = query.one("group") or "", (query.one("type") or "").strip()
    resource = (query.one("resource") or "").strip()
    if kind:
        conditions.append(Condition("t.type = {}::text", kind))
    if group in GROUPS:
        types = list(GROUPS[group])
        conditions.append(Condition("t.type = ANY ({}::text[])", types, each="t.type"))
    if resource:
        conditions += await _about(visit, resource)
    ids, pages = await page_of(visit, "events", conditions)
    return visit.show(
        "events.html",
        events=await find_events(visit.database, visit.tenant, ids),
        pages=pages,
        groups=list(GROUPS),
        kinds=[each.value for each in EventType],
        group=group,
        kind=kind,
        resource=resource,
        first=query.one("from") or "",
        last=query.one("to") or "",
        active=active_filters(visit, *_FILTERS),
    )


async def _about(visit: Visit, resource: str) -> list[Condition]:
    """Events about a resource; those about anything of an order, if it is an order.

    They are among the events of one order, which an index has: without it, a search through all
    payloads would read every event there is.
    """
    order_id = await _order_of(visit, resource)
    found = [Condition("t.order_id = {}::text", order_id or "")]
    if order_id is not None and order_id != resource:
        found.append(Condition("t.object::json ->> 'id' = {}::text", resource))
    return found


async def _order_of(visit: Visit, resource: str) -> str | None:
    """The order that a resource belongs to, or is; None if there is no such resource."""
    return await visit.database.fetchval(
        """
        SELECT id FROM orders WHERE account_id = $1 AND live = $2 AND id = $3
        UNION ALL
        SELECT order_id FROM refunds WHERE account_id = $1 AND live = $2 AND id = $3
        UNION ALL
        SELECT order_id FROM charges WHERE account_id = $1 AND live = $2 AND id = $3
        UNION ALL
        SELECT order_id FROM fulfillments WHERE account_id = $1 AND live = $2 AND id = $3
        UNION ALL
        SELECT order_id FROM returns WHERE account_id = $1 AND live = $2 AND id = $3
        UNION ALL
        SELECT order_id FROM sales_transactions WHERE account_id = $1 AND live = $2 AND id = $3
        LIMIT 1
        """,
        visit.tenant.account_id, visit.tenant.live, resource,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event's way to one webhook. address: None once the webhook is deleted.

    number: 0 for the delivery that the event itself made. status, error: of the last attempt.
    """

    webhook_id: str
    address: str | None
    number: int
    single: bool
    state: str
    attempts: int
    due_at: datetime | None
    last_at: datetime | None
    duration_ms: int | None
    status: int | None
    error: str | None


async def show_event(visit: Visit, *, error: str = "") -> Answer:
    """One event: its payload and where it went."""
    event = await _find(visit)
    webhooks = await list_webhooks(visit.database, visit.tenant, [])
    return visit.show(
        "event.html",
        status=400 if error else 200,
        error=error,
        event=event,
        payload=await _payload(visit, event),
        deliveries=await _deliveries(visit, event, webhooks),
        webhooks=webhooks,
        token=new_web_token(),
    )


async def _find(visit: Visit) -> StoredEvent:
    """The event of the address. Raises NotFound."""
    found = await find_events(visit.database, visit.tenant, [visit.path["id"]])
    if not found:
        raise NotFound("Event", visit.path["id"])
    return found[0]


async def _payload(visit: Visit, event: StoredEvent) -> str:
    """The event as the API shows it, indented."""
    version = await account_version(visit.database, visit.tenant)
    vault = visit.services.vault
    view = event_view(event, live=visit.tenant.live, version=version, vault=vault)
    return msgspec.json.format(to_json(view), indent=2).decode()


async def _deliveries(visit: Visit, event: StoredEvent, webhooks: list[Webhook]) -> list[Delivered]:
    """Where an event went, with the last attempt of each delivery.

    webhooks: of the mode. Those that were subscribed and are deleted are found, too.
    """
    addresses = {webhook.id: webhook.address for webhook in webhooks}
    rows = await visit.database.fetch(
        """
        SELECT d.webhook_id, d.number, d.single, d.state, d.attempts, d.due_at, a.started_at,
               a.duration_ms, a.status, a.error
          FROM deliveries d
          LEFT JOIN attempts a
            ON a.account_id = d.account_id AND a.live = d.live AND a.webhook_id = d.webhook_id
           AND a.event_id = d.event_id AND a.number = d.number AND a.attempt = d.attempts
         WHERE d.account_id = $1 AND d.live = $2 AND d.webhook_id = ANY ($3::text[])
           AND d.event_id = $4
         ORDER BY d.number, d.webhook_id
        """,
        visit.tenant.account_id, visit.tenant.live,
        list({*addresses, *event.webhook_ids}), event.id,
    )  # fmt: skip
    return [
        Delivered(
            row["webhook_id"], addresses.get(row["webhook_id"]), row["number"], row["single"],
            row["state"], row["attempts"], row["due_at"], row["started_at"], row["duration_ms"],
            row["status"], row["error"],
        )
        for row in rows
    ]  # fmt: skip


async def post_resend(visit: Visit) -> Answer:
    """Send the event once more to a webhook."""
    event = await _find(visit)
    address = f"{EVENTS}/{event.id}"
    try:
        await resend(
            visit.database, visit.tenant, event.id, visit.form.text("webhook"), visit.now,
            FormOnce(visit, address), Editor(visit.user.actor, visit.real_now),
        )  # fmt: skip
    except AlreadySubmitted:
        return visit.go(address, done="once")
    except Refused as refused:
        return await show_event(visit, error=message_of(refused.refusal))
    visit.services.wake()
    return visit.go(address, done="resent")


PAGES = (
    Page("GET", "/events", list_events, Right.DEVELOPERS),
    Page("GET", "/events/{id}", show_event, Right.DEVELOPERS),
    Page("POST", "/events/{id}/resend", post_resend, Right.DEVELOPERS),
)
