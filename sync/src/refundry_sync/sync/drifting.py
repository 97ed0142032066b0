"""The drift report: what the shop believes of each order against what Refundry says now."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from refundry_sync.errors import NotFound
from refundry_sync.sync.documents import plain, read_event, text_of
from refundry_sync.sync.merging import HANDLED_TYPES
from refundry_sync.sync.reading import Reading, add_reading
from refundry_sync.sync.reconciling import Progress, is_untouched, order_facts
from refundry_sync.sync.remote import Remote
from refundry_sync.sync.store import Store
from refundry_sync.sync.views import Book, Document

PAGE = 500
# What the shop's own books say that an order has paid back; None: it does not know the order.
ShopTotal = Callable[[str], Decimal | None]


@dataclass(frozen=True, slots=True)
class EventToReplay:
    """An event that the shop has not taken in."""

    id: str
    type: str
    created_time: datetime


@dataclass(frozen=True, slots=True)
class OrderDrift:
    """An order on which the two do not agree; figures that agree are left out.

    ours, theirs: by field. events: those of the order that would mend it, oldest first.
    """

    order_id: str
    ours: Mapping[str, str]
    theirs: Mapping[str, str]
    events: tuple[EventToReplay, ...] = ()


class DriftReporter:
    """Reads every order that either side knows refunds of. It changes nothing."""

    def __init__(self, store: Store, remote: Remote, shop_total: ShopTotal | None = None) -> None:
        self._store = store
        self._remote = remote
        self._shop_total = shop_total

    def report(self, since: datetime, progress: Progress) -> list[OrderDrift]:
        """since: orders that the shop knows are all read; others if they changed since then."""
        found: list[OrderDrift] = []
        seen: set[str] = set()
        for order_id in self._known_orders():
            progress(len(seen), None, "orders")
            seen.add(order_id)
            found += self._compare(order_id)
        for order_id in self._refunded_since(since):
            if order_id not in seen:
                seen.add(order_id)
                found += self._compare(order_id)
        events = self._missing_events(since) if found else {}
        return [
            OrderDrift(each.order_id, each.ours, each.theirs, tuple(events.get(each.order_id, ())))
            for each in found
        ]

    def _known_orders(self) -> list[str]:
        known: list[str] = []
        while True:
            with self._store.transaction() as tx:
                page = tx.order_ids(known[-1] if known else "", PAGE)
            if not page:
                return known
            known += page

    def _refunded_since(self, since: datetime) -> Iterator[str]:
        """Orders that Refundry knows refunds of, some of them twice."""
        for order in self._remote.orders_since(since):
            if not is_untouched(order):
                yield text_of(order, "id")
        for refund in self._remote.refunds_since(since):
            yield text_of(refund, "orderId")

    def _compare(self, order_id: str) -> list[OrderDrift]:
        with self._store.transaction() as tx:
            book = tx.find_book(order_id) or Book(order_id=order_id)
        try:
            order = self._remote.order(order_id)
        except NotFound:
            return [OrderDrift(order_id, {"order": "known"}, {"order": "unknown"})]
        theirs = self._facts(order_id, order)
        ours = self._our_facts(book)
        fields = [field for field in {**ours, **theirs} if ours.get(field) != theirs.get(field)]
        if not fields:
            return []
        return [
            OrderDrift(
                order_id,
                {field: ours[field] for field in fields if field in ours},
                {field: theirs[field] for field in fields if field in theirs},
            )
        ]

    def _facts(self, order_id: str, order: Document) -> dict[str, str]:
        """What Refundry says, as a shop would see it that had never missed anything."""
        empty = Book(order_id=order_id)
        refunds = tuple(self._remote.refunds_of(order_id))
        sales = tuple(self._remote.sales_of(order_id))
        whole = add_reading(empty, Reading(empty, order, refunds, (), sales))
        facts = _facts(whole)
        if self._shop_total is not None:
            facts["shop"] = facts["refundedAmount"]
        return facts

    def _our_facts(self, book: Book) -> dict[str, str]:
        facts = _facts(book)
        total = self._shop_total(book.order_id) if self._shop_total is not None else None
        return facts if total is None else {**facts, "shop": plain(total)}

    def _missing_events(self, since: datetime) -> dict[str, list[EventToReplay]]:
        """Events that are not in the inbox, or not done, by order."""
        missing: dict[str, list[EventToReplay]] = {}
        for document in self._remote.events_since(since, sorted(HANDLED_TYPES)):
            event = read_event(document)
            with self._store.transaction() as tx:
                entry = tx.find_event(event.id)
            if entry is None or entry.status != "done":
                listed = missing.setdefault(event.order_id, [])
                listed.insert(0, EventToReplay(event.id, event.type, event.created_time))
        return missing


def _facts(book: Book) -> dict[str, str]:
    """By field; refunds as `<id> state` and `<id> refundedAmount`."""
    facts = order_facts(book)
    for refund in book.refunds.values():
        facts[f"{refund.id} state"] = refund.state
        facts[f"{refund.id} refundedAmount"] = plain(refund.refunded_amount)
    return facts
