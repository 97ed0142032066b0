"""Settlement lines as rows, and the records of ours that they are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from refundry.db.database import Record, Session
from refundry.domain.charge import OperationState
from refundry.domain.dispute import DisputeState
from refundry.gateways.store import Gateway
from refundry.reconciliation.lines import Line, LineKind
from refundry.reconciliation.matching import LineState, OurDispute, OurRefund, Verdict
from refundry.tenant import Tenant

_LINE = """
SELECT l.seq, l.gateway_id, l.identity, l.kind, l.reference, l.payments, l.operation_key,
       l.amount_minor, l.currency, l.fee_minor, l.fee_currency, l.payout, l.arn, l.booked_on,
       l.state, l.why, l.order_id, l.operation_id, l.dispute_id, l.dealt_at
  FROM settlement_lines l
"""


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line that was kept, and how it stands. dealt_with: a person took it off the list."""

    seq: int
    gateway_id: str
    line: Line
    verdict: Verdict
    dealt_with: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """The days, both included, that the reports of a gateway tell of."""

    first: date
    last: date


async def known_identities(
    session: Session, gateway: Gateway, identities: Sequence[str]
) -> set[str]:
    """Which of these lines were kept before."""
    rows = await session.fetch(
        """
        SELECT identity FROM settlement_lines
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3 AND identity = ANY ($4::text[])
        """,
        *_of(gateway), list(identities),
    )  # fmt: skip
    return {row["identity"] for row in rows}


async def insert_lines(
    session: Session, gateway: Gateway, judged: Sequence[tuple[Line, Verdict]], now: datetime
) -> int:
    """Keep lines; gives how many were new. What a line says more when it is read again is added."""
    lines = [line for line, _ in judged]
    verdicts = [verdict for _, verdict in judged]
    rows = await session.fetch(
        """
        INSERT INTO settlement_lines AS l
               (account_id, live, gateway_id, identity, read_at, kind, reference, payments,
                operation_key, amount_minor, currency, fee_minor, fee_currency, payout, arn,
                booked_on, state, why, order_id, operation_id, dispute_id)
        SELECT $1, $2, $3, n.identity, $4, n.kind, n.reference,
               string_to_array(n.payments, chr(31)), n.operation_key, n.amount_minor, n.currency,
               n.fee_minor, n.fee_currency, n.payout, n.arn, n.booked_on, n.state, n.why,
               n.order_id, n.operation_id, n.dispute_id
          FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                      $11::text[], $12::bigint[], $13::text[], $14::text[], $15::text[],
                      $16::date[], $17::text[], $18::text[], $19::text[], $20::text[],
                      (SELECT $21::text[]))
               AS n (identity, kind, reference, payments, operation_key, amount_minor, currency,
                     fee_minor, fee_currency, payout, arn, booked_on, state, why, order_id,
                     operation_id, dispute_id)
            ON CONFLICT (account_id, live, gateway_id, identity) DO UPDATE
           SET payout = coalesce(l.payout, excluded.payout), arn = coalesce(l.arn, excluded.arn),
               fee_minor = coalesce(l.fee_minor, excluded.fee_minor),
               fee_currency = coalesce(l.fee_currency, excluded.fee_currency)
         WHERE (l.payout IS NULL AND excluded.payout IS NOT NULL)
            OR (l.arn IS NULL AND excluded.arn IS NOT NULL)
            OR (l.fee_minor IS NULL AND excluded.fee_minor IS NOT NULL)
        RETURNING xmax = 0 AS fresh
        """,
        *_of(gateway), now,
        [line.identity for line in lines], [line.kind.value for line in lines],
        [line.reference for line in lines], ["\x1f".join(line.payments) for line in lines],
        [line.key for line in lines], [line.amount for line in lines],
        [line.currency for line in lines], [line.fee for line in lines],
        [line.fee_currency for line in lines], [line.payout for line in lines],
        [line.arn for line in lines], [line.booked_on for line in lines],
        [verdict.state.value for verdict in verdicts], [verdict.why for verdict in verdicts],
        [verdict.order_id for verdict in verdicts], [verdict.operation_id for verdict in verdicts],
        [verdict.dispute_id for verdict in verdicts],
    )  # fmt: skip
    return sum(row["fresh"] for row in rows)


async def note_verdict(session: Session, tenant: Tenant, seq: int, verdict: Verdict) -> None:
    """Say anew how a kept line stands."""
    await session.execute(
        """
        UPDATE settlement_lines
           SET state = $4, why = $5, order_id = $6, operation_id = $7, dispute_id = $8
         WHERE account_id = $1 AND live = $2 AND seq = $3
        """,
        tenant.account_id, tenant.live, seq, verdict.state.value, verdict.why, verdict.order_id,
        verdict.operation_id, verdict.dispute_id,
    )  # fmt: skip


async def open_lines(
    session: Session, gateway: Gateway, above: int, limit: int
) -> list[StoredLine]:
    """Kept lines that do not agree and that nobody has dealt with, from a place on."""
    rows = await session.fetch(
        f"""
        {_LINE}
         WHERE l.account_id = $1 AND l.live = $2 AND l.gateway_id = $3 AND l.state <> 'settled'
           AND l.dealt_at IS NULL AND l.seq > $4
         ORDER BY l.seq LIMIT $5
        """,
        *_of(gateway), above, limit,
    )  # fmt: skip
    return [_stored(row) for row in rows]


