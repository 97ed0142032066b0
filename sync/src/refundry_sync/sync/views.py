"""What the shop knows of refunds: views of orders, refunds and charge refunds, and their book.

Everything here is a value. Amounts are Decimals in major units of the view's currency; times are
aware. `document` is the resource as it was received, its numbers exact.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

Document = dict[str, Any]
RefundStatus = Literal[
    "none",
    "pending",
    "pending_information",
    "refund_failed",
    "partially_refunded",
    "refunded",
    "partially_charged_back",
    "charged_back",
]
ZERO = Decimal(0)
OPEN_STATES = frozenset({"pending", "pending_information"})
FAILED_STATES = frozenset({"failed", "expired"})


class OrderRefundView(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of an order's money.

    state, amounts and version: of the newest snapshot of the order; None before the first one.
    synced_time: when that was taken in, on the shop's clock.
    """

    order_id: str
    upstream_id: str | None = None
    currency: str | None = None
    state: str | None = None
    captured_amount: Decimal | None = None
    refunded_amount: Decimal = ZERO
    available_to_refund_amount: Decimal | None = None
    refund_status: RefundStatus = "none"
    has_pending_refunds: bool = False
    chargeback_amount: Decimal = ZERO
    disputed: bool = False
    version: int | None = None
    synced_time: datetime | None = None


class Stamp(msgspec.Struct, frozen=True, order=True):
    """How new an observation is; the larger one is the newer one.

    time: of the event; of a resource that was read, the newest event that was known before.
    read: 1 for what was read, as it is at least as new as that event. event_id: breaks ties.
    """

    time: datetime
    read: int = 0
    event_id: str = ""


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """One refund. stamp, metadata_stamp: of what `document` and its metadata were taken from.

    first_event_time, last_event_time: of the events that were seen; None: it was only read.
    informed: whether bank details were ever asked for. notified: kinds of notifications.
    """

    id: str
    order_id: str
    state: str
    currency: str
    amount: Decimal
    refunded_amount: Decimal
    created_time: datetime
    reason: str | None = None
    failure_reason: str | None = None
    document: Document
    stamp: Stamp
    metadata_stamp: Stamp
    first_event_time: datetime | None = None
    last_event_time: datetime | None = None
    informed: bool = False
    notified: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def order_of_making(self) -> tuple[datetime, datetime, str]:
        """Sorts the refunds of an order by when they were made; resources have whole seconds."""
        return self.created_time, self.first_event_time or self.created_time, self.id


class ChargeRefundView(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid back through one charge; a chargeback has one, too."""

    id: str
    charge_id: str
    source_id: str | None
    order_id: str
    amount: Decimal
    state: str
    failure_code: str | None = None
    created_time: datetime
    stamp: Stamp


class ReturnView(msgspec.Struct, frozen=True, kw_only=True):
    """Goods coming back, as last heard of."""

    id: str
    order_id: str
    state: str
    document: Document
    stamp: Stamp


class OrderSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was published; document: without what says who bought (see KEPT)."""

    version: int | None
    updated_time: datetime
    stamp: Stamp
    document: Document


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one order.

    chargebacks: what each sales transaction of a chargeback took, by its id. charged_back: whether
    an `order.chargeback` was seen. changes: how many changes were told to the shop.
    """

    order_id: str
    order: OrderSnapshot | None = None
    refunds: dict[str, RefundView] = {}
    charge_refunds: dict[str, ChargeRefundView] = {}
    returns: dict[str, ReturnView] = {}
    chargebacks: dict[str, Decimal] = {}
    charged_back: bool = False
    alerts: tuple[str, ...] = ()
    synced_time: datetime | None = None
    changes: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was received; object: `data.object`."""

    id: str
    type: str
    created_time: datetime
    order_id: str
    object: Document
