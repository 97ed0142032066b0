"""What a webhook may be set to: event types, API versions, transports."""

from enum import StrEnum

from refundry.domain.event import EventType
from refundry.tenant import VERSIONS

# Types of other systems' events. Refundry never emits them; it takes subscriptions to them, so that
# a webhook's definition can be moved here as it is. By prefix, what follows it.
_NEVER_EMITTED = {
    "account.update": "failure success",
    "checkout": "created deleted updated",
    "checkout_session.order": "create created",
    "customer": "created deleted updated",
    "customer.invoice_attribute": "created",
    "customer.source": "created deleted",
    "customer.tax_identifier": "created",
    "fee": "created deleted updated",
    "fileLink": "created deleted updated",
    "fulfiller": "created deleted updated",
    "fulfillment": "create",
    "fulfillment_cancellation": "accepted created rejected",
    "fulfillment_order": "backordered cancelled pending shipped",
    "fulfillment_return": "accepted created pending rejected",
    "global_returns": "accepted canceled created scanned",
    "global_returns.label": "created",
    "invoice": "created open paid payment_failed uncollectible updated void",
    "invoice_attribute": "created deleted",
    "location": "created deleted updated",
    "logistics_return": "received",
    "manufacturer": "created deleted updated",
    "order": "created review_closed submitted",
    "order.charge": "completed created",
    "order.charge.cancel": "pending_information",
    "order.charge.capture": "completed created",
    "order.charge.reauth": "failed",
    "order.charge.refund": "completed created",
    "order.credit_memo": "created",
    "order.invoice": "created",
    "payout": "created",
    "plan": "created deleted updated",
    "refund": "succeeded",
    "sku": "created deleted updated",
    "source": "chargeable created",
    "subscription": "created deleted extended failed lapsed payment_failed reminder"
    " source_invalid updated",
    "tax_identifier": "deleted not_valid pending updated verified",
}

SUBSCRIBABLE = (
    *(each.value for each in EventType),
    *(f"{prefix}.{name}" for prefix, names in _NEVER_EMITTED.items() for name in names.split()),
)
"""Every type that a webhook may subscribe to, those that are emitted first."""

EXPANDABLE = (
    EventType.ORDER_ACCEPTED.value,
    EventType.ORDER_CANCELLED.value,
    EventType.ORDER_REFUNDED.value,
    EventType.FULFILLMENT_CREATED.value,
)
"""The types whose payload can show more of each item's product."""

API_VERSIONS = ("default", "latest", *VERSIONS)
"""default: the version of the account's secret key of the mode; latest: the newest one."""


class Transport(StrEnum):
    """How the receiver is authenticated to: HTTP, perhaps with Basic, or OAuth's bearer tokens."""

    HTTP = "HTTP"
    OAUTH = "OAUTH"


class Grant(StrEnum):
    """How a bearer token is asked for."""

    PASSWORD = "password"  # noqa: S105 - the name of a grant
    CLIENT_CREDENTIALS = "client_credentials"


class DeliveryState(StrEnum):
    """What became of one event for one webhook."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"
    DROPPED = "dropped"
