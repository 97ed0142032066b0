"""An order: what was ordered, captured, held and refunded, and the states it goes through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from refundry.domain.cells import EMPTY, Cells, Component, add, spread, subtract
from refundry.domain.charge import Charge, ChargeState, Operation, Shares
from refundry.domain.money import Currency


class OrderState(StrEnum):
    """The published states, in the order of an order's life."""

    PENDING_PAYMENT = "pending_payment"
    IN_REVIEW = "in_review"
    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    FULFILLED = "fulfilled"
    COMPLETE = "complete"
    DISPUTE = "dispute"
    RETURNED = "returned"


class LineState(StrEnum):
    """The published states of a line; `paid` and `blocked` come only from ingestion."""

    CREATED = "created"
    FULFILLED = "fulfilled"
    PAID = "paid"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its cells, in minor units.

    processing: in captures and cancels without an answer yet. captured_units: units of which any
    capture is complete. returned_units: units in accepted returns. position: its place in the
    order, and its key in `Shares`.
    """

    position: int
    id: str
    sku_id: str | None
    quantity: int
    ordered: Cells
    captured: Cells = EMPTY
    cancelled: Cells = EMPTY
    processing: Cells = EMPTY
    held: Cells = EMPTY
    refunded: Cells = EMPTY
    fulfilled_units: int = 0
    cancelled_units: int = 0
    captured_units: int = 0
    returned_units: int = 0
    state: LineState = LineState.CREATED
    state_times: Mapping[str, datetime] = field(default_factory=dict[str, datetime])

    @property
    def available(self) -> Cells:
        """What each cell may still pay back."""
        return tuple(
            [c - h - r for c, h, r in zip(self.captured, self.held, self.refunded, strict=True)]
        )

    @property
    def uncaptured(self) -> Cells:
        """What each cell has neither captured nor cancelled, operations in flight counted."""
        done = add(add(self.captured, self.cancelled), self.processing)
        return subtract(self.ordered, done)

    @property
    def units_left(self) -> int:
        """Units that are neither fulfilled nor cancelled."""
        return self.quantity - self.fulfilled_units - self.cancelled_units

    @property
    def available_to_refund(self) -> int:
        """The published figure of a line: product and product tax only."""
        available = self.available
        return available[Component.PRODUCT] + available[Component.TAX]


@dataclass(frozen=True, slots=True)
class Order:
    """An order with everything that rules look at; what is only passed through stays outside.

    version: one step for each published snapshot. previous_state: while in dispute, the state to
    go back to. last_event_at, event_sequence: of the newest event of this order.
    open_return_refunds: how many refunds that returns made have not ended yet.
    """

    id: str
    currency: Currency
    state: OrderState
    lines: tuple[Line, ...]
    charges: tuple[Charge, ...]
    created_at: datetime
    updated_at: datetime
    state_times: Mapping[str, datetime]
    version: int = 1
    event_sequence: int = 0
    last_event_at: datetime | None = None
    previous_state: OrderState | None = None
    fraud_state: str | None = None
    fraud_times: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    invoice_id: str | None = None
    open_return_refunds: int = 0

    @property
    def available_to_refund(self) -> int:
        """What is captured and neither held nor refunded, over every cell."""
        return sum(sum(line.available) for line in self.lines)

    @property
    def captured(self) -> int:
        """The sum of complete captures."""
        return sum(charge.captured for charge in self.charges)

    @property
    def cancelled(self) -> int:
        """The sum of complete cancels."""
        return sum(charge.cancelled for charge in self.charges)

    @property
    def refunded(self) -> int:
        """The sum of complete refund records, chargebacks included."""
        return sum(charge.refunded for charge in self.charges)

    @property
    def chargebacks(self) -> list[Operation]:
        """The records of what the bank took, oldest first."""
        found = [o for charge in self.charges for o in charge.operations if o.dispute_id]
        return sorted(found, key=lambda operation: operation.created_at)

    @property
    def over_refunded(self) -> bool:
        """Whether a charge paid back more than it took: the bank and a refund took the same."""
        return any(charge.refunded > charge.captured for charge in self.charges)

    def total(self, *components: Component) -> int:
        """What was ordered of the named components, over all lines."""
        return sum(line.ordered[component] for line in self.lines for component in components)

    @property
    def total_amount(self) -> int:
        """Everything that was ordered."""
        return sum(sum(line.ordered) for line in self.lines)

    def charge(self, charge_id: str) -> Charge:
        """The charge with this id; it must be the order's."""
        return next(charge for charge in self.charges if charge.id == charge_id)

    def with_charge(self, charge: Charge) -> "Order":
        """The order with `charge` in the place of the one with its id."""
        kept = [charge if known.id == charge.id else known for known in self.charges]
        return replace(self, charges=tuple(kept))

    def with_line(self, line: Line) -> "Order":
        """The order with `line` in the place of the one at its position."""
        lines = list(self.lines)
        lines[line.position] = line
        return replace(self, lines=tuple(lines))


def settled_state(order: Order) -> OrderState:
    """The state that transitions start from: in dispute, the one that is remembered."""
    return order.previous_state or order.state


