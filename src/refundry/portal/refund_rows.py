"""Refunds as rows of tables, and how their types, states and failures are called."""

from collections.abc import Sequence
from dataclasses import dataclass

from refundry.domain.choices import TYPE_LABELS, choice_of
from refundry.domain.refund import Refund

STATES = {
    "pending": "Pending",
    "pending_information": "Waiting for bank details",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "expired": "Expired",
}
FAILURES = {
    "expired_or_canceled_card": "The card is expired or cancelled.",
    "lost_or_stolen_card": "The card was reported lost or stolen.",
    "account_closed": "The account is closed.",
    "account_frozen": "The account is frozen, possibly because of suspected fraud.",
    "insufficient_funds": "The refund account has insufficient funds.",
    "declined": "The payment provider declined the refund.",
    "invalid_bank_details": "The bank rejected the account details.",
    "information_not_provided": "The shopper did not provide bank details in time.",
    "partially_refunded": "Part of the refund could not be paid out.",
    "unknown": "The payment provider gave no reason.",
}
"""What staff reads for a failure reason (contract, refunds, section 8)."""


@dataclass(frozen=True, slots=True)
class RefundRow:
    """A refund in a table. failure: in words; empty where there is none."""

    refund: Refund
    type: str
    state: str
    failure: str


def refund_rows(refunds: Sequence[Refund]) -> list[RefundRow]:
    """The rows for refunds, in their order."""
    return [refund_row(refund) for refund in refunds]


def refund_row(refund: Refund) -> RefundRow:
    """One row."""
    return RefundRow(
        refund,
        TYPE_LABELS[choice_of(refund)],
        STATES[refund.state.value],
        failure_text(refund.failure_reason),
    )


def failure_text(reason: str | None) -> str:
    """A failure reason in words; a reason of somebody else's as it is."""
    return FAILURES.get(reason, reason) if reason else ""
