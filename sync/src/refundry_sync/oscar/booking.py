"""What a refund changes in Oscar: the order's refund status and its payment events."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from oscar.core.loading import get_model

from refundry_sync.oscar.facts import line_id
from refundry_sync.oscar.models import RefundryOrder
from refundry_sync.sync.views import OrderRefundView, RefundView

# The name of Oscar's payment event; the documentation of Oscar suggests it.
REFUNDED = "Refund"
_CENTS = Decimal("0.01")


def book_change(order: OrderRefundView, refund: RefundView | None, **_: str) -> None:
    """Store what is new. Harmless if it comes twice; orders of other shops are passed over."""
    known = RefundryOrder.objects.filter(refundry_id=order.order_id).select_related("order").first()
    if known is None:
        return
    with transaction.atomic():
        known.refund_status = order.refund_status
        known.refunded_amount = order.refunded_amount
        known.save()
        if refund is not None:
            _book_payment(known.order, refund)


def _book_payment(order: Any, refund: RefundView) -> None:
    """One payment event for each refund that was paid back, none for one that was not.

    A success that turns out to have failed takes its event back.
    """
    events = order.payment_events.filter(reference=refund.id)
    if refund.state != "succeeded":
        events.delete()
        return
    amount = refund.refunded_amount.quantize(_CENTS)
    event = events.first()
    if event is not None:
        event.amount = amount
        event.save()
        return
    event_type, _ = get_model("order", "PaymentEventType").objects.get_or_create(name=REFUNDED)
    event = order.payment_events.create(event_type=event_type, amount=amount, reference=refund.id)
    _name_lines(order, event, refund)


def _name_lines(order: Any, event: Any, refund: RefundView) -> None:
    """Say which units of which lines the refund was of, where it was of lines."""
    units = {
        item["itemId"]: item.get("quantity", 1)
        for item in refund.document.get("items", [])
        if "type" not in item
    }
    for line in order.lines.all():
        quantity = units.get(line_id(order, line))
        if quantity:
            event.line_quantities.create(line=line, quantity=quantity)
