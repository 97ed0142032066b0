"""Writes orders: a new one, and what commands changed of any number of them in a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from refundry.db.database import Tx
from refundry.domain.capture_retry import is_retried
from refundry.domain.charge import Charge, Operation, OperationState
from refundry.domain.order import Line, Order
from refundry.orders.row_values import failure_columns, order_row, times_text
from refundry.orders.store import (
    OrderFacts,
    StoredOrder,
    cells_text,
    columns,
    flatten,
)
from refundry.tenant import Tenant

T = TypeVar("T")
_Of = tuple[Tenant, str, T]
"""Something of an order: its tenant, the order's id, the thing."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Two versions of an order whose row the caller has locked."""

    tenant: Tenant
    before: Order
    after: Order


async def insert_order(tx: Tx, tenant: Tenant, stored: StoredOrder) -> bool:
    """Write a new order; False if its id is taken."""
    order, facts = stored.order, stored.facts
    row = await tx.fetchrow(
        """
        INSERT INTO orders (account_id, live, id, created_at, updated_at, version, event_sequence,
            currency, exponent, state, total_minor, fraud_state, invoice_id, upstream_id,
            customer_id, checkout_id, application_id, email, locale, browser_ip, customer_type,
            request_to_be_forgotten, session_id, client_secret, details, metadata)
        VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                $19, $20, $21, $22, $23, $24, $25)
        ON CONFLICT (account_id, live, id) DO NOTHING
        RETURNING 1
        """,
        tenant.account_id, tenant.live, order.id, order.created_at, order.updated_at,
        order.version, order.currency.code, order.currency.exponent, order.state.value,
        order.total_amount, order.fraud_state, order.invoice_id, facts.upstream_id,
        facts.customer_id, facts.checkout_id, facts.application_id, facts.email, facts.locale,
        facts.browser_ip, facts.customer_type, facts.request_to_be_forgotten, facts.session_id,
        facts.client_secret, facts.details, facts.metadata,
    )  # fmt: skip
    if row is None:
        return False
    await _insert_lines(tx, tenant, stored)
    await _insert_charges(tx, tenant, stored)
    operations = [o for charge in order.charges for o in charge.operations]
    await _insert_operations(tx, [(tenant, order.id, operation) for operation in operations])
    await _update_orders(tx, [(tenant, order)])
    return True


async def save_orders(tx: Tx, savings: Sequence[Saving]) -> None:
    """Write what differs between the versions of some orders, each of which comes once."""
    lines: list[_Of[Line]] = []
    charges: list[_Of[Charge]] = []
    added: list[_Of[Operation]] = []
    changed: list[_Of[Operation]] = []
    for saving in savings:
        where = saving.tenant, saving.after.id
        old = {charge.id: charge for charge in saving.before.charges}
        lines += [
            (*where, line)
            for known, line in zip(saving.before.lines, saving.after.lines, strict=True)
            if known != line
        ]
        for charge in saving.after.charges:
            known = old[charge.id]
            if known is charge:
                continue
            if known.state is not charge.state:
                charges.append((*where, charge))
            operations = {operation.id: operation for operation in known.operations}
            for operation in charge.operations:
                if operation.id not in operations:
                    added.append((*where, operation))
                elif operations[operation.id] != operation:
                    changed.append((*where, operation))
    await _update_lines(tx, lines)
    await _update_charge_states(tx, charges)
    await _insert_operations(tx, added)
    await _update_operations(
        tx, [each for each in changed if each[2].dispute_id is None and not is_retried(each[2])]
    )
    await _update_chargebacks(tx, [each for each in changed if each[2].dispute_id is not None])
    await _mark_retried(tx, [each for each in changed if is_retried(each[2])])
    await _update_orders(tx, [(saving.tenant, saving.after) for saving in savings])


