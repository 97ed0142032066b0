"""The refund status of an order, and the view that is shown of it: pure functions of its book."""

from decimal import Decimal

from refundry_sync.sync.documents import amount_of, optional_amount, optional_text
from refundry_sync.sync.views import (
    FAILED_STATES,
    ZERO,
    Book,
    OrderRefundView,
    RefundStatus,
    RefundView,
)


def order_view(book: Book) -> OrderRefundView:
    """What a shop shows of an order."""
    shared = OrderRefundView(
        order_id=book.order_id,
        refund_status=refund_status(book),
        has_pending_refunds=any(refund.is_open for refund in book.refunds.values()),
        chargeback_amount=chargeback_amount(book),
        currency=_currency(book),
        synced_time=book.synced_time,
    )
    if book.order is None:
        return shared
    document = book.order.document
    state = optional_text(document, "state")
    return OrderRefundView(
        order_id=book.order_id,
        upstream_id=optional_text(document, "upstreamId"),
        currency=shared.currency,
        state=state,
        captured_amount=optional_amount(document, "capturedAmount"),
        refunded_amount=_refunded(book),
        available_to_refund_amount=_available(book),
        refund_status=shared.refund_status,
        has_pending_refunds=shared.has_pending_refunds,
        chargeback_amount=shared.chargeback_amount,
        disputed=state == "dispute",
        version=book.order.version,
        synced_time=book.synced_time,
    )


def refund_status(book: Book) -> RefundStatus:
    """The first of the conditions that holds; a chargeback outranks every refund."""
    available = _available(book)
    if chargeback_seen(book):
        return "charged_back" if available == ZERO else "partially_charged_back"
    states = {refund.state for refund in book.refunds.values()}
    if _refunded(book) > ZERO:
        pending = bool(states & {"pending", "pending_information"})
        return "refunded" if available == ZERO and not pending else "partially_refunded"
    if "pending_information" in states:
        return "pending_information"
    if "pending" in states:
        return "pending"
    newest = newest_refund(book)
    return "refund_failed" if newest and newest.state in FAILED_STATES else "none"


def chargeback_seen(book: Book) -> bool:
    return book.charged_back or bool(book.chargebacks)


def chargeback_amount(book: Book) -> Decimal:
    """What the bank took, >= 0.

    From the sales transactions; while none has arrived, what was refunded without a refund of ours.
    Without a chargeback it is 0: an order may come with refunds that were made elsewhere.
    """
    if book.chargebacks:
        return sum(book.chargebacks.values(), ZERO)
    if not book.charged_back:
        return ZERO
    return max(ZERO, _refunded(book) - succeeded_amount(book))


def succeeded_amount(book: Book) -> Decimal:
    """What the known succeeded refunds have paid back."""
    paid = (each.refunded_amount for each in book.refunds.values() if each.state == "succeeded")
    return sum(paid, ZERO)


def newest_refund(book: Book) -> RefundView | None:
    return max(book.refunds.values(), key=lambda each: each.order_of_making, default=None)


def _refunded(book: Book) -> Decimal:
    return amount_of(book.order.document, "refundedAmount") if book.order else ZERO


def _available(book: Book) -> Decimal | None:
    return amount_of(book.order.document, "availableToRefundAmount") if book.order else None


def _currency(book: Book) -> str | None:
    if book.order is not None:
        return optional_text(book.order.document, "currency")
    return next((refund.currency for refund in book.refunds.values()), None)
