"""Stripe's events: whether Stripe sent one, and what it is about; pure.

Source: Stripe docs, "Receive Stripe events in your webhook endpoint" (verify manually, replay
attacks); API reference, "Types of events".
"""

import hmac
from collections.abc import Mapping
from datetime import datetime

import msgspec

from refundry.processors.contract import Forged
from refundry.processors.stripe_objects import Event

REFUND_EVENTS = frozenset(
    {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
)
DISPUTE_EVENTS = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)

_HEADER = "stripe-signature"
# What Stripe's own libraries allow between the signature's time and ours.
_TOLERANCE_SECONDS = 300
_MOST_SIGNATURES = 10


def open_event(headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> Event | None:
    """The event in a notification; None where it is none of the kind that we read. Raises Forged.

    headers: names in lower case. secret: of the webhook endpoint.
    """
    _verify(headers.get(_HEADER, ""), body, secret, now)
    try:
        return msgspec.json.decode(body, type=Event)
    except msgspec.ValidationError:
        return None  # Stripe signed it: a thin event, say.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Forged(f"the notification is no JSON: {error}") from error


def _verify(header: str, body: bytes, secret: str, now: datetime) -> None:
    """Any of the signatures may be right: while a secret is rolled, there are two."""
    if not secret:
        raise Forged("no webhook secret is set, so nothing can be verified")
    parts = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in parts if name == "t"]
    signatures = [value for name, value in parts if name == "v1"][:_MOST_SIGNATURES]
    if len(times) != 1 or not _is_time(times[0]) or not signatures:
        raise Forged("Stripe-Signature is missing or unreadable")
    signed = times[0].encode() + b"." + body
    expected = hmac.digest(secret.encode(), signed, "sha256").hex().encode()
    if not any(hmac.compare_digest(expected, one.encode()) for one in signatures):
        raise Forged("no signature in Stripe-Signature is of our webhook secret")
    if abs(now.timestamp() - int(times[0])) > _TOLERANCE_SECONDS:
        raise Forged("the notification was signed more than 5 minutes from now")


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