async def find_line(session: Session, tenant: Tenant, seq: int) -> StoredLine | None:
    """A kept line."""
    row = await session.fetchrow(
        f"{_LINE} WHERE l.account_id = $1 AND l.live = $2 AND l.seq = $3",
        tenant.account_id, tenant.live, seq,
    )  # fmt: skip
    return _stored(row) if row else None


async def exceptional_lines(session: Session, tenant: Tenant, limit: int) -> list[StoredLine]:
    """The lines that a person has to look at, oldest first."""
    rows = await session.fetch(
        f"""
        {_LINE}
         WHERE l.account_id = $1 AND l.live = $2 AND l.state IN ('extra', 'different')
           AND l.state <> 'settled' AND l.dealt_at IS NULL
         ORDER BY l.seq LIMIT $3
        """,
        tenant.account_id, tenant.live, limit,
    )  # fmt: skip
    return [_stored(row) for row in rows]


async def our_refunds(
    session: Session, gateway: Gateway, lines: Sequence[Line]
) -> Mapping[str, OurRefund]:
    """The refund records that lines name, by the identities of the lines: by our id where the
    report carries it, else by the processor's reference."""
    rows = await session.fetch(
        """
        SELECT o.id, o.processor_reference, o.order_id, o.state, o.amount_minor, o.parked,
               r.currency,
               (SELECT l.identity FROM settlement_lines l
                 WHERE l.account_id = o.account_id AND l.live = o.live AND l.operation_id = o.id
                   AND l.kind = 'refund'
                 ORDER BY l.seq LIMIT 1) AS told_by
          FROM charge_operations o
          JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
         WHERE o.account_id = $1 AND o.live = $2 AND o.gateway_id = $3 AND o.kind = 'refund'
           AND o.dispute_id IS NULL
           AND (o.id = ANY ($4::text[]) OR o.processor_reference = ANY ($5::text[]))
        """,
        *_of(gateway), [line.key for line in lines if line.key],
        [line.reference for line in lines if line.reference],
    )  # fmt: skip
    by_key = {row["id"]: row for row in rows}
    by_reference = {row["processor_reference"]: row for row in rows}
    found = ((line, by_key.get(line.key) or by_reference.get(line.reference)) for line in lines)
    return {line.identity: _refund(row) for line, row in found if row is not None}


def _refund(row: Record) -> OurRefund:
    return OurRefund(
        row["order_id"], row["id"], OperationState(row["state"]), row["amount_minor"],
        row["currency"], row["parked"], row["told_by"],
    )  # fmt: skip


async def our_disputes(
    session: Session, gateway: Gateway, lines: Sequence[Line]
) -> list[OurDispute]:
    """The disputes that lines may be about."""
    rows = await session.fetch(
        """
        WITH found AS (
            SELECT d.order_id, d.id FROM disputes d
             WHERE d.account_id = $1 AND d.live = $2 AND d.processor_reference = ANY ($4::text[])
            UNION
            SELECT d.order_id, d.id FROM charges c JOIN disputes d
                ON d.account_id = c.account_id AND d.live = c.live AND d.order_id = c.order_id
               AND d.charge_id = c.id
             WHERE c.account_id = $1 AND c.live = $2 AND c.processor_reference = ANY ($5::text[])
        )
        SELECT d.order_id, d.id, d.state, d.amount_minor, d.chargeback_minor,
               d.processor_reference, c.processor_reference AS payment, r.currency,
               (SELECT o.id FROM charge_operations o
                 WHERE o.account_id = d.account_id AND o.live = d.live
                   AND o.order_id = d.order_id AND o.dispute_id = d.id LIMIT 1) AS operation_id,
               EXISTS (SELECT 1 FROM settlement_lines l
                        WHERE l.account_id = d.account_id AND l.live = d.live
                          AND l.gateway_id = $3 AND l.dispute_id = d.id
                          AND l.kind = 'chargeback_reversed') AS given_back
          FROM found f
          JOIN disputes d ON d.account_id = $1 AND d.live = $2 AND d.order_id = f.order_id
                         AND d.id = f.id
          JOIN charges c ON c.account_id = $1 AND c.live = $2 AND c.order_id = d.order_id
                        AND c.id = d.charge_id
          JOIN orders r ON r.account_id = $1 AND r.live = $2 AND r.id = d.order_id
         ORDER BY d.seq
        """,
        *_of(gateway), [line.reference for line in lines if line.reference],
        [payment for line in lines for payment in line.payments],
    )  # fmt: skip
    return [_dispute(row) for row in rows]


def _dispute(row: Record) -> OurDispute:
    return OurDispute(
        row["order_id"], row["id"], DisputeState(row["state"]), row["amount_minor"],
        row["currency"], row["processor_reference"], row["payment"], row["chargeback_minor"],
        row["operation_id"], row["given_back"],
    )  # fmt: skip


