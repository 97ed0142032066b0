"""What becomes of a refund after it was accepted: records, outcomes, expiry and late failures.

Source of the rows named below: contract, refunds, section 7.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refundry.domain.allocation import allocate
from refundry.domain.cells import Cells, spread, subtract
from refundry.domain.charge import (
    OPEN_STATES,
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Shares,
    refund_order,
)
from refundry.domain.event import Change, EventType
from refundry.domain.fulfillment import split_over
from refundry.domain.order import Order, leave_returned, pay_out, refresh_returned, take_back
from refundry.domain.refund import (
    OPEN_REFUND_STATES,
    TRANSITIONS,
    Element,
    Part,
    Refund,
    RefundState,
    Token,
)

TOKEN_LIFE = timedelta(days=30)
PARTIALLY_REFUNDED = "partially_refunded"
INFORMATION_NOT_PROVIDED = "information_not_provided"


def move(refund: Refund, state: RefundState) -> Refund:
    """The refund in `state`; only the steps of `TRANSITIONS` exist."""
    assert state in TRANSITIONS[refund.state], f"{refund.state} -> {state}"
    return replace(refund, state=state)


@dataclass(slots=True)
class _Record:
    """A charge-level record in the making: its amount and what each refund has in it."""

    charge_id: str
    members: list[tuple[str, int]]


def submit(
    change: Change,
    refunds: Sequence[Refund],
    new_id: Callable[[], str],
    *,
    only: str | None = None,
) -> list[Operation]:
    """Row 2: make the charge-level records of `refunds`, one per charge for all of them.

    only: the id of the one charge that is to give it; without it, as the charges come. Gives the
    records that are to go to the processor. What no charge has room for (the bank took it in
    between) becomes a failed record on the first charge and is never sent.
    """
    refunds = [replace(refund, submitted=True) for refund in refunds]
    records, homeless = _assign(change.order, refunds, only)
    sent: list[Operation] = []
    for record in records:
        operation = _record(change, record, new_id(), OperationState.PENDING)
        sent.append(operation)
        refunds = _with_parts(refunds, record, operation.id)
    failed: list[Operation] = []
    if homeless.members:
        operation = _record(change, homeless, new_id(), OperationState.FAILED)
        failed.append(operation)
        refunds = _with_parts(refunds, homeless, operation.id)
    for operation in sent:
        change.charge_event(EventType.CHARGE_REFUND_PENDING, operation.charge_id)
    for operation in failed:
        change.charge_event(EventType.CHARGE_REFUND_FAILED, operation.charge_id)
    for refund in refunds:
        change.keep_refund(refund)
        finish(change, refund)
    change.close()
    return sent


def _assign(
    order: Order, refunds: Sequence[Refund], only: str | None
) -> tuple[list[_Record], _Record]:
    charges = [each for each in refund_order(order.charges) if only in (None, each.id)]
    rooms = {charge.id: charge.refundable for charge in charges}
    records: dict[str, _Record] = {}
    homeless = _Record(charges[0].id, [])
    for refund in refunds:
        parts = split_over([(charge, rooms[charge.id]) for charge in charges], refund.amount)
        for charge, amount in parts:
            rooms[charge.id] -= amount
            record = records.setdefault(charge.id, _Record(charge.id, []))
            record.members.append((refund.id, amount))
        missing = refund.amount - sum(amount for _, amount in parts)
        if missing:
            homeless.members.append((refund.id, missing))
    return list(records.values()), homeless


def _record(change: Change, record: _Record, operation_id: str, state: OperationState) -> Operation:
    now = change.now.replace(microsecond=0)
    amount = sum(amount for _, amount in record.members)
    operation = Operation(
        operation_id, record.charge_id, OperationKind.REFUND, amount, state, now, now,
        failure=Failure() if state is OperationState.FAILED else None,
    )  # fmt: skip
    change.put_operation(operation)
    return operation


def _with_parts(refunds: list[Refund], record: _Record, operation_id: str) -> list[Refund]:
    amounts = dict(record.members)
    return [
        replace(
            refund,
            parts=(*refund.parts, Part(record.charge_id, operation_id, amounts[refund.id])),
        )
        if refund.id in amounts
        else refund
        for refund in refunds
    ]


def settle(
    change: Change, operation: Operation, refunds: Sequence[Refund], failure: Failure | None
) -> None:
    """Rows 3 to 5: an open record has ended; `failure` None means that it was paid."""
    assert operation.state in OPEN_STATES
    state = OperationState.COMPLETE if failure is None else OperationState.FAILED
    change.put_operation(_moved(operation, state, change.now, failure))
    change.charge_event(EventType(f"order.charge.refund.{state}"), operation.charge_id)
    for refund in refunds:
        finish(change, refund)
    change.close()


def ask_for_information(
    change: Change,
    operation: Operation,
    refunds: Sequence[Refund],
    new_secret: Callable[[], str],
) -> None:
    """Row 6: a pending record needs the shopper's bank details."""
    assert operation.state is OperationState.PENDING
    change.put_operation(_moved(operation, OperationState.PENDING_INFORMATION, change.now))
    for refund in refunds:
        if refund.state is not RefundState.PENDING_INFORMATION:
            expires_at = _millisecond(change.now) + TOKEN_LIFE
            token = refund.token or Token(new_secret(), expires_at)
            waiting = replace(move(refund, RefundState.PENDING_INFORMATION), token=token)
            change.refund_event(EventType.REFUND_PENDING_INFORMATION, waiting)


