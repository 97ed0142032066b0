"""Fulfilments: units shipped or cancelled, and the captures and cancels that follow from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from refundry.domain.allocation import allocate
from refundry.domain.cells import Cells, add, subtract
from refundry.domain.charge import (
    Charge,
    ChargeState,
    Failure,
    Operation,
    OperationKind,
    OperationState,
    capture_order,
    refund_order,
)
from refundry.domain.event import Change, EventType
from refundry.domain.money import half_up_ratio
from refundry.domain.order import Line, LineState, Order, OrderState, cover_owed, enter_state
from refundry.domain.refusal import (
    FulfillmentTooLarge,
    ItemUnknown,
    OrderCancelled,
    OrderFulfilled,
    OrderNotSubmitted,
    Refusal,
    SkuAmbiguous,
)


@dataclass(frozen=True, slots=True)
class FulfillmentAsk:
    """One element of a fulfilment: a line, by id or SKU, and its units."""

    item_id: str | None
    sku_id: str | None
    quantity: int
    cancel_quantity: int


@dataclass(frozen=True, slots=True)
class FulfilledItem:
    """One element of a fulfilment with its line found."""

    position: int
    quantity: int
    cancel_quantity: int


@dataclass(frozen=True, slots=True)
class Fulfillment:
    """A fulfilment and the operations that it caused."""

    id: str
    created_at: datetime
    items: tuple[FulfilledItem, ...]
    operation_ids: tuple[str, ...]


def find_line(
    order: Order, index: int, item_id: str | None, sku_id: str | None
) -> Line | ItemUnknown | SkuAmbiguous:
    """The line that element `index` of a request names by id or, failing that, by SKU."""
    if item_id is not None:
        for line in order.lines:
            if line.id == item_id:
                return line
        return ItemUnknown(f"items[{index}].itemId", item_id)
    assert sku_id is not None
    matches = [line for line in order.lines if line.sku_id == sku_id]
    if len(matches) > 1:
        return SkuAmbiguous(f"items[{index}].skuId", sku_id)
    return matches[0] if matches else ItemUnknown(f"items[{index}].skuId", sku_id)


def check_fulfillment(
    order: Order, asks: Sequence[FulfillmentAsk]
) -> list[FulfilledItem] | Refusal:
    """Find the lines of a fulfilment and check that their units are left."""
    if refusal := _closed(order):
        return refusal
    items: list[FulfilledItem] = []
    for index, ask in enumerate(asks):
        line = find_line(order, index, ask.item_id, ask.sku_id)
        if not isinstance(line, Line):
            return line
        items.append(FulfilledItem(line.position, ask.quantity, ask.cancel_quantity))
    left = {line.position: line.units_left for line in order.lines}
    for index, item in enumerate(items):
        if item.quantity > left[item.position]:
            return FulfillmentTooLarge(f"items[{index}].quantity")
        left[item.position] -= item.quantity
        if item.cancel_quantity > left[item.position]:
            return FulfillmentTooLarge(f"items[{index}].cancelQuantity")
        left[item.position] -= item.cancel_quantity
    return items


def _closed(order: Order) -> Refusal | None:
    if order.state is OrderState.CANCELLED:
        return OrderCancelled(order.id)
    if order.state in (OrderState.FULFILLED, OrderState.COMPLETE, OrderState.RETURNED):
        return OrderFulfilled(order.id)
    if order.state is not OrderState.ACCEPTED:
        return OrderNotSubmitted(order.id)
    if not any(line.units_left for line in order.lines):
        return OrderFulfilled(order.id)
    return None


def fulfill(
    change: Change,
    items: Sequence[FulfilledItem],
    *,
    fulfillment_id: str,
    new_id: Callable[[], str],
) -> Fulfillment:
    """Process the units of `items`: pending captures and cancels, the states and the events.

    Source: contract, orders, sections 8.2 to 8.4.
    """
    operations: list[Operation] = []
    for entry, item in enumerate(items):
        for kind, units in (
            (OperationKind.CAPTURE, item.quantity),
            (OperationKind.CANCEL, item.cancel_quantity),
        ):
            if units:
                stamp = Operation(
                    "", "", kind, 0, OperationState.PENDING, _second(change.now),
                    _second(change.now), fulfillment_id, entry, units,
                )  # fmt: skip
                operations += _process(change, item.position, stamp, new_id)
    fulfillment = Fulfillment(
        fulfillment_id,
        _second(change.now),
        tuple(items),
        tuple(operation.id for operation in operations),
    )
    change.fulfillment_event(fulfillment)
    announce(change, operations)
    return fulfillment


def announce(change: Change, operations: Sequence[Operation]) -> None:
    """Record the events of new captures and cancels, and of the states that follow from them."""
    for operation in operations:
        change.charge_event(
            EventType(f"order.charge.{operation.kind}.pending"), operation.charge_id
        )
    change.refresh_charges()
    change.refresh_order()


def units_amount(whole: int, quantity: int, done: int, units: int) -> int:
    """What `units` further units of a line are worth, so that all of them sum to `whole`."""
    return half_up_ratio(whole * (done + units), quantity) - half_up_ratio(whole * done, quantity)


def _process(
    change: Change, position: int, stamp: Operation, new_id: Callable[[], str]
) -> list[Operation]:
    """Take `stamp.units` units of a line: the records over its charges, in flight."""
    line = change.order.lines[position]
    done = line.fulfilled_units + line.cancelled_units
    amount = units_amount(sum(line.ordered), line.quantity, done, stamp.units)
    records = put_in_flight(change, position, amount, stamp, new_id)
    line = change.order.lines[position]
    if stamp.kind is OperationKind.CAPTURE:
        line = replace(line, fulfilled_units=line.fulfilled_units + stamp.units)
    else:
        line = replace(line, cancelled_units=line.cancelled_units + stamp.units)
    change.order = change.order.with_line(_with_state(line, change.now))
    return records


def put_in_flight(
    change: Change, position: int, amount: int, stamp: Operation, new_id: Callable[[], str]
) -> list[Operation]:
    """Ask `amount` minor units of a line from its charges: the records, counted as processing.

    stamp: what the records have in common. The units of the line do not change.
    """
    line = change.order.lines[position]
    records = _records(change.order, line, amount, stamp, new_id)
    for record in records:
        change.put_operation(record)
        assert record.shares is not None
        line = replace(line, processing=add(line.processing, record.shares[position]))
    change.order = change.order.with_line(line)
    return records


def _records(
    order: Order, line: Line, amount: int, stamp: Operation, new_id: Callable[[], str]
) -> list[Operation]:
    """Split an operation over the charges that have room, and over the cells of its line."""
    ordered = capture_order if stamp.kind is OperationKind.CAPTURE else refund_order
    left: Cells = tuple(allocate(amount, line.uncaptured))
    records: list[Operation] = []
    for charge, part in split_over([(c, c.open) for c in ordered(order.charges)], amount):
        cells: Cells = tuple(allocate(part, left))
        left = subtract(left, cells)
        shares = {line.position: cells}
        records.append(replace(stamp, id=new_id(), charge_id=charge.id, amount=part, shares=shares))
    return records


def split_over(rooms: Sequence[tuple[Charge, int]], amount: int) -> list[tuple[Charge, int]]:
    """Fill each charge up to its room before the next; charges that get nothing are left out."""
    parts: list[tuple[Charge, int]] = []
    for charge, room in rooms:
        part = min(room, amount)
        if part > 0:
            parts.append((charge, part))
            amount -= part
    return parts


def _with_state(line: Line, now: datetime) -> Line:
    if line.units_left:
        return line
    states = [LineState.FULFILLED if line.fulfilled_units else LineState.CANCELLED]
    if line.fulfilled_units and line.returned_units == line.fulfilled_units:
        # What was shipped came back before the rest was cancelled.
        states.append(LineState.RETURNED)
    times = {state.value: now for state in states}
    return replace(line, state=states[-1], state_times={**line.state_times, **times})


def settle_capture(change: Change, operation: Operation, failure: Failure | None) -> None:
    """Book what became of a pending capture or cancel; `failure` None means it is complete."""
    state = OperationState.COMPLETE if failure is None else OperationState.FAILED
    change.order = _book(change.order, operation, complete=failure is None)
    change.put_operation(
        replace(operation, state=state, failure=failure, updated_at=_second(change.now))
    )
    change.charge_event(EventType(f"order.charge.{operation.kind}.{state}"), operation.charge_id)
    change.refresh_charges()
    change.refresh_order()


def _book(order: Order, operation: Operation, *, complete: bool) -> Order:
    shares: Mapping[int, Cells] = operation.shares or {}
    for position, cells in shares.items():
        line = order.lines[position]
        line = replace(line, processing=subtract(line.processing, cells))
        if complete and operation.kind is OperationKind.CAPTURE:
            units = 0 if _entry_captured(order, operation) else operation.units
            line = replace(
                line,
                captured=add(line.captured, cells),
                captured_units=line.captured_units + units,
            )
        elif complete:
            line = replace(line, cancelled=add(line.cancelled, cells))
        order = order.with_line(line)
    return cover_owed(order)


def _entry_captured(order: Order, operation: Operation) -> bool:
    """Whether another record of the same units, on another charge, is complete already."""
    return any(
        other.kind is OperationKind.CAPTURE
        and other.state is OperationState.COMPLETE
        and other.fulfillment_id == operation.fulfillment_id
        and other.entry == operation.entry
        for charge in order.charges
        for other in charge.operations
    )


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def settle_authorization(change: Change, operation: Operation, failure: Failure | None) -> None:
    """Book what became of an awaited authorisation: the charge opens or fails."""
    state = OperationState.COMPLETE if failure is None else OperationState.FAILED
    change.put_operation(
        replace(operation, state=state, failure=failure, updated_at=_second(change.now))
    )
    charge = change.order.charge(operation.charge_id)
    if charge.state is not ChargeState.PENDING:
        return  # The merchant has accepted the order without waiting.
    if failure is not None:
        change.enter_charge_state(charge, ChargeState.FAILED)
        return
    change.enter_charge_state(charge, ChargeState.CAPTURABLE)
    waiting = any(other.state is ChargeState.PENDING for other in change.order.charges)
    if change.order.state is OrderState.PENDING_PAYMENT and not waiting:
        change.order = enter_state(change.order, OrderState.ACCEPTED, change.now)
        change.order_event(EventType.ORDER_ACCEPTED)
