"""Finds what no webhook told: reads refunds, events and orders again, and says what differed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry_sync.errors import NotFound
from refundry_sync.sync.booking import book_reading
from refundry_sync.sync.documents import plain, read_event, text_of
from refundry_sync.sync.merging import HANDLED_TYPES
from refundry_sync.sync.reading import Reading, add_reading, is_unaccounted, read_whole
from refundry_sync.sync.receiver import inbox_entry
from refundry_sync.sync.remote import Remote
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.status import order_view
from refundry_sync.sync.store import Store
from refundry_sync.sync.views import Book, Document

MANY = 1_000_000
# What was done so far, how much there is in all if that is known, and what it is.
Progress = Callable[[int, int | None, str], object]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something the shop did not know, or knew otherwise. field: "event" for one never received.

    ours: what the shop had; None: nothing. theirs: what Refundry says.
    """

    order_id: str
    subject: str
    field: str
    ours: str | None
    theirs: str


class Reconciler:
    """Compares with the API. Each method gives the differences, and mends them unless dry."""

    def __init__(self, store: Store, remote: Remote, settings: Settings) -> None:
        self._store = store
        self._remote = remote
        self._settings = settings

    def open_refunds(
        self, made_before: datetime, now: datetime, dry: bool, progress: Progress
    ) -> list[Difference]:
        """Refunds that are not final for us, read one by one."""
        with self._store.transaction() as tx:
            waiting = tx.open_refunds(made_before, MANY)
        found: list[Difference] = []
        for number, (order_id, refund_id) in enumerate(waiting, start=1):
            progress(number, len(waiting), "open")
            known = self._book(order_id)
            try:
                refunds = (self._remote.refund(refund_id),)
            except NotFound:
                continue
            if not self._says_more(known, refunds):
                continue
            reading = Reading(known, self._remote.order(order_id), refunds)
            found += self._take(reading, now, dry)
        return found

    def missed_refunds(
        self, since: datetime, now: datetime, dry: bool, progress: Progress
    ) -> list[Difference]:
        """Refunds made since then that we do not know, or know otherwise."""
        found: list[Difference] = []
        for number, refund in enumerate(self._remote.refunds_since(since), start=1):
            progress(number, None, "refunds")
            known = self._book(text_of(refund, "orderId"))
            if self._says_more(known, (refund,)):
                reading = Reading(known, self._remote.order(known.order_id), (refund,))
                found += self._take(reading, now, dry)
        return found

    def missed_events(
        self, since: datetime, now: datetime, dry: bool, progress: Progress
    ) -> list[Difference]:
        """Events since then that never arrived; they go into the inbox as if they just had."""
        found: list[Difference] = []
        types = sorted(HANDLED_TYPES)
        for number, document in enumerate(self._remote.events_since(since, types), start=1):
            progress(number, None, "events")
            entry = inbox_entry(read_event(document), document, now)
            with self._store.transaction() as tx:
                is_new = not tx.find_event(entry.event_id) if dry else tx.insert_event(entry)
            if is_new:
                found.append(Difference(entry.order_id, entry.event_id, "event", None, entry.type))
        return found

    def orders(
        self, since: datetime, now: datetime, dry: bool, progress: Progress
    ) -> list[Difference]:
        """Orders changed since then whose figures are not ours; all of such an order is read."""
        found: list[Difference] = []
        for number, order in enumerate(self._remote.orders_since(since), start=1):
            progress(number, None, "orders")
            known = self._book(text_of(order, "id"))
            reading = Reading(known, order)
            if known.order is None and is_untouched(order):
                continue
            after = add_reading(known, reading)
            if _differences(known, after) or (is_unaccounted(after) and known.order is None):
                found += self._take(read_whole(self._remote, known), now, dry)
        return found

    def order(self, order_id: str, now: datetime, dry: bool) -> list[Difference]:
        """One order, with all that belongs to it. Raises NotFound."""
        return self._take(read_whole(self._remote, self._book(order_id)), now, dry)

    def _book(self, order_id: str) -> Book:
        with self._store.transaction() as tx:
            return tx.find_book(order_id) or Book(order_id=order_id)

    def _says_more(self, known: Book, refunds: Sequence[Document]) -> bool:
        after = add_reading(known, Reading(known, refunds=tuple(refunds)))
        return _refund_facts(after) != _refund_facts(known)

    def _take(self, reading: Reading, now: datetime, dry: bool) -> list[Difference]:
        differences = _differences(reading.known, add_reading(reading.known, reading))
        if not dry:
            with self._store.transaction() as tx:
                book_reading(tx, reading, now - self._settings.announce_within, now)
        return differences


def is_untouched(order: Document) -> bool:
    """Whether no money of the order has gone back, so that nobody needs to know it."""
    return order.get("refundedAmount") == 0 and order.get("state") != "dispute"


def _differences(before: Book, after: Book) -> list[Difference]:
    """What the shop sees otherwise after the news; the order's figures, then each refund's."""
    return [
        Difference(before.order_id, subject, field, ours.get(field), theirs)
        for subject, ours, facts in _subjects(before, after)
        for field, theirs in facts.items()
        if ours.get(field) != theirs
    ]


def _subjects(before: Book, after: Book) -> Iterable[tuple[str, dict[str, str], dict[str, str]]]:
    ours = order_facts(before) if before.order is not None else {}
    yield before.order_id, ours, order_facts(after)
    known = _refund_facts(before)
    for refund_id, facts in _refund_facts(after).items():
        yield refund_id, known.get(refund_id, {}), facts


def order_facts(book: Book) -> dict[str, str]:
    """The figures of an order that have to agree, as text; none before its first snapshot."""
    view = order_view(book)
    figures = {
        "refundedAmount": view.refunded_amount if book.order else None,
        "availableToRefundAmount": view.available_to_refund_amount,
        "chargebackAmount": view.chargeback_amount,
    }
    words = {"refundStatus": view.refund_status, "state": view.state}
    return {
        **{field: plain(figure) for field, figure in figures.items() if figure is not None},
        **{field: word for field, word in words.items() if word is not None},
    }


def _refund_facts(book: Book) -> dict[str, dict[str, str]]:
    return {
        refund.id: {
            "state": refund.state,
            "refundedAmount": plain(refund.refunded_amount),
            "failureReason": refund.failure_reason or "",
        }
        for refund in book.refunds.values()
    }
