"""The order's state `returned`: when it is entered, and when it is left again."""

from dataclasses import replace

import pytest

from refundry.domain import settlement
from refundry.domain.charge import ChargeState, Failure, OperationState
from refundry.domain.event import Change
from refundry.domain.fulfillment import FulfillmentAsk, check_fulfillment, fulfill
from refundry.domain.order import (
    LineState,
    Order,
    OrderState,
    hold,
    is_returned,
    leave_returned,
    refresh_returned,
)
from refundry.domain.refund import plan_units_refund
from tests.unit.given import NOW, cells, counting, line, types
from tests.unit.given_returns import (
    ask,
    goods,
    order_v,
    order_w,
    refunds_of,
    settled,
    shipped,
    spent,
    take,
    with_returned,
)


def test_the_order_is_returned_with_the_last_refund_of_its_return() -> None:
    _, first = take(order_v(), goods(2, 3), ask(0, 2))
    change, _ = take(order_v(), first, ask(1, 3))
    tee, cap = refunds_of(change)
    order = settled(change.order, tee)
    assert (order.state, order.open_return_refunds) == (OrderState.COMPLETE, 1)
    order = settled(order, cap)
    assert (order.state, order.open_return_refunds) == (OrderState.RETURNED, 0)
    assert order.state_times["returned"] == NOW


def test_the_event_of_the_refund_shows_the_order_returned() -> None:
    change, _ = take(order_w(), goods(2, 3), everything=True)
    (refund,) = refunds_of(change)
    paid = Change(change.order, NOW)
    (record,) = settlement.submit(paid, [refund], counting("op"))
    settlement.settle(paid, record, [paid.refunds[refund.id]], None)
    assert types(paid)[-2:] == ["refund.complete", "order.refunded"]
    assert paid.drafts[-1].order.state is OrderState.RETURNED


def test_a_refund_of_a_return_that_fails_leaves_the_return_and_the_order() -> None:
    change, _ = take(order_w(), goods(2, 3), everything=True)
    order = settled(change.order, refunds_of(change)[0], Failure())
    assert (order.state, order.open_return_refunds) == (OrderState.COMPLETE, 0)
    assert order.available_to_refund == 7022
    assert [each.returned_units for each in order.lines] == [2, 3]
    # A new refund, made by hand, completes the condition.
    again = plan_units_refund(order, {0: 1}, refund_id="re_again", now=NOW)
    assert again is not None
    assert settled(hold(order, again.shares), again).state is OrderState.RETURNED


def test_a_return_that_needs_no_refund_can_complete_the_condition_by_itself() -> None:
    order = spent(spent(order_v(), 0, 2161), 1, 6482)
    change, _ = take(order, goods(0, 3), everything=True)
    assert change.order.state is OrderState.RETURNED


def returned_order(*units: int, state: str = "complete") -> Order:
    """Lines of two units for 1.00 each, of which so many are back."""
    order = shipped(*[line(cells(100), 2) for _ in units])
    for place, count in enumerate(units):
        order = with_returned(order, place, count)
    return replace(order, state=OrderState(state))


def cancelled_unit(order: Order, position: int) -> Order:
    """One of the two units of a line was cancelled and not shipped."""
    of_line = replace(order.lines[position], cancelled_units=1, fulfilled_units=1)
    return order.with_line(of_line)


@pytest.mark.parametrize(
    ("order", "back"),
    [
        (returned_order(2, 2), True),
        (returned_order(2, 1), False),
        (returned_order(0, 0), False),
        (spent(spent(returned_order(0, 0), 0, 100), 1, 100), False),
        (spent(returned_order(2, 0), 1, 1), True),
        (spent(returned_order(1, 0), 1, 1), False),
        (cancelled_unit(returned_order(2, 1), 1), True),
        (cancelled_unit(returned_order(2, 0), 1), False),
        (replace(returned_order(2, 2), open_return_refunds=1), False),
    ],
)
def test_goods_are_back_line_by_line(order: Order, back: bool) -> None:
    assert is_returned(order) is back


