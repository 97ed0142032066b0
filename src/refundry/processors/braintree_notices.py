"""Braintree's webhooks: signed with the keys of the gateway, and confirmed by asking it.

Sources: Braintree docs, "Webhooks: Parse", "Transaction" and "Dispute" (webhooks).
"""

from collections.abc import Sequence
from urllib.parse import parse_qs

from refundry.processors.braintree_api import BraintreeApi, Event, Missing, NotAllowed
from refundry.processors.braintree_reading import listed_refund, read_dispute, read_refund
from refundry.processors.contract import Forged, Notice, NoticeKind

_TRANSACTIONS = frozenset(
    {"refund_failed", "transaction_settled", "transaction_settlement_declined"}
)
_DISPUTES = "dispute_"


async def read_notices(api: BraintreeApi, body: bytes) -> Sequence[Notice]:
    """The notice in a webhook. Raises Forged, and OSError where Braintree cannot be asked."""
    event = _verified(api, body)
    try:
        return [await _confirmed(api, event)]
    except (Missing, NotAllowed) as error:
        raise OSError(f"Braintree does not confirm it: {error}"[:300]) from error


def _verified(api: BraintreeApi, body: bytes) -> Event:
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError as error:
        raise Forged(f"not a webhook of Braintree: {error}"[:300]) from error
    signatures, payloads = form.get("bt_signature", []), form.get("bt_payload", [])
    if len(signatures) != 1 or len(payloads) != 1:
        raise Forged("without one bt_signature and one bt_payload")
    try:
        return api.read_event(signatures[0], payloads[0])
    except ValueError as error:
        raise Forged(f"not signed by Braintree: {error}"[:300]) from error


async def _confirmed(api: BraintreeApi, event: Event) -> Notice:
    # A webhook has no id of its own; its time is that of the event, the same each time it is sent.
    identity = f"{event.kind}:{event.transaction or event.dispute}:{event.timestamp.isoformat()}"
    if event.kind in _TRANSACTIONS and event.transaction:
        found = await api.find(event.transaction)
        if found.type == "credit" and found.refunded_id:
            outcome, listed = read_refund(found), listed_refund(found)
            key = found.order_id
            return Notice(identity, NoticeKind.REFUND, event.kind, key, outcome, listed)
    if event.kind.startswith(_DISPUTES) and event.dispute:
        dispute = read_dispute(await api.find_dispute(event.dispute))
        if dispute is not None:
            return Notice(identity, NoticeKind.DISPUTE, event.kind, dispute=dispute)
    return Notice(identity, NoticeKind.OTHER, event.kind)