async def _insert_lines(tx: Tx, tenant: Tenant, stored: StoredOrder) -> None:
    lines = stored.order.lines
    await tx.execute(
        """
        INSERT INTO order_lines (account_id, live, order_id, position, id, sku_id, quantity,
            ordered, captured, cancelled, processing, held, refunded, fulfilled_units,
            cancelled_units, captured_units, returned_units, state, state_times, details,
            subscription_id)
        SELECT $1, $2, $3, position, id, sku_id, quantity, ordered::bigint[], captured::bigint[],
               cancelled::bigint[], processing::bigint[], held::bigint[], refunded::bigint[],
               fulfilled, gone, captured_units, returned_units, state, state_times, details,
               subscription_id
          FROM unnest($4::smallint[], $5::text[], $6::text[], $7::integer[], $8::text[],
                      $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                      $14::integer[], $15::integer[], $16::integer[], $17::integer[], $18::text[],
                      $19::text[], $20::text[], (SELECT $21::text[]))
               AS l (position, id, sku_id, quantity, ordered, captured, cancelled, processing,
                     held, refunded, fulfilled, gone, captured_units, returned_units, state,
                     state_times, details, subscription_id)
        """,
        tenant.account_id, tenant.live, stored.order.id,
        [line.position for line in lines],
        [line.id for line in lines],
        [line.sku_id for line in lines],
        [line.quantity for line in lines],
        *[
            [cells_text(getattr(line, name)) for line in lines]
            for name in ("ordered", "captured", "cancelled", "processing", "held", "refunded")
        ],
        [line.fulfilled_units for line in lines],
        [line.cancelled_units for line in lines],
        [line.captured_units for line in lines],
        [line.returned_units for line in lines],
        [line.state.value for line in lines],
        [times_text(line.state_times) for line in lines],
        list(stored.facts.line_details),
        list(stored.facts.subscription_ids),
    )  # fmt: skip


async def _insert_charges(tx: Tx, tenant: Tenant, stored: StoredOrder) -> None:
    for position, charge in enumerate(stored.order.charges):
        source = stored.facts.sources[charge.id]
        await tx.execute(
            """
            INSERT INTO charges (account_id, live, order_id, position, id, created_at,
                amount_minor, state, type, source_id, source_type, source_details,
                processor_reference, trigger)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            """,
            tenant.account_id, tenant.live, stored.order.id, position, charge.id,
            charge.created_at, charge.amount, charge.state.value, charge.type, charge.source_id,
            charge.source_type, source.details, source.processor_reference, source.trigger,
        )  # fmt: skip


async def _insert_operations(tx: Tx, operations: Sequence[_Of[Operation]]) -> None:
    if not operations:
        return
    await tx.execute(
        """
        INSERT INTO charge_operations (account_id, live, order_id, id, charge_id, kind,
            amount_minor, state, created_at, updated_at, fulfillment_id, entry, units,
            share_lines, shares, failure_code, failure_message, failure_reason, due_at,
            dispute_id, owed_minor)
        SELECT account_id, live, order_id, id, charge_id, kind, amount_minor, state, created_at,
               updated_at, fulfillment_id, entry, units, share_lines::smallint[],
               shares::bigint[], failure_code, failure_message, failure_reason, due_at,
               dispute_id, owed_minor
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::text[],
                      $7::bigint[], $8::text[], $9::timestamptz[], $10::timestamptz[],
                      $11::text[], $12::smallint[], $13::integer[], $14::text[], $15::text[],
                      $16::text[], $17::text[], $18::text[], $19::timestamptz[], $20::text[],
                      (SELECT $21::bigint[]))
               WITH ORDINALITY
               AS o (account_id, live, order_id, id, charge_id, kind, amount_minor, state,
                     created_at, updated_at, fulfillment_id, entry, units, share_lines, shares,
                     failure_code, failure_message, failure_reason, due_at, dispute_id,
                     owed_minor, place)
         ORDER BY place
        """,
        *columns([_operation_row(*each) for each in operations], 21),
    )


def _operation_row(tenant: Tenant, order_id: str, operation: Operation) -> tuple[Any, ...]:
    pending = operation.state is OperationState.PENDING
    return (
        tenant.account_id, tenant.live, order_id, operation.id, operation.charge_id,
        operation.kind.value, operation.amount, operation.state.value, operation.created_at,
        operation.updated_at, operation.fulfillment_id, operation.entry, operation.units,
        *_share_columns(operation), *failure_columns(operation),
        operation.created_at if pending else None, operation.dispute_id, operation.owed,
    )  # fmt: skip


