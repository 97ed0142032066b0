from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from refundry.domain import settlement
from refundry.domain.charge import Failure, Operation, OperationKind, OperationState
from refundry.domain.event import Change
from refundry.domain.order import Order, hold
from refundry.domain.refund import ElementAsk, Refund, RefundAsk, RefundState, plan_refund
from refundry.domain.settlement import is_open, move
from tests.unit.given import (
    NOW,
    SECOND,
    Sources,
    captured,
    cells,
    counting,
    line,
    operation,
    order_a,
    types,
)

DECLINED = Failure(reason="declined")
FROZEN = Failure("frozen", "The account is frozen", "account_frozen")
MIXED = [("creditCard", 689), ("customerCredit", 2000)]
PAID = ["order.charge.refund.complete", "refund.complete", "order.refunded"]


@dataclass
class Desk:
    """An order and its refunds, worked on step by step as the commands do."""

    order: Order
    refunds: dict[str, Refund]

    @classmethod
    def of(cls, order: Order, *amounts: str, items: Sequence[ElementAsk] = ()) -> "Desk":
        """An order with refunds of these amounts, re_1 and so on, held but not submitted."""
        desk = cls(order, {})
        name = counting("re_")
        for amount in amounts or (None,):
            ask = RefundAsk("o1", None, order.currency.code, items=tuple(items))
            ask = replace(ask, amount=Decimal(amount) if amount else None)
            refund = plan_refund(desk.order, ask, refund_id=name(), now=NOW)
            assert isinstance(refund, Refund)
            desk.order = hold(desk.order, refund.shares)
            desk.refunds[refund.id] = refund
        return desk

    @property
    def refund(self) -> Refund:
        return self.refunds["re_1"]

    def record(self, place: int) -> Operation:
        """A record by its place: op1, op2, ..."""
        every = [o for charge in self.order.charges for o in charge.operations]
        return next(each for each in every if each.id == f"op{place}")

    def submit(self) -> list[str]:
        change = Change(self.order, NOW)
        settlement.submit(change, list(self.refunds.values()), counting("op"))
        return self._take(change)

    def settle(self, place: int, failure: Failure | None = None) -> list[str]:
        change = Change(self.order, NOW)
        settlement.settle(change, self.record(place), self._members(place), failure)
        return self._take(change)

    def need_information(self, place: int) -> list[str]:
        change = Change(self.order, NOW)
        members = self._members(place)
        settlement.ask_for_information(change, self.record(place), members, counting("secret"))
        return self._take(change)

    def give_information(self, place: int = 1) -> list[str]:
        """To the refund with this number, with those that wait for the same records."""
        change = Change(self.order, NOW)
        refund = list(self.refunds.values())[place - 1]
        members = {refund.id: refund}
        for part in refund.parts:
            for each in self._members(int(part.operation_id.removeprefix("op"))):
                if each.state is RefundState.PENDING_INFORMATION:
                    members[each.id] = each
        settlement.take_information(change, refund, list(members.values()))
        return self._take(change)

    def expire(self) -> list[str]:
        change = Change(self.order, NOW)
        settlement.expire(change, self.refund)
        return self._take(change)

    def fail_late(self, place: int, failure: Failure) -> list[str]:
        change = Change(self.order, NOW)
        settlement.fail_late(change, self.record(place), self._members(place), failure)
        return self._take(change)

    def _members(self, place: int) -> list[Refund]:
        wanted = f"op{place}"
        return [
            refund
            for refund in self.refunds.values()
            if wanted in [part.operation_id for part in refund.parts]
        ]

    def _take(self, change: Change) -> list[str]:
        self.order = change.order
        self.refunds |= change.refunds
        return types(change)


def mixed(*amounts: str, sources: Sources = MIXED) -> Desk:
    """An order of 26.89 paid by card and credit, its refunds submitted."""
    desk = Desk.of(captured(line(cells(2489, 200)), sources=sources), *amounts)
    desk.submit()
    return desk


def test_row_2_a_refund_is_paid_by_card_first_and_then_by_credit() -> None:
    sources = [("customerCredit", 2000), ("creditCard", 689)]
    desk = Desk.of(captured(line(cells(2489, 200)), sources=sources), "13.45")
    assert desk.submit() == ["order.charge.refund.pending"] * 2
    assert [(part.charge_id, part.amount) for part in desk.refund.parts] == [
        ("c1", 689),
        ("c0", 656),
    ]
    assert desk.refund.submitted
    assert desk.refund.state is RefundState.PENDING
    assert {desk.record(place).state.value for place in (1, 2)} == {"pending"}
    assert desk.record(1).created_at == SECOND


