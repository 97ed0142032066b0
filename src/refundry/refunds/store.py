"""Refunds and their parts in the database, and the write of a new refund in one statement."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from refundry.db.database import Record, Session, Tx
from refundry.domain.cells import EMPTY, Cells
from refundry.domain.charge import OPEN_STATES, OperationState
from refundry.domain.event import EventType
from refundry.domain.money import find_currency
from refundry.domain.order import Line, Order, OrderState, hold
from refundry.domain.refund import Element, Part, Refund, RefundState, RefundType, Token
from refundry.errors import required
from refundry.ids import new_uuid
from refundry.orders.store import cells_text, flatten, read_array, unflatten
from refundry.outbox.store import DELIVER_WRITTEN, SUBSCRIBED, event_times
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


OrderKey = tuple[str, bool, str]
"""Account, mode and id of an order."""


def order_key(tenant: Tenant, order_id: str) -> OrderKey:
    """The key of an order."""
    return tenant.account_id, tenant.live, order_id


async def find_refundable(session: Session, tenant: Tenant, order_id: str) -> Order | None:
    """As much of an order as planning a refund looks at, read without a lock."""
    key = order_key(tenant, order_id)
    return (await find_refundables(session, [key])).get(key)


async def find_refundables(session: Session, keys: Sequence[OrderKey]) -> dict[OrderKey, Order]:
    """As much of several orders as planning refunds looks at, in one statement."""
    rows = await session.fetch(
        """
        SELECT o.account_id, o.live, o.id, o.currency, o.state, o.created_at, o.updated_at,
               o.version, o.event_sequence, o.last_event_at, o.invoice_id,
               ARRAY(SELECT (l.position, l.id, l.sku_id, l.quantity, l.captured::text,
                             l.held::text, l.refunded::text, l.captured_units)
                       FROM order_lines l
                      WHERE l.account_id = o.account_id AND l.live = o.live AND l.order_id = o.id
                      ORDER BY l.position) AS lines
          FROM unnest($1::text[], $2::boolean[], $3::text[]) AS k (account_id, live, id)
          JOIN orders o ON o.account_id = k.account_id AND o.live = k.live AND o.id = k.id
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
    )
    return {(row["account_id"], row["live"], row["id"]): _refundable(row) for row in rows}


