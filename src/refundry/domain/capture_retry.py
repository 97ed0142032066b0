"""Captures and cancels that failed, asked of the processor once more under a new id.

A failed record gave its amount back to its charge and its line, so that a retry takes only what is
open. A later fulfilment may have taken some of that room: then the retry finds as much on another
charge, as the units of a line always sum to its worth.
"""

from collections.abc import Callable
from dataclasses import replace

from refundry.domain.charge import Operation, OperationKind, OperationState
from refundry.domain.event import Change
from refundry.domain.fulfillment import announce, put_in_flight
from refundry.domain.order import Line, LineState, Order, OrderState
from refundry.domain.refusal import NotRetriable, RetryBar

RETRIABLE_KINDS = (OperationKind.CAPTURE, OperationKind.CANCEL)
# A blocked order, or one that still awaits its payment, has nothing to be captured; a cancelled
# one has nothing left.
_OPEN_ORDERS = (
    OrderState.ACCEPTED,
    OrderState.FULFILLED,
    OrderState.COMPLETE,
    OrderState.RETURNED,
)


def is_retried(operation: Operation) -> bool:
    """Whether a failed record has passed its units to a retry."""
    return has_failed(operation) and operation.units == 0


def find_record(order: Order, operation_id: str) -> Operation | None:
    """The capture or cancel of an order with this id, whatever became of it."""
    for charge in order.charges:
        for operation in charge.operations:
            if operation.id == operation_id and operation.kind in RETRIABLE_KINDS:
                return operation
    return None


def check_retry(order: Order, operation_id: str) -> Operation | NotRetriable:
    """The record that a retry is about, if it may be retried now."""
    operation = find_record(order, operation_id)
    if operation is None:
        return NotRetriable(operation_id, RetryBar.UNKNOWN)
    bar = _bar(order, operation)
    return operation if bar is None else NotRetriable(operation_id, bar)


def _bar(order: Order, operation: Operation) -> RetryBar | None:
    if not has_failed(operation):
        return RetryBar.NOT_FAILED
    if is_retried(operation):
        return RetryBar.RETRIED
    if order.state is OrderState.DISPUTE:
        return RetryBar.DISPUTE
    if order.state not in _OPEN_ORDERS:
        return RetryBar.CLOSED
    line = _line(order, operation)
    if operation.kind is OperationKind.CAPTURE and line.state is LineState.RETURNED:
        return RetryBar.RETURNED
    room = min(sum(charge.open for charge in order.charges), sum(line.uncaptured))
    return RetryBar.NO_ROOM if room < operation.amount else None


def has_failed(operation: Operation) -> bool:
    """Whether it is a failed capture or cancel of a fulfilment; those of imports have none."""
    return (
        operation.kind in RETRIABLE_KINDS
        and operation.state is OperationState.FAILED
        and operation.fulfillment_id is not None
    )


def retry(change: Change, operation: Operation, new_id: Callable[[], str]) -> tuple[Operation, ...]:
    """Make the pending records that take the place of a failed one, one per charge touched.

    operation: as `check_retry` gave it for this order. Its units count with the new records from
    now on, so that it is never retried again; nothing else of it, and no unit of the line, changes.
    """
    now = change.now.replace(microsecond=0)
    stamp = replace(
        operation, id="", charge_id="", amount=0, shares=None, failure=None,
        state=OperationState.PENDING, created_at=now, updated_at=now,
    )  # fmt: skip
    change.put_operation(replace(operation, units=0))
    position = _line(change.order, operation).position
    records = put_in_flight(change, position, operation.amount, stamp, new_id)
    assert sum(record.amount for record in records) == operation.amount
    announce(change, records)
    return tuple(records)


def _line(order: Order, operation: Operation) -> Line:
    """The line of a record of a fulfilment, which is always of one line."""
    (position,) = operation.shares or {}
    return order.lines[position]
