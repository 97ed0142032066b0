"""Every reason for which a rule says no; `http/problems.py` words the answer to each."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class InvalidField:
    """A field holds a value that cannot be taken; `value` as it was sent."""

    parameter: str
    value: str


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that must not be sent here."""

    parameter: str


@dataclass(frozen=True, slots=True)
class AmountUnavailable:
    """More was asked for than the selection still has."""


@dataclass(frozen=True, slots=True)
class OnlyFullTax:
    """A tax-only refund must take all the tax that is left."""


@dataclass(frozen=True, slots=True)
class BelowSmallestAmount:
    """The percentage rounds to nothing."""


@dataclass(frozen=True, slots=True)
class CurrencyNotSupported:
    """The refund's currency is not the order's."""

    currency: str


@dataclass(frozen=True, slots=True)
class RefundDuringDispute:
    """The bank's case must end before money moves."""


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """The body names an order that does not exist."""

    order_id: str


@dataclass(frozen=True, slots=True)
class InvoiceUnknown:
    """The body names an invoice that no order has."""

    invoice_id: str


@dataclass(frozen=True, slots=True)
class ItemUnknown:
    """An element names a line, or a SKU, that the order does not have."""

    parameter: str
    value: str


@dataclass(frozen=True, slots=True)
class SkuAmbiguous:
    """A SKU stands on several lines, so it names none."""

    parameter: str
    sku_id: str


@dataclass(frozen=True, slots=True)
class QuantityAboveOrder:
    """A refund of more units than were ordered."""

    parameter: str


@dataclass(frozen=True, slots=True)
class FulfillmentTooLarge:
    """More units fulfilled or cancelled than are left."""

    parameter: str


@dataclass(frozen=True, slots=True)
class OrderNotSubmitted:
    """Fulfilment of an order that is not open for it yet, or is in dispute."""

    order_id: str


@dataclass(frozen=True, slots=True)
class OrderFulfilled:
    """Fulfilment of an order that has no unit left."""

    order_id: str


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """Fulfilment of a cancelled order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class OrderExists:
    """An order with this id was taken in before."""

    order_id: str


@dataclass(frozen=True, slots=True)
class SourceDeclined:
    """The payment source or its charge failed when the order came in."""


@dataclass(frozen=True, slots=True)
class ReturnDuringDispute:
    """The bank's case must end before goods are taken back."""


@dataclass(frozen=True, slots=True)
class ReturnTooLarge:
    """More units returned than were fulfilled, or accepted than were authorised."""

    parameter: str


@dataclass(frozen=True, slots=True)
class ReturnAccepted:
    """A return that is accepted as a whole does not change any more."""

    return_id: str


@dataclass(frozen=True, slots=True)
class ChargeInDispute:
    """The charge has an open dispute already."""

    order_id: str


@dataclass(frozen=True, slots=True)
class NotDisputable:
    """An order in a state in which no money can have been taken."""

    state: str


@dataclass(frozen=True, slots=True)
class DisputeClosed:
    """A dispute ends once."""

    dispute_id: str


class RetryBar(StrEnum):
    """What stands in the way of a retry."""

    UNKNOWN = "unknown"
    NOT_FAILED = "not_failed"
    RETRIED = "retried"
    DISPUTE = "dispute"
    CLOSED = "closed"
    RETURNED = "returned"
    NO_ROOM = "no_room"


@dataclass(frozen=True, slots=True)
class NotRetriable:
    """A capture or cancel that is not sent to its processor again."""

    operation_id: str
    bar: RetryBar


@dataclass(frozen=True, slots=True)
class ConcurrentUpdate:
    """The order's turn was not obtained in time."""


@dataclass(frozen=True, slots=True)
class EventUnknown:
    """The body names an event that does not exist."""

    event_id: str


@dataclass(frozen=True, slots=True)
class WebhookDisabled:
    """Nothing is delivered to a webhook that is switched off."""

    webhook_id: str


@dataclass(frozen=True, slots=True)
class KeyReused:
    """An idempotency key that was used with another request."""


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """An idempotency key whose first request is still running."""


@dataclass(frozen=True, slots=True)
class ApprovalRequired:
    """A refund above its requester's limit. draft_id: what waits; None if nothing does."""

    draft_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefundNotFailed:
    """Only what failed can be paid in another way."""

    refund_id: str


@dataclass(frozen=True, slots=True)
class RefundReplaced:
    """Another refund stands in the place of a failed one, and has not failed. other_id: which."""

    refund_id: str
    other_id: str


@dataclass(frozen=True, slots=True)
class RefundPaidAfterAll:
    """The processor says that it paid what has failed; it can only be recorded as paid."""

    refund_id: str


Refusal = (
    InvalidField
    | UnknownField
    | AmountUnavailable
    | OnlyFullTax
    | BelowSmallestAmount
    | CurrencyNotSupported
    | RefundDuringDispute
    | OrderUnknown
    | InvoiceUnknown
    | ItemUnknown
    | SkuAmbiguous
    | QuantityAboveOrder
    | FulfillmentTooLarge
    | OrderNotSubmitted
    | OrderFulfilled
    | OrderCancelled
    | OrderExists
    | SourceDeclined
    | ReturnDuringDispute
    | ReturnTooLarge
    | ReturnAccepted
    | ChargeInDispute
    | NotDisputable
    | DisputeClosed
    | NotRetriable
    | ConcurrentUpdate
    | EventUnknown
    | WebhookDisabled
    | KeyReused
    | KeyInUse
    | ApprovalRequired
    | RefundNotFailed
    | RefundReplaced
    | RefundPaidAfterAll
)
