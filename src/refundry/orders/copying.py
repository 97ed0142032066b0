"""Writes many new orders at once, by COPY: the rows that `saving.insert_order` writes for each."""

from collections.abc import Iterable, Sequence
from typing import Any

from refundry.db.pool import Connection
from refundry.domain.charge import Charge, Operation
from refundry.domain.order import Line
from refundry.orders.row_values import failure_columns, order_row, times_text
from refundry.orders.store import StoredOrder, flatten
from refundry.tenant import Tenant

_ORDER_COLUMNS = (
    # As order_row gives them.
    "account_id", "live", "id", "updated_at", "version", "event_sequence", "last_event_at", "state",
    "previous_state", "captured_minor", "cancelled_minor", "refunded_minor", "fraud_state",
    "open_return_refunds", "pending_payment_at", "in_review_at", "accepted_at", "blocked_at",
    "cancelled_at", "fulfilled_at", "complete_at", "dispute_at", "returned_at", "fraud_passed_at",
    "fraud_review_opened_at", "fraud_blocked_at",
    # What is written once.
    "created_at", "currency", "exponent", "total_minor", "invoice_id", "upstream_id",
    "customer_id", "checkout_id", "application_id", "email", "locale", "browser_ip",
    "customer_type", "request_to_be_forgotten", "session_id", "client_secret", "details",
    "metadata",
)  # fmt: skip
_LINE_COLUMNS = (
    "account_id", "live", "order_id", "position", "id", "sku_id", "quantity", "ordered",
    "captured", "cancelled", "processing", "held", "refunded", "fulfilled_units",
    "cancelled_units", "captured_units", "returned_units", "state", "state_times", "details",
    "subscription_id",
)  # fmt: skip
_CHARGE_COLUMNS = (
    "account_id", "live", "order_id", "position", "id", "created_at", "amount_minor", "state",
    "type", "source_id", "source_type", "source_details", "processor_reference", "trigger",
)  # fmt: skip
_OPERATION_COLUMNS = (
    "account_id", "live", "order_id", "id", "charge_id", "kind", "amount_minor", "state",
    "created_at", "updated_at", "fulfillment_id", "entry", "units", "share_lines", "shares",
    "failure_code", "failure_message", "failure_reason", "dispute_id", "owed_minor",
)  # fmt: skip


async def copy_orders(
    connection: Connection, tenant: Tenant, orders: Sequence[StoredOrder]
) -> None:
    """Write new orders with all that belongs to them; the caller owns the transaction.

    None of them may have a pending operation. Raises asyncpg.UniqueViolationError if an id of one
    of them is taken.
    """
    await _copy(connection, "orders", _ORDER_COLUMNS, (_order(tenant, each) for each in orders))
    await _copy(
        connection, "order_lines", _LINE_COLUMNS,
        (
            _line(tenant, each, line, details, subscription_id)
            for each in orders
            for line, details, subscription_id in zip(
                each.order.lines, each.facts.line_details, each.facts.subscription_ids, strict=True
            )
        ),
    )  # fmt: skip
    await _copy(
        connection, "charges", _CHARGE_COLUMNS,
        (
            _charge(tenant, each, position, charge)
            for each in orders
            for position, charge in enumerate(each.order.charges)
        ),
    )  # fmt: skip
    await _copy(
        connection, "charge_operations", _OPERATION_COLUMNS,
        (
            _operation(tenant, each.order.id, operation)
            for each in orders
            for charge in each.order.charges
            for operation in charge.operations
        ),
    )  # fmt: skip


async def _copy(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


def _order(tenant: Tenant, stored: StoredOrder) -> tuple[Any, ...]:
    order, facts = stored.order, stored.facts
    return (
        *order_row(tenant, order), order.created_at, order.currency.code, order.currency.exponent,
        order.total_amount, order.invoice_id, facts.upstream_id, facts.customer_id,
        facts.checkout_id, facts.application_id, facts.email, facts.locale, facts.browser_ip,
        facts.customer_type, facts.request_to_be_forgotten, facts.session_id, facts.client_secret,
        facts.details, facts.metadata,
    )  # fmt: skip


def _line(
    tenant: Tenant, stored: StoredOrder, line: Line, details: str, subscription_id: str | None
) -> tuple[Any, ...]:
    return (
        tenant.account_id, tenant.live, stored.order.id, line.position, line.id, line.sku_id,
        line.quantity, line.ordered, line.captured, line.cancelled, line.processing, line.held,
        line.refunded, line.fulfilled_units, line.cancelled_units, line.captured_units,
        line.returned_units, line.state.value, times_text(line.state_times), details,
        subscription_id,
    )  # fmt: skip


def _charge(tenant: Tenant, stored: StoredOrder, position: int, charge: Charge) -> tuple[Any, ...]:
    source = stored.facts.sources[charge.id]
    return (
        tenant.account_id, tenant.live, stored.order.id, position, charge.id, charge.created_at,
        charge.amount, charge.state.value, charge.type, charge.source_id, charge.source_type,
        source.details, source.processor_reference, source.trigger,
    )  # fmt: skip


def _operation(tenant: Tenant, order_id: str, operation: Operation) -> tuple[Any, ...]:
    positions, cells = (None, None) if operation.shares is None else flatten(operation.shares)
    return (
        tenant.account_id, tenant.live, order_id, operation.id, operation.charge_id,
        operation.kind.value, operation.amount, operation.state.value, operation.created_at,
        operation.updated_at, operation.fulfillment_id, operation.entry, operation.units,
        positions, cells, *failure_columns(operation), operation.dispute_id, operation.owed,
    )  # fmt: skip
