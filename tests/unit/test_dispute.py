from dataclasses import replace

import pytest

from refundry.domain.charge import Charge, ChargeState, OperationKind, OperationState
from refundry.domain.dispute import (
    Dispute,
    DisputeState,
    check_dispute,
    check_resolution,
    limit_of,
    open_dispute,
    primary_charge,
    win,
)
from refundry.domain.event import Change
from refundry.domain.order import Order, OrderState, enter_state
from refundry.domain.refusal import (
    ChargeInDispute,
    DisputeClosed,
    InvalidField,
    NotDisputable,
    Refusal,
)
from tests.unit.given import NOW, SECOND, accepted, captured, cells, line, operation, order_a, types
from tests.unit.given_disputes import (
    assert_adds_up,
    case,
    charged_back,
    find,
    in_dispute,
    order_e,
    order_g,
    refunded_a,
)

LOST = ["sales_transaction.created", "order.chargeback", "order.dispute.resolved"]


def with_records(captured: int, *refunds: tuple[int, str]) -> Charge:
    """A charge with a complete capture and refund records in these states."""
    charge = Charge("c0", "s0", "creditCard", 5000, ChargeState.COMPLETE, "moto", SECOND)
    taken = operation("c0", OperationKind.CAPTURE, captured, OperationState.COMPLETE)
    charge = charge.with_operation(taken)
    for place, (amount, state) in enumerate(refunds):
        made = operation("c0", OperationKind.REFUND, amount, OperationState(state), id=f"r{place}")
        charge = charge.with_operation(made)
    return charge


@pytest.mark.parametrize(
    ("charge", "limit"),
    [
        (with_records(2701), 2701),
        (with_records(2701, (1351, "complete")), 1350),
        (with_records(2701, (1351, "pending"), (100, "pending_information")), 2701),
        (with_records(2701, (1351, "failed")), 2701),
        (with_records(2701, (2701, "complete")), 0),
        (with_records(2701, (2701, "complete"), (500, "complete")), 0),
    ],
)
def test_the_bank_can_take_what_was_captured_and_not_paid_back(charge: Charge, limit: int) -> None:
    assert limit_of(charge) == limit


def test_a_capture_that_is_open_cannot_be_taken_back() -> None:
    charge = with_records(1000).with_operation(operation("c0", OperationKind.CAPTURE, 500))
    assert limit_of(charge) == 1000


def test_a_dispute_is_about_the_primary_charge_unless_it_says_otherwise() -> None:
    sources = [("customerCredit", 400), ("creditCard", 600)]
    primary = primary_charge(captured(line(cells(1000)), sources=sources))
    assert primary is not None
    assert primary.id == "c1"
    credit = primary_charge(captured(line(cells(1000)), sources=[("customerCredit", 500)] * 2))
    assert credit is not None
    assert credit.id == "c0"
    assert primary_charge(captured(line(cells()))) is None


@pytest.mark.parametrize("state", ["accepted", "fulfilled", "complete", "returned"])
def test_an_order_that_may_have_been_paid_can_be_disputed(state: str) -> None:
    assert check_dispute(replace(order_a(), state=OrderState(state)), "c0", set()) is None


@pytest.mark.parametrize("state", ["pending_payment", "in_review", "blocked", "cancelled"])
def test_another_order_cannot_be_disputed(state: str) -> None:
    order = replace(order_a(), state=OrderState(state))
    assert check_dispute(order, "c0", set()) == NotDisputable(state)


def test_a_charge_has_one_open_dispute_and_another_may_have_its_own() -> None:
    order = in_dispute(order_g())
    assert check_dispute(order, "c0", {"c0"}) == ChargeInDispute("o1")
    assert check_dispute(order, "c1", {"c0"}) is None


