"""Webhooks in the database. Secrets pass through here sealed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from refundry.db.database import Database, Record, Session, Tx
from refundry.db.listing import Condition
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of events, with the state of its deliveries.

    user_name, sealed_password: of `authentication` with HTTP, of `oauth` with OAUTH.
    sealed_old_token signs along before old_token_until. All times are on the clock of the mode.
    """

    tenant: Tenant
    id: str
    created_at: datetime
    updated_at: datetime
    types: tuple[str, ...]
    expanded_types: tuple[str, ...]
    address: str
    api_version: str
    enabled: bool
    transport_type: str
    user_name: str | None
    sealed_password: bytes | None
    token_end_point: str | None
    client_id: str | None
    sealed_client_secret: bytes | None
    grant_type: str | None
    sealed_token: bytes
    sealed_old_token: bytes | None = None
    old_token_until: datetime | None = None
    last_success_at: datetime | None = None
    failing_since: datetime | None = None
    warned_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


# Deliveries dropped by one statement, which is well below the time that one may take.
_STRETCH = 10_000

_NAMES = tuple(field.name for field in fields(Webhook) if field.name != "tenant")
_COLUMNS = ", ".join(f"t.{name}" for name in ("account_id", "live", *_NAMES))


async def find_webhook(session: Session, tenant: Tenant, webhook_id: str) -> Webhook | None:
    """The webhook; None if there is none."""
    found = await find_webhooks(session, tenant, [webhook_id])
    return found[0] if found else None


async def find_webhooks(
    session: Session, tenant: Tenant, webhook_ids: Sequence[str]
) -> list[Webhook]:
    """The webhooks with these ids that there are, in no order."""
    rows = await session.fetch(
        f"""
        SELECT {_COLUMNS}
          FROM webhooks t
         WHERE t.account_id = $1 AND t.live = $2 AND t.id = ANY ($3::text[])
        """,
        tenant.account_id, tenant.live, list(webhook_ids),
    )  # fmt: skip
    return [_webhook(row) for row in rows]


async def list_webhooks(
    session: Session, tenant: Tenant, conditions: Sequence[Condition]
) -> list[Webhook]:
    """Every webhook of the tenant that fits, newest first."""
    arguments: list[object] = [tenant.account_id, tenant.live]
    where = ["t.account_id = $1", "t.live = $2"]
    for condition in conditions:
        arguments.append(condition.argument)
        where.append("(" + condition.sql.format(f"${len(arguments)}") + ")")
    rows = await session.fetch(
        f"""
        SELECT {_COLUMNS}
          FROM webhooks t
         WHERE {" AND ".join(where)}
         ORDER BY t.created_at DESC, t.seq DESC
        """,
        *arguments,
    )
    return [_webhook(row) for row in rows]


async def find_everywhere(session: Session, webhook_id: str | None) -> list[Webhook]:
    """The webhook with this id, or all of them, of any account; for those who run the service."""
    rows = await session.fetch(
        f"""
        SELECT {_COLUMNS}
          FROM webhooks t
         WHERE $1::text IS NULL OR t.id = $1
         ORDER BY t.created_at, t.seq
        """,
        webhook_id,
    )
    return [_webhook(row) for row in rows]


async def lock_webhook(tx: Tx, tenant: Tenant, webhook_id: str) -> Webhook | None:
    """The webhook, its row locked until the transaction ends; None if there is none."""
    row = await tx.fetchrow(
        f"""
        SELECT {_COLUMNS}
          FROM webhooks t
         WHERE t.account_id = $1 AND t.live = $2 AND t.id = $3
           FOR UPDATE
        """,
        tenant.account_id, tenant.live, webhook_id,
    )  # fmt: skip
    return _webhook(row) if row else None


async def insert_webhook(tx: Tx, webhook: Webhook) -> None:
    """Store a new webhook."""
    places = ", ".join(f"${index}" for index in range(1, len(_NAMES) + 3))
    await tx.execute(
        f"INSERT INTO webhooks (account_id, live, {', '.join(_NAMES)}) VALUES ({places})",
        *_arguments(webhook),
    )


async def save_webhook(tx: Tx, webhook: Webhook) -> None:
    """Store a webhook as it now is; its row must be locked."""
    places = ", ".join(f"{name} = ${index}" for index, name in enumerate(_NAMES, 3))
    await tx.execute(
        f"UPDATE webhooks SET {places} WHERE account_id = $1 AND live = $2 AND id = $3",
        *_arguments(webhook),
    )


async def delete_webhook(tx: Tx, tenant: Tenant, webhook_id: str) -> bool:
    """Delete a webhook and its lane; False if there is none."""
    await tx.execute(
        "DELETE FROM webhook_lanes WHERE account_id = $1 AND live = $2 AND webhook_id = $3",
        tenant.account_id, tenant.live, webhook_id,
    )  # fmt: skip
    tag = await tx.execute(
        "DELETE FROM webhooks WHERE account_id = $1 AND live = $2 AND id = $3",
        tenant.account_id, tenant.live, webhook_id,
    )  # fmt: skip
    return tag != "DELETE 0"


