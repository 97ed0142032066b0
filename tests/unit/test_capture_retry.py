from dataclasses import replace

import pytest

from refundry.domain.capture_retry import check_retry, is_retried, retry
from refundry.domain.charge import ChargeState, Failure, OperationState
from refundry.domain.event import Change
from refundry.domain.order import LineState, Order, OrderState
from refundry.domain.refusal import NotRetriable, RetryBar
from tests.unit.given import NOW, SECOND, accepted, captured, cells, counting, line, types
from tests.unit.test_fulfillment import ask, do, find, settle

DECLINED = Failure("no", "No.")


def again(order: Order, id: str, name: str = "re") -> tuple[Order, list[str]]:
    """The order after a retry that must be possible, and the events; ids re1, re2, ..."""
    operation = check_retry(order, id)
    assert not isinstance(operation, NotRetriable)
    change = Change(order, NOW)
    made = retry(change, operation, counting(name))
    assert [find(change.order, each.id) for each in made] == list(made)
    return change.order, types(change)


def failed_capture() -> Order:
    """Two units of 500.40, shipped; the processor declined op1."""
    order, _ = do(accepted(line(cells(1000, 80), 2)), ask(0, 2))
    return settle(order, "op1", DECLINED)[0]


def failed_cancel() -> Order:
    order, _ = do(accepted(line(cells(1000))), ask(0, 0, 1))
    return settle(order, "op1", DECLINED)[0]


def test_a_retried_capture_is_pending_with_the_units_of_the_failed_one() -> None:
    before = failed_capture()
    order, events = again(before, "op1")
    assert events == ["order.charge.capture.pending", "order.charge.processing"]
    failed, made = find(order, "op1"), find(order, "re1")
    assert failed == replace(find(before, "op1"), units=0)
    expected = replace(
        find(before, "op1"), id="re1", state=OperationState.PENDING, failure=None,
        created_at=SECOND, updated_at=SECOND,
    )  # fmt: skip
    assert made == expected
    assert made.units == 2
    assert order.lines[0] == replace(before.lines[0], processing=cells(1000, 80))


def test_a_retried_capture_that_succeeds_ends_the_order_as_if_it_had_never_failed() -> None:
    order, events = settle(again(failed_capture(), "op1")[0], "re1")
    assert events == ["order.charge.capture.complete", "order.charge.complete", "order.complete"]
    assert (order.state.value, order.captured, order.available_to_refund) == (
        "complete", 1080, 1080,
    )  # fmt: skip
    assert (order.lines[0].captured, order.lines[0].captured_units) == (cells(1000, 80), 2)


def test_a_retried_cancel_that_succeeds_cancels_the_order() -> None:
    order, events = again(failed_cancel(), "op1")
    assert events == ["order.charge.cancel.pending", "order.charge.processing"]
    order, events = settle(order, "re1")
    assert events == ["order.charge.cancel.complete", "order.charge.cancelled", "order.cancelled"]
    assert (order.state.value, order.cancelled) == ("cancelled", 1000)


def test_a_retry_that_fails_may_be_retried_in_turn() -> None:
    order, _ = again(failed_capture(), "op1")
    order, events = settle(order, "re1", DECLINED)
    assert events == ["order.charge.capture.failed", "order.charge.capturable"]
    assert check_retry(order, "op1") == NotRetriable("op1", RetryBar.RETRIED)
    order, _ = settle(again(order, "re1", "third")[0], "third1")
    assert (order.state.value, order.captured) == ("complete", 1080)
    assert [is_retried(each) for each in order.charges[0].operations] == [True, True, False]


def test_a_part_that_failed_is_captured_from_its_charge_and_its_units_count_once() -> None:
    sources = [("customerCredit", 400), ("creditCard", 600)]
    order, _ = do(accepted(line(cells(700, 300), 3), sources=sources), ask(0, 3))
    order, _ = settle(settle(order, "op1", DECLINED)[0], "op2")
    assert order.lines[0].captured_units == 3
    order, _ = again(order, "op1")
    assert (find(order, "re1").charge_id, find(order, "re1").amount) == ("c0", 400)
    order, _ = settle(order, "re1")
    assert (order.lines[0].captured, order.lines[0].captured_units) == (cells(700, 300), 3)


