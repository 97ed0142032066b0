"""What the adapter of the `http` processor tells by itself: verified, then read; pure.

Source: contract, disputes and chargebacks, section 5; docs/processors/http.md.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from refundry.processors.contract import (
    Forged,
    Notice,
    NoticeKind,
    ProcessorDispute,
    ProcessorRefund,
)
from refundry.processors.http_protocol import (
    ListedRefund,
    Unreadable,
    outcome_of,
    read_listed,
    receipt_of,
)
from refundry.processors.signature import HEADER, verify

_OPERATIONS = frozenset({"capture", "cancel", "refund"})
_STATES = frozenset({"complete", "failed", "pending", "pending_information"})
_DISPUTES = {"dispute.opened": "opened", "dispute.won": "won", "dispute.lost": "lost"}


class _Data(ListedRefund, rename="camel"):
    """What a notification is about. The state stands in its type; `processorReference` is of a
    dispute, `reference` of an operation."""

    state: str = ""
    processor_reference: str | None = None
    reason: str | None = None
    respond_by: datetime | None = None


class _Notification(msgspec.Struct):
    id: str
    type: str
    data: _Data


def read_notices(
    headers: Mapping[str, str], body: bytes, secret: str, now: datetime
) -> Sequence[Notice]:
    """The one notice in a notification. Raises Forged, also where it cannot be read.

    headers: names in lower case.
    """
    if not verify(secret, headers.get(HEADER.lower()), body, now=now.timestamp()):
        raise Forged(f"{HEADER} is missing, not of our secret, or more than 300 seconds off")
    try:
        told = msgspec.json.decode(body, type=_Notification)
        return [_notice(told)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Unreadable) as error:
        raise Forged(f"the notification is not of the documented form: {error}"[:500]) from error


def _notice(told: _Notification) -> Notice:
    kind, _, state = told.type.partition(".")
    if told.type in _DISPUTES:
        return _dispute_notice(told)
    if kind not in _OPERATIONS or state not in _STATES:
        return Notice(told.id, NoticeKind.OTHER, told.type)
    data = msgspec.structs.replace(told.data, state=state)
    outcome = outcome_of(data)
    if data.operation_id is None:
        return Notice(
            told.id, NoticeKind.REFUND, told.type, outcome=outcome, refund=read_listed(data)
        )
    refund = _refund(data) if kind == "refund" else None
    return Notice(told.id, NoticeKind.OUTCOME, told.type, data.operation_id, outcome, refund)


def _refund(data: _Data) -> ProcessorRefund | None:
    """A refund of ours, where the notification says all of it."""
    try:
        return read_listed(data)
    except Unreadable:
        return None


def _dispute_notice(told: _Notification) -> Notice:
    """A dispute is told by its payment and an amount with its currency; what says less of it (the
    first form of the protocol, by `chargeId`) is none that we can place."""
    data = told.data
    if not data.processor_reference or not data.payment or data.currency is None:
        return Notice(told.id, NoticeKind.OTHER, told.type)
    receipt = receipt_of(data)
    assert receipt.amount is not None
    assert receipt.currency is not None
    dispute = ProcessorDispute(
        reference=data.processor_reference,
        payment=data.payment,
        state=_DISPUTES[told.type],
        amount=receipt.amount,
        currency=receipt.currency,
        reason=data.reason or "",
        respond_by=data.respond_by,
    )
    return Notice(told.id, NoticeKind.DISPUTE, told.type, dispute=dispute)