async def note_arns(session: Session, gateway: Gateway, arns: Mapping[str, str]) -> None:
    """Keep acquirer reference numbers. arns: by the ids of refund records."""
    await session.execute(
        """
        UPDATE charge_operations o SET arn = n.arn
          FROM unnest($4::text[], (SELECT $5::text[])) AS n (id, arn)
         WHERE o.account_id = $1 AND o.live = $2 AND o.gateway_id = $3 AND o.id = n.id
           AND o.arn IS DISTINCT FROM n.arn
        """,
        *_of(gateway), list(arns), list(arns.values()),
    )  # fmt: skip


async def note_file(
    session: Session, gateway: Gateway, digest: bytes, name: str, days: Coverage, lines: int,
    now: datetime,
) -> None:  # fmt: skip
    """Keep which days a file tells of."""
    await session.execute(
        """
        INSERT INTO settlement_files (account_id, live, gateway_id, digest, read_at, name,
                                      first_day, last_day, lines)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT DO NOTHING
        """,
        *_of(gateway), digest, now, name, days.first, days.last, lines,
    )  # fmt: skip


async def coverage(session: Session, gateway: Gateway) -> Coverage | None:
    """The days that all files of a gateway tell of, together."""
    row = await session.fetchrow(
        """
        SELECT min(first_day) AS first, max(last_day) AS last FROM settlement_files
         WHERE account_id = $1 AND live = $2 AND gateway_id = $3
        """,
        *_of(gateway),
    )  # fmt: skip
    return Coverage(row["first"], row["last"]) if row and row["first"] else None


@dataclass(frozen=True, slots=True)
class Unreported:
    """A refund record that no report tells of. noted: as missing, before."""

    order_id: str
    operation_id: str
    noted: bool


async def unreported(
    session: Session, gateway: Gateway, since: date, until: date
) -> list[Unreported]:
    """Refunds that ended well in these days and that no report tells of."""
    rows = await session.fetch(
        """
        SELECT o.order_id, o.id,
               EXISTS (SELECT 1 FROM settlement_missing m
                        WHERE m.account_id = o.account_id AND m.live = o.live
                          AND m.order_id = o.order_id AND m.operation_id = o.id) AS noted
          FROM charge_operations o
         WHERE o.account_id = $1 AND o.live = $2 AND o.gateway_id = $3 AND o.kind = 'refund'
           AND o.dispute_id IS NULL AND o.state = 'complete'
           AND o.updated_at >= $4::date::timestamp AT TIME ZONE 'UTC'
           AND o.updated_at < $5::date::timestamp AT TIME ZONE 'UTC'
           AND NOT EXISTS (SELECT 1 FROM settlement_lines l
                            WHERE l.account_id = o.account_id AND l.live = o.live
                              AND l.operation_id = o.id AND l.kind = 'refund')
         ORDER BY o.updated_at, o.id
        """,
        *_of(gateway), since, until + timedelta(days=1),
    )  # fmt: skip
    return [Unreported(row["order_id"], row["id"], row["noted"]) for row in rows]


async def note_missing(
    session: Session, gateway: Gateway, records: Sequence[Unreported], now: datetime
) -> int:
    """Note records as missing in the reports, and take those off that are not; gives how many
    are new."""
    await session.execute(
        """
        DELETE FROM settlement_missing m
         WHERE m.account_id = $1 AND m.live = $2 AND m.gateway_id = $3 AND m.dealt_at IS NULL
           AND (m.order_id, m.operation_id) NOT IN
               (SELECT n.order_id, n.id
                  FROM unnest($4::text[], (SELECT $5::text[])) AS n (order_id, id))
        """,
        *_of(gateway), [each.order_id for each in records],
        [each.operation_id for each in records],
    )  # fmt: skip
    rows = await session.fetch(
        """
        INSERT INTO settlement_missing (account_id, live, gateway_id, order_id, operation_id,
                                        found_at)
        SELECT $1, $2, $3, n.order_id, n.id, $6
          FROM unnest($4::text[], (SELECT $5::text[])) AS n (order_id, id)
        ON CONFLICT DO NOTHING
        RETURNING 1
        """,
        *_of(gateway), [each.order_id for each in records],
        [each.operation_id for each in records], now,
    )  # fmt: skip
    return len(rows)


def _of(gateway: Gateway) -> tuple[str, bool, str]:
    return gateway.tenant.account_id, gateway.tenant.live, gateway.id


def _stored(row: Record) -> StoredLine:
    line = Line(
        number=0, identity=row["identity"], kind=LineKind(row["kind"]), reference=row["reference"],
        payments=tuple(row["payments"]), key=row["operation_key"], amount=row["amount_minor"],
        currency=row["currency"], booked_on=row["booked_on"], fee=row["fee_minor"],
        fee_currency=row["fee_currency"], payout=row["payout"], arn=row["arn"],
    )  # fmt: skip
    verdict = Verdict(
        LineState(row["state"]), row["why"], row["order_id"], row["operation_id"],
        row["dispute_id"],
    )  # fmt: skip
    dealt = row["dealt_at"] is not None
    return StoredLine(row["seq"], row["gateway_id"], line, verdict, dealt)
