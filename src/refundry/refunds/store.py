"""Refunds and their parts in the database, and the write of a new refund in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from refundry.db.database import Record, Session
from refundry.domain.cells import EMPTY, Cells
from refundry.domain.charge import OperationState
from refundry.domain.event import EventType
from refundry.domain.money import find_currency
from refundry.domain.order import Line, Order, OrderState, hold
from refundry.domain.refund import Element, Part, Refund, RefundState, RefundType, Token, Way
from refundry.errors import required
from refundry.ids import new_ordered_uuid
from refundry.orders.store import (
    OrderKey,
    cells_text,
    columns,
    flatten,
    order_key,
    read_array,
    unflatten,
)
from refundry.outbox.store import DELIVER_WRITTEN, SUBSCRIBED, event_times
from refundry.tenant import Tenant

# By the refund's articles or by those of the order's lines, whichever finds fewer.
NAMES_ARTICLE = (
    "cardinality(t.sku_ids) > 0 AND t.sku_ids @> ARRAY[{0}::text]"
    " AND EXISTS (SELECT 1 FROM order_lines l WHERE l.account_id = $1 AND l.live = $2"
    " AND l.order_id = t.order_id AND l.sku_id = {0}::text)"
)
"""A condition of lists of refunds: one with a SKU id. `t` is the refund, $1 and $2 its tenant."""


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
    """A refund as read, with its parts' facts and its token, still encrypted.

    token_spent: whether it had a token that is no longer valid; there is never a second one.
    """

    refund: Refund
    parts: tuple[PartFacts, ...]
    sealed_token: bytes | None
    token_spent: bool = False


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
          FROM unnest($1::text[], $2::boolean[], (SELECT $3::text[])) AS k (account_id, live, id)
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
                  $6::bigint[], $7::timestamptz[], (SELECT $8::timestamptz[]))
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
      FROM unnest($9::text[], $10::boolean[], $11::text[], $12::smallint[], (SELECT $13::text[]))
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
                  $25::text[], $26::text[], (SELECT $27::timestamptz[]))
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
                  $33::text[], $34::text[], (SELECT $35::timestamptz[]))
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
        [elements_text(new.refund) for new in news],
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
        [new_ordered_uuid() for _ in rows],
        [kind for _, _, kind, _ in rows],
        [new.text for new, *_ in rows],
        [time for *_, time in rows],
    ]


def _texts_text(texts: Sequence[str]) -> str:
    """Texts as PostgreSQL writes an array, for a list of arrays in one parameter."""
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"


_SELECT = """
SELECT r.seq, r.id, r.order_id, r.created_at, r.currency, r.type, r.amount_minor, r.refunded_minor,
       r.elements, r.state, r.reason, r.failure_reason, r.metadata, r.invoice_id, r.share_lines,
       r.shares, r.refunded_shares, r.submit_due_at, r.sealed_token, r.token_expires_at,
       r.attention_since, r.return_id, r.replaces, r.way,
       r.token_hash IS NOT NULL AND r.token_expires_at IS NULL AS token_spent,
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


async def refunds_of_order(session: Session, tenant: Tenant, order_id: str) -> list[str]:
    """The ids of an order's refunds, newest first."""
    rows = await session.fetch(
        """
        SELECT id FROM refunds WHERE account_id = $1 AND live = $2 AND order_id = $3
         ORDER BY created_at DESC, seq DESC
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return [row["id"] for row in rows]


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


async def refunds_of_operations(
    session: Session, operations: Sequence[tuple[OrderKey, str]]
) -> dict[str, list[StoredRefund]]:
    """The refunds that charge-level records pay, oldest first, by the id of the record."""
    rows = await session.fetch(
        f"""
        SELECT k.operation_id, r.*
          FROM unnest($1::text[], $2::boolean[], $3::text[], (SELECT $4::text[]))
               AS k (account_id, live, order_id, operation_id)
          JOIN refund_parts k_p
            ON k_p.account_id = k.account_id AND k_p.live = k.live AND k_p.order_id = k.order_id
           AND k_p.operation_id = k.operation_id
         CROSS JOIN LATERAL ({_SELECT}
                WHERE r.account_id = k_p.account_id AND r.live = k_p.live
                  AND r.order_id = k_p.order_id AND r.id = k_p.refund_id) AS r
         ORDER BY r.seq
        """,
        *columns([(*key, operation_id) for key, operation_id in operations], 4),
    )
    found: dict[str, list[StoredRefund]] = {}
    for row in rows:
        found.setdefault(row["operation_id"], []).append(_stored(row))
    return found


async def refunds_of_operation(
    session: Session, tenant: Tenant, order_id: str, operation_id: str
) -> list[StoredRefund]:
    """The refunds that a charge-level record pays, oldest first."""
    key = order_key(tenant, order_id)
    found = await refunds_of_operations(session, [(key, operation_id)])
    return found.get(operation_id, [])


async def unsubmitted_refunds(
    session: Session, orders: Mapping[OrderKey, datetime]
) -> dict[OrderKey, list[StoredRefund]]:
    """The pending refunds of orders that wait for submission until a time each, oldest first."""
    rows = await session.fetch(
        f"""
        SELECT k.account_id AS key_account, k.live AS key_live, r.*
          FROM unnest($1::text[], $2::boolean[], $3::text[], (SELECT $4::timestamptz[]))
               AS k (account_id, live, order_id, until)
         CROSS JOIN LATERAL ({_SELECT}
                WHERE r.account_id = k.account_id AND r.live = k.live
                  AND r.order_id = k.order_id AND r.state = 'pending'
                  AND r.submit_due_at <= k.until) AS r
         ORDER BY r.seq
        """,
        *columns([(*key, until) for key, until in orders.items()], 4),
    )
    found: dict[OrderKey, list[StoredRefund]] = {}
    for row in rows:
        key = row["key_account"], row["key_live"], row["order_id"]
        found.setdefault(key, []).append(_stored(row))
    return found


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
        replaces=row["replaces"],
        way=Way(row["way"]) if row["way"] else None,
    )  # fmt: skip
    return StoredRefund(refund, parts, row["sealed_token"], row["token_spent"])


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


def elements_text(refund: Refund) -> str | None:
    """The elements of an item-level refund as they are stored."""
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
