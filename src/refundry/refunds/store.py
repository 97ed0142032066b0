"""Refunds and their parts in the database, and the write of a new refund in one statement."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from refundry.db.database import Record, Session, Tx
from refundry.domain.cells import EMPTY, Cells, add
from refundry.domain.charge import OPEN_STATES, OperationState
from refundry.domain.money import find_currency
from refundry.domain.order import Line, Order, OrderState
from refundry.domain.refund import Element, Part, Refund, RefundState, RefundType, Token
from refundry.errors import required
from refundry.orders.store import cells_text, flatten, read_array, unflatten
from refundry.outbox.store import NewEvent, event_times
from refundry.sealing import Vault
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A part of a refund with what is shown of its record and charge."""

    part: Part
    state: OperationState
    created_at: datetime
    source_id: str
    captured: bool


@dataclass(frozen=True, slots=True)
class StoredRefund:
    """A refund as read, with its parts' facts and its token, still encrypted."""

    refund: Refund
    parts: tuple[PartFacts, ...]
    sealed_token: bytes | None


class _StoredElement(msgspec.Struct, array_like=True):
    position: int
    item_id: str
    sku_id: str | None
    type: str | None
    quantity: int
    amount: int
    refunded: int


_elements = msgspec.json.Decoder(list[_StoredElement])


