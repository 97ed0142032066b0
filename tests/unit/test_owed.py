"""What the bank took while refunds held it: owed, and covered as money comes free."""

from dataclasses import replace
from datetime import timedelta

import pytest

from refundry.domain.charge import Failure, OperationState
from refundry.domain.dispute import limit_of
from refundry.domain.event import Change
from refundry.domain.fulfillment import (
    FulfilledItem,
    fulfill,
    settle_capture,
)
from refundry.domain.order import Order, cover_owed, is_returned
from refundry.domain.refund import Refund, RefundState
from tests.unit.given import NOW, accepted, captured, cells, counting, line, order_a
from tests.unit.given_disputes import (
    answered,
    asked,
    assert_adds_up,
    charged_back,
    find,
    order_g,
    owed,
    sent,
)

LATER = NOW + timedelta(seconds=1)


def held_and_taken() -> tuple[Order, Refund]:
    """Of 27.01, 20.00 is with the processor as a refund, and the bank takes all 27.01."""
    order, refund = sent(*asked(order_a(), "20.00"))
    change, _, _ = charged_back(order, 2701)
    return change.order, refund


def test_what_is_not_free_is_owed() -> None:
    order, _ = held_and_taken()
    assert owed(order) == {"cb_c0": 2000}
    assert (order.available_to_refund, order.refunded) == (0, 2701)
    assert sum(order.lines[0].held) == 2000
    assert sum(order.lines[0].refunded) == 701
    assert_adds_up(order)


def test_the_sales_transactions_tell_of_all_that_was_taken() -> None:
    order, _ = sent(*asked(order_a(), "20.00"))
    _, _, made = charged_back(order, 2701)
    assert [each.cells for each in made] == [order_a().lines[0].captured]
    two = captured(line(cells(1000)), line(cells(1000)))
    half, _ = asked(two, "10.00")
    _, _, made = charged_back(half, 1500)
    assert [sum(each.cells) for each in made] == [750, 750]


def test_a_refund_that_fails_goes_to_what_is_owed() -> None:
    order, refund = held_and_taken()
    order, refund = answered(order, refund, "re_1-op1", Failure())
    assert refund.state is RefundState.FAILED
    assert owed(order) == {"cb_c0": 0}
    assert order.available_to_refund == 0
    assert order.lines[0].refunded == order.lines[0].captured
    assert find(order, "cb_c0").shares == {0: order.lines[0].captured}
    assert not order.over_refunded
    assert_adds_up(order)


def test_a_refund_that_succeeds_all_the_same_is_booked_as_it_is() -> None:
    order, refund = held_and_taken()
    order, refund = answered(order, refund, "re_1-op1")
    assert refund.state is RefundState.SUCCEEDED
    assert (order.refunded, order.available_to_refund) == (4701, 0)
    assert order.over_refunded
    assert limit_of(order.charge("c0")) == 0
    assert owed(order) == {"cb_c0": 2000}
    assert_adds_up(order)
    # The bank sends it back in the end.
    order, refund = answered(order, refund, "re_1-op1", Failure())
    assert refund.state is RefundState.FAILED
    assert (order.refunded, order.available_to_refund) == (2701, 0)
    assert owed(order) == {"cb_c0": 0}
    assert not order.over_refunded
    assert_adds_up(order)


def test_a_refund_without_any_room_left_is_not_sent() -> None:
    order, refund = asked(order_a(), "13.51")
    change, _, made = charged_back(order, 2701)
    assert sum(sum(each.cells) for each in made) == 2701
    assert owed(change.order) == {"cb_c0": 1351}
    order, refund = sent(change.order, refund)
    record = find(order, "re_1-op1")
    assert (record.state, record.failure) == (OperationState.FAILED, Failure())
    assert (refund.state, refund.failure_reason) == (RefundState.FAILED, "declined")
    assert (order.refunded, order.available_to_refund) == (2701, 0)
    assert owed(order) == {"cb_c0": 0}
    assert_adds_up(order)


def test_a_refund_with_some_room_left_is_sent_in_part() -> None:
    order, refund = asked(order_a(), "20.00")
    change, _, _ = charged_back(order, 1701)
    assert owed(change.order) == {"cb_c0": 1000}
    order, refund = sent(change.order, refund)
    assert [part.amount for part in refund.parts] == [1000, 1000]
    order, refund = answered(order, refund, "re_1-op1")
    assert (refund.state, refund.refunded) == (RefundState.SUCCEEDED, 1000)
    assert (order.refunded, order.available_to_refund) == (2701, 0)
    assert owed(order) == {"cb_c0": 0}
    assert not order.over_refunded
    assert_adds_up(order)


