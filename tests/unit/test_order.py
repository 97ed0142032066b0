from dataclasses import replace

import pytest

from refundry.domain.charge import ChargeState
from refundry.domain.order import (
    Order,
    OrderState,
    due_state,
    enter_state,
    hold,
    pay_out,
    settled_state,
    take_back,
)
from tests.unit.given import NOW, accepted, captured, cells, line, order_a


def order(state: str, fulfilled: int, cancelled: int, *charges: str) -> Order:
    """Four units in `state`, some of them processed, paid through charges in these states."""
    worth = cells(400 if charges else 0)
    made = accepted(line(worth, 4), sources=[("customerCredit", 400)] * len(charges))
    processed = replace(made.lines[0], fulfilled_units=fulfilled, cancelled_units=cancelled)
    return replace(
        made,
        state=OrderState(state),
        lines=(processed,),
        charges=tuple(
            replace(charge, state=ChargeState(name))
            for charge, name in zip(made.charges, charges, strict=True)
        ),
    )


@pytest.mark.parametrize(
    ("order", "due"),
    [
        (order("accepted", 0, 0, "capturable"), None),
        (order("accepted", 3, 0, "capturable"), None),
        (order("accepted", 3, 1, "processing"), "fulfilled"),
        (order("accepted", 4, 0, "complete"), "fulfilled"),
        (order("accepted", 1, 3, "capturable"), "fulfilled"),
        (order("accepted", 0, 4, "processing"), None),
        (order("accepted", 0, 4, "capturable"), None),
        (order("accepted", 0, 4, "cancelled"), "cancelled"),
        (order("accepted", 0, 4, "cancelled", "processing"), None),
        (order("accepted", 0, 4), "cancelled"),
        (order("fulfilled", 4, 0, "processing"), None),
        (order("fulfilled", 4, 0, "complete", "capturable"), None),
        (order("fulfilled", 3, 1, "complete", "cancelled"), "complete"),
        (order("fulfilled", 4, 0), "complete"),
        (order("complete", 4, 0, "complete"), None),
        (order("returned", 4, 0, "complete"), None),
        (order("cancelled", 0, 4, "cancelled"), None),
        (order("pending_payment", 4, 0, "complete"), None),
        (order("in_review", 4, 0, "complete"), None),
        (order("blocked", 0, 4, "cancelled"), None),
        (order("dispute", 4, 0, "complete"), None),
    ],
)
def test_the_due_state_follows_from_units_and_charges(order: Order, due: str | None) -> None:
    assert due_state(order) == due


def test_in_dispute_the_remembered_state_goes_on() -> None:
    disputed = replace(order("dispute", 4, 0, "complete"), previous_state=OrderState.FULFILLED)
    assert due_state(disputed) is OrderState.COMPLETE
    after = enter_state(disputed, OrderState.COMPLETE, NOW)
    assert after.state is OrderState.DISPUTE
    assert settled_state(after) is OrderState.COMPLETE
    assert after.state_times["complete"] == NOW


def test_entering_a_state_notes_when() -> None:
    after = enter_state(order_a(), OrderState.RETURNED, NOW)
    assert after.state is OrderState.RETURNED
    assert after.state_times["returned"] == NOW
    assert after.previous_state is None


def test_what_is_held_is_not_available_and_what_is_paid_is_gone() -> None:
    shares = {0: cells(1000, 81, shipping=(250, 20))}
    held = hold(order_a(), shares)
    assert held.available_to_refund == 1350
    assert held.lines[0].available == cells(1000, 80, shipping=(250, 20))
    part = {0: cells(500, 40, shipping=(125, 10))}
    paid = pay_out(held, shares, part)
    assert paid.lines[0].held == cells()
    assert paid.lines[0].refunded == part[0]
    assert paid.available_to_refund == 2701 - 675
    assert take_back(paid, part) == order_a()


def test_a_reservation_that_fails_is_available_again() -> None:
    shares = {0: cells(1000)}
    assert pay_out(hold(order_a(), shares), shares, {}) == order_a()


def test_a_line_counts_product_and_its_tax_and_the_order_everything() -> None:
    order = captured(
        line(cells(2000, 161, shipping=(500, 40), duty=7, importer_tax=11, fees=(13, 17))),
        line(cells(1500)),
    )
    assert [each.available_to_refund for each in order.lines] == [2161, 1500]
    assert order.available_to_refund == order.total_amount == 2749 + 1500


def test_what_is_in_flight_cannot_be_captured_again() -> None:
    used = replace(
        line(cells(10, 10, duty=10)),
        captured=cells(1), cancelled=cells(2, 3), processing=cells(4, duty=5),
    )  # fmt: skip
    assert used.uncaptured == cells(3, 7, duty=5)


def test_units_left_are_neither_fulfilled_nor_cancelled() -> None:
    assert order("accepted", 1, 2, "capturable").lines[0].units_left == 1