async def _update_lines(tx: Tx, lines: Sequence[_Of[Line]]) -> None:
    if not lines:
        return
    rows = [
        (
            tenant.account_id, tenant.live, order_id, line.position, cells_text(line.captured),
            cells_text(line.cancelled), cells_text(line.processing), cells_text(line.held),
            cells_text(line.refunded), line.fulfilled_units, line.cancelled_units,
            line.captured_units, line.returned_units, line.state.value,
            times_text(line.state_times),
        )
        for tenant, order_id, line in lines
    ]  # fmt: skip
    await tx.execute(
        """
        UPDATE order_lines l
           SET captured = n.captured::bigint[], cancelled = n.cancelled::bigint[],
               processing = n.processing::bigint[], held = n.held::bigint[],
               refunded = n.refunded::bigint[], fulfilled_units = n.fulfilled,
               cancelled_units = n.gone, captured_units = n.captured_units,
               returned_units = n.returned_units, state = n.state, state_times = n.state_times
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::smallint[], $5::text[],
                      $6::text[], $7::text[], $8::text[], $9::text[], $10::integer[],
                      $11::integer[], $12::integer[], $13::integer[], $14::text[],
                      (SELECT $15::text[]))
               AS n (account_id, live, order_id, position, captured, cancelled, processing, held,
                     refunded, fulfilled, gone, captured_units, returned_units, state, state_times)
         WHERE l.account_id = n.account_id AND l.live = n.live AND l.order_id = n.order_id
           AND l.position = n.position
        """,
        *columns(rows, 15),
    )


async def _update_charge_states(tx: Tx, charges: Sequence[_Of[Charge]]) -> None:
    if not charges:
        return
    rows = [(t.account_id, t.live, order_id, c.id, c.state.value) for t, order_id, c in charges]
    await tx.execute(
        """
        UPDATE charges c SET state = n.state
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], (SELECT $5::text[]))
               AS n (account_id, live, order_id, id, state)
         WHERE c.account_id = n.account_id AND c.live = n.live AND c.order_id = n.order_id
           AND c.id = n.id
        """,
        *columns(rows, 5),
    )


async def _update_operations(tx: Tx, operations: Sequence[_Of[Operation]]) -> None:
    """Store new states of operations. A final one stays, but for a refund's late failure."""
    if not operations:
        return
    rows = [
        (t.account_id, t.live, order_id, o.id, o.state.value, o.updated_at, *failure_columns(o))
        for t, order_id, o in operations
    ]
    tag = await tx.execute(
        """
        UPDATE charge_operations o
           SET state = n.state, updated_at = n.updated_at, failure_code = n.failure_code,
               failure_message = n.failure_message, failure_reason = n.failure_reason,
               due_at = CASE WHEN n.state = 'pending' THEN o.due_at END, leased_until = NULL,
               attention_since = NULL, parked = NULL,
               settled_before_failure_at = CASE WHEN o.state = 'complete' THEN o.updated_at END,
               check_due_at = CASE WHEN n.state = 'pending' THEN o.check_due_at END,
               sealed_bank_details = CASE WHEN n.state = 'pending' THEN o.sealed_bank_details END
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[],
                      $6::timestamptz[], $7::text[], $8::text[], (SELECT $9::text[]))
               AS n (account_id, live, order_id, id, state, updated_at, failure_code,
                     failure_message, failure_reason)
         WHERE o.account_id = n.account_id AND o.live = n.live AND o.order_id = n.order_id
           AND o.id = n.id
           AND (o.state IN ('pending', 'pending_information')
                OR (o.kind = 'refund' AND o.state = 'complete' AND n.state = 'failed'))
        """,
        *columns(rows, 9),
    )
    names = [each[2].id for each in operations]
    assert tag == f"UPDATE {len(rows)}", f"one of the operations {names} has ended already"


async def _update_chargebacks(tx: Tx, operations: Sequence[_Of[Operation]]) -> None:
    """Store what came free for chargebacks that are owed something: all that changes of them."""
    if not operations:
        return
    rows = [
        (t.account_id, t.live, order_id, o.id, *_share_columns(o), o.owed)
        for t, order_id, o in operations
    ]
    tag = await tx.execute(
        """
        UPDATE charge_operations o
           SET share_lines = n.share_lines::smallint[], shares = n.shares::bigint[],
               owed_minor = n.owed_minor
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::text[],
                      (SELECT $7::bigint[]))
               AS n (account_id, live, order_id, id, share_lines, shares, owed_minor)
         WHERE o.account_id = n.account_id AND o.live = n.live AND o.order_id = n.order_id
           AND o.id = n.id AND o.dispute_id IS NOT NULL AND o.owed_minor > n.owed_minor
        """,
        *columns(rows, 7),
    )
    names = [each[2].id for each in operations]
    assert tag == f"UPDATE {len(rows)}", f"one of the chargebacks {names} is owed nothing"


