"""What was tried for a webhook: its attempts, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from refundry.db.database import Record, Session
from refundry.db.listing import Condition, Page
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver one event. state, due_at: of the delivery, as they are by now.

    status: of the answer, if there was one; error: what else happened; response: its first 4 KiB.
    sample: it was one of a sample event, which is in no log. single: asked for by a person.
    """

    event_id: str
    number: int
    attempt: int
    event_type: str | None
    started_at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    response: bytes | None
    state: str
    due_at: datetime | None
    sample: bool = False
    single: bool = False

    @property
    def id(self) -> str:
        """Names it among those of its webhook."""
        return f"{self.event_id}.{self.number}.{self.attempt}"


async def list_attempts(
    session: Session, tenant: Tenant, webhook_id: str, conditions: Sequence[Condition], page: Page
) -> tuple[list[Attempt], bool] | None:
    """A page of a webhook's attempts, and whether there is more that way.

    conditions: on `a`, the attempt, and `d`, its delivery. None if the cursor names no attempt.
    """
    arguments: list[object] = [tenant.account_id, tenant.live, webhook_id]
    where = ["a.account_id = $1", "a.live = $2", "a.webhook_id = $3"]
    backwards = page.before is not None
    cursor = page.before if backwards else page.after
    if cursor is not None:
        position = await _position(session, tenant, webhook_id, cursor)
        if position is None:
            return None
        arguments += position
        sign = ">" if backwards else "<"
        where.append(f"(a.started_at, a.event_id, a.number, a.attempt) {sign} ($4, $5, $6, $7)")
    for condition in conditions:
        arguments.append(condition.argument)
        where.append("(" + condition.sql.format(f"${len(arguments)}") + ")")
    direction = "ASC" if backwards else "DESC"
    rows = await session.fetch(
        f"""
        SELECT a.event_id, a.number, a.attempt, coalesce(d.sample_type, e.type) AS type,
               d.sample_type IS NOT NULL AS sample, d.single, a.started_at, a.duration_ms,
               a.status, a.error, a.response, d.state, d.due_at
          FROM attempts a
          JOIN deliveries d USING (account_id, live, webhook_id, event_id, number)
          LEFT JOIN events e ON e.account_id = a.account_id AND e.live = a.live
                AND e.id = a.event_id
         WHERE {" AND ".join(where)}
         ORDER BY a.started_at {direction}, a.event_id {direction}, a.number {direction},
                  a.attempt {direction}
         LIMIT {page.limit + 1:d}
        """,
        *arguments,
    )
    found = [_attempt(row) for row in rows[: page.limit]]
    return (found[::-1] if backwards else found), len(rows) > page.limit


async def _position(
    session: Session, tenant: Tenant, webhook_id: str, cursor: str
) -> list[object] | None:
    """Where in the list the attempt with an id stands."""
    event_id, number, attempt = ([*cursor.split("."), "", ""])[:3]
    if f"{event_id}.{number}.{attempt}" != cursor or not _small(number) or not _small(attempt):
        return None
    row = await session.fetchrow(
        """
        SELECT started_at, event_id, number, attempt
          FROM attempts
         WHERE account_id = $1 AND live = $2 AND webhook_id = $3 AND event_id = $4
           AND number = $5 AND attempt = $6
        """,
        tenant.account_id, tenant.live, webhook_id, event_id, int(number), int(attempt),
    )  # fmt: skip
    return list(row.values()) if row else None


def _small(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 1 << 15


def _attempt(row: Record) -> Attempt:
    return Attempt(
        event_id=row["event_id"],
        number=row["number"],
        attempt=row["attempt"],
        event_type=row["type"],
        started_at=row["started_at"],
        duration_ms=row["duration_ms"],
        status=row["status"],
        error=row["error"],
        response=row["response"],
        state=row["state"],
        due_at=row["due_at"],
        sample=row["sample"],
        single=row["single"],
    )
