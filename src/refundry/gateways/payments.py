"""Through which gateways the payments of an order are paid back."""

from dataclasses import dataclass
from datetime import datetime

from refundry.db.database import Session
from refundry.tenant import Tenant

GATEWAY_OF_CHARGE = """coalesce(
                       (SELECT x.gateway_id FROM charge_operations x
                         WHERE x.account_id = c.account_id AND x.live = c.live
                           AND x.order_id = c.order_id AND x.charge_id = c.id
                           AND x.gateway_id IS NOT NULL
                         LIMIT 1),
                       (SELECT g.id FROM gateways g
                         WHERE g.account_id = c.account_id AND g.live = c.live
                           AND g.closed_at IS NULL
                           AND (g.source_types = '{}' OR c.source_type = ANY (g.source_types))
                           AND (c.live OR c.processor_reference IS NOT NULL)
                         ORDER BY cardinality(g.source_types) DESC, g.seq
                         LIMIT 1))"""
"""Through which gateway a charge `c` is paid back. Whoever took the payment gives it back, whatever
was opened or closed since."""


@dataclass(frozen=True, slots=True)
class PaidThrough:
    """A charge and the gateway that pays it back. captured_at: first; of an order that was taken
    in with its captures, when it was made."""

    charge_id: str
    gateway_id: str
    captured_at: datetime


async def paid_through(session: Session, tenant: Tenant, order_id: str) -> list[PaidThrough]:
    """The charges of an order that gateways pay back."""
    rows = await session.fetch(
        f"""
        SELECT c.id, {GATEWAY_OF_CHARGE} AS gateway_id,
               coalesce((SELECT min(o.created_at) FROM charge_operations o
                          WHERE o.account_id = c.account_id AND o.live = c.live
                            AND o.order_id = c.order_id AND o.charge_id = c.id
                            AND o.kind = 'capture' AND o.state = 'complete'
                            AND o.gateway_id IS NOT NULL),
                        r.created_at) AS captured_at
          FROM charges c
          JOIN orders r ON r.account_id = c.account_id AND r.live = c.live AND r.id = c.order_id
         WHERE c.account_id = $1 AND c.live = $2 AND c.order_id = $3
         ORDER BY c.id
        """,
        tenant.account_id, tenant.live, order_id,
    )  # fmt: skip
    return [
        PaidThrough(row["id"], row["gateway_id"], row["captured_at"])
        for row in rows
        if row["gateway_id"] is not None
    ]
