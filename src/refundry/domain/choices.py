"""The ways in which the dashboard offers to refund an order, and the request each one makes.

Source: contract, dashboard, section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from refundry.domain.allocation import allocate
from refundry.domain.cells import only
from refundry.domain.money import to_major
from refundry.domain.order import Order, OrderState
from refundry.domain.refund import (
    ElementAsk,
    Refund,
    RefundAsk,
    RefundType,
    base_of_item,
    base_of_order,
    components_of,
    product_estimate,
)


class Choice(StrEnum):
    """What a service representative can choose; in the order in which it is offered."""

    ORDER = "order"
    ITEMS = "items"
    SHIPPING = "shipping"
    DUTY = "duty"
    IMPORTER_TAX = "importer_tax"
    FEES = "fees"
    TAX = "tax"


LABELS: Mapping[Choice, str] = {
    Choice.ORDER: "Complete Order",
    Choice.ITEMS: "Line Items",
    Choice.SHIPPING: "Shipping",
    Choice.DUTY: "Importer Duty",
    Choice.IMPORTER_TAX: "Importer Tax",
    Choice.FEES: "Fees",
    Choice.TAX: "Tax",
}
FULL_ONLY = frozenset({Choice.IMPORTER_TAX, Choice.TAX})
"""Choices without an amount: all that is left, or nothing."""

_TYPES: Mapping[Choice, RefundType | None] = {
    Choice.ORDER: None,
    Choice.SHIPPING: RefundType.SHIPPING,
    Choice.DUTY: RefundType.DUTY,
    Choice.IMPORTER_TAX: RefundType.IMPORTER_TAX,
    Choice.FEES: RefundType.FEES,
    Choice.TAX: RefundType.TAX,
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A choice with what it could take at most, in minor units."""

    choice: Choice
    available: int

    @property
    def label(self) -> str:
        """As pages name it."""
        return LABELS[self.choice]


@dataclass(frozen=True, slots=True)
class Units:
    """Units of a line to refund. amount: minor units for all of them."""

    position: int
    quantity: int
    amount: int


def offers(order: Order) -> list[Offer]:
    """Every choice with what is left for it; nothing is left while the order is in dispute."""
    return [Offer(choice, available_for(order, choice)) for choice in Choice]


def available_for(order: Order, choice: Choice) -> int:
    """What a choice could take of an order at most, in minor units."""
    if order.state is OrderState.DISPUTE:
        return 0
    if choice is Choice.ITEMS:
        return sum(base_of_item(line, None) for line in order.lines)
    return base_of_order(order, _TYPES[choice])


class Nothing(StrEnum):
    """Why a choice has nothing left."""

    DISPUTE = "dispute"
    NEVER_CAPTURED = "never_captured"
    HELD = "held"
    REFUNDED = "refunded"


def why_nothing(order: Order, choice: Choice) -> Nothing:
    """Why nothing is available for a choice."""
    if order.state is OrderState.DISPUTE:
        return Nothing.DISPUTE
    components = components_of(_TYPES.get(choice), of_item=choice is Choice.ITEMS)
    if not any(sum(only(line.captured, components)) for line in order.lines):
        return Nothing.NEVER_CAPTURED
    held = any(sum(only(line.held, components)) for line in order.lines)
    return Nothing.HELD if held else Nothing.REFUNDED


def unit_amount(order: Order, position: int) -> int:
    """What is proposed per unit of a line: its share of what is left, rounded down.

    0 where a unit is worth less than a minor unit; `units_worth` says then what some are worth.
    """
    line = order.lines[position]
    return base_of_item(line, None) // line.quantity


def units_worth(order: Order, position: int, quantity: int) -> int:
    """What is proposed for units of a line if nobody says an amount: of all, all that is left.

    Where an amount per unit cannot be said, it is what the request for all of their worth, with
    `percent` 100, would take.
    """
    line = order.lines[position]
    if quantity == line.quantity:
        return base_of_item(line, None)
    unit = unit_amount(order, position)
    return quantity * unit if unit else product_estimate(order, position, quantity)


def whole_ask(order: Order, choice: Choice, amount: int) -> RefundAsk:
    """The request for a choice that is about the order. amount: minor units; not looked at where
    the choice takes all that is left."""
    if choice is Choice.FEES:
        return items_ask(order, _fee_elements(order, amount), RefundType.FEES)
    ask = RefundAsk(order.id, None, order.currency.code, type=_TYPES[choice])
    if choice in FULL_ONLY:
        return replace(ask, percent=Decimal(100))
    major = to_major(amount, order.currency)
    return replace(ask, amount=major, sent_amount=format(major, "f"))


def items_ask(order: Order, elements: Sequence[Units], kind: RefundType | None = None) -> RefundAsk:
    """The request for units of lines, or for what is left of a kind on them."""
    asks = [_element(order, units, kind) for units in elements]
    return RefundAsk(order.id, None, order.currency.code, items=tuple(asks))


def _element(order: Order, units: Units, kind: RefundType | None) -> ElementAsk:
    major = to_major(units.amount, order.currency)
    return ElementAsk(
        item_id=order.lines[units.position].id,
        sku_id=None,
        quantity=units.quantity,
        amount=major,
        percent=None,
        type=kind,
        sent_amount=format(major, "f"),
    )


def _fee_elements(order: Order, amount: int) -> list[Units]:
    """An amount of fees over the lines that have some left, by the largest remainder.

    More than there is stays on the lines in proportion, and where nothing is to be shared the
    first line is asked for it all: it is for the rules to refuse it.
    """
    weights = [base_of_item(line, RefundType.FEES) for line in order.lines]
    shares = allocate(amount if any(weights) else 0, weights)
    found = [
        Units(line.position, line.quantity, share)
        for line, share in zip(order.lines, shares, strict=True)
        if share
    ]
    return found or [Units(0, order.lines[0].quantity, amount)]


def choice_of(refund: Refund) -> Choice:
    """The choice that a refund would have been made by, whatever made it."""
    if not refund.elements:
        return next(choice for choice, kind in _TYPES.items() if kind is refund.type)
    kinds = {element.type for element in refund.elements}
    if len(kinds) == 1 and (kind := kinds.pop()) is not None:
        return next(choice for choice, known in _TYPES.items() if known is kind)
    return Choice.ITEMS


TYPE_LABELS: Mapping[Choice, str] = {
    Choice.ORDER: "Complete order",
    Choice.ITEMS: "Line items",
    Choice.SHIPPING: "Shipping",
    Choice.DUTY: "Importer duty",
    Choice.IMPORTER_TAX: "Importer tax",
    Choice.FEES: "Fees",
    Choice.TAX: "Tax",
}
"""How lists of refunds name the choice that made one."""
