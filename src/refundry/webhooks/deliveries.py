"""Deliveries in the database: who delivers for which webhook, what is due, what came of it.

A worker delivers for a webhook while it holds the webhook's lane. Leases are in the database's
own time; all other times are on the clock of the webhook's mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.db.database import Record, Session
from refundry.outbox.store import StoredEvent
from refundry.tenant import VERSIONS, Tenant

LEASE_SECONDS = 6.0

# Every webhook with outstanding deliveries and its earliest due time, found by one step in the
# index per webhook, however many rows each has. $1: an account, or NULL for all.
_WAITING = """
    waiting AS (
        (SELECT d.account_id, d.live, d.webhook_id, d.due_at
           FROM deliveries d
          WHERE d.due_at IS NOT NULL
            AND d.account_id >= coalesce($1::text, '')
          ORDER BY d.account_id, d.live, d.webhook_id, d.due_at
          LIMIT 1)
        UNION ALL
        SELECT n.account_id, n.live, n.webhook_id, n.due_at
          FROM waiting p
         CROSS JOIN LATERAL (
            SELECT d.account_id, d.live, d.webhook_id, d.due_at
              FROM deliveries d
             WHERE d.due_at IS NOT NULL
               AND (d.account_id, d.live, d.webhook_id) > (p.account_id, p.live, p.webhook_id)
             ORDER BY d.account_id, d.live, d.webhook_id, d.due_at
             LIMIT 1) AS n
         WHERE $1::text IS NULL OR p.account_id = $1
    ),
    due AS (
        SELECT w.account_id, w.live, w.id, w.updated_at, w.sealed_token AS token, p.due_at,
               a.test_clock_shift * (NOT w.live)::int AS shift, a.expanded_events,
               CASE w.api_version
                    WHEN 'default' THEN
                         (SELECT k.api_version FROM api_keys k
                           WHERE k.account_id = w.account_id AND k.live = w.live
                             AND k.kind = 'secret' AND k.expires_at IS NULL)
                    WHEN 'latest' THEN NULL
                    ELSE w.api_version
               END AS version
          FROM waiting p
          JOIN accounts a ON a.id = p.account_id
          JOIN webhooks w
            ON w.account_id = p.account_id AND w.live = p.live AND w.id = p.webhook_id
         WHERE w.enabled AND ($1::text IS NULL OR p.account_id = $1)
           AND p.due_at <= $2::timestamptz + a.test_clock_shift * (NOT p.live)::int
    )
"""


Mark = tuple[datetime, bytes]
"""What differs after each change of a webhook: its time, and its sealed token when that was
changed alone."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is due. attempts: made so far. key: names it among all deliveries.

    order_id: of the event.
    """

    key: str
    event: StoredEvent
    order_id: str
    number: int
    attempts: int
    first_attempt_at: datetime | None
    single: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries of one webhook whose lane is ours, the earliest due first.

    mark: of the webhook as it now is. shift: of the clock of its mode. expanded: whether the
    account may have expanded events.
    """

    tenant: Tenant
    webhook_id: str
    mark: Mark
    version: str
    shift: timedelta
    expanded: bool
    due: tuple[Due, ...]


@dataclass(frozen=True, slots=True)
class Ours:
    """What a worker has in hands: its owner's name, the webhooks whose lanes it holds, those of
    them that need nothing more at present, and the keys of the deliveries that it works on."""

    owner: str
    lanes: Sequence[str]
    busy: Sequence[str]
    keys: Sequence[str]


