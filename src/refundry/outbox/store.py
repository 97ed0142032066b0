"""Events in the database: appended in the caller's transaction, read by the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.db.database import Record, Session, Tx
from refundry.tenant import Tenant

_STEP = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be appended. sequence: its place among the events of its order.

    object, previous: JSON text. sealed_token: see `TOKEN_GAP`.
    """

    tenant: Tenant
    order_id: str
    sequence: int
    created_at: datetime
    id: str
    type: str
    object: str
    previous: str | None = None
    sealed_token: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was written. sequence: its place among the events of its order."""

    id: str
    type: str
    object: str
    previous: str | None
    sealed_token: bytes | None
    created_at: datetime
    sequence: int
    webhook_ids: tuple[str, ...]


TOKEN_GAP = "00000000-token-kept-apart-000000000000"  # noqa: S105 - stands for one
"""Stands in a stored payload where a refund token belongs; the token is kept encrypted."""


# Pieces of the statements that write events. e: an event in the making.
SUBSCRIBED = """ARRAY(SELECT w.id FROM webhooks w
                           WHERE w.account_id = e.account_id AND w.live = e.live AND w.enabled
                             AND e.type = ANY (w.types)
                           ORDER BY w.seq)"""
DELIVER_WRITTEN = """INSERT INTO deliveries (account_id, live, webhook_id, event_id, due_at)
        SELECT written.account_id, written.live, webhook_id, written.id, written.created_at
          FROM written, unnest(written.webhook_ids) AS webhook_id"""


def event_times(now: datetime, last: datetime | None, count: int) -> list[datetime]:
    """`count` instants, each later than the one before and than the order's last event."""
    first = now if last is None or now > last else last + _STEP
    return [first + index * _STEP for index in range(count)]


async def append_events(tx: Tx, events: Sequence[NewEvent]) -> None:
    """Write events, those of one order in their order.

    Each goes to the enabled webhooks that subscribe to its type, as deliveries that are due.
    """
    await tx.execute(
        _APPEND,
        [event.tenant.account_id for event in events],
        [event.tenant.live for event in events],
        [event.order_id for event in events],
        [event.sequence for event in events],
        [event.id for event in events],
        [event.type for event in events],
        [event.object for event in events],
        [event.previous for event in events],
        [event.sealed_token for event in events],
        [event.created_at for event in events],
    )


_APPEND = f"""
WITH written AS (
    INSERT INTO events (account_id, live, order_id, order_sequence, id, type, object, previous,
                        sealed_token, created_at, webhook_ids)
    SELECT e.account_id, e.live, e.order_id, e.sequence, e.id, e.type, e.object, e.previous,
           e.sealed, e.created_at, {SUBSCRIBED}
      FROM unnest($1::text[], $2::boolean[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::bytea[], (SELECT $10::timestamptz[]))
           WITH ORDINALITY
           AS e (account_id, live, order_id, sequence, id, type, object, previous, sealed,
                 created_at, place)
     ORDER BY e.place
    RETURNING account_id, live, id, created_at, webhook_ids
)
{DELIVER_WRITTEN}
"""


async def find_events(
    session: Session, tenant: Tenant, event_ids: Sequence[str]
) -> list[StoredEvent]:
    """The events with these ids, in the order of the ids."""
    rows = await session.fetch(
        """
        SELECT id, type, object, previous, sealed_token, created_at, order_sequence, webhook_ids
          FROM events
         WHERE account_id = $1 AND live = $2 AND id = ANY ($3::text[])
        """,
        tenant.account_id, tenant.live, list(event_ids),
    )  # fmt: skip
    found = {row["id"]: _event(row) for row in rows}
    return [found[event_id] for event_id in event_ids if event_id in found]


async def events_of_order(
    session: Session, tenant: Tenant, order_id: str, limit: int
) -> list[tuple[datetime, str]]:
    """The times and types of an order's newest events, newest first."""
    rows = await session.fetch(
        """
        SELECT created_at, type FROM events
         WHERE account_id = $1 AND live = $2 AND order_id = $3
         ORDER BY order_sequence DESC LIMIT $4
        """,
        tenant.account_id, tenant.live, order_id, limit,
    )  # fmt: skip
    return [(row["created_at"], row["type"]) for row in rows]


def _event(row: Record) -> StoredEvent:
    return StoredEvent(
        id=row["id"],
        type=row["type"],
        object=row["object"],
        previous=row["previous"],
        sealed_token=row["sealed_token"],
        created_at=row["created_at"],
        sequence=row["order_sequence"],
        webhook_ids=tuple(row["webhook_ids"]),
    )
