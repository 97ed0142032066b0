"""What may take the place of a refund that failed."""

from dataclasses import replace

import pytest

from refundry.domain.another_way import (
    Chain,
    check_replacement,
    is_paid_after_all,
    plan_replacement,
)
from refundry.domain.charge import Failure, Operation, OperationKind, OperationState
from refundry.domain.order import OrderState, hold
from refundry.domain.refund import Refund, RefundAsk, RefundState, Way, plan_refund
from refundry.domain.refusal import (
    AmountUnavailable,
    RefundDuringDispute,
    RefundNotFailed,
    RefundPaidAfterAll,
    RefundReplaced,
)
from tests.unit.given import NOW, captured, cells, line

ORDER = captured(line(cells(1000, 80)), line(cells(500, 40)))


def refund(state: RefundState, refund_id: str = "re_1", **fields: object) -> Refund:
    made = plan_refund(
        ORDER, RefundAsk(ORDER.id, None, "USD", amount=None, percent=50),  # type: ignore[arg-type]
        refund_id=refund_id, now=NOW,
    )  # fmt: skip
    assert isinstance(made, Refund)
    return replace(made, state=state, **fields)  # type: ignore[arg-type]


FAILED = refund(RefundState.FAILED, failure_reason="declined", reason="late", metadata="{}")


@pytest.mark.parametrize("way", [None, *Way])
@pytest.mark.parametrize("state", [RefundState.FAILED, RefundState.EXPIRED])
def test_the_replacement_is_of_the_same_cells(way: Way | None, state: RefundState) -> None:
    first = replace(FAILED, state=state)
    made = plan_replacement(ORDER, Chain(first), way, refund_id="re_2", now=NOW)
    assert isinstance(made, Refund)
    assert (made.amount, made.shares, made.elements) == (first.amount, first.shares, ())
    assert (made.reason, made.metadata) == ("late", "{}")
    assert (made.state, made.replaces, made.way) == (RefundState.PENDING, "re_1", way)
    assert (made.failure_reason, made.parts, made.refunded) == (None, (), 0)


@pytest.mark.parametrize(
    "state", [RefundState.PENDING, RefundState.PENDING_INFORMATION, RefundState.SUCCEEDED]
)
def test_what_has_not_failed_is_not_replaced(state: RefundState) -> None:
    assert check_replacement(Chain(refund(state)), Way.BY_HAND) == RefundNotFailed("re_1")
    other = refund(state, "re_2", replaces="re_1")
    chain = Chain(FAILED, (replace(FAILED, id="re_0", replaces="re_1"), other))
    assert check_replacement(chain, Way.BY_HAND) == RefundReplaced("re_1", "re_2")
    assert chain.alive is other


def test_a_replacement_that_failed_leaves_the_place_free() -> None:
    chain = Chain(FAILED, (replace(FAILED, id="re_2", replaces="re_1"),))
    assert check_replacement(chain, None) is None
    made = plan_replacement(ORDER, chain, None, refund_id="re_3", now=NOW)
    assert isinstance(made, Refund)
    assert made.replaces == "re_1"


def test_what_was_paid_after_all_is_only_recorded() -> None:
    chain = Chain(FAILED, paid_after_all=True)
    for way in (None, Way.STORE_CREDIT, Way.BANK_TRANSFER):
        assert check_replacement(chain, way) == RefundPaidAfterAll("re_1")
    assert check_replacement(chain, Way.BY_HAND) is None
    assert not chain.may_be_paid_twice
    other = refund(RefundState.SUCCEEDED, "re_2", replaces="re_1")
    assert Chain(FAILED, (other,), paid_after_all=True).may_be_paid_twice


def test_money_that_is_gone_and_orders_in_dispute_are_left_alone() -> None:
    spent = hold(ORDER, FAILED.shares)
    spent = hold(spent, FAILED.shares)
    made = plan_replacement(spent, Chain(FAILED), None, refund_id="re_2", now=NOW)
    assert made == AmountUnavailable()
    disputed = replace(ORDER, state=OrderState.DISPUTE, previous_state=OrderState.COMPLETE)
    made = plan_replacement(disputed, Chain(FAILED), None, refund_id="re_2", now=NOW)
    assert made == RefundDuringDispute()


@pytest.mark.parametrize("kind", list(OperationKind))
@pytest.mark.parametrize("state", list(OperationState))
def test_only_a_failed_refund_is_paid_after_all(kind: OperationKind, state: OperationState) -> None:
    failed = state is OperationState.FAILED
    record = Operation("op", "ch", kind, 5, state, NOW, NOW, failure=Failure() if failed else None)
    assert is_paid_after_all(record, paid=True) == (failed and kind is OperationKind.REFUND)
    assert not is_paid_after_all(record, paid=False)
    assert not is_paid_after_all(replace(record, shares={}), paid=True)