def test_an_order_in_dispute_remembers_its_state() -> None:
    change = Change(order_a(), NOW)
    open_dispute(change)
    order = change.order
    assert types(change) == ["order.dispute"]
    assert change.drafts[0].order == order
    assert (order.state, order.previous_state) == (OrderState.DISPUTE, OrderState.COMPLETE)
    assert order.state_times["dispute"] == NOW
    assert (order.fraud_state, order.fraud_times["review_opened"]) == ("review_opened", NOW)
    assert order.version == order_a().version + 1


def test_a_second_dispute_is_not_announced() -> None:
    change = Change(in_dispute(order_g()), NOW)
    before = change.order
    open_dispute(change)
    assert change.drafts == []
    assert change.order == before


@pytest.mark.parametrize(
    ("dispute", "amount", "refusal"),
    [
        (case(order_a()), None, None),
        (case(order_a()), 1, None),
        (case(order_a()), 2701, None),
        (case(order_a(), amount=1000), 2701, None),
        (case(order_a()), 2702, InvalidField("amount", "sent")),
        (case(order_a()), 0, InvalidField("amount", "sent")),
        (case(order_a()), -1, InvalidField("amount", "sent")),
        (replace(case(order_a()), state=DisputeState.WON), 2702, DisputeClosed("dp_c0")),
        (replace(case(order_a()), state=DisputeState.LOST), None, DisputeClosed("dp_c0")),
    ],
)
def test_a_dispute_ends_once_and_within_its_charge(
    dispute: Dispute, amount: int | None, refusal: Refusal | None
) -> None:
    charge = order_a().charge("c0")
    assert check_resolution(dispute, charge, amount, "sent") == refusal


def test_what_was_paid_back_cannot_be_charged_back() -> None:
    charge = refunded_a().charge("c0")
    assert check_resolution(case(order_a()), charge, 1351, "13.51") == InvalidField(
        "amount", "13.51"
    )
    assert check_resolution(case(order_a()), charge, 1350, "13.50") is None


def test_a_dispute_that_is_won_gives_the_order_back_as_it_was() -> None:
    change = Change(in_dispute(order_a()), NOW)
    ended = win(change, case(order_a()), last=True)
    assert types(change) == ["order.dispute.resolved"]
    assert (ended.state, ended.resolved_at) == (DisputeState.WON, SECOND)
    assert (ended.chargeback, ended.fraud, ended.sales_transaction_ids) == (None, None, ())
    order = change.order
    assert (order.state, order.previous_state) == (OrderState.COMPLETE, None)
    assert (order.fraud_state, order.fraud_times["passed"]) == ("passed", NOW)
    assert "complete" not in order.state_times  # The way back is no new entry.
    assert order.available_to_refund == 2701


def test_the_order_stays_in_dispute_until_the_last_one_ends() -> None:
    change = Change(in_dispute(order_g()), NOW)
    ended = win(change, case(order_g()), last=False)
    assert ended.state is DisputeState.WON
    assert change.drafts == []
    assert change.order.state is OrderState.DISPUTE
    change, _, _ = charged_back(order_g(), 100, last=False)
    assert types(change) == LOST[:2]
    assert (change.order.state, change.order.fraud_state) == (OrderState.DISPUTE, "review_opened")


def test_a_state_that_falls_due_in_dispute_is_the_one_to_go_back_to() -> None:
    order = in_dispute(replace(order_a(), state=OrderState.FULFILLED))
    change = Change(enter_state(order, OrderState.COMPLETE, NOW), NOW)
    win(change, case(order_a()), last=True)
    assert change.order.state is OrderState.COMPLETE


@pytest.mark.parametrize(
    ("order", "amount", "refunded", "available", "of_line"),
    [
        (order_a(), 1000, 1000, 1701, 1361),
        (order_a(), 2701, 2701, 0, 0),
        (refunded_a(), 1350, 2701, 0, 0),
        (order_e(), 2000, 2000, 2409, 1175),
        (order_a(), 1, 1, 2700, 2160),
    ],
)
def test_worked_chargebacks(
    order: Order, amount: int, refunded: int, available: int, of_line: int
) -> None:
    change, dispute, made = charged_back(order, amount)
    after = change.order
    assert (after.refunded, after.available_to_refund) == (refunded, available)
    assert after.lines[0].available_to_refund == of_line
    assert dispute.chargeback == sum(sum(each.cells) for each in made) == amount
    assert_adds_up(after)