def test_room_that_a_later_capture_took_is_found_on_another_charge() -> None:
    """The credit of the first unit failed and paid for the second: the card pays for the first."""
    sources = [("customerCredit", 400), ("creditCard", 600)]
    order, _ = do(accepted(line(cells(1000), 2), sources=sources), ask(0, 1))
    order, _ = settle(settle(order, "op1", DECLINED)[0], "op2")
    order, _ = do(order, ask(0, 1), name="later")
    order, _ = settle(settle(order, "later1")[0], "later2")
    order, _ = settle(again(order, "op1")[0], "re1")
    assert (find(order, "re1").charge_id, find(order, "re1").amount) == ("c1", 400)
    assert [charge.captured for charge in order.charges] == [400, 600]
    assert (order.state.value, order.lines[0].captured_units) == ("complete", 2)


def test_a_retry_over_two_charges_makes_a_record_for_each() -> None:
    """300 of the 400 that the credit failed to give went to another line meanwhile."""
    sources = [("customerCredit", 400), ("creditCard", 600)]
    lines = [line(cells(worth)) for worth in (500, 300, 200)]
    order, _ = do(accepted(*lines, sources=sources), ask(0, 1))
    order, _ = settle(settle(order, "op1", DECLINED)[0], "op2")
    order, _ = settle(do(order, ask(1, 1), name="later")[0], "later1")
    order, events = again(order, "op1")
    assert events == ["order.charge.capture.pending"] * 2 + ["order.charge.processing"]
    made = [find(order, id) for id in ("re1", "re2")]
    assert [(each.charge_id, each.amount) for each in made] == [("c0", 100), ("c1", 300)]
    order, _ = settle(settle(order, "re1", DECLINED)[0], "re2")
    order, _ = settle(again(order, "re1", "third")[0], "third1")
    assert order.lines[0].captured == cells(500)
    assert [each.captured_units for each in order.lines] == [1, 1, 0]


@pytest.mark.parametrize(
    ("state", "bar"),
    [
        ("dispute", RetryBar.DISPUTE),
        ("cancelled", RetryBar.CLOSED),
        ("blocked", RetryBar.CLOSED),
        ("pending_payment", RetryBar.CLOSED),
        ("in_review", RetryBar.CLOSED),
        ("accepted", None),
        ("fulfilled", None),
        ("complete", None),
        ("returned", None),
    ],
)
def test_the_state_of_the_order_decides(state: str, bar: RetryBar | None) -> None:
    order = replace(failed_capture(), state=OrderState(state))
    checked = check_retry(order, "op1")
    assert checked == (NotRetriable("op1", bar) if bar else find(order, "op1"))


def test_only_what_has_failed_is_retried_and_only_once() -> None:
    assert check_retry(failed_capture(), "x") == NotRetriable("x", RetryBar.UNKNOWN)
    pending, _ = do(accepted(line(cells(1000))), ask(0, 1))
    assert check_retry(pending, "op1") == NotRetriable("op1", RetryBar.NOT_FAILED)
    complete, _ = settle(pending, "op1")
    assert check_retry(complete, "op1") == NotRetriable("op1", RetryBar.NOT_FAILED)
    retried, _ = again(failed_capture(), "op1")
    assert check_retry(retried, "op1") == NotRetriable("op1", RetryBar.RETRIED)
    assert check_retry(retried, "re1") == NotRetriable("re1", RetryBar.NOT_FAILED)


def test_records_of_an_import_are_not_retried() -> None:
    """They belong to no fulfilment of ours, and no processor was asked for them."""
    order = captured(line(cells(1000)))
    charge = order.charges[0]
    failed = replace(charge.operations[0], state=OperationState.FAILED, failure=DECLINED, units=1)
    order = order.with_charge(charge.with_operation(failed))
    assert check_retry(order, failed.id) == NotRetriable(failed.id, RetryBar.NOT_FAILED)


def test_nothing_is_captured_for_units_that_are_back() -> None:
    order = failed_capture()
    back = replace(order.lines[0], returned_units=2, state=LineState.RETURNED)
    assert check_retry(order.with_line(back), "op1") == NotRetriable("op1", RetryBar.RETURNED)
    order = failed_cancel()
    back = replace(order.lines[0], state=LineState.RETURNED)
    assert check_retry(order.with_line(back), "op1") == find(order, "op1")


def test_without_room_on_the_charges_nothing_is_retried() -> None:
    order = failed_capture()
    shut = order.with_charge(replace(order.charges[0], state=ChargeState.FAILED))
    assert check_retry(shut, "op1") == NotRetriable("op1", RetryBar.NO_ROOM)
    full = order.with_line(replace(order.lines[0], cancelled=cells(1)))
    assert check_retry(full, "op1") == NotRetriable("op1", RetryBar.NO_ROOM)