def _refundable(row: Record) -> Order:
    lines: list[Any] = row["lines"]
    return Order(
        id=row["id"],
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


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A refund to be written. order: as it was when the refund was planned, earlier refunds of
    the same group held; text: its JSON, the payload of both its events."""

    tenant: Tenant
    order: Order
    refund: Refund
    text: str
    now: datetime
    submit_due_at: datetime

    @property
    def key(self) -> OrderKey:
        """The key of its order."""
        return order_key(self.tenant, self.order.id)


_EVENT_TYPES = (EventType.REFUND_CREATED.value, EventType.REFUND_PENDING.value)


def with_refund(new: NewRefund) -> Order:
    """The order after `new`, for planning the next refund of the same group."""
    times = event_times(new.now, new.order.last_event_at, len(_EVENT_TYPES))
    return replace(
        hold(new.order, new.refund.shares),
        version=new.order.version + 1,
        event_sequence=new.order.event_sequence + len(_EVENT_TYPES),
        last_event_at=times[-1],
        updated_at=max(new.order.updated_at, new.refund.created_at),
    )


async def insert_refunds(session: Session, news: Sequence[NewRefund]) -> set[OrderKey]:
    """Write new refunds, their events and the held cells, where nobody wrote in between.

    One statement and so one transaction. Several refunds of one order come one behind the other,
    each planned on the order that the one before leaves. Gives the orders that still were what
    was read; of every other order nothing is written.
    """
    first: dict[OrderKey, Order] = {}
    last: dict[OrderKey, Order] = {}
    for new in news:
        first.setdefault(new.key, new.order)
        last[new.key] = with_refund(new)
    rows = await session.fetch(
        _INSERT_REFUNDS,
        *_order_columns(first, last), *_held_columns(first, last), *_refund_columns(news),
        *_event_columns(news),
    )  # fmt: skip
    return {(row["account_id"], row["live"], row["id"]) for row in rows}


# An order that somebody else holds is passed over: its members go on alone and wait for its lock
# for a while, the others are not kept waiting.
_INSERT_REFUNDS = f"""
WITH free AS (
    SELECT o.account_id, o.live, o.id, a.version, a.event_sequence, a.last_event_at, a.updated_at
      FROM unnest($1::text[], $2::boolean[], $3::text[], $4::integer[], $5::integer[],
                  $6::bigint[], $7::timestamptz[], $8::timestamptz[])
           AS a (account_id, live, id, read_version, version, event_sequence, last_event_at,
                 updated_at)
      JOIN orders o ON o.account_id = a.account_id AND o.live = a.live AND o.id = a.id
       AND o.version = a.read_version
       FOR UPDATE OF o SKIP LOCKED
), bumped AS (
    UPDATE orders o
       SET version = a.version, event_sequence = a.event_sequence,
           last_event_at = a.last_event_at, updated_at = a.updated_at
      FROM free a
     WHERE o.account_id = a.account_id AND o.live = a.live AND o.id = a.id
    RETURNING o.account_id, o.live, o.id, o.currency, o.exponent, o.invoice_id
), lines AS (
    UPDATE order_lines l SET held = n.held::bigint[]
      FROM unnest($9::text[], $10::boolean[], $11::text[], $12::smallint[], $13::text[])
           AS n (account_id, live, order_id, position, held)
      JOIN bumped b ON b.account_id = n.account_id AND b.live = n.live AND b.id = n.order_id
     WHERE l.account_id = n.account_id AND l.live = n.live AND l.order_id = n.order_id
       AND l.position = n.position
), refund AS (
    INSERT INTO refunds (account_id, live, order_id, id, created_at, currency, exponent, type,
        amount_minor, elements, sku_ids, reason, metadata, invoice_id, share_lines, shares,
        submit_due_at)
    SELECT b.account_id, b.live, b.id, r.id, r.created_at, b.currency, b.exponent, r.type,
           r.amount_minor, r.elements, r.sku_ids::text[], r.reason, r.metadata, b.invoice_id,
           r.share_lines::smallint[], r.shares::bigint[], r.submit_due_at
      FROM unnest($14::text[], $15::boolean[], $16::text[], $17::text[], $18::timestamptz[],
                  $19::text[], $20::bigint[], $21::text[], $22::text[], $23::text[], $24::text[],
                  $25::text[], $26::text[], $27::timestamptz[])
           WITH ORDINALITY
           AS r (account_id, live, order_id, id, created_at, type, amount_minor, elements,
                 sku_ids, reason, metadata, share_lines, shares, submit_due_at, place)
      JOIN bumped b ON b.account_id = r.account_id AND b.live = r.live AND b.id = r.order_id
     ORDER BY r.place
), written AS (
    INSERT INTO events (account_id, live, order_id, order_sequence, id, type, object, created_at,
                        webhook_ids)
    SELECT b.account_id, b.live, b.id, e.sequence, e.id, e.type, e.object, e.created_at,
           {SUBSCRIBED}
      FROM unnest($28::text[], $29::boolean[], $30::text[], $31::bigint[], $32::text[],
                  $33::text[], $34::text[], $35::timestamptz[])
           WITH ORDINALITY
           AS e (account_id, live, order_id, sequence, id, type, object, created_at, place)
      JOIN bumped b ON b.account_id = e.account_id AND b.live = e.live AND b.id = e.order_id
     ORDER BY e.place
    RETURNING account_id, live, id, created_at, webhook_ids
), delivered AS (
    {DELIVER_WRITTEN}
)
SELECT account_id, live, id FROM bumped
"""


def _order_columns(
    first: Mapping[OrderKey, Order], last: Mapping[OrderKey, Order]
) -> list[list[Any]]:
    # In one order in every group, so that two groups rarely lock rows crosswise.
    keys = sorted(first)
    return [
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
        [first[key].version for key in keys],
        [last[key].version for key in keys],
        [last[key].event_sequence for key in keys],
        [last[key].last_event_at for key in keys],
        [last[key].updated_at for key in keys],
    ]


def _held_columns(
    first: Mapping[OrderKey, Order], last: Mapping[OrderKey, Order]
) -> list[list[Any]]:
    changed = [
        (key, after)
        for key in sorted(first)
        for before, after in zip(first[key].lines, last[key].lines, strict=True)
        if before.held != after.held
    ]
    return [
        [key[0] for key, _ in changed],
        [key[1] for key, _ in changed],
        [key[2] for key, _ in changed],
        [line.position for _, line in changed],
        [cells_text(line.held) for _, line in changed],
    ]


def _refund_columns(news: Sequence[NewRefund]) -> list[list[Any]]:
    shares = [flatten(new.refund.shares) for new in news]
    return [
        [new.tenant.account_id for new in news],
        [new.tenant.live for new in news],
        [new.order.id for new in news],
        [new.refund.id for new in news],
        [new.refund.created_at for new in news],
        [new.refund.type.value if new.refund.type else None for new in news],
        [new.refund.amount for new in news],
        [_elements_text(new.refund) for new in news],
        [_texts_text([e.sku_id for e in new.refund.elements if e.sku_id]) for new in news],
        [new.refund.reason for new in news],
        [new.refund.metadata for new in news],
        [cells_text(tuple(positions)) for positions, _ in shares],
        [cells_text(tuple(cells)) for _, cells in shares],
        [new.submit_due_at for new in news],
    ]


def _event_columns(news: Sequence[NewRefund]) -> list[list[Any]]:
    rows = [
        (new, new.order.event_sequence + 1 + index, kind, time)
        for new in news
        for index, (kind, time) in enumerate(
            zip(
                _EVENT_TYPES,
                event_times(new.now, new.order.last_event_at, len(_EVENT_TYPES)),
                strict=True,
            )
        )
    ]
    return [
        [new.tenant.account_id for new, *_ in rows],
        [new.tenant.live for new, *_ in rows],
        [new.order.id for new, *_ in rows],
        [sequence for _, sequence, _, _ in rows],
        [new_uuid() for _ in rows],
        [kind for _, _, kind, _ in rows],
        [new.text for new, *_ in rows],
        [time for *_, time in rows],
    ]


def _texts_text(texts: Sequence[str]) -> str:
    """Texts as PostgreSQL writes an array, for a list of arrays in one parameter."""
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"


async def insert_return_refund(
    tx: Tx, tenant: Tenant, refund: Refund, submit_due_at: datetime
) -> None:
    """Write a refund that a return made; the order's row is locked and written by the caller."""
    positions, cells = flatten(refund.shares)
    await tx.execute(
        """
        INSERT INTO refunds (account_id, live, order_id, id, created_at, currency, exponent,
            amount_minor, elements, sku_ids, reason, invoice_id, share_lines, shares,
            submit_due_at, return_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """,
        tenant.account_id, tenant.live, refund.order_id, refund.id, refund.created_at,
        refund.currency.code, refund.currency.exponent, refund.amount, _elements_text(refund),
        [e.sku_id for e in refund.elements if e.sku_id], refund.reason, refund.invoice_id,
        positions, cells, submit_due_at, refund.return_id,
    )  # fmt: skip


_SELECT = """
SELECT r.id, r.order_id, r.created_at, r.currency, r.type, r.amount_minor, r.refunded_minor,
       r.elements, r.state, r.reason, r.failure_reason, r.metadata, r.invoice_id, r.share_lines,
       r.shares, r.refunded_shares, r.submit_due_at, r.sealed_token, r.token_expires_at,
       r.attention_since, r.return_id,
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
        return_id=row["return_id"],
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
