"""Sample events, to try a webhook with: the examples of the API reference in an event."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from refundry.disputes.schemas import SalesTransaction
from refundry.domain.charge import ChargeState
from refundry.domain.event import EventType
from refundry.domain.event_catalogue import EMISSIONS, Resource
from refundry.domain.order import OrderState
from refundry.domain.refund import RefundState
from refundry.http.document import to_json
from refundry.ids import new_uuid
from refundry.orders.schemas import Charge, Fulfillment, Order
from refundry.outbox.store import StoredEvent
from refundry.refunds.schemas import Refund
from refundry.returns.schemas import Return
from refundry.tenant import Tenant

_EXAMPLES: Mapping[Resource, Mapping[str, Any]] = {
    Resource.REFUND: Refund.EXAMPLE,
    Resource.RETURN: Return.EXAMPLE,
    Resource.ORDER: Order.EXAMPLE,
    Resource.CHARGE: Charge.EXAMPLE,
    Resource.FULFILLMENT: Fulfillment.EXAMPLE,
    Resource.SALES_TRANSACTION: SalesTransaction.EXAMPLE,
}
_STATES = {
    Resource.REFUND: {state.value: state.value for state in RefundState}
    | {"created": "pending", "complete": "succeeded"},
    Resource.ORDER: {state.value: state.value for state in OrderState},
    Resource.CHARGE: {state.value: state.value for state in ChargeState},
}
_UNPAID = {"refundedAmount": 0.0, "charges": None}


def sample_event(kind: EventType, tenant: Tenant, webhook_id: str, now: datetime) -> StoredEvent:
    """An event of a type, for one webhook; it is stored nowhere. now: on the clock of the mode."""
    return StoredEvent(
        id=new_uuid(),
        type=kind.value,
        object=to_json(_object(kind, tenant)).decode(),
        previous="{}" if kind.value.endswith(".updated") else None,
        sealed_token=None,
        created_at=now,
        sequence=1,
        webhook_ids=(webhook_id,),
    )


def _object(kind: EventType, tenant: Tenant) -> dict[str, Any]:
    """The example of what the type is about, in the state that the type tells of."""
    resource = EMISSIONS[kind].resource
    found: dict[str, Any] = {**_EXAMPLES[resource], "liveMode": tenant.live}
    state = _STATES.get(resource, {}).get(kind.value.rsplit(".", 1)[-1])
    if state is not None and not _is_record(kind):
        found["state"] = state
    if resource is Resource.REFUND and found["state"] != RefundState.SUCCEEDED:
        found |= _UNPAID
    return {name: value for name, value in found.items() if value is not None}


def _is_record(kind: EventType) -> bool:
    """Whether the type tells of a capture, cancel or refund, and not of its whole charge."""
    return kind.value.count(".") > 2
