"""A preview says what the request then does: amounts, cells, charges and refusals."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.domain import settlement
from refundry.domain.choices import (
    FULL_ONLY,
    Choice,
    available_for,
    choice_of,
    items_ask,
    offers,
    unit_amount,
    units_worth,
    whole_ask,
    why_nothing,
)
from refundry.domain.choices import Units as UnitsOf
from refundry.domain.event import Change
from refundry.domain.order import Order, OrderState, hold
from refundry.domain.preview import preview_refund
from refundry.domain.refund import ElementAsk, Refund, RefundAsk, RefundType, plan_refund
from refundry.domain.refusal import AmountUnavailable, CurrencyNotSupported, RefundDuringDispute
from tests.property.generated import NOW, captured_orders, counting
from tests.property.refund_model import ITEM_SELECTIONS, ORDER_SELECTIONS, base_of

bounded = settings(max_examples=70, deadline=None)
percents = st.one_of(st.just(Decimal(100)), st.decimals("0.01", "100", places=2))
wholes = st.sampled_from([choice for choice in Choice if choice is not Choice.ITEMS])


@st.composite
def asks(draw: st.DrawFn, order: Order) -> RefundAsk:
    """Any request, refused ones among them."""
    code = draw(st.sampled_from([order.currency.code] * 5 + ["EUR"]))
    ask = RefundAsk(order.id, None, code)
    percent = draw(percents)
    if draw(st.booleans()):
        kind = draw(st.sampled_from(list(ORDER_SELECTIONS)))
        amount = draw(st.none() | st.integers(1, 10**5).map(Decimal))
        return replace(ask, type=kind, amount=amount, percent=None if amount else percent)
    names = st.sampled_from([*(line.id for line in order.lines), "nobody"])
    elements = st.builds(
        ElementAsk, names, st.none(), st.none() | st.integers(1, 7), st.none(), percents,
        st.sampled_from(list(ITEM_SELECTIONS)),
    )  # fmt: skip
    return replace(ask, items=tuple(draw(st.lists(elements, min_size=1, max_size=4))))


@bounded
@given(captured_orders(), st.data())
def test_the_refund_comes_out_as_the_preview_says(order: Order, data: st.DataObject) -> None:
    waiting: list[Refund] = []
    new_id = counting("x")
    for _ in range(data.draw(st.integers(1, 4))):
        ask = data.draw(asks(order))
        unsent = sum(refund.amount for refund in waiting)
        preview = preview_refund(order, ask, waiting=unsent, now=NOW)
        made = plan_refund(order, ask, refund_id="", now=NOW)
        assert preview.before == order
        if not isinstance(made, Refund):
            assert (preview.refund, preview.after, preview.shares) == (None, order, ())
            assert preview.refusals[0] == made
            assert len(set(preview.refusals)) == len(preview.refusals)
            continue
        assert preview.refund == made
        assert preview.refusals == ()
        assert made.amount <= preview.base
        assert preview.after == hold(order, made.shares)
        made = replace(made, id=new_id())
        order, waiting = preview.after, [*waiting, made]
        told = [(share.charge.id, share.amount) for share in preview.shares]
        change = Change(order, NOW)
        for refund in waiting:
            settlement.submit(change, [refund], new_id)
        sent = change.refunds[made.id]
        assert [(part.charge_id, part.amount) for part in sent.parts] == told
        assert sum(amount for _, amount in told) == made.amount
        if data.draw(st.booleans()):
            order, waiting = change.order, []


@bounded
@given(captured_orders(), st.data())
def test_what_is_left_is_reached_or_left_out(order: Order, data: st.DataObject) -> None:
    ask = data.draw(asks(order))
    preview = preview_refund(order, ask, waiting=0, now=NOW)
    left_out = sum(each.amount for each in preview.left_out)
    assert preview.base + left_out == order.available_to_refund
    assert all(each.amount > 0 for each in preview.left_out)


@bounded
@given(captured_orders(), st.data())
def test_in_dispute_the_other_refusals_are_told_too(order: Order, data: st.DataObject) -> None:
    ask = data.draw(asks(order))
    before = preview_refund(order, ask, waiting=0, now=NOW).refusals
    state = OrderState.DISPUTE
    disputed = replace(order, state=state, previous_state=order.state)
    refusals = preview_refund(disputed, ask, waiting=0, now=NOW).refusals
    assert refusals[0] == RefundDuringDispute()
    assert set(before) <= set(refusals)
    if ask.currency != order.currency.code:
        assert CurrencyNotSupported(ask.currency) in refusals


@bounded
@given(captured_orders(), wholes, st.integers(1, 120))
def test_a_choice_takes_up_to_what_it_offers_and_is_known_again(
    order: Order, choice: Choice, portion: int
) -> None:
    available = available_for(order, choice)
    kind = {"order": None}.get(choice.value, choice.value)
    selection = ORDER_SELECTIONS[None if kind is None else RefundType(kind)]
    assert available == base_of([line.available for line in order.lines], selection)
    amount = max(1, available * portion // 100)
    refund = plan_refund(order, whole_ask(order, choice, amount), refund_id="re", now=NOW)
    if not available or (amount > available and choice not in FULL_ONLY):
        assert refund == AmountUnavailable()
        return
    assert isinstance(refund, Refund)
    assert refund.amount == (available if choice in FULL_ONLY else amount)
    assert choice_of(refund) is choice


@bounded
@given(captured_orders(), st.integers(0, 10**6))
def test_units_are_offered_at_their_part_rounded_down(order: Order, pick: int) -> None:
    position = pick % len(order.lines)
    line = order.lines[position]
    base = base_of([line.available], ITEM_SELECTIONS[None])
    unit = unit_amount(order, position)
    assert unit * line.quantity <= base < (unit + 1) * line.quantity
    if unit:
        quantity = 1 + pick % line.quantity
        ask = items_ask(order, [UnitsOf(position, quantity, unit * quantity)])
        refund = plan_refund(order, ask, refund_id="re", now=NOW)
        assert isinstance(refund, Refund)
        assert refund.amount == unit * quantity
        assert choice_of(refund) is Choice.ITEMS


@bounded
@given(captured_orders(), st.integers(0, 10**6))
def test_units_without_an_amount_are_worth_what_can_be_paid(order: Order, pick: int) -> None:
    """Never more than is left, all that is left for all, and where a unit is worth less than a
    minor unit, what the API pays for the whole worth of so many."""
    position = pick % len(order.lines)
    line = order.lines[position]
    quantity = 1 + pick % line.quantity
    base = base_of([line.available], ITEM_SELECTIONS[None])
    worth = units_worth(order, position, quantity)
    assert 0 <= worth <= base
    assert units_worth(order, position, line.quantity) == base
    if unit_amount(order, position) or quantity == line.quantity:
        return
    full = ElementAsk(line.id, None, quantity, None, Decimal(100), None)
    ask = RefundAsk(order.id, None, order.currency.code, items=(full,))
    refund = plan_refund(order, ask, refund_id="re", now=NOW)
    assert (refund.amount if isinstance(refund, Refund) else 0) == worth


@bounded
@given(captured_orders())
def test_nothing_is_offered_in_dispute(order: Order) -> None:
    state = OrderState.DISPUTE
    disputed = replace(order, state=state, previous_state=order.state)
    assert {offer.available for offer in offers(disputed)} == {0}
    assert {why_nothing(disputed, choice).value for choice in Choice} == {"dispute"}
