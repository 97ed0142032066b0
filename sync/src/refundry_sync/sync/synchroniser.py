"""Keeps a shop in step with its refunds: the one class that a shop uses."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from itertools import repeat
from typing import TYPE_CHECKING, Any

from refundry_sync.errors import NotFound
from refundry_sync.receiving.reception import Reception
from refundry_sync.sync.booking import book_reading
from refundry_sync.sync.calling import Caller, Notification, Notify, OnRefundChange
from refundry_sync.sync.drifting import DriftReporter, OrderDrift, ShopTotal
from refundry_sync.sync.finding import FoundRefund, find_in_store, refunds_of_book
from refundry_sync.sync.looping import Loop, Stopped, run_until
from refundry_sync.sync.processing import process_order
from refundry_sync.sync.reading import read_whole
from refundry_sync.sync.receiver import receive
from refundry_sync.sync.reconciling import Difference, Progress, Reconciler
from refundry_sync.sync.records import DeadLetter
from refundry_sync.sync.remote import ClientRemote
from refundry_sync.sync.requesting import Requester, RequestOutcome, asked_fields
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.status import order_view
from refundry_sync.sync.store import Store
from refundry_sync.sync.views import Book, OrderRefundView, RefundView

if TYPE_CHECKING:
    from refundry_sync.client import Client

_LOG = logging.getLogger("refundry_sync")
ORDERS_AT_ONCE = 100


def _ignore_change(order: OrderRefundView, refund: RefundView | None, *, change_id: str) -> None:
    """A shop that only asks for views needs no calls."""


def _ignore_notification(kind: str, notification: Notification) -> None:
    """A shop that sends no mails."""


def _now() -> datetime:
    return datetime.now(UTC)


def _no_progress(done: int, total: int | None, what: str) -> None:
    """Nobody watches."""


class Synchroniser:
    """Receives webhooks, keeps views, reconciles, and asks for refunds; safe to use from threads.

    on_refund_change(order, refund, change_id=...) and notify(kind, notification) are called from
    `process_due`, at least once for each change and notification, with ids that stay the same.
    """

    def __init__(
        self,
        store: Store,
        client: "Client",
        settings: Settings,
        on_refund_change: OnRefundChange = _ignore_change,
        notify: Notify = _ignore_notification,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._store = store
        self._remote = ClientRemote(client)
        self._settings = settings
        self._clock = clock
        self._caller = Caller(store, self._remote, settings, on_refund_change, notify)
        self._requester = Requester(store, self._remote, settings)
        self._reconciler = Reconciler(store, self._remote, settings)
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="refundry")
        self._woken = threading.Event()

    def close(self) -> None:
        """End the threads; the store and the client are the caller's."""
        self._workers.shutdown()

    def receive(
        self, headers: Mapping[str, str], body: bytes, now: datetime | None = None
    ) -> Reception:
        """Take a webhook in, and give the answer to it; nothing is processed yet.

        headers: in any case of letters. body: the bytes as they came.
        """
        reception = receive(self._store, self._settings, headers, body, now or self._clock())
        if reception.status == 202:
            self._woken.set()
        return reception

    def process_due(self, now: datetime | None = None) -> int:
        """Work off the inbox, resend requests without an answer, and call the shop.

        Gives how much was done; 0: nothing was due. What fails is tried again later.
        """
        now = now or self._clock()
        done = self._process_inbox(now)
        done += self._requester.resend_due(now)
        return done + self._caller.call_due(now)

    def reconcile(
        self,
        since: datetime,
        dry_run: bool = False,
        progress: Progress = _no_progress,
    ) -> list[Difference]:
        """Read everything since then again; gives what differed, mended unless it is a dry run.

        Raises ApiError and Unreachable; what was mended by then stays so.
        """
        now = self._clock()
        ever = datetime.max.replace(tzinfo=UTC)
        found = self._reconciler.open_refunds(ever, now, dry_run, progress)
        found += self._reconciler.missed_refunds(since, now, dry_run, progress)
        found += self._reconciler.orders(since, now, dry_run, progress)
        found += self._reconciler.missed_events(since, now, dry_run, progress)
        if not dry_run:
            self.process_due(now)
        return list(dict.fromkeys(found))

    def run_loops(self, stopping: threading.Event) -> None:
        """Process and reconcile until `stopping` is set, here and in a thread beside this one."""
        loops = self._loops(stopping)
        run_until(stopping, self._woken, self.process_due, loops, self._store)

    def request_refund(
        self,
        order_id: str,
        *,
        request_id: str,
        lines: Sequence[Mapping[str, Any]] | None = None,
        amount: Decimal | None = None,
        percent: Decimal | None = None,
        type: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> RequestOutcome:
        """Ask for a refund: of lines, an amount, or a share of the order.

        request_id: yours, of one wish of one person; with the same one it is never asked for twice.
        lines: elements of `items` as the API has them. Whatever goes wrong is in the outcome.
        Raises ValueError unless exactly one of lines, amount and percent is given.
        """
        asked = asked_fields(
            lines=lines,
            amount=amount,
            percent=percent,
            type=type,
            reason=reason,
            metadata=metadata,
        )
        return self._requester.request(request_id, order_id, asked, self._clock())

    def order_view(self, order_id: str) -> OrderRefundView:
        """What has become of an order's money. Raises NotFound if nobody knows the order."""
        return order_view(self.book(order_id))

    def refund_view(self, refund_id: str) -> RefundView:
        """One refund. Raises NotFound."""
        with self._store.transaction() as tx:
            order_id = tx.order_of_refund(refund_id)
        if order_id is None:
            order_id = str(self._remote.refund(refund_id)["orderId"])
        book = self.book(order_id)
        if refund_id not in book.refunds:
            book = self._load(order_id)
        return book.refunds[refund_id]

    def find_refunds(
        self,
        order_id: str | None = None,
        refund_id: str | None = None,
        state: str | None = None,
    ) -> list[FoundRefund]:
        """Refunds and refused requests, newest first; without filters the newest of all orders."""
        if refund_id is not None:
            try:
                order_id = self.refund_view(refund_id).order_id
            except NotFound:
                return []
        if order_id is None:
            with self._store.transaction() as tx:
                return find_in_store(tx, state)
        found = self._refunds_of(order_id)
        return [
            each
            for each in found
            if state in (None, each.state) and refund_id in (None, each.refund_id)
        ]

    def book(self, order_id: str) -> Book:
        """All that is known of an order; read from the API if it is not known. Raises NotFound."""
        with self._store.transaction() as tx:
            book = tx.find_book(order_id)
        return book if book is not None and book.order is not None else self._load(order_id)

    def dead_letters(self) -> list[DeadLetter]:
        """What was tried for a day in vain, newest first."""
        with self._store.transaction() as tx:
            return tx.dead_letters()

    def revive(self, letter: DeadLetter) -> None:
        """Try a dead letter again, once what was wrong is mended."""
        with self._store.transaction() as tx:
            tx.revive(letter, self._clock())

    def drift(
        self,
        since: datetime,
        progress: Progress = _no_progress,
        shop_total: ShopTotal | None = None,
    ) -> list[OrderDrift]:
        """The orders on which the shop and Refundry do not agree; it changes nothing.

        since: how far back to look for orders that the shop does not know. shop_total: what your
        own books say an order has paid back, to be compared as well.
        """
        return DriftReporter(self._store, self._remote, shop_total).report(since, progress)

    def _refunds_of(self, order_id: str) -> list[FoundRefund]:
        with self._store.transaction() as tx:
            requests = tx.requests_of(order_id)
        try:
            book = self.book(order_id)
        except NotFound:
            book = Book(order_id=order_id)
        return refunds_of_book(book, requests)

    def _load(self, order_id: str) -> Book:
        """Read an order and all that belongs to it. Raises NotFound."""
        now = self._clock()
        with self._store.transaction() as tx:
            known = tx.find_book(order_id) or Book(order_id=order_id)
        reading = read_whole(self._remote, known)
        with self._store.transaction() as tx:
            return book_reading(tx, reading, now - self._settings.announce_within, now)

    def _process_inbox(self, now: datetime) -> int:
        """Orders at once, the events of one together."""
        done = 0
        while True:
            with self._store.transaction() as tx:
                order_ids = tx.due_orders(now, ORDERS_AT_ONCE)
            if not order_ids:
                return done
            done += sum(self._workers.map(self._process, order_ids, repeat(now)))

    def _process(self, order_id: str, now: datetime) -> int:
        return process_order(self._store, self._remote, self._settings, order_id, now)

    def _loops(self, stopping: threading.Event) -> list[Loop]:
        settings, reconciler = self._settings, self._reconciler

        def progress(_done: int, _total: int | None, _what: str) -> None:
            if stopping.is_set():
                raise Stopped

        def since(last: datetime | None, now: datetime) -> datetime:
            return (last or now - settings.full_window) - settings.missed_overlap

        def open_refunds(_last: datetime | None, now: datetime) -> None:
            made_before = now - settings.open_refunds_older_than
            _report(reconciler.open_refunds(made_before, now, False, progress))

        def missed_refunds(last: datetime | None, now: datetime) -> None:
            _report(reconciler.missed_refunds(since(last, now), now, False, progress))

        def missed_events(last: datetime | None, now: datetime) -> None:
            _report(reconciler.missed_events(since(last, now), now, False, progress))

        def full(_last: datetime | None, now: datetime) -> None:
            _report(reconciler.orders(now - settings.full_window, now, False, progress))
            with self._store.transaction() as tx:
                tx.forget(now - settings.keep_payloads)

        return [
            Loop("open refunds", settings.open_refunds_every, open_refunds),
            Loop("missed refunds", settings.missed_every, missed_refunds),
            Loop("missed events", settings.missed_every, missed_events),
            Loop("full", settings.full_every, full),
        ]


def _report(found: Sequence[Difference]) -> None:
    """Say in the log what a loop has mended."""
    for each in found:
        subject = "" if each.subject == each.order_id else f" {each.subject}"
        _LOG.warning(
            "mended: order %s%s %s was %s, is %s",
            each.order_id, subject, each.field, each.ours, each.theirs,
        )  # fmt: skip
