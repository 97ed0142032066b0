"""Charge operations as work: which are due, who asks the processor, what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.db.database import Record, Session
from refundry.domain.charge import OperationKind
from refundry.domain.money import find_currency
from refundry.errors import required
from refundry.gateways.payments import GATEWAY_OF_CHARGE
from refundry.processors.contract import Submission
from refundry.tenant import Tenant
from refundry.webhooks import deliveries


@dataclass(frozen=True, slots=True)
class Claimed:
    """An operation that this worker asks the processor for. waited: since it was due.

    seq: its place among all operations. shift: of the clock of its mode from real time.
    sealed_bank_details: where to pay a refund, as the shopper said. gateway_id: through which it
    is asked for; None: through the connector of its mode.
    """

    order_id: str
    seq: int
    submission: Submission
    waited: timedelta
    shift: timedelta
    sealed_bank_details: bytes | None = None
    gateway_id: str | None = None


async def claim_operations(
    session: Session,
    *,
    now: datetime,
    lease: timedelta,
    account_id: str | None,
    limit: int,
    without_orders: Sequence[str] = (),
) -> list[Claimed]:
    """Take due operations and commit the attempt, before anybody is called.

    without_orders: ids of orders that are not to be touched now.
    now: real time; due times are compared on the clock of each row's mode. A worker that dies
    leaves a lease that runs out, and the operation is asked for again under the same key.
    """
    rows = await session.fetch(
        f"""
        WITH due AS MATERIALIZED (
            SELECT o.account_id, o.live, o.order_id, o.id, o.due_at,
                   $1::timestamptz + a.test_clock_shift * (NOT o.live)::int AS now
              FROM charge_operations o JOIN accounts a ON a.id = o.account_id
             WHERE o.due_at <= $1::timestamptz + (SELECT max(test_clock_shift) FROM accounts)
               AND o.due_at <= $1::timestamptz + a.test_clock_shift * (NOT o.live)::int
               AND (o.leased_until IS NULL OR o.leased_until <= $1)
               AND ($3::text IS NULL OR o.account_id = $3)
               AND o.order_id <> ALL ($5::text[])
             ORDER BY o.due_at
             LIMIT $4
               FOR UPDATE OF o SKIP LOCKED
        )
        UPDATE charge_operations o
           SET leased_until = $2, attempts = o.attempts + 1,
               first_attempt_at = coalesce(o.first_attempt_at, due.now),
               gateway_id = coalesce(o.gateway_id, CASE
                   WHEN o.attempts = 0 AND o.way IS NULL
                    AND (o.live OR c.processor_reference IS NOT NULL)
                    AND EXISTS (SELECT FROM gateways g
                                 WHERE g.account_id = o.account_id AND g.live = o.live)
                   THEN {GATEWAY_OF_CHARGE}
               END)
          FROM due, charges c, orders r
         WHERE o.account_id = due.account_id AND o.live = due.live
           AND o.order_id = due.order_id AND o.id = due.id
           AND c.account_id = o.account_id AND c.live = o.live AND c.order_id = o.order_id
           AND c.id = o.charge_id
           AND r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
        RETURNING o.account_id, o.live, o.order_id, o.id, o.seq, o.kind, o.charge_id,
                  o.amount_minor, o.attempts, o.first_attempt_at, due.now, due.due_at, r.currency,
                  c.processor_reference, c.source_type, c.trigger, o.sealed_bank_details,
                  o.gateway_id, o.processor_reference AS reference,
                  CASE WHEN o.kind = 'cancel' AND o.gateway_id IS NOT NULL THEN c.amount_minor - (
                      SELECT coalesce(sum(x.amount_minor), 0) FROM charge_operations x
                       WHERE x.account_id = o.account_id AND x.live = o.live
                         AND x.order_id = o.order_id AND x.charge_id = o.charge_id
                         AND x.kind IN ('capture', 'cancel')
                         AND x.state IN ('pending', 'complete') AND x.id <> o.id)
                  END::bigint AS rest
        """,
        now, now + lease, account_id, limit, list(without_orders),
    )  # fmt: skip
    return [_claimed(row, now) for row in rows]


def submission_of(row: Record, rest: int | None = None) -> Submission:
    """The operation of a row that was claimed, as its processor is asked for it."""
    return Submission(
        key=row["id"],
        tenant=Tenant(row["account_id"], row["live"]),
        kind=OperationKind(row["kind"]),
        charge_id=row["charge_id"],
        amount=row["amount_minor"],
        currency=required(find_currency(row["currency"])),
        processor_reference=row["processor_reference"],
        source_type=row["source_type"],
        trigger=row["trigger"],
        first_attempt_at=row["first_attempt_at"],
        now=row["now"],
        attempt=row["attempts"],
        reference=row["reference"],
        rest=rest,
    )


def _claimed(row: Record, now: datetime) -> Claimed:
    submission = submission_of(row, row["rest"])
    waited, shift = row["now"] - row["due_at"], row["now"] - now
    sealed, gateway_id = row["sealed_bank_details"], row["gateway_id"]
    return Claimed(row["order_id"], row["seq"], submission, waited, shift, sealed, gateway_id)


async def renew_leases(
    session: Session, tenant: Tenant, order_id: str, attempts: Mapping[str, int], until: datetime
) -> set[str]:
    """Keep operations of an order for oneself until then: those that are still due, and still the
    attempt that was claimed. attempts: by the id of the operation."""
    rows = await session.fetch(
        """
        UPDATE charge_operations o SET leased_until = $6
          FROM unnest($4::text[], (SELECT $5::integer[])) AS n (id, attempt)
         WHERE o.account_id = $1 AND o.live = $2 AND o.order_id = $3 AND o.id = n.id
           AND o.attempts = n.attempt AND o.state = 'pending' AND o.parked IS NULL
           AND o.due_at IS NOT NULL
        RETURNING o.id
        """,
        tenant.account_id, tenant.live, order_id, list(attempts), list(attempts.values()), until,
    )  # fmt: skip
    return {row["id"] for row in rows}


async def is_captured(session: Session, tenant: Tenant, charge_id: str, operation_id: str) -> bool:
    """Whether a gateway has captured a charge, or a part of it, by another operation."""
    return await session.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM charge_operations o JOIN charge_operations x
                ON x.account_id = o.account_id AND x.live = o.live AND x.order_id = o.order_id
               AND x.charge_id = o.charge_id
             WHERE o.account_id = $1 AND o.live = $2 AND o.charge_id = $3 AND o.id = $4
               AND x.kind = 'capture' AND x.state = 'complete' AND x.id <> o.id
               AND x.gateway_id IS NOT NULL)
        """,
        tenant.account_id, tenant.live, charge_id, operation_id,
    )  # fmt: skip


