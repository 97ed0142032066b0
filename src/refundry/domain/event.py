"""Every event type we publish, and `Change`: what a command did to an order, event by event."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from refundry.domain.charge import Charge, ChargeState, Operation, charge_state
from refundry.domain.order import Order, OrderState, due_state, enter_state

if TYPE_CHECKING:
    from refundry.domain.dispute import SalesTransaction
    from refundry.domain.fulfillment import Fulfillment
    from refundry.domain.refund import Refund
    from refundry.domain.returns import Return


class EventType(StrEnum):
    """The types that Refundry emits (contract, events, section 3)."""

    ORDER_PENDING_PAYMENT = "order.pending_payment"
    ORDER_REVIEW_OPENED = "order.review_opened"
    ORDER_BLOCKED = "order.blocked"
    ORDER_ACCEPTED = "order.accepted"
    ORDER_UPDATED = "order.updated"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_FULFILLED = "order.fulfilled"
    ORDER_COMPLETE = "order.complete"
    ORDER_REFUNDED = "order.refunded"
    ORDER_DISPUTE = "order.dispute"
    ORDER_DISPUTE_RESOLVED = "order.dispute.resolved"
    ORDER_CHARGEBACK = "order.chargeback"
    CHARGE_PENDING = "order.charge.pending"
    CHARGE_CAPTURABLE = "order.charge.capturable"
    CHARGE_PROCESSING = "order.charge.processing"
    CHARGE_COMPLETE = "order.charge.complete"
    CHARGE_CANCELLED = "order.charge.cancelled"
    CHARGE_FAILED = "order.charge.failed"
    CAPTURE_PENDING = "order.charge.capture.pending"
    CAPTURE_COMPLETE = "order.charge.capture.complete"
    CAPTURE_FAILED = "order.charge.capture.failed"
    CANCEL_PENDING = "order.charge.cancel.pending"
    CANCEL_COMPLETE = "order.charge.cancel.complete"
    CANCEL_FAILED = "order.charge.cancel.failed"
    CHARGE_REFUND_PENDING = "order.charge.refund.pending"
    CHARGE_REFUND_COMPLETE = "order.charge.refund.complete"
    CHARGE_REFUND_FAILED = "order.charge.refund.failed"
    FULFILLMENT_CREATED = "fulfillment.created"
    REFUND_CREATED = "refund.created"
    REFUND_PENDING = "refund.pending"
    REFUND_PENDING_INFORMATION = "refund.pending_information"
    REFUND_COMPLETE = "refund.complete"
    REFUND_FAILED = "refund.failed"
    REFUND_UPDATED = "refund.updated"
    RETURN_CREATED = "return.created"
    RETURN_UPDATED = "return.updated"
    RETURN_ACCEPTED = "return.accepted"
    SALES_TRANSACTION_CREATED = "sales_transaction.created"


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be written: its type and the resource as it was when the event was due.

    changed: for an `.updated` event, the names of the top-level attributes that may have changed;
    refund_before, order_before, goods_before: the resource before it.
    """

    type: EventType
    order: Order
    charge_id: str | None = None
    refund: "Refund | None" = None
    fulfillment: "Fulfillment | None" = None
    refund_before: "Refund | None" = None
    order_before: Order | None = None
    changed: tuple[str, ...] = ()
    goods: "Return | None" = None
    goods_before: "Return | None" = None
    sales: "SalesTransaction | None" = None


