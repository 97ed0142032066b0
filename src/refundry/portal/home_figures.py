"""What the Home page reads: what needs a person, and what a period came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from refundry.access.rights import Right
from refundry.domain.money import Currency, find_currency
from refundry.domain.refund import RefundState
from refundry.errors import required
from refundry.portal.lists import day
from refundry.portal.pages import Visit, Wrong
from refundry.refunds.drafts import count_waiting

MOST_COUNTED = 1000
"""What is more is only said to be more: nobody works through it one by one."""

LATELY = timedelta(days=7)
SPANS = (7, 30, 90)
_USUAL_SPAN = 30
# So that a page reads a year of an account at most.
_MOST_DAYS = 366
# More bars than these cannot be told apart; beyond them a bar is a week.
_MOST_DAY_BARS = 45
_MOST_REASONS = 8
# The latest successes tell of now, and reading a thousand takes milliseconds in any period.
_SUCCESSES = 1000


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC, the first and the last included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    @property
    def begins(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    @property
    def step(self) -> str:
        """What a bar stands for: `day` or `week`."""
        return "day" if self.days <= _MOST_DAY_BARS else "week"

    @property
    def bars(self) -> list[date]:
        """The day on which each bar begins; weeks begin on Mondays, maybe before the period."""
        if self.step == "day":
            return [self.first + timedelta(days=n) for n in range(self.days)]
        monday = self.first - timedelta(days=self.first.weekday())
        weeks = (self.last - monday).days // 7 + 1
        return [monday + timedelta(weeks=n) for n in range(weeks)]

    @property
    def query(self) -> str:
        """The period in an address."""
        return f"from={self.first}&to={self.last}"


def read_period(visit: Visit) -> Period:
    """The period that a visit asks for: `days` until today, or `from` and `to`. Raises Wrong."""
    today = visit.now.date()
    first, last = day(visit.query.one("from")), day(visit.query.one("to"))
    if first is None and last is None:
        span = visit.query.one("days") or ""
        days = int(span) if span in map(str, SPANS) else _USUAL_SPAN
        return Period(today - timedelta(days=days - 1), today)
    ends = last.date() if last else today
    begins = first.date() if first else ends - timedelta(days=_USUAL_SPAN - 1)
    found = Period(begins, ends)
    if not 1 <= found.days <= _MOST_DAYS:
        raise Wrong(f"A period has 1 to {_MOST_DAYS} days, its first one first.")
    return found


@dataclass(frozen=True, slots=True)
class Task:
    """Something that waits for a person. count: at most one more than `MOST_COUNTED`."""

    id: str
    label: str
    count: int
    address: str


async def find_tasks(visit: Visit) -> list[Task]:
    """What waits, as far as the visitor may do something about it."""
    since = visit.now - LATELY
    row = required(await visit.database.fetchrow(_TASKS, *_tenant(visit), since, MOST_COUNTED + 1))
    refunds = "/dashboard/refunds?"
    failed = f"{refunds}state=failed&from={since:%Y-%m-%d}"
    found = [
        Task("failed", f"Failed in the last {LATELY.days} days", row["failed"], failed),
        Task("attention", "Need attention", row["attention"], f"{refunds}attention=true"),
        Task("waiting", "Waiting for bank details", row["waiting"],
             f"{refunds}state=pending_information"),
        Task("disputes", "Open disputes", row["disputes"], "/dashboard/disputes?state=open"),
        Task("over-refunded", "Over-refunded orders", row["over_refunded"],
             "/dashboard/orders?over=true"),
    ]  # fmt: skip
    if visit.may(Right.APPROVE_REFUND):
        waiting = await count_waiting(visit.database, visit.tenant, visit.now)
        found.append(Task("approvals", "Wait for an approval", waiting, "/dashboard/approvals"))
    if visit.may(Right.DEVELOPERS):
        label = "Webhooks disabled or failing"
        found.append(Task("webhooks", label, row["webhooks"], "/dashboard/webhooks"))
    return found


def _tenant(visit: Visit) -> tuple[str, bool]:
    return visit.tenant.account_id, visit.tenant.live


_TASKS = """
SELECT (SELECT count(*) FROM (
           SELECT FROM refunds WHERE account_id = $1 AND live = $2 AND lower(state) = 'failed'
              AND created_at >= date_trunc('day', $3::timestamptz, 'UTC') LIMIT $4) AS f) AS failed,
       (SELECT count(*) FROM (
           SELECT FROM refunds WHERE account_id = $1 AND live = $2
              AND attention_since IS NOT NULL LIMIT $4) AS a) AS attention,
       (SELECT count(*) FROM (
           SELECT FROM refunds WHERE account_id = $1 AND live = $2
              AND lower(state) = 'pending_information' LIMIT $4) AS w) AS waiting,
       (SELECT count(*) FROM (
           SELECT FROM disputes WHERE account_id = $1 AND live = $2 AND state = 'open'
            LIMIT $4) AS d) AS disputes,
       (SELECT count(*) FROM (
           SELECT FROM webhooks WHERE account_id = $1 AND live = $2
              AND (disabled_at IS NOT NULL OR enabled AND failing_since IS NOT NULL)
            LIMIT $4) AS h) AS webhooks,
       (SELECT count(*) FROM (
           SELECT DISTINCT d.order_id FROM disputes d
            WHERE d.account_id = $1 AND d.live = $2 AND d.state = 'lost'
              AND (SELECT sum(CASE o.kind WHEN 'refund' THEN o.amount_minor
                                          ELSE -o.amount_minor END)
                     FROM charge_operations o
                    WHERE o.account_id = $1 AND o.live = $2 AND o.order_id = d.order_id
                      AND o.charge_id = d.charge_id AND o.state = 'complete'
                      AND o.kind IN ('refund', 'capture')) > 0
            LIMIT $4) AS r) AS over_refunded
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """The refunds made in a day or a week. counts: one per state, in the order of the states."""

    begins: date
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InCurrency:
    """What a period came to in one currency, in minor units.

    refunds, requested, refunded: of refunds made in the period. captured, paid_back: of the orders
    placed in it, until now, chargebacks included.
    """

    currency: Currency
    refunds: int = 0
    requested: int = 0
    refunded: int = 0
    captured: int = 0
    paid_back: int = 0

    @property
    def permille(self) -> int | None:
        """The refund rate in thousandths, rounded half up; None where nothing was captured."""
        if not self.captured:
            return None
        return (2000 * self.paid_back + self.captured) // (2 * self.captured)

    @property
    def rate(self) -> str:
        """The refund rate in words: `12.5 %`."""
        return "–" if self.permille is None else percent(self.permille)


