"""What Braintree's answers mean to us: transactions, refusals, disputes; pure.

Sources: Braintree docs, "Transaction" (response, statuses), "Transaction: Refund", "Refund
Authorizations", "Authorization" and "Settlement" (processor responses), "All Validation Errors",
"Dispute" (response).
"""

from datetime import timedelta
from decimal import Decimal

from refundry.domain.charge import Failure
from refundry.domain.money import Currency, find_currency, parse_numeral, to_minor
from refundry.processors.braintree_api import Dispute, Refused, Transaction
from refundry.processors.contract import (
    Declined,
    InProgress,
    NotFound,
    Outcome,
    ProcessorDispute,
    ProcessorRefund,
    Receipt,
    Settled,
    Unknown,
)

# Braintree tells nothing of a card's refund by itself; it settles within some days.
_LOOK_AGAIN = timedelta(hours=6)

# On its way, and "settlement confirmed" of PayPal too: nothing but time is missing.
_WAITING = frozenset(
    {
        "authorizing",
        "authorized",
        "submitted_for_settlement",
        "settling",
        "settlement_pending",
        "settlement_confirmed",
    }
)
CAPTURED = _WAITING - {"authorizing", "authorized"} | {"settled"}
_FAILED = frozenset(
    {
        "authorization_expired",
        "failed",
        "gateway_rejected",
        "processor_declined",
        "settlement_declined",
        "settlement_failed",
        "voided",
    }
)

# "Authorization" and "Settlement": what the shopper's bank, or PayPal, says.
REASONS = {
    "2000": "declined",
    "2001": "insufficient_funds",
    "2004": "expired_or_canceled_card",
    "2006": "expired_or_canceled_card",
    "2007": "account_closed",
    "2012": "lost_or_stolen_card",
    "2013": "lost_or_stolen_card",
    "2014": "declined",
    "2015": "declined",
    "2038": "declined",
    "2046": "declined",
    "2047": "lost_or_stolen_card",
    "2053": "lost_or_stolen_card",
    "2057": "account_frozen",
    "4001": "declined",
    "4004": "declined",
    "4019": "declined",
    "4020": "declined",
    "4021": "declined",
    "4022": "declined",
    "4024": "declined",
    "4025": "account_closed",
}

# "All Validation Errors", those of a transaction that no time mends. Those that tell of a sale
# which has not settled yet, or of the merchant's account, are unknown: they may end.
FINAL = frozenset(
    {
        "81503",  # Amount is an invalid format.
        "81528",  # Amount is too large.
        "81531",  # Amount must be greater than zero.
        "815193",  # Amount not supported by processor.
        "91505",  # Cannot refund credit.
        "91507",  # Cannot submit for settlement unless status is authorized.
        "91504",  # Transaction can only be voided if status is authorized, or settlement waits.
        "91512",  # Transaction has already been refunded.
        "91521",  # Refund amount is too large.
        "91522",  # Settlement amount is too large.
        "915200",  # Failed to refund transaction.
        "915201",  # Failed to refund transaction, the soft kind.
    }
)

# What Braintree may answer when it has done the same already.
DONE_ALREADY = frozenset({"91504", "91507", "91512", "91521"})

ALL_OR_NOTHING = Failure(
    "all_or_nothing", "Braintree cancels all that is authorised, or nothing", "declined"
)
CAPTURED_BY_OTHERS = Failure(
    "91507", "The sale was captured before it was asked for, and is captured once", "declined"
)

_DISPUTE_STATES = {
    "open": "opened",
    "disputed": "opened",
    "under_review": "opened",
    "won": "won",
    "lost": "lost",
    "accepted": "lost",
    "auto_accepted": "lost",
    "expired": "lost",
}


def payable(amount: int, currency: Currency) -> str:
    """An amount (our minor units) as Braintree writes it: in the form of its currency."""
    return f"{Decimal(amount).scaleb(-currency.exponent):.{currency.exponent}f}"


