"""Payouts that were made after all: a processor says so of what the books have as failed.

A failed refund never becomes a success again, as another one may stand in its place. So this is
noted, shouted about, and left to a person; what was not sent yet of the other one is stopped.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from refundry.db.database import Session, Tx
from refundry.domain.another_way import alive
from refundry.domain.refund import Refund
from refundry.refunds.replacing import find_chain
from refundry.tenant import Tenant

_STOPPED = "the refund in whose place it stands was paid after all, its processor says"
log = structlog.get_logger("refundry.operations")


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a processor says of a record that failed. note: what a person did about it, if one
    did."""

    operation_id: str
    told_at: datetime
    note: str | None


async def note_paid_after_all(
    tx: Tx, tenant: Tenant, refund: Refund, operation_id: str, now: datetime
) -> bool:
    """Flag a refund one of whose records was paid after it had failed; False if that is known.

    What stands in its place and was not sent yet is stopped. The order's row is locked.
    """
    tag = await tx.execute(
        """
        UPDATE charge_operations SET paid_after_all_at = $5
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4 AND state = 'failed'
           AND paid_after_all_at IS NULL
        """,
        tenant.account_id, tenant.live, refund.order_id, operation_id, now,
    )  # fmt: skip
    if tag != "UPDATE 1":
        return False
    await _flag(tx, tenant, refund, now)
    chain = await find_chain(tx, tenant, refund.id)
    other = alive(chain.replacements)
    if other is not None and other.id != refund.id:
        await stop(tx, tenant, other, now)
    log.error("refund_paid_after_all", refund_id=refund.id, operation_id=operation_id,
              maybe_twice=chain.may_be_paid_twice)  # fmt: skip
    return True


async def stop(tx: Tx, tenant: Tenant, refund: Refund, now: datetime) -> None:
    """Park what nobody was asked for yet of a refund, so that it is paid only if a person says."""
    await tx.execute(
        """
        UPDATE charge_operations o
           SET parked = $5, due_at = NULL, check_due_at = NULL,
               attention_since = coalesce(o.attention_since, $6)
          FROM refund_parts p
         WHERE p.account_id = $1 AND p.live = $2 AND p.order_id = $3 AND p.refund_id = $4
           AND o.account_id = p.account_id AND o.live = p.live AND o.order_id = p.order_id
           AND o.id = p.operation_id AND o.state = 'pending' AND o.first_attempt_at IS NULL
        """,
        tenant.account_id, tenant.live, refund.order_id, refund.id, _STOPPED, now,
    )  # fmt: skip
    await _flag(tx, tenant, refund, now)


async def stop_if_paid(tx: Tx, tenant: Tenant, refund: Refund, now: datetime) -> None:
    """Where what it stands for was paid after all, a person decides before it is paid again."""
    if refund.replaces is None:
        return
    chain = await find_chain(tx, tenant, refund.id)
    if chain.paid_after_all:
        await stop(tx, tenant, refund, now)


async def doubts_of(session: Session, tenant: Tenant, refund: Refund) -> list[Doubt]:
    """What processors say of records of a refund that failed, the first word first."""
    rows = await session.fetch(
        """
        SELECT id, paid_after_all_at, paid_after_all_note FROM charge_operations
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = ANY ($4::text[])
           AND paid_after_all_at IS NOT NULL
         ORDER BY paid_after_all_at, seq
        """,
        tenant.account_id, tenant.live, refund.order_id,
        [part.operation_id for part in refund.parts],
    )  # fmt: skip
    return [Doubt(row["id"], row["paid_after_all_at"], row["paid_after_all_note"]) for row in rows]


async def note_dealt_with(tx: Tx, tenant: Tenant, refund: Refund, note: str) -> bool:
    """Keep what a person did about payouts after all of a refund; False if there is none open."""
    tag = await tx.execute(
        """
        UPDATE charge_operations SET paid_after_all_note = $5
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = ANY ($4::text[])
           AND paid_after_all_at IS NOT NULL AND paid_after_all_note IS NULL
        """,
        tenant.account_id, tenant.live, refund.order_id,
        [part.operation_id for part in refund.parts], note,
    )  # fmt: skip
    if tag == "UPDATE 0":
        return False
    chain = await find_chain(tx, tenant, refund.id)
    if not chain.paid_after_all:
        await _unflag(tx, tenant, chain.first)
    return True


async def _unflag(tx: Tx, tenant: Tenant, first: Refund) -> None:
    """Take the flag off the refunds of a chain that have ended; the others need somebody still."""
    await tx.execute(
        """
        UPDATE refunds SET attention_since = NULL
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND (id = $4 OR replaces = $4)
           AND attention_since IS NOT NULL AND state NOT IN ('pending', 'pending_information')
        """,
        tenant.account_id, tenant.live, first.order_id, first.id,
    )  # fmt: skip


async def _flag(tx: Tx, tenant: Tenant, refund: Refund, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE refunds SET attention_since = coalesce(attention_since, $5)
         WHERE account_id = $1 AND live = $2 AND order_id = $3 AND id = $4
        """,
        tenant.account_id, tenant.live, refund.order_id, refund.id, now,
    )  # fmt: skip