def take_information(change: Change, refund: Refund, members: Sequence[Refund]) -> list[Operation]:
    """Row 7: the shopper gave bank details; what waited for them goes to its processor.

    members: `refund` and those that share a record with it and wait too. They go on as well where
    no record of theirs waits any more. Gives the open records, which take the details along.
    """
    assert refund.state is RefundState.PENDING_INFORMATION
    for operation in operations_of(change.order, refund):
        if operation.state is OperationState.PENDING_INFORMATION:
            change.put_operation(_moved(operation, OperationState.PENDING, change.now))
    for each in members:
        states = {operation.state for operation in operations_of(change.order, each)}
        if OperationState.PENDING_INFORMATION not in states:
            after = replace(move(each, RefundState.PENDING), token=None)
            change.refund_event(EventType.REFUND_PENDING, after)
    change.close()
    records = operations_of(change.order, refund)
    return [operation for operation in records if operation.state in OPEN_STATES]


def expire(change: Change, refund: Refund) -> None:
    """Row 8: nobody gave bank details in time; every waiting record fails."""
    assert refund.state is RefundState.PENDING_INFORMATION
    failure = Failure(reason=INFORMATION_NOT_PROVIDED)
    for operation in operations_of(change.order, refund):
        if operation.state is OperationState.PENDING_INFORMATION:
            change.put_operation(_moved(operation, OperationState.FAILED, change.now, failure))
            change.charge_event(EventType.CHARGE_REFUND_FAILED, operation.charge_id)
    refund = replace(refund, token=None)
    if any(o.state in OPEN_STATES for o in operations_of(change.order, refund)):
        change.keep_refund(move(refund, RefundState.PENDING))
    finish(change, refund, unpaid=RefundState.EXPIRED)
    change.close()


def finish(change: Change, refund: Refund, *, unpaid: RefundState = RefundState.FAILED) -> None:
    """End a refund whose records have all ended; does nothing while one is open.

    unpaid: what it becomes if none of them was paid.
    """
    operations = operations_of(change.order, refund)
    if not operations or any(operation.state in OPEN_STATES for operation in operations):
        return
    paid = sum(part.amount for part, state in _parts(change.order, refund) if _is_paid(state))
    refund = replace(refund, token=None, needs_attention=False)
    ended = _paid_out(refund, paid, refund.shares)
    order = change.order
    if refund.return_id is not None:
        order = replace(order, open_return_refunds=order.open_return_refunds - 1)
    change.order = pay_out(order, refund.shares, ended.refunded_shares)
    if paid == 0:
        _finish_unpaid(change, ended, operations, unpaid)
        return
    ended = _succeeded(ended)
    change.refund_event(EventType.REFUND_COMPLETE, ended)
    change.order = refresh_returned(change.order, change.now)
    change.order_event(EventType.ORDER_REFUNDED)


def _finish_unpaid(
    change: Change, refund: Refund, operations: Sequence[Operation], state: RefundState
) -> None:
    expired = state is RefundState.EXPIRED
    if refund.state is RefundState.PENDING_INFORMATION and not expired:
        refund = move(refund, RefundState.PENDING)
    reason = INFORMATION_NOT_PROVIDED if expired else _reason(operations)
    ended = replace(move(refund, state), failure_reason=reason)
    change.refund_event(EventType.REFUND_FAILED, ended)


