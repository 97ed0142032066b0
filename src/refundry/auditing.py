"""Recomputes every balance from the journal and names the orders that do not add up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from refundry.db.database import Session

_BATCH = 500

# Each row is a figure as kept and as recomputed. The journal: the shares of captures, cancels,
# imported refunds and chargebacks (charge_operations) and those of refunds.
_CELLS = """
WITH wanted AS (
    SELECT account_id, live, id FROM orders
     WHERE (account_id, live, id) > ($1, $2, $3)
     ORDER BY account_id, live, id LIMIT $4
), operation_cells AS (
    SELECT o.account_id, o.live, o.order_id, o.kind, o.state,
           o.share_lines[(c.place - 1) / 8 + 1] AS position, (c.place - 1) % 8 + 1 AS component,
           c.share
      FROM charge_operations o JOIN wanted w
        ON w.account_id = o.account_id AND w.live = o.live AND w.id = o.order_id,
           unnest(o.shares) WITH ORDINALITY AS c (share, place)
), refund_cells AS (
    SELECT r.account_id, r.live, r.order_id, r.state,
           r.share_lines[(c.place - 1) / 8 + 1] AS position, (c.place - 1) % 8 + 1 AS component,
           c.share, coalesce(r.refunded_shares[c.place], 0) AS paid
      FROM refunds r JOIN wanted w
        ON w.account_id = r.account_id AND w.live = r.live AND w.id = r.order_id,
           unnest(r.shares) WITH ORDINALITY AS c (share, place)
), journal AS (
    SELECT account_id, live, order_id, position, component,
           sum(share) FILTER (WHERE kind = 'capture' AND state = 'complete') AS captured,
           sum(share) FILTER (WHERE kind = 'cancel' AND state = 'complete') AS cancelled,
           sum(share) FILTER (WHERE kind IN ('capture', 'cancel') AND state = 'pending')
               AS processing,
           0::numeric AS held,
           sum(share) FILTER (WHERE kind = 'refund' AND state = 'complete') AS refunded
      FROM operation_cells GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT account_id, live, order_id, position, component, 0, 0, 0,
           sum(share) FILTER (WHERE state IN ('pending', 'pending_information')), sum(paid)
      FROM refund_cells GROUP BY 1, 2, 3, 4, 5
), sums AS (
    SELECT account_id, live, order_id, position, component,
           coalesce(sum(captured), 0) AS captured, coalesce(sum(cancelled), 0) AS cancelled,
           coalesce(sum(processing), 0) AS processing, coalesce(sum(held), 0) AS held,
           coalesce(sum(refunded), 0) AS refunded
      FROM journal GROUP BY 1, 2, 3, 4, 5
)
SELECT l.account_id, l.live, l.order_id, l.position, k.component,
       ARRAY[l.captured[k.component], l.cancelled[k.component], l.processing[k.component],
             l.held[k.component], l.refunded[k.component]]::numeric[] AS kept,
       ARRAY[coalesce(s.captured, 0), coalesce(s.cancelled, 0), coalesce(s.processing, 0),
             coalesce(s.held, 0), coalesce(s.refunded, 0)]::numeric[] AS journal
  FROM wanted w
  JOIN order_lines l ON l.account_id = w.account_id AND l.live = w.live AND l.order_id = w.id
 CROSS JOIN generate_series(1, 8) AS k (component)
  LEFT JOIN sums s ON s.account_id = l.account_id AND s.live = l.live
        AND s.order_id = l.order_id AND s.position = l.position AND s.component = k.component
 WHERE ARRAY[l.captured[k.component], l.cancelled[k.component], l.processing[k.component],
             l.held[k.component], l.refunded[k.component]]::numeric[]
       <> ARRAY[coalesce(s.captured, 0), coalesce(s.cancelled, 0), coalesce(s.processing, 0),
                coalesce(s.held, 0), coalesce(s.refunded, 0)]::numeric[]
