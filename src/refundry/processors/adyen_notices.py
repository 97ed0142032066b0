"""What Adyen tells by itself: standard webhooks, each item with a signature of its own.

Sources: Adyen docs, "Verify HMAC signatures", "Webhook structure and types", "Handle webhook
events", "Refund", "Capture", "Cancel", "Dispute webhooks".
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from refundry.domain.charge import Failure
from refundry.processors.contract import (
    Declined,
    Forged,
    Notice,
    NoticeKind,
    Outcome,
    ProcessorDispute,
    ProcessorRefund,
    Receipt,
    Settled,
)
from refundry.processors.exponents import our_units

# "Currency codes and minor units": those marked as different from the standard.
EXPONENTS = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}

_OURS = frozenset({"CAPTURE", "CAPTURE_FAILED", "CANCELLATION", "TECHNICAL_CANCEL"})
_REFUNDS = frozenset({"REFUND", "REFUND_FAILED", "REFUNDED_REVERSED", "CANCEL_OR_REFUND"})
# These tell of a failure whatever their `success` says: it speaks of the event.
_FAILED = frozenset({"CAPTURE_FAILED", "REFUND_FAILED", "REFUNDED_REVERSED"})

# eventCode -> the state where disputeStatus does not say more.
_DISPUTES = {
    "NOTIFICATION_OF_CHARGEBACK": "opened",
    "CHARGEBACK": "opened",
    "DISPUTE_DEFENSE_PERIOD_ENDED": "opened",
    "INFORMATION_SUPPLIED": "opened",
    "CHARGEBACK_REVERSED": "opened",
    "PREARBITRATION_OPENED": "opened",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",
    "PREARBITRATION_WON": "won",
    "PREARBITRATION_LOST": "lost",
    "SECOND_CHARGEBACK": "lost",
}
_DISPUTE_STATES = {"Won": "won", "Lost": "lost", "Accepted": "lost", "Expired": "lost"}

# Free text, but where a scheme gave a code it comes first, as in "54 : Expired Card" ("Raw acquirer
# responses"); the codes are those of ISO 8583.
_REASONS = {
    "05": "declined",
    "33": "expired_or_canceled_card",
    "36": "account_frozen",
    "41": "lost_or_stolen_card",
    "43": "lost_or_stolen_card",
    "46": "account_closed",
    "51": "insufficient_funds",
    "54": "expired_or_canceled_card",
    "57": "declined",
    "62": "account_frozen",
}
_SCHEME_CODE = re.compile(r"([0-9A-Z]{2}) ?:", re.ASCII)
# "Refund": the payment has less left than was asked for, so it is Adyen that says no.
_DECLINES = frozenset({"Insufficient balance on payment"})


@dataclass(frozen=True, slots=True)
class NoticeKeys:
    """What a webhook of ours is verified by. hmac_keys: in hexadecimal, the old one too while keys
    change; user, password: of its basic authentication, empty where it has none."""

    merchant_account: str
    live: bool
    hmac_keys: tuple[str, ...] = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


class _Amount(msgspec.Struct):
    value: int
    currency: str


class _Item(msgspec.Struct, rename="camel"):
    event_code: str
    psp_reference: str
    merchant_account_code: str
    amount: _Amount
    success: str
    event_date: datetime
    original_reference: str | None = None
    merchant_reference: str | None = None
    reason: str | None = None
    additional_data: dict[str, str] = {}


class _Wrapped(msgspec.Struct):
    item: _Item = msgspec.field(name="NotificationRequestItem")


class _Message(msgspec.Struct, rename="camel"):
    live: str
    notification_items: list[_Wrapped]


def read_notices(keys: NoticeKeys, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
    """The notices in a webhook; raises Forged unless every item is signed for this account."""
    _check_sender(keys, headers)
    try:
        message = msgspec.json.decode(body, type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Forged(f"not a webhook of Adyen: {error}"[:300]) from error
    if message.live != ("true" if keys.live else "false"):
        raise Forged(f"live is {message.live!r}")
    items = [wrapped.item for wrapped in message.notification_items]
    for item in items:
        _check_item(keys, item)
    return [_notice(item) for item in items]


def signature(key: str, signed: str) -> str:
    """The signature of what an item signs, in base64. key: in hexadecimal; raises ValueError."""
    digest = hmac.new(binascii.unhexlify(key), signed.encode(), hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def _check_sender(keys: NoticeKeys, headers: Mapping[str, str]) -> None:
    if not keys.user:
        return
    pair = f"{keys.user}:{keys.password}".encode()
    expected = b"Basic " + base64.b64encode(pair)
    if not hmac.compare_digest(expected, headers.get("authorization", "").encode()):
        raise Forged("wrong user or password")


def _check_item(keys: NoticeKeys, item: _Item) -> None:
    before = [item.psp_reference, item.original_reference or "", item.merchant_account_code]
    after = [str(item.amount.value), item.amount.currency, item.event_code, item.success]
    # Colons are not escaped: only our own reference may have them, or what was signed as one
    # field could be shown as two.
    if any(":" in part for part in before + after):
        raise Forged("a colon where none belongs")
    signed = ":".join([*before, item.merchant_reference or "", *after])
    given = item.additional_data.get("hmacSignature", "").encode()
    matches = [
        hmac.compare_digest(signature(key, signed).encode(), given) for key in keys.hmac_keys
    ]
    if not any(matches):
        raise Forged("the signature does not match")
    if item.merchant_account_code != keys.merchant_account:
        raise Forged(f"for the merchant account {item.merchant_account_code!r}"[:200])


def _notice(item: _Item) -> Notice:
    # A repeat has the same event code, reference and success ("Handle webhook events", duplicates).
    identity = f"{item.event_code}:{item.psp_reference}:{item.success}"
    code = item.event_code
    key = item.merchant_reference or None
    amount = our_units(item.amount.value, item.amount.currency, EXPONENTS)
    if code in _DISPUTES and amount is not None:
        status = item.additional_data.get("disputeStatus", "")
        dispute = _dispute(item, amount, status)
        return Notice(f"{identity}:{status}", NoticeKind.DISPUTE, code, dispute=dispute)
    if code == "CANCEL_OR_REFUND" and item.additional_data.get("modification.action") == "cancel":
        return Notice(identity, NoticeKind.OUTCOME, code, key, _outcome(item, amount))
    if code in _OURS:
        return Notice(identity, NoticeKind.OUTCOME, code, key, _outcome(item, amount))
    if code in _REFUNDS and amount is not None:
        refund = _refund(item, amount)
        return Notice(identity, NoticeKind.REFUND, code, key, refund.outcome, refund)
    return Notice(identity, NoticeKind.OTHER, code)


def _outcome(item: _Item, amount: int | None) -> Outcome:
    receipt = Receipt(
        reference=item.psp_reference,
        message=item.reason or None,
        arn=item.additional_data.get("arn"),
        amount=amount,
        currency=item.amount.currency,
    )
    if item.event_code in _FAILED or item.success != "true":
        return Declined(_failure(item), receipt)
    return Settled(receipt)


def _failure(item: _Item) -> Failure:
    words = item.reason or Failure().message
    raw = _SCHEME_CODE.match(item.additional_data.get("refusalReasonRaw") or item.reason or "")
    if raw is None:
        reason = "declined" if item.reason in _DECLINES else "unknown"
        return Failure(item.event_code, words[:500], reason)
    return Failure(raw[1], words[:500], _REASONS.get(raw[1], "unknown"))


def _refund(item: _Item, amount: int) -> ProcessorRefund:
    return ProcessorRefund(
        reference=item.psp_reference,
        payment=item.original_reference or "",
        key=item.merchant_reference or None,
        amount=amount,
        currency=item.amount.currency,
        created_at=item.event_date,
        outcome=_outcome(item, amount),
    )


def _dispute(item: _Item, amount: int, status: str) -> ProcessorDispute:
    state = _DISPUTES[item.event_code]
    if state == "opened":
        state = _DISPUTE_STATES.get(status, state)
    return ProcessorDispute(
        reference=item.psp_reference,
        payment=item.original_reference or "",
        state=state,
        amount=amount,
        currency=item.amount.currency,
        reason=item.additional_data.get("chargebackReasonCode") or item.reason or "",
        respond_by=_time(item.additional_data.get("defensePeriodEndsAt")),
    )


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
