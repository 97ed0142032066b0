"""Applies events and resources to a book, so that their order and repetition make no difference.

Each rule picks the larger of two observations in a total order, which is why any permutation of a
set of events ends in the same book. What a resource was read as has no time of its own; it counts
as a little newer than the newest event that was known before it was read (docs/decisions/0036).
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from refundry_sync.sync.documents import (
    amount_of,
    object_of,
    objects_of,
    optional_amount,
    optional_text,
    text_of,
    time_of,
)
from refundry_sync.sync.views import (
    FAILED_STATES,
    ZERO,
    Book,
    ChargeRefundView,
    Document,
    Event,
    OrderSnapshot,
    RefundView,
    ReturnView,
    Stamp,
)

REFUND_TYPES = (
    "refund.created",
    "refund.pending",
    "refund.pending_information",
    "refund.complete",
    "refund.failed",
    "refund.updated",
)
CHARGE_TYPES = (
    "order.charge.refund.pending",
    "order.charge.refund.complete",
    "order.charge.refund.failed",
)
ORDER_TYPES = (
    "order.refunded",
    "order.chargeback",
    "order.dispute",
    "order.dispute.resolved",
    "order.complete",
    "order.updated",
)
RETURN_TYPES = ("return.created", "return.updated", "return.accepted")
SALE = "sales_transaction.created"
HANDLED_TYPES = frozenset((*REFUND_TYPES, *CHARGE_TYPES, *ORDER_TYPES, *RETURN_TYPES, SALE))
CHARGEBACK_SALES = frozenset({"fraud_chargeback", "non_fraud_chargeback"})
# What views and notifications need of an order. Who bought it, the shop knows better.
KEPT = (
    "id",
    "upstreamId",
    "currency",
    "state",
    "totalAmount",
    "capturedAmount",
    "cancelledAmount",
    "refundedAmount",
    "availableToRefundAmount",
    "items",
)


def apply_event(book: Book, event: Event) -> Book:
    """The book with an event of its order. Raises Malformed; a type that says nothing: the book."""
    stamp = Stamp(event.created_time, 0, event.id)
    if event.type in REFUND_TYPES:
        return add_refund(book, event.object, stamp)
    if event.type in CHARGE_TYPES:
        return add_charge(book, event.object, stamp)
    if event.type in ORDER_TYPES:
        book = add_order(book, event.object, stamp)
        if event.type == "order.chargeback":
            return msgspec.structs.replace(book, charged_back=True)
        return book
    if event.type == SALE:
        return add_sale(book, event.object)
    if event.type in RETURN_TYPES:
        return _add_return(book, event.object, stamp)
    return book


def add_refund(book: Book, document: Document, stamp: Stamp) -> Book:
    """The book with what was seen of a refund."""
    seen = _refund(document, stamp)
    known = book.refunds.get(seen.id)
    merged = seen if known is None else merge_refunds(known, seen)
    return msgspec.structs.replace(book, refunds={**book.refunds, seen.id: merged})


def merge_refunds(known: RefundView, seen: RefundView) -> RefundView:
    """Failed outranks succeeded, which outranks what is open; else the newer one.

    A late failure lowers what a refund has paid and nothing raises it, so of two successes the
    smaller one is the later truth, whatever is known of their times.
    """
    newer = seen if _refund_rank(seen) >= _refund_rank(known) else known
    spoken = known if known.metadata_stamp > seen.metadata_stamp else seen
    document = _with_metadata(newer.document, spoken.document)
    return msgspec.structs.replace(
        newer,
        document=document,
        metadata_stamp=spoken.metadata_stamp,
        first_event_time=_earlier(known.first_event_time, seen.first_event_time),
        last_event_time=_later(known.last_event_time, seen.last_event_time),
        informed=known.informed or seen.informed,
        notified=tuple(sorted({*known.notified, *seen.notified})),
    )


def read_stamp(known: RefundView | None, document: Document) -> Stamp:
    """The stamp of a refund that is about to be read; known: before it is."""
    if known is None:
        return Stamp(time_of(document, "createdTime"), 1)
    return Stamp(max(known.stamp.time, known.last_event_time or known.stamp.time), 1)


def add_charge(book: Book, document: Document, stamp: Stamp) -> Book:
    """The book with a charge's refunds: its `refunds` are all it ever had."""
    merged = dict(book.charge_refunds)
    for record in objects_of(document, "refunds"):
        seen = _charge_refund(document, record, stamp)
        known = merged.get(seen.id)
        newer = known is None or _charge_rank(seen) >= _charge_rank(known)
        merged[seen.id] = seen if newer else merged[seen.id]
    return msgspec.structs.replace(book, charge_refunds=merged)