"""

# The published sums of an order, what refunds say against what their records say, chargebacks
# against their sales transactions, what is kept of returns, and what is owed.
_SUMS = """
WITH wanted AS (
    SELECT account_id, live, id, total_minor, captured_minor, cancelled_minor, refunded_minor,
           open_return_refunds
      FROM orders
     WHERE (account_id, live, id) > ($1, $2, $3)
     ORDER BY account_id, live, id LIMIT $4
)
SELECT w.account_id, w.live, w.id AS order_id, f.figure, f.kept::numeric, f.journal::numeric
  FROM wanted w
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 'capture'), 0) AS captured,
           coalesce(sum(amount_minor) FILTER (WHERE kind = 'cancel'), 0) AS cancelled,
           coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS refunded
      FROM charge_operations o
     WHERE o.account_id = w.account_id AND o.live = w.live AND o.order_id = w.id
       AND o.state = 'complete') AS done
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(cells_sum(ordered)), 0) AS ordered FROM order_lines l
     WHERE l.account_id = w.account_id AND l.live = w.live AND l.order_id = w.id) AS lines
 CROSS JOIN LATERAL (VALUES
    ('total', w.total_minor, lines.ordered),
    ('captured', w.captured_minor, done.captured),
    ('cancelled', w.cancelled_minor, done.cancelled),
    ('refunded', w.refunded_minor, done.refunded)) AS f (figure, kept, journal)
 WHERE f.kept <> f.journal
UNION ALL
SELECT w.account_id, w.live, w.id, 'paid of ' || r.id, r.refunded_minor,
       coalesce(p.paid, 0)
  FROM wanted w
  JOIN refunds r ON r.account_id = w.account_id AND r.live = w.live AND r.order_id = w.id
 CROSS JOIN LATERAL (
    SELECT sum(p.amount_minor) FILTER (WHERE o.state = 'complete') AS paid,
           sum(p.amount_minor) AS assigned
      FROM refund_parts p JOIN charge_operations o
        ON o.account_id = p.account_id AND o.live = p.live AND o.order_id = p.order_id
       AND o.id = p.operation_id
     WHERE p.account_id = r.account_id AND p.live = r.live AND p.order_id = r.order_id
       AND p.refund_id = r.id) AS p
 WHERE (r.state NOT IN ('pending', 'pending_information')
        AND r.refunded_minor <> coalesce(p.paid, 0))
    OR (p.assigned IS NOT NULL AND p.assigned <> r.amount_minor)
UNION ALL
SELECT w.account_id, w.live, w.id, 'parts of ' || o.id, o.amount_minor, sum(p.amount_minor)
  FROM wanted w
  JOIN charge_operations o
    ON o.account_id = w.account_id AND o.live = w.live AND o.order_id = w.id
  JOIN refund_parts p
    ON p.account_id = o.account_id AND p.live = o.live AND p.order_id = o.order_id
   AND p.operation_id = o.id
 GROUP BY w.account_id, w.live, w.id, o.id, o.amount_minor
HAVING o.amount_minor <> sum(p.amount_minor)
UNION ALL
SELECT w.account_id, w.live, w.id, f.figure || ' of ' || d.id, d.chargeback_minor, f.journal
  FROM wanted w
  JOIN disputes d ON d.account_id = w.account_id AND d.live = w.live AND d.order_id = w.id
 CROSS JOIN LATERAL (
    SELECT 'chargeback' AS figure, coalesce(sum(o.amount_minor), 0) AS journal
      FROM charge_operations o
     WHERE o.account_id = w.account_id AND o.live = w.live AND o.order_id = w.id
       AND o.dispute_id = d.id
    UNION ALL
    SELECT 'sales transactions', -coalesce(sum(s.amount_minor), 0)
      FROM sales_transactions s
     WHERE s.account_id = w.account_id AND s.live = w.live AND s.order_id = w.id
       AND s.dispute_id = d.id) AS f
 WHERE d.state = 'lost' AND d.chargeback_minor <> f.journal
UNION ALL
SELECT w.account_id, w.live, w.id, 'open refunds of returns', w.open_return_refunds, r.open
  FROM wanted w
 CROSS JOIN LATERAL (
    SELECT count(*) AS open FROM refunds r
     WHERE r.account_id = w.account_id AND r.live = w.live AND r.order_id = w.id
       AND r.return_id IS NOT NULL AND r.state IN ('pending', 'pending_information')) AS r
 WHERE w.open_return_refunds <> r.open
