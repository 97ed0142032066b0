"""Orders for the property tests: any lines, cells, currencies and sources, of readable size."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext

from hypothesis import assume
from hypothesis import strategies as st

from refundry.domain.cells import EMPTY, Cells
from refundry.domain.event import Change, EventType
from refundry.domain.intake import LineAsk, NewIds, OrderAsk, SourceAsk, admit
from refundry.domain.money import Currency, find_currency
from refundry.domain.order import Order, OrderState

NOW = datetime(2024, 5, 1, 9, 58, 12, 120334, tzinfo=UTC)
# One currency for each number of minor-unit digits.
CODES = ("JPY", "USD", "BHD", "CLF")
SHIPPING, SHIPPING_TAX = 2, 3


def currency(code: str) -> Currency:
    found = find_currency(code)
    assert found is not None
    return found


def counting(prefix: str) -> Callable[[], str]:
    """New ids: the prefix and a number, each id once."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


def new_ids() -> NewIds:
    return NewIds(number=counting("n"), uuid=counting("u"))


def rounded(numerator: int, denominator: int) -> int:
    """A fraction rounded half up by the standard library, to compare our own rounding with."""
    with localcontext(prec=100):
        quotient = Decimal(numerator) / Decimal(denominator)
        return int(quotient.quantize(Decimal(1), rounding=ROUND_HALF_UP))


# Small amounts make ties and empty cells common; large ones are for the sums.
amounts = st.one_of(st.just(0), st.integers(1, 30), st.integers(1, 9_999))


@st.composite
def line_asks(draw: st.DrawFn, *, most_units: int = 6) -> LineAsk:
    """A line without shipping of its own; the order's is spread over the lines."""
    figures = draw(st.lists(amounts, min_size=8, max_size=8))
    figures[SHIPPING] = figures[SHIPPING_TAX] = 0
    return LineAsk(
        id=None,
        sku_id=None,
        quantity=draw(st.integers(1, most_units)),
        ordered=tuple(figures),
        shipping=None,
        physical=draw(st.booleans()),
        fulfilled_units=None,
        cancelled_units=0,
        state=None,
    )


@st.composite
def source_asks(draw: st.DrawFn, total: int) -> tuple[SourceAsk, ...]:
    """One to three sources that pay `total`, in any order, at most one of them primary."""
    if total == 0:
        return ()
    cuts = {draw(st.integers(0, 100)) * total // 100 for _ in range(draw(st.integers(0, 2)))}
    bounds = sorted({0, *cuts, total})
    parts = len(bounds) - 1
    types = ["customerCredit"] * parts
    primary = draw(st.integers(0, parts))
    if primary < parts:
        types[primary] = draw(st.sampled_from(["creditCard", "wireTransfer"]))
    return tuple(
        SourceAsk(id=None, type=kind, amount=end - start)
        for kind, (start, end) in zip(types, itertools.pairwise(bounds), strict=True)
    )


@st.composite
def order_asks(
    draw: st.DrawFn, *, state: OrderState = OrderState.ACCEPTED, most_lines: int = 5
) -> OrderAsk:
    """An order whose figures add up."""
    lines = tuple(draw(st.lists(line_asks(), min_size=1, max_size=most_lines)))
    shipping = draw(st.tuples(amounts, amounts))
    total = sum(sum(line.ordered) for line in lines) + sum(shipping)
    return OrderAsk(
        id="o1",
        currency=currency(draw(st.sampled_from(CODES))),
        state=state,
        lines=lines,
        shipping=shipping,
        totals={},
        sources=draw(source_asks(total)),
        charges=None,
        created_at=None,
    )


def admitted(ask: OrderAsk) -> Order:
    order = admit(ask, now=NOW, ids=new_ids())
    assert isinstance(order, Order)
    return order


@st.composite
def accepted_orders(draw: st.DrawFn, *, most_lines: int = 8) -> Order:
    """Orders of which nothing is captured yet."""
    return admitted(draw(order_asks(most_lines=most_lines)))


@st.composite
def captured_orders(draw: st.DrawFn, *, most_lines: int = 3) -> Order:
    """Orders with something captured: some lines in part, the rest cancelled."""
    ask = draw(order_asks(state=OrderState.COMPLETE, most_lines=most_lines))
    units = [draw(st.integers(0, line.quantity)) for line in ask.lines]
    lines = tuple(
        replace(line, fulfilled_units=line.quantity - gone, cancelled_units=gone)
        if draw(st.booleans())
        else replace(line, fulfilled_units=line.quantity)
        for line, gone in zip(ask.lines, units, strict=True)
    )
    order = admitted(replace(ask, lines=lines))
    assume(order.captured > 0)
    return order


def total(cells: list[Cells]) -> Cells:
    """The sum, cell by cell, written apart from the code under test."""
    return tuple(sum(column) for column in zip(*cells, strict=True)) if cells else EMPTY


ORDER_EVENTS = frozenset(
    {
        EventType.ORDER_ACCEPTED,
        EventType.ORDER_UPDATED,
        EventType.ORDER_CANCELLED,
        EventType.ORDER_FULFILLED,
        EventType.ORDER_COMPLETE,
        EventType.ORDER_REFUNDED,
        EventType.ORDER_DISPUTE,
        EventType.ORDER_DISPUTE_RESOLVED,
        EventType.ORDER_CHARGEBACK,
    }
)


def assert_versions_rank_snapshots(before: Order, change: Change) -> None:
    """The version rises by one for each snapshot, and no two contents share a version."""
    published = [draft.order for draft in change.drafts if draft.type in ORDER_EVENTS]
    first = before.version + 1
    assert [order.version for order in published] == list(range(first, first + len(published)))
    if published and published[-1].version == change.order.version:
        assert published[-1] == change.order
    else:
        assert change.order.version == first + len(published)
