"""A month of refunds and chargebacks as the journal has it, with what reports tell of each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from refundry.db.database import Database, Record
from refundry.tenant import Tenant

# As many rows of a day as are read at once.
_BATCH = 500
# What moved money within a time: what ended well, what had ended well and failed later, and that it
# failed, which takes the money back.
_MOVED = """
  SELECT order_id, id, updated_at AS at, false AS failed_later FROM charge_operations
   WHERE account_id = $1 AND live = $2 AND kind = 'refund' AND state = 'complete'
     AND updated_at >= $3 AND updated_at < $4
  UNION ALL
  SELECT order_id, id, settled_before_failure_at, false FROM charge_operations
   WHERE account_id = $1 AND live = $2 AND settled_before_failure_at >= $3
     AND settled_before_failure_at < $4
  UNION ALL
  SELECT order_id, id, updated_at, true FROM charge_operations
   WHERE account_id = $1 AND live = $2 AND settled_before_failure_at IS NOT NULL
     AND updated_at >= $3 AND updated_at < $4
"""
# Of the lines `l` of a report: those that tell of such a move `m`.
_TELLS = """l.kind = ANY (CASE WHEN m.failed_later THEN ARRAY['refund_reversed']
                                 ELSE ARRAY['refund', 'chargeback'] END)"""
_DAY = f"""
SELECT m.at, m.failed_later, o.id, o.order_id, r.upstream_id, r.currency, o.amount_minor,
       o.dispute_id, o.processor_reference, g.name AS gateway, coalesce(l.arn, o.arn) AS arn,
       l.payout, l.fee_minor, l.fee_currency, l.booked_on,
       (SELECT string_agg(p.refund_id, ' ' ORDER BY p.refund_id) FROM refund_parts p
         WHERE p.account_id = o.account_id AND p.live = o.live AND p.order_id = o.order_id
           AND p.operation_id = o.id) AS refund_ids
  FROM ({_MOVED}) m
  JOIN charge_operations o ON o.account_id = $1 AND o.live = $2 AND o.order_id = m.order_id
                          AND o.id = m.id
  JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
  LEFT JOIN LATERAL (
       SELECT l.payout, l.fee_minor, l.fee_currency, l.arn, l.booked_on, l.gateway_id
         FROM settlement_lines l
        WHERE l.account_id = o.account_id AND l.live = o.live AND l.operation_id = o.id
          AND {_TELLS}
        ORDER BY l.seq LIMIT 1) AS l ON true
  LEFT JOIN gateways g ON g.account_id = o.account_id AND g.live = o.live
       AND g.id = coalesce(o.gateway_id, l.gateway_id)
 WHERE (m.at, m.id, m.failed_later) > ($5, $6, $7)
 ORDER BY m.at, m.id, m.failed_later LIMIT $8
"""
_TOTALS = f"""
SELECT r.currency, o.dispute_id IS NOT NULL AS chargeback, m.failed_later, count(*) AS count,
       sum(CASE WHEN m.failed_later THEN -o.amount_minor ELSE o.amount_minor END)::bigint AS total,
       count(*) FILTER (WHERE NOT EXISTS (
           SELECT 1 FROM settlement_lines l
            WHERE l.account_id = o.account_id AND l.live = o.live AND l.operation_id = o.id
              AND {_TELLS}))
           AS unreported
  FROM ({_MOVED}) m
  JOIN charge_operations o ON o.account_id = $1 AND o.live = $2 AND o.order_id = m.order_id
                          AND o.id = m.id
  JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A month in UTC."""

    year: int
    number: int

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        later = self.start + timedelta(days=31)
        return later.replace(day=1)

    @property
    def text(self) -> str:
        """As people and addresses write it: 2026-05."""
        return f"{self.year:04d}-{self.number:02d}"


def read_month(text: str) -> Month | None:
    """The month of a text like 2026-05."""
    year, _, number = text.partition("-")
    digits = text.isascii() and year.isdigit() and number.isdigit()
    if not digits or len(year) != 4 or len(number) != 2:
        return None
    month = Month(int(year), int(number))
    return month if 1 <= month.year < 9999 and 1 <= month.number <= 12 else None


@dataclass(frozen=True, slots=True)
class Paid:
    """A record of money that left. amount, fee: minor units of their currencies. at: when it
    ended, on the clock of its mode. refund_ids: separated by spaces. booked_on: in a report.

    failed_later: the money of one that was paid before came back; its amount is below zero.
    """

    at: datetime
    operation_id: str
    order_id: str
    upstream_id: str | None
    currency: str
    amount: int
    dispute_id: str | None
    refund_ids: str | None
    gateway: str | None
    reference: str | None
    payout: str | None
    fee: int | None
    fee_currency: str | None
    arn: str | None
    booked_on: date | None
    failed_later: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """What the records of a month come to in a currency. unreported: in no report yet.

    failed_later: of refunds whose money came back; the amount is below zero.
    """

    currency: str
    chargeback: bool
    failed_later: bool
    count: int
    amount: int
    unreported: int


async def paid_in(database: Database, tenant: Tenant, month: Month) -> AsyncIterator[list[Paid]]:
    """Every refund record and chargeback that ended well in a month, and that one failed later, in
    the order in which they did, some hundred at a time."""
    day = month.start
    while day < month.end:
        until = min(day + timedelta(days=1), month.end)
        after = (day - timedelta(microseconds=1), "", False)
        while True:
            rows = await database.fetch(
                _DAY, tenant.account_id, tenant.live, day, until, *after, _BATCH
            )
            if rows:
                yield [_paid(row) for row in rows]
                after = (rows[-1]["at"], rows[-1]["id"], rows[-1]["failed_later"])
            if len(rows) < _BATCH:
                break
        day = until


async def totals_of(database: Database, tenant: Tenant, month: Month) -> list[Total]:
    """What a month comes to, by currency, refunds before chargebacks."""
    rows = await database.fetch(_TOTALS, tenant.account_id, tenant.live, month.start, month.end)
    return [
        Total(
            row["currency"],
            row["chargeback"],
            row["failed_later"],
            row["count"],
            row["total"],
            row["unreported"],
        )
        for row in rows
    ]


def _paid(row: Record) -> Paid:
    amount: int = row["amount_minor"]
    return Paid(
        row["at"], row["id"], row["order_id"], row["upstream_id"], row["currency"],
        -amount if row["failed_later"] else amount, row["dispute_id"], row["refund_ids"],
        row["gateway"], row["processor_reference"], row["payout"], row["fee_minor"],
        row["fee_currency"], row["arn"], row["booked_on"], row["failed_later"],
    )  # fmt: skip
