"""Charges: the money taken from one payment source, and the operations on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from refundry.domain.cells import Cells

Shares = Mapping[int, Cells]
"""What each line gives or gets: position of the line -> its cells, minor units."""

# Secondary sources are spent first and refunded last (contract, orders, section 2).
SECONDARY_SOURCES = frozenset({"customerCredit"})
BANK_DETAIL_SOURCES = frozenset(
    {"wireTransfer", "konbini", "onlineBanking", "bPay", "bankTransfer", "codJapan"}
)


class OperationKind(StrEnum):
    """What is asked of the processor."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class OperationState(StrEnum):
    """How far an operation is; the last two are final but for a refund's late failure."""

    PENDING = "pending"
    PENDING_INFORMATION = "pending_information"
    COMPLETE = "complete"
    FAILED = "failed"


OPEN_STATES = frozenset({OperationState.PENDING, OperationState.PENDING_INFORMATION})


class ChargeState(StrEnum):
    """The published state of a charge; refunds never change it."""

    PENDING = "pending"
    CAPTURABLE = "capturable"
    PROCESSING = "processing"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"


FAILURE_REASONS = (
    "expired_or_canceled_card",
    "lost_or_stolen_card",
    "account_closed",
    "account_frozen",
    "insufficient_funds",
    "declined",
    "invalid_bank_details",
    "unknown",
)
"""The reasons that are a processor's to give (contract, refunds, section 8)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a processor said no: its own code and message, and the reason in our words if known."""

    code: str = "failed-request"
    message: str = "Failed to operate on charge"
    reason: str = "declined"


@dataclass(frozen=True, slots=True)
class Operation:
    """One capture, cancel or refund of a charge: the record that the API shows.

    id: also the idempotency key at the processor. amount: minor units. shares: what it moves in
    the cells; None for a refund record that belongs to a Refund, whose own shares count.
    entry: which element of the fulfilment made it; units: how many units that element has, 0 once
    this record has failed and was retried: they have passed to the retry.
    dispute_id: of a chargeback, the dispute that made it; owed: what of its amount found no free
    money yet, so that amount = shares + owed.
    """

    id: str
    charge_id: str
    kind: OperationKind
    amount: int
    state: OperationState
    created_at: datetime
    updated_at: datetime
    fulfillment_id: str | None = None
    entry: int = 0
    units: int = 0
    shares: Shares | None = None
    failure: Failure | None = None
    dispute_id: str | None = None
    owed: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge and its operations in the order in which they were made."""

    id: str
    source_id: str
    source_type: str
    amount: int
    state: ChargeState
    type: str
    created_at: datetime
    operations: tuple[Operation, ...] = field(default=())

    @property
    def secondary(self) -> bool:
        """Whether this charge is spent first and refunded last."""
        return self.source_type in SECONDARY_SOURCES

    def total(self, kind: OperationKind, *states: OperationState) -> int:
        """The sum of its operations of a kind that are in one of `states`, in minor units."""
        return sum(
            operation.amount
            for operation in self.operations
            if operation.kind is kind and operation.state in states
        )

    @property
    def captured(self) -> int:
        """What was really taken."""
        return self.total(OperationKind.CAPTURE, OperationState.COMPLETE)

    @property
    def cancelled(self) -> int:
        """What was given up."""
        return self.total(OperationKind.CANCEL, OperationState.COMPLETE)

    @property
    def refunded(self) -> int:
        """What was paid back, chargebacks included."""
        return self.total(OperationKind.REFUND, OperationState.COMPLETE)

    @property
    def in_flight(self) -> int:
        """What captures and cancels without an answer yet are about."""
        pending = OperationState.PENDING
        return self.total(OperationKind.CAPTURE, pending) + self.total(
            OperationKind.CANCEL, pending
        )

    @property
    def open(self) -> int:
        """What may still be captured or cancelled."""
        if self.state in (ChargeState.PENDING, ChargeState.FAILED):
            return 0
        return self.amount - self.captured - self.cancelled - self.in_flight

    @property
    def refundable(self) -> int:
        """What a further refund record may ask of this charge."""
        return self.captured - self.total(
            OperationKind.REFUND,
            OperationState.PENDING,
            OperationState.PENDING_INFORMATION,
            OperationState.COMPLETE,
        )

    def with_past(self, operation: Operation) -> "Charge":
        """The charge with an operation of its past added."""
        return replace(self, operations=(*self.operations, operation))

    def with_operation(self, operation: Operation) -> "Charge":
        """The charge with `operation` added, or put in the place of the one with its id."""
        if any(known.id == operation.id for known in self.operations):
            kept = [operation if known.id == operation.id else known for known in self.operations]
            return replace(self, operations=tuple(kept))
        return replace(self, operations=(*self.operations, operation))


def charge_state(charge: Charge) -> ChargeState:
    """The state that follows from a charge's operations (contract, orders, section 7)."""
    if charge.state in (ChargeState.PENDING, ChargeState.FAILED):
        return charge.state
    if charge.open > 0:
        return ChargeState.CAPTURABLE
    if charge.in_flight > 0:
        return ChargeState.PROCESSING
    return ChargeState.COMPLETE if charge.captured > 0 else ChargeState.CANCELLED


def capture_order(charges: tuple[Charge, ...]) -> list[Charge]:
    """Secondary sources first, then the primary."""
    return sorted(charges, key=lambda charge: not charge.secondary)


def refund_order(charges: tuple[Charge, ...]) -> list[Charge]:
    """The primary first, then secondary sources; cancels take the same order."""
    return sorted(charges, key=lambda charge: charge.secondary)