def test_row_2_a_batch_makes_one_record_per_charge() -> None:
    desk = mixed("3.00", "4.00", "5.00")
    assert [(desk.record(n).charge_id, desk.record(n).amount) for n in (1, 2)] == [
        ("c0", 689),
        ("c1", 511),
    ]
    parts = [[part.amount for part in refund.parts] for refund in desk.refunds.values()]
    assert parts == [[300], [389, 11], [500]]


def test_row_2_what_no_charge_has_room_for_fails_and_is_not_sent() -> None:
    """The bank has taken 20.00 of 26.89 after a refund of 13.45 was accepted."""
    desk = Desk.of(captured(line(cells(2489, 200)), sources=MIXED), "13.45")
    taken = operation("c1", OperationKind.REFUND, 2000, OperationState.COMPLETE, id="bank")
    charge = desk.order.charge("c1").with_operation(replace(taken, shares={}))
    desk.order = desk.order.with_charge(charge)
    assert desk.submit() == ["order.charge.refund.pending", "order.charge.refund.failed"]
    assert (desk.record(1).charge_id, desk.record(1).amount) == ("c0", 689)
    failed = desk.record(2)
    assert (failed.charge_id, failed.amount, failed.state.value) == ("c0", 656, "failed")
    assert failed.failure == Failure()
    assert desk.settle(1) == PAID
    assert (desk.refund.state.value, desk.refund.refunded) == ("succeeded", 689)


def test_row_4_a_refund_without_any_room_fails_at_once() -> None:
    desk = Desk.of(order_a(), "27.01")
    taken = operation("c0", OperationKind.REFUND, 2701, OperationState.COMPLETE, id="bank")
    charge = desk.order.charge("c0").with_operation(replace(taken, shares={}))
    desk.order = desk.order.with_charge(charge)
    assert desk.submit() == ["order.charge.refund.failed", "refund.failed"]
    assert (desk.refund.state.value, desk.refund.failure_reason) == ("failed", "declined")
    assert desk.order.lines[0].held == cells()


def test_row_3_a_paid_refund_succeeds() -> None:
    desk = Desk.of(order_a(), "13.51")
    assert desk.submit() == ["order.charge.refund.pending"]
    assert desk.settle(1) == PAID
    assert (desk.refund.state.value, desk.refund.refunded) == ("succeeded", 1351)
    assert desk.refund.failure_reason is None
    assert desk.order.lines[0].refunded == cells(1000, 81, shipping=(250, 20))
    assert desk.order.lines[0].held == cells()
    assert (desk.order.refunded, desk.order.available_to_refund) == (1351, 1350)


def test_row_3_waits_for_the_last_record() -> None:
    desk = mixed("13.45")
    assert desk.settle(2) == ["order.charge.refund.complete"]
    assert (desk.refund.state.value, desk.refund.refunded) == ("pending", 0)
    assert desk.order.refunded == 656
    assert desk.settle(1) == PAID
    assert desk.order.refunded == 1345


def test_row_3_items_are_refunded_as_they_were_asked() -> None:
    items = [ElementAsk(f"line{n}", None, None, None, Decimal(50), None) for n in (0, 1)]
    desk = Desk.of(captured(line(cells(1000)), line(cells(301))), items=items)
    desk.submit()
    desk.settle(1)
    assert [each.refunded for each in desk.refund.elements] == [500, 151]


def test_row_4_a_failed_refund_releases_what_it_held() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    assert desk.settle(1, FROZEN) == ["order.charge.refund.failed", "refund.failed"]
    assert (desk.refund.state.value, desk.refund.refunded) == ("failed", 0)
    assert desk.refund.failure_reason == "account_frozen"
    assert desk.record(1).failure == FROZEN
    assert desk.order.available_to_refund == 2701


def test_row_5_a_partly_paid_refund_succeeds_with_less() -> None:
    desk = mixed("13.45")
    assert desk.settle(1) == ["order.charge.refund.complete"]
    assert desk.settle(2, DECLINED) == ["order.charge.refund.failed", *PAID[1:]]
    assert (desk.refund.state.value, desk.refund.refunded) == ("succeeded", 689)
    assert desk.refund.failure_reason == "partially_refunded"
    # 13.45 held 12.45 and 1.00; the failed 6.56 comes off them as 6.07 and 0.49.
    assert desk.refund.shares == {0: cells(1245, 100)}
    assert desk.order.lines[0].refunded == cells(1245 - 607, 100 - 49)
    assert desk.order.available_to_refund == 2689 - 689


