"""The whole life of an order, in any order of its steps: the books add up after each of them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from refundry.domain import settlement
from refundry.domain.charge import Failure, Operation, OperationKind, OperationState
from refundry.domain.dispute import (
    Dispute,
    DisputeState,
    SalesTransaction,
    check_dispute,
    check_resolution,
    limit_of,
    lose,
    open_dispute,
    win,
)
from refundry.domain.event import Change, EventType
from refundry.domain.fulfillment import FulfilledItem, fulfill, settle_capture
from refundry.domain.order import LineState, Order, OrderState, hold
from refundry.domain.refund import OPEN_REFUND_STATES, Refund, RefundAsk, plan_refund
from refundry.domain.refusal import Refusal, ReturnDuringDispute, ReturnTooLarge
from refundry.domain.returns import (
    Return,
    ReturnState,
    UnitsAsk,
    accept,
    plan_acceptance,
    plan_return,
)
from tests.property.generated import (
    NOW,
    accepted_orders,
    assert_versions_rank_snapshots,
    counting,
)
from tests.support.order_books import assert_books, owed_of, paid_of

picks = st.integers(0, 10**6)
some = st.integers(0, 3)
percents = st.sampled_from([Decimal(100), Decimal(50), Decimal(10)])
# Parts of the limit, in percent; None: no amount is named.
portions = st.one_of(st.none(), st.integers(1, 100))
LEAVES = {OrderState.ACCEPTED, OrderState.FULFILLED, OrderState.COMPLETE, OrderState.RETURNED}


class OrderLife(RuleBasedStateMachine):
    """An order, its refunds, returns and disputes; processors and banks answer as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.new_id = counting("id")
        self.refunds: dict[str, Refund] = {}
        self.returns: dict[str, Return] = {}
        self.disputes: dict[str, Dispute] = {}
        self.sales: list[SalesTransaction] = []

    @initialize(order=accepted_orders(most_lines=3).filter(lambda order: bool(order.charges)))
    def take_in(self, order: Order) -> None:
        self.order = order

    @precondition(lambda self: self.takes_units())
    @rule(units=st.lists(st.tuples(some, some), min_size=3, max_size=3), whole=st.booleans())
    def fulfil(self, units: list[tuple[int, int]], whole: bool) -> None:
        items: list[FulfilledItem] = []
        for line, (sent, gone) in zip(self.order.lines, units, strict=False):
            sent = line.units_left if whole else min(sent, line.units_left)
            gone = min(gone, line.units_left - sent)
            if sent or gone:
                items.append(FulfilledItem(line.position, sent, gone))
        if items:
            change = Change(self.order, NOW)
            fulfill(change, items, fulfillment_id=self.new_id(), new_id=self.new_id)
            self._absorb(change)

    @precondition(lambda self: self.operations("capture", "cancel"))
    @rule(pick=picks, done=st.booleans(), together=st.booleans())
    def settle_captures(self, pick: int, done: bool, together: bool) -> None:
        pending = self.operations("capture", "cancel")
        for operation in pending if together else [pending[pick % len(pending)]]:
            change = Change(self.order, NOW)
            settle_capture(change, operation, None if done or together else Failure())
            self._absorb(change)

    @precondition(lambda self: self.order.available_to_refund > 0)
    @rule(percent=percents, now=st.booleans())
    def ask_refund(self, percent: Decimal, now: bool) -> None:
        """now: it goes to the processor at once."""
        ask = RefundAsk(self.order.id, None, self.order.currency.code, percent=percent)
        refund = plan_refund(self.order, ask, refund_id=self.new_id(), now=NOW)
        if not isinstance(refund, Refund):
            return
        assert self.order.state is not OrderState.DISPUTE
        change = Change(self.order, NOW)
        change.order = hold(change.order, refund.shares)
        change.keep_refund(refund)
        self._absorb(change)
        if now:
            self._submit(refund)

    @precondition(lambda self: self.unsent())
    @rule(pick=picks)
    def submit(self, pick: int) -> None:
        waiting = self.unsent()
        self._submit(waiting[pick % len(waiting)])

    @precondition(lambda self: self.operations("refund"))
    @rule(pick=picks, paid=st.booleans())
    def settle_refund(self, pick: int, paid: bool) -> None:
        open_records = self.operations("refund")
        operation = open_records[pick % len(open_records)]
        change = Change(self.order, NOW)
        settlement.settle(change, operation, self.members(operation), None if paid else Failure())
        self._absorb(change)

    @precondition(lambda self: self.paid_records())
    @rule(pick=picks)
    def fail_late(self, pick: int) -> None:
        records = self.paid_records()
        operation = records[pick % len(records)]
        change = Change(self.order, NOW)
        settlement.fail_late(change, operation, self.members(operation), Failure())
        self._absorb(change)

    @rule(units=st.lists(some, min_size=3, max_size=3))
    def ask_return(self, units: list[int]) -> None:
        asks = [
            UnitsAsk(line.id, None, count)
            for line, count in zip(self.order.lines, units, strict=False)
            if count
        ]
        taken = self._units_in_returns()
        items = plan_return(self.order, asks, self._units_in_returns(ReturnState.CREATED))
        if not isinstance(items, tuple):
            fits = all(
                ask.quantity <= line.fulfilled_units - taken.get(line.position, 0)
                for line in self.order.lines
                for ask in asks
                if ask.item_id == line.id
            )
            self._assert_refused(items, ReturnTooLarge, allowed=fits)
        elif items:
            goods = Return(self.new_id(), self.order.id, NOW, NOW, items)
            self.returns[goods.id] = goods

    @precondition(lambda self: self.awaited())
    @rule(pick=picks, units=st.lists(some, min_size=3, max_size=3), everything=st.booleans())
    def accept(self, pick: int, units: list[int], everything: bool) -> None:
        awaited = self.awaited()
        goods = awaited[pick % len(awaited)]
        asks = [
            UnitsAsk(self.order.lines[item.position].id, None, count)
            for item, count in zip(goods.items, units, strict=False)
            if count
        ]
        taken = plan_acceptance(self.order, goods, asks, everything=everything)
        if not isinstance(taken, dict):
            fits = all(
                count <= item.outstanding for item, count in zip(goods.items, units, strict=False)
            )
            self._assert_refused(taken, ReturnTooLarge, allowed=fits)
        elif taken:
            self._accept(goods, taken)

    def _accept(self, goods: Return, taken: dict[int, int]) -> None:
        before = self.order.available_to_refund
        change = Change(self.order, NOW)
        after = accept(change, goods, taken, new_refund_id=self.new_id)
        made = list(change.refunds.values())
        self.returns[goods.id] = after
        self._absorb(change)
        if after.state is ReturnState.CREATED:
            assert (made, change.drafts) == ([], [])
            return
        assert sum(refund.amount for refund in made) == before - self.order.available_to_refund
        assert [refund.id for refund in made] == list(after.refund_ids)
        assert sum(item.amount or 0 for item in after.items) == sum(r.amount for r in made)
        types = [EventType.RETURN_ACCEPTED]
        types += [EventType.REFUND_CREATED, EventType.REFUND_PENDING] * len(made)
        assert [draft.type for draft in change.drafts] == types

    @rule(pick=picks, portion=portions)
    def open_dispute(self, pick: int, portion: int | None) -> None:
        charge = self.order.charges[pick % len(self.order.charges)]
        disputed = {each.charge_id for each in self.open_disputes()}
        refusal = check_dispute(self.order, charge.id, disputed)
        if refusal is not None:
            assert charge.id in disputed or self.order.state is OrderState.CANCELLED
            return
        limit = limit_of(charge)
        amount = limit if portion is None else limit * portion // 100
        change = Change(self.order, NOW)
        open_dispute(change)
        first = [EventType.ORDER_DISPUTE] if not disputed else []
        assert [draft.type for draft in change.drafts] == first
        dispute = Dispute(self.new_id(), self.order.id, charge.id, self.order.currency, amount, NOW)
        self.disputes[dispute.id] = dispute
        if first:
            self._absorb(change)

    @precondition(lambda self: self.open_disputes())
    @rule(pick=picks, won=st.booleans(), portion=portions, fraud=st.booleans())
    def close_dispute(self, pick: int, won: bool, portion: int | None, fraud: bool) -> None:
        disputes = self.open_disputes()
        dispute, last = disputes[pick % len(disputes)], len(disputes) == 1
        before = self.order
        change = Change(self.order, NOW)
        if won:
            ended = win(change, dispute, last=last)
            taken = 0
        else:
            limit = limit_of(self.order.charge(dispute.charge_id))
            amount = None if portion is None else max(1, limit * portion // 100)
            refusal = check_resolution(dispute, self.order.charge(dispute.charge_id), amount, "x")
            if refusal is not None:
                assert limit == 0
                return
            ended, made = lose(
                change, dispute, amount=amount, fraud=fraud, last=last, new_id=self.new_id,
                new_sales_id=self.new_id,
            )  # fmt: skip
            taken = min(limit, dispute.amount) if amount is None else amount
            self._assert_charged_back(before, change, taken, made)
        assert (ended.chargeback or 0) == taken
        self.disputes[dispute.id] = ended
        resolved = EventType.ORDER_DISPUTE_RESOLVED in {draft.type for draft in change.drafts}
        assert resolved is last
        if change.drafts:
            self._absorb(change)

    def _assert_charged_back(
        self, before: Order, change: Change, taken: int, made: Sequence[SalesTransaction]
    ) -> None:
        assert sum(sum(each.cells) for each in made) == taken
        assert all(sum(each.cells) > 0 and min(each.cells) >= 0 for each in made)
        assert len({each.position for each in made}) == len(made)
        after = change.order
        assert after.refunded == before.refunded + taken
        left = max(0, before.available_to_refund - taken)
        assert after.available_to_refund == left
        assert owed_of(after) - owed_of(before) == taken - (before.available_to_refund - left)
        types = [draft.type for draft in change.drafts]
        assert types.count(EventType.SALES_TRANSACTION_CREATED) == len(made)
        assert types.count(EventType.ORDER_CHARGEBACK) == (taken > 0)
        self.sales += made

    @invariant()
    def books_are_right(self) -> None:
        assert_books(self.order, self.refunds.values())

    @invariant()
    def published_figures_are_those_of_the_records(self) -> None:
        owed, order = owed_of(self.order), self.order
        known = self.refunds.values()
        held = sum(refund.amount for refund in known if refund.state in OPEN_REFUND_STATES)
        paid = sum(refund.refunded for refund in known)
        lost = sum(dispute.chargeback or 0 for dispute in self.disputes.values())
        assert order.available_to_refund == order.captured - held - paid - (lost - owed)
        assert lost == sum(record.amount for record in order.chargebacks)
        assert lost == sum(sum(each.cells) for each in self.sales)
        if order.refunded > order.captured:
            assert order.over_refunded

    @invariant()
    def no_refund_was_sent_for_money_that_was_gone(self) -> None:
        """A charge pays back too much only where the bank took what was already on its way."""
        for charge in self.order.charges:
            taken = sum(o.amount for o in charge.operations if o.dispute_id)
            assert charge.refunded - taken <= charge.captured
            assert taken <= charge.captured

    @invariant()
    def the_order_is_in_dispute_while_a_dispute_is_open(self) -> None:
        disputed = self.order.state is OrderState.DISPUTE
        assert disputed is bool(self.open_disputes())
        assert (self.order.previous_state is not None) is disputed
        if self.disputes and not disputed:
            assert self.order.fraud_state == "passed"
            assert self.order.state in LEAVES | {OrderState.CANCELLED}

    @invariant()
    def units_are_returned_once(self) -> None:
        accepted = self._units_in_returns(ReturnState.ACCEPTED)
        every = self._units_in_returns()
        for line in self.order.lines:
            assert line.returned_units == accepted.get(line.position, 0)
            assert every.get(line.position, 0) <= line.fulfilled_units
            if line.state is LineState.RETURNED:
                assert line.returned_units == line.fulfilled_units > 0

    @invariant()
    def a_returned_order_has_its_goods_or_their_price_back(self) -> None:
        state = self.order.previous_state or self.order.state
        if state is OrderState.RETURNED:
            for line in self.order.lines:
                units = line.cancelled_units + line.returned_units
                paid = sum(
                    refund.refunded_shares.get(line.position, (0,) * 8)[0]
                    for refund in self.refunds.values()
                    if refund.state.value == "succeeded"
                )
                assert units == line.quantity or paid > 0

    def takes_units(self) -> bool:
        left = any(line.units_left for line in self.order.lines)
        return left and self.order.state is OrderState.ACCEPTED

    def operations(self, *kinds: str) -> list[Operation]:
        """Those without an answer."""
        every = [o for charge in self.order.charges for o in charge.operations]
        return [o for o in every if o.kind.value in kinds and o.state is OperationState.PENDING]

    def paid_records(self) -> list[Operation]:
        """Complete refund records that are no chargebacks."""
        return [
            operation
            for charge in self.order.charges
            for operation in charge.operations
            if operation.kind is OperationKind.REFUND
            and operation.state is OperationState.COMPLETE
            and operation.dispute_id is None
        ]

    def members(self, operation: Operation) -> list[Refund]:
        known = self.refunds.values()
        return [r for r in known if any(part.operation_id == operation.id for part in r.parts)]

    def unsent(self) -> list[Refund]:
        return [refund for refund in self.refunds.values() if not refund.submitted]

    def awaited(self) -> list[Return]:
        return [each for each in self.returns.values() if each.state is ReturnState.CREATED]

    def open_disputes(self) -> list[Dispute]:
        return [each for each in self.disputes.values() if each.state is DisputeState.OPEN]

    def _units_in_returns(self, *states: ReturnState) -> dict[int, int]:
        units: dict[int, int] = {}
        for goods in self.returns.values():
            for item in goods.items if not states or goods.state in states else ():
                units[item.position] = units.get(item.position, 0) + item.quantity
        return units

    def _assert_refused(self, refusal: Refusal, reason: type[Refusal], *, allowed: bool) -> None:
        if self.order.state is OrderState.DISPUTE:
            assert isinstance(refusal, ReturnDuringDispute)
        else:
            assert isinstance(refusal, reason)
            assert not allowed

    def _submit(self, refund: Refund) -> None:
        rooms = {charge.id: max(0, charge.refundable) for charge in self.order.charges}
        change = Change(self.order, NOW)
        sent = settlement.submit(change, [refund], self.new_id)
        assert all(operation.amount <= rooms[operation.charge_id] for operation in sent)
        assert sum(o.amount for o in sent) == min(refund.amount, sum(rooms.values()))
        self._absorb(change)

    def _absorb(self, change: Change) -> None:
        assert_versions_rank_snapshots(self.order, change)
        self.refunds |= change.refunds
        self.order = change.order
        for refund in change.refunds.values():
            if refund.state not in OPEN_REFUND_STATES:
                assert refund.refunded == paid_of(self.order, refund)


TestOrderLife: Any = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
