"""Orders for the unit tests, written cell by cell; amounts are minor units."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from refundry.domain.cells import EMPTY, Cells
from refundry.domain.charge import (
    Charge,
    ChargeState,
    Operation,
    OperationKind,
    OperationState,
    Shares,
)
from refundry.domain.event import Change
from refundry.domain.money import Currency, find_currency
from refundry.domain.order import Line, Order, OrderState

NOW = datetime(2024, 5, 1, 9, 58, 12, 120334, tzinfo=UTC)
SECOND = NOW.replace(microsecond=0)
Sources = Sequence[tuple[str, int]]


def currency(code: str = "USD") -> Currency:
    found = find_currency(code)
    assert found is not None
    return found


def counting(prefix: str) -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


def cells(
    product: int = 0,
    tax: int = 0,
    *,
    shipping: tuple[int, int] = (0, 0),
    duty: int = 0,
    importer_tax: int = 0,
    fees: tuple[int, int] = (0, 0),
) -> Cells:
    """The cells of a line; shipping and fees with their tax."""
    return (product, tax, *shipping, duty, importer_tax, *fees)


def line(ordered: Cells, quantity: int = 1, *, sku: str | None = None) -> Line:
    """A line of which nothing is processed; its place comes with its order."""
    return Line(position=0, id="", sku_id=sku, quantity=quantity, ordered=ordered)


def accepted(*lines: Line, code: str = "USD", sources: Sources = ()) -> Order:
    """An order that waits for its fulfilment; without sources one card pays it all."""
    placed = tuple(
        replace(each, position=place, id=f"line{place}") for place, each in enumerate(lines)
    )
    whole = sum(sum(each.ordered) for each in placed)
    paid = sources or ([("creditCard", whole)] if whole else [])
    return Order(
        id="o1",
        currency=currency(code),
        state=OrderState.ACCEPTED,
        lines=placed,
        charges=tuple(
            Charge(
                f"c{place}",
                f"s{place}",
                kind,
                amount,
                ChargeState.CAPTURABLE,
                "customer_initiated",
                SECOND,
            )
            for place, (kind, amount) in enumerate(paid)
        ),
        created_at=SECOND,
        updated_at=SECOND,
        state_times={"accepted": SECOND},
    )


def captured(*lines: Line, code: str = "USD", sources: Sources = ()) -> Order:
    """An order that is fulfilled, captured and complete."""
    order = accepted(*lines, code=code, sources=sources)
    for charge in order.charges:
        done = operation(charge.id, OperationKind.CAPTURE, charge.amount, OperationState.COMPLETE)
        ended = replace(charge, state=ChargeState.COMPLETE)
        order = order.with_charge(ended.with_operation(done))
    for each in order.lines:
        done = replace(
            each,
            captured=each.ordered,
            fulfilled_units=each.quantity,
            captured_units=each.quantity,
        )
        order = order.with_line(done)
    return replace(order, state=OrderState.COMPLETE)


def operation(
    charge_id: str,
    kind: OperationKind,
    amount: int,
    state: OperationState = OperationState.PENDING,
    *,
    id: str | None = None,
    shares: Shares | None = None,
) -> Operation:
    name = id or f"{charge_id}-{kind}-{state}"
    return Operation(name, charge_id, kind, amount, state, SECOND, SECOND, shares=shares)


def order_a() -> Order:
    """Two tees of 20.00 + 1.61 with shipping of 5.00 + 0.40, captured: 27.01 in all."""
    return captured(line(cells(2000, 161, shipping=(500, 40)), 2, sku="sku-tee"))


def types(change: Change) -> list[str]:
    """The events that a change announces."""
    return [draft.type.value for draft in change.drafts]


def sum_of(shares: Shares) -> Cells:
    """What shares come to, cell by cell."""
    columns = zip(*shares.values(), strict=True)
    return tuple(sum(column) for column in columns) if shares else EMPTY