UNION ALL
SELECT w.account_id, w.live, w.id, 'returned units of line ' || l.position, l.returned_units,
       r.units
  FROM wanted w
  JOIN order_lines l ON l.account_id = w.account_id AND l.live = w.live AND l.order_id = w.id
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(i.quantity), 0) AS units
      FROM returns g JOIN return_items i
        ON i.account_id = g.account_id AND i.live = g.live AND i.order_id = g.order_id
       AND i.return_id = g.id
     WHERE g.account_id = w.account_id AND g.live = w.live AND g.order_id = w.id
       AND g.state = 'accepted' AND i.line_position = l.position) AS r
 -- All units of an imported line may be back without a return of ours.
 WHERE l.returned_units <> r.units
   AND NOT (r.units = 0 AND l.state = 'returned' AND l.returned_units = l.fulfilled_units)
UNION ALL
SELECT w.account_id, w.live, w.id, 'owed while money is free', c.owed,
       greatest(0, c.owed - l.free)
  FROM wanted w
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(o.owed_minor), 0) AS owed FROM charge_operations o
     WHERE o.account_id = w.account_id AND o.live = w.live AND o.order_id = w.id) AS c
 CROSS JOIN LATERAL (
    SELECT coalesce(sum(cells_sum(captured) - cells_sum(held) - cells_sum(refunded)), 0) AS free
      FROM order_lines l
     WHERE l.account_id = w.account_id AND l.live = w.live AND l.order_id = w.id) AS l
 WHERE c.owed > 0 AND l.free > 0
"""

_FIGURES = ("captured", "cancelled", "processing", "held", "refunded")
_COMPONENTS = (
    "product",
    "tax",
    "shipping",
    "shippingTax",
    "duty",
    "importerTax",
    "fees",
    "feesTax",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that is not what the journal says. kept, journal: minor units."""

    account_id: str
    live: bool
    order_id: str
    figure: str
    kept: int
    journal: int


@dataclass(frozen=True, slots=True)
class Audited:
    """A stretch of orders that was checked, and what was found in it."""

    orders: int
    findings: list[Finding]


Position = tuple[str, bool, str]
"""Account, mode and id of an order."""


async def audit(
    session: Session, behind: Position = ("", False, ""), batch: int = _BATCH
) -> AsyncIterator[Audited]:
    """Check every order, stretch by stretch. Run it on one snapshot, or beside running commands
    it may see half of a change: see `refundry audit`, which holds a repeatable-read transaction.

    behind: only orders that come after this one; batch: how many are in a stretch.
    """
    position = behind
    while True:
        rows = await session.fetch(
            """
            SELECT account_id, live, id FROM orders
             WHERE (account_id, live, id) > ($1, $2, $3)
             ORDER BY account_id, live, id LIMIT $4
            """,
            *position, batch,
        )  # fmt: skip
        if not rows:
            return
        findings = await _cell_findings(session, position, batch)
        findings += await _sum_findings(session, position, batch)
        last = rows[-1]
        position = last["account_id"], last["live"], last["id"]
        yield Audited(len(rows), findings)


async def _cell_findings(session: Session, position: Position, batch: int) -> list[Finding]:
    findings: list[Finding] = []
    for row in await session.fetch(_CELLS, *position, batch):
        where = f"line {row['position']} {_COMPONENTS[row['component'] - 1]}"
        for figure, kept, journal in zip(_FIGURES, row["kept"], row["journal"], strict=True):
            if kept != journal:
                findings.append(
                    Finding(
                        row["account_id"], row["live"], row["order_id"], f"{where} {figure}",
                        int(kept), int(journal),
                    )
                )  # fmt: skip
    return findings


async def _sum_findings(session: Session, position: Position, batch: int) -> list[Finding]:
    rows = await session.fetch(_SUMS, *position, batch)
    return [
        Finding(
            row["account_id"], row["live"], row["order_id"], row["figure"], int(row["kept"]),
            int(row["journal"]),
        )
        for row in rows
    ]  # fmt: skip
