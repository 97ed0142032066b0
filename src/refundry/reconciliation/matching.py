"""Whether a line of a settlement report agrees with what we have. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from refundry.domain.charge import OperationState
from refundry.domain.dispute import DisputeState
from refundry.domain.money import find_currency, major_text
from refundry.reconciliation.lines import Line, LineKind


class LineState(StrEnum):
    """How a line stands to our records."""

    SETTLED = "settled"
    """It agrees."""
    WAITING = "waiting"
    """Its dispute is open: there is nothing to compare with yet."""
    EXTRA = "extra"
    """We have no record of it."""
    DIFFERENT = "different"
    """It contradicts our record."""


@dataclass(frozen=True, slots=True)
class OurRefund:
    """A refund record of ours. amount: minor units. parked: why it waits for a person.

    told_by: the identity of the first line that told of its payment.
    """

    order_id: str
    operation_id: str
    state: OperationState
    amount: int
    currency: str
    parked: str | None = None
    told_by: str | None = None


@dataclass(frozen=True, slots=True)
class OurDispute:
    """A dispute of ours. amount, chargeback: minor units; operation_id: of the chargeback's record.

    reference: the processor's; payment: its reference of the disputed charge. given_back: whether
    a report says that the bank gave the money back.
    """

    order_id: str
    dispute_id: str
    state: DisputeState
    amount: int
    currency: str
    reference: str | None
    payment: str | None
    chargeback: int | None = None
    operation_id: str | None = None
    given_back: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a line stands. why: None where it agrees. to_book: our record is open, and the line
    says that the money was paid: it is to be booked, and is settled then."""

    state: LineState
    why: str | None = None
    order_id: str | None = None
    operation_id: str | None = None
    dispute_id: str | None = None
    to_book: bool = False


def judge_refund(line: Line, ours: OurRefund | None) -> Verdict:
    """How a line about a refund stands to the record that it names, if there is one."""
    if ours is None:
        return Verdict(LineState.EXTRA, "we have no refund with this reference")
    difference = (
        _paid_before(line, ours)
        or _other_money(line, ours.amount, ours.currency)
        or _other_state(line, ours)
    )
    if difference is not None:
        state = LineState.DIFFERENT
        return Verdict(state, difference, ours.order_id, ours.operation_id)
    to_book = line.kind is LineKind.REFUND and ours.state is OperationState.PENDING
    return Verdict(
        LineState.SETTLED, None, ours.order_id, ours.operation_id, to_book=to_book
    )  # fmt: skip


def _paid_before(line: Line, ours: OurRefund) -> str | None:
    if line.kind is not LineKind.REFUND or ours.told_by in (None, line.identity):
        return None
    return f"another line ({ours.told_by}) tells of this refund: it may have been paid twice"


def _other_state(line: Line, ours: OurRefund) -> str | None:
    if line.kind is LineKind.REFUND_REVERSED:
        if ours.state is OperationState.FAILED:
            return None
        return f"the money came back, and we have the refund as {ours.state.value}"
    match ours.state:
        case OperationState.COMPLETE:
            return None
        case OperationState.PENDING:
            return f"it is parked here: {ours.parked}" if ours.parked else None
        case OperationState.PENDING_INFORMATION:
            return "the money was paid, and here it waits for the shopper's bank details"
        case OperationState.FAILED:
            return "the money was paid, and we have the refund as failed"


def judge_chargeback(line: Line, ours: OurDispute | None) -> Verdict:
    """How a line about a chargeback stands to the dispute that it is about, if there is one."""
    if ours is None:
        return Verdict(LineState.EXTRA, "we have no dispute of this payment")
    ids = (ours.order_id, ours.operation_id, ours.dispute_id)
    if ours.state is DisputeState.OPEN:
        return Verdict(LineState.WAITING, "the dispute is open", *ids)
    difference = _other_ending(line, ours)
    if difference is not None:
        return Verdict(LineState.DIFFERENT, difference, *ids)
    return Verdict(LineState.SETTLED, None, *ids)


def _other_ending(line: Line, ours: OurDispute) -> str | None:
    if line.kind is LineKind.CHARGEBACK_REVERSED:
        lost = ours.state is DisputeState.LOST
        return "the bank gave the money back, and we have the dispute as lost" if lost else None
    if ours.state is DisputeState.WON:
        if ours.given_back:
            return None
        return "the bank took the money, and we have the dispute as won"
    return _other_money(line, ours.chargeback or 0, ours.currency)


def _other_money(line: Line, amount: int, currency: str) -> str | None:
    if line.currency != currency:
        return f"the report says {line.currency}, and we have {currency}"
    if line.amount != amount:
        known = find_currency(currency)
        exponent = known.exponent if known else 2
        said, had = (major_text(each, exponent) for each in (line.amount, amount))
        return f"the report says {said} {currency}, and we have {had}"
    return None


def dispute_of(line: Line, disputes: Sequence[OurDispute]) -> OurDispute | None:
    """The dispute that a line is about: by the processor's reference, else the only one of its
    payment, else the only one of that with its amount."""
    named = [each for each in disputes if line.reference and each.reference == line.reference]
    if named:
        return named[0]
    of_payment = [each for each in disputes if each.payment in line.payments]
    if len(of_payment) > 1:
        of_payment = [each for each in of_payment if line.amount in (each.amount, each.chargeback)]
    return of_payment[0] if len(of_payment) == 1 else None
