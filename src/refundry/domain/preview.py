"""What a request for a refund would come to, with the rules of the request itself.

Nothing here decides: `plan_refund` does, so that what is shown is what would be done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from refundry.domain.cells import Component
from refundry.domain.charge import Charge, refund_order
from refundry.domain.fulfillment import find_line, split_over
from refundry.domain.order import Line, Order, OrderState, hold
from refundry.domain.refund import (
    Refund,
    RefundAsk,
    RefundType,
    base_of_item,
    base_of_order,
    components_of,
    plan_refund,
)
from refundry.domain.refusal import (
    CurrencyNotSupported,
    InvalidField,
    ItemUnknown,
    QuantityAboveOrder,
    RefundDuringDispute,
    Refusal,
    SkuAmbiguous,
)

_TYPES: Mapping[Component, RefundType] = {
    Component.SHIPPING: RefundType.SHIPPING,
    Component.SHIPPING_TAX: RefundType.SHIPPING,
    Component.DUTY: RefundType.DUTY,
    Component.IMPORTER_TAX: RefundType.IMPORTER_TAX,
    Component.FEES: RefundType.FEES,
    Component.FEES_TAX: RefundType.FEES,
}


@dataclass(frozen=True, slots=True)
class Share:
    """What one payment source would get back, in minor units."""

    charge: Charge
    amount: int


class Outside(StrEnum):
    """Why money that is left is not part of a refund."""

    OTHER_TYPE = "other_type"
    OTHER_ITEMS = "other_items"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Money that is left but that this kind of request could not take. amount: minor units."""

    component: Component
    amount: int
    reason: Outside = Outside.OTHER_TYPE


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request would come to on an order. after: the order with the money held.

    refund: None if it would be refused. base: the most that such a request could ask for, in
    minor units. shares: per payment source, adding up to the refund; less where charges lack room.
    """

    before: Order
    after: Order
    refund: Refund | None
    refusals: tuple[Refusal, ...]
    base: int
    shares: tuple[Share, ...]
    left_out: tuple[LeftOut, ...]


def preview_refund(order: Order, ask: RefundAsk, *, waiting: int, now: datetime) -> Preview:
    """What `ask` would come to on `order`, with every reason why not.

    order: with its charges. waiting: minor units of accepted refunds that are not submitted yet;
    they come first when charges are chosen.
    """
    planned = plan_refund(order, ask, refund_id="", now=now)
    refund = planned if isinstance(planned, Refund) else None
    refusals = () if isinstance(planned, Refund) else _every_refusal(order, ask, planned, now)
    return Preview(
        before=order,
        after=hold(order, refund.shares) if refund else order,
        refund=refund,
        refusals=refusals,
        base=_base(order, ask),
        shares=tuple(_shares(order, refund.amount, waiting)) if refund else (),
        left_out=tuple(_left_out(order, ask)),
    )


def _base(order: Order, ask: RefundAsk) -> int:
    if not ask.items:
        return base_of_order(order, ask.type)
    # Twice the same line and type is refused, and is worth no more than once.
    found = {
        (line.position, item.type)
        for item in ask.items
        if isinstance(line := find_line(order, 0, item.item_id, item.sku_id), Line)
    }
    return sum(base_of_item(order.lines[position], kind) for position, kind in found)


def _shares(order: Order, amount: int, waiting: int) -> list[Share]:
    """The payment sources in the order in which they are refunded (contract, refunds, 6)."""
    charges = refund_order(order.charges)
    taken = {
        charge.id: part
        for charge, part in split_over([(c, c.refundable) for c in charges], waiting)
    }
    rooms = [(charge, charge.refundable - taken.get(charge.id, 0)) for charge in charges]
    return [Share(charge, part) for charge, part in split_over(rooms, amount)]


def _left_out(order: Order, ask: RefundAsk) -> list[LeftOut]:
    """What is left where the request does not reach, by component and reason."""
    of_item = bool(ask.items)
    kinds = {item.type for item in ask.items} if of_item else {ask.type}
    wanted = {c for kind in kinds for c in components_of(kind, of_item=of_item)}
    reached = _reached(order, ask)
    found: dict[tuple[Component, Outside], int] = {}
    for component in Component:
        for line in order.lines:
            if (line.position, component) not in reached and line.available[component]:
                reason = Outside.OTHER_ITEMS if component in wanted else Outside.OTHER_TYPE
                amount = found.get((component, reason), 0) + line.available[component]
                found[component, reason] = amount
    return [LeftOut(component, found[component, reason], reason) for component, reason in found]


def _reached(order: Order, ask: RefundAsk) -> set[tuple[int, Component]]:
    """The cells that a request may take from."""
    if not ask.items:
        components = components_of(ask.type, of_item=False)
        return {(line.position, c) for line in order.lines for c in components}
    return {
        (line.position, component)
        for item in ask.items
        if isinstance(line := find_line(order, 0, item.item_id, item.sku_id), Line)
        for component in components_of(item.type, of_item=True)
    }


def _every_refusal(
    order: Order, ask: RefundAsk, first: Refusal, now: datetime
) -> tuple[Refusal, ...]:
    """The refusal that the request would get, first, and every other one.

    The request is looked at again without the dispute and in the right currency, and each of its
    elements by itself.
    """
    found: list[Refusal] = [first]
    if order.state is OrderState.DISPUTE:
        found.append(RefundDuringDispute())
        order = replace(order, state=OrderState.COMPLETE, previous_state=None)
    if ask.currency.upper() != order.currency.code:
        found.append(CurrencyNotSupported(ask.currency))
        ask = replace(ask, currency=order.currency.code)
    if not isinstance(whole := plan_refund(order, ask, refund_id="", now=now), Refund):
        found.append(whole)
    for index in range(len(ask.items)):
        alone = replace(ask, items=ask.items[index : index + 1])
        planned = plan_refund(order, alone, refund_id="", now=now)
        if not isinstance(planned, Refund):
            found.append(_at(planned, index))
    return tuple(dict.fromkeys(found))


def _at(refusal: Refusal, index: int) -> Refusal:
    """A refusal of the only element of a request, named by its place in the whole request."""
    if isinstance(refusal, InvalidField | ItemUnknown | SkuAmbiguous | QuantityAboveOrder):
        name = f"items[{index}]" + refusal.parameter.removeprefix("items[0]")
        return replace(refusal, parameter=name)
    return refusal


def type_of(component: Component) -> RefundType | None:
    """The type of refund that pays a component back; None: a refund without a type."""
    return _TYPES.get(component)
