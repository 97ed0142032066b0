"""Makes the calls that are owed to the shop: at least once each, with an id that stays the same."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from refundry_sync.sync.announcing import CHANGE
from refundry_sync.sync.documents import (
    amount_of,
    object_of,
    objects_of,
    optional_text,
    read_view,
)
from refundry_sync.sync.records import Outgoing
from refundry_sync.sync.remote import Remote
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.store import Store, backed_off
from refundry_sync.sync.views import FAILED_STATES, Document, OrderRefundView, RefundView

BATCH = 100


class OnRefundChange(Protocol):
    """Called for each change, those of one order in turn; change_id tells a repeat from a news."""

    def __call__(
        self, order: OrderRefundView, refund: RefundView | None, *, change_id: str
    ) -> object: ...


class PaidBack(msgspec.Struct, frozen=True):
    """What goes back to one source of payment; brand and last_four: of a card."""

    amount: Decimal
    type: str | None = None
    brand: str | None = None
    last_four: str | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail is made of. id: the same for every repeat; one per refund and kind.

    refund: None in what is about a return or the order. document: the return or order of an alert.
    paid_back: of a confirmation. Codes and failure reasons are for staff, not for the mail.
    """

    id: str
    kind: str
    order: OrderRefundView
    refund: RefundView | None = None
    document: Document = {}
    paid_back: tuple[PaidBack, ...] = ()

    @property
    def amount(self) -> Decimal | None:
        """What was paid back if the refund succeeded, else what was asked for."""
        if self.refund is None:
            return None
        paid = self.kind == "refund_confirmation"
        return self.refund.refunded_amount if paid else self.refund.amount

    @property
    def lines(self) -> list[Document]:
        return objects_of(self.refund.document if self.refund else self.document, "items")

    @property
    def token(self) -> str | None:
        """Opens the form for bank details."""
        return optional_text(self._token_information, "token")

    @property
    def expires_time(self) -> str | None:
        """Until when bank details may be handed in, ISO-8601."""
        return optional_text(self._token_information, "expiresTime")

    @property
    def _token_information(self) -> Document:
        return object_of(self.refund.document, "tokenInformation") if self.refund else {}


Notify = Callable[[str, Notification], object]


class _Payload(msgspec.Struct, frozen=True):
    order: OrderRefundView
    refund: RefundView | None = None
    document: dict[str, Any] = {}


class Caller:
    """The shop's two ports, and what is owed to them."""

    def __init__(
        self,
        store: Store,
        remote: Remote,
        settings: Settings,
        on_refund_change: OnRefundChange,
        notify: Notify,
    ) -> None:
        self._store = store
        self._remote = remote
        self._settings = settings
        self._on_refund_change = on_refund_change
        self._notify = notify

    def call_due(self, now: datetime) -> int:
        """Make the calls that are due, the next ones of their lines too; how many were made."""
        made = 0
        while True:
            with self._store.transaction() as tx:
                due = tx.due_calls(now, BATCH)
            made_now = sum(self._call(call, now) for call in due)
            made += made_now
            if made_now == 0:
                return made

    def _call(self, call: Outgoing, now: datetime) -> bool:
        """Whether it was made. It is ours for the time of the lease; after that it is due again."""
        with self._store.transaction() as tx:
            if not tx.claim_call(call, now + self._settings.lease):
                return False
        failure = self._make(call)
        with self._store.transaction() as tx:
            tx.update_call(_after_call(call, failure, self._settings.give_up_after, now))
        return failure is None

    def _make(self, call: Outgoing) -> Exception | None:
        """The shop's own code may fail in any way, and is called again then."""
        payload = read_view(call.payload, _Payload)
        try:
            if call.kind == CHANGE:
                self._on_refund_change(payload.order, payload.refund, change_id=call.id)
            elif not self._is_overtaken(call, payload):
                self._notify(call.kind, self._notification(call, payload))
        except Exception as error:
            return error
        return None

    def _is_overtaken(self, call: Outgoing, payload: _Payload) -> bool:
        """A success that is known to have failed since is not announced."""
        if call.kind != "refund_confirmation" or payload.refund is None:
            return False
        with self._store.transaction() as tx:
            book = tx.find_book(call.order_id)
        refund = book.refunds.get(payload.refund.id) if book else None
        return refund is not None and refund.state in FAILED_STATES

    def _notification(self, call: Outgoing, payload: _Payload) -> Notification:
        paid_back: tuple[PaidBack, ...] = ()
        if call.kind == "refund_confirmation" and payload.refund is not None:
            paid_back = tuple(self._paid_back(payload.refund))
        return Notification(
            id=call.id,
            kind=call.kind,
            order=payload.order,
            refund=payload.refund,
            document=payload.document,
            paid_back=paid_back,
        )

    def _paid_back(self, refund: RefundView) -> list[PaidBack]:
        """Charge by charge; the source is read, as the refund names it only."""
        return [
            _paid_through(self._remote.source(source_id) if source_id else {}, record)
            for charge in objects_of(refund.document, "charges")
            for source_id in [optional_text(charge, "sourceId")]
            for record in objects_of(charge, "refunds")
            if record.get("state") == "complete"
        ]


def _paid_through(source: Document, record: Document) -> PaidBack:
    card = object_of(source, "creditCard")
    return PaidBack(
        amount=amount_of(record, "amount"),
        type=optional_text(source, "type"),
        brand=optional_text(card, "brand"),
        last_four=optional_text(card, "lastFourDigits"),
    )


def _after_call(
    call: Outgoing, failure: Exception | None, give_up_after: timedelta, now: datetime
) -> Outgoing:
    attempts = call.attempts + 1
    if failure is None:
        return msgspec.structs.replace(call, status="done", attempts=attempts, error=None)
    return msgspec.structs.replace(
        call,
        status="dead" if now - call.created_time >= give_up_after else "waiting",
        attempts=attempts,
        due_time=backed_off(attempts, now),
        error=f"{type(failure).__name__}: {failure}",
    )