@pytest.mark.parametrize(
    ("state", "after"),
    [
        ("fulfilled", "returned"),
        ("complete", "returned"),
        ("accepted", "accepted"),
        ("returned", "returned"),
    ],
)
def test_only_an_order_that_was_shipped_becomes_returned(state: str, after: str) -> None:
    order = refresh_returned(returned_order(2, 2, state=state), NOW)
    assert order.state.value == after
    assert ("returned" in order.state_times) is (state != after)


def disputed(order: Order) -> Order:
    return replace(order, state=OrderState.DISPUTE, previous_state=order.state)


def test_in_dispute_the_remembered_state_becomes_returned_and_leaves_it_again() -> None:
    order = refresh_returned(disputed(returned_order(2, 2)), NOW)
    assert (order.state, order.previous_state) == (OrderState.DISPUTE, OrderState.RETURNED)
    assert order.state_times["returned"] == NOW
    left = leave_returned(with_returned(order, 1, 1))
    assert (left.state, left.previous_state) == (OrderState.DISPUTE, OrderState.COMPLETE)


def test_an_order_stays_returned_while_its_goods_are_back() -> None:
    order = returned_order(2, 2, state="returned")
    assert leave_returned(order) == order
    assert leave_returned(returned_order(2, 1)) == returned_order(2, 1)


def test_an_order_leaves_returned_for_the_state_before_it() -> None:
    order = returned_order(2, 1, state="returned")
    assert leave_returned(order).state is OrderState.COMPLETE
    (charge,) = order.charges
    waiting = order.with_charge(replace(charge, state=ChargeState.CAPTURABLE))
    assert leave_returned(waiting).state is OrderState.FULFILLED


def test_an_order_that_was_imported_as_returned_stays_so() -> None:
    """Its lines do not say that they are back, so that no failure can take that away."""
    order = returned_order(0, 0, state="returned")
    refund = plan_units_refund(order, {0: 1}, refund_id="re_1", now=NOW)
    assert refund is not None
    change = Change(hold(order, refund.shares), NOW)
    (record,) = settlement.submit(change, [refund], counting("op"))
    settlement.settle(change, record, [change.refunds["re_1"]], None)
    done = replace(record, state=OperationState.COMPLETE)
    late = Change(change.order, NOW)
    settlement.fail_late(late, done, [change.refunds["re_1"]], Failure())
    assert late.order.available_to_refund == order.available_to_refund
    assert late.order.state is OrderState.RETURNED


def test_a_late_failure_takes_the_order_out_of_returned() -> None:
    """Line b was only paid back; without its refund its goods are missing."""
    order = returned_order(2, 0)
    refund = plan_units_refund(order, {1: 1}, refund_id="re_1", now=NOW)
    assert refund is not None
    change = Change(hold(order, refund.shares), NOW)
    (record,) = settlement.submit(change, [refund], counting("op"))
    settlement.settle(change, record, [change.refunds["re_1"]], None)
    assert change.order.state is OrderState.RETURNED
    late = Change(change.order, NOW)
    paid = change.refunds["re_1"]
    done = replace(record, state=OperationState.COMPLETE)
    settlement.fail_late(late, done, [paid], Failure())
    assert late.order.state is OrderState.COMPLETE
    assert late.order.available_to_refund == 400 - 200


def test_a_line_whose_other_units_are_cancelled_later_is_returned_then() -> None:
    order = returned_order(0)
    first = replace(
        order.lines[0], fulfilled_units=1, captured_units=1, returned_units=1,
        captured=cells(50), state=LineState.CREATED,
    )  # fmt: skip
    order = replace(order.with_line(first), state=OrderState.ACCEPTED)
    items = check_fulfillment(order, [FulfillmentAsk("line0", None, 0, 1)])
    assert isinstance(items, list)
    change = Change(order, NOW)
    fulfill(change, items, fulfillment_id="ful_1", new_id=counting("op"))
    after = change.order.lines[0]
    assert (after.units_left, after.state) == (0, LineState.RETURNED)
    assert after.state_times["fulfilled"] == after.state_times["returned"] == NOW
