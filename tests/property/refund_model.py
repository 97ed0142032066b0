"""What refunds should come to, kept in the plainest way: a second set of books for the tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from refundry.domain.cells import Cells
from refundry.domain.refund import RefundType

# refunds.md, section 3: the places of the cells that each refund may take.
ORDER_SELECTIONS: dict[RefundType | None, tuple[int, ...]] = {
    None: (0, 1, 2, 3, 4, 5),
    RefundType.SHIPPING: (2, 3),
    RefundType.DUTY: (4,),
    RefundType.TAX: (1, 3, 7),
    RefundType.IMPORTER_TAX: (5,),
    RefundType.FEES: (6, 7),
}
ITEM_SELECTIONS: dict[RefundType | None, tuple[int, ...]] = {
    None: (0, 1),
    RefundType.SHIPPING: (2, 3),
    RefundType.DUTY: (4,),
    RefundType.FEES: (6, 7),
}
OPEN = ("pending", "pending_information")
ENDED = ("complete", "failed")

# The steps of refunds.md, section 7. A refund whose waiting record is settled without the shopper
# takes rows 7 and 4 at once; row 8 goes back to pending where another record still waits.
STEPS = {
    ("pending", "succeeded"),  # 3, 5
    ("pending", "failed"),  # 4
    ("pending", "pending_information"),  # 6
    ("pending_information", "pending"),  # 7
    ("pending_information", "expired"),  # 8
    ("pending_information", "succeeded"),  # 8: row 5 applies
    ("succeeded", "failed"),  # 10
}
AT_ONCE = {("pending_information", "failed")}


def base_of(cells: Sequence[Cells], selection: Sequence[int]) -> int:
    """What the cells of a selection come to."""
    return sum(line[place] for line in cells for place in selection)


@dataclass
class Record:
    """A charge-level record: its state, and what each refund has in it."""

    charge_id: str
    parts: dict[str, int]
    state: str = "pending"

    @property
    def amount(self) -> int:
        return sum(self.parts.values())


@dataclass
class Books:
    """The records in their order, and the state each refund should be in."""

    records: dict[str, Record] = field(default_factory=dict[str, Record])
    states: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, refund_id: str) -> list[Record]:
        return [record for record in self.records.values() if refund_id in record.parts]

    def members(self, record: Record) -> list[str]:
        return list(record.parts)

    def ids(self, *states: str) -> list[str]:
        """The ids of the records in one of `states`."""
        return [key for key, record in self.records.items() if record.state in states]

    def paid(self, refund_id: str) -> int:
        """What the complete records of a refund carry of it."""
        records = self.of(refund_id)
        return sum(r.parts[refund_id] for r in records if r.state == "complete")

    def charged(self, charge_id: str, *states: str) -> int:
        """The sum of a charge's records in one of `states`."""
        records = self.records.values()
        return sum(r.amount for r in records if r.charge_id == charge_id and r.state in states)

    def submitted(self, charge_id: str, record_id: str, parts: dict[str, int]) -> None:
        self.records[record_id] = Record(charge_id, parts)

    def settle(self, record_id: str, state: str) -> list[str]:
        """Rows 3 to 5: a record ends; gives the events that follow."""
        record = self.records[record_id]
        record.state = state
        events = [f"order.charge.refund.{state}"]
        for refund_id in self.members(record):
            events += self._finish(refund_id)
        return events

    def needs_information(self, record_id: str) -> list[str]:
        """Row 6."""
        record = self.records[record_id]
        record.state = "pending_information"
        moved = [each for each in self.members(record) if self.states[each] == "pending"]
        self.states |= dict.fromkeys(moved, "pending_information")
        return ["refund.pending_information"] * len(moved)

    def give_information(self, refund_id: str) -> list[str]:
        """Row 7: the refund's waiting records go on; whoever waits for none any more goes along."""
        for record in self.of(refund_id):
            if record.state == "pending_information":
                record.state = "pending"
        moved = [
            each
            for each in self._waiting(refund_id)
            if all(record.state != "pending_information" for record in self.of(each))
        ]
        self.states |= dict.fromkeys(moved, "pending")
        return ["refund.pending"] * len(moved)

    def _waiting(self, refund_id: str) -> list[str]:
        """The refund, and those that share a record with it and wait."""
        members = [refund_id]
        for record in self.of(refund_id):
            members += [
                each
                for each in self.members(record)
                if each not in members and self.states[each] == "pending_information"
            ]
        return members

    def expire(self, refund_id: str) -> list[str]:
        """Row 8, for the refund and those that share a record with it."""
        members = self._waiting(refund_id)
        events: list[str] = []
        for member in members:
            for record in self.of(member):
                if record.state == "pending_information":
                    record.state = "failed"
                    events.append("order.charge.refund.failed")
            if all(record.state in ENDED for record in self.of(member)):
                events += self._finish(member, unpaid="expired")
            else:
                self.states[member] = "pending"
        return events

    def fail_late(self, record_id: str) -> list[str]:
        """Row 10; before the end of a refund its ordinary rows apply."""
        record = self.records[record_id]
        record.state = "failed"
        events = ["order.charge.refund.failed"]
        for refund_id in self.members(record):
            if self.states[refund_id] == "succeeded":
                if not self.paid(refund_id):
                    self.states[refund_id] = "failed"
                events.append("refund.updated" if self.paid(refund_id) else "refund.failed")
        return events

    def _finish(self, refund_id: str, *, unpaid: str = "failed") -> list[str]:
        if any(record.state in OPEN for record in self.of(refund_id)):
            return []
        if self.paid(refund_id):
            self.states[refund_id] = "succeeded"
            return ["refund.complete", "order.refunded"]
        self.states[refund_id] = unpaid
        return ["refund.failed"]
