"""What must be true of the books of an order at any time: cell by cell, and against its records."""

from collections.abc import Iterable

from refundry.domain.charge import OperationKind, OperationState
from refundry.domain.order import Order
from refundry.domain.refund import OPEN_REFUND_STATES, Refund


def assert_books(order: Order, refunds: Iterable[Refund]) -> None:
    """refunds: all of the order's."""
    known = list(refunds)
    _assert_cells(order)
    _assert_chargebacks(order)
    held = sum(refund.amount for refund in known if refund.state in OPEN_REFUND_STATES)
    assert sum(sum(line.held) for line in order.lines) == held
    assert sum(sum(line.captured) for line in order.lines) == order.captured
    assert sum(sum(line.cancelled) for line in order.lines) == order.cancelled
    # The complete records of a refund that has not ended count on the order and are held still.
    early = sum(paid_of(order, refund) for refund in known if refund.state in OPEN_REFUND_STATES)
    booked = sum(sum(line.refunded) for line in order.lines)
    assert order.refunded == booked + owed_of(order) + early
    ended = [refund for refund in known if refund.state not in OPEN_REFUND_STATES]
    assert all(refund.refunded == paid_of(order, refund) for refund in ended)
    returned = [refund for refund in known if refund.return_id is not None]
    still_open = [refund for refund in returned if refund.state in OPEN_REFUND_STATES]
    assert order.open_return_refunds == len(still_open)


def _assert_cells(order: Order) -> None:
    for line in order.lines:
        assert line.returned_units <= line.fulfilled_units
        figures = (line.ordered, line.captured, line.cancelled, line.processing, line.held,
                   line.refunded, line.available)  # fmt: skip
        for cell in zip(*figures, strict=True):
            ordered, captured, cancelled, processing, held, refunded, available = cell
            assert min(cell) >= 0
            assert captured + cancelled + processing <= ordered
            assert held + refunded <= captured
            assert available == captured - held - refunded


def _assert_chargebacks(order: Order) -> None:
    for record in order.chargebacks:
        assert record.state is OperationState.COMPLETE
        assert sum(map(sum, (record.shares or {}).values())) + record.owed == record.amount
    if owed_of(order):
        assert order.available_to_refund == 0, "offered while the bank is owed"


def owed_of(order: Order) -> int:
    """What chargebacks have not found yet, in minor units."""
    return sum(record.owed for record in order.chargebacks)


def paid_of(order: Order, refund: Refund) -> int:
    """What the complete records of a refund carry of it, in minor units."""
    parts = {part.operation_id: part.amount for part in refund.parts}
    return sum(
        parts[operation.id]
        for charge in order.charges
        for operation in charge.operations
        if operation.id in parts
        and operation.kind is OperationKind.REFUND
        and operation.state is OperationState.COMPLETE
    )
