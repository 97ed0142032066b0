"""What a refund's page tells of a record at the processor behind its gateway. Pure."""

from dataclasses import dataclass
from datetime import datetime

from refundry.domain.money import find_currency
from refundry.gateways.kinds import label_of
from refundry.operations.check_store import Reported, Standing
from refundry.portal.rendering import amount, moment


@dataclass(frozen=True, slots=True)
class AtProcessor:
    """A record at its processor, for its card. words: the processor's own.

    why: why it is looked up again, or is not. parked: what a person has to decide. can_ask:
    whether its processor can be asked at once. report: where finance finds it.
    """

    operation_id: str
    provider: str
    gateway: str
    reference: str | None
    words: str
    arn: str | None
    attempts: int
    checked_at: datetime | None
    found: str
    next_at: datetime | None
    why: str
    parked: str | None
    can_ask: bool
    report: str


def provider(standing: Standing | None) -> str:
    """Who pays, as people call it."""
    if standing is None or standing.processor is None:
        return "the payment provider"
    return label_of(standing.processor)


def at_processor(standing: Standing) -> AtProcessor:
    """The card of a record that went through a gateway."""
    times = [standing.next_attempt, standing.check_due_at]
    return AtProcessor(
        operation_id=standing.operation_id,
        provider=provider(standing),
        gateway=standing.gateway or "",
        reference=standing.reference,
        words=_words(standing),
        arn=standing.arn,
        attempts=standing.attempts,
        checked_at=standing.checked_at,
        found=standing.found or "",
        next_at=min((time for time in times if time is not None), default=None),
        why=_why(standing),
        parked=standing.parked,
        can_ask=standing.pending and standing.attempts > 0,
        report=_report(standing.reported),
    )


def what_is_known(standing: Standing) -> list[str]:
    """The details of the step at which a record was sent."""
    name = provider(standing)
    known = [f"Gateway: {standing.gateway}"]
    if standing.reference:
        known.append(f"Reference at {name}: {standing.reference}")
    if words := _words(standing):
        known.append(f"{name} says: {words}")
    if standing.arn:
        known.append(f"Acquirer reference number (ARN): {standing.arn}")
    if standing.checked_at and standing.pending:
        found = f": {standing.found}" if standing.found else ""
        known.append(f"Last looked up {moment(standing.checked_at)}{found}")
    return known


def _report(reported: Reported | None) -> str:
    """The line of a settlement report, as people read it; empty if none tells of it."""
    if reported is None:
        return ""
    found = [f"of {reported.booked_on}"]
    if reported.payout:
        found.append(f"payout {reported.payout}")
    currency = find_currency(reported.fee_currency) if reported.fee_currency else None
    if reported.fee is not None and currency is not None:
        found.append(f"fee {amount(reported.fee, currency)}")
    return ", ".join(found)


def _words(standing: Standing) -> str:
    return " ".join(word for word in (standing.message, standing.code) if word)


def _why(standing: Standing) -> str:
    """Why it is looked up again, or is not."""
    name = provider(standing)
    if not standing.pending:
        return "It has ended, so nobody is asked any more."
    if standing.parked and standing.check_due_at:
        return f"Somebody wants to know what {name} says now. Until then it stays parked."
    if standing.parked:
        return "A person has to decide, so nobody is asked any more."
    if not standing.attempts:
        return f"It was not sent to {name} yet."
    if standing.error:
        return f"It is not known whether {name} did it: {standing.error}"
    return f"{name} accepted it and has not said yet what became of it."
