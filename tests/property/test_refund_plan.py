"""What a refund comes to before any money moves: its cells, its limits, and what 100 % means."""

from decimal import Decimal

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refundry.domain.money import major_text, to_major
from refundry.domain.order import Order, hold
from refundry.domain.refund import (
    AmountBasis,
    ElementAsk,
    Refund,
    RefundAsk,
    RefundType,
    plan_refund,
)
from refundry.domain.refusal import (
    AmountUnavailable,
    BelowSmallestAmount,
    InvalidField,
    OnlyFullTax,
    Refusal,
)
from tests.property.generated import NOW, captured_orders, rounded
from tests.property.refund_model import ITEM_SELECTIONS, ORDER_SELECTIONS, base_of

bounded = settings(max_examples=70, deadline=None)
kinds = st.sampled_from(list(ORDER_SELECTIONS))
item_kinds = st.sampled_from(list(ITEM_SELECTIONS))
percents = st.one_of(
    st.sampled_from([Decimal("0.01"), Decimal("99.99"), Decimal(100)]),
    st.decimals("0.01", "100", places=4),
)
HUNDRED = Decimal(100)


def whole(
    order: Order,
    kind: RefundType | None,
    *,
    percent: Decimal | None = None,
    amount: Decimal | None = None,
) -> Refund | Refusal:
    ask = RefundAsk(order.id, None, order.currency.code, amount, percent, kind, sent_amount="sent")
    return plan_refund(order, ask, refund_id="re_1", now=NOW)


def of_items(
    order: Order, *items: ElementAsk, basis: AmountBasis = AmountBasis.LINE
) -> Refund | Refusal:
    ask = RefundAsk(order.id, None, order.currency.code, items=items, basis=basis)
    return plan_refund(order, ask, refund_id="re_1", now=NOW)


def element(
    line_id: str,
    kind: RefundType | None = None,
    *,
    percent: Decimal | None = None,
    amount: Decimal | None = None,
    quantity: int | None = None,
) -> ElementAsk:
    return ElementAsk(line_id, None, quantity, amount, percent, kind, sent_amount="sent")


@st.composite
def used_orders(draw: st.DrawFn) -> Order:
    """Captured orders of which earlier refunds hold a part."""
    order = draw(captured_orders())
    for kind, percent in draw(st.lists(st.tuples(kinds, percents), max_size=3)):
        refund = whole(order, kind, percent=percent)
        if isinstance(refund, Refund):
            order = hold(order, refund.shares)
    return order


@bounded
@given(used_orders(), kinds)
def test_a_hundred_percent_empties_the_selection_and_no_more_is_left(
    order: Order, kind: RefundType | None
) -> None:
    places = ORDER_SELECTIONS[kind]
    base = base_of([line.available for line in order.lines], places)
    refund = whole(order, kind, percent=HUNDRED)
    if not base:
        assert refund == AmountUnavailable()
        return
    assert isinstance(refund, Refund)
    assert refund.amount == base
    after = hold(order, refund.shares)
    for line, left in zip(order.lines, after.lines, strict=True):
        kept = [0 if place in places else cell for place, cell in enumerate(line.available)]
        assert list(left.available) == kept
    assert whole(after, kind, percent=HUNDRED) == AmountUnavailable()
    assert whole(after, kind, amount=to_major(1, order.currency)) == AmountUnavailable()


@bounded
@given(used_orders(), item_kinds, st.integers(0, 100))
def test_a_hundred_percent_of_a_line_empties_its_selection_and_no_more_is_left(
    order: Order, kind: RefundType | None, pick: int
) -> None:
    line = order.lines[pick % len(order.lines)]
    places = ITEM_SELECTIONS[kind]
    base = base_of([line.available], places)
    refund = of_items(order, element(line.id, kind, percent=HUNDRED))
    if not base:
        assert refund == AmountUnavailable()
        return
    assert isinstance(refund, Refund)
    assert refund.amount == base
    after = hold(order, refund.shares)
    kept = [0 if place in places else cell for place, cell in enumerate(line.available)]
    assert list(after.lines[line.position].available) == kept
    assert after.available_to_refund == order.available_to_refund - base
    assert of_items(after, element(line.id, kind, percent=HUNDRED)) == AmountUnavailable()


@bounded
@given(used_orders(), kinds, percents)
def test_a_percentage_is_of_what_is_available_half_up(
    order: Order, kind: RefundType | None, percent: Decimal
) -> None:
    base = base_of([line.available for line in order.lines], ORDER_SELECTIONS[kind])
    amount = rounded(base * int(percent * 10**4), 100 * 10**4)
    refund = whole(order, kind, percent=percent)
    if kind in (RefundType.TAX, RefundType.IMPORTER_TAX) and percent != 100:
        assert refund == OnlyFullTax()
    elif base == 0:
        assert refund == AmountUnavailable()
    elif amount == 0:
        assert refund == BelowSmallestAmount()
    else:
        assert isinstance(refund, Refund)
        assert refund.amount == amount
        _assert_within_selection(order, refund, ORDER_SELECTIONS[kind])