def enter_state(order: Order, state: OrderState, now: datetime) -> Order:
    """The order in `state`; in dispute the remembered state changes instead."""
    times = {**order.state_times, state.value: now}
    if order.state is OrderState.DISPUTE and state is not OrderState.DISPUTE:
        return replace(order, previous_state=state, state_times=times)
    return replace(order, state=state, state_times=times)


def due_state(order: Order) -> OrderState | None:
    """The state an order is due to enter next because of its units and charges; None if none is.

    Source: contract, orders, section 4.1.
    """
    current = settled_state(order)
    ended = (ChargeState.COMPLETE, ChargeState.CANCELLED)
    if current is OrderState.FULFILLED:
        done = all(charge.state in ended for charge in order.charges)
        return OrderState.COMPLETE if done else None
    if current is not OrderState.ACCEPTED or any(line.units_left for line in order.lines):
        return None
    if any(line.fulfilled_units for line in order.lines):
        return OrderState.FULFILLED
    cancelled = all(charge.state is ChargeState.CANCELLED for charge in order.charges)
    return OrderState.CANCELLED if cancelled else None


def hold(order: Order, shares: Shares) -> Order:
    """Reserve `shares` for a refund."""
    for position, cells in shares.items():
        line = order.lines[position]
        order = order.with_line(replace(line, held=add(line.held, cells)))
    return order


def pay_out(order: Order, held: Shares, refunded: Shares) -> Order:
    """End a reservation: `refunded` of it was paid back, the rest is available again."""
    for position, cells in held.items():
        line = order.lines[position]
        paid = refunded.get(position, EMPTY)
        order = order.with_line(
            replace(line, held=subtract(line.held, cells), refunded=add(line.refunded, paid))
        )
    return cover_owed(order)


def take_back(order: Order, shares: Shares) -> Order:
    """Undo a payment that came back: `shares` are available again."""
    for position, cells in shares.items():
        line = order.lines[position]
        order = order.with_line(replace(line, refunded=subtract(line.refunded, cells)))
    return cover_owed(order)


def spend(order: Order, shares: Shares) -> Order:
    """Book `shares` of the free money as refunded."""
    for position, cells in shares.items():
        line = order.lines[position]
        order = order.with_line(replace(line, refunded=add(line.refunded, cells)))
    return order


def cover_owed(order: Order) -> Order:
    """Give what is free to the chargebacks that are still owed something, the oldest first.

    Called wherever money comes free, so that nothing the bank has taken already is offered again
    (contract, disputes and chargebacks, section 3, row 2).
    """
    for operation in order.chargebacks:
        taken = min(operation.owed, order.available_to_refund)
        if taken:
            shares = spread_over_lines(taken, [line.available for line in order.lines])
            known = operation.shares or {}
            merged = {
                position: add(known.get(position, EMPTY), shares.get(position, EMPTY))
                for position in {**known, **shares}
            }
            covered = replace(operation, shares=merged, owed=operation.owed - taken)
            charge = order.charge(operation.charge_id).with_operation(covered)
            order = spend(order, shares).with_charge(charge)
    return order


def spread_over_lines(total: int, weights: Sequence[Cells]) -> dict[int, Cells]:
    """`total` minor units over every cell of every line; lines that get nothing are left out.

    weights: one per line, in the order of their positions.
    """
    spreads = spread(total, weights)
    return {position: cells for position, cells in enumerate(spreads) if any(cells)}


def is_returned(order: Order) -> bool:
    """Whether the goods are back, or paid back, line by line (contract, orders, section 4.2)."""
    if order.open_return_refunds or not any(line.returned_units for line in order.lines):
        return False
    return all(
        line.cancelled_units + line.returned_units == line.quantity or _product_paid(order, line)
        for line in order.lines
    )


def _product_paid(order: Order, line: Line) -> bool:
    """Whether a refund, not a chargeback alone, paid back something of a line's product."""
    taken = [(o.shares or {}).get(line.position, EMPTY) for o in order.chargebacks]
    return line.refunded[Component.PRODUCT] > sum(cells[Component.PRODUCT] for cells in taken)


def refresh_returned(order: Order, now: datetime) -> Order:
    """The order in the state `returned` if it is due; evaluated where a refund succeeds and where
    a return is accepted."""
    ready = settled_state(order) in (OrderState.FULFILLED, OrderState.COMPLETE)
    return enter_state(order, OrderState.RETURNED, now) if ready and is_returned(order) else order


def leave_returned(order: Order) -> Order:
    """After a late failure: an order that is not `returned` any more goes back to the state before
    it, with the time of that state (contract, refunds, section 7, row 10)."""
    if settled_state(order) is not OrderState.RETURNED or is_returned(order):
        return order
    if not any(line.returned_units for line in order.lines):
        return order  # Imported so: what brought the goods back is not in these books.
    ended = (ChargeState.COMPLETE, ChargeState.CANCELLED)
    done = all(charge.state in ended for charge in order.charges)
    before = OrderState.COMPLETE if done else OrderState.FULFILLED
    if order.state is OrderState.DISPUTE:
        return replace(order, previous_state=before)
    return replace(order, state=before)