def test_row_5_items_share_what_was_paid_by_their_amounts() -> None:
    items = [ElementAsk(f"line{n}", None, None, None, Decimal(100), None) for n in (0, 1)]
    order = captured(line(cells(2000)), line(cells(689)), sources=MIXED)
    desk = Desk.of(order, items=items)
    desk.submit()
    desk.settle(1)
    desk.settle(2, DECLINED)
    assert [each.refunded for each in desk.refund.elements] == [512, 177]


def test_row_6_bank_details_are_asked_for_and_the_amount_stays_held() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    assert desk.need_information(1) == ["refund.pending_information"]
    assert desk.refund.state is RefundState.PENDING_INFORMATION
    assert desk.record(1).state is OperationState.PENDING_INFORMATION
    assert desk.order.available_to_refund == 1350
    token = desk.refund.token
    assert token is not None
    assert token.secret == "secret1"
    assert token.expires_at == datetime(2024, 5, 31, 9, 58, 12, 120000, tzinfo=UTC)


def test_row_6_a_second_record_asks_for_the_same_details() -> None:
    desk = mixed("13.45")
    desk.need_information(1)
    token = desk.refund.token
    assert desk.need_information(2) == []
    assert desk.refund.token == token


def test_row_6_each_refund_of_a_batch_gets_a_token_of_its_own() -> None:
    desk = mixed("3.00", "3.00")
    assert desk.need_information(1) == ["refund.pending_information"] * 2
    secrets = [refund.token.secret for refund in desk.refunds.values() if refund.token]
    assert secrets == ["secret1", "secret2"]


def test_row_7_with_bank_details_a_refund_goes_on() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    desk.need_information(1)
    assert desk.give_information() == ["refund.pending"]
    assert desk.refund.state is RefundState.PENDING
    assert desk.refund.token is None
    assert desk.record(1).state is OperationState.PENDING
    assert desk.order.available_to_refund == 1350
    assert desk.settle(1)[-2:] == ["refund.complete", "order.refunded"]


def test_row_7_all_records_of_a_refund_go_on_together() -> None:
    desk = mixed("13.45")
    desk.need_information(1)
    desk.need_information(2)
    assert desk.give_information() == ["refund.pending"]
    assert {desk.record(place).state for place in (1, 2)} == {OperationState.PENDING}


def test_row_7_refunds_of_one_record_go_on_together() -> None:
    desk = mixed("3.00", "3.00")
    desk.need_information(1)
    assert desk.give_information(2) == ["refund.pending"] * 2
    assert [refund.token for refund in desk.refunds.values()] == [None, None]


def test_row_7_a_refund_with_another_waiting_record_keeps_waiting() -> None:
    """6.89 fit the card: the second refund takes the rest from the credit, which waits too."""
    desk = mixed("5.00", "5.00")
    desk.need_information(1)
    desk.need_information(2)
    assert desk.give_information(1) == ["refund.pending"]
    states = [refund.state.value for refund in desk.refunds.values()]
    assert states == ["pending", "pending_information"]
    assert desk.record(2).state is OperationState.PENDING_INFORMATION


def test_row_8_without_bank_details_a_refund_expires() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    desk.need_information(1)
    assert desk.expire() == ["order.charge.refund.failed", "refund.failed"]
    assert (desk.refund.state.value, desk.refund.refunded) == ("expired", 0)
    assert desk.refund.failure_reason == "information_not_provided"
    assert desk.refund.token is None
    assert desk.order.available_to_refund == 2701


def test_row_8_a_refund_expires_whatever_became_of_its_other_record() -> None:
    desk = mixed("13.45")
    desk.settle(1, DECLINED)
    desk.need_information(2)
    desk.expire()
    assert desk.refund.state is RefundState.EXPIRED
    assert desk.refund.failure_reason == "information_not_provided"


def test_row_8_with_another_record_paid_the_refund_succeeds_with_less() -> None:
    desk = mixed("13.45")
    desk.settle(1)
    desk.need_information(2)
    assert desk.expire() == ["order.charge.refund.failed", *PAID[1:]]
    assert (desk.refund.state.value, desk.refund.refunded) == ("succeeded", 689)
    assert desk.refund.failure_reason == "partially_refunded"


