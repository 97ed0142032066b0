"""Operations at gateways as rows: what their processors said, when they are looked up, and why one
waits for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from refundry.db.database import Record, Session
from refundry.operations.store import submission_of
from refundry.processors.contract import Receipt, Submission
from refundry.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Checked:
    """An operation that is looked up. checks: how often it was, this time included.

    accepted: whether the processor said that it would do it. shift: of the clock of its mode.
    parked: why it waits for a person, who wants to know what its processor says now.
    """

    order_id: str
    gateway_id: str
    submission: Submission
    checks: int
    accepted: bool
    shift: timedelta
    parked: str | None


@dataclass(frozen=True, slots=True)
class Reported:
    """What a settlement report says of an operation. booked_on: the day there. fee: minor units of
    fee_currency; None where the report has none."""

    booked_on: date
    payout: str | None
    fee: int | None
    fee_currency: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an operation at its processor, for people.

    error: why its outcome is unknown; attempts: how often it was asked for, next_attempt: when
    again; found: what the last look-up gave. parked: what a person has to decide. paid: whether it
    ended so. reported: what finance has read of it. Times are on the clock of its mode.
    """

    operation_id: str
    gateway: str | None
    processor: str | None
    reference: str | None
    code: str | None
    message: str | None
    arn: str | None
    attempts: int
    next_attempt: datetime | None
    error: str | None
    checked_at: datetime | None
    check_due_at: datetime | None
    found: str | None
    parked: str | None
    pending: bool
    paid: bool
    reported: Reported | None


@dataclass(frozen=True, slots=True)
class Load:
    """How many operations of a gateway have no outcome yet; parked: that wait for a person."""

    open: int
    parked: int


async def loads(session: Session, tenant: Tenant) -> dict[str, Load]:
    """What is open through each gateway, by its id; those with nothing open are left out."""
    rows = await session.fetch(
        """
        SELECT gateway_id, count(*) AS open, count(parked) AS parked FROM charge_operations
         WHERE account_id = $1 AND live = $2 AND state = 'pending' AND gateway_id IS NOT NULL
           AND (due_at IS NOT NULL OR check_due_at IS NOT NULL OR parked IS NOT NULL)
         GROUP BY gateway_id
        """,
        tenant.account_id, tenant.live,
    )  # fmt: skip
    return {row["gateway_id"]: Load(row["open"], row["parked"]) for row in rows}