def test_what_comes_free_beyond_what_is_owed_is_available() -> None:
    order, refund = sent(*asked(order_a(), "20.00"))
    change, _, _ = charged_back(order, 1000)
    assert owed(change.order) == {"cb_c0": 299}
    order, _ = answered(change.order, refund, "re_1-op1", Failure())
    assert owed(order) == {"cb_c0": 0}
    assert order.available_to_refund == 1701
    assert_adds_up(order)


def test_what_comes_free_in_parts_is_taken_in_parts() -> None:
    order, first = sent(*asked(order_a(), "10.00"))
    order, second = sent(*asked(order, "17.01", "re_2"))
    change, _, _ = charged_back(order, 2000)
    order, _ = answered(change.order, first, "re_1-op1", Failure())
    assert owed(order) == {"cb_c0": 1000}
    assert_adds_up(order)
    order, _ = answered(order, second, "re_2-op1", Failure())
    assert owed(order) == {"cb_c0": 0}
    assert order.available_to_refund == 701
    assert_adds_up(order)


def test_a_capture_that_completes_goes_to_what_is_owed() -> None:
    order = accepted(line(cells(1000), 2))
    change = Change(order, NOW)
    items = [FulfilledItem(0, 1, 0), FulfilledItem(0, 1, 0)]
    fulfill(change, items, fulfillment_id="ful_1", new_id=counting("op"))
    settle_capture(change, find(change.order, "op1"), None)
    order, _ = asked(change.order, "5.00")
    taken, _, _ = charged_back(order, 500)
    assert owed(taken.order) == {"cb_c0": 500}
    later = Change(taken.order, NOW)
    settle_capture(later, find(later.order, "op2"), None)
    assert owed(later.order) == {"cb_c0": 0}
    assert later.order.available_to_refund == 0
    assert later.order.captured == 1000
    assert_adds_up(later.order)


def test_a_capture_that_fails_brings_nothing_free() -> None:
    order = accepted(line(cells(1000), 2))
    change = Change(order, NOW)
    items = [FulfilledItem(0, 1, 0), FulfilledItem(0, 1, 0)]
    fulfill(change, items, fulfillment_id="ful_1", new_id=counting("op"))
    settle_capture(change, find(change.order, "op1"), None)
    order, _ = asked(change.order, "5.00")
    taken, _, _ = charged_back(order, 500)
    later = Change(taken.order, NOW)
    settle_capture(later, find(later.order, "op2"), Failure())
    assert owed(later.order) == {"cb_c0": 500}
    assert_adds_up(later.order)


@pytest.mark.parametrize(("first", "second"), [("c0", "c1"), ("c1", "c0")])
def test_the_chargeback_that_is_oldest_is_covered_first(first: str, second: str) -> None:
    """A refund of all 20.00 is under way over two charges, and the bank takes both of them."""
    sources = [("creditCard", 1000), ("customerCredit", 1000)]
    order, refund = sent(*asked(captured(line(cells(2000)), sources=sources), "20.00"))
    change, _, _ = charged_back(order, 1000, first, last=False)
    change, _, _ = charged_back(change.order, 1000, second, now=LATER)
    assert owed(change.order) == {f"cb_{first}": 1000, f"cb_{second}": 1000}
    order, refund = answered(change.order, refund, "re_1-op1")
    order, refund = answered(order, refund, "re_1-op2", Failure())
    assert owed(order) == {f"cb_{first}": 0, f"cb_{second}": 1000}
    assert (order.refunded, order.available_to_refund) == (3000, 0)
    assert order.over_refunded
    assert_adds_up(order)
    order, _ = answered(order, refund, "re_1-op1", Failure())
    assert owed(order) == {f"cb_{first}": 0, f"cb_{second}": 0}
    assert not order.over_refunded
    assert_adds_up(order)


