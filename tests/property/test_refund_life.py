"""Refunds from asking to the last late failure: the books add up after every step."""

from collections.abc import Sequence
from dataclasses import replace
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
from refundry.domain.another_way import (
    UNPAID_STATES,
    Chain,
    is_paid_after_all,
    plan_replacement,
)
from refundry.domain.cells import Cells, spread
from refundry.domain.charge import Failure, Operation, OperationKind, OperationState
from refundry.domain.event import Change, EventType
from refundry.domain.money import to_major
from refundry.domain.order import Line, Order, hold
from refundry.domain.refund import (
    TRANSITIONS,
    ElementAsk,
    Refund,
    RefundAsk,
    Way,
    plan_refund,
)
from tests.property.generated import (
    NOW,
    assert_versions_rank_snapshots,
    captured_orders,
    counting,
    total,
)
from tests.property.refund_model import (
    AT_ONCE,
    ENDED,
    ITEM_SELECTIONS,
    OPEN,
    ORDER_SELECTIONS,
    STEPS,
    Books,
    base_of,
)

picks = st.integers(0, 10**6)
percents = st.one_of(
    st.sampled_from([Decimal(100), Decimal(50)]), st.decimals("0.01", "100", places=2)
)
# Parts of what is available, in percent: amounts rather than percentages, some of them too much.
portions = st.one_of(st.none(), st.integers(1, 60), st.integers(95, 105))
ways = st.sampled_from([None, *Way])
reasons = st.sampled_from(["declined", "account_closed", "unknown"])


def test_transitions_are_those_of_the_contract() -> None:
    assert {(a.value, b.value) for a, after in TRANSITIONS.items() for b in after} == STEPS