def add_order(book: Book, document: Document, stamp: Stamp) -> Book:
    """The book with a snapshot of the order, if it is newer than the one it has."""
    seen = _snapshot(document, stamp)
    if book.order is not None and not _is_newer(seen, book.order):
        return book
    return msgspec.structs.replace(book, order=seen)


def add_sale(book: Book, document: Document) -> Book:
    """The book with what a sales transaction took back; others than chargebacks say nothing."""
    if text_of(document, "type") not in CHARGEBACK_SALES:
        return book
    taken = {**book.chargebacks, text_of(document, "id"): -amount_of(document, "amount")}
    return msgspec.structs.replace(book, chargebacks=taken)


def _add_return(book: Book, document: Document, stamp: Stamp) -> Book:
    seen = ReturnView(
        id=text_of(document, "id"),
        order_id=text_of(document, "orderId"),
        state=text_of(document, "state"),
        document=document,
        stamp=stamp,
    )
    known = book.returns.get(seen.id)
    if known is not None and known.stamp > stamp:
        return book
    return msgspec.structs.replace(book, returns={**book.returns, seen.id: seen})


def _refund(document: Document, stamp: Stamp) -> RefundView:
    state = text_of(document, "state")
    time = None if stamp.read else stamp.time
    return RefundView(
        id=text_of(document, "id"),
        order_id=text_of(document, "orderId"),
        state=state,
        currency=text_of(document, "currency"),
        amount=_asked(document),
        refunded_amount=optional_amount(document, "refundedAmount") or ZERO,
        created_time=time_of(document, "createdTime"),
        reason=optional_text(document, "reason"),
        failure_reason=optional_text(document, "failureReason"),
        document=document,
        stamp=stamp,
        metadata_stamp=stamp,
        first_event_time=time,
        last_event_time=time,
        informed=state == "pending_information",
    )


def _asked(document: Document) -> Decimal:
    """What was asked for; a server may say it for the elements alone."""
    whole = optional_amount(document, "amount")
    if whole is not None:
        return whole
    parts = (optional_amount(item, "amount") for item in objects_of(document, "items"))
    return sum((part for part in parts if part is not None), ZERO)


def _refund_rank(refund: RefundView) -> tuple[int, Decimal, Stamp]:
    if refund.state in FAILED_STATES:
        return 2, ZERO, refund.stamp
    if refund.state == "succeeded":
        return 1, -refund.refunded_amount, refund.stamp
    return 0, ZERO, refund.stamp


def _charge_refund(charge: Document, record: Document, stamp: Stamp) -> ChargeRefundView:
    return ChargeRefundView(
        id=text_of(record, "id"),
        charge_id=text_of(charge, "id"),
        source_id=optional_text(charge, "sourceId"),
        order_id=text_of(charge, "orderId"),
        amount=amount_of(record, "amount"),
        state=text_of(record, "state"),
        failure_code=optional_text(record, "failureCode"),
        created_time=time_of(record, "createdTime"),
        stamp=stamp,
    )


def _charge_rank(record: ChargeRefundView) -> tuple[int, Stamp]:
    return {"complete": 1, "failed": 2}.get(record.state, 0), record.stamp


def _snapshot(document: Document, stamp: Stamp) -> OrderSnapshot:
    amount_of(document, "refundedAmount")
    amount_of(document, "availableToRefundAmount")
    version = document.get("version")
    kept = {field: document[field] for field in KEPT if field in document}
    kept["payment"] = _means(document)
    return OrderSnapshot(
        version=version if isinstance(version, int) else None,
        updated_time=time_of(document, "updatedTime"),
        stamp=stamp,
        document=kept,
    )


def _means(document: Document) -> Document:
    """The charges and sources of an order, without their owners."""
    payment = object_of(document, "payment")
    sources = [
        {field: value for field, value in source.items() if field != "owner"}
        for source in objects_of(payment, "sources")
    ]
    return {"charges": objects_of(payment, "charges"), "sources": sources}


def _is_newer(seen: OrderSnapshot, known: OrderSnapshot) -> bool:
    """By version where both have one; else by time, and of two of one second by the stamp."""
    if seen.version is not None and known.version is not None:
        return seen.version > known.version
    return (seen.updated_time, seen.stamp) >= (known.updated_time, known.stamp)


def _with_metadata(document: Document, spoken: Document) -> Document:
    others = {field: value for field, value in document.items() if field != "metadata"}
    return {**others, "metadata": spoken["metadata"]} if "metadata" in spoken else others


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((time for time in (one, other) if time is not None), default=None)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((time for time in (one, other) if time is not None), default=None)