def percent(permille: int) -> str:
    """Thousandths as pages show them."""
    return f"{permille // 10}.{permille % 10} %"


@dataclass(frozen=True, slots=True)
class Refunded:
    """The refunds made in a period: over time, and summed up by currency."""

    bars: list[Bar]
    currencies: dict[str, InCurrency]

    @property
    def by_state(self) -> list[tuple[RefundState, int]]:
        """How many ended, or stand, in each state."""
        sums = [sum(bar.counts[n] for bar in self.bars) for n in range(len(RefundState))]
        return list(zip(RefundState, sums, strict=True))

    @property
    def count(self) -> int:
        """How many refunds were made."""
        return sum(count for _, count in self.by_state)


async def find_refunded(visit: Visit, period: Period) -> Refunded:
    """The refunds made in a period, in one walk over them."""
    rows = await visit.database.fetch(
        """
        SELECT date_trunc($5, created_at, 'UTC') AS begins, state, currency, count(*) AS refunds,
               sum(amount_minor) AS requested, sum(refunded_minor) AS refunded
          FROM refunds
         WHERE account_id = $1 AND live = $2 AND created_at >= $3 AND created_at < $4
         GROUP BY 1, 2, 3
        """,
        *_tenant(visit), period.begins, period.ends, period.step,
    )  # fmt: skip
    counts: dict[tuple[date, str], int] = {}
    currencies: dict[str, InCurrency] = {}
    for row in rows:
        key = row["begins"].date(), row["state"]
        counts[key] = counts.get(key, 0) + row["refunds"]
        code = row["currency"]
        so_far = currencies.get(code) or InCurrency(required(find_currency(code)))
        currencies[code] = InCurrency(
            so_far.currency,
            so_far.refunds + row["refunds"],
            so_far.requested + int(row["requested"]),
            so_far.refunded + int(row["refunded"]),
        )
    bars = [
        Bar(begins, tuple(counts.get((begins, state.value), 0) for state in RefundState))
        for begins in period.bars
    ]
    return Refunded(bars, currencies)