def _succeeded(refund: Refund) -> Refund:
    reason = None if refund.refunded == refund.amount else PARTIALLY_REFUNDED
    return replace(move(refund, RefundState.SUCCEEDED), failure_reason=reason)


def fail_late(
    change: Change, operation: Operation, refunds: Sequence[Refund], failure: Failure
) -> None:
    """Row 10: the processor takes back the success of a complete record."""
    assert operation.state is OperationState.COMPLETE
    before = change.order
    change.put_operation(_moved(operation, OperationState.FAILED, change.now, failure))
    change.charge_event(EventType.CHARGE_REFUND_FAILED, operation.charge_id)
    for refund in refunds:
        if refund.state is RefundState.SUCCEEDED:
            _lose(change, before, refund, operation, failure)
        else:
            # Another record is still open: the refund ends by the ordinary rows.
            finish(change, refund)
    change.close()


def _lose(
    change: Change, before: Order, refund: Refund, operation: Operation, failure: Failure
) -> None:
    lost = sum(part.amount for part in refund.parts if part.operation_id == operation.id)
    returned = _spread_over(lost, refund.refunded_shares)
    change.order = leave_returned(take_back(change.order, returned))
    kept = {
        position: subtract(cells, returned[position])
        for position, cells in refund.refunded_shares.items()
    }
    left = refund.refunded - lost
    after = replace(
        refund, refunded=left, refunded_shares=kept, elements=_paid_elements(refund, left)
    )
    if left:
        after = replace(after, failure_reason=PARTIALLY_REFUNDED)
        changed = ("items", "refundedAmount", "failureReason", "charges")
        change.refund_event(EventType.REFUND_UPDATED, after, (before, refund), changed)
    else:
        after = replace(move(after, RefundState.FAILED), failure_reason=failure.reason)
        change.refund_event(EventType.REFUND_FAILED, after)


def operations_of(order: Order, refund: Refund) -> list[Operation]:
    """The charge-level records of a refund, as they are on its order."""
    wanted = {part.operation_id for part in refund.parts}
    return [
        operation
        for charge in order.charges
        for operation in charge.operations
        if operation.id in wanted
    ]


def _parts(order: Order, refund: Refund) -> list[tuple[Part, OperationState]]:
    states = {operation.id: operation.state for operation in operations_of(order, refund)}
    return [(part, states[part.operation_id]) for part in refund.parts]


def _is_paid(state: OperationState) -> bool:
    return state is OperationState.COMPLETE


def _paid_out(refund: Refund, paid: int, shares: Shares) -> Refund:
    """The refund with `paid` minor units paid; the failed rest is taken evenly off its shares."""
    unpaid = _spread_over(refund.amount - paid, shares)
    paid_shares = {
        position: subtract(cells, unpaid[position]) for position, cells in shares.items()
    }
    return replace(
        refund,
        refunded=paid,
        refunded_shares=paid_shares,
        elements=_paid_elements(refund, paid),
    )


def _paid_elements(refund: Refund, paid: int) -> tuple[Element, ...]:
    if not refund.elements:
        return ()
    figures = allocate(paid, [element.amount for element in refund.elements])
    return tuple(
        replace(element, refunded=figure)
        for element, figure in zip(refund.elements, figures, strict=True)
    )


def _spread_over(total: int, shares: Shares) -> dict[int, Cells]:
    positions = sorted(shares)
    spreads = spread(total, [shares[position] for position in positions])
    return dict(zip(positions, spreads, strict=True))


def _reason(operations: Sequence[Operation]) -> str:
    """The reason of a refund none of which was paid: that of the first record that has one."""
    for operation in operations:
        if operation.failure is not None:
            return operation.failure.reason
    return "unknown"


def _moved(
    operation: Operation, state: OperationState, now: datetime, failure: Failure | None = None
) -> Operation:
    return replace(operation, state=state, failure=failure, updated_at=now.replace(microsecond=0))


def _millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def is_open(refund: Refund) -> bool:
    """Whether the refund still holds its shares."""
    return refund.state in OPEN_REFUND_STATES
