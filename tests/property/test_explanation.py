"""Amounts explained: of any life of an order, the calculation behind each refund is found again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from refundry.domain import settlement
from refundry.domain.cells import Cells
from refundry.domain.charge import Failure, Operation, OperationKind, OperationState
from refundry.domain.dispute import Dispute, lose, open_dispute
from refundry.domain.event import Change
from refundry.domain.explanation import Explanation, explain_refund
from refundry.domain.fulfillment import FulfilledItem, fulfill, settle_capture
from refundry.domain.order import Order, OrderState, hold
from refundry.domain.refund import ElementAsk, Refund, RefundAsk, RefundType, plan_refund
from tests.property.generated import NOW, accepted_orders

STEPS = ("fulfil", "capture", "refund", "refund", "items", "submit", "submit", "settle", "settle")
KINDS = (None, None, *RefundType)


@dataclass
class Life:
    """An order and what happens to it, each step in a second of its own.

    truth: for each refund, the available cells of every line when it was requested.
    """

    order: Order
    now: datetime = NOW
    refunds: dict[str, Refund] = field(default_factory=dict[str, Refund])
    truth: dict[str, list[Cells]] = field(default_factory=dict[str, list[Cells]])
    numbers: int = 0

    def id(self) -> str:
        self.numbers += 1
        return f"x{self.numbers}"

    def step(self, name: str, pick: int, percent: int) -> None:
        self.now += timedelta(seconds=1)
        match name:
            case "fulfil":
                self._fulfil(pick)
            case "capture":
                self._capture(pick, done=percent > 20)
            case "refund":
                ask = RefundAsk(
                    self.order.id, None, self.order.currency.code, percent=Decimal(percent),
                    type=KINDS[pick % len(KINDS)],
                )  # fmt: skip
                self._plan(ask)
            case "items":
                self._items(pick, percent)
            case "submit":
                waiting = [refund for refund in self.refunds.values() if not refund.submitted]
                if waiting:
                    change = self._change()
                    settlement.submit(change, [waiting[pick % len(waiting)]], self.id)
                    self._absorb(change)
            case "settle":
                self._settle(pick, paid=percent > 40)
            case "fail_late":
                self._fail_late(pick)
            case _:
                self._charge_back(pick, percent)

    def _change(self) -> Change:
        return Change(self.order, self.now)

    def _absorb(self, change: Change) -> None:
        self.order = change.order
        self.refunds |= change.refunds

    def _fulfil(self, pick: int) -> None:
        line = self.order.lines[pick % len(self.order.lines)]
        if line.units_left and self.order.state is OrderState.ACCEPTED:
            change = self._change()
            units = 1 + pick % line.units_left
            item = FulfilledItem(line.position, units, 0)
            fulfill(change, [item], fulfillment_id=self.id(), new_id=self.id)
            self._absorb(change)

    def _capture(self, pick: int, *, done: bool) -> None:
        pending = self._records(OperationKind.CAPTURE, OperationState.PENDING)
        if pending:
            change = self._change()
            failure = None if done else Failure()
            settle_capture(change, pending[pick % len(pending)], failure)
            self._absorb(change)

    def _items(self, pick: int, percent: int) -> None:
        kinds = (None, RefundType.SHIPPING, RefundType.FEES)
        lines = self.order.lines
        targets = {
            (lines[(pick + n) % len(lines)].id, kinds[(pick // 2 + n) % 3])
            for n in range(1 + pick % 3)
        }
        items = tuple(
            ElementAsk(line, None, None, None, Decimal(percent), kind)
            for line, kind in sorted(targets, key=str)
        )
        self._plan(RefundAsk(self.order.id, None, self.order.currency.code, items=items))

    def _plan(self, ask: RefundAsk) -> None:
        refund = plan_refund(self.order, ask, refund_id=self.id(), now=self.now)
        if isinstance(refund, Refund):
            self.truth[refund.id] = [line.available for line in self.order.lines]
            self.order = hold(self.order, refund.shares)
            self.refunds[refund.id] = refund

    def _settle(self, pick: int, *, paid: bool) -> None:
        pending = self._records(OperationKind.REFUND, OperationState.PENDING)
        if pending:
            operation = pending[pick % len(pending)]
            change = self._change()
            failure = None if paid else Failure()
            settlement.settle(change, operation, self._members(operation), failure)
            self._absorb(change)

    def _fail_late(self, pick: int) -> None:
        paid = self._records(OperationKind.REFUND, OperationState.COMPLETE)
        paid = [operation for operation in paid if operation.dispute_id is None]
        if paid:
            operation = paid[pick % len(paid)]
            change = self._change()
            settlement.fail_late(change, operation, self._members(operation), Failure())
            self._absorb(change)

    def _charge_back(self, pick: int, percent: int) -> None:
        charge = self.order.charges[pick % len(self.order.charges)]
        amount = max(0, charge.captured - charge.refunded) * percent // 100
        if amount and self.order.state is not OrderState.DISPUTE:
            change = self._change()
            open_dispute(change)
            dispute = Dispute(
                self.id(), self.order.id, charge.id, self.order.currency, amount, self.now
            )
            lose(
                change, dispute, amount=amount, fraud=False, last=True, new_id=self.id,
                new_sales_id=self.id,
            )  # fmt: skip
            self._absorb(change)

    def _records(self, kind: OperationKind, state: OperationState) -> list[Operation]:
        every = [o for charge in self.order.charges for o in charge.operations]
        return [o for o in every if o.kind is kind and o.state is state]

    def _members(self, operation: Operation) -> list[Refund]:
        known = self.refunds.values()
        return [r for r in known if any(part.operation_id == operation.id for part in r.parts)]

    def has_failed_in_steps(self) -> bool:
        """Whether a refund has several records, all of which failed, and not at the same time."""
        return any(
            len({record.updated_at for record in records}) > 1
            and all(record.state is OperationState.FAILED for record in records)
            for records in (
                settlement.operations_of(self.order, refund) for refund in self.refunds.values()
            )
        )

    def explained(self) -> list[tuple[Refund, Explanation | None]]:
        known = list(self.refunds.values())
        return [(refund, explain_refund(self.order, known, refund.id)) for refund in known]


def lives(*more: str) -> st.SearchStrategy[Life]:
    """Lives of captured orders. more: steps beside the ordinary ones."""
    steps = st.tuples(st.sampled_from((*STEPS, *more)), st.integers(0, 10**4), st.integers(1, 70))
    orders = accepted_orders(most_lines=3).filter(lambda order: bool(order.charges))
    return st.builds(_lived, orders, st.lists(steps, min_size=15, max_size=40))


def _lived(order: Order, steps: Sequence[tuple[str, int, int]]) -> Life:
    life = Life(order)
    for line in order.lines:
        life.step("fulfil", line.position, 100)
        life.step("capture", 0, 100)
    for name, pick, percent in steps:
        life.step(name, pick, percent)
    return life


@settings(max_examples=80, deadline=None)
@given(lives("charge_back"))
def test_every_refund_is_explained_to_the_cent(life: Life) -> None:
    for refund, explanation in life.explained():
        assert explanation is not None
        _assert_adds_up(refund, explanation)
        # Of one whose records failed one after the other, the last may have been paid in between.
        assert explanation.certain or life.has_failed_in_steps()
        if explanation.certain:
            _assert_true(life, refund, explanation)


@settings(max_examples=80, deadline=None)
@given(lives("charge_back", "fail_late", "fail_late"))
def test_no_wrong_story_is_told_of_money_that_came_back(life: Life) -> None:
    """Which of several records had been paid is not in the books once it failed late."""
    for refund, explanation in life.explained():
        if explanation is not None:
            _assert_adds_up(refund, explanation)
            if explanation.certain:
                _assert_true(life, refund, explanation)


def _assert_adds_up(refund: Refund, explanation: Explanation) -> None:
    shares = {position: [0] * 8 for position in refund.shares}
    for step in explanation.steps:
        assert sum(figure.share for figure in step.figures) == step.amount
        assert sum(figure.exact for figure in step.figures) == step.amount
        assert sum(figure.available for figure in step.figures) == step.available
        for figure in step.figures:
            assert figure.exact == Fraction(step.amount * figure.available, step.available)
            assert figure.extra in (0, 1)
            if figure.share:
                shares[figure.position][figure.component] += figure.share
    assert {p: tuple(cells) for p, cells in shares.items()} == refund.shares
    assert sum(step.amount for step in explanation.steps) == refund.amount


def _assert_true(life: Life, refund: Refund, explanation: Explanation) -> None:
    """The first step saw the cells as they were; each later one, what those before it left."""
    cells = [list(each) for each in life.truth[refund.id]]
    for step in explanation.steps:
        for figure in step.figures:
            assert figure.available == cells[figure.position][figure.component]
        for figure in step.figures:
            cells[figure.position][figure.component] -= figure.share
