"""What each event type tells, which resource it carries, and how events follow each other.

The event reference and the subscriptions of webhooks are made from these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from refundry.domain.event import EventType


class Resource(StrEnum):
    """What `data.object` of an event is; the value is the name of its schema."""

    REFUND = "Refund"
    RETURN = "Return"
    ORDER = "Order"
    CHARGE = "Charge"
    FULFILLMENT = "Fulfillment"
    SALES_TRANSACTION = "SalesTransaction"


@dataclass(frozen=True, slots=True)
class Emission:
    """An event type: what it carries, and when it is sent (a sentence in Markdown)."""

    resource: Resource
    when: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What happens to an order with one card charge, and the events of it, in their order."""

    name: str
    types: tuple[EventType, ...]
    note: str = ""


def _charge(when: str) -> Emission:
    return Emission(Resource.CHARGE, when)


def _order(when: str) -> Emission:
    return Emission(Resource.ORDER, when)


def _refund(when: str) -> Emission:
    return Emission(Resource.REFUND, when)


def _return(when: str) -> Emission:
    return Emission(Resource.RETURN, when)


E = EventType

EMISSIONS: Mapping[EventType, Emission] = {
    E.REFUND_CREATED: _refund("A refund was asked for, by `POST /refunds` or by a return."),
    E.REFUND_PENDING: _refund("With `refund.created`; again once bank details have come."),
    E.REFUND_PENDING_INFORMATION: _refund("The shopper must say where the money is to go."),
    E.REFUND_COMPLETE: _refund("It is `succeeded`: paid, in full or in part."),
    E.REFUND_FAILED: _refund("It is `failed` or `expired`; also when its payment is undone later."),
    E.REFUND_UPDATED: _refund("Its metadata changed, or a part of it was undone later."),
    E.RETURN_CREATED: _return("Goods were announced to come back."),
    E.RETURN_UPDATED: _return("Some units arrived, or its metadata or location changed."),
    E.RETURN_ACCEPTED: _return("Its last unit arrived; its refunds follow."),
    E.ORDER_PENDING_PAYMENT: _order("It waits for its payment."),
    E.ORDER_REVIEW_OPENED: _order("It waits for a fraud review."),
    E.ORDER_BLOCKED: _order("The fraud check stopped it."),
    E.ORDER_ACCEPTED: _order("It is paid for and may be fulfilled."),
    E.ORDER_UPDATED: _order("`metadata`, `upstreamId` or `requestToBeForgotten` changed."),
    E.ORDER_CANCELLED: _order("All of its units were given up, or its payment failed."),
    E.ORDER_FULFILLED: _order("None of its units is left to be fulfilled or given up."),
    E.ORDER_COMPLETE: _order("It is fulfilled, and all captures and cancels have ended."),
    E.ORDER_REFUNDED: _order("A refund of it is `succeeded`, in full or in part."),
    E.ORDER_DISPUTE: _order("A bank opened a dispute, the first that is open."),
    E.ORDER_DISPUTE_RESOLVED: _order("The last open dispute closed, won or lost."),
    E.ORDER_CHARGEBACK: _order("A dispute was lost and the bank took money back."),
    E.CHARGE_PENDING: _charge("It waits for the shopper or the bank."),
    E.CHARGE_CAPTURABLE: _charge("Its money is authorised and can be captured."),
    E.CHARGE_PROCESSING: _charge("Its first capture is under way."),
    E.CHARGE_COMPLETE: _charge("All of it is captured or given up."),
    E.CHARGE_CANCELLED: _charge("All of it was given up."),
    E.CHARGE_FAILED: _charge("It was refused."),
    E.CAPTURE_PENDING: _charge("A capture was made and waits for its processor."),
    E.CAPTURE_COMPLETE: _charge("A capture brought its money in."),
    E.CAPTURE_FAILED: _charge("A capture was refused."),
    E.CANCEL_PENDING: _charge("A cancel was made and waits for its processor."),
    E.CANCEL_COMPLETE: _charge("A cancel released its money."),
    E.CANCEL_FAILED: _charge("A cancel was refused."),
    E.CHARGE_REFUND_PENDING: _charge("Its part of a refund waits for its processor."),
    E.CHARGE_REFUND_COMPLETE: _charge("Its part of a refund was paid."),
    E.CHARGE_REFUND_FAILED: _charge("Its part of a refund was refused, expired or undone."),
    E.FULFILLMENT_CREATED: Emission(
        Resource.FULFILLMENT, "Units were shipped or given up, by `POST /fulfillments`."
    ),
    E.SALES_TRANSACTION_CREATED: Emission(
        Resource.SALES_TRANSACTION, "A chargeback took money from a line."
    ),
}

_ASKED = (E.REFUND_CREATED, E.REFUND_PENDING, E.CHARGE_REFUND_PENDING)
_PAID = (E.CHARGE_REFUND_COMPLETE, E.REFUND_COMPLETE, E.ORDER_REFUNDED)
_REFUSED = (E.CHARGE_REFUND_FAILED, E.REFUND_FAILED)

FLOWS = (
    Flow(
        "an order is fulfilled in full",
        (
            E.FULFILLMENT_CREATED, E.CAPTURE_PENDING, E.CHARGE_PROCESSING, E.ORDER_FULFILLED,
            E.CAPTURE_COMPLETE, E.CHARGE_COMPLETE, E.ORDER_COMPLETE,
        ),
    ),
    Flow("a refund is paid", (*_ASKED, *_PAID)),
    Flow("a refund is refused", (*_ASKED, *_REFUSED)),
    Flow(
        "a refund needs bank details, which come",
        (*_ASKED, E.REFUND_PENDING_INFORMATION, E.REFUND_PENDING, *_PAID),
    ),
    Flow(
        "a refund needs bank details, which do not come",
        (*_ASKED, E.REFUND_PENDING_INFORMATION, *_REFUSED),
    ),
    Flow("a payment is undone later", _REFUSED),
    Flow(
        "a return is accepted", (E.RETURN_ACCEPTED,), "then, for each of its refunds, as above"
    ),
    Flow(
        "a dispute is lost",
        (
            E.ORDER_DISPUTE, E.SALES_TRANSACTION_CREATED, E.ORDER_CHARGEBACK,
            E.ORDER_DISPUTE_RESOLVED,
        ),
        "one `sales_transaction.created` for each line that the bank took from",
    ),
    Flow("a dispute is won", (E.ORDER_DISPUTE, E.ORDER_DISPUTE_RESOLVED)),
)  # fmt: skip
