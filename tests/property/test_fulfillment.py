"""Any fulfilments, with any outcome of their captures and cancels, keep the books of an order."""

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

from refundry.domain.cells import Cells
from refundry.domain.charge import Failure, Operation
from refundry.domain.event import Change
from refundry.domain.fulfillment import (
    FulfillmentAsk,
    check_fulfillment,
    fulfill,
    settle_capture,
)
from refundry.domain.order import Order
from refundry.domain.refusal import FulfillmentTooLarge, OrderCancelled, OrderFulfilled
from tests.property.generated import (
    NOW,
    accepted_orders,
    assert_versions_rank_snapshots,
    counting,
    rounded,
    total,
)

picks = st.integers(0, 10**6)
units = st.integers(0, 4)
some_units = st.tuples(units, units).filter(any)
REFUSALS = {
    "accepted": FulfillmentTooLarge,
    "fulfilled": OrderFulfilled,
    "complete": OrderFulfilled,
    "cancelled": OrderCancelled,
}


class Fulfilling(RuleBasedStateMachine):
    """Fulfils and cancels units, and settles what is pending, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.new_id = counting("op")
        self.captured_units: dict[int, int] = {}
        # The units of each capture of a fulfilment: fulfilment, entry -> line, units, captured.
        self.entries: dict[tuple[str, int], tuple[int, int, bool]] = {}

    @initialize(order=accepted_orders())
    def take_in(self, order: Order) -> None:
        self.order = order

    @rule(asks=st.lists(st.tuples(picks, some_units), min_size=1, max_size=3))
    def process(self, asks: list[tuple[int, tuple[int, int]]]) -> None:
        """Ask for units, whether they are left or not."""
        lines = self.order.lines
        items = [
            FulfillmentAsk(lines[pick % len(lines)].id, None, quantity, cancelled)
            for pick, (quantity, cancelled) in asks
        ]
        wanted: dict[str | None, int] = {}
        for item in items:
            taken = wanted.get(item.item_id, 0) + item.quantity + item.cancel_quantity
            wanted[item.item_id] = taken
        fits = all(wanted.get(line.id, 0) <= line.units_left for line in lines)
        self._process(items, fits=fits)

    @precondition(lambda self: self.order.state.value == "accepted")
    @rule(cancelled=st.integers(0, 2))
    def process_the_rest(self, cancelled: int) -> None:
        """Fulfil every unit that is left, but for some that are cancelled."""
        items: list[FulfillmentAsk] = []
        for line in self.order.lines:
            gone = min(cancelled, line.units_left)
            if line.units_left:
                items.append(FulfillmentAsk(line.id, None, line.units_left - gone, gone))
        if items:
            self._process(items, fits=True)

    def _process(self, items: list[FulfillmentAsk], *, fits: bool) -> None:
        found = check_fulfillment(self.order, items)
        if not isinstance(found, list):
            refusal = REFUSALS[self.order.state.value]
            if not any(line.units_left for line in self.order.lines):
                refusal = OrderCancelled if refusal is OrderCancelled else OrderFulfilled
            assert isinstance(found, refusal)
            assert not fits
            return
        assert fits
        change = Change(self.order, NOW)
        made = fulfill(change, found, fulfillment_id=self.new_id(), new_id=self.new_id)
        for entry, item in enumerate(found):
            self.entries[made.id, entry] = item.position, item.quantity, False
        self._absorb(change)

    @precondition(lambda self: self.pending())
    @rule(pick=picks, paid=st.booleans())
    def settle(self, pick: int, paid: bool) -> None:
        """A processor answers, to whichever operation."""
        pending = self.pending()
        operation = pending[pick % len(pending)]
        change = Change(self.order, NOW)
        settle_capture(change, operation, None if paid else Failure())
        if paid and operation.kind.value == "capture":
            key = operation.fulfillment_id or "", operation.entry
            line, quantity, _ = self.entries[key]
            self.entries[key] = line, quantity, True
        self._absorb(change)

    @invariant()
    def cells_hold_what_the_operations_say(self) -> None:
        for line in self.order.lines:
            assert line.captured == self._shares(line.position, "capture", "complete")
            assert line.cancelled == self._shares(line.position, "cancel", "complete")
            assert line.processing == total(
                [
                    self._shares(line.position, "capture", "pending"),
                    self._shares(line.position, "cancel", "pending"),
                ]
            )

    @invariant()
    def no_cell_is_used_beyond_what_was_ordered(self) -> None:
        for line in self.order.lines:
            figures = line.ordered, line.captured, line.cancelled, line.processing
            for ordered, captured, cancelled, processing in zip(*figures, strict=True):
                assert min(captured, cancelled, processing) >= 0
                assert captured + cancelled + processing <= ordered

    @invariant()
    def operations_of_a_line_sum_to_the_worth_of_its_units(self) -> None:
        for line in self.order.lines:
            done = line.fulfilled_units + line.cancelled_units
            assert 0 <= done <= line.quantity
            worth = rounded(sum(line.ordered) * done, line.quantity)
            records = [o for o in self.operations() if o.shares and line.position in o.shares]
            assert sum(operation.amount for operation in records) == worth
        for operation in self.operations():
            assert sum(map(sum, (operation.shares or {}).values())) == operation.amount

    @invariant()
    def no_charge_is_overdrawn(self) -> None:
        for charge in self.order.charges:
            used = charge.captured + charge.cancelled + charge.in_flight
            assert used <= charge.amount
            assert charge.open == charge.amount - used

    @invariant()
    def captured_units_are_those_of_any_complete_capture(self) -> None:
        for line in self.order.lines:
            captured = [
                quantity
                for position, quantity, complete in self.entries.values()
                if position == line.position and complete
            ]
            assert line.captured_units == sum(captured)

    @invariant()
    def states_follow_from_units_and_charges(self) -> None:
        ended = all(c.state.value in ("complete", "cancelled") for c in self.order.charges)
        left = any(line.units_left for line in self.order.lines)
        fulfilled = any(line.fulfilled_units for line in self.order.lines)
        expected = "accepted"
        if not left and fulfilled:
            expected = "complete" if ended else "fulfilled"
        elif not left and all(c.state.value == "cancelled" for c in self.order.charges):
            expected = "cancelled"
        # A cancel that fails late reopens its charge; the order does not go back for it.
        assert self.order.state.value == expected

    def operations(self) -> list[Operation]:
        return [operation for charge in self.order.charges for operation in charge.operations]

    def pending(self) -> list[Operation]:
        return [o for o in self.operations() if o.state.value == "pending"]

    def _shares(self, position: int, kind: str, state: str) -> Cells:
        return total(
            [
                operation.shares[position]
                for operation in self.operations()
                if operation.kind.value == kind
                and operation.state.value == state
                and operation.shares
                and position in operation.shares
            ]
        )

    def _absorb(self, change: Change) -> None:
        assert_versions_rank_snapshots(self.order, change)
        self.order = change.order


TestFulfilling: Any = Fulfilling.TestCase
TestFulfilling.settings = settings(max_examples=80, stateful_step_count=15, deadline=None)
