"""Returns: goods that come back, unit by unit, and the refunds that their acceptance makes.

Source: contract, returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from refundry.domain.event import Change, EventType
from refundry.domain.fulfillment import find_line
from refundry.domain.order import (
    Line,
    LineState,
    Order,
    OrderState,
    hold,
    refresh_returned,
)
from refundry.domain.refund import Refund, plan_units_refund, product_estimate
from refundry.domain.refusal import (
    InvalidField,
    ItemUnknown,
    Refusal,
    ReturnAccepted,
    ReturnDuringDispute,
    ReturnTooLarge,
    SkuAmbiguous,
)


class ReturnState(StrEnum):
    """The published states of a return and of each of its items."""

    CREATED = "created"
    ACCEPTED = "accepted"


Units = Mapping[int, int]
"""Position of the line -> how many units."""


@dataclass(frozen=True, slots=True)
class UnitsAsk:
    """One element of a request: a line, by id or SKU, and its units."""

    item_id: str | None
    sku_id: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class ReturnItem:
    """What comes back of a line. quantity: units authorised; accepted: units that arrived;
    amount: minor units refunded, None until the whole return is accepted."""

    position: int
    quantity: int
    accepted: int = 0
    amount: int | None = None

    @property
    def outstanding(self) -> int:
        """Units that are still awaited."""
        return self.quantity - self.accepted

    @property
    def state(self) -> ReturnState:
        """Accepted once every unit is."""
        return ReturnState.CREATED if self.outstanding else ReturnState.ACCEPTED


@dataclass(frozen=True, slots=True)
class Return:
    """A return. acceptances: the units of each acceptance request, each of which becomes one
    refund. location, metadata: JSON texts."""

    id: str
    order_id: str
    created_at: datetime
    updated_at: datetime
    items: tuple[ReturnItem, ...]
    state: ReturnState = ReturnState.CREATED
    reason: str | None = None
    location: str | None = None
    metadata: str = "{}"
    acceptances: tuple[Units, ...] = ()
    refund_ids: tuple[str, ...] = ()

    def amount_of(self, item: ReturnItem, order: Order) -> int:
        """The published amount of an item: what it would take now, or what was refunded."""
        if item.amount is not None:
            return item.amount
        return product_estimate(order, item.position, item.quantity)


def plan_return(
    order: Order, asks: Sequence[UnitsAsk], open_units: Units
) -> tuple[ReturnItem, ...] | Refusal:
    """The items of a new return. open_units: units in returns that are not accepted yet."""
    if order.state is OrderState.DISPUTE:
        return ReturnDuringDispute()
    units = _units(asks, lambda index, ask: find_line(order, index, ask.item_id, ask.sku_id))
    if not isinstance(units, dict):
        return units
    for position, (index, quantity) in units.items():
        if quantity > returnable_units(order.lines[position], open_units):
            return ReturnTooLarge(f"items[{index}].qty")
    return tuple(ReturnItem(position, quantity) for position, (_, quantity) in units.items())


def returnable_units(line: Line, open_units: Units) -> int:
    """Units of a line that a new return may name: fulfilled, and in no other return."""
    return line.fulfilled_units - line.returned_units - open_units.get(line.position, 0)


def plan_acceptance(
    order: Order, goods: Return, asks: Sequence[UnitsAsk], *, everything: bool
) -> dict[int, int] | Refusal:
    """The units that a request accepts: those it names, then with `everything` all the rest."""
    if order.state is OrderState.DISPUTE:
        return ReturnDuringDispute()
    if goods.state is ReturnState.ACCEPTED:
        return ReturnAccepted(goods.id)
    units = _units(asks, lambda index, ask: _find_in(goods, order, index, ask))
    if not isinstance(units, dict):
        return units
    items = {item.position: item for item in goods.items}
    for position, (index, quantity) in units.items():
        if quantity > items[position].outstanding:
            return ReturnTooLarge(f"items[{index}].qty")
    accepted = {position: quantity for position, (_, quantity) in units.items()}
    if everything:
        rest = {i.position: i.outstanding for i in goods.items if i.outstanding}
        accepted |= rest
    return accepted


def _units(
    asks: Sequence[UnitsAsk],
    find: Callable[[int, UnitsAsk], Line | ItemUnknown | SkuAmbiguous],
) -> dict[int, tuple[int, int]] | ItemUnknown | SkuAmbiguous | InvalidField:
    """Units by line, with the index of the first element that names it; the same line twice is
    added up. An id and a SKU in one element must name the same line."""
    units: dict[int, tuple[int, int]] = {}
    for index, ask in enumerate(asks):
        line = find(index, ask)
        if not isinstance(line, Line):
            return line
        if ask.item_id is not None and ask.sku_id is not None and line.sku_id != ask.sku_id:
            return InvalidField(f"items[{index}].skuId", ask.sku_id)
        first, quantity = units.get(line.position, (index, 0))
        units[line.position] = first, quantity + ask.quantity
    return units


def _find_in(
    goods: Return, order: Order, index: int, ask: UnitsAsk
) -> Line | ItemUnknown | SkuAmbiguous:
    """The line of a return that an element names."""
    returned = tuple(order.lines[item.position] for item in goods.items)
    return find_line(replace(order, lines=returned), index, ask.item_id, ask.sku_id)


def accept(
    change: Change, goods: Return, units: Units, *, new_refund_id: Callable[[], str]
) -> Return:
    """Take units in; with the last of them the return is accepted and its refunds are made.

    The refunds are left in `change.refunds`. units: not empty, as `plan_acceptance` gave them.
    """
    taken = replace(
        goods,
        items=tuple(
            replace(item, accepted=item.accepted + units.get(item.position, 0))
            for item in goods.items
        ),
        acceptances=(*goods.acceptances, dict(units)),
        updated_at=change.now.replace(microsecond=0),
    )
    if any(item.outstanding for item in taken.items):
        return taken
    _take_back_units(change, taken)
    refunds = _make_refunds(change, taken, new_refund_id)
    change.order = replace(
        change.order, open_return_refunds=change.order.open_return_refunds + len(refunds)
    )
    accepted = _with_amounts(taken, refunds)
    change.order = refresh_returned(change.order, change.now)
    change.return_event(EventType.RETURN_ACCEPTED, accepted)
    for refund in refunds:
        change.refund_event(EventType.REFUND_CREATED, refund)
        change.refund_event(EventType.REFUND_PENDING, refund)
    return accepted


def _take_back_units(change: Change, goods: Return) -> None:
    for item in goods.items:
        line = change.order.lines[item.position]
        line = replace(line, returned_units=line.returned_units + item.quantity)
        if line.state is LineState.FULFILLED and line.returned_units == line.fulfilled_units:
            state = LineState.RETURNED
            times = {**line.state_times, state.value: change.now}
            line = replace(line, state=state, state_times=times)
        change.order = change.order.with_line(line)


def _make_refunds(change: Change, goods: Return, new_refund_id: Callable[[], str]) -> list[Refund]:
    """One refund for each acceptance request, each planned on what the ones before leave."""
    refunds: list[Refund] = []
    for units in goods.acceptances:
        refund = plan_units_refund(change.order, units, refund_id=new_refund_id(), now=change.now)
        if refund is not None:
            change.order = hold(change.order, refund.shares)
            refunds.append(replace(refund, reason=goods.reason, return_id=goods.id))
    return refunds


def _with_amounts(goods: Return, refunds: Sequence[Refund]) -> Return:
    amounts: dict[int, int] = {}
    for refund in refunds:
        for element in refund.elements:
            amounts[element.position] = amounts.get(element.position, 0) + element.amount
    return replace(
        goods,
        state=ReturnState.ACCEPTED,
        items=tuple(replace(item, amount=amounts.get(item.position, 0)) for item in goods.items),
        refund_ids=tuple(refund.id for refund in refunds),
    )
