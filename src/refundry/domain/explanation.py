"""How the cents of a refund came about: what each cell had when it was requested, and its share.

Nothing of that moment is stored but the shares. It is worked out from the records of the order and
believed only if the rules make the stored shares of it, to the cent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import islice, product

from refundry.domain.cells import EMPTY, Cells, Component, add, only, spread, subtract
from refundry.domain.charge import Operation, OperationKind, OperationState, Shares
from refundry.domain.order import Order
from refundry.domain.refund import (
    FULL_ONLY_TYPES,
    OPEN_REFUND_STATES,
    Element,
    Refund,
    components_of,
)
from refundry.domain.settlement import operations_of

# Records of one second may have come in any order; this many orders are tried.
_MOST_READINGS = 256


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell in a calculation; minor units.

    taken: what was refunded or held before. exact: its share before rounding.
    """

    position: int
    component: Component
    captured: int
    taken: int
    exact: Fraction
    share: int

    @property
    def available(self) -> int:
        """What the cell had left, which is its weight."""
        return self.captured - self.taken

    @property
    def whole(self) -> int:
        """The exact share without its fraction."""
        return self.exact.numerator // self.exact.denominator

    @property
    def extra(self) -> int:
        """1 if it got one of the units that rounding down left over, else 0."""
        return self.share - self.whole


@dataclass(frozen=True, slots=True)
class Step:
    """One amount spread over cells: a refund of an order, or one element of a refund of items.

    amount, available: minor units. figures: the cells in which anything was captured.
    """

    element: Element | None
    amount: int
    available: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The calculation of a refund. certain: no other order of the records makes these shares of
    other figures."""

    steps: tuple[Step, ...]
    certain: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """What may have been captured of each line, and refunded or held, when a request came."""

    captured: Mapping[int, Cells]
    taken: Mapping[int, Cells]


def explain_refund(order: Order, refunds: Sequence[Refund], refund_id: str) -> Explanation | None:
    """The calculation that gave a refund its shares; None if the records do not show it.

    order: as it is now, with its charges. refunds: all of the order's, the oldest first.
    """
    place = next(i for i, refund in enumerate(refunds) if refund.id == refund_id)
    found: list[tuple[Step, ...]] = []
    for reading in _readings(order, refunds, place):
        steps = _steps(refunds[place], reading)
        if steps is not None and steps not in found:
            found.append(steps)
    return Explanation(found[0], certain=len(found) == 1) if found else None


def _readings(order: Order, refunds: Sequence[Refund], place: int) -> Iterator[_Reading]:
    """Every state of the cells that the records allow for a moment, the likeliest first."""
    at = refunds[place].created_at
    captures = [o for o in _complete(order, OperationKind.CAPTURE) if o.shares]
    later = [_before(o.updated_at, at, yes={}, no=o.shares or {}) for o in captures]
    chargebacks = [_before(o.created_at, at, yes=o.shares or {}, no={}) for o in order.chargebacks]
    earlier = [_taken_options(order, refund, at) for refund in refunds[:place]]
    imported = _imported(order, refunds)
    for choice in islice(product(product(*later), product(*earlier, *chargebacks)), _MOST_READINGS):
        missing, taken = choice
        yield _Reading(
            {p: subtract(order.lines[p].captured, cells) for p, cells in _sum(order, missing)},
            {p: add(imported[p], cells) for p, cells in _sum(order, taken)},
        )


def _complete(order: Order, kind: OperationKind) -> list[Operation]:
    return [
        operation
        for charge in order.charges
        for operation in charge.operations
        if operation.kind is kind and operation.state is OperationState.COMPLETE
    ]


def _before(then: datetime, at: datetime, *, yes: Shares, no: Shares) -> list[Shares]:
    """What counts of a record of `then` at `at`; within the same second it may be either."""
    if then == at:
        return [yes, no]
    return [yes] if then < at else [no]


def _taken_options(order: Order, refund: Refund, at: datetime) -> list[Shares]:
    """What an earlier refund may have held or refunded: all of it, or what was left in the end."""
    if refund.state in OPEN_REFUND_STATES:
        return [refund.shares]
    records = operations_of(order, refund)
    last = max(operation.updated_at for operation in records)
    options: list[Shares] = []
    if last <= at:
        options.append(refund.refunded_shares)
    if last >= at:
        options.append(refund.shares)
        options += _paid_in_part(refund, records, at)
    return options


def _paid_in_part(refund: Refund, records: Sequence[Operation], at: datetime) -> list[Shares]:
    """What was left of it where some records had failed and the others, paid then, failed later."""
    amounts = {part.operation_id: part.amount for part in refund.parts}
    failed = [o for o in records if o.state is OperationState.FAILED]
    lost = sum(amounts[o.id] for o in failed if o.updated_at <= at)
    if len(failed) < len(records) or not 0 < lost < refund.amount:
        return []
    positions = sorted(refund.shares)
    gone = spread(lost, [refund.shares[p] for p in positions])
    return [
        {p: subtract(refund.shares[p], cells) for p, cells in zip(positions, gone, strict=True)}
    ]


def _imported(order: Order, refunds: Sequence[Refund]) -> list[Cells]:
    """What was refunded of each line before the order came into these books."""
    known = [refund.refunded_shares for refund in refunds]
    known += [operation.shares or {} for operation in order.chargebacks]
    sums = dict(_sum(order, known))
    return [subtract(line.refunded, sums[line.position]) for line in order.lines]


def _sum(order: Order, shares: Sequence[Shares]) -> Iterator[tuple[int, Cells]]:
    """What shares come to, line by line."""
    for line in order.lines:
        cells = EMPTY
        for each in shares:
            cells = add(cells, each.get(line.position, EMPTY))
        yield line.position, cells


def _steps(refund: Refund, reading: _Reading) -> tuple[Step, ...] | None:
    """The calculation on a state of the cells; None if the stored shares do not come of it."""
    taken = dict(reading.taken)
    steps: list[Step] = []
    given: dict[int, Cells] = {}
    for element in refund.elements or (None,):
        step = _step(refund, element, reading.captured, taken)
        if step is None:
            return None
        for figure in step.figures:
            cells = tuple(figure.share if c is figure.component else 0 for c in Component)
            taken[figure.position] = add(taken[figure.position], cells)
            given[figure.position] = add(given.get(figure.position, EMPTY), cells)
        steps.append(step)
    return tuple(steps) if _filled(given) == _filled(refund.shares) else None


def _filled(shares: Shares) -> dict[int, Cells]:
    return {position: cells for position, cells in shares.items() if any(cells)}


def _step(
    refund: Refund, element: Element | None, captured: Mapping[int, Cells], taken: Shares
) -> Step | None:
    """One amount over its cells; None if it could not have been taken from them."""
    kind = element.type if element else refund.type
    components = components_of(kind, of_item=element is not None)
    positions = [element.position] if element else sorted(captured)
    amount = element.amount if element else refund.amount
    weights = [only(subtract(captured[p], taken[p]), components) for p in positions]
    available = sum(map(sum, weights))
    if any(min(cells) < 0 for cells in weights) or not 0 < amount <= available:
        return None
    if kind in FULL_ONLY_TYPES and amount < available:
        return None
    shares = dict(zip(positions, spread(amount, weights), strict=True))
    figures = tuple(
        Figure(
            position, c, captured[position][c], taken[position][c],
            Fraction(amount * (captured[position][c] - taken[position][c]), available),
            shares[position][c],
        )
        for position in positions
        for c in components
        if captured[position][c]
    )  # fmt: skip
    return Step(element, amount, available, figures)