class RefundLife(RuleBasedStateMachine):
    """Refunds of one captured order, and the second set of books beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.new_id = counting("id")
        self.books = Books()
        self.refunds: dict[str, Refund] = {}
        self.lost: dict[int, Cells] = {}
        self.charged_back = 0

    @initialize(order=captured_orders())
    def take_in(self, order: Order) -> None:
        self.order = order

    @precondition(lambda self: self.order.available_to_refund > 0)
    @rule(pick=picks, percent=percents, portion=portions)
    def ask_order_level(self, pick: int, percent: Decimal, portion: int | None) -> None:
        cells = [line.available for line in self.order.lines]
        bases = {kind: base_of(cells, places) for kind, places in ORDER_SELECTIONS.items()}
        kinds = [kind for kind, base in bases.items() if base]
        kind = kinds[pick % len(kinds)]
        amount = self._amount(bases[kind], portion)
        self._plan(self._ask(type=kind, amount=amount, percent=None if amount else percent))

    @precondition(lambda self: self.order.available_to_refund > 0)
    @rule(elements=st.lists(st.tuples(picks, percents, portions), min_size=1, max_size=3))
    def ask_item_level(self, elements: list[tuple[int, Decimal, int | None]]) -> None:
        bases = {
            (line.position, kind): base_of([line.available], places)
            for line in self.order.lines
            for kind, places in ITEM_SELECTIONS.items()
        }
        targets = [target for target, base in bases.items() if base]
        asks: list[ElementAsk] = []
        for pick, percent, portion in elements:
            if targets:
                position, kind = target = targets.pop(pick % len(targets))
                line = self.order.lines[position]
                amount = self._amount(bases[target], portion)
                quantity = 1 + pick % line.quantity if portion is None else None
                asks.append(
                    ElementAsk(line.id, None, quantity, amount, None if amount else percent, kind)
                )
        if asks:
            self._plan(self._ask(items=tuple(asks)))

    @precondition(lambda self: self.unpaid())
    @rule(pick=picks, way=ways, doubted=st.booleans())
    def replace_failed(self, pick: int, way: Way | None, doubted: bool) -> None:
        """Pay what failed again, or another way; doubted: its processor says that it paid it."""
        chain = replace(self.chain_of(pick), paid_after_all=doubted)
        refund = plan_replacement(self.order, chain, way, refund_id=self.new_id(), now=NOW)
        alive = [r for r in self.members_of(chain) if r.state not in UNPAID_STATES]
        if alive or (doubted and way is not Way.BY_HAND):
            assert not isinstance(refund, Refund)
        if isinstance(refund, Refund):
            assert (refund.amount, refund.shares) == (chain.first.amount, chain.first.shares)
            self._take_up(refund)

    @precondition(lambda self: self.books.ids("failed"))
    @rule(pick=picks)
    def succeed_late(self, pick: int) -> None:
        """A processor says that it paid what failed: that is for a person, and books nothing."""
        assert is_paid_after_all(self._operation(("failed",), pick), paid=True)

    @rule(pick=picks, together=st.booleans())
    def submit(self, pick: int, together: bool) -> None:
        """Row 2, for one refund or for a batch of all that wait."""
        waiting = self.unsubmitted()
        if not waiting:
            return
        batch = waiting if together else [waiting[pick % len(waiting)]]
        rooms = {charge.id: charge.refundable for charge in self.order.charges}
        change = Change(self.order, NOW)
        sent = settlement.submit(change, batch, self.new_id)
        self._assert_rooms_are_filled_in_order(batch, sent, rooms)
        for operation in sent:
            parts = {
                refund.id: part.amount
                for refund in change.refunds.values()
                for part in refund.parts
                if part.operation_id == operation.id
            }
            self.books.submitted(operation.charge_id, operation.id, parts)
        self._absorb(change, ["order.charge.refund.pending"] * len(sent))

    @precondition(lambda self: self.books.ids(*OPEN))
    @rule(pick=picks, paid=st.booleans(), reason=reasons)
    def settle(self, pick: int, paid: bool, reason: str) -> None:
        """Rows 3 to 5."""
        operation = self._operation(OPEN, pick)
        change = Change(self.order, NOW)
        failure = None if paid else Failure(reason=reason)
        settlement.settle(change, operation, self._members(operation), failure)
        self._absorb(change, self.books.settle(operation.id, "complete" if paid else "failed"))

    @precondition(lambda self: self.books.ids("pending"))
    @rule(pick=picks)
    def need_information(self, pick: int) -> None:
        """Row 6."""
        operation = self._operation(("pending",), pick)
        change = Change(self.order, NOW)
        settlement.ask_for_information(change, operation, self._members(operation), self.new_id)
        self._absorb(change, self.books.needs_information(operation.id))

    @precondition(lambda self: self.in_state("pending_information"))
    @rule(pick=picks)
    def give_information(self, pick: int) -> None:
        """Row 7, as the command does it: with every refund that shares a record."""
        waiting = self.in_state("pending_information")
        refund = waiting[pick % len(waiting)]
        members = self._waiting_members(refund)
        change = Change(self.order, NOW)
        settlement.take_information(change, refund, list(members.values()))
        self._absorb(change, self.books.give_information(refund.id))

    @precondition(lambda self: self.in_state("pending_information"))
    @rule(pick=picks)
    def expire(self, pick: int) -> None:
        """Row 8, as the command does it: with every refund that shares a record."""
        waiting = self.in_state("pending_information")
        refund = waiting[pick % len(waiting)]
        members = self._waiting_members(refund)
        change = Change(self.order, NOW)
        for member in members.values():
            settlement.expire(change, change.refunds.get(member.id, member))
        self._absorb(change, self.books.expire(refund.id))
        for member in members:
            if self.refunds[member].state.value == "expired":
                assert self.refunds[member].failure_reason == "information_not_provided"

    @precondition(lambda self: self.books.ids("complete"))
    @rule(pick=picks, reason=reasons)
    def fail_late(self, pick: int, reason: str) -> None:
        """Row 10."""
        operation = self._operation(("complete",), pick)
        change = Change(self.order, NOW)
        members = self._members(operation)
        settlement.fail_late(change, operation, members, Failure(reason=reason))
        self._absorb(change, self.books.fail_late(operation.id))

    @precondition(lambda self: self.order.available_to_refund > 0)
    @rule(pick=picks, portion=st.integers(1, 100))
    def charge_back(self, pick: int, portion: int) -> None:
        """The bank takes part of what is available from one charge, without a Refund."""
        charge = self.order.charges[pick % len(self.order.charges)]
        available = self.order.available_to_refund
        taken = min(charge.refundable, max(1, available * portion // 100))
        if taken <= 0:
            return
        shares = spread(taken, [line.available for line in self.order.lines])
        record = Operation(
            self.new_id(), charge.id, OperationKind.REFUND, taken, OperationState.COMPLETE,
            NOW, NOW, shares=dict(enumerate(shares)),
        )  # fmt: skip
        self.order = self.order.with_charge(charge.with_operation(record))
        for line, cells in zip(self.order.lines, shares, strict=True):
            paid = replace(line, refunded=total([line.refunded, cells]))
            self.order = self.order.with_line(paid)
            self.lost[line.position] = total([self.lost.get(line.position, (0,) * 8), cells])
        self.charged_back += taken

    @invariant()
    def each_cell_is_available_held_or_refunded(self) -> None:
        for line in self.order.lines:
            figures = line.captured, line.available, line.held, line.refunded
            for captured, available, held, refunded in zip(*figures, strict=True):
                assert min(available, held, refunded) >= 0
                assert captured == available + held + refunded

    @invariant()
    def open_refunds_hold_their_shares_and_ended_ones_what_was_paid(self) -> None:
        for line in self.order.lines:
            assert line.held == self._sum_of_shares(line, OPEN)
            lost = self.lost.get(line.position, (0,) * 8)
            assert line.refunded == total([self._sum_of_shares(line, ("succeeded",)), lost])

    @invariant()
    def published_sums_are_those_of_the_records(self) -> None:
        complete = sum(r.amount for r in self.books.records.values() if r.state == "complete")
        assert self.order.refunded == complete + self.charged_back
        held = sum(refund.amount for refund in self.refunds.values() if refund.state.value in OPEN)
        paid = sum(refund.refunded for refund in self.refunds.values())
        expected = self.order.captured - held - paid - self.charged_back
        assert self.order.available_to_refund == expected

    @invariant()
    def of_each_chain_at_most_one_pays(self) -> None:
        for first in self.refunds.values():
            chain = Chain(first, self._replacements(first))
            members = self.members_of(chain)
            if len(members) > 1:
                assert first.state in UNPAID_STATES
                assert sum(each.state not in UNPAID_STATES for each in members) <= 1
                assert sum(each.refunded for each in members) <= first.amount

    @invariant()
    def no_charge_pays_back_more_than_it_took(self) -> None:
        for charge in self.order.charges:
            assert self.books.charged(charge.id, *OPEN, "complete") <= charge.captured

    @invariant()
    def refunds_are_as_the_second_books_have_them(self) -> None:
        for refund in self.refunds.values():
            assert refund.state.value == self.books.states[refund.id]
            ended = refund.state.value not in OPEN
            paid = self.books.paid(refund.id) if ended else 0
            assert refund.refunded == paid
            assert sum(map(sum, refund.refunded_shares.values())) == paid
            assert (refund.token is not None) == (refund.state.value == "pending_information")
            missing = ended and paid < refund.amount
            assert (refund.failure_reason is not None) == missing
            if missing and paid:
                assert refund.failure_reason == "partially_refunded"
            self._assert_elements_add_up(refund)

    def unpaid(self) -> list[Refund]:
        return [refund for refund in self.refunds.values() if refund.state in UNPAID_STATES]

    def chain_of(self, pick: int) -> Chain:
        """The chain of one that failed."""
        unpaid = self.unpaid()
        refund = unpaid[pick % len(unpaid)]
        first = self.refunds[refund.replaces or refund.id]
        return Chain(first, self._replacements(first))

    def members_of(self, chain: Chain) -> list[Refund]:
        return [chain.first, *chain.replacements]

    def _replacements(self, first: Refund) -> tuple[Refund, ...]:
        return tuple(each for each in self.refunds.values() if each.replaces == first.id)

    def unsubmitted(self) -> list[Refund]:
        return [refund for refund in self.refunds.values() if not refund.submitted]

    def in_state(self, state: str) -> list[Refund]:
        return [refund for refund in self.refunds.values() if refund.state.value == state]

    def _ask(self, **more: Any) -> RefundAsk:
        return RefundAsk(
            order_id=self.order.id, invoice_id=None, currency=self.order.currency.code, **more
        )

    def _amount(self, available: int, portion: int | None) -> Decimal | None:
        if portion is None:
            return None
        return to_major(max(1, available * portion // 100), self.order.currency)

    def _plan(self, ask: RefundAsk) -> None:
        refund = plan_refund(self.order, ask, refund_id=self.new_id(), now=NOW)
        if isinstance(refund, Refund):
            self._take_up(refund)

    def _take_up(self, refund: Refund) -> None:
        """Hold a new refund's shares, and announce it."""
        assert sum(map(sum, refund.shares.values())) == refund.amount > 0
        change = Change(self.order, NOW)
        change.order = hold(change.order, refund.shares)
        change.refund_event(EventType.REFUND_CREATED, refund)
        change.refund_event(EventType.REFUND_PENDING, refund)
        self.refunds[refund.id] = refund
        self.books.states[refund.id] = "pending"
        self._absorb(change, ["refund.created", "refund.pending"])

    def _absorb(self, change: Change, expected: Sequence[str]) -> None:
        """Take a change over, as a command stores it, and look at what it announces."""
        assert [draft.type.value for draft in change.drafts] == list(expected)
        assert_versions_rank_snapshots(self.order, change)
        for refund in change.refunds.values():
            before = self.refunds[refund.id].state.value
            step = before, refund.state.value
            assert before == refund.state.value or step in STEPS | AT_ONCE
        self.refunds |= change.refunds
        self.order = change.order

    def _operation(self, states: Sequence[str], pick: int) -> Operation:
        ids = self.books.ids(*states)
        return self._find(ids[pick % len(ids)])

    def _find(self, operation_id: str) -> Operation:
        every = [o for charge in self.order.charges for o in charge.operations]
        return next(operation for operation in every if operation.id == operation_id)

    def _members(self, operation: Operation) -> list[Refund]:
        return [self.refunds[key] for key in self.books.records[operation.id].parts]

    def _waiting_members(self, refund: Refund) -> dict[str, Refund]:
        """A refund, and those that wait for a record of it as well."""
        members = {refund.id: refund}
        for part in refund.parts:
            for each in self._members(self._find(part.operation_id)):
                if each.state.value == "pending_information":
                    members[each.id] = each
        return members

    def _sum_of_shares(self, line: Line, states: Sequence[str]) -> Cells:
        cells = [
            (refund.shares if states is OPEN else refund.refunded_shares).get(line.position)
            for refund in self.refunds.values()
            if refund.state.value in states
        ]
        return total([each for each in cells if each is not None])

    def _assert_rooms_are_filled_in_order(
        self, batch: list[Refund], sent: list[Operation], rooms: dict[str, int]
    ) -> None:
        wanted = sum(refund.amount for refund in batch)
        expected: list[tuple[str, int]] = []
        for secondary in (False, True):
            for charge in self.order.charges:
                if (charge.source_type == "customerCredit") is secondary:
                    part = min(wanted, max(0, rooms[charge.id]))
                    expected += [(charge.id, part)] if part else []
                    wanted -= part
        assert wanted == 0
        assert [(operation.charge_id, operation.amount) for operation in sent] == expected

    def _assert_elements_add_up(self, refund: Refund) -> None:
        if refund.elements:
            assert sum(element.amount for element in refund.elements) == refund.amount
            assert sum(element.refunded for element in refund.elements) == refund.refunded
            assert all(0 <= each.refunded <= each.amount for each in refund.elements)
        if refund.submitted:
            assert sum(part.amount for part in refund.parts) == refund.amount


assert set(ENDED).isdisjoint(OPEN)
TestRefundLife: Any = RefundLife.TestCase
TestRefundLife.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
