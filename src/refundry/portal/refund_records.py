"""What the refund's page reads that no resource shows: attempts, checks, notes and who asked."""

from refundry.domain.charge import OperationState
from refundry.domain.refund import Refund
from refundry.operations.check_store import standings
from refundry.orders.store import StoredOrder
from refundry.portal.pages import Visit
from refundry.portal.refund_story import Record
from refundry.portal.sources import source_label


async def records_of(visit: Visit, stored: StoredOrder, refund: Refund) -> list[Record]:
    """What each charge was asked for a refund, in the order of asking."""
    rows = await visit.database.fetch(
        """
        SELECT o.id, o.charge_id, p.amount_minor, o.state, o.created_at, o.updated_at, o.attempts,
               o.first_attempt_at, o.due_at, o.last_error, o.attention_since, o.failure_code,
               o.failure_message, o.failure_reason, o.note
          FROM refund_parts p
          JOIN charge_operations o ON o.account_id = p.account_id AND o.live = p.live
           AND o.order_id = p.order_id AND o.id = p.operation_id
         WHERE p.account_id = $1 AND p.live = $2 AND p.order_id = $3 AND p.refund_id = $4
         ORDER BY o.seq
        """,
        visit.tenant.account_id, visit.tenant.live, refund.order_id, refund.id,
    )  # fmt: skip
    known = await standings(visit.database, visit.tenant, refund.order_id, [r["id"] for r in rows])
    return [
        Record(
            row["id"],
            source_label(stored, stored.order.charge(row["charge_id"])),
            row["amount_minor"],
            OperationState(row["state"]),
            row["created_at"],
            row["updated_at"],
            row["attempts"],
            row["first_attempt_at"],
            row["due_at"],
            row["last_error"],
            row["attention_since"] is not None,
            row["failure_code"],
            row["failure_message"],
            row["failure_reason"],
            row["note"],
            known[row["id"]] if known[row["id"]].gateway else None,
        )
        for row in rows
    ]


async def events_of_refund(visit: Visit, refund: Refund) -> list[tuple[str, str, object]]:
    """The id, type and time of each event about a refund, oldest first."""
    rows = await visit.database.fetch(
        """
        SELECT id, type, created_at FROM events
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND type LIKE 'refund.%'
           AND object::json ->> 'id' = $4
         ORDER BY order_sequence
        """,
        visit.tenant.account_id, visit.tenant.live, refund.order_id, refund.id,
    )  # fmt: skip
    return [(row["id"], row["type"], row["created_at"]) for row in rows]


async def requested_by(visit: Visit, refund: Refund) -> str:
    """Who asked for a refund, to follow `requested`; empty where the books do not say."""
    if refund.return_id is not None:
        return f" by the acceptance of return {refund.return_id}"
    name = await visit.database.fetchval(
        """
        SELECT actor_name FROM audit_log
         WHERE account_id = $1 AND object_type = 'refund' AND object_id = $2
           AND action = 'refund.create'
        """,
        visit.tenant.account_id, refund.id,
    )  # fmt: skip
    return f" by {name}" if name else " through the API"