async def take_due(
    session: Session,
    *,
    now: datetime,
    account_id: str | None,
    ours: Ours,
    limit: int,
    most_lanes: int,
) -> list[Batch]:
    """Take free lanes with deliveries that are due; gives these and more for our own lanes.

    now: real time. limit: deliveries per webhook. most_lanes: how many are taken, of those that
    wait for the longest; those that we took before and did not open come last.
    """
    rows = await session.fetch(
        f"""
        WITH RECURSIVE {_WAITING},
        free AS (
            SELECT f.account_id, f.live, f.id
              FROM due f
              LEFT JOIN webhook_lanes h
                ON h.account_id = f.account_id AND h.live = f.live AND h.webhook_id = f.id
             WHERE f.id <> ALL ($4::text[])
               AND (h.owner IS NULL OR h.owner = $3 OR h.leased_until <= now())
             ORDER BY h.owner IS NOT NULL AND h.owner = $3, f.due_at
             LIMIT $9
        ),
        taken AS (
            INSERT INTO webhook_lanes AS l (account_id, live, webhook_id, owner, leased_until)
            SELECT f.account_id, f.live, f.id, $3, now() + make_interval(secs => $8)
              FROM free f
             ORDER BY f.account_id, f.live, f.id
            ON CONFLICT (account_id, live, webhook_id) DO UPDATE
               SET owner = excluded.owner, leased_until = excluded.leased_until
             WHERE l.owner = excluded.owner OR l.leased_until <= now()
            RETURNING l.webhook_id
        )
        SELECT f.account_id, f.live, f.id AS webhook_id, f.updated_at, f.token, f.shift,
               f.expanded_events, f.version,
               d.event_id AS id, d.number, d.attempts, d.first_attempt_at, d.single,
               e.type, e.object, e.previous, e.sealed_token, e.created_at, e.order_sequence,
               e.webhook_ids, e.order_id
          FROM due f
         CROSS JOIN LATERAL (
            SELECT d.event_id, d.number, d.attempts, d.first_attempt_at, d.single, d.due_at
              FROM deliveries d
             WHERE d.account_id = f.account_id AND d.live = f.live AND d.webhook_id = f.id
               AND d.due_at <= $2::timestamptz + f.shift
               AND d.webhook_id || d.event_id || d.number <> ALL ($6::text[])
             ORDER BY d.due_at
             LIMIT $7) AS d
          JOIN events e ON e.account_id = f.account_id AND e.live = f.live AND e.id = d.event_id
         WHERE f.id <> ALL ($5::text[])
           AND (f.id = ANY ($4::text[]) OR f.id IN (SELECT webhook_id FROM taken))
         ORDER BY f.account_id, f.live, f.id, d.due_at
        """,
        account_id, now, ours.owner, list(ours.lanes), list(ours.busy), list(ours.keys), limit,
        LEASE_SECONDS, most_lanes,
    )  # fmt: skip
    return _batches(rows)


def _batches(rows: Sequence[Record]) -> list[Batch]:
    """The batches in rows that come webhook by webhook."""
    groups: dict[tuple[str, bool, str], list[Record]] = {}
    for row in rows:
        groups.setdefault((row["account_id"], row["live"], row["webhook_id"]), []).append(row)
    return [
        Batch(
            tenant=Tenant(account_id, live),
            webhook_id=webhook_id,
            mark=(group[0]["updated_at"], group[0]["token"]),
            version=group[0]["version"] or VERSIONS[0],
            shift=group[0]["shift"],
            expanded=group[0]["expanded_events"],
            due=tuple(map(_due, group)),
        )
        for (account_id, live, webhook_id), group in groups.items()
    ]


def _due(row: Record) -> Due:
    event = StoredEvent(
        id=row["id"],
        type=row["type"],
        object=row["object"],
        previous=row["previous"],
        sealed_token=row["sealed_token"],
        created_at=row["created_at"],
        sequence=row["order_sequence"],
        webhook_ids=tuple(row["webhook_ids"]),
    )
    return Due(
        key=f"{row['webhook_id']}{row['id']}{row['number']}",
        event=event,
        order_id=row["order_id"],
        number=row["number"],
        attempts=row["attempts"],
        first_attempt_at=row["first_attempt_at"],
        single=row["single"],
    )


async def renew_lanes(session: Session, owner: str) -> dict[str, Mark]:
    """Hold an owner's lanes for longer; those of webhooks that may not be sent to are given up.

    Gives the webhooks whose lanes are still the owner's, with their marks.
    """
    rows = await session.fetch(
        """
        UPDATE webhook_lanes l
           SET leased_until = now() + make_interval(secs => $2)
          FROM webhooks w
         WHERE l.owner = $1 AND w.enabled
           AND w.account_id = l.account_id AND w.live = l.live AND w.id = l.webhook_id
        RETURNING l.webhook_id, w.updated_at, w.sealed_token
        """,
        owner, LEASE_SECONDS,
    )  # fmt: skip
    return {row["webhook_id"]: (row["updated_at"], row["sealed_token"]) for row in rows}


