"""What an exported order tells besides its charges: its sums, and what is left of each line.

A resource as the API answers it names amounts but not the units behind them. They are found again
from the states of the lines and the sums; refunds are put on the lines that the export says.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from refundry.domain.allocation import allocate
from refundry.domain.cells import EMPTY, Cells, Component, add, only, spread, subtract
from refundry.domain.charge import Charge, Operation, OperationKind
from refundry.domain.fulfillment import units_amount
from refundry.domain.money import major_text
from refundry.domain.order import Line, LineState, Order, OrderState
from refundry.domain.refusal import InvalidField

Units = tuple[int, int]
"""Fulfilled and cancelled units of a line."""

FINAL_STATES = frozenset({OrderState.FULFILLED, OrderState.COMPLETE, OrderState.RETURNED})
_WAITING = frozenset({OrderState.PENDING_PAYMENT, OrderState.IN_REVIEW, OrderState.BLOCKED})
# Ways to split units that are tried; an order that has more is refused where the plain guess fails.
_MOST_WAYS = 20_000
_GOODS = (Component.PRODUCT, Component.TAX)
_FEES = (Component.FEES, Component.FEES_TAX)
_FREIGHT = (
    Component.SHIPPING,
    Component.SHIPPING_TAX,
    Component.DUTY,
    Component.IMPORTER_TAX,
)


@dataclass(frozen=True, slots=True)
class Told:
    """Published figures of an export, in minor units; None where one is not told.

    lines: availableToRefundAmount of each line.
    """

    captured: int | None
    cancelled: int | None
    refunded: int | None
    available: int | None
    lines: tuple[int | None, ...]


def told_units(order: Order, fates: Sequence[LineState | None], told: Told) -> list[Units]:
    """The units of each line that make the sums of `told`; the plain guess where none or many do.

    fates: the states of the lines as exported. A wrong guess is refused later, by its sums.
    """
    guess = [_guess(line, fate, order.state) for line, fate in zip(order.lines, fates, strict=True)]
    guessed = [_way(line, units) for line, units in zip(order.lines, guess, strict=True)]
    if told.captured is None or _fit(guessed, told):
        return guess
    ways: list[list[_Way]] = []
    for line, fate in zip(order.lines, fates, strict=True):
        possible = [_way(line, units) for units in _choices(line, fate, order.state)]
        ways.append([way for way in possible if _left_fits(way, told)])
    if math.prod(map(len, ways)) > _MOST_WAYS:
        return guess
    found = list(itertools.islice((c for c in itertools.product(*ways) if _fit(c, told)), 2))
    return [way.units for way in found[0]] if len(found) == 1 else guess


@dataclass(frozen=True, slots=True)
class _Way:
    """Units of a line, and what they come to; goods: captured product and its tax."""

    position: int
    units: Units
    captured: int
    cancelled: int
    goods: int


def _way(line: Line, units: Units) -> _Way:
    whole = sum(line.ordered)
    done = units_amount(whole, line.quantity, 0, units[0])
    gone = units_amount(whole, line.quantity, units[0], units[1])
    cells = allocate(done, line.ordered) if done else EMPTY
    return _Way(line.position, units, done, gone, cells[Component.PRODUCT] + cells[Component.TAX])


def _fit(ways: Sequence[_Way], told: Told) -> bool:
    captured = sum(way.captured for way in ways)
    cancelled = sum(way.cancelled for way in ways)
    return captured == told.captured and cancelled == (told.cancelled or 0)


def _left_fits(way: _Way, told: Told) -> bool:
    """Whether the line can have left what is told; without refunds that is what it captured."""
    left = told.lines[way.position]
    if left is None:
        return True
    return way.goods >= left if told.refunded else way.goods == left


def _guess(line: Line, fate: LineState | None, state: OrderState) -> Units:
    if state is OrderState.CANCELLED or fate is LineState.CANCELLED:
        return 0, line.quantity
    processed = fate in (LineState.FULFILLED, LineState.RETURNED) or state in FINAL_STATES
    return (line.quantity, 0) if processed and state not in _WAITING else (0, 0)


def _choices(line: Line, fate: LineState | None, state: OrderState) -> list[Units]:
    guess = _guess(line, fate, state)
    most = line.quantity
    fixed = state is OrderState.CANCELLED or state in _WAITING or fate is LineState.CANCELLED
    if fixed or most * most > _MOST_WAYS:
        return [guess]
    if fate in (LineState.FULFILLED, LineState.RETURNED):
        return [(units, most - units) for units in range(1, most + 1)]
    if state in FINAL_STATES:
        return [(units, most - units) for units in range(most + 1)]
    return [(done, gone) for done in range(most + 1) for gone in range(most + 1 - done)]


def refunds_as_told(before: Order, ruled: Order, told: Told) -> Order:
    """`ruled` with its refunds on the lines where `told` says that they are.

    before: without refunds; ruled: with them shared out by the rule, which stands where it gives
    what is told, and where what is told cannot be.
    """
    left = [line.available_to_refund for line in ruled.lines]
    if None in told.lines or left == list(told.lines):
        return ruled
    wanted = _wanted(before.lines, ruled.refunded, told)
    return _reshared(ruled, wanted) if wanted is not None else ruled


def _wanted(lines: Sequence[Line], total: int, told: Told) -> list[Cells] | None:
    """What each cell has to have paid back; None if the lines cannot have paid so."""
    goods: list[Cells] = []
    for line, left in zip(lines, told.lines, strict=True):
        paid = line.available_to_refund - (left or 0)
        if paid < 0:
            return None
        room = only(line.available, _GOODS)
        goods.append(tuple(allocate(paid, room)) if paid else EMPTY)
    rest = total - sum(map(sum, goods))
    for components in (_FREIGHT, _FEES):
        rooms = [only(line.available, components) for line in lines]
        taken = min(rest, sum(map(sum, rooms)))
        if taken > 0:
            shares = spread(taken, rooms)
            goods = [add(cells, share) for cells, share in zip(goods, shares, strict=True)]
            rest -= taken
    return goods if rest == 0 else None


def _reshared(order: Order, wanted: list[Cells]) -> Order:
    left = list(wanted)

    def reshare(operation: Operation) -> Operation:
        if operation.kind is not OperationKind.REFUND:
            return operation
        shares = spread(operation.amount, left)
        for position, cells in enumerate(shares):
            left[position] = subtract(left[position], cells)
        return replace(operation, shares={p: cells for p, cells in enumerate(shares) if any(cells)})

    def of_charge(charge: Charge) -> Charge:
        return replace(charge, operations=tuple(map(reshare, charge.operations)))

    return replace(
        order,
        charges=tuple(map(of_charge, order.charges)),
        lines=tuple(
            replace(line, refunded=cells) for line, cells in zip(order.lines, wanted, strict=True)
        ),
    )


def check_told(order: Order, told: Told) -> InvalidField | None:
    """The first sum that the order does not have as the export tells it."""
    for name, wanted, found in (
        ("capturedAmount", told.captured, order.captured),
        ("cancelledAmount", told.cancelled, order.cancelled),
        ("refundedAmount", told.refunded, order.refunded),
        ("availableToRefundAmount", told.available, order.available_to_refund),
    ):
        if wanted is not None and wanted != found:
            return InvalidField(name, major_text(wanted, order.currency.exponent))
    return None
