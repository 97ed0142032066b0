"""What became of a refund, step by step, and what is to be done now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from refundry.domain.charge import OperationState
from refundry.domain.refund import Refund, RefundState, Way
from refundry.operations.check_store import Standing
from refundry.portal.refund_gateway import provider, what_is_known
from refundry.portal.refund_rows import failure_text
from refundry.portal.rendering import amount, moment

_RETRY = "Retry it as a new refund, or agree with the shopper on another way to pay."
_ADVICE = {
    "expired_or_canceled_card": "Ask the shopper for another way to be paid, such as store credit.",
    "lost_or_stolen_card": "Ask the shopper for another way to be paid, such as store credit.",
    "account_closed": "Ask the shopper for another account.",
    "account_frozen": "Do not try again before the bank or the shopper has cleared this up.",
    "insufficient_funds": "Tell finance to fund the refund account, then make a new refund.",
    "declined": _RETRY,
    "invalid_bank_details": "Make a new refund and let the shopper check the account details.",
    "information_not_provided": "Make a new refund; the shopper gets a new link for the details.",
    "partially_refunded": "The part that failed is available again on the order.",
}
"""What staff does about a failure reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one charge was asked to pay back. error: of the last attempt without an answer.

    due_at: when the processor is asked next, None: not by ourselves. note: of who decided by hand.
    standing: what is known of it at its processor; None where it went through no gateway.
    """

    operation_id: str
    label: str
    amount: int
    state: OperationState
    created_at: datetime
    updated_at: datetime
    attempts: int = 0
    first_attempt_at: datetime | None = None
    due_at: datetime | None = None
    error: str | None = None
    needs_attention: bool = False
    failure_code: str | None = None
    failure_message: str | None = None
    failure_reason: str | None = None
    note: str | None = None
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a refund's life. at: None where it goes on. tone: how its mark is coloured."""

    text: str
    at: datetime | None = None
    tone: str = ""
    details: list[str] = field(default_factory=list[str])


def story(refund: Refund, records: Sequence[Record], *, requested_by: str) -> list[Step]:
    """The life of a refund so far, oldest step first. Pure."""
    asked = amount(refund.amount, refund.currency)
    steps = [
        Step(f"{asked} requested{requested_by}", refund.created_at, "ok"),
        Step("Amount held on the order", refund.created_at, "ok"),
    ]
    for record in records:
        steps += _record_steps(refund, record)
    steps += _state_steps(refund, records)
    return steps


def _record_steps(refund: Refund, record: Record) -> list[Step]:
    part = f"{amount(record.amount, refund.currency)} of {record.label}"
    if refund.way is not None and record.first_attempt_at is None:
        return _other_way_steps(refund, record, part)
    if record.first_attempt_at is None:
        if record.state is OperationState.FAILED:
            return [Step(f"{part}: nothing is left there to pay back", record.created_at, "bad")]
        return [Step(f"{part} will be sent to the payment provider", record.created_at)]
    tries = "" if record.attempts <= 1 else f", {record.attempts} attempts"
    key = [f"Our reference at the provider: {record.operation_id}"]
    if record.error:
        key.append(f"Last attempt without an answer: {record.error}")
    if record.standing is not None:
        key += what_is_known(record.standing)
    sent = f"{part} sent to {provider(record.standing)}{tries}"
    steps = [Step(sent, record.first_attempt_at, "ok", key)]
    notes = [f"Note: {record.note}"] if record.note else []
    match record.state:
        case OperationState.COMPLETE:
            text = f"{part} paid back"
            steps.append(Step(text, record.updated_at, "ok", notes))
        case OperationState.FAILED:
            told = [f"{record.failure_code}: {record.failure_message}", *notes]
            text = f"{part} failed: {failure_text(record.failure_reason)}"
            steps.append(Step(text, record.updated_at, "bad", told))
        case _:
            pass
    return steps


def _other_way_steps(refund: Refund, record: Record, part: str) -> list[Step]:
    """What became of a record that no processor was asked for."""
    notes = [f"Note: {record.note}"] if record.note else []
    if record.state is OperationState.COMPLETE:
        way = "as store credit" if refund.way is Way.STORE_CREDIT else "by hand"
        return [Step(f"{part} recorded as paid {way}", record.updated_at, "ok", notes)]
    if record.state is OperationState.FAILED:
        text = f"{part} failed: {failure_text(record.failure_reason)}"
        return [Step(text, record.updated_at, "bad", notes)]
    return [Step(f"{part} goes to an account of the shopper's", record.created_at, "ok", notes)]


def _state_steps(refund: Refund, records: Sequence[Record]) -> list[Step]:
    """Where the refund is now, and what it waits for or what is to be done."""
    match refund.state:
        case RefundState.PENDING:
            return [_waiting(refund, records)]
        case RefundState.PENDING_INFORMATION:
            until = f" until {moment(refund.token.expires_at)}" if refund.token else ""
            return [Step(f"Waiting for the shopper's bank details{until}", None, "warn")]
        case RefundState.SUCCEEDED:
            paid = amount(refund.refunded, refund.currency)
            text = f"Succeeded: {paid} reached the shopper's payment provider"
            if refund.way is not None:
                text = f"Succeeded: {paid} reached the shopper"
            return [Step(text, _last(records), "ok", _what_now(refund))]
        case RefundState.FAILED:
            text = f"Failed: {failure_text(refund.failure_reason)}"
            return [Step(text, _last(records), "bad", _what_now(refund))]
        case RefundState.EXPIRED:
            text = f"Expired: {failure_text(refund.failure_reason)}"
            return [Step(text, _last(records), "bad", _what_now(refund))]


def _waiting(refund: Refund, records: Sequence[Record]) -> Step:
    if parked := _parked(records):
        text = f"Needs attention: {parked}"
        return Step(text, None, "warn", ["Nobody is asked any more. Look it up, then mark it."])
    if refund.needs_attention:
        text = "Needs attention: the provider has not told what became of it"
        return Step(text, None, "warn", ["Look the reference up at the provider, then mark it."])
    if not records:
        return Step("Waiting to be sent to the payment provider", None, "now")
    if checks := _next_checks(records):
        details = [f"Next check: {moment(min(checks))}"]
    else:
        details = ["The provider will tell us; nobody has to do anything."]
    return Step("Waiting for the payment provider", None, "now", details)


def _parked(records: Sequence[Record]) -> str | None:
    """Why a person has to decide, where that is so."""
    return next((r.standing.parked for r in records if r.standing and r.standing.parked), None)


def _next_checks(records: Sequence[Record]) -> list[datetime]:
    """When processors are asked, or looked up, next."""
    times = [record.due_at for record in records]
    times += [record.standing.check_due_at for record in records if record.standing]
    return [time for time in times if time is not None]


def _what_now(refund: Refund) -> list[str]:
    advice = _ADVICE.get(refund.failure_reason or "")
    if refund.failure_reason and advice is None:
        advice = _RETRY
    return [f"What to do now: {advice}"] if advice else []


def _last(records: Sequence[Record]) -> datetime | None:
    return max((record.updated_at for record in records), default=None)
