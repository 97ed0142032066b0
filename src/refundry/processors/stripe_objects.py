"""What Stripe answers, as far as we read it. Amounts are in Stripe's own minor units.

Source: Stripe API reference, "The Refund object", "The PaymentIntent object", "The Dispute
object", "The Event object", "Pagination".
"""

from typing import Any

import msgspec

OPERATION = "refundry_operation"
"""The name in Stripe's metadata that our operation's id stands under."""


class Named(msgspec.Struct, frozen=True):
    """An object that was expanded in place of its id."""

    id: str


def id_of(reference: str | Named | None) -> str | None:
    """The id of another object, expanded or not."""
    return reference.id if isinstance(reference, Named) else reference


class CardDestination(msgspec.Struct, frozen=True):
    """Where a card's refund can be traced. reference_type: what `reference` is."""

    reference: str | None = None
    reference_type: str | None = None


class Destination(msgspec.Struct, frozen=True):
    """Where a refund went."""

    card: CardDestination | None = None


class Refund(msgspec.Struct, frozen=True):
    """A refund. status: pending, requires_action, succeeded, failed or canceled."""

    id: str
    amount: int
    currency: str
    created: int
    status: str | None = None
    charge: str | Named | None = None
    payment_intent: str | Named | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None
    pending_reason: str | None = None
    destination_details: Destination | None = None

    @property
    def key(self) -> str | None:
        """Our operation's id, where it is ours."""
        return (self.metadata or {}).get(OPERATION)


class RefundPage(msgspec.Struct, frozen=True):
    """Some refunds of a list, newest first."""

    data: list[Refund]
    has_more: bool


class Payment(msgspec.Struct, frozen=True):
    """A PaymentIntent. amount_received: what was captured."""

    id: str
    status: str
    amount: int
    currency: str
    amount_received: int = 0
    amount_capturable: int = 0
    metadata: dict[str, str] | None = None

    @property
    def key(self) -> str | None:
        """The id of our capture, where it was ours."""
        return (self.metadata or {}).get(OPERATION)


class Evidence(msgspec.Struct, frozen=True):
    """Until when a dispute may be answered, in Unix seconds."""

    due_by: int | None = None


class Dispute(msgspec.Struct, frozen=True):
    """A dispute of a charge."""

    id: str
    amount: int
    currency: str
    status: str
    reason: str
    charge: str | Named | None = None
    payment_intent: str | Named | None = None
    evidence_details: Evidence | None = None


class EventData(msgspec.Struct, frozen=True):
    """What an event is about, as it was when it was made."""

    object: dict[str, Any]


class Event(msgspec.Struct, frozen=True):
    """An event: id is the same each time it is sent."""

    id: str
    type: str
    data: EventData


class Endpoint(msgspec.Struct, frozen=True):
    """A webhook endpoint. status: enabled or disabled."""

    url: str
    status: str
    enabled_events: list[str]


class EndpointPage(msgspec.Struct, frozen=True):
    """Webhook endpoints of the account."""

    data: list[Endpoint]