def test_row_8_with_another_record_open_the_refund_waits_for_it() -> None:
    desk = mixed("13.45")
    desk.need_information(1)
    assert desk.expire() == ["order.charge.refund.failed"]
    assert (desk.refund.state.value, desk.refund.token) == ("pending", None)
    assert desk.settle(2) == PAID
    assert desk.refund.refunded == 656


def test_a_waiting_record_that_is_settled_otherwise_ends_the_refund() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    desk.need_information(1)
    assert desk.settle(1, DECLINED) == ["order.charge.refund.failed", "refund.failed"]
    assert (desk.refund.state.value, desk.refund.token) == ("failed", None)
    assert desk.refund.failure_reason == "declined"


def test_row_10_a_success_that_comes_back_makes_the_refund_fail() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    desk.settle(1)
    assert desk.fail_late(1, FROZEN) == ["order.charge.refund.failed", "refund.failed"]
    assert (desk.refund.state.value, desk.refund.refunded) == ("failed", 0)
    assert desk.refund.failure_reason == "account_frozen"
    assert (desk.order.refunded, desk.order.available_to_refund) == (0, 2701)


def test_row_10_a_part_that_comes_back_leaves_the_rest() -> None:
    desk = mixed("13.45")
    desk.settle(1)
    desk.settle(2)
    assert desk.fail_late(2, FROZEN) == ["order.charge.refund.failed", "refund.updated"]
    assert (desk.refund.state.value, desk.refund.refunded) == ("succeeded", 689)
    assert desk.refund.failure_reason == "partially_refunded"
    assert desk.order.lines[0].refunded == cells(1245 - 607, 100 - 49)
    assert desk.fail_late(1, FROZEN) == ["order.charge.refund.failed", "refund.failed"]
    assert (desk.refund.state.value, desk.refund.refunded) == ("failed", 0)
    assert desk.order.available_to_refund == 2689


def test_row_10_before_the_end_only_the_record_fails() -> None:
    desk = mixed("13.45")
    desk.settle(1)
    assert desk.fail_late(1, FROZEN) == ["order.charge.refund.failed"]
    assert desk.refund.state is RefundState.PENDING
    assert desk.order.available_to_refund == 2689 - 1345
    assert desk.settle(2) == PAID
    assert (desk.refund.refunded, desk.refund.failure_reason) == (656, "partially_refunded")


def test_members_of_a_batch_share_its_outcome() -> None:
    desk = mixed("3.00", "3.00")
    assert desk.settle(1) == [*PAID, *PAID[1:]]
    assert [refund.refunded for refund in desk.refunds.values()] == [300, 300]
    assert [refund.state.value for refund in desk.refunds.values()] == ["succeeded"] * 2


def test_no_two_contents_of_an_order_have_the_same_version() -> None:
    """Of a batch the first refund is partly paid, the second fails: its release comes later."""
    desk = mixed("6.90", "5.00")
    desk.settle(1)
    change = Change(desk.order, NOW)
    members = list(desk.refunds.values())
    settlement.settle(change, desk.record(2), members, DECLINED)
    assert types(change)[1:] == ["refund.complete", "order.refunded", "refund.failed"]
    (published,) = [d.order for d in change.drafts if d.type.value == "order.refunded"]
    assert published.available_to_refund != change.order.available_to_refund
    assert change.order.version > published.version


def test_a_refund_that_ends_needs_no_attention_any_more() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    desk.refunds["re_1"] = replace(desk.refund, needs_attention=True)
    desk.settle(1)
    assert not desk.refund.needs_attention


def test_a_settled_record_cannot_be_settled_again() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    desk.settle(1)
    with pytest.raises(AssertionError):
        desk.settle(1)


@pytest.mark.parametrize("state", ["failed", "expired"])
def test_final_is_final(state: str) -> None:
    desk = Desk.of(order_a(), "13.51")
    ended = replace(desk.refund, state=RefundState(state))
    for after in RefundState:
        with pytest.raises(AssertionError):
            move(ended, after)
    assert not is_open(ended)
    assert is_open(desk.refund)


def test_the_time_of_a_record_is_that_of_its_last_step() -> None:
    desk = Desk.of(order_a(), "13.51")
    desk.submit()
    later = NOW + timedelta(days=2)
    change = Change(desk.order, later)
    settlement.settle(change, desk.record(1), [desk.refund], None)
    desk.order = change.order
    assert (desk.record(1).created_at, desk.record(1).updated_at) == (
        SECOND,
        later.replace(microsecond=0),
    )
