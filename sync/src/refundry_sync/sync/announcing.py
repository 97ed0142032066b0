"""What the shop is told when a book changes: each change once, each notification once.

Pure: it compares a book with the one before. What is due is written down with the book, in one
transaction, and delivered from there (outgoing.py).
"""

from typing import Any, Literal

import msgspec

from refundry_sync.sync.documents import write_json
from refundry_sync.sync.status import order_view
from refundry_sync.sync.views import Book, Event, RefundView

Kind = Literal[
    "refund_processing",
    "bank_details_needed",
    "details_received",
    "refund_confirmation",
    "refund_failed",
    "return_authorised",
    "dispute_alert",
    "chargeback_alert",
]
CHANGE = "change"
# To staff; the shopper is told nothing of disputes and chargebacks.
ALERTS: dict[str, Kind] = {
    "return.created": "return_authorised",
    "order.dispute": "dispute_alert",
    "order.chargeback": "chargeback_alert",
}


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is owed to the shop.

    id: the same however often the call is made. number: its place among those of the order.
    kind: CHANGE or a Kind. payload: JSON of what the call is given.
    """

    id: str
    order_id: str
    number: int
    kind: str
    payload: str


def announce(
    before: Book, after: Book, event: Event | None, *, fresh: bool
) -> tuple[Book, list[Announcement]]:
    """The book with all that is due marked as told, and the calls that tell it.

    event: what led from `before` to `after`, if it was one. fresh: whether the shopper is to hear
    of it; a shop that reads its past does not want to mail all of it.
    """
    book, notices = _notices(after, event)
    payloads = [(CHANGE, "", each) for each in _changes(before, book)]
    if fresh:
        payloads += notices
    numbered = enumerate(payloads, start=book.changes + 1)
    calls = [
        Announcement(
            id=own_id or f"{book.order_id}:{number}",
            order_id=book.order_id,
            number=number,
            kind=kind,
            payload=write_json(payload),
        )
        for number, (kind, own_id, payload) in numbered
    ]
    return msgspec.structs.replace(book, changes=book.changes + len(calls)), calls


def due_kind(refund: RefundView) -> Kind | None:
    """What the shopper of a refund should have heard last."""
    match refund.state:
        case "pending":
            return "details_received" if refund.informed else "refund_processing"
        case "pending_information":
            return "bank_details_needed"
        case "succeeded":
            return "refund_confirmation"
        case "failed" | "expired":
            return "refund_failed"
        case _:
            return None


def _notices(
    after: Book, event: Event | None
) -> tuple[Book, list[tuple[str, str, dict[str, Any]]]]:
    """kind, id and payload of each notification that is due."""
    view = order_view(after)
    notices: list[tuple[str, str, dict[str, Any]]] = []
    refunds = dict(after.refunds)
    for refund in after.refunds.values():
        kind = due_kind(refund)
        if kind is None or kind in refund.notified:
            continue
        told = tuple(sorted({*refund.notified, kind}))
        refunds[refund.id] = msgspec.structs.replace(refund, notified=told)
        payload = {"order": view, "refund": refunds[refund.id]}
        notices.append((kind, f"{refund.id}:{kind}", payload))
    alerts = after.alerts
    if event is not None and (alert := _alert(event)) and alert not in alerts:
        alerts = (*alerts, alert)
        payload = {"order": view, "refund": None, "document": event.object}
        notices.append((ALERTS[event.type], alert, payload))
    return msgspec.structs.replace(after, refunds=refunds, alerts=alerts), notices


def _alert(event: Event) -> str | None:
    """The id of the notification an event itself leads to, once for each return or event."""
    kind = ALERTS.get(event.type)
    if kind is None:
        return None
    own = event.object["id"] if event.type == "return.created" else event.id
    return f"{own}:{kind}"


def _changes(before: Book, after: Book) -> list[dict[str, Any]]:
    """One for each refund whose state is another; if there is none, one for the order's figures."""
    view = order_view(after)
    moved = [
        refund
        for refund in after.refunds.values()
        if refund.id not in before.refunds or before.refunds[refund.id].state != refund.state
    ]
    if moved:
        return [{"order": view, "refund": refund} for refund in moved]
    past = order_view(before)
    same = (past.refund_status, past.refunded_amount) == (view.refund_status, view.refunded_amount)
    return [] if same else [{"order": view, "refund": None}]