async def find_currencies(
    visit: Visit, period: Period, refunded: dict[str, InCurrency]
) -> list[InCurrency]:
    """What the period came to in each currency, by the code. refunded: of its refunds."""
    rows = await visit.database.fetch(
        """
        SELECT currency, sum(captured_minor) AS captured, sum(refunded_minor) AS paid_back
          FROM orders
         WHERE account_id = $1 AND live = $2 AND created_at >= $3 AND created_at < $4
         GROUP BY currency
        """,
        *_tenant(visit), period.begins, period.ends,
    )  # fmt: skip
    found = dict(refunded)
    for row in rows:
        code = row["currency"]
        known = found.get(code) or InCurrency(required(find_currency(code)))
        found[code] = InCurrency(
            known.currency,
            known.refunds,
            known.requested,
            known.refunded,
            int(row["captured"]),
            int(row["paid_back"]),
        )
    return [found[code] for code in sorted(found)]


async def find_reasons(visit: Visit, period: Period) -> list[tuple[str, int]]:
    """The most frequent reasons of the period's refunds; `No reason` for those without."""
    rows = await visit.database.fetch(
        """
        SELECT coalesce(reason, 'No reason') AS reason, count(*) AS refunds
          FROM refunds
         WHERE account_id = $1 AND live = $2 AND created_at >= $3 AND created_at < $4
         GROUP BY 1
         ORDER BY 2 DESC, 1
         LIMIT $5
        """,
        *_tenant(visit), period.begins, period.ends, _MOST_REASONS,
    )  # fmt: skip
    return [(row["reason"], row["refunds"]) for row in rows]


async def median_to_success(visit: Visit, period: Period) -> timedelta | None:
    """From request to success, of the period's latest successes; None if there are none."""
    return await visit.database.fetchval(
        """
        WITH latest AS (
            SELECT order_id, id, created_at
              FROM refunds
             WHERE account_id = $1 AND live = $2 AND lower(state) = 'succeeded'
               AND created_at >= $3 AND created_at < $4
             ORDER BY created_at DESC, seq DESC
             LIMIT $5
        )
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ended.at - latest.created_at)
          FROM latest
         CROSS JOIN LATERAL (
            SELECT max(o.updated_at) AS at
              FROM refund_parts p
              JOIN charge_operations o ON o.account_id = $1 AND o.live = $2
               AND o.order_id = p.order_id AND o.id = p.operation_id
             WHERE p.account_id = $1 AND p.live = $2 AND p.order_id = latest.order_id
               AND p.refund_id = latest.id) AS ended
        """,
        *_tenant(visit), period.begins, period.ends, _SUCCESSES,
    )  # fmt: skip


def in_words(span: timedelta) -> str:
    """A span in its two largest units: `2 days 3 hours`, `4 minutes 5 seconds`."""
    left = int(span.total_seconds())
    parts: list[str] = []
    for name, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        number, left = divmod(left, seconds)
        if number:
            parts.append(f"{number} {name}{'' if number == 1 else 's'}")
        if len(parts) == 2 or (parts and not number):
            break
    return " ".join(parts) or "under 1 second"


def most_first(currencies: Sequence[InCurrency]) -> list[InCurrency]:
    """The currencies with a refund rate, the highest first."""
    rated = [each for each in currencies if each.permille is not None]
    return sorted(rated, key=lambda each: -(each.permille or 0))