async def release_lanes(session: Session, owner: str, webhook_ids: Sequence[str]) -> None:
    """Let any worker deliver for these webhooks."""
    await session.execute(
        "DELETE FROM webhook_lanes WHERE owner = $1 AND webhook_id = ANY ($2::text[])",
        owner, list(webhook_ids),
    )  # fmt: skip


async def line_details(session: Session, tenant: Tenant, order_id: str) -> Mapping[str, str]:
    """What is kept of an order's lines as JSON text, by the line's id."""
    rows = await session.fetch(
        """
        SELECT id, details FROM order_lines
         WHERE account_id = $1 AND live = $2 AND order_id = $3
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return {row["id"]: row["details"] for row in rows}


async def outstanding(session: Session, now: datetime, account_id: str | None) -> bool:
    """Whether a delivery is due, held by some worker or not. now: real time."""
    return await session.fetchval(
        f"WITH RECURSIVE {_WAITING} SELECT EXISTS (SELECT FROM due)", account_id, now
    )


async def forsaken(session: Session) -> list[tuple[Tenant, str]]:
    """The webhooks that are disabled or deleted and have outstanding deliveries all the same."""
    rows = await session.fetch(
        f"""
        WITH RECURSIVE {_WAITING}
        SELECT p.account_id, p.live, p.webhook_id
          FROM waiting p
         WHERE NOT EXISTS (
            SELECT FROM webhooks w
             WHERE w.account_id = p.account_id AND w.live = p.live AND w.id = p.webhook_id
               AND w.enabled)
        """,
        None, None,
    )  # fmt: skip
    return [(Tenant(row["account_id"], row["live"]), row["webhook_id"]) for row in rows]


async def oldest_due(session: Session, now: datetime) -> float:
    """For how many seconds the delivery that is due for the longest has been so."""
    waited = await session.fetchval(
        f"""
        WITH RECURSIVE {_WAITING}
        SELECT extract(epoch FROM max($2::timestamptz + shift - due_at))::float8 FROM due
        """,
        None, now,
    )  # fmt: skip
    return max(0.0, waited or 0.0)


async def purge(session: Session, before: datetime, limit: int) -> int:
    """Delete attempts that began before a time, some at a time; gives how many went.

    Their deliveries stay: what an endpoint missed is what has none that succeeded. Only those of
    sample events go along, as no event will ever take them away. As in `_WAITING`, one step per
    webhook finds those that have old ones.
    """
    return await session.fetchval(
        """
        WITH RECURSIVE oldest AS (
            (SELECT account_id, live, webhook_id, started_at FROM attempts
              ORDER BY account_id, live, webhook_id, started_at
              LIMIT 1)
            UNION ALL
            SELECT n.account_id, n.live, n.webhook_id, n.started_at
              FROM oldest p
             CROSS JOIN LATERAL (
                SELECT account_id, live, webhook_id, started_at FROM attempts a
                 WHERE (a.account_id, a.live, a.webhook_id)
                       > (p.account_id, p.live, p.webhook_id)
                 ORDER BY account_id, live, webhook_id, started_at
                 LIMIT 1) AS n
        ), old AS (
            SELECT a.account_id, a.live, a.webhook_id, a.event_id, a.number, a.attempt
              FROM oldest o
             CROSS JOIN LATERAL (
                SELECT a.account_id, a.live, a.webhook_id, a.event_id, a.number, a.attempt
                  FROM attempts a
                 WHERE a.account_id = o.account_id AND a.live = o.live
                   AND a.webhook_id = o.webhook_id AND a.started_at < $1
                 ORDER BY a.started_at
                 LIMIT $2) AS a
             WHERE o.started_at < $1
             LIMIT $2
        ), samples AS (
            DELETE FROM deliveries d USING old o
             WHERE (d.account_id, d.live, d.webhook_id, d.event_id, d.number)
                   = (o.account_id, o.live, o.webhook_id, o.event_id, o.number)
               AND d.sample_type IS NOT NULL
        ), gone AS (
            DELETE FROM attempts a USING old o
             WHERE (a.account_id, a.live, a.webhook_id, a.event_id, a.number, a.attempt)
                   = (o.account_id, o.live, o.webhook_id, o.event_id, o.number, o.attempt)
            RETURNING 1
        )
        SELECT count(*) FROM gone
        """,
        before, limit,
    )  # fmt: skip
