"""Orders, their lines, charges and operations in the database."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
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
FRAUD_STATES = ("passed", "review_opened", "blocked")
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
SELECT o.account_id, o.live, o.id, o.currency, o.state, o.previous_state, o.created_at,
       o.updated_at, o.version,
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


OrderKey = tuple[str, bool, str]
"""Account, mode and id of an order."""


def order_key(tenant: Tenant, order_id: str) -> OrderKey:
    """The key of an order."""
    return tenant.account_id, tenant.live, order_id


async def lock_orders(tx: Tx, keys: Iterable[OrderKey]) -> dict[OrderKey, StoredOrder]:
    """The orders with these keys that nobody else holds, their rows locked until the end of the
    transaction; always taken in the order of their keys."""
    locked = await tx.fetch(
        """
        SELECT o.account_id, o.live, o.id
          FROM unnest($1::text[], $2::boolean[], (SELECT $3::text[])) AS k (account_id, live, id)
          JOIN orders o ON o.account_id = k.account_id AND o.live = k.live AND o.id = k.id
         ORDER BY o.account_id, o.live, o.id
           FOR UPDATE OF o SKIP LOCKED
        """,
        *columns(sorted(set(keys)), 3),
    )
    # The lock comes first and the reading after it, as in `lock_order`.
    return await find_orders_by_key(tx, [(row[0], row[1], row[2]) for row in locked])


async def find_orders_by_key(
    session: Session, keys: Sequence[OrderKey]
) -> dict[OrderKey, StoredOrder]:
    """The orders with these keys, of any accounts."""
    rows = await session.fetch(
        _SELECT
        + """
          JOIN unnest($1::text[], $2::boolean[], (SELECT $3::text[])) AS k (account_id, live, id)
            ON o.account_id = k.account_id AND o.live = k.live AND o.id = k.id
        """,
        *columns(keys, 3),
    )
    return {(row["account_id"], row["live"], row["id"]): _stored(row) for row in rows}


Stamp = tuple[int, int, datetime, datetime | None]
"""Version, event sequence, time of update and of the last event: no two states of an order have
all four in common. Each change raises the version; the times tell apart what two servers made of
the same version, where one went on without the other's last commits."""


def stamp(order: Order) -> Stamp:
    """The stamp of an order as it was read."""
    return order.version, order.event_sequence, order.updated_at, order.last_event_at


async def find_stamps(session: Session, keys: Sequence[OrderKey]) -> dict[OrderKey, Stamp]:
    """The present stamps of orders: the cheapest way to learn that they are what they were."""
    rows = await session.fetch(
        """
        SELECT k.place, o.version, o.event_sequence, o.updated_at, o.last_event_at
          FROM unnest($1::text[], $2::boolean[], (SELECT $3::text[]))
               WITH ORDINALITY AS k (account_id, live, id, place)
          JOIN orders o ON o.account_id = k.account_id AND o.live = k.live AND o.id = k.id
        """,
        *columns(keys, 3),
    )
    return {keys[row[0] - 1]: (row[1], row[2], row[3], row[4]) for row in rows}


def columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows as columns, for a statement that takes many at once; count: how many each row has."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * count


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
            s: row[f"fraud_{s}_at"] for s in FRAUD_STATES if row[f"fraud_{s}_at"] is not None
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


@lru_cache(maxsize=8192)
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


def cells_text(cells: Sequence[int]) -> str:
    """Numbers as PostgreSQL writes an array, for a list of arrays in one parameter."""
    return "{" + ",".join(map(str, cells)) + "}"
