"""The sandbox: a processor that never moves money and does what the payment source tells it.

It keeps nothing: the outcome follows from the source's trigger, the kind of the operation and the
time since its first attempt. Source: contract, testing scenarios.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from refundry.domain.charge import BANK_DETAIL_SOURCES, Failure, OperationKind
from refundry.processors.contract import (
    Declined,
    InProgress,
    NeedsInformation,
    Outcome,
    Settled,
    Submission,
)


class Trigger(StrEnum):
    """What goes wrong with a source of the sandbox."""

    SOURCE_FAILS = "source_fails"
    CHARGE_WAITS = "charge_waits"
    CHARGE_FAILS_LATE = "charge_fails_late"
    CAPTURE_FAILS = "capture_fails"
    CAPTURE_FAILS_LATE = "capture_fails_late"
    CAPTURE_WAITS = "capture_waits"
    CANCEL_FAILS = "cancel_fails"
    REFUND_CARD_EXPIRED = "refund_card_expired"
    REFUND_FROZEN_LATE = "refund_frozen_late"
    REFUND_DECLINED = "refund_declined"
    REFUND_CLOSED_LATE = "refund_closed_late"
    REFUND_CLOSED_AFTER_DETAILS = "refund_closed_after_details"


@dataclass(frozen=True, slots=True)
class Card:
    """A test card: its brand and what it does."""

    brand: str
    trigger: Trigger | None = None


CARDS = {
    "4444222233331111": Card("Visa"),
    "5466160000000008": Card("Mastercard"),
    "343456789012341": Card("American Express"),
    "30345678901235": Card("Diners Club"),
    "6011987698769876": Card("Discover"),
    "3528987698769879": Card("JCB"),
    "6226220000000009": Card("UnionPay"),
    "5454545454545454": Card("Mastercard"),
    "4917610000000000": Card("Visa"),
    "4000000000003295": Card("Visa", Trigger.SOURCE_FAILS),
    "4000000000003600": Card("Visa", Trigger.SOURCE_FAILS),
    "4000000000004103": Card("Visa", Trigger.CAPTURE_FAILS),
    "4000000000004111": Card("Visa", Trigger.REFUND_CARD_EXPIRED),
    "4000000000004442": Card("Visa", Trigger.CANCEL_FAILS),
    "4485951788521565": Card("Visa", Trigger.CAPTURE_FAILS_LATE),
    "4556602564240839": Card("Visa", Trigger.REFUND_FROZEN_LATE),
    "4024007120579635": Card("Visa", Trigger.CAPTURE_WAITS),
    "4000000000000028": Card("Visa", Trigger.CAPTURE_WAITS),
}

_PAYPAL = {
    "RefundFail": Trigger.REFUND_DECLINED,
    "SourceCreationFail": Trigger.SOURCE_FAILS,
    "ChargeCreationFail": Trigger.SOURCE_FAILS,
}
_ALIPAY = {
    "refundFail": Trigger.REFUND_DECLINED,
    "authFail": Trigger.SOURCE_FAILS,
    "authFailAfterRedirect": Trigger.SOURCE_FAILS,
}
_RECEIVER = {
    "RefundFailWhileCreation": Trigger.REFUND_DECLINED,
    "RefundFailAfterPaymentInfo": Trigger.REFUND_CLOSED_AFTER_DETAILS,
    "SourceCreationFail": Trigger.SOURCE_FAILS,
    "SourceFailWithDelay": Trigger.SOURCE_FAILS,
}
_LAST_NAMES: dict[str, dict[str, Trigger]] = {
    "googlePay": {
        "RefundFail": Trigger.REFUND_DECLINED,
        "SourceFail": Trigger.SOURCE_FAILS,
        "ChargeFail": Trigger.SOURCE_FAILS,
        "SCATestFail": Trigger.SOURCE_FAILS,
        "CaptureFail": Trigger.CAPTURE_FAILS,
        "CancelFail": Trigger.CANCEL_FAILS,
    },
    "payPal": _PAYPAL,
    "payPalBilling": _PAYPAL,
    "payPalCredit": _PAYPAL,
    "directDebit": {
        "RefundFail": Trigger.REFUND_DECLINED,
        "RefundFailedAfterPending": Trigger.REFUND_CLOSED_LATE,
        "SourceFail": Trigger.SOURCE_FAILS,
        "SourceFailAfterRedirect": Trigger.SOURCE_FAILS,
        "ChargeFail": Trigger.SOURCE_FAILS,
        "ChargeRemainPending": Trigger.CHARGE_WAITS,
        "ChargeFailedAfterPending": Trigger.CHARGE_FAILS_LATE,
    },
    "klarnaCredit": {
        "RefundFail": Trigger.REFUND_DECLINED,
        "SourceCreationFail": Trigger.SOURCE_FAILS,
        "ChargeCreationFail": Trigger.SOURCE_FAILS,
    },
    "alipay": _ALIPAY,
    "alipayCn": _ALIPAY,
    "customerCredit": {"RefundFail": Trigger.REFUND_DECLINED},
} | dict.fromkeys(BANK_DETAIL_SOURCES, _RECEIVER)

WAITING_CHARGES = frozenset({Trigger.CHARGE_WAITS, Trigger.CHARGE_FAILS_LATE})

_AT_ONCE: dict[tuple[OperationKind, Trigger], str] = {
    (OperationKind.CAPTURE, Trigger.CAPTURE_FAILS): "declined",
    (OperationKind.CANCEL, Trigger.CANCEL_FAILS): "declined",
    (OperationKind.REFUND, Trigger.REFUND_CARD_EXPIRED): "expired_or_canceled_card",
    (OperationKind.REFUND, Trigger.REFUND_DECLINED): "declined",
}
_LATE: dict[tuple[OperationKind, Trigger], str] = {
    (OperationKind.AUTHORIZE, Trigger.CHARGE_FAILS_LATE): "declined",
    (OperationKind.CAPTURE, Trigger.CAPTURE_FAILS_LATE): "declined",
    (OperationKind.REFUND, Trigger.REFUND_FROZEN_LATE): "account_frozen",
    (OperationKind.REFUND, Trigger.REFUND_CLOSED_LATE): "account_closed",
}
_FOR_EVER = frozenset(
    {
        (OperationKind.AUTHORIZE, Trigger.CHARGE_WAITS),
        (OperationKind.CAPTURE, Trigger.CAPTURE_WAITS),
    }
)


def find_card(number: str) -> Card | None:
    """The test card with this number, spaces ignored."""
    return CARDS.get(number.replace(" ", ""))


def owner_trigger(source_type: str, last_name: str | None) -> Trigger | None:
    """What a source does because of its owner's last name, case-sensitive."""
    return _LAST_NAMES.get(source_type, {}).get(last_name or "")


