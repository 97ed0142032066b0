from dataclasses import replace

import pytest

from refundry.domain.charge import (
    BANK_DETAIL_SOURCES,
    Charge,
    ChargeState,
    OperationKind,
    OperationState,
    capture_order,
    charge_state,
    refund_order,
)
from tests.unit.given import accepted, cells, line, operation

CAPTURE, CANCEL, REFUND = OperationKind.CAPTURE, OperationKind.CANCEL, OperationKind.REFUND
PENDING, COMPLETE, FAILED = (
    OperationState.PENDING,
    OperationState.COMPLETE,
    OperationState.FAILED,
)
WAITING = OperationState.PENDING_INFORMATION


def charge(
    *operations: tuple[OperationKind, int, OperationState],
    state: ChargeState = ChargeState.CAPTURABLE,
) -> Charge:
    """A charge of 100 with these operations."""
    made = replace(accepted(line(cells(100))).charges[0], state=state)
    for number, (kind, amount, how_far) in enumerate(operations):
        made = made.with_operation(operation(made.id, kind, amount, how_far, id=f"op{number}"))
    return made


@pytest.mark.parametrize(
    ("operations", "state"),
    [
        ([], "capturable"),
        ([(CAPTURE, 100, PENDING)], "processing"),
        ([(CAPTURE, 100, COMPLETE)], "complete"),
        ([(CAPTURE, 100, FAILED)], "capturable"),
        ([(CAPTURE, 60, COMPLETE)], "capturable"),
        ([(CAPTURE, 60, COMPLETE), (CANCEL, 40, PENDING)], "processing"),
        ([(CAPTURE, 60, COMPLETE), (CANCEL, 40, COMPLETE)], "complete"),
        ([(CAPTURE, 60, FAILED), (CANCEL, 40, COMPLETE)], "capturable"),
        ([(CAPTURE, 60, PENDING), (CANCEL, 40, FAILED)], "capturable"),
        ([(CANCEL, 100, PENDING)], "processing"),
        ([(CANCEL, 100, COMPLETE)], "cancelled"),
        ([(CANCEL, 100, FAILED)], "capturable"),
        ([(CAPTURE, 100, COMPLETE), (REFUND, 100, COMPLETE)], "complete"),
        ([(CAPTURE, 100, COMPLETE), (REFUND, 50, PENDING)], "complete"),
    ],
)
def test_the_state_follows_from_the_operations(
    operations: list[tuple[OperationKind, int, OperationState]], state: str
) -> None:
    assert charge_state(charge(*operations)) == state


@pytest.mark.parametrize("state", [ChargeState.PENDING, ChargeState.FAILED])
def test_an_unauthorised_charge_stays_so_and_has_nothing_open(state: ChargeState) -> None:
    assert charge_state(charge(state=state)) is state
    assert charge(state=state).open == 0


def test_open_is_what_no_capture_or_cancel_has_or_may_have() -> None:
    made = charge((CAPTURE, 10, COMPLETE), (CANCEL, 20, PENDING), (CAPTURE, 30, FAILED))
    assert (made.captured, made.cancelled, made.in_flight, made.open) == (10, 0, 20, 70)


def test_refundable_counts_every_record_that_did_not_fail() -> None:
    made = charge(
        (CAPTURE, 100, COMPLETE),
        (REFUND, 1, PENDING),
        (REFUND, 2, WAITING),
        (REFUND, 4, COMPLETE),
        (REFUND, 8, FAILED),
    )
    assert made.refundable == 93
    assert made.refunded == 4


def test_a_pending_capture_is_not_refundable_yet() -> None:
    assert charge((CAPTURE, 100, PENDING)).refundable == 0


def test_an_operation_takes_the_place_of_the_one_with_its_id() -> None:
    made = charge((CAPTURE, 60, PENDING), (CANCEL, 40, PENDING))
    done = replace(made.operations[0], state=COMPLETE)
    assert made.with_operation(done).operations == (done, made.operations[1])


def test_credit_is_spent_first_and_refunded_last() -> None:
    sources = [("customerCredit", 10), ("creditCard", 50), ("customerCredit", 40)]
    charges = accepted(line(cells(100)), sources=sources).charges
    assert [each.id for each in capture_order(charges)] == ["c0", "c2", "c1"]
    assert [each.id for each in refund_order(charges)] == ["c1", "c0", "c2"]


def test_bank_details_are_needed_of_the_receiver_types() -> None:
    types = "wireTransfer konbini onlineBanking bPay bankTransfer codJapan"
    assert set(types.split()) == BANK_DETAIL_SOURCES