async def claim_checks(
    session: Session, *, now: datetime, lease: timedelta, account_id: str | None, limit: int
) -> list[Checked]:
    """Take operations that are due to be looked up. now: real time."""
    rows = await session.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT o.account_id, o.live, o.order_id, o.id,
                   $1::timestamptz + a.test_clock_shift * (NOT o.live)::int AS now
              FROM charge_operations o JOIN accounts a ON a.id = o.account_id
             WHERE o.check_due_at <= $1::timestamptz + (SELECT max(test_clock_shift) FROM accounts)
               AND o.check_due_at <= $1::timestamptz + a.test_clock_shift * (NOT o.live)::int
               AND (o.leased_until IS NULL OR o.leased_until <= $1)
               AND ($3::text IS NULL OR o.account_id = $3)
             ORDER BY o.check_due_at
             LIMIT $4
               FOR UPDATE OF o SKIP LOCKED
        )
        UPDATE charge_operations o
           SET leased_until = $2, checks = o.checks + 1, checked_at = due.now
          FROM due, charges c, orders r
         WHERE o.account_id = due.account_id AND o.live = due.live
           AND o.order_id = due.order_id AND o.id = due.id
           AND c.account_id = o.account_id AND c.live = o.live AND c.order_id = o.order_id
           AND c.id = o.charge_id
           AND r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
        RETURNING o.account_id, o.live, o.order_id, o.id, o.kind, o.charge_id, o.amount_minor,
                  o.attempts, o.first_attempt_at, due.now, r.currency, c.processor_reference,
                  c.source_type, c.trigger, o.processor_reference AS reference, o.gateway_id,
                  o.checks, o.parked, o.due_at IS NULL AS accepted
        """,
        now, now + lease, account_id, limit,
    )  # fmt: skip
    return [_checked(row, now) for row in rows]


async def claim_siblings(
    session: Session,
    tenant: Tenant,
    order_id: str,
    operation_ids: Sequence[str],
    *,
    now: datetime,
    shift: timedelta,
    lease: timedelta,
) -> list[Checked]:
    """Take the open operations on the charges of these ones, but for those asked or looked up
    within the last minute. now: real time; shift: of the clock of their mode."""
    rows = await session.fetch(
        """
        UPDATE charge_operations o
           SET leased_until = $6, checks = o.checks + 1, checked_at = $5
          FROM charges c, orders r
         WHERE o.account_id = $1 AND o.live = $2 AND o.order_id = $3 AND o.state = 'pending'
           AND o.gateway_id IS NOT NULL AND o.parked IS NULL
           AND (o.leased_until IS NULL OR o.leased_until <= $7)
           AND o.first_attempt_at < $5::timestamptz - interval '1 minute'
           AND (o.checked_at IS NULL OR o.checked_at < $5::timestamptz - interval '1 minute')
           AND o.charge_id IN (SELECT x.charge_id FROM charge_operations x
                                WHERE x.account_id = $1 AND x.live = $2 AND x.order_id = $3
                                  AND x.id = ANY ($4::text[]))
           AND o.id <> ALL ($4::text[])
           AND c.account_id = o.account_id AND c.live = o.live AND c.order_id = o.order_id
           AND c.id = o.charge_id
           AND r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
        RETURNING o.account_id, o.live, o.order_id, o.id, o.kind, o.charge_id, o.amount_minor,
                  o.attempts, o.first_attempt_at, $5::timestamptz AS now, r.currency,
                  c.processor_reference, c.source_type, c.trigger,
                  o.processor_reference AS reference, o.gateway_id, o.checks,
                  o.parked, o.due_at IS NULL AS accepted
        """,
        tenant.account_id, tenant.live, order_id, list(operation_ids), now + shift, now + lease,
        now,
    )  # fmt: skip
    return [_checked(row, now) for row in rows]


async def ask_for_check(session: Session, tenant: Tenant, operation_id: str, now: datetime) -> bool:
    """Have an operation looked up at once; False if it cannot be. A parked one stays parked until
    the answer is known, and after it unless that agrees with what was asked."""
    tag = await session.execute(
        """
        UPDATE charge_operations SET check_due_at = $4
         WHERE account_id = $1 AND live = $2 AND id = $3 AND state = 'pending'
           AND gateway_id IS NOT NULL AND attempts > 0
        """,
        tenant.account_id, tenant.live, operation_id, now,
    )  # fmt: skip
    return tag == "UPDATE 1"


async def note_receipt(
    session: Session, tenant: Tenant, order_id: str, operation_id: str, receipt: Receipt
) -> None:
    """Keep what a processor said of an operation; what it does not repeat stays."""
    await session.execute(
        """
        UPDATE charge_operations
           SET processor_reference = coalesce($5, processor_reference),
               processor_code = coalesce($6, processor_code),
               processor_message = coalesce($7, processor_message), arn = coalesce($8, arn)
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
           AND (processor_reference, processor_code, processor_message, arn)
               IS DISTINCT FROM (coalesce($5, processor_reference), coalesce($6, processor_code),
                                 coalesce($7, processor_message), coalesce($8, arn))
        """,
        tenant.account_id, tenant.live, order_id, operation_id, receipt.reference, receipt.code,
        receipt.message, receipt.arn,
    )  # fmt: skip


async def note_check(
    session: Session,
    checked: Checked,
    found: str,
    *,
    check_due_at: datetime,
    accepted: bool = False,
) -> None:
    """Note what a look-up gave, and when the next one is due.

    accepted: the processor is doing it, so it need not be asked for again, and no person is waited
    for any more. What stays parked is looked up again only when a person says so. Nothing is noted
    of what was asked for again, looked up again or parked meanwhile: what came later counts.
    """
    tenant = checked.submission.tenant
    await session.execute(
        """
        UPDATE charge_operations
           SET check_due_at = CASE WHEN $7 OR parked IS NULL THEN $5::timestamptz END,
               check_found = $6, leased_until = NULL,
               parked = CASE WHEN $7 THEN NULL ELSE parked END,
               due_at = CASE WHEN $7 THEN NULL ELSE due_at END,
               last_error = CASE WHEN $7 THEN NULL ELSE last_error END
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4 AND state = 'pending'
           AND checks = $8 AND attempts = $9 AND parked IS NOT DISTINCT FROM $10
        """,
        tenant.account_id, tenant.live, checked.order_id, checked.submission.key, check_due_at,
        found, accepted, checked.checks, checked.submission.attempt, checked.parked,
    )  # fmt: skip


async def park(
    session: Session, tenant: Tenant, order_id: str, operation_id: str, why: str, now: datetime
) -> bool:
    """Leave an operation to a person, and ask nobody any more; False if it has ended."""
    tag = await session.execute(
        """
        UPDATE charge_operations
           SET parked = $5, due_at = NULL, check_due_at = NULL, leased_until = NULL,
               attention_since = coalesce(attention_since, $6)
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4 AND state = 'pending'
        """,
        tenant.account_id, tenant.live, order_id, operation_id, why, now,
    )  # fmt: skip
    return tag == "UPDATE 1"


async def standings(
    session: Session, tenant: Tenant, order_id: str, operation_ids: list[str]
) -> dict[str, Standing]:
    """What is known of operations of an order at their processors, by their ids."""
    rows = await session.fetch(
        """
        SELECT o.id, g.name AS gateway, g.processor, o.processor_reference, o.processor_code,
               o.processor_message, o.arn, o.attempts, o.due_at, o.last_error, o.checked_at,
               o.check_due_at, o.check_found, o.parked, o.state = 'pending' AS pending,
               o.state = 'complete' AS paid, s.booked_on, s.payout, s.fee_minor, s.fee_currency
          FROM charge_operations o
          LEFT JOIN gateways g ON g.account_id = o.account_id AND g.live = o.live
                              AND g.id = o.gateway_id
          LEFT JOIN LATERAL (
              SELECT l.booked_on, l.payout, l.fee_minor, l.fee_currency FROM settlement_lines l
               WHERE l.account_id = o.account_id AND l.live = o.live AND l.operation_id = o.id
                 AND l.kind = 'refund' AND l.state = 'settled'
               ORDER BY l.seq LIMIT 1) s ON true
         WHERE o.account_id = $1 AND o.live = $2 AND o.order_id = $3 AND o.id = ANY ($4::text[])
        """,
        tenant.account_id, tenant.live, order_id, operation_ids,
    )  # fmt: skip
    return {row["id"]: _standing(row) for row in rows}


def _standing(row: Record) -> Standing:
    return Standing(
        row["id"], row["gateway"], row["processor"], row["processor_reference"],
        row["processor_code"], row["processor_message"], row["arn"], row["attempts"],
        row["due_at"], row["last_error"], row["checked_at"], row["check_due_at"],
        row["check_found"], row["parked"], row["pending"], row["paid"],
        Reported(row["booked_on"], row["payout"], row["fee_minor"], row["fee_currency"])
        if row["booked_on"]
        else None,
    )  # fmt: skip


def _checked(row: Record, now: datetime) -> Checked:
    submission = submission_of(row)
    shift = row["now"] - now
    return Checked(
        row["order_id"],
        row["gateway_id"],
        submission,
        row["checks"],
        row["accepted"],
        shift,
        row["parked"],
    )