def minor_units(amount: Decimal, code: str) -> int | None:
    """An amount in our minor units; None if it is none of its currency."""
    currency, numeral = find_currency(code), parse_numeral(f"{amount:f}")
    return to_minor(numeral, currency) if currency and numeral is not None else None


def read_refund(refund: Transaction) -> Outcome:
    """The outcome that a refund's status is."""
    receipt = _receipt(refund)
    if refund.status == "settled":
        return Settled(receipt)
    if refund.status in _WAITING:
        return InProgress(_LOOK_AGAIN, receipt)
    if refund.status in _FAILED:
        return Declined(_failure(refund), receipt)
    return Unknown(f"unknown status {refund.status!r}"[:300])


def read_capture(sale: Transaction) -> Outcome | NotFound:
    """What became of a sale's capture; a sale is captured once."""
    if sale.status in CAPTURED:
        return read_refund(sale)
    if sale.status in _FAILED:
        return Declined(_failure(sale), _receipt(sale))
    return NotFound()


def read_cancel(sale: Transaction, amount: int) -> Outcome | NotFound:
    """What became of giving up `amount` (our minor units) of a sale's authorisation: Braintree
    voids all of it, and a capture of a part releases the rest."""
    receipt = Receipt(sale.id, sale.status)
    if sale.status == "voided":
        return Settled(receipt)
    if sale.status in _FAILED:
        return Declined(_failure(sale), receipt)
    if sale.status in CAPTURED:
        released = minor_units(sale.authorized - sale.amount, sale.currency)
        return Settled(receipt) if released == amount else Declined(ALL_OR_NOTHING, receipt)
    return NotFound()


def read_refused(refused: Refused) -> Outcome:
    """Declined for what no time mends; else unknown, in words."""
    if refused.transaction is not None and refused.transaction.status in _FAILED:
        declined = refused.transaction
        return Declined(_failure(declined), _receipt(declined))
    code = next((code for code in refused.codes if code in FINAL), None)
    if code is None:
        return Unknown(f"refused: {', '.join(refused.codes)} {refused.message}"[:500])
    words = refused.message[:500] or Failure().message
    return Declined(Failure(code, words, "declined"), Receipt(code=code, message=words))


def listed_refund(refund: Transaction) -> ProcessorRefund | None:
    """A refund as the engine takes it; None where something of it is missing."""
    amount = minor_units(refund.amount, refund.currency)
    if refund.refunded_id is None or amount is None:
        return None
    return ProcessorRefund(
        refund.id,
        refund.refunded_id,
        refund.order_id,
        amount,
        refund.currency,
        refund.created_at,
        read_refund(refund),
    )


def read_dispute(dispute: Dispute) -> ProcessorDispute | None:
    """A dispute as the engine takes it; None for a mere inquiry, or a status that is new."""
    state = _DISPUTE_STATES.get(dispute.status)
    amount = minor_units(dispute.amount, dispute.currency)
    if dispute.kind == "retrieval" or state is None or amount is None:
        return None
    return ProcessorDispute(
        dispute.id,
        dispute.transaction,
        state,
        amount,
        dispute.currency,
        dispute.reason,
        dispute.reply_by,
    )


def _receipt(transaction: Transaction) -> Receipt:
    return Receipt(
        reference=transaction.id,
        code=transaction.code or transaction.status,
        message=transaction.message,
        arn=transaction.arn,
        amount=minor_units(transaction.amount, transaction.currency),
        currency=transaction.currency,
    )


def _failure(transaction: Transaction) -> Failure:
    """Why a transaction failed. Of one that the bank did not decline the status says it."""
    by_bank = transaction.status in ("processor_declined", "settlement_declined")
    code = (transaction.code if by_bank else None) or transaction.status
    words = transaction.message if by_bank else None
    return Failure(
        code[:200],
        (words or f"the refund is {transaction.status}")[:500],
        REASONS.get(code, "unknown"),
    )
