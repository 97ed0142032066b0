"""What Stripe's answers and errors mean to us; pure.

Sources: Stripe docs, "Refund and cancel payments" (failed refunds), "Error codes", "Error
handling", "Supported currencies" (special cases); API reference, "The Refund object", "Errors".
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import stripe

from refundry.domain.charge import Failure
from refundry.domain.money import Currency
from refundry.processors.contract import (
    Declined,
    InProgress,
    Outcome,
    ProcessorDispute,
    ProcessorRefund,
    Receipt,
    Settled,
    Unknown,
)
from refundry.processors.exponents import our_units, processor_units
from refundry.processors.stripe_objects import Dispute, Named, Payment, Refund, id_of

# "Supported currencies": kronur are given in hundredths that must be 00; ariary whole.
EXPONENTS = {"ISK": 2, "MGA": 0}
# The same page lists it as zero-decimal and asks for two decimals among the special cases: a
# factor of hundred that we do not guess.
_UNCLEAR_CURRENCIES = frozenset({"UGX"})

_REASONS = {
    "lost_or_stolen_card": "lost_or_stolen_card",
    "expired_or_canceled_card": "expired_or_canceled_card",
    "charge_for_pending_refund_disputed": "declined",
    "insufficient_funds": "insufficient_funds",
    "declined": "declined",
    "merchant_request": "declined",
}
"""failure_reason of a refund that failed -> our reason; others are unknown."""

_REFUSALS = {
    "amount_too_large": "declined",
    "amount_too_small": "declined",
    "balance_insufficient": "insufficient_funds",
    "capture_charge_authorization_expired": "declined",
    "charge_already_captured": "declined",
    "charge_already_refunded": "declined",
    "charge_disputed": "declined",
    "charge_expired_for_capture": "declined",
    "charge_not_refundable": "declined",
    "insufficient_funds": "insufficient_funds",
    "invalid_charge_amount": "declined",
    "payment_intent_unexpected_state": "declined",
    "refund_disputed_payment": "declined",
}
"""Codes of errors that say that Stripe will never do what was asked -> our reason."""

# An error without a code tells by its parameter what it is about: an amount above what is left of
# a payment has none.
_FINAL_PARAMETERS = frozenset({"amount", "amount_to_capture", "instructions_email"})

_ARN = "acquirer_reference_number"
_DISPUTE_STATES = {
    "warning_needs_response": "opened",
    "warning_under_review": "opened",
    "warning_closed": "won",
    "needs_response": "opened",
    "under_review": "opened",
    "prevented": "won",
    "won": "won",
    "lost": "lost",
    # The money stays gone while an appeal against a lost dispute runs.
    "appeal_needs_response": "lost",
    "appeal_under_review": "lost",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Stripe's final no to a request, which did nothing."""

    code: str
    message: str
    reason: str

    def declined(self) -> Declined:
        """The outcome, where no earlier request did it."""
        return Declined(Failure(self.code[:200], self.message[:500], self.reason))


def stripe_units(amount: int, currency: Currency) -> int | Refusal:
    """`amount` (our minor units) as Stripe counts it."""
    units = None
    if currency.code not in _UNCLEAR_CURRENCIES:
        units = processor_units(amount, currency, EXPONENTS)
    if units is None:
        message = f"{amount} minor units of {currency.code} cannot be told to Stripe"
        return Refusal("unsupported_amount", message, "unknown")
    return units


def read_refund(refund: Refund) -> Outcome:
    """The outcome that a refund's status tells; what is not documented is unknown."""
    amount = our_units(refund.amount, refund.currency, EXPONENTS)
    if amount is None or refund.currency.upper() in _UNCLEAR_CURRENCIES:
        return Unknown(f"{refund.id}: {refund.amount} {refund.currency} is no amount of ours")
    receipt = Receipt(
        reference=refund.id,
        code=refund.status,
        message=refund.pending_reason,
        arn=_arn(refund),
        amount=amount,
        currency=refund.currency.upper(),
    )
    match refund.status:
        case "succeeded":
            return Settled(receipt)
        case "pending" | "requires_action":
            return InProgress(receipt=receipt)
        case "failed" | "canceled":
            return Declined(_failure(refund), receipt)
        case _:
            return Unknown(f"{refund.id} has the unknown status {refund.status!r}"[:500])


def _failure(refund: Refund) -> Failure:
    if refund.status == "canceled":
        return Failure("canceled", "The refund was cancelled at Stripe", "declined")
    code = refund.failure_reason or "unknown"
    message = f"The refund failed at Stripe: {code}"
    return Failure(code[:200], message[:500], _REASONS.get(code, "unknown"))


def _arn(refund: Refund) -> str | None:
    details = refund.destination_details
    card = details.card if details else None
    return card.reference if card and card.reference_type == _ARN else None


def read_capture(payment: Payment) -> Outcome:
    """The outcome of a capture of ours, of the payment that carries it."""
    amount = our_units(payment.amount_received, payment.currency, EXPONENTS)
    receipt = Receipt(payment.id, payment.status, amount=amount, currency=payment.currency.upper())
    match payment.status:
        case "succeeded":
            return Settled(receipt)
        case "processing":
            return InProgress(receipt=Receipt(payment.id, payment.status))
        case _:
            return Unknown(f"{payment.id} is {payment.status!r} after its capture"[:500])


def read_error(error: stripe.StripeError) -> Refusal | Unknown:
    """What an error means. Only what is documented as final is a refusal: a wrong key, a limit, a
    conflict, a server's fault or a payment that this key does not see fail nothing for good."""
    message = error.user_message or str(error)
    code = error.code or ""
    param = getattr(error, "param", None)
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError):
        if code in _REFUSALS:
            return Refusal(code, message, _REFUSALS[code])
        if error.http_status == 400 and param in _FINAL_PARAMETERS:
            return Refusal(code or f"invalid_{param}", message, "declined")
    status = error.http_status or "no answer"
    return Unknown(f"{type(error).__name__} ({status}): {code} {message}"[:500])


def read_listed(refund: Refund) -> ProcessorRefund:
    """A refund as the list of all shows it."""
    amount = our_units(refund.amount, refund.currency, EXPONENTS)
    payment, *other_names = _names(refund.payment_intent, refund.charge)
    return ProcessorRefund(
        reference=refund.id,
        payment=payment,
        other_names=tuple(other_names),
        key=refund.key,
        amount=refund.amount if amount is None else amount,
        currency=refund.currency.upper(),
        created_at=datetime.fromtimestamp(refund.created, UTC),
        outcome=read_refund(refund),
    )


def read_dispute(dispute: Dispute) -> ProcessorDispute | None:
    """A dispute in our words; None where its status is not documented."""
    state = _DISPUTE_STATES.get(dispute.status)
    if state is None:
        return None
    amount = our_units(dispute.amount, dispute.currency, EXPONENTS)
    due = dispute.evidence_details.due_by if dispute.evidence_details else None
    payment, *other_names = _names(dispute.payment_intent, dispute.charge)
    return ProcessorDispute(
        reference=dispute.id,
        payment=payment,
        other_names=tuple(other_names),
        state=state,
        amount=dispute.amount if amount is None else amount,
        currency=dispute.currency.upper(),
        reason=dispute.reason,
        respond_by=datetime.fromtimestamp(due, UTC) if due else None,
    )


def _names(*references: str | Named | None) -> list[str]:
    """The names of a payment, its intent's (pi_...) before its charge's (ch_..., py_...)."""
    return [name for name in map(id_of, references) if name] or [""]
