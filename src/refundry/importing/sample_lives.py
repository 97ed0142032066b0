"""What becomes of the money of a sample order: captured, cancelled and refunded, line by line."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from refundry.domain.allocation import allocate
from refundry.domain.cells import EMPTY, Cells, Component, add, only, spread, subtract
from refundry.domain.fulfillment import units_amount

_GOODS = (Component.PRODUCT, Component.TAX)
_FEES = (Component.FEES, Component.FEES_TAX)


class Life(StrEnum):
    """What an order went through."""

    COMPLETE = "complete"
    PARTLY_REFUNDED = "partly refunded"
    LINE_REFUNDED = "line refunded"
    SHIPPING_REFUNDED = "shipping refunded"
    FULLY_REFUNDED = "fully refunded"
    LINE_CANCELLED = "line cancelled"
    UNITS_CANCELLED = "units cancelled"
    RETURNED = "returned"
    DISPUTED = "disputed"
    CHARGED_BACK = "charged back"
    CANCELLED = "cancelled"
    ACCEPTED = "accepted"
    PARTLY_SHIPPED = "partly shipped"
    IN_REVIEW = "in review"


LIVES: dict[Life, int] = {
    Life.COMPLETE: 58,
    Life.PARTLY_REFUNDED: 8,
    Life.LINE_REFUNDED: 5,
    Life.SHIPPING_REFUNDED: 2,
    Life.FULLY_REFUNDED: 4,
    Life.LINE_CANCELLED: 4,
    Life.UNITS_CANCELLED: 3,
    Life.RETURNED: 3,
    Life.DISPUTED: 1,
    Life.CHARGED_BACK: 1,
    Life.CANCELLED: 2,
    Life.ACCEPTED: 5,
    Life.PARTLY_SHIPPED: 3,
    Life.IN_REVIEW: 1,
}
"""How many orders of a hundred have which life."""


@dataclass(slots=True)
class LineLife:
    """A line of a sample: what it was sold for, and what became of it. state: as published."""

    ordered: Cells
    quantity: int
    fulfilled: int = 0
    cancelled: int = 0
    refunded: Cells = EMPTY
    state: str = "created"

    @property
    def captured_amount(self) -> int:
        """What its fulfilled units come to."""
        return units_amount(sum(self.ordered), self.quantity, 0, self.fulfilled)

    @property
    def cancelled_amount(self) -> int:
        """What its cancelled units come to."""
        whole = sum(self.ordered)
        return units_amount(whole, self.quantity, self.fulfilled, self.cancelled)

    @property
    def available(self) -> Cells:
        """What each cell may still pay back."""
        return subtract(tuple(allocate(self.captured_amount, self.ordered)), self.refunded)


@dataclass(slots=True)
class OrderLife:
    """The lines of a sample, and the amounts of the refunds in their order."""

    state: str
    lines: list[LineLife]
    refunds: list[int] = field(default_factory=list[int])


def live(life: Life, lines: list[LineLife], chance: random.Random) -> OrderLife:
    """Let the lines go through `life`."""
    order = OrderLife(_ship(life, lines, chance), lines)
    match life:
        case Life.PARTLY_REFUNDED:
            for _ in range(chance.choice((1, 1, 2))):
                available = sum(sum(line.available) for line in lines)
                _refund(order, _part(available, chance))
        case Life.LINE_REFUNDED:
            _refund_line(order, chance)
        case Life.SHIPPING_REFUNDED:
            _refund_of(order, (Component.SHIPPING, Component.SHIPPING_TAX))
        case Life.FULLY_REFUNDED | Life.RETURNED | Life.CHARGED_BACK:
            _refund(order, sum(sum(line.available) for line in lines))
        case _:
            pass
    return order


def _ship(life: Life, lines: list[LineLife], chance: random.Random) -> str:
    """Fulfil and cancel units; gives the state of the order."""
    if life in (Life.ACCEPTED, Life.IN_REVIEW):
        return "accepted" if life is Life.ACCEPTED else "in_review"
    for line in lines:
        line.fulfilled, line.state = line.quantity, "fulfilled"
    first = lines[0]
    match life:
        case Life.CANCELLED:
            for line in lines:
                line.fulfilled, line.cancelled, line.state = 0, line.quantity, "cancelled"
            return "cancelled"
        case Life.LINE_CANCELLED if len(lines) > 1:
            first.fulfilled, first.cancelled, first.state = 0, first.quantity, "cancelled"
        case Life.UNITS_CANCELLED if first.quantity > 1:
            first.fulfilled = chance.randint(1, first.quantity - 1)
            first.cancelled = first.quantity - first.fulfilled
        case Life.PARTLY_SHIPPED if len(lines) > 1:
            first.fulfilled, first.state = 0, "created"
            return "accepted"
        case Life.RETURNED:
            for line in lines:
                line.state = "returned"
            return "returned"
        case Life.DISPUTED | Life.CHARGED_BACK:
            return "dispute"
        case _:
            pass
    return "complete"


def _part(amount: int, chance: random.Random) -> int:
    return amount * chance.choice((10, 25, 50, 75)) // 100


def _refund(order: OrderLife, amount: int) -> None:
    """Refund an amount of the whole order: in proportion to what is left, fees last."""
    free = [line.available for line in order.lines]
    goods = [only(cells, [c for c in Component if c not in _FEES]) for cells in free]
    most = min(amount, sum(map(sum, goods)))
    _book(order, spread(most, goods))
    _book(order, spread(amount - most, [only(cells, _FEES) for cells in free]))
    if amount:
        order.refunds.append(amount)


def _refund_line(order: OrderLife, chance: random.Random) -> None:
    """Refund a line, or a part of it: what the shopper paid for it and its tax."""
    index = chance.randrange(len(order.lines))
    goods = only(order.lines[index].available, _GOODS)
    amount = sum(goods) if chance.random() < 0.5 else _part(sum(goods), chance)
    shares = [EMPTY] * len(order.lines)
    shares[index] = tuple(allocate(amount, goods))
    _book(order, shares)
    if amount:
        order.refunds.append(amount)


def _refund_of(order: OrderLife, components: Sequence[Component]) -> None:
    """Refund everything of some components."""
    shares = [only(line.available, components) for line in order.lines]
    _book(order, shares)
    if amount := sum(map(sum, shares)):
        order.refunds.append(amount)


def _book(order: OrderLife, shares: Sequence[Cells]) -> None:
    for line, cells in zip(order.lines, shares, strict=True):
        line.refunded = add(line.refunded, cells)