def test_what_is_owed_to_several_is_shared_out_to_the_last_unit() -> None:
    sources = [("creditCard", 1000), ("customerCredit", 1000)]
    order, refund = sent(*asked(captured(line(cells(2000)), sources=sources), "20.00"))
    change, _, _ = charged_back(order, 400, "c0", last=False)
    change, _, _ = charged_back(change.order, 300, "c1", now=LATER)
    order, refund = answered(change.order, refund, "re_1-op1", Failure())
    assert owed(order) == {"cb_c0": 400, "cb_c1": 300}
    order, refund = answered(order, refund, "re_1-op2", Failure())
    assert owed(order) == {"cb_c0": 0, "cb_c1": 0}
    assert order.available_to_refund == 1300
    assert_adds_up(order)


def over_refunded_g() -> tuple[Order, Refund]:
    """The card of 26.89 paid its 6.89 twice: to the shopper, and to the bank."""
    order, refund = sent(*asked(order_g(), "6.89"))
    assert [part.charge_id for part in refund.parts] == ["c0"]
    change, _, _ = charged_back(order, 689)
    assert owed(change.order) == {"cb_c0": 0}
    return answered(change.order, refund, "re_1-op1")


def test_a_charge_that_paid_twice_leaves_the_other_one_its_money() -> None:
    order, _ = over_refunded_g()
    assert order.over_refunded
    assert (order.refunded, order.available_to_refund) == (1378, 1311)
    assert_adds_up(order)


def test_a_second_chargeback_with_nothing_held_is_owed_what_the_other_charge_lost() -> None:
    order, refund = over_refunded_g()
    change, dispute, made = charged_back(order, charge_id="c1", now=LATER)
    assert dispute.chargeback == sum(sum(each.cells) for each in made) == 2000
    assert owed(change.order) == {"cb_c0": 0, "cb_c1": 689}
    assert (change.order.refunded, change.order.available_to_refund) == (3378, 0)
    assert_adds_up(change.order)
    order, _ = answered(change.order, refund, "re_1-op1", Failure())
    assert owed(order) == {"cb_c0": 0, "cb_c1": 0}
    assert (order.refunded, order.available_to_refund) == (2689, 0)
    assert not order.over_refunded
    assert_adds_up(order)


def test_a_chargeback_with_nothing_free_and_nothing_held_is_owed_as_a_whole() -> None:
    """The card's refund came back as paid after the credit's money had been promised for it."""
    order, refund = over_refunded_g()
    order, rest = sent(*asked(order, "13.11", "re_2"))
    order, _ = answered(order, rest, "re_2-op1")
    assert order.available_to_refund == 0
    change, dispute, made = charged_back(order, charge_id="c1", now=LATER)
    assert dispute.chargeback == sum(sum(each.cells) for each in made) == 689
    assert find(change.order, "cb_c1").shares == {}
    assert owed(change.order) == {"cb_c0": 0, "cb_c1": 689}
    assert_adds_up(change.order)
    order, _ = answered(change.order, refund, "re_1-op1", Failure())
    assert owed(order) == {"cb_c0": 0, "cb_c1": 0}
    assert find(order, "cb_c1").shares == {0: order_g_share(689)}
    assert_adds_up(order)


def order_g_share(amount: int) -> tuple[int, ...]:
    """What a refund of `amount` took of the order's cells, and gives back."""
    _, refund = asked(order_g(), f"{amount / 100:.2f}")
    return refund.shares[0]


def test_an_order_that_owes_nothing_stays_as_it_is() -> None:
    change, _, _ = charged_back(order_a(), 1000)
    assert cover_owed(change.order) is change.order
    assert cover_owed(order_a()) == order_a()


def test_a_chargeback_alone_does_not_stand_for_a_refund_of_its_product() -> None:
    """Line b is back; line a only counts as settled once a refund paid for it."""
    order = captured(line(cells(1000)), line(cells(1000)))
    order = order.with_line(replace(order.lines[1], returned_units=1))
    change, _, _ = charged_back(order, 1000)
    assert not is_returned(change.order)
    order, refund = sent(*asked(change.order, "1.00"))
    assert not is_returned(order)
    order, _ = answered(order, refund, "re_1-op1")
    assert is_returned(order)


def test_a_refund_that_failed_for_a_chargeback_does_not_stand_for_one_either() -> None:
    """What came free of it was booked as refunded, but it went to the bank."""
    order = captured(line(cells(1000)), line(cells(1000)))
    order = order.with_line(replace(order.lines[1], returned_units=1))
    order, refund = asked(order, "20.00")
    change, _, _ = charged_back(order, 2000)
    order, refund = sent(change.order, refund)
    assert refund.state is RefundState.FAILED
    assert order.lines[0].refunded == cells(1000)
    assert not is_returned(order)
