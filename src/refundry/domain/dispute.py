"""Disputes: the bank's case on a charge, and the chargeback where it takes the money itself.

Source: contract, disputes and chargebacks, sections 1 and 3.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from refundry.domain.cells import EMPTY, Cells, add
from refundry.domain.charge import Charge, Operation, OperationKind, OperationState
from refundry.domain.event import Change, EventType
from refundry.domain.money import Currency
from refundry.domain.order import Order, OrderState, spend, spread_over_lines
from refundry.domain.refusal import (
    ChargeInDispute,
    DisputeClosed,
    InvalidField,
    NotDisputable,
    Refusal,
)


class DisputeState(StrEnum):
    """The published states of a dispute."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


_DISPUTABLE = frozenset(
    {
        OrderState.ACCEPTED,
        OrderState.FULFILLED,
        OrderState.COMPLETE,
        OrderState.RETURNED,
        OrderState.DISPUTE,
    }
)


@dataclass(frozen=True, slots=True)
class Dispute:
    """The bank's case on one charge. amount: what is disputed; chargeback: what the bank took in
    the end, both in minor units. sales_transaction_ids: of the chargeback's lines."""

    id: str
    order_id: str
    charge_id: str
    currency: Currency
    amount: int
    created_at: datetime
    reason: str | None = None
    state: DisputeState = DisputeState.OPEN
    resolved_at: datetime | None = None
    chargeback: int | None = None
    fraud: bool | None = None
    sales_transaction_ids: tuple[str, ...] = ()
    processor_reference: str | None = None


@dataclass(frozen=True, slots=True)
class SalesTransaction:
    """What a chargeback took of one line. cells: minor units, >= 0 here, negative when shown."""

    id: str
    dispute_id: str
    charge_id: str
    position: int
    cells: Cells
    fraud: bool
    created_at: datetime

    @property
    def type(self) -> str:
        """The published type."""
        return "fraud_chargeback" if self.fraud else "non_fraud_chargeback"


def limit_of(charge: Charge) -> int:
    """The most that the bank can take of a charge: what it took and did not pay back yet."""
    return max(0, charge.captured - charge.refunded)


def primary_charge(order: Order) -> Charge | None:
    """The charge that a dispute is about if none is named."""
    return min(order.charges, key=lambda charge: charge.secondary, default=None)


def check_dispute(order: Order, charge_id: str, disputed: Collection[str]) -> Refusal | None:
    """Whether a dispute may be opened. disputed: the charges that have an open one."""
    if charge_id in disputed:
        return ChargeInDispute(order.id)
    if order.state not in _DISPUTABLE:
        return NotDisputable(order.state.value)
    return None


def open_dispute(change: Change) -> None:
    """Put the order into dispute; nothing happens to it if it is in one already."""
    order = change.order
    if order.state is OrderState.DISPUTE:
        return
    state = OrderState.DISPUTE
    change.order = replace(
        order,
        state=state,
        previous_state=order.state,
        state_times={**order.state_times, state.value: change.now},
        fraud_state="review_opened",
        fraud_times={**order.fraud_times, "review_opened": change.now},
    )
    change.order_event(EventType.ORDER_DISPUTE)


def check_resolution(
    dispute: Dispute, charge: Charge, amount: int | None, sent: str
) -> Refusal | None:
    """Whether an open dispute may end with a chargeback of `amount`; None: what is left.

    sent: the amount as it was sent, for the message.
    """
    if dispute.state is not DisputeState.OPEN:
        return DisputeClosed(dispute.id)
    if amount is not None and not 0 < amount <= limit_of(charge):
        return InvalidField("amount", sent)
    return None


def win(change: Change, dispute: Dispute, *, last: bool) -> Dispute:
    """The merchant keeps the money. last: whether no other dispute of the order is open."""
    if last:
        _leave_dispute(change)
    return replace(dispute, state=DisputeState.WON, resolved_at=_second(change.now))


def lose(
    change: Change,
    dispute: Dispute,
    *,
    amount: int | None,
    fraud: bool,
    last: bool,
    new_id: Callable[[], str],
    new_sales_id: Callable[[], str],
) -> tuple[Dispute, list[SalesTransaction]]:
    """The bank takes `amount`, or without one what is left of the disputed amount.

    The caller has asked `check_resolution`.
    """
    charge = change.order.charge(dispute.charge_id)
    taken = min(limit_of(charge), dispute.amount) if amount is None else amount
    made: list[SalesTransaction] = []
    if taken:
        made = _charge_back(change, dispute, taken, fraud, new_id, new_sales_id)
    if last:
        _leave_dispute(change)
    lost = replace(
        dispute,
        state=DisputeState.LOST,
        resolved_at=_second(change.now),
        chargeback=taken,
        fraud=fraud,
        sales_transaction_ids=tuple(each.id for each in made),
    )
    return lost, made


def _charge_back(
    change: Change,
    dispute: Dispute,
    amount: int,
    fraud: bool,
    new_id: Callable[[], str],
    new_sales_id: Callable[[], str],
) -> list[SalesTransaction]:
    """Rows 1 to 6 of section 3: the record, the cells, the sales transactions, the events."""
    order = change.order
    now = _second(change.now)
    free = min(amount, order.available_to_refund)
    shares = spread_over_lines(free, [line.available for line in order.lines])
    owed = spread_over_lines(amount - free, _owing(order, amount - free))
    change.order = spend(order, shares)
    change.put_operation(
        Operation(
            new_id(), dispute.charge_id, OperationKind.REFUND, amount, OperationState.COMPLETE,
            now, now, shares=shares, dispute_id=dispute.id, owed=amount - free,
        )
    )  # fmt: skip
    made = [
        SalesTransaction(new_sales_id(), dispute.id, dispute.charge_id, position, cells, fraud, now)
        for position in range(len(order.lines))
        if any(cells := add(shares.get(position, EMPTY), owed.get(position, EMPTY)))
    ]
    for each in made:
        change.sales_event(each)
    change.order_event(EventType.ORDER_CHARGEBACK)
    return made


def _owing(order: Order, owed: int) -> Sequence[Cells]:
    """What is owed is shared by what pending refunds hold; where another charge has paid back
    too much, not even that is enough, and what was captured counts."""
    held = [line.held for line in order.lines]
    return held if sum(map(sum, held)) >= owed else [line.captured for line in order.lines]


def _leave_dispute(change: Change) -> None:
    order = change.order
    assert order.previous_state is not None
    change.order = replace(
        order,
        state=order.previous_state,
        previous_state=None,
        fraud_state="passed",
        fraud_times={**order.fraud_times, "passed": change.now},
    )
    change.order_event(EventType.ORDER_DISPUTE_RESOLVED)


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
