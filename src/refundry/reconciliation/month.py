"""A month of refunds and chargebacks as the journal has it, with what reports tell of each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from refundry.db.database import Database, Record
from refundry.tenant import Tenant

# As many rows of a day as are read at once.
_BATCH = 500
_DAY = """
SELECT o.updated_at, o.id, o.order_id, r.upstream_id, r.currency, o.amount_minor,
       o.dispute_id IS NOT NULL AS chargeback, o.dispute_id, o.processor_reference,
       g.name AS gateway, coalesce(l.arn, o.arn) AS arn, l.payout, l.fee_minor, l.fee_currency,
       l.booked_on,
       (SELECT string_agg(p.refund_id, ' ' ORDER BY p.refund_id) FROM refund_parts p
         WHERE p.account_id = o.account_id AND p.live = o.live AND p.order_id = o.order_id
           AND p.operation_id = o.id) AS refund_ids
  FROM charge_operations o
  JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
  LEFT JOIN LATERAL (
       SELECT l.payout, l.fee_minor, l.fee_currency, l.arn, l.booked_on, l.gateway_id
         FROM settlement_lines l
        WHERE l.account_id = o.account_id AND l.live = o.live AND l.operation_id = o.id
          AND l.kind IN ('refund', 'chargeback')
        ORDER BY l.seq LIMIT 1) AS l ON true
  LEFT JOIN gateways g ON g.account_id = o.account_id AND g.live = o.live
       AND g.id = coalesce(o.gateway_id, l.gateway_id)
 WHERE o.account_id = $1 AND o.live = $2 AND o.kind = 'refund' AND o.state = 'complete'
   AND o.updated_at >= $3 AND o.updated_at < $4 AND (o.updated_at, o.id) > ($5, $6)
 ORDER BY o.updated_at, o.id LIMIT $7
"""
_TOTALS = """
SELECT r.currency, o.dispute_id IS NOT NULL AS chargeback, count(*) AS count,
       sum(o.amount_minor)::bigint AS total,
       count(*) FILTER (WHERE NOT EXISTS (
           SELECT 1 FROM settlement_lines l
            WHERE l.account_id = o.account_id AND l.live = o.live AND l.operation_id = o.id))
           AS unreported
  FROM charge_operations o
  JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
 WHERE o.account_id = $1 AND o.live = $2 AND o.kind = 'refund' AND o.state = 'complete'
   AND o.updated_at >= $3 AND o.updated_at < $4
 GROUP BY 1, 2 ORDER BY 1, 2
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
    ended, on the clock of its mode. refund_ids: separated by spaces. booked_on: in a report."""

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


@dataclass(frozen=True, slots=True)
class Total:
    """What the records of a month come to in a currency. unreported: in no report yet."""

    currency: str
    chargeback: bool
    count: int
    amount: int
    unreported: int


async def paid_in(database: Database, tenant: Tenant, month: Month) -> AsyncIterator[list[Paid]]:
    """Every refund record and chargeback that ended well in a month, in the order in which they
    did, some hundred at a time."""
    day = month.start
    while day < month.end:
        until = min(day + timedelta(days=1), month.end)
        at, last = day - timedelta(microseconds=1), ""
        while True:
            rows = await database.fetch(
                _DAY, tenant.account_id, tenant.live, day, until, at, last, _BATCH
            )
            if rows:
                yield [_paid(row) for row in rows]
                at, last = rows[-1]["updated_at"], rows[-1]["id"]
            if len(rows) < _BATCH:
                break
        day = until


async def totals_of(database: Database, tenant: Tenant, month: Month) -> list[Total]:
    """What a month comes to, by currency, refunds before chargebacks."""
    rows = await database.fetch(_TOTALS, tenant.account_id, tenant.live, month.start, month.end)
    return [
        Total(row["currency"], row["chargeback"], row["count"], row["total"], row["unreported"])
        for row in rows
    ]


def _paid(row: Record) -> Paid:
    return Paid(
        row["updated_at"], row["id"], row["order_id"], row["upstream_id"], row["currency"],
        row["amount_minor"], row["dispute_id"], row["refund_ids"], row["gateway"],
        row["processor_reference"], row["payout"], row["fee_minor"], row["fee_currency"],
        row["arn"], row["booked_on"],
    )  # fmt: skip
