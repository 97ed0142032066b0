"""Orders, their lines, charges and operations in the database."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from refundry.db.database import Record, Session, Tx
from refundry.domain.cells import Cells, Component
from refundry.domain.charge import (
    Charge,
    ChargeState,
    Failure,
    Operation,
    OperationKind,
    OperationState,
    Shares,
)
from refundry.domain.money import find_currency
from refundry.domain.order import Line, LineState, Order, OrderState
from refundry.errors import required
from refundry.tenant import Tenant

_CELLS = len(Component)
# The order in which an order shows them.
_FRAUD_STATES = ("passed", "review_opened", "blocked")
# How long a command waits for an order that another one is changing.
LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is kept of a payment source. details: JSON text of what is shown of it."""

    charge_id: str
    details: str
    processor_reference: str | None
    trigger: str | None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What no rule looks at. details, metadata, line_details: JSON texts of objects."""

    session_id: str
    client_secret: str
    details: str = "{}"
    metadata: str = "{}"
    upstream_id: str | None = None
    customer_id: str | None = None
    checkout_id: str | None = None
    application_id: str | None = None
    email: str | None = None
    locale: str | None = None
    browser_ip: str | None = None
    customer_type: str | None = None
    request_to_be_forgotten: bool = False
    line_details: tuple[str, ...] = ()
    subscription_ids: tuple[str | None, ...] = ()
    sources: Mapping[str, SourceFacts] = field(default_factory=dict[str, SourceFacts])


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order and what goes with it, as read together."""

    order: Order
    facts: OrderFacts


_SELECT = """
SELECT o.id, o.currency, o.state, o.previous_state, o.created_at, o.updated_at, o.version,
       o.event_sequence, o.last_event_at, o.open_return_refunds, o.fraud_state, o.invoice_id,
       o.details, o.metadata,
       o.upstream_id, o.customer_id, o.checkout_id, o.application_id, o.email, o.locale,
       o.browser_ip, o.customer_type, o.request_to_be_forgotten, o.session_id, o.client_secret,
       o.pending_payment_at, o.in_review_at, o.accepted_at, o.blocked_at, o.cancelled_at,
       o.fulfilled_at, o.complete_at, o.dispute_at, o.returned_at,
       o.fraud_review_opened_at, o.fraud_blocked_at, o.fraud_passed_at,
       ARRAY(SELECT (l.position, l.id, l.sku_id, l.quantity, l.ordered::text, l.captured::text,
                     l.cancelled::text, l.processing::text, l.held::text, l.refunded::text,
                     l.fulfilled_units, l.cancelled_units, l.captured_units, l.state,
                     l.state_times, l.details, l.returned_units)
               FROM order_lines l
              WHERE l.account_id = o.account_id AND l.live = o.live AND l.order_id = o.id
              ORDER BY l.position) AS lines,
       ARRAY(SELECT (c.id, c.source_id, c.source_type, c.amount_minor, c.state, c.type,
                     c.created_at, c.source_details, c.processor_reference, c.trigger)
               FROM charges c
              WHERE c.account_id = o.account_id AND c.live = o.live AND c.order_id = o.id
              ORDER BY c.position) AS charges,
       ARRAY(SELECT (p.id, p.charge_id, p.kind, p.amount_minor, p.state, p.created_at,
                     p.updated_at, p.fulfillment_id, p.entry, p.units, p.share_lines::text,
                     p.shares::text, p.failure_code, p.failure_message, p.failure_reason,
                     p.dispute_id, p.owed_minor)
               FROM charge_operations p
              WHERE p.account_id = o.account_id AND p.live = o.live AND p.order_id = o.id
              ORDER BY p.seq) AS operations
  FROM orders o
"""