async def drop_deliveries(database: Database, tenant: Tenant, webhook_id: str) -> None:
    """Give up what is still to be delivered to a webhook that is disabled or deleted.

    Not in the transaction that ends it, but after it: there may be millions, and what an event
    wrote at the same moment is seen only now. Nothing happens to a webhook that is enabled.
    """
    while await _drop_stretch(database, tenant, webhook_id) >= _STRETCH:
        pass


async def _drop_stretch(session: Session, tenant: Tenant, webhook_id: str) -> int:
    """Give up what is due until some time; a stretch is longer where many are due at once.

    Bounded by a time and not by names: joined with itself, a table whose statistics are old is
    read once for each row.
    """
    tag = await session.execute(
        """
        UPDATE deliveries SET state = 'dropped', due_at = NULL
         WHERE account_id = $1 AND live = $2 AND webhook_id = $3 AND due_at IS NOT NULL
           AND (due_at <= (SELECT due_at FROM deliveries
                            WHERE account_id = $1 AND live = $2 AND webhook_id = $3
                              AND due_at IS NOT NULL
                            ORDER BY due_at OFFSET $4 LIMIT 1)) IS NOT FALSE
           AND NOT EXISTS (
               SELECT FROM webhooks
                WHERE account_id = $1 AND live = $2 AND id = $3 AND enabled)
        """,
        tenant.account_id, tenant.live, webhook_id, _STRETCH,
    )  # fmt: skip
    return int(tag.split()[-1])


async def insert_resend(
    tx: Tx, tenant: Tenant, webhook_id: str, event_id: str, now: datetime
) -> None:
    """Queue a single attempt of an event; the webhook's row must be locked."""
    await tx.execute(
        """
        INSERT INTO deliveries (account_id, live, webhook_id, event_id, number, single, due_at)
        SELECT $1, $2, $3, $4, coalesce(max(number) + 1, 0), true, $5
          FROM deliveries
         WHERE account_id = $1 AND live = $2 AND webhook_id = $3 AND event_id = $4
        """,
        tenant.account_id, tenant.live, webhook_id, event_id, now,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recovered:
    """A stretch of events that was gone through. position: created_at and seq of its last."""

    queued: int
    position: tuple[datetime, int]


async def recover_stretch(
    tx: Tx, webhook: Webhook, position: tuple[datetime, int], now: datetime, limit: int
) -> Recovered | None:
    """Queue what the webhook missed of the next `limit` events that it subscribes to.

    Missed is what neither reached it nor is on its way. position: the last event before them.
    None if no event is left. The webhook's row must be locked.
    """
    row = await tx.fetchrow(
        """
        WITH stretch AS MATERIALIZED (
            SELECT e.id, e.created_at, e.seq
              FROM events e
             WHERE e.account_id = $1 AND e.live = $2 AND e.type = ANY ($4::text[])
               AND (e.created_at, e.seq) > ($5, $6) AND e.created_at <= $7
             ORDER BY e.created_at, e.seq
             LIMIT $8
        ), queued AS (
            INSERT INTO deliveries (account_id, live, webhook_id, event_id, number, due_at)
            SELECT $1, $2, $3, s.id, coalesce(tried.last + 1, 0), $7
              FROM stretch s
             CROSS JOIN LATERAL (
                SELECT max(d.number) AS last,
                       bool_or(d.state IN ('pending', 'succeeded')) AS settled
                  FROM deliveries d
                 WHERE d.account_id = $1 AND d.live = $2 AND d.webhook_id = $3
                   AND d.event_id = s.id) AS tried
             WHERE tried.settled IS NOT TRUE
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM queued) AS queued, s.created_at, s.seq
          FROM stretch s
         ORDER BY s.created_at DESC, s.seq DESC
         LIMIT 1
        """,
        webhook.tenant.account_id, webhook.tenant.live, webhook.id, list(webhook.types),
        *position, now, limit,
    )  # fmt: skip
    return Recovered(row["queued"], (row["created_at"], row["seq"])) if row else None


async def expands_events(session: Session, account_id: str) -> bool:
    """Whether the webhooks of an account may ask for expanded events."""
    return await session.fetchval("SELECT expanded_events FROM accounts WHERE id = $1", account_id)


async def set_expanded_events(session: Session, account_id: str, *, on: bool) -> None:
    """Let the webhooks of an account ask for expanded events, or no longer."""
    await session.execute("UPDATE accounts SET expanded_events = $2 WHERE id = $1", account_id, on)


def _webhook(row: Record) -> Webhook:
    values = {name: row[name] for name in _NAMES}
    values["types"] = tuple(row["types"])
    values["expanded_types"] = tuple(row["expanded_types"])
    return Webhook(Tenant(row["account_id"], row["live"]), **values)


def _arguments(webhook: Webhook) -> list[object]:
    """account_id and live, then every column in the order of _NAMES."""
    values = [getattr(webhook, name) for name in _NAMES]
    return [webhook.tenant.account_id, webhook.tenant.live, *values]
