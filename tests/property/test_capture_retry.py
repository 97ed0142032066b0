"""Any failures and retries, in any order, take no cent twice and lose none."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from refundry.domain.capture_retry import check_retry, is_retried, retry
from refundry.domain.cells import EMPTY, Cells
from refundry.domain.charge import Failure, Operation
from refundry.domain.event import Change
from refundry.domain.fulfillment import FulfilledItem, fulfill, settle_capture, units_amount
from refundry.domain.order import Line, Order
from refundry.domain.refusal import NotRetriable, RetryBar
from tests.property.generated import (
    NOW,
    accepted_orders,
    assert_versions_rank_snapshots,
    counting,
    total,
)

picks = st.integers(0, 10**6)


class Retrying(RuleBasedStateMachine):
    """Processes units, has the processor answer as it likes, and retries what has failed.

    twin: the same order whose processor never says no.
    """

    def __init__(self) -> None:
        super().__init__()
        self.new_id = counting("op")
        # What was ever asked of each line by its units: captures, cancels; a retry adds nothing.
        self.asked: dict[tuple[int, str], int] = {}

    @initialize(order=accepted_orders(most_lines=4))
    def take_in(self, order: Order) -> None:
        self.order = self.twin = order

    @precondition(lambda self: any(line.units_left for line in self.order.lines))
    @rule(pick=picks, units=st.integers(0, 6), cancelled=st.integers(0, 6))
    def process(self, pick: int, units: int, cancelled: int) -> None:
        """Fulfil and cancel some units of a line."""
        lines = [line for line in self.order.lines if line.units_left]
        line = lines[pick % len(lines)]
        units = min(units, line.units_left)
        item = FulfilledItem(line.position, units, min(cancelled, line.units_left - units))
        if not item.quantity + item.cancel_quantity:
            return
        self._note(line, item)
        self.order = self._fulfil(self.order, item)
        self.twin = self._fulfil(self.twin, item)
        for operation in pending(self.twin):
            self.twin = settled(self.twin, operation, None)

    def _note(self, line: Line, item: FulfilledItem) -> None:
        done, whole = line.fulfilled_units + line.cancelled_units, sum(line.ordered)
        for kind, units in (("capture", item.quantity), ("cancel", item.cancel_quantity)):
            key = line.position, kind
            worth = units_amount(whole, line.quantity, done, units)
            self.asked[key] = self.asked.get(key, 0) + worth
            done += units

    def _fulfil(self, order: Order, item: FulfilledItem) -> Order:
        change = Change(order, NOW)
        fulfill(change, [item], fulfillment_id=self.new_id(), new_id=self.new_id)
        return change.order

    @precondition(lambda self: bool(pending(self.order)))
    @rule(pick=picks, paid=st.booleans())
    def answer(self, pick: int, paid: bool) -> None:
        """The processor answers to whichever operation."""
        waiting = pending(self.order)
        operation = waiting[pick % len(waiting)]
        self.order = settled(self.order, operation, None if paid else Failure())

    @precondition(lambda self: bool(failed(self.order)))
    @rule(pick=picks)
    def try_again(self, pick: int) -> None:
        """Retry any failed record; it goes once, and is refused the second time."""
        records = failed(self.order)
        self._retry(records[pick % len(records)])

    def _retry(self, operation: Operation) -> None:
        again = check_retry(self.order, operation.id)
        if is_retried(operation):
            assert again == NotRetriable(operation.id, RetryBar.RETRIED)
            return
        assert again == operation, "what failed always finds room"
        change = Change(self.order, NOW)
        made = retry(change, operation, self.new_id)
        assert sum(each.amount for each in made) == operation.amount
        assert_versions_rank_snapshots(self.order, change)
        self.order = change.order

    @rule()
    def everything_succeeds_in_the_end(self) -> None:
        """As if nothing had failed."""
        for operation in failed(self.order):
            if not is_retried(operation):
                self._retry(operation)
        for operation in pending(self.order):
            self.order = settled(self.order, operation, None)
        assert self.order.state is self.twin.state
        for line, other in zip(self.order.lines, self.twin.lines, strict=True):
            assert figures(line) == figures(other)
            if not line.units_left:
                assert total([line.captured, line.cancelled]) == line.ordered
                assert (line.state, line.processing) == (other.state, EMPTY)
        used = [charge.captured + charge.cancelled for charge in self.order.charges]
        if not any(line.units_left for line in self.order.lines):
            assert used == [charge.amount for charge in self.order.charges]

    @invariant()
    def every_cent_of_a_line_is_somewhere_once(self) -> None:
        for line in self.order.lines:
            cells = line.captured, line.cancelled, line.processing, line.uncaptured
            assert min(map(min, cells)) >= 0
            assert total([*cells]) == line.ordered
            for kind, booked in (("capture", line.captured), ("cancel", line.cancelled)):
                assert booked == self._shares(line, kind, "complete")
                live = sum(booked) + sum(self._shares(line, kind, "pending"))
                assert live + self._waiting(line, kind) == self.asked.get((line.position, kind), 0)

    @invariant()
    def no_charge_gives_more_than_it_has(self) -> None:
        for charge in self.order.charges:
            assert charge.captured + charge.cancelled + charge.in_flight <= charge.amount
            assert charge.open >= 0

    @invariant()
    def units_are_captured_once(self) -> None:
        for line in self.order.lines:
            entries = {
                (o.fulfillment_id, o.entry): o.units
                for o in operations(self.order)
                if o.kind.value == "capture" and o.state.value == "complete"
                and line.position in (o.shares or {})
            }  # fmt: skip
            assert line.captured_units == sum(entries.values()) <= line.fulfilled_units

    def _shares(self, line: Line, kind: str, state: str) -> Cells:
        return total(
            [
                operation.shares[line.position]
                for operation in operations(self.order)
                if (operation.kind.value, operation.state.value) == (kind, state)
                and operation.shares
                and line.position in operation.shares
            ]
        )

    def _waiting(self, line: Line, kind: str) -> int:
        """What has failed of a line and was not retried."""
        return sum(
            operation.amount
            for operation in failed(self.order)
            if operation.kind.value == kind
            and line.position in (operation.shares or {})
            and not is_retried(operation)
        )


def operations(order: Order) -> list[Operation]:
    return [operation for charge in order.charges for operation in charge.operations]


def pending(order: Order) -> list[Operation]:
    return [each for each in operations(order) if each.state.value == "pending"]


def failed(order: Order) -> list[Operation]:
    return [each for each in operations(order) if each.state.value == "failed"]


def settled(order: Order, operation: Operation, failure: Failure | None) -> Order:
    change = Change(order, NOW)
    settle_capture(change, operation, failure)
    assert_versions_rank_snapshots(order, change)
    return change.order


def figures(line: Line) -> tuple[int, int, int, int]:
    return sum(line.captured), sum(line.cancelled), sum(line.processing), line.captured_units


TestRetrying: Any = Retrying.TestCase
TestRetrying.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