async def wait_for_processor(
    session: Session,
    claimed: Claimed,
    due_at: datetime | None,
    check_due_at: datetime | None = None,
) -> None:
    """Note that the outcome comes later. due_at: when to ask again; check_due_at: when to look it
    up; None: not by ourselves."""
    await _release(session, claimed, due_at, None, attention=None, check_due_at=check_due_at)


async def ask_again_later(
    session: Session,
    claimed: Claimed,
    due_at: datetime,
    error: str,
    attention: datetime | None,
    check_due_at: datetime | None = None,
) -> None:
    """Note an unknown outcome; attention: since when a person should look."""
    await _release(session, claimed, due_at, error, attention=attention, check_due_at=check_due_at)


async def _release(
    session: Session,
    claimed: Claimed,
    due_at: datetime | None,
    error: str | None,
    *,
    attention: datetime | None,
    check_due_at: datetime | None,
) -> None:
    """Give the lease back, unless the operation has ended meanwhile (a notification came)."""
    tenant = claimed.submission.tenant
    await session.execute(
        """
        UPDATE charge_operations
           SET due_at = $5, leased_until = NULL, last_error = $6,
               attention_since = coalesce(attention_since, $7),
               check_due_at = CASE WHEN $6::text IS NULL THEN $9
                                   ELSE coalesce(check_due_at, $9) END
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4 AND state = 'pending'
           AND attempts = $8 AND parked IS NULL
        """,
        tenant.account_id, tenant.live, claimed.order_id, claimed.submission.key, due_at, error,
        attention, claimed.submission.attempt, check_due_at,
    )  # fmt: skip


async def outstanding(session: Session, now: datetime, account_id: str | None) -> bool:
    """Whether an account, or any, has work that is due, held by some worker or not.

    Deliveries of events are work as well.
    """
    return await deliveries.outstanding(session, now, account_id) or await session.fetchval(
        """
        SELECT EXISTS (
            SELECT 1 FROM charge_operations o JOIN accounts a ON a.id = o.account_id
             WHERE ($2::text IS NULL OR o.account_id = $2) AND o.due_at IS NOT NULL
               AND o.due_at <= $1::timestamptz + a.test_clock_shift * (NOT o.live)::int)
        OR EXISTS (
            SELECT 1 FROM charge_operations o JOIN accounts a ON a.id = o.account_id
             WHERE ($2::text IS NULL OR o.account_id = $2) AND o.check_due_at IS NOT NULL
               AND o.check_due_at <= $1::timestamptz + a.test_clock_shift * (NOT o.live)::int)
        OR EXISTS (
            SELECT 1 FROM refunds r JOIN accounts a ON a.id = r.account_id
             WHERE ($2::text IS NULL OR r.account_id = $2)
               AND least(r.submit_due_at, r.token_expires_at)
                   <= $1::timestamptz + a.test_clock_shift * (NOT r.live)::int)
        """,
        now, account_id,
    )  # fmt: skip


async def find_operation(
    session: Session, operation_id: str, *, live: bool | None = None
) -> tuple[Tenant, str] | None:
    """The tenant and the order of an operation, by its id alone: all that a processor knows.

    live: only in that mode. Imported records are left out: no processor was asked for them, and
    their ids are the importer's.
    """
    row = await session.fetchrow(
        """
        SELECT account_id, live, order_id FROM charge_operations
         WHERE id = $1 AND ($2::boolean IS NULL OR live = $2)
           AND (shares IS NULL OR fulfillment_id IS NOT NULL OR kind = 'authorize')
        """,
        operation_id, live,
    )  # fmt: skip
    return (Tenant(row["account_id"], row["live"]), row["order_id"]) if row else None


async def oldest_due(session: Session, now: datetime) -> tuple[float, int]:
    """How long the oldest due work of live mode and unmoved clocks has waited, in seconds; and
    how many refunds need a person."""
    row = required(
        await session.fetchrow(
            """
            SELECT extract(epoch FROM $1::timestamptz - least(
                       (SELECT min(due_at) FROM charge_operations WHERE due_at IS NOT NULL),
                       (SELECT min(submit_due_at) FROM refunds WHERE submit_due_at IS NOT NULL)
                   ))::float8 AS waited,
                   (SELECT count(*) FROM refunds WHERE attention_since IS NOT NULL) AS attention
            """,
            now,
        )
    )
    return max(0.0, row["waited"] or 0.0), row["attention"]
