"""Works the inbox off: the waiting events of an order together, after one reading of the order."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from refundry_sync.errors import SyncError
from refundry_sync.sync.booking import Step, reading_steps, save, take_steps
from refundry_sync.sync.documents import Malformed, read_event, read_json
from refundry_sync.sync.merging import (
    CHARGE_TYPES,
    REFUND_TYPES,
    RETURN_TYPES,
    apply_event,
)
from refundry_sync.sync.reading import Reading, add_order_read, add_reading, is_unaccounted
from refundry_sync.sync.records import InboxEntry
from refundry_sync.sync.remote import Remote
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.store import Store, Tx, backed_off
from refundry_sync.sync.views import Book, Event

_REFRESHING = frozenset((*REFUND_TYPES, *CHARGE_TYPES))
# What could not be read of the API; tried again for a day.
Failure = SyncError | Malformed


def process_order(
    store: Store, remote: Remote, settings: Settings, order_id: str, now: datetime
) -> int:
    """Take in every waiting event of an order; how many there were.

    Where the API gives no answer, what the events say is taken in all the same, and those that
    wanted the order read are tried again.
    """
    with store.transaction() as tx:
        entries = tx.waiting_events(order_id)
        known = tx.find_book(order_id) or Book(order_id=order_id)
    events, broken = _parsed(entries)
    reading, failure = _read(remote, known, [event for _, event in events])
    with store.transaction() as tx:
        tx.lock_order(order_id)
        _book_events(tx, settings, events, reading, now)
        waiting = {entry.event_id for entry in tx.waiting_events(order_id)}
        for entry, event in events:
            if entry.event_id in waiting:
                wanting = failure if event.type in _REFRESHING or known.order is None else None
                tx.update_event(_after_try(entry, wanting, settings.give_up_after, now))
        for entry, error in broken:
            tx.update_event(_after_try(entry, error, settings.give_up_after, now))
    return len(entries)


def _parsed(
    entries: Sequence[InboxEntry],
) -> tuple[list[tuple[InboxEntry, Event]], list[tuple[InboxEntry, Malformed]]]:
    """The events, and the entries that cannot be applied to any book."""
    events: list[tuple[InboxEntry, Event]] = []
    broken: list[tuple[InboxEntry, Malformed]] = []
    for entry in entries:
        try:
            event = read_event(read_json(entry.payload))
            apply_event(Book(order_id=entry.order_id), event)
            events.append((entry, event))
        except Malformed as error:
            broken.append((entry, error))
    return events, broken


def _read(remote: Remote, known: Book, events: Sequence[Event]) -> tuple[Reading, Failure | None]:
    """The order, if an event asks for it; its refunds, if `order.refunded` tells of one unknown."""
    reading = Reading(known)
    foreseen = known
    for event in events:
        foreseen = apply_event(foreseen, event)
    try:
        sold = any(event.type not in RETURN_TYPES for event in events)
        if any(event.type in _REFRESHING for event in events) or (sold and foreseen.order is None):
            order = Reading(known, remote.order(known.order_id))
            foreseen = add_order_read(foreseen, order)
            reading = order
        refunded = any(event.type == "order.refunded" for event in events)
        if refunded and is_unaccounted(foreseen):
            whole = Reading(known, reading.order, tuple(remote.refunds_of(known.order_id)))
            add_reading(foreseen, whole)
            reading = whole
    except (SyncError, Malformed) as error:
        return reading, error
    return reading, None


def _book_events(
    tx: Tx,
    settings: Settings,
    events: Sequence[tuple[InboxEntry, Event]],
    reading: Reading,
    now: datetime,
) -> None:
    """Each event is a step of its own, and the last one comes with the order as it was read."""
    if not events:
        return
    oldest_news = now - settings.announce_within
    before = tx.find_book(reading.known.order_id) or reading.known
    order_read, *refund_steps = reading_steps(reading, oldest_news)
    steps = [_event_step(event, oldest_news) for _, event in events]
    last = steps.pop()
    steps.append(Step(lambda book: order_read.apply(last.apply(book)), last.fresh, last.event))
    book, calls = take_steps(before, [*steps, *refund_steps], now)
    save(tx, book, calls, now)


def _event_step(event: Event, oldest_news: datetime) -> Step:
    return Step(lambda book: apply_event(book, event), event.created_time >= oldest_news, event)


def _after_try(
    entry: InboxEntry, failure: Failure | None, give_up_after: timedelta, now: datetime
) -> InboxEntry:
    """The entry after it was tried: done, to be tried again, or given up."""
    if failure is None:
        return msgspec.structs.replace(entry, status="done", error=None)
    attempts = entry.attempts + 1
    asked = getattr(failure, "retry_after", None)
    due = max(backed_off(attempts, now), now + timedelta(seconds=asked or 0))
    given_up = now - entry.received_time >= give_up_after
    return msgspec.structs.replace(
        entry,
        status="dead" if given_up else "waiting",
        attempts=attempts,
        due_time=due,
        error=f"{type(failure).__name__}: {failure}",
    )
