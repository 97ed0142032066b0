"""What PayPal's answers say: refunds, refusals, disputes.

Sources: PayPal developer docs, "Payments API v2" (refunds, errors of captures.refund), "Orders API
v2", "Disputes API v1", "Transaction Search API v1", "Currency codes".
"""

from datetime import datetime

import msgspec

from refundry.domain.charge import Failure
from refundry.domain.money import Currency, find_currency, parse_numeral, to_minor
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
from refundry.processors.exponents import processor_units
from refundry.processors.paypal_api import Refusal

# "Currency codes": these take no decimals.
EXPONENTS = {"HUF": 0, "TWD": 0}

# "Payments API v2", issues of refunds, captures and voids that are about the money and final.
# Those about the state of the merchant's account may end: they are unknown, and asked again.
REASONS = {
    "AUTHORIZATION_ALREADY_CAPTURED": "declined",
    "AUTHORIZATION_DENIED": "declined",
    "AUTHORIZATION_EXPIRED": "declined",
    "AUTHORIZATION_VOIDED": "declined",
    "CAPTURE_FULLY_REFUNDED": "declined",
    "CURRENCY_MISMATCH": "declined",
    "DECIMAL_PRECISION": "declined",
    "DECIMALS_NOT_SUPPORTED": "declined",
    "MAX_CAPTURE_AMOUNT_EXCEEDED": "declined",
    "MAX_NUMBER_OF_REFUNDS_EXCEEDED": "declined",
    "PARTIAL_REFUND_NOT_ALLOWED": "declined",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED": "account_closed",
    "PREVIOUSLY_CAPTURED": "declined",
    "PREVIOUSLY_VOIDED": "declined",
    "REFUND_AMOUNT_EXCEEDED": "declined",
    "REFUND_AMOUNT_TOO_LOW": "declined",
    "REFUND_CAPTURE_CURRENCY_MISMATCH": "declined",
    "REFUND_FAILED_INSUFFICIENT_FUNDS": "insufficient_funds",
    "REFUND_IS_RESTRICTED": "declined",
    "REFUND_NOT_ALLOWED": "declined",
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK": "declined",
    "REFUND_TIME_LIMIT_EXCEEDED": "declined",
    "TRANSACTION_DISPUTED": "declined",
}

# What PayPal may answer when it has done the refund already.
DONE_ALREADY = frozenset(
    {"CAPTURE_FULLY_REFUNDED", "REFUND_AMOUNT_EXCEEDED", "DUPLICATE_INVOICE_ID"}
)

# "Disputes API v1", dispute_outcome.outcome_code. With a payout PayPal bears the loss.
_DISPUTE_OUTCOMES = {
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",
    "CANCELED_BY_BUYER": "won",
    "DENIED": "won",
}


class Sum(msgspec.Struct, frozen=True):
    """An amount in major units, as text."""

    currency_code: str
    value: str


class _Details(msgspec.Struct, frozen=True):
    reason: str | None = None


class Link(msgspec.Struct, frozen=True):
    """A link to what belongs to it."""

    href: str
    rel: str


class Refund(msgspec.Struct, frozen=True):
    """A refund; what a minimal answer may leave out is optional."""

    id: str
    status: str
    amount: Sum | None = None
    custom_id: str | None = None
    status_details: _Details = _Details()
    acquirer_reference_number: str | None = None
    links: list[Link] = []
    create_time: datetime | None = None


class _Related(msgspec.Struct, frozen=True):
    order_id: str | None = None


class _Supplement(msgspec.Struct, frozen=True):
    related_ids: _Related = _Related()


class Authorization(msgspec.Struct, frozen=True):
    """An authorised payment."""

    id: str
    status: str
    amount: Sum
    supplementary_data: _Supplement = _Supplement()


class _Processor(msgspec.Struct, frozen=True):
    response_code: str | None = None


class Capture(msgspec.Struct, frozen=True):
    """A captured payment."""

    id: str
    status: str
    amount: Sum | None = None
    status_details: _Details = _Details()
    processor_response: _Processor = _Processor()
    links: list[Link] = []
    supplementary_data: _Supplement = _Supplement()


class Payments(msgspec.Struct, frozen=True):
    """What happened to one unit of an order."""

    captures: list[Capture] = []
    refunds: list[Refund] = []


class _Unit(msgspec.Struct, frozen=True):
    payments: Payments = Payments()


class Order(msgspec.Struct, frozen=True):
    """An order and its units."""

    id: str
    purchase_units: list[_Unit] = []

    def refunds_of(self, capture: str) -> list[Refund]:
        """The refunds of a capture."""
        every = [refund for unit in self.purchase_units for refund in unit.payments.refunds]
        return [refund for refund in every if up_of(refund.links) == capture]


class _Issue(msgspec.Struct, frozen=True):
    issue: str
    description: str = ""


class _Problem(msgspec.Struct, frozen=True):
    name: str
    message: str = ""
    details: list[_Issue] = []


class _Disputed(msgspec.Struct, frozen=True):
    seller_transaction_id: str


class _DisputeOutcome(msgspec.Struct, frozen=True):
    outcome_code: str = "NONE"


class Dispute(msgspec.Struct, frozen=True):
    """A dispute of a payment."""

    dispute_id: str
    status: str
    dispute_amount: Sum
    disputed_transactions: list[_Disputed]
    reason: str = ""
    dispute_outcome: _DisputeOutcome = _DisputeOutcome()
    seller_response_due_date: datetime | None = None


