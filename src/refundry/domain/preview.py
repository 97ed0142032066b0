"""What a request for a refund would come to, with the rules of the request itself.

Nothing here decides: `plan_refund` does, so that what is shown is what would be done.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from refundry.domain.cells import Component, add
from refundry.domain.charge import OPEN_STATES, Charge, OperationKind, refund_order
from refundry.domain.fulfillment import split_over
from refundry.domain.order import Order, OrderState, hold
from refundry.domain.refund import (
    Refund,
    RefundAsk,
    base_of_item,
    base_of_order,
    components_of,
    plan_refund,
)
from refundry.domain.refusal import CurrencyNotSupported, RefundDuringDispute, Refusal


@dataclass(frozen=True, slots=True)
class Share:
    """What one payment source would get back, in minor units."""

    charge: Charge
    amount: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Money that is left but is not part of this refund. amount: minor units."""

    component: Component
    amount: int


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


def preview_refund(order: Order, ask: RefundAsk, *, now: datetime) -> Preview:
    """What `ask` would come to on `order`, with every reason why not."""
    planned = plan_refund(order, ask, refund_id="", now=now)
    refund = planned if isinstance(planned, Refund) else None
    refusals = () if isinstance(planned, Refund) else _every_refusal(order, ask, planned, now)
    return Preview(
        before=order,
        after=hold(order, refund.shares) if refund else order,
        refund=refund,
        refusals=refusals,
        base=_base(order, ask),
        shares=tuple(_shares(order, refund)) if refund else (),
        left_out=tuple(_left_out(order, ask)),
    )


def _base(order: Order, ask: RefundAsk) -> int:
    if not ask.items:
        return base_of_order(order, ask.type)
    lines = {line.id: line for line in order.lines} | {
        line.sku_id: line for line in reversed(order.lines) if line.sku_id
    }
    asked = {(item.item_id or item.sku_id or "", item.type) for item in ask.items}
    return sum(base_of_item(lines[name], kind) for name, kind in asked if name in lines)


def _shares(order: Order, refund: Refund) -> list[Share]:
    """The payment sources in the order in which they are refunded (contract, refunds, 6)."""
    charges = refund_order(order.charges)
    rooms = [(charge, charge.refundable) for charge in charges]
    taken = {charge.id: amount for charge, amount in split_over(rooms, _unsubmitted(order))}
    rooms = [(charge, room - taken.get(charge.id, 0)) for charge, room in rooms]
    return [Share(charge, amount) for charge, amount in split_over(rooms, refund.amount)]


def _unsubmitted(order: Order) -> int:
    """What accepted refunds hold that no charge has been asked for yet, in minor units."""
    held = sum(sum(line.held) for line in order.lines)
    asked = sum(charge.total(OperationKind.REFUND, *OPEN_STATES) for charge in order.charges)
    return max(0, held - asked)


def _left_out(order: Order, ask: RefundAsk) -> list[LeftOut]:
    """What is left of components that this kind of refund does not pay back."""
    kinds = {item.type for item in ask.items} or {ask.type}
    taken = {c for kind in kinds for c in components_of(kind, of_item=bool(ask.items))}
    left = add_up(order)
    return [LeftOut(c, left[c]) for c in Component if c not in taken and left[c]]


def add_up(order: Order) -> tuple[int, ...]:
    """What is left of each component over all lines, in minor units."""
    total = (0,) * len(Component)
    for line in order.lines:
        total = add(total, line.available)
    return total


def _every_refusal(
    order: Order, ask: RefundAsk, first: Refusal, now: datetime
) -> tuple[Refusal, ...]:
    """The refusal that the request would get, first, and every other one.

    Of the elements of a request each is also looked at by itself.
    """
    found: list[Refusal] = [first]
    if order.state is OrderState.DISPUTE:
        found.append(RefundDuringDispute())
        order = replace(order, state=OrderState.COMPLETE, previous_state=None)
    if ask.currency.upper() != order.currency.code:
        found.append(CurrencyNotSupported(ask.currency))
        ask = replace(ask, currency=order.currency.code)
    for index in range(len(ask.items) or 1):
        alone = replace(ask, items=ask.items[index : index + 1])
        planned = plan_refund(order, alone, refund_id="", now=now)
        if not isinstance(planned, Refund):
            found.append(_at(planned, index) if ask.items else planned)
    return tuple(dict.fromkeys(found))


def _at(refusal: Refusal, index: int) -> Refusal:
    """A refusal of the only element of a request, named by its place in the whole request."""
    parameter = getattr(refusal, "parameter", None)
    if not isinstance(parameter, str) or not parameter.startswith("items[0]"):
        return refusal
    name = f"items[{index}]" + parameter.removeprefix("items[0]")
    return replace(refusal, parameter=name)  # type: ignore[call-arg]
