"""Reads orders from the API and takes what it finds into their books."""

from dataclasses import dataclass
from datetime import UTC, datetime

from refundry_sync.sync.documents import object_of, objects_of, text_of, time_of
from refundry_sync.sync.merging import add_charge, add_order, add_refund, add_sale, read_stamp
from refundry_sync.sync.remote import Remote
from refundry_sync.sync.status import chargeback_amount, order_view, succeeded_amount
from refundry_sync.sync.views import Book, Document, Stamp

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Reading:
    """Resources of one order as they were read; known: its book before they were."""

    known: Book
    order: Document | None = None
    refunds: tuple[Document, ...] = ()
    charges: tuple[Document, ...] = ()
    sales: tuple[Document, ...] = ()


def read_whole(remote: Remote, known: Book) -> Reading:
    """Everything that the API has of an order."""
    order = remote.order(known.order_id)
    charges = objects_of(object_of(order, "payment"), "charges")
    paid_back = [charge for charge in charges if charge.get("refunded")]
    return Reading(
        known=known,
        order=order,
        refunds=tuple(remote.refunds_of(known.order_id)),
        charges=tuple(remote.charge(text_of(charge, "id")) for charge in paid_back),
        sales=tuple(remote.sales_of(known.order_id)),
    )


def add_order_read(book: Book, reading: Reading) -> Book:
    """The book with all that was read but refunds, which are added one by one."""
    if reading.order is not None:
        time = reading.known.order.stamp.time if reading.known.order else _NEVER
        book = add_order(book, reading.order, Stamp(time, 1))
    for charge in reading.charges:
        book = add_charge(book, charge, _charge_stamp(reading.known, charge))
    for sale in reading.sales:
        book = add_sale(book, sale)
    return book


def add_refund_read(book: Book, reading: Reading, refund: Document) -> Book:
    """The book with one refund of a reading."""
    known = reading.known.refunds.get(text_of(refund, "id"))
    return add_refund(book, refund, read_stamp(known, refund))


def add_reading(book: Book, reading: Reading) -> Book:
    """The book with all that was read."""
    book = add_order_read(book, reading)
    for refund in reading.refunds:
        book = add_refund_read(book, reading, refund)
    return book


def is_unaccounted(book: Book) -> bool:
    """Whether the order has paid back more than the refunds and chargebacks that we know of."""
    known = succeeded_amount(book) + chargeback_amount(book)
    return order_view(book).refunded_amount > known


def _charge_stamp(known: Book, charge: Document) -> Stamp:
    charge_id = text_of(charge, "id")
    times = [
        record.stamp.time
        for record in known.charge_refunds.values()
        if record.charge_id == charge_id
    ]
    return Stamp(max(times, default=time_of(charge, "createdTime")), 1)