def test_a_lost_dispute_is_booked_on_its_charge_without_a_refund() -> None:
    change, dispute, made = charged_back(order_a(), 1000)
    record = find(change.order, "cb_c0")
    assert (record.kind, record.state, record.amount) == (
        OperationKind.REFUND,
        OperationState.COMPLETE,
        1000,
    )
    assert (record.dispute_id, record.owed, record.created_at) == ("dp_c0", 0, SECOND)
    assert change.order.charge("c0").refunded == 1000
    assert change.refunds == {}
    assert types(change) == LOST
    assert (dispute.state, dispute.resolved_at, dispute.fraud) == (DisputeState.LOST, SECOND, True)
    assert dispute.sales_transaction_ids == ("st_c0_1",)
    assert (made[0].type, made[0].position, made[0].charge_id) == ("fraud_chargeback", 0, "c0")


def test_a_chargeback_is_published_before_the_order_leaves_dispute() -> None:
    change, _, _ = charged_back(order_a(), 1000)
    _, charged, resolved = change.drafts
    assert (charged.order.state, charged.order.refunded) == (OrderState.DISPUTE, 1000)
    assert (resolved.order.state, resolved.order.fraud_state) == (OrderState.COMPLETE, "passed")
    before = in_dispute(order_a()).version
    assert [charged.order.version, resolved.order.version] == [before + 1, before + 2]
    assert change.order == resolved.order


def test_every_cell_gives_its_part_fees_included() -> None:
    change, _, made = charged_back(order_e(), 2000)
    assert made[0].cells == cells(907, 69, shipping=(227, 17), fees=(726, 54))
    assert change.order.lines[0].refunded == made[0].cells
    assert find(change.order, "cb_c0").shares == {0: made[0].cells}


def test_each_line_that_gives_has_a_sales_transaction() -> None:
    order = captured(line(cells(1000, 80)), line(cells()), line(cells(1000, 80)))
    change, dispute, made = charged_back(order, 1000, fraud=False)
    assert [(each.position, sum(each.cells)) for each in made] == [(0, 500), (2, 500)]
    assert {each.type for each in made} == {"non_fraud_chargeback"}
    assert dispute.sales_transaction_ids == ("st_c0_1", "st_c0_2")
    assert dispute.fraud is False
    assert types(change) == [LOST[0], *LOST]
    assert [draft.sales for draft in change.drafts[:2]] == made


@pytest.mark.parametrize(("disputed", "taken"), [(2701, 1350), (1000, 1000), (1350, 1350)])
def test_without_an_amount_the_bank_takes_what_is_left_of_what_is_disputed(
    disputed: int, taken: int
) -> None:
    change, dispute, _ = charged_back(refunded_a(), disputed=disputed)
    assert dispute.chargeback == taken
    assert change.order.refunded == 1351 + taken


def test_a_dispute_that_is_lost_with_nothing_left_takes_nothing() -> None:
    change, _, _ = charged_back(order_a())
    change, dispute, made = charged_back(change.order)
    assert (dispute.state, dispute.chargeback, made) == (DisputeState.LOST, 0, [])
    assert types(change) == ["order.dispute.resolved"]
    assert change.order.state is OrderState.COMPLETE
    assert change.order.refunded == 2701


def test_an_order_of_which_nothing_is_captured_yet_has_nothing_to_lose() -> None:
    order = accepted(line(cells(1000)))
    change, dispute, _ = charged_back(order, disputed=1000)
    assert dispute.chargeback == 0
    assert change.order.state is OrderState.ACCEPTED
