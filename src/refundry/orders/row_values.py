"""What the columns of stored orders and operations hold, however their rows are written."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from refundry.domain.charge import Operation
from refundry.domain.order import Order, OrderState
from refundry.orders.store import FRAUD_STATES
from refundry.tenant import Tenant

_STATES = (
    OrderState.PENDING_PAYMENT,
    OrderState.IN_REVIEW,
    OrderState.ACCEPTED,
    OrderState.BLOCKED,
    OrderState.CANCELLED,
    OrderState.FULFILLED,
    OrderState.COMPLETE,
    OrderState.DISPUTE,
    OrderState.RETURNED,
)


def order_row(tenant: Tenant, order: Order) -> tuple[Any, ...]:
    """The columns of an order that commands change, behind its key."""
    return (
        tenant.account_id, tenant.live, order.id, order.updated_at, order.version,
        order.event_sequence, order.last_event_at, order.state.value,
        order.previous_state.value if order.previous_state else None, order.captured,
        order.cancelled, order.refunded, order.fraud_state, order.open_return_refunds,
        *[order.state_times.get(state.value) for state in _STATES],
        *[order.fraud_times.get(state) for state in FRAUD_STATES],
    )  # fmt: skip


def times_text(times: Mapping[str, datetime]) -> str:
    """The times of states as the JSON text of their column."""
    return json.dumps({state: moment.isoformat() for state, moment in times.items()})


def failure_columns(operation: Operation) -> tuple[str | None, str | None, str | None]:
    """Code, message and reason of what failed; else None for each."""
    failure = operation.failure
    return (failure.code, failure.message, failure.reason) if failure else (None, None, None)
