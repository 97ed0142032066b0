"""Deletes by age what has outlived its use, some rows at a time, each time in a transaction."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry import idempotency
from refundry.api_log import store as api_log
from refundry.db.database import Session
from refundry.settings import Settings
from refundry.webhooks import deliveries

# A statement of so many takes some ten milliseconds, and holds no row that a request wants.
CHUNK = 1000
# As long as attempts are promised to be seen. A notification that is told again is known for as
# long; processors repeat theirs for days.
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Chore:
    """One kind of rows. count: how many are old. delete: at most so many of them; gives how many.

    `delete` never gives 0 while an old row is left that may go, so it is run until it does.
    """

    name: str
    kept: timedelta
    count: Callable[[Session], Awaitable[int]]
    delete: Callable[[Session, int], Awaitable[int]]


def chores(settings: Settings, now: datetime) -> list[Chore]:
    """What is kept for how long. Ages are counted from `now`, in real time."""
    events = timedelta(days=settings.retain_events)
    month = now - _KEPT
    calls = timedelta(days=settings.retain_api_log)
    drafts = timedelta(days=settings.retain_drafts)
    bulk = timedelta(days=settings.retain_bulk)
    return [
        Chore(
            "API log", calls,
            lambda session: api_log.count_calls(session, now - calls),
            lambda session, limit: api_log.delete_calls(session, now - calls, limit),
        ),
        Chore(
            "attempts", _KEPT,
            lambda session: _count(session, "attempts", "started_at < $1", month),
            lambda session, limit: deliveries.purge(session, month, limit),
        ),
        Chore(
            "events", events,
            lambda session: _count(session, "events e", f"e.created_at < $1 AND {_UNTIED}",
                                   now - events),
            lambda session, limit: delete_events(session, now - events, limit),
        ),
        Chore(
            "notifications", _KEPT,
            lambda session: _count(session, "processor_notifications",
                                   "received_at < $1 AND due_at IS NULL", month),
            lambda session, limit: delete_notifications(session, month, limit),
        ),
        Chore(
            "mails", _KEPT,
            lambda session: _count(session, "mails", "created_at < $1 AND due_at IS NULL", month),
            lambda session, limit: delete_mails(session, month, limit),
        ),
        Chore(
            "expired approvals", drafts,
            lambda session: _count(session, "refund_drafts", _EXPIRED, now - drafts),
            lambda session, limit: delete_drafts(session, now - drafts, limit),
        ),
        Chore(
            "bulk lines", bulk,
            lambda session: _count(session, _LINES_OF_RUNS,
                                   _FINISHED, now - bulk),
            lambda session, _limit: delete_bulk_lines(session, now - bulk),
        ),
        Chore(
            "unconfirmed files", bulk,
            lambda session: _count(session, "bulk_runs", _UNCONFIRMED, now - bulk),
            lambda session, _limit: delete_unconfirmed(session, now - bulk),
        ),
        Chore(
            "idempotency keys", idempotency.LIFE,
            lambda session: _count(session, "idempotency_keys",
                                   "created_at <= $1 AND started_at <= $1",
                                   now - idempotency.LIFE),
            lambda session, _limit: idempotency.purge(session, now),
        ),
    ]  # fmt: skip


async def run_chore(database: Session, chore: Chore, limit: int = CHUNK) -> AsyncGenerator[int]:
    """Delete what is old, chunk by chunk; gives how many each took. May be left at any point."""
    while taken := await chore.delete(database, limit):
        yield taken


async def _count(session: Session, table: str, condition: str, before: datetime) -> int:
    return await session.fetchval(f"SELECT count(*) FROM {table} WHERE {condition}", before)


# Nothing is to be delivered of it any more. What a person has sent again may be due by now.
_UNTIED = """NOT EXISTS (
    SELECT FROM deliveries d
     WHERE d.account_id = e.account_id AND d.live = e.live AND d.event_id = e.id
       AND d.due_at IS NOT NULL)"""


async def delete_events(session: Session, before: datetime, limit: int) -> int:
    """Delete events that were made before a time, with the deliveries that refer to them.

    Deliveries stay as long as their events: what an endpoint missed is what has none that
    succeeded, and it is sent again when the endpoint recovers. One step per account and webhook
    finds those that have rows.
    """
    return await session.fetchval(
        f"""
        WITH old AS MATERIALIZED (
            SELECT e.account_id, e.live, e.id
              FROM accounts a
             CROSS JOIN (VALUES (true), (false)) AS mode (live)
             CROSS JOIN LATERAL (
                SELECT e.account_id, e.live, e.id FROM events e
                 WHERE e.account_id = a.id AND e.live = mode.live AND e.created_at < $1
                   AND {_UNTIED}
                 ORDER BY e.created_at, e.seq
                 LIMIT $2) AS e
             LIMIT $2
        ), hooks AS MATERIALIZED (
            WITH RECURSIVE found AS (
                (SELECT account_id, live, webhook_id FROM deliveries
                  ORDER BY account_id, live, webhook_id LIMIT 1)
                UNION ALL
                SELECT n.account_id, n.live, n.webhook_id
                  FROM found f
                 CROSS JOIN LATERAL (
                    SELECT account_id, live, webhook_id FROM deliveries d
                     WHERE (d.account_id, d.live, d.webhook_id)
                           > (f.account_id, f.live, f.webhook_id)
                     ORDER BY account_id, live, webhook_id LIMIT 1) AS n
            )
            SELECT account_id, live, webhook_id FROM found
        ), undelivered AS (
            DELETE FROM deliveries d
             USING old o JOIN hooks h ON h.account_id = o.account_id AND h.live = o.live
             WHERE (d.account_id, d.live, d.webhook_id, d.event_id)
                   = (o.account_id, o.live, h.webhook_id, o.id)
        ), gone AS (
            DELETE FROM events e USING old o
             WHERE (e.account_id, e.live, e.id) = (o.account_id, o.live, o.id)
            RETURNING 1
        )
        SELECT count(*) FROM gone
        """,
        before, limit,
    )  # fmt: skip


async def delete_notifications(session: Session, before: datetime, limit: int) -> int:
    """Delete what processors told us before a time and that waits for nothing any more."""
    tag = await session.execute(
        """
        DELETE FROM processor_notifications
         WHERE (connector, id) IN (SELECT connector, id FROM processor_notifications
                                    WHERE received_at < $1 AND due_at IS NULL
                                    LIMIT $2)
        """,
        before, limit,
    )  # fmt: skip
    return int(tag.split()[-1])


async def delete_mails(session: Session, before: datetime, limit: int) -> int:
    """Delete mails that were written before a time and were sent, or given up."""
    tag = await session.execute(
        """
        DELETE FROM mails
         WHERE id IN (SELECT id FROM mails WHERE created_at < $1 AND due_at IS NULL LIMIT $2)
        """,
        before, limit,
    )  # fmt: skip
    return int(tag.split()[-1])


# A decision stays: it says who allowed a refund, or why nobody did. In test mode it is counted from
# when the account's clock says that it expired, which may be later than the world's.
_EXPIRED = "expires_at < $1 AND state = 'waiting'"


async def delete_drafts(session: Session, before: datetime, limit: int) -> int:
    """Delete requests for an approval that expired before a time and that nobody decided."""
    tag = await session.execute(
        f"""
        DELETE FROM refund_drafts
         WHERE (account_id, live, id) IN (SELECT account_id, live, id FROM refund_drafts
                                           WHERE {_EXPIRED} LIMIT $2)
        """,
        before, limit,
    )  # fmt: skip
    return int(tag.split()[-1])


_LINES_OF_RUNS = (
    "bulk_lines l JOIN bulk_runs r"
    " ON (r.account_id, r.live, r.id) = (l.account_id, l.live, l.run_id)"
)
_FINISHED = "r.state = 'finished' AND r.finished_at < $1"
_UNCONFIRMED = "checked_at < $1 AND state = 'checked'"


async def delete_bulk_lines(session: Session, before: datetime) -> int:
    """Delete the lines of one run that finished before a time, all of them or none: a result that
    lacks some would lie. They are ten thousand at most.

    The run stays, so that the same file is never paid a second time.
    """
    tag = await session.execute(
        f"""
        DELETE FROM bulk_lines
         WHERE (account_id, live, run_id) IN (
               SELECT r.account_id, r.live, r.id FROM bulk_runs r
                WHERE {_FINISHED}
                  AND EXISTS (
                      SELECT FROM bulk_lines l
                       WHERE (l.account_id, l.live, l.run_id) = (r.account_id, r.live, r.id))
                LIMIT 1)
        """,
        before,
    )  # fmt: skip
    return int(tag.split()[-1])


async def delete_unconfirmed(session: Session, before: datetime) -> int:
    """Delete one file that was checked before a time and never confirmed, with its lines."""
    tag = await session.execute(
        f"""
        DELETE FROM bulk_runs
         WHERE (account_id, live, id) IN (SELECT account_id, live, id FROM bulk_runs
                                           WHERE {_UNCONFIRMED} LIMIT 1)
           AND state = 'checked'
        """,
        before,
    )  # fmt: skip
    return int(tag.split()[-1])
