"""Writes news into a book, and in the same transaction what the shop is to be told of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from refundry_sync.sync.announcing import CHANGE, Announcement, announce
from refundry_sync.sync.documents import text_of, time_of
from refundry_sync.sync.reading import Reading, add_order_read, add_refund_read
from refundry_sync.sync.records import Outgoing
from refundry_sync.sync.store import Tx
from refundry_sync.sync.views import Book, Document, Event


@dataclass(frozen=True)
class Step:
    """One piece of news. fresh: whether shoppers are to hear of it."""

    apply: Callable[[Book], Book]
    fresh: bool
    event: Event | None = None


def take_steps(book: Book, steps: Sequence[Step], now: datetime) -> tuple[Book, list[Announcement]]:
    """The book after the steps, and every call that they lead to."""
    calls: list[Announcement] = []
    for step in steps:
        after = msgspec.structs.replace(step.apply(book), synced_time=now)
        book, due = announce(book, after, step.event, fresh=step.fresh)
        calls += due
    return book, calls


def reading_steps(reading: Reading, oldest_news: datetime) -> list[Step]:
    """oldest_news: refunds that were made before it, and that we hear of now, are old stories."""
    steps = [Step(lambda book: add_order_read(book, reading), fresh=True)]
    for refund in reading.refunds:
        known = text_of(refund, "id") in reading.known.refunds
        fresh = known or time_of(refund, "createdTime") >= oldest_news
        steps.append(Step(_refund_step(reading, refund), fresh=fresh))
    return steps


def save(tx: Tx, book: Book, calls: Sequence[Announcement], now: datetime) -> None:
    """The caller holds the order's lock."""
    tx.save_book(book)
    for call in calls:
        tx.insert_call(_outgoing(call, now))


def book_reading(tx: Tx, reading: Reading, oldest_news: datetime, now: datetime) -> Book:
    """Lock the order and take a reading in."""
    order_id = reading.known.order_id
    tx.lock_order(order_id)
    before = tx.find_book(order_id) or Book(order_id=order_id)
    book, calls = take_steps(before, reading_steps(reading, oldest_news), now)
    save(tx, book, calls, now)
    return book


def _refund_step(reading: Reading, refund: Document) -> Callable[[Book], Book]:
    return lambda book: add_refund_read(book, reading, refund)


def _outgoing(call: Announcement, now: datetime) -> Outgoing:
    """Changes of an order go out in their order; a notification waits for nothing else."""
    return Outgoing(
        id=call.id,
        order_id=call.order_id,
        line=call.order_id if call.kind == CHANGE else call.id,
        number=call.number,
        kind=call.kind,
        created_time=now,
        due_time=now,
        status="waiting",
        payload=call.payload,
    )
