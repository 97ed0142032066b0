"""Mails to customers, by Oscar's communication events: staff edit them in Oscar's dashboard."""

import logging
from typing import Any

from django.utils.dateparse import parse_datetime
from oscar.core.loading import get_class

from refundry_sync.oscar.conf import conf
from refundry_sync.oscar.models import RefundryOrder, SentNotice
from refundry_sync.sync.calling import Notification

# Kind of notification -> code of Oscar's communication event, and its name in the dashboard.
EVENTS = {
    "refund_processing": ("REFUND_PROCESSING", "Refund is being processed"),
    "bank_details_needed": ("REFUND_DETAILS_NEEDED", "Refund needs bank details"),
    "details_received": ("REFUND_DETAILS_RECEIVED", "Bank details for a refund received"),
    "refund_confirmation": ("REFUND_CONFIRMATION", "Refund was paid out"),
    "refund_failed": ("REFUND_FAILED", "Refund failed"),
}
_log = logging.getLogger("refundry_sync.oscar")


def send_notice(kind: str, notice: Notification) -> None:
    """Mail the customer, once for each notification. Raises what sending mail raises."""
    known = (
        RefundryOrder.objects.filter(refundry_id=notice.order.order_id)
        .select_related("order__user")
        .first()
    )
    if kind not in EVENTS:
        _log.warning("%s for order %s", kind, notice.order.order_id)
        return
    if known is None or SentNotice.objects.filter(pk=notice.id).exists():
        return
    code, _ = EVENTS[kind]
    dispatcher = get_class("order.utils", "OrderDispatcher")()
    messages = dispatcher.dispatcher.get_messages(code, _context(known.order, notice))
    dispatcher.dispatch_order_messages(known.order, messages, code)
    # After the mail: one that is sent twice is better than one that never is.
    SentNotice.objects.get_or_create(pk=notice.id)


def _context(order: Any, notice: Notification) -> dict[str, Any]:
    """What the templates of mails may use."""
    expires = notice.expires_time
    return {
        "order": order,
        "user": order.user,
        "amount": notice.amount if notice.amount is not None else _asked(notice),
        "currency": order.currency,
        "lines": _lines(order, notice),
        "paid_back": notice.paid_back,
        "details_link": conf().details_link(notice.token) if notice.token else "",
        "details_until": parse_datetime(expires) if expires else None,
    }


def _asked(notice: Notification) -> Any:
    return sum(line.get("amount", 0) for line in notice.lines)


def _lines(order: Any, notice: Notification) -> list[dict[str, Any]]:
    """Title and units of each line that the refund is of."""
    from refundry_sync.oscar.facts import line_id

    titles = {line_id(order, line): line.title for line in order.lines.all()}
    return [
        {"title": titles.get(each.get("itemId", ""), ""), "quantity": each.get("quantity")}
        for each in notice.lines
    ]
