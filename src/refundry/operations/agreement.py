"""What a processor said beside an outcome: kept, and compared with what it was asked for."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from refundry.db.database import Database, Session
from refundry.domain.charge import OperationKind
from refundry.domain.checking import DIFFERS, disagreement
from refundry.domain.money import Currency, find_currency
from refundry.errors import required
from refundry.operations import check_store
from refundry.processors.contract import Outcome, Submission, Unknown
from refundry.refunds import store as refunds_store
from refundry.tenant import Tenant

log = structlog.get_logger("refundry.operations")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a processor was asked for. amount: minor units."""

    tenant: Tenant
    order_id: str
    operation_id: str
    kind: OperationKind
    amount: int
    currency: Currency


def asked_for(order_id: str, submission: Submission) -> Asked:
    """What a submission asks for."""
    return Asked(
        submission.tenant, order_id, submission.key, submission.kind, submission.amount,
        submission.currency,
    )  # fmt: skip


async def find_asked(session: Session, tenant: Tenant, operation_id: str) -> Asked:
    """What an operation of an account asked for."""
    row = required(
        await session.fetchrow(
            """
            SELECT o.order_id, o.kind, o.amount_minor, r.currency
              FROM charge_operations o
              JOIN orders r ON r.account_id = o.account_id AND r.live = o.live AND r.id = o.order_id
             WHERE o.account_id = $1 AND o.live = $2 AND o.id = $3
            """,
            tenant.account_id, tenant.live, operation_id,
        )
    )  # fmt: skip
    return Asked(
        tenant, row["order_id"], operation_id, OperationKind(row["kind"]), row["amount_minor"],
        required(find_currency(row["currency"])),
    )  # fmt: skip


def settles_difference(parked: str | None, outcome: Outcome) -> bool:
    """Whether an outcome may be booked of an operation that is parked for this reason: not one
    without an amount where amounts differed."""
    if parked is None or not parked.startswith(DIFFERS) or isinstance(outcome, Unknown):
        return True
    return outcome.receipt.amount is not None


async def keep_receipt(database: Database, asked: Asked, outcome: Outcome, now: datetime) -> bool:
    """Keep what a processor said besides the outcome; False where it is not about what was asked,
    so that the outcome must not be booked: then the operation waits for a person."""
    if isinstance(outcome, Unknown):
        return True
    receipt = outcome.receipt
    await check_store.note_receipt(
        database, asked.tenant, asked.order_id, asked.operation_id, receipt
    )
    why = disagreement(asked.currency, asked.amount, receipt.amount, receipt.currency)
    if why is None:
        return True
    await park(database, asked, why, now)
    return False


async def park(database: Database, asked: Asked, why: str, now: datetime) -> None:
    """Leave an operation to a person, and ask nobody any more."""
    tenant, order_id, operation_id = asked.tenant, asked.order_id, asked.operation_id
    log.error("operation_parked", operation_id=operation_id, why=why)
    if await check_store.park(database, tenant, order_id, operation_id, why, now):
        await refunds_store.flag_attention(database, tenant, order_id, operation_id, now)