class _Transaction(msgspec.Struct, frozen=True):
    transaction_id: str
    transaction_amount: Sum
    transaction_status: str
    transaction_initiation_date: datetime
    paypal_reference_id: str | None = None
    custom_field: str | None = None


class _Detail(msgspec.Struct, frozen=True):
    transaction_info: _Transaction


class Transactions(msgspec.Struct, frozen=True):
    """A page of a search."""

    transaction_details: list[_Detail]
    total_pages: int = 1


def payable(amount: int, currency: Currency) -> str | None:
    """An amount (our minor units) as PayPal writes it; None if it cannot."""
    units = processor_units(amount, currency, EXPONENTS)
    if units is None:
        return None
    digits = EXPONENTS.get(currency.code, currency.exponent)
    text = str(units).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text


def minor_units(amount: Sum) -> int | None:
    """An amount in our minor units; None if it is none of its currency. Signs are dropped: a
    refund is negative in a search."""
    currency = find_currency(amount.currency_code)
    numeral = parse_numeral(amount.value.removeprefix("-"))
    return to_minor(numeral, currency) if currency and numeral is not None else None


def up_of(links: list[Link]) -> str | None:
    """The id of what a refund or a capture is of: where its link "up" leads."""
    ups = [link.href for link in links if link.rel == "up"]
    return ups[0].rsplit("/", 1)[-1] if ups else None


def read_refund(refund: Refund) -> Outcome:
    """The outcome that a refund's status is."""
    amount = refund.amount
    receipt = Receipt(
        reference=refund.id,
        message=refund.status_details.reason,
        arn=refund.acquirer_reference_number,
        amount=minor_units(amount) if amount else None,
        currency=amount.currency_code if amount else None,
    )
    match refund.status:
        case "COMPLETED":
            return Settled(receipt)
        case "PENDING":
            return InProgress(receipt=receipt)
        case "FAILED" | "CANCELLED" as status:
            words = refund.status_details.reason or Failure().message
            return Declined(Failure(status, words[:500], "unknown"), receipt)
        case status:
            return Unknown(f"unknown status {status!r}"[:300])


def read_capture(capture: Capture) -> Outcome:
    """The outcome that a capture's status is."""
    amount = capture.amount
    receipt = Receipt(
        reference=capture.id,
        code=capture.processor_response.response_code,
        message=capture.status_details.reason,
        amount=minor_units(amount) if amount else None,
        currency=amount.currency_code if amount else None,
    )
    match capture.status:
        case "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED":
            return Settled(receipt)
        case "PENDING":
            return InProgress(receipt=receipt)
        case "DECLINED" | "FAILED" as status:
            words = capture.status_details.reason or Failure().message
            return Declined(Failure(status, words[:500], "declined"), receipt)
        case status:
            return Unknown(f"unknown status {status!r}"[:300])


def issue_of(refusal: Refusal) -> tuple[str, str]:
    """The issue of a 422 and its description; empty where there is none."""
    try:
        problem = msgspec.json.decode(refusal.text, type=_Problem)
    except msgspec.DecodeError:
        return "", ""
    if refusal.status != 422 or not problem.details:
        return "", ""
    return problem.details[0].issue, problem.details[0].description or problem.message


def read_refusal(refusal: Refusal) -> Outcome:
    """Declined for a final issue of a 422; else unknown, in words."""
    if refusal.status in (401, 403):
        return Unknown(f"PayPal refuses the credentials ({refusal.status}): {refusal.text}"[:500])
    issue, words = issue_of(refusal)
    if issue not in REASONS:
        return Unknown(str(refusal))
    failure = Failure(issue, words[:500] or Failure().message, REASONS[issue])
    return Declined(failure, Receipt(code=issue, message=words[:500] or None))


def listed_refund(refund: Refund) -> ProcessorRefund | None:
    """A refund as the engine takes it; None where something of it is missing."""
    payment = up_of(refund.links)
    amount = minor_units(refund.amount) if refund.amount else None
    if payment is None or refund.amount is None or amount is None or refund.create_time is None:
        return None
    return ProcessorRefund(
        refund.id,
        payment,
        refund.custom_id,
        amount,
        refund.amount.currency_code,
        refund.create_time,
        read_refund(refund),
    )


# "Transaction Search API v1": D denied, P pending, S success, V reversed.
_STATUSES = {"S": "COMPLETED", "P": "PENDING", "D": "FAILED", "V": "CANCELLED"}


def searched_refund(found: _Transaction) -> ProcessorRefund | None:
    """A refund that a search found; None where something of it is missing."""
    amount = minor_units(found.transaction_amount)
    if amount is None or found.paypal_reference_id is None:
        return None
    as_refund = Refund(
        found.transaction_id, _STATUSES.get(found.transaction_status, found.transaction_status)
    )
    return ProcessorRefund(
        found.transaction_id,
        found.paypal_reference_id,
        found.custom_field or None,
        amount,
        found.transaction_amount.currency_code,
        found.transaction_initiation_date,
        read_refund(as_refund),
    )


def read_dispute(dispute: Dispute) -> ProcessorDispute | None:
    """A dispute as the engine takes it; None where it names no payment, or an amount of none."""
    amount = minor_units(dispute.dispute_amount)
    if not dispute.disputed_transactions or amount is None:
        return None
    state = "opened"
    if dispute.status == "RESOLVED":
        state = _DISPUTE_OUTCOMES.get(dispute.dispute_outcome.outcome_code, state)
    return ProcessorDispute(
        dispute.dispute_id,
        dispute.disputed_transactions[0].seller_transaction_id,
        state,
        amount,
        dispute.dispute_amount.currency_code,
        dispute.reason,
        dispute.seller_response_due_date,
    )