@bounded
@given(used_orders(), kinds, st.integers(0, 120), st.integers(-1, 1))
def test_an_amount_is_taken_as_it_is_or_not_at_all(
    order: Order, kind: RefundType | None, portion: int, beside: int
) -> None:
    base = base_of([line.available for line in order.lines], ORDER_SELECTIONS[kind])
    minor = max(1, base * portion // 100 + beside)
    refund = whole(order, kind, amount=to_major(minor, order.currency))
    if minor > base:
        assert refund == AmountUnavailable()
    elif minor < base and kind in (RefundType.TAX, RefundType.IMPORTER_TAX):
        assert refund == OnlyFullTax()
    else:
        assert isinstance(refund, Refund)
        assert refund.amount == minor
        _assert_within_selection(order, refund, ORDER_SELECTIONS[kind])


@bounded
@given(used_orders(), item_kinds, st.integers(0, 100), st.integers(0, 100), percents)
def test_a_percentage_of_units_is_of_their_captured_worth_at_most_of_what_is_left(
    order: Order, kind: RefundType | None, pick: int, units: int, percent: Decimal
) -> None:
    line = order.lines[pick % len(order.lines)]
    quantity = 1 + units % line.quantity
    places = ITEM_SELECTIONS[kind]
    base = base_of([line.available], places)
    refund = of_items(order, element(line.id, kind, percent=percent, quantity=quantity))
    if base == 0:
        assert refund == AmountUnavailable()
        return
    captured = base_of([line.captured], places)
    # min(C*q/F, base) * p/100, over one denominator: F * 100 * 10^4.
    worth = min(captured * quantity, base * line.captured_units)
    amount = rounded(worth * int(percent * 10**4), line.captured_units * 100 * 10**4)
    if amount == 0:
        assert refund == BelowSmallestAmount()
        return
    assert isinstance(refund, Refund)
    assert [each.amount for each in refund.elements] == [amount]
    assert refund.elements[0].quantity == quantity
    _assert_within_selection(order, refund, places)


@bounded
@given(used_orders(), st.integers(0, 100), st.integers(1, 10**7), st.integers(0, 100))
def test_an_amount_per_unit_counts_for_every_unit(
    order: Order, pick: int, millionths: int, units: int
) -> None:
    line = order.lines[pick % len(order.lines)]
    quantity = 1 + units % line.quantity
    asked = element(line.id, amount=Decimal(millionths).scaleb(-6), quantity=quantity)
    refund = of_items(order, asked, basis=AmountBasis.UNIT)
    amount = rounded(millionths * quantity * 10**order.currency.exponent, 10**6)
    base = base_of([line.available], ITEM_SELECTIONS[None])
    if base == 0 or amount > base:
        assert refund == AmountUnavailable()
    elif amount == 0:
        assert refund == BelowSmallestAmount()
    else:
        assert isinstance(refund, Refund)
        assert refund.amount == amount


@bounded
@given(used_orders(), st.data())
def test_each_element_sees_what_the_earlier_ones_took(order: Order, data: st.DataObject) -> None:
    targets = [(line.id, kind) for line in order.lines for kind in ITEM_SELECTIONS]
    chosen = data.draw(st.lists(st.sampled_from(targets), min_size=1, max_size=5, unique=True))
    items = [element(line, kind, percent=data.draw(percents)) for line, kind in chosen]
    refund = of_items(order, *items)
    after = order
    alone: list[Refund] = []
    for item in items:
        one = of_items(after, item)
        if not isinstance(one, Refund):
            assert refund == one
            return
        alone.append(one)
        after = hold(after, one.shares)
    assert isinstance(refund, Refund)
    assert hold(order, refund.shares) == after
    assert [each.amount for each in refund.elements] == [one.amount for one in alone]


@bounded
@given(captured_orders(), st.integers(1, 10**6), st.integers(2, 8))
def test_an_amount_finer_than_the_currency_is_named(
    order: Order, parts: int, finer_by: int
) -> None:
    amount = Decimal(parts).scaleb(-order.currency.exponent - finer_by)
    step = Decimal(1).scaleb(-order.currency.exponent)
    assume(min(amount % step, step - amount % step) > Decimal("0.000001"))
    assert whole(order, None, amount=amount) == InvalidField("amount", "sent")
    assert of_items(order, element(order.lines[0].id, amount=amount)) == InvalidField(
        "items[0].amount", "sent"
    )


def _assert_within_selection(order: Order, refund: Refund, places: tuple[int, ...]) -> None:
    text = major_text(refund.amount, order.currency.exponent)
    assert sum(map(sum, refund.shares.values())) == refund.amount, text
    for position, cells in refund.shares.items():
        available = order.lines[position].available
        for place, share in enumerate(cells):
            assert 0 <= share <= (available[place] if place in places else 0)