async def find_order(session: Session, tenant: Tenant, order_id: str) -> StoredOrder | None:
    """The order with everything that belongs to it; None if there is none."""
    row = await session.fetchrow(
        _SELECT + " WHERE o.account_id = $1 AND o.live = $2 AND o.id = $3",
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return _stored(row) if row else None


async def find_orders(
    session: Session, tenant: Tenant, order_ids: Sequence[str]
) -> list[StoredOrder]:
    """The orders with these ids, in the order of the ids."""
    rows = await session.fetch(
        _SELECT + " WHERE o.account_id = $1 AND o.live = $2 AND o.id = ANY ($3::text[])",
        tenant.account_id, tenant.live, list(order_ids),
    )  # fmt: skip
    found = {row["id"]: _stored(row) for row in rows}
    return [found[order_id] for order_id in order_ids if order_id in found]


async def lock_order(
    tx: Tx, tenant: Tenant, order_id: str, *, skip_locked: bool = False
) -> StoredOrder | None:
    """The order, its row locked until the transaction ends; None if there is none.

    The lock comes first and the reading after it, as a statement sees the rows of others as
    they were when it began. skip_locked: None, too, if somebody else holds the row.
    """
    row = await tx.fetchrow(
        "SELECT 1 FROM orders WHERE account_id = $1 AND live = $2 AND id = $3 FOR UPDATE"
        + (" SKIP LOCKED" if skip_locked else ""),
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return await find_order(tx, tenant, order_id) if row else None


async def order_by_invoice(session: Session, tenant: Tenant, invoice_id: str) -> str | None:
    """The id of the order with this invoice."""
    return await session.fetchval(
        "SELECT id FROM orders WHERE account_id = $1 AND live = $2 AND invoice_id = $3",
        tenant.account_id, tenant.live, invoice_id,
    )  # fmt: skip


def _stored(row: Record) -> StoredOrder:
    lines: list[Any] = row["lines"]
    charges: list[Any] = row["charges"]
    operations: dict[str, list[Operation]] = {}
    for fields in row["operations"]:
        operation = _operation(fields)
        operations.setdefault(operation.charge_id, []).append(operation)
    order = Order(
        id=row["id"],
        currency=required(find_currency(row["currency"])),
        state=OrderState(row["state"]),
        lines=tuple([_line(fields) for fields in lines]),
        charges=tuple([_charge(fields, operations) for fields in charges]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        state_times={s.value: row[f"{s}_at"] for s in OrderState if row[f"{s}_at"] is not None},
        version=row["version"],
        event_sequence=row["event_sequence"],
        last_event_at=row["last_event_at"],
        previous_state=OrderState(row["previous_state"]) if row["previous_state"] else None,
        fraud_state=row["fraud_state"],
        fraud_times={
            s: row[f"fraud_{s}_at"] for s in _FRAUD_STATES if row[f"fraud_{s}_at"] is not None
        },
        invoice_id=row["invoice_id"],
        open_return_refunds=row["open_return_refunds"],
    )
    return StoredOrder(order, _facts(row, lines, charges))


def _facts(row: Record, lines: list[Any], charges: list[Any]) -> OrderFacts:
    return OrderFacts(
        session_id=row["session_id"],
        client_secret=row["client_secret"],
        details=row["details"],
        metadata=row["metadata"],
        upstream_id=row["upstream_id"],
        customer_id=row["customer_id"],
        checkout_id=row["checkout_id"],
        application_id=row["application_id"],
        email=row["email"],
        locale=row["locale"],
        browser_ip=row["browser_ip"],
        customer_type=row["customer_type"],
        request_to_be_forgotten=row["request_to_be_forgotten"],
        line_details=tuple([fields[15] for fields in lines]),
        sources={f[0]: SourceFacts(f[0], f[7], f[8], f[9]) for f in charges},
    )


def _line(fields: Any) -> Line:
    return Line(
        position=fields[0],
        id=fields[1],
        sku_id=fields[2],
        quantity=fields[3],
        ordered=read_array(fields[4]),
        captured=read_array(fields[5]),
        cancelled=read_array(fields[6]),
        processing=read_array(fields[7]),
        held=read_array(fields[8]),
        refunded=read_array(fields[9]),
        fulfilled_units=fields[10],
        cancelled_units=fields[11],
        captured_units=fields[12],
        returned_units=fields[16],
        state=LineState(fields[13]),
        state_times={k: datetime.fromisoformat(v) for k, v in json.loads(fields[14]).items()},
    )


def _charge(fields: Any, operations: Mapping[str, list[Operation]]) -> Charge:
    return Charge(
        id=fields[0],
        source_id=fields[1],
        source_type=fields[2],
        amount=fields[3],
        state=ChargeState(fields[4]),
        type=fields[5],
        created_at=fields[6],
        operations=tuple(operations.get(fields[0], ())),
    )


def _operation(fields: Any) -> Operation:
    failed = fields[14] is not None
    return Operation(
        id=fields[0],
        charge_id=fields[1],
        kind=OperationKind(fields[2]),
        amount=fields[3],
        state=OperationState(fields[4]),
        created_at=fields[5],
        updated_at=fields[6],
        fulfillment_id=fields[7],
        entry=fields[8],
        units=fields[9],
        shares=_shares(fields[10], fields[11]),
        failure=Failure(fields[12], fields[13], fields[14]) if failed else None,
        dispute_id=fields[15],
        owed=fields[16],
    )


def read_array(text: str) -> tuple[int, ...]:
    """The numbers of an array in PostgreSQL's text form.

    Inside the row of a subquery asyncpg cannot read arrays themselves.
    """
    return tuple(map(int, text[1:-1].split(","))) if len(text) > 2 else ()


def _shares(positions: str | None, cells: str | None) -> Shares | None:
    if positions is None or cells is None:
        return None
    return unflatten(read_array(positions), read_array(cells))


def flatten(shares: Shares) -> tuple[list[int], list[int]]:
    """Shares as two columns: the positions of the lines, and eight cells for each."""
    positions = sorted(shares)
    return positions, [cell for position in positions for cell in shares[position]]


def unflatten(positions: Sequence[int], cells: Sequence[int]) -> dict[int, Cells]:
    """Shares from their two columns."""
    return {
        position: tuple(cells[i * _CELLS : (i + 1) * _CELLS])
        for i, position in enumerate(positions)
    }


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
    await _insert_operations(tx, tenant, order.id, operations)
    await _update_order(tx, tenant, order)
    return True


async def save_order(
    tx: Tx,
    tenant: Tenant,
    before: Order,
    after: Order,
    *,
    event_sequence: int,
    last_event_at: datetime | None,
) -> None:
    """Write what differs between two versions of an order whose row the caller has locked."""
    known = {line.position: line for line in before.lines}
    await _update_lines(
        tx, tenant, after.id, [line for line in after.lines if known[line.position] != line]
    )
    charges = {charge.id: charge for charge in before.charges}
    changed = [charge for charge in after.charges if charges[charge.id] is not charge]
    for charge in changed:
        if charges[charge.id].state is not charge.state:
            await _update_charge_state(tx, tenant, after.id, charge)
    old = {o.id: o for charge in before.charges for o in charge.operations}
    operations = [o for charge in changed for o in charge.operations if old.get(o.id) != o]
    await _insert_operations(tx, tenant, after.id, [o for o in operations if o.id not in old])
    for operation in operations:
        if operation.id in old:
            await _update_operation(tx, tenant, after.id, operation)
    await _update_order(
        tx, tenant, replace(after, event_sequence=event_sequence, last_event_at=last_event_at)
    )


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
                      $19::text[], $20::text[], $21::text[])
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
        [_times_text(line.state_times) for line in lines],
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


async def _insert_operations(
    tx: Tx, tenant: Tenant, order_id: str, operations: Iterable[Operation]
) -> None:
    for operation in operations:
        shares = flatten(operation.shares) if operation.shares is not None else (None, None)
        failure = operation.failure
        pending = operation.state is OperationState.PENDING
        await tx.execute(
            """
            INSERT INTO charge_operations (account_id, live, order_id, id, charge_id, kind,
                amount_minor, state, created_at, updated_at, fulfillment_id, entry, units,
                share_lines, shares, failure_code, failure_message, failure_reason, due_at,
                dispute_id, owed_minor)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                    $18, $19, $20, $21)
            """,
            tenant.account_id, tenant.live, order_id, operation.id, operation.charge_id,
            operation.kind.value, operation.amount, operation.state.value, operation.created_at,
            operation.updated_at, operation.fulfillment_id, operation.entry, operation.units,
            *shares, *_failure_columns(failure),
            operation.created_at if pending else None, operation.dispute_id, operation.owed,
        )  # fmt: skip


async def _update_lines(tx: Tx, tenant: Tenant, order_id: str, lines: Sequence[Line]) -> None:
    if not lines:
        return
    await tx.execute(
        """
        UPDATE order_lines l
           SET captured = n.captured::bigint[], cancelled = n.cancelled::bigint[],
               processing = n.processing::bigint[], held = n.held::bigint[],
               refunded = n.refunded::bigint[], fulfilled_units = n.fulfilled,
               cancelled_units = n.gone, captured_units = n.captured_units,
               returned_units = n.returned_units, state = n.state, state_times = n.state_times
          FROM unnest($4::smallint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                      $10::integer[], $11::integer[], $12::integer[], $13::integer[], $14::text[],
                      $15::text[])
               AS n (position, captured, cancelled, processing, held, refunded, fulfilled, gone,
                     captured_units, returned_units, state, state_times)
         WHERE l.account_id = $1 AND l.live = $2 AND l.order_id = $3 AND l.position = n.position
        """,
        tenant.account_id, tenant.live, order_id,
        [line.position for line in lines],
        *[
            [cells_text(getattr(line, name)) for line in lines]
            for name in ("captured", "cancelled", "processing", "held", "refunded")
        ],
        [line.fulfilled_units for line in lines],
        [line.cancelled_units for line in lines],
        [line.captured_units for line in lines],
        [line.returned_units for line in lines],
        [line.state.value for line in lines],
        [_times_text(line.state_times) for line in lines],
    )  # fmt: skip


async def _update_charge_state(tx: Tx, tenant: Tenant, order_id: str, charge: Charge) -> None:
    await tx.execute(
        """
        UPDATE charges SET state = $5
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
        """,
        tenant.account_id, tenant.live, order_id, charge.id, charge.state.value,
    )  # fmt: skip


async def _update_operation(tx: Tx, tenant: Tenant, order_id: str, operation: Operation) -> None:
    """Store an operation's new state. A final state stays, but for a refund's late failure."""
    if operation.dispute_id is not None:
        await _update_chargeback(tx, tenant, order_id, operation)
        return
    pending = operation.state is OperationState.PENDING
    tag = await tx.execute(
        """
        UPDATE charge_operations
           SET state = $5, updated_at = $6, failure_code = $7, failure_message = $8,
               failure_reason = $9, due_at = CASE WHEN $10 THEN due_at END, leased_until = NULL,
               attention_since = NULL
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
           AND (state IN ('pending', 'pending_information')
                OR (kind = 'refund' AND state = 'complete' AND $5 = 'failed'))
        """,
        tenant.account_id, tenant.live, order_id, operation.id, operation.state.value,
        operation.updated_at, *_failure_columns(operation.failure), pending,
    )  # fmt: skip
    assert tag == "UPDATE 1", f"operation {operation.id} has ended already"


async def _update_chargeback(tx: Tx, tenant: Tenant, order_id: str, operation: Operation) -> None:
    """Store what came free for a chargeback that is owed something: all that changes of it."""
    assert operation.shares is not None
    tag = await tx.execute(
        """
        UPDATE charge_operations SET share_lines = $5, shares = $6, owed_minor = $7
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
           AND dispute_id IS NOT NULL AND owed_minor > $7
        """,
        tenant.account_id, tenant.live, order_id, operation.id, *flatten(operation.shares),
        operation.owed,
    )  # fmt: skip
    assert tag == "UPDATE 1", f"chargeback {operation.id} is owed nothing"


async def _update_order(tx: Tx, tenant: Tenant, order: Order) -> None:
    times = [order.state_times.get(state.value) for state in OrderState]
    fraud = [order.fraud_times.get(state) for state in _FRAUD_STATES]
    await tx.execute(
        """
        UPDATE orders
           SET updated_at = $4, version = $5, event_sequence = $6, last_event_at = $7, state = $8,
               previous_state = $9, captured_minor = $10, cancelled_minor = $11,
               refunded_minor = $12, fraud_state = $13, pending_payment_at = $14,
               in_review_at = $15, accepted_at = $16, blocked_at = $17, cancelled_at = $18,
               fulfilled_at = $19, complete_at = $20, dispute_at = $21, returned_at = $22,
               fraud_passed_at = $23, fraud_review_opened_at = $24, fraud_blocked_at = $25,
               open_return_refunds = $26
         WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        tenant.account_id, tenant.live, order.id, order.updated_at, order.version,
        order.event_sequence, order.last_event_at, order.state.value,
        order.previous_state.value if order.previous_state else None, order.captured,
        order.cancelled, order.refunded, order.fraud_state, *times, *fraud,
        order.open_return_refunds,
    )  # fmt: skip


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


def cells_text(cells: Cells) -> str:
    """Cells as PostgreSQL writes an array, for a list of arrays in one parameter."""
    return "{" + ",".join(map(str, cells)) + "}"


def _times_text(times: Mapping[str, datetime]) -> str:
    return json.dumps({state: moment.isoformat() for state, moment in times.items()})


def _failure_columns(failure: Failure | None) -> tuple[str | None, str | None, str | None]:
    return (failure.code, failure.message, failure.reason) if failure else (None, None, None)