def decide(submission: Submission, delay: timedelta) -> Outcome:
    """The outcome that the source's trigger calls for; delay: of what fails late."""
    trigger = Trigger(submission.trigger) if submission.trigger else None
    if submission.bank_details is not None and submission.source_type not in BANK_DETAIL_SOURCES:
        # It goes to an account in place of the source, which has no say in it.
        return Settled()
    if trigger is not None:
        case = (submission.kind, trigger)
        if case in _AT_ONCE:
            return Declined(Failure(reason=_AT_ONCE[case]))
        if case in _FOR_EVER:
            return InProgress()
        if case in _LATE:
            left = submission.first_attempt_at + delay - submission.now
            if left > timedelta():
                return InProgress(ask_again=left)
            return Declined(Failure(reason=_LATE[case]))
    if submission.kind is OperationKind.REFUND and submission.source_type in BANK_DETAIL_SOURCES:
        if submission.bank_details is None:
            return NeedsInformation()
        if trigger is Trigger.REFUND_CLOSED_AFTER_DETAILS:
            return Declined(Failure(reason="account_closed"))
    return Settled()


class SandboxConnector:
    """The connector of test mode."""

    name = "sandbox"

    def __init__(self, delay: timedelta) -> None:
        self._delay = delay

    async def submit(self, submission: Submission) -> Outcome:
        """Decide at once."""
        return decide(submission, self._delay)
