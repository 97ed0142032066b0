"""Refunds that take the place of failed ones, in the database."""

from refundry.db.database import Session, Tx
from refundry.domain.another_way import Chain, check_replacement
from refundry.errors import NotFound, Refused, required
from refundry.refunds.store import NewRefund, find_refund, find_refunds
from refundry.tenant import Tenant


async def find_chain(session: Session, tenant: Tenant, refund_id: str) -> Chain:
    """The chain that a refund belongs to, be it the only one. Raises NotFound."""
    stored = await find_refund(session, tenant, refund_id)
    if stored is None:
        raise NotFound("Refund", refund_id)
    order_id, first_id = stored.refund.order_id, stored.refund.replaces or stored.refund.id
    rows = await session.fetch(
        """
        SELECT r.id,
               EXISTS (SELECT FROM refund_parts p JOIN charge_operations o
                           ON o.account_id = p.account_id AND o.live = p.live
                          AND o.order_id = p.order_id AND o.id = p.operation_id
                        WHERE p.account_id = r.account_id AND p.live = r.live
                          AND p.order_id = r.order_id AND p.refund_id = r.id
                          AND o.paid_after_all_at IS NOT NULL
                          AND o.paid_after_all_note IS NULL) AS paid_after_all
          FROM refunds r
         WHERE r.account_id = $1 AND r.live = $2 AND r.order_id = $3
           AND (r.id = $4 OR r.replaces = $4)
         ORDER BY r.replaces IS NOT NULL, r.seq
        """,
        tenant.account_id, tenant.live, order_id, first_id,
    )  # fmt: skip
    found = await find_refunds(session, tenant, [row["id"] for row in rows])
    first, *others = [each.refund for each in found]
    return Chain(first, tuple(others), any(row["paid_after_all"] for row in rows))


async def take_place(tx: Tx, new: NewRefund) -> None:
    """Note that a refund, just written, stands in the place of a failed one; the order's row is
    locked. Raises Refused, which undoes the refund."""
    refund = new.refund
    first_id = required(refund.replaces)
    chain = await find_chain(tx, new.tenant, first_id)
    assert chain.first.id == first_id
    assert chain.first.order_id == refund.order_id
    if refusal := check_replacement(chain, refund.way):
        raise Refused(refusal)
    await tx.execute(
        """
        UPDATE refunds SET replaces = $5, way = $6
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
        """,
        new.tenant.account_id, new.tenant.live, refund.order_id, refund.id, first_id,
        refund.way.value if refund.way else None,
    )  # fmt: skip
