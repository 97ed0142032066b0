"""PayPal's webhooks: PayPal says whether it sent one, and what is so now.

Sources: PayPal developer docs, "Verify webhook signature" (Webhooks API), "Webhook event names",
"Disputes API v1".
"""

from collections.abc import Mapping, Sequence

import msgspec

from refundry.processors.contract import Forged, Notice, NoticeKind
from refundry.processors.paypal_api import PayPalApi, Refusal
from refundry.processors.paypal_reading import (
    Dispute,
    Refund,
    listed_refund,
    read_dispute,
    read_refund,
)

_REFUNDS = frozenset(
    {"PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED"}
)
_DISPUTES = frozenset(
    {"CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED"}
)

# The header of each field of the question.
_HEADERS = {
    "auth_algo": "paypal-auth-algo",
    "cert_url": "paypal-cert-url",
    "transmission_id": "paypal-transmission-id",
    "transmission_sig": "paypal-transmission-sig",
    "transmission_time": "paypal-transmission-time",
}


class _Resource(msgspec.Struct):
    id: str | None = None
    dispute_id: str | None = None


class _Event(msgspec.Struct):
    id: str
    event_type: str
    resource: _Resource


class _Verdict(msgspec.Struct):
    verification_status: str


async def read_notices(
    api: PayPalApi, webhook_id: str, headers: Mapping[str, str], body: bytes
) -> Sequence[Notice]:
    """The notice in a webhook. Raises Forged, and OSError where PayPal cannot be asked."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Forged(f"not a webhook of PayPal: {error}"[:300]) from error
    await _verify(api, webhook_id, headers, body)
    try:
        return [await _confirmed(api, event)]
    except (Refusal, msgspec.DecodeError) as error:
        raise OSError(f"PayPal does not confirm it: {error}"[:300]) from error


async def _verify(api: PayPalApi, webhook_id: str, headers: Mapping[str, str], body: bytes) -> None:
    missing = [header for header in _HEADERS.values() if header not in headers]
    if missing:
        raise Forged(f"without {', '.join(missing)}")
    question: dict[str, object] = {name: headers[header] for name, header in _HEADERS.items()}
    question["webhook_id"] = webhook_id
    # As it came, byte by byte: the signature is over a checksum of the body.
    question["webhook_event"] = msgspec.Raw(body)
    try:
        answer = await api.verify(msgspec.json.encode(question).decode())
        verdict = msgspec.json.decode(answer, type=_Verdict)
    except (Refusal, msgspec.DecodeError) as error:
        raise OSError(f"PayPal does not verify it: {error}"[:300]) from error
    if verdict.verification_status != "SUCCESS":
        raise Forged("PayPal says that it did not send this")


async def _confirmed(api: PayPalApi, event: _Event) -> Notice:
    if event.event_type in _REFUNDS and event.resource.id:
        refund = msgspec.json.decode(await api.find_refund(event.resource.id), type=Refund)
        outcome, listed = read_refund(refund), listed_refund(refund)
        key = refund.custom_id
        return Notice(event.id, NoticeKind.REFUND, event.event_type, key, outcome, listed)
    if event.event_type in _DISPUTES and event.resource.dispute_id:
        text = await api.find_dispute(event.resource.dispute_id)
        dispute = read_dispute(msgspec.json.decode(text, type=Dispute))
        if dispute is not None:
            return Notice(event.id, NoticeKind.DISPUTE, event.event_type, dispute=dispute)
    return Notice(event.id, NoticeKind.OTHER, event.event_type)
