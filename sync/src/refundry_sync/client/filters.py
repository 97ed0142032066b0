"""The filters of the lists, as typed arguments, and how they are written in a query.

A range is written with its operator at the end: `created_time_gte=`, `amount_lt=`; without one, it
is equality. Times have a zone (or are texts in the API's own form), numbers are Decimal or int.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypedDict

from refundry_sync.client.call import Query

Time = datetime | date | str
Number = Decimal | int

_OPERATORS = ("gte", "gt", "lte", "lt")
# Where the API's name is not ours in camel case.
_NAMES = {
    "page_size": "limit",
    "in_review": "in_review",
    "pending_payment": "pending_payment",
    "fraud_blocked": "fraudStateTransitions.blocked",
    "fraud_review_opened": "fraudStateTransitions.review_opened",
    "fraud_passed": "fraudStateTransitions.passed",
}


class Paging(TypedDict, total=False):
    """page_size: how many are asked for at once; an iterator goes on through all pages.

    starting_after: begins after the object of this id. ending_before: goes from the object of this
    id towards the newest, oldest first.
    """

    page_size: int
    starting_after: str | None
    ending_before: str | None


class CreatedTime(TypedDict, total=False):
    created_time: Time
    created_time_gt: Time
    created_time_gte: Time
    created_time_lt: Time
    created_time_lte: Time


class UpdatedTime(TypedDict, total=False):
    updated_time: Time
    updated_time_gt: Time
    updated_time_gte: Time
    updated_time_lt: Time
    updated_time_lte: Time


class StateTimes(TypedDict, total=False):
    """When an order entered a state."""

    in_review: Time
    in_review_gt: Time
    in_review_gte: Time
    in_review_lt: Time
    in_review_lte: Time
    pending_payment: Time
    pending_payment_gt: Time
    pending_payment_gte: Time
    pending_payment_lt: Time
    pending_payment_lte: Time
    accepted: Time
    accepted_gt: Time
    accepted_gte: Time
    accepted_lt: Time
    accepted_lte: Time
    blocked: Time
    blocked_gt: Time
    blocked_gte: Time
    blocked_lt: Time
    blocked_lte: Time
    cancelled: Time
    cancelled_gt: Time
    cancelled_gte: Time
    cancelled_lt: Time
    cancelled_lte: Time
    fulfilled: Time
    fulfilled_gt: Time
    fulfilled_gte: Time
    fulfilled_lt: Time
    fulfilled_lte: Time
    complete: Time
    complete_gt: Time
    complete_gte: Time
    complete_lt: Time
    complete_lte: Time
    returned: Time
    returned_gt: Time
    returned_gte: Time
    returned_lt: Time
    returned_lte: Time


class FraudTimes(TypedDict, total=False):
    """When an order passed through the fraud check."""

    fraud_blocked: Time
    fraud_blocked_gt: Time
    fraud_blocked_gte: Time
    fraud_blocked_lt: Time
    fraud_blocked_lte: Time
    fraud_review_opened: Time
    fraud_review_opened_gt: Time
    fraud_review_opened_gte: Time
    fraud_review_opened_lt: Time
    fraud_review_opened_lte: Time
    fraud_passed: Time
    fraud_passed_gt: Time
    fraud_passed_gte: Time
    fraud_passed_lt: Time
    fraud_passed_lte: Time


class RefundedAmount(TypedDict, total=False):
    refunded_amount: Number
    refunded_amount_gt: Number
    refunded_amount_gte: Number
    refunded_amount_lt: Number
    refunded_amount_lte: Number


class Amount(TypedDict, total=False):
    amount: Number
    amount_gt: Number
    amount_gte: Number
    amount_lt: Number
    amount_lte: Number


class OrderFilters(
    Paging, CreatedTime, UpdatedTime, StateTimes, FraudTimes, RefundedAmount, total=False
):
    expand: bool
    total_amount: Number
    total_amount_gt: Number
    total_amount_gte: Number
    total_amount_lt: Number
    total_amount_lte: Number
    ids: Collection[str]
    upstream_ids: Collection[str]
    state: str
    fraud_state: str
    customer_id: str
    checkout_id: str
    application_id: str
    email: str
    currency: str
    sku_id: str
    browser_ip: str
    charge_type: str
    subscription_id: str
    locale: str
    customer_type: str


class ChargeFilters(Paging, CreatedTime, total=False):
    ids: Collection[str]
    order_id: str
    source_id: str
    state: str


class FulfillmentFilters(Paging, CreatedTime, total=False):
    ids: Collection[str]
    order_id: str
    sku_id: str
    tracking_company: str
    tracking_number: str


class RefundFilters(Paging, CreatedTime, Amount, RefundedAmount, total=False):
    ids: Collection[str]
    order_id: str
    state: str
    reason: str
    failure_reason: str
    sku_id: str


class ReturnFilters(Paging, CreatedTime, total=False):
    ids: Collection[str]
    order_id: str
    state: str
    sku_id: str


class DisputeFilters(Paging, CreatedTime, total=False):
    ids: Collection[str]
    order_id: str
    state: str


class SalesTransactionFilters(Paging, CreatedTime, Amount, total=False):
    sale_time: Time
    sale_time_gt: Time
    sale_time_gte: Time
    sale_time_lt: Time
    sale_time_lte: Time
    quantity: Number
    quantity_gt: Number
    quantity_gte: Number
    quantity_lt: Number
    quantity_lte: Number
    digital_river_share: Number
    digital_river_share_gt: Number
    digital_river_share_gte: Number
    digital_river_share_lt: Number
    digital_river_share_lte: Number
    payout_amount: Number
    payout_amount_gt: Number
    payout_amount_gte: Number
    payout_amount_lt: Number
    payout_amount_lte: Number
    ids: Collection[str]
    type: str
    currency: str
    order_id: str
    order_upstream_id: str
    sku_id: str
    payment_type: str
    sales_summary_id: str


class EventFilters(Paging, CreatedTime, total=False):
    """type may hold `*` for any text; types are exact, at most 20; not both."""

    type: str
    types: Collection[str]


class WebhookFilters(TypedDict, total=False):
    """Webhooks that subscribe to a type (`*` for any text), or to one of the types."""

    type: str
    types: Collection[str]


class AttemptFilters(Paging, total=False):
    event_id: str
    state: str


def query_of(filters: Mapping[str, object], *, page_size: int | None = None) -> Query:
    """The query of a list; None counts as absent. page_size: unless the filters say another."""
    given = {name: value for name, value in filters.items() if value is not None}
    if page_size is not None:
        given.setdefault("page_size", page_size)
    if "starting_after" in given and "ending_before" in given:
        raise ValueError("only one of starting_after and ending_before")
    return tuple(
        (parameter(name), text) for name, value in given.items() for text in _texts(name, value)
    )


def parameter(name: str) -> str:
    """The API's name of an argument: created_time_gte is createdTime[gte]."""
    plain, _, operator = name.rpartition("_")
    if plain and operator in _OPERATORS:
        return f"{parameter(plain)}[{operator}]"
    first, *rest = name.split("_")
    return _NAMES.get(name) or first + "".join(map(str.capitalize, rest))


def _texts(name: str, value: object) -> list[str]:
    """The values of one parameter, as many as it is to be sent with."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Collection):
        texts = [str(each) for each in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not texts:
            # Sent as no filter at all, it would find everything.
            raise ValueError(f"{name} is empty")
        return texts
    return [_text(name, value)]


def _text(name: str, value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            return time_text(value)
        case date():
            return value.isoformat()
        case int():
            return str(value)
        case Decimal() if value.is_finite():
            return f"{value:f}"
        case _:
            raise TypeError(f"{name}: {value!r} cannot be sent")


def time_text(time: datetime) -> str:
    """A time as the API wants it: UTC, with Z. Raises ValueError without a zone."""
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
