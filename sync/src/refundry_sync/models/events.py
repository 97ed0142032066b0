"""Events, the webhooks that are told of them, and how that went."""

from datetime import datetime

import msgspec

from refundry_sync.models.after_sale import Return, SalesTransaction
from refundry_sync.models.orders import Charge, Fulfillment, Order
from refundry_sync.models.refunds import Refund
from refundry_sync.models.resource import Document, Part, Resource, read

Changed = Order | Charge | Fulfillment | Refund | Return | SalesTransaction
# The first that fits; events of an order's charge carry the charge.
_PREFIXES: tuple[tuple[str, type[Changed]], ...] = (
    ("order.charge.", Charge),
    ("order.", Order),
    ("refund.", Refund),
    ("return.", Return),
    ("fulfillment.created", Fulfillment),
    ("sales_transaction.", SalesTransaction),
)


class EventData(Part, frozen=True):
    """object: the resource after the change. previous_attributes: what changed, before it did."""

    object: Document
    previous_attributes: Document | None = None


class Event(Resource, frozen=True):
    """A change that was made, as it was at that time.

    sequence: its place among the events of its order, without gaps; other servers than Refundry may
    not have it.
    """

    id: str
    type: str
    data: EventData
    created_time: datetime
    live_mode: bool | None = None
    webhook_ids: tuple[str, ...] = ()
    sequence: int | None = None
    digitalriver_version: str | None = None

    def resource(self) -> Changed | None:
        """What has changed, as its model; None for a type that is not known here."""
        for prefix, model in _PREFIXES:
            if self.type.startswith(prefix):
                return read(model, self.data.object)
        return None


class Authentication(Part, frozen=True):
    """Credentials for Basic authentication."""

    user_name: str | None = None
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return "Authentication(...)"


class OAuth(Part, frozen=True):
    """How to get a bearer token."""

    token_end_point: str
    client_id: str | None = msgspec.field(default=None, name="clientID")
    client_secret: str | None = None
    grant_type: str | None = None
    user_name: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return "OAuth(...)"


class Webhook(Resource, frozen=True):
    """An address that is told of events. The API does not show its signing token."""

    id: str
    types: tuple[str, ...]
    address: str
    enabled: bool = True
    api_version: str | None = None
    transport_type: str | None = None
    live_mode: bool | None = None
    created_time: datetime | None = None
    updated_time: datetime | None = None
    authentication: Authentication | None = None
    oauth: OAuth | None = None
    expanded_types: tuple[str, ...] = ()
    failing_since: datetime | None = None
    disabled_reason: str | None = None


class Attempt(Resource, frozen=True):
    """One try to deliver one event to a webhook. state: of the delivery by now."""

    id: str
    event_id: str
    attempt: int
    time: datetime
    state: str
    duration_ms: int | None = None
    event_type: str | None = None
    status: int | None = None
    error: str | None = None
    response: str | None = None
    next_attempt_time: datetime | None = None


class Queued(Resource, frozen=True):
    """How many deliveries were queued."""

    queued: int


class NotificationReceived(Resource, frozen=True):
    """A processor's notification is taken. duplicate: it came before and has no effect."""

    received: bool = True
    duplicate: bool = False


class ClockNow(Resource, frozen=True):
    """now: the test time of the account."""

    now: datetime