async def _mark_retried(tx: Tx, operations: Sequence[_Of[Operation]]) -> None:
    """Store that the units of failed captures and cancels have passed to retries, once."""
    if not operations:
        return
    rows = [(t.account_id, t.live, order_id, o.id) for t, order_id, o in operations]
    tag = await tx.execute(
        """
        UPDATE charge_operations o SET units = 0
          FROM unnest($1::text[], $2::boolean[], $3::text[], (SELECT $4::text[]))
               AS n (account_id, live, order_id, id)
         WHERE o.account_id = n.account_id AND o.live = n.live AND o.order_id = n.order_id
           AND o.id = n.id AND o.kind IN ('capture', 'cancel') AND o.state = 'failed'
           AND o.units > 0
        """,
        *columns(rows, 4),
    )
    names = [each[2].id for each in operations]
    assert tag == f"UPDATE {len(rows)}", f"one of the operations {names} was retried before"


async def _update_orders(tx: Tx, orders: Sequence[tuple[Tenant, Order]]) -> None:
    await tx.execute(
        """
        UPDATE orders o
           SET updated_at = n.updated_at, version = n.version, event_sequence = n.event_sequence,
               last_event_at = n.last_event_at, state = n.state,
               previous_state = n.previous_state, captured_minor = n.captured_minor,
               cancelled_minor = n.cancelled_minor, refunded_minor = n.refunded_minor,
               fraud_state = n.fraud_state, open_return_refunds = n.open_return_refunds,
               pending_payment_at = n.pending_payment_at, in_review_at = n.in_review_at,
               accepted_at = n.accepted_at, blocked_at = n.blocked_at,
               cancelled_at = n.cancelled_at, fulfilled_at = n.fulfilled_at,
               complete_at = n.complete_at, dispute_at = n.dispute_at, returned_at = n.returned_at,
               fraud_passed_at = n.fraud_passed_at,
               fraud_review_opened_at = n.fraud_review_opened_at,
               fraud_blocked_at = n.fraud_blocked_at
          FROM unnest($1::text[], $2::boolean[], $3::text[], $4::timestamptz[], $5::integer[],
                      $6::bigint[], $7::timestamptz[], $8::text[], $9::text[], $10::bigint[],
                      $11::bigint[], $12::bigint[], $13::text[], $14::integer[],
                      $15::timestamptz[], $16::timestamptz[], $17::timestamptz[],
                      $18::timestamptz[], $19::timestamptz[], $20::timestamptz[],
                      $21::timestamptz[], $22::timestamptz[], $23::timestamptz[],
                      $24::timestamptz[], $25::timestamptz[], (SELECT $26::timestamptz[]))
               AS n (account_id, live, id, updated_at, version, event_sequence, last_event_at,
                     state, previous_state, captured_minor, cancelled_minor, refunded_minor,
                     fraud_state, open_return_refunds, pending_payment_at, in_review_at,
                     accepted_at, blocked_at, cancelled_at, fulfilled_at, complete_at, dispute_at,
                     returned_at, fraud_passed_at, fraud_review_opened_at, fraud_blocked_at)
         WHERE o.account_id = n.account_id AND o.live = n.live AND o.id = n.id
        """,
        *columns([order_row(*each) for each in orders], 26),
    )


async def update_facts(tx: Tx, tenant: Tenant, order_id: str, facts: OrderFacts) -> None:
    """Store what an update may change of an order besides its state."""
    await tx.execute(
        """
        UPDATE orders SET metadata = $4, upstream_id = $5, request_to_be_forgotten = $6
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        tenant.account_id, tenant.live, order_id, facts.metadata, facts.upstream_id,
        facts.request_to_be_forgotten,
    )  # fmt: skip


def _share_columns(operation: Operation) -> tuple[str | None, str | None]:
    if operation.shares is None:
        return None, None
    positions, cells = flatten(operation.shares)
    return cells_text(positions), cells_text(cells)
