"""The shapes of events on the wire, as the reference shows them."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Struct

from refundry.http.shapes import Shown, Time, about

EXAMPLE_EVENT: dict[str, Any] = {
    "id": "7c529c7e-68e0-4679-be79-c4ca72167c21",
    "type": "refund.updated",
    "data": {
        "object": {
            "id": "re_32a00080-9cbb-4898-9ce9-69b6e709f344",
            "amount": 13.51,
            "createdTime": "2024-05-01T09:58:12Z",
            "currency": "USD",
            "items": [],
            "orderId": "256469221483",
            "reason": "requested_by_customer",
            "refundedAmount": 0.0,
            "state": "pending",
            "liveMode": False,
            "metadata": {"ticket": "CS-881"},
        },
        "previousAttributes": {"metadata": {}},
    },
    "liveMode": False,
    "createdTime": "2024-05-01T09:58:20.5Z",
    "webhookIds": ["eb83ad21-de08-4b16-b800-50b9e28d617d"],
    "sequence": 118,
    "digitalriverVersion": "2021-12-13",
}


class EventData(Struct, rename="camel"):
    """The resource that changed."""

    object: Annotated[
        dict[str, Any],
        about(
            "The resource after the change, as its GET would show it: a Refund for `refund.*`, a"
            " Return for `return.*`, a Charge for `order.charge.*`, a Fulfillment for"
            " `fulfillment.created`, a SalesTransaction for `sales_transaction.created`, an"
            " Order for every other `order.*`."
        ),
    ]
    previous_attributes: Annotated[
        Shown[dict[str, Any]],
        about("Only for `*.updated`: changed attributes with their old values, `{}` if new."),
    ] = UNSET


class Event(Struct, rename="camel"):
    """A change that was made; kept as it was at that time."""

    EXAMPLE: ClassVar[dict[str, Any]] = EXAMPLE_EVENT

    id: Annotated[str, about("A UUID.", "b9dba617-42be-4649-9b48-bfc9b52106ec")]
    type: Annotated[str, about("What happened.", "refund.pending")]
    data: EventData
    live_mode: Annotated[bool, about("The mode of the resource.")]
    created_time: Annotated[Time, about("To the microsecond; grows within a resource.")]
    webhook_ids: Annotated[list[str], about("The webhooks that were subscribed to the type.")]
    sequence: Annotated[int, about("Its place among the events of its order.")]
    digitalriver_version: Annotated[str, about("The version of the payload.", "2021-12-13")]


class EventList(Struct, rename="camel"):
    """A page of events, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"hasMore": False, "data": [EXAMPLE_EVENT]}

    has_more: Annotated[bool, about("Whether there are more in the direction of the page.")]
    data: Annotated[list[Event], about("The events of this page.")]