@dataclass(slots=True)
class Change:
    """An order under change within one transaction; collects the events in their order.

    The version goes up once, and again before each further event that publishes the order, as
    consumers rank snapshots by it.
    """

    order: Order
    now: datetime
    drafts: list[Draft] = field(default_factory=list[Draft])
    refunds: dict[str, "Refund"] = field(default_factory=dict[str, "Refund"])
    _published: Order | None = None

    def __post_init__(self) -> None:
        self.order = replace(
            self.order,
            version=self.order.version + 1,
            # Clocks differ a little from process to process; a consumer's poll must not miss us.
            updated_at=max(self.order.updated_at, self.now.replace(microsecond=0)),
        )

    def order_event(self, event_type: EventType, changed: tuple[str, ...] = ()) -> None:
        """Record an event that publishes the order as it now is."""
        if self._is_published():
            self.order = replace(self.order, version=self.order.version + 1)
        self._published = self.order
        self.drafts.append(Draft(event_type, self.order, changed=changed))

    def close(self) -> None:
        """End the change: an order that went on after its event gets a version of its own."""
        if self._is_published() and self.order != self._published:
            self.order = replace(self.order, version=self.order.version + 1)

    def _is_published(self) -> bool:
        """Whether the present version is that of a snapshot that is out."""
        return self._published is not None and self._published.version == self.order.version

    def charge_event(self, event_type: EventType, charge_id: str) -> None:
        """Record an event that publishes a charge as it now is."""
        self.drafts.append(Draft(event_type, self.order, charge_id=charge_id))

    def refund_event(
        self,
        event_type: EventType,
        refund: "Refund",
        before: "tuple[Order, Refund] | None" = None,
        changed: tuple[str, ...] = (),
    ) -> None:
        """Record an event that publishes a refund, and keep the refund as changed."""
        self.keep_refund(refund)
        order_before, refund_before = before or (None, None)
        self.drafts.append(
            Draft(
                event_type,
                self.order,
                refund=refund,
                refund_before=refund_before,
                order_before=order_before,
                changed=changed,
            )
        )

    def fulfillment_event(self, fulfillment: "Fulfillment") -> None:
        """Record that a fulfilment was made."""
        self.drafts.append(
            Draft(EventType.FULFILLMENT_CREATED, self.order, fulfillment=fulfillment)
        )

    def return_event(
        self,
        event_type: EventType,
        goods: "Return",
        before: "Return | None" = None,
        changed: tuple[str, ...] = (),
    ) -> None:
        """Record an event that publishes a return as it now is."""
        self.drafts.append(
            Draft(event_type, self.order, goods=goods, goods_before=before, changed=changed)
        )

    def sales_event(self, sales: "SalesTransaction") -> None:
        """Record that a sales transaction was made."""
        self.drafts.append(Draft(EventType.SALES_TRANSACTION_CREATED, self.order, sales=sales))

    def keep_refund(self, refund: "Refund") -> None:
        """Note that `refund` is to be stored as it now is."""
        self.refunds[refund.id] = refund

    def put_operation(self, operation: Operation) -> Charge:
        """Add or replace an operation of its charge; the charge's state is not touched yet."""
        charge = self.order.charge(operation.charge_id).with_operation(operation)
        self.order = self.order.with_charge(charge)
        return charge

    def refresh_charges(self) -> None:
        """Bring every charge into the state that its operations call for, with the events."""
        for charge in self.order.charges:
            state = charge_state(charge)
            if state is not charge.state:
                self.enter_charge_state(charge, state)

    def enter_charge_state(self, charge: Charge, state: ChargeState) -> None:
        """Put a charge into `state` and record the event of it."""
        self.order = self.order.with_charge(replace(charge, state=state))
        self.charge_event(EventType(f"order.charge.{state}"), charge.id)

    def refresh_order(self) -> None:
        """Let the order enter every state that its units and charges call for."""
        while state := due_state(self.order):
            self.order = enter_state(self.order, state, self.now)
            self.order_event(_ENTRY_EVENTS[state])


_ENTRY_EVENTS = {
    OrderState.PENDING_PAYMENT: EventType.ORDER_PENDING_PAYMENT,
    OrderState.IN_REVIEW: EventType.ORDER_REVIEW_OPENED,
    OrderState.BLOCKED: EventType.ORDER_BLOCKED,
    OrderState.ACCEPTED: EventType.ORDER_ACCEPTED,
    OrderState.CANCELLED: EventType.ORDER_CANCELLED,
    OrderState.FULFILLED: EventType.ORDER_FULFILLED,
    OrderState.COMPLETE: EventType.ORDER_COMPLETE,
}


def entry_event(state: OrderState) -> EventType | None:
    """The event that announces an order's entry into `state`; None where another one does."""
    return _ENTRY_EVENTS.get(state)