async def find_refundable(session: Session, tenant: Tenant, order_id: str) -> Order | None:
    """As much of an order as planning a refund looks at, read without a lock."""
    row = await session.fetchrow(
        """
        SELECT o.currency, o.state, o.created_at, o.updated_at, o.version, o.event_sequence,
               o.last_event_at, o.invoice_id,
               ARRAY(SELECT (l.position, l.id, l.sku_id, l.quantity, l.captured::text,
                             l.held::text, l.refunded::text, l.captured_units)
                       FROM order_lines l
                      WHERE l.account_id = o.account_id AND l.live = o.live AND l.order_id = o.id
                      ORDER BY l.position) AS lines
          FROM orders o
         WHERE o.account_id = $1 AND o.live = $2 AND o.id = $3
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    if row is None:
        return None
    lines: list[Any] = row["lines"]
    return Order(
        id=order_id,
        currency=required(find_currency(row["currency"])),
        state=OrderState(row["state"]),
        lines=tuple([_line(fields) for fields in lines]),
        charges=(),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        state_times={},
        version=row["version"],
        event_sequence=row["event_sequence"],
        last_event_at=row["last_event_at"],
        invoice_id=row["invoice_id"],
    )


def _line(fields: Any) -> Line:
    return Line(
        position=fields[0],
        id=fields[1],
        sku_id=fields[2],
        quantity=fields[3],
        ordered=EMPTY,
        captured=read_array(fields[4]),
        held=read_array(fields[5]),
        refunded=read_array(fields[6]),
        captured_units=fields[7],
    )


async def insert_refund(
    session: Session,
    tenant: Tenant,
    order: Order,
    refund: Refund,
    events: Sequence[NewEvent],
    now: datetime,
    submit_due_at: datetime,
) -> bool:
    """Write a new refund, its events and the held cells, if `order` is still what was read.

    One statement and so one transaction: False, and nothing written, if another command has
    changed the order since (its version went on).
    """
    positions, shares = flatten(refund.shares)
    held = [cells_text(add(order.lines[p].held, refund.shares[p])) for p in positions]
    times = event_times(now, order.last_event_at, len(events))
    written = await session.fetchval(
        """
        WITH bumped AS (
            UPDATE orders
               SET version = version + 1, event_sequence = event_sequence + $5,
                   last_event_at = $6, updated_at = $7
             WHERE account_id = $1 AND live = $2 AND id = $3 AND version = $4
            RETURNING 1
        ), lines AS (
            UPDATE order_lines l SET held = n.held::bigint[]
              FROM unnest($8::smallint[], $9::text[]) AS n (position, held), bumped
             WHERE l.account_id = $1 AND l.live = $2 AND l.order_id = $3
               AND l.position = n.position
        ), refund AS (
            INSERT INTO refunds (account_id, live, order_id, id, created_at, currency, exponent,
                type, amount_minor, elements, sku_ids, reason, metadata, invoice_id, share_lines,
                shares, submit_due_at)
            SELECT $1, $2, $3, $10, $7, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                   $8::smallint[], $20, $21
              FROM bumped
        ), written AS (
            INSERT INTO events (account_id, live, order_id, order_sequence, id, type, object,
                                created_at)
            SELECT $1, $2, $3, $22 + e.place, e.id, e.type, $25, e.created_at
              FROM bumped, unnest($23::text[], $24::text[], $26::timestamptz[])
                           WITH ORDINALITY AS e (id, type, created_at, place)
             ORDER BY e.place
        )
        SELECT count(*) FROM bumped
        """,
        tenant.account_id, tenant.live, order.id, order.version, len(events), times[-1],
        refund.created_at, positions, held, refund.id, order.currency.code,
        order.currency.exponent, refund.type.value if refund.type else None, refund.amount,
        _elements_text(refund), [e.sku_id for e in refund.elements if e.sku_id], refund.reason,
        refund.metadata, refund.invoice_id, shares, submit_due_at, order.event_sequence,
        [event.id for event in events], [event.type for event in events], events[0].object,
        times,
    )  # fmt: skip
    return written == 1


_SELECT = """
SELECT r.id, r.order_id, r.created_at, r.currency, r.type, r.amount_minor, r.refunded_minor,
       r.elements, r.state, r.reason, r.failure_reason, r.metadata, r.invoice_id, r.share_lines,
       r.shares, r.refunded_shares, r.submit_due_at, r.sealed_token, r.token_expires_at,
       r.attention_since,
       ARRAY(SELECT (p.charge_id, p.operation_id, p.amount_minor, o.state, o.created_at,
                     c.source_id,
                     EXISTS (SELECT 1 FROM charge_operations k
                              WHERE k.account_id = c.account_id AND k.live = c.live
                                AND k.order_id = c.order_id AND k.charge_id = c.id
                                AND k.kind = 'capture'))
               FROM refund_parts p
               JOIN charge_operations o
                 ON o.account_id = p.account_id AND o.live = p.live AND o.order_id = p.order_id
                AND o.id = p.operation_id
               JOIN charges c
                 ON c.account_id = p.account_id AND c.live = p.live AND c.order_id = p.order_id
                AND c.id = p.charge_id
              WHERE p.account_id = r.account_id AND p.live = r.live AND p.order_id = r.order_id
                AND p.refund_id = r.id
              ORDER BY o.seq) AS parts
  FROM refunds r
"""


async def find_refunds(
    session: Session, tenant: Tenant, refund_ids: Sequence[str]
) -> list[StoredRefund]:
    """The refunds with these ids, in the order of the ids."""
    rows = await session.fetch(
        _SELECT + " WHERE r.account_id = $1 AND r.live = $2 AND r.id = ANY ($3::text[])",
        tenant.account_id, tenant.live, list(refund_ids),
    )  # fmt: skip
    found = {row["id"]: _stored(row) for row in rows}
    return [found[refund_id] for refund_id in refund_ids if refund_id in found]


async def find_refund(session: Session, tenant: Tenant, refund_id: str) -> StoredRefund | None:
    """The refund with this id."""
    found = await find_refunds(session, tenant, [refund_id])
    return found[0] if found else None


async def refunds_of_operation(
    session: Session, tenant: Tenant, order_id: str, operation_id: str
) -> list[StoredRefund]:
    """The refunds that a charge-level record pays, oldest first."""
    rows = await session.fetch(
        _SELECT
        + """
         WHERE r.account_id = $1 AND r.live = $2 AND r.order_id = $3
           AND r.id IN (SELECT refund_id FROM refund_parts
                         WHERE account_id = $1 AND live = $2 AND order_id = $3
                           AND operation_id = $4)
         ORDER BY r.seq
        """,
        tenant.account_id, tenant.live, order_id, operation_id,
    )  # fmt: skip
    return [_stored(row) for row in rows]


async def unsubmitted_refunds(
    session: Session, tenant: Tenant, order_id: str, window_end: datetime
) -> list[StoredRefund]:
    """The pending refunds of an order that wait for submission until `window_end`, oldest first."""
    rows = await session.fetch(
        _SELECT
        + """
         WHERE r.account_id = $1 AND r.live = $2 AND r.order_id = $3 AND r.state = 'pending'
           AND r.submit_due_at <= $4
         ORDER BY r.seq
        """,
        tenant.account_id, tenant.live, order_id, window_end,
    )  # fmt: skip
    return [_stored(row) for row in rows]


def _stored(row: Record) -> StoredRefund:
    currency = required(find_currency(row["currency"]))
    fields: list[Any] = row["parts"]
    parts = tuple(
        [PartFacts(Part(f[0], f[1], f[2]), OperationState(f[3]), f[4], f[5], f[6]) for f in fields]
    )
    refunded = row["refunded_shares"]
    expires_at = row["token_expires_at"]
    refund = Refund(
        id=row["id"],
        order_id=row["order_id"],
        invoice_id=row["invoice_id"],
        currency=currency,
        type=RefundType(row["type"]) if row["type"] else None,
        amount=row["amount_minor"],
        elements=_read_elements(row["elements"]),
        shares=unflatten(row["share_lines"], row["shares"]),
        created_at=row["created_at"],
        state=RefundState(row["state"]),
        refunded=row["refunded_minor"],
        refunded_shares=_no_shares() if refunded is None else unflatten(
            row["share_lines"], refunded
        ),
        reason=row["reason"],
        failure_reason=row["failure_reason"],
        metadata=row["metadata"],
        parts=tuple([facts.part for facts in parts]),
        # The secret stays sealed in the row; nobody needs it to decide anything.
        token=Token("", expires_at) if expires_at else None,
        needs_attention=row["attention_since"] is not None,
        submitted=row["submit_due_at"] is None,
    )  # fmt: skip
    return StoredRefund(refund, parts, row["sealed_token"])


def _no_shares() -> dict[int, Cells]:
    return {}


def _read_elements(text: str | None) -> tuple[Element, ...]:
    if text is None:
        return ()
    return tuple(
        [
            Element(
                e.position, e.item_id, e.sku_id, RefundType(e.type) if e.type else None,
                e.quantity, e.amount, e.refunded,
            )
            for e in _elements.decode(text)
        ]
    )  # fmt: skip


def _elements_text(refund: Refund) -> str | None:
    if not refund.elements:
        return None
    stored = [
        _StoredElement(
            e.position, e.item_id, e.sku_id, e.type.value if e.type else None, e.quantity,
            e.amount, e.refunded,
        )
        for e in refund.elements
    ]  # fmt: skip
    return msgspec.json.encode(stored).decode()


async def save_refund(
    tx: Tx, tenant: Tenant, before: Refund, after: Refund, order: Order, vault: Vault
) -> None:
    """Store a refund's new state and parts. A final state stays, but for a late failure."""
    secret = after.token.secret if after.token else ""
    shares = flatten(after.refunded_shares)[1] if after.refunded else None
    tag = await tx.execute(
        """
        UPDATE refunds
           SET state = $5, refunded_minor = $6, refunded_shares = $7, elements = $8,
               failure_reason = $9, metadata = $10, token_expires_at = $11,
               token_hash = coalesce($12, token_hash),
               sealed_token = CASE WHEN $11::timestamptz IS NULL THEN NULL
                                   ELSE coalesce($13, sealed_token) END,
               submit_due_at = CASE WHEN $14 THEN NULL ELSE submit_due_at END,
               attention_since = CASE WHEN $15 THEN attention_since END
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
           AND (state IN ('pending', 'pending_information') OR state = $5
                OR (state = 'succeeded' AND $5 = 'failed'))
        """,
        tenant.account_id, tenant.live, after.order_id, after.id, after.state.value,
        after.refunded, shares, _elements_text(after), after.failure_reason, after.metadata,
        after.token.expires_at if after.token else None,
        token_hash(secret) if secret else None, vault.seal(secret) if secret else None,
        after.submitted, after.needs_attention,
    )  # fmt: skip
    assert tag == "UPDATE 1", f"refund {after.id} has ended already"
    await _save_parts(tx, tenant, before, after, order)


async def _save_parts(tx: Tx, tenant: Tenant, before: Refund, after: Refund, order: Order) -> None:
    """Insert new parts, and mark which of them are open."""
    if not after.parts:
        return
    states = {o.id: o.state for charge in order.charges for o in charge.operations}
    known = {part.operation_id for part in before.parts}
    for part in after.parts:
        if part.operation_id not in known:
            await tx.execute(
                """
                INSERT INTO refund_parts (account_id, live, order_id, refund_id, operation_id,
                                          charge_id, amount_minor, open)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                tenant.account_id, tenant.live, after.order_id, after.id, part.operation_id,
                part.charge_id, part.amount, states[part.operation_id] in OPEN_STATES,
            )  # fmt: skip
    await tx.execute(
        """
        UPDATE refund_parts SET open = false
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND refund_id = $4 AND open
           AND operation_id = ANY ($5::text[])
        """,
        tenant.account_id, tenant.live, after.order_id, after.id,
        [part.operation_id for part in after.parts if states[part.operation_id] not in OPEN_STATES],
    )  # fmt: skip


def token_hash(secret: str) -> bytes:
    """What a refund token is looked up by."""
    return hashlib.sha256(secret.encode()).digest()


async def flag_attention(
    session: Session, tenant: Tenant, order_id: str, operation_id: str, now: datetime
) -> int:
    """Flag the refunds of a record whose outcome stays unknown; gives how many are new."""
    tag = await session.execute(
        """
        UPDATE refunds SET attention_since = $5
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND attention_since IS NULL
           AND state = 'pending'
           AND id IN (SELECT refund_id FROM refund_parts
                       WHERE account_id = $1 AND live = $2 AND order_id = $3
                         AND operation_id = $4)
        """,
        tenant.account_id, tenant.live, order_id, operation_id, now,
    )  # fmt: skip
    return int(tag.split()[-1])


@dataclass(frozen=True, slots=True)
class DueRefund:
    """A refund that is due for submission or expiry. now: on its account's clock."""

    tenant: Tenant
    order_id: str
    id: str
    now: datetime
    waited: timedelta


async def due_refunds(
    session: Session, column: str, now: datetime, account_id: str | None, limit: int
) -> list[DueRefund]:
    """Refunds whose `column` (a constant: a due time) has come, on the clock of their mode."""
    rows = await session.fetch(
        f"""
        SELECT r.account_id, r.live, r.order_id, r.id, r.{column} AS due_at,
               $1::timestamptz + a.test_clock_shift * (NOT r.live)::int AS now
          FROM refunds r JOIN accounts a ON a.id = r.account_id
         WHERE r.{column} <= $1::timestamptz + (SELECT max(test_clock_shift) FROM accounts)
           AND r.{column} <= $1::timestamptz + a.test_clock_shift * (NOT r.live)::int
           AND ($2::text IS NULL OR r.account_id = $2)
         ORDER BY r.{column}
         LIMIT $3
        """,
        now, account_id, limit,
    )  # fmt: skip
    return [
        DueRefund(
            Tenant(row["account_id"], row["live"]),
            row["order_id"],
            row["id"],
            row["now"],
            row["now"] - row["due_at"],
        )
        for row in rows
    ]
