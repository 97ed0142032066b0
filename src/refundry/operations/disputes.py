"""What processors tell of disputes: opened, won, lost."""

from datetime import datetime
from decimal import Decimal

import structlog

from refundry.access.store import clock_shift
from refundry.db.database import Database
from refundry.disputes.commands import Told, hear_of_dispute, resolve_dispute
from refundry.disputes.reading import DisputeRequest, Resolution
from refundry.disputes.store import find_by_reference, find_charges
from refundry.domain.refusal import DisputeClosed
from refundry.errors import Refused, required
from refundry.operations.inbox import Data, Notification
from refundry.tenant import Tenant

log = structlog.get_logger("refundry.notifications")


async def hear_dispute(
    database: Database,
    notification: Notification,
    *,
    live: bool,
    now: datetime,
    tenant: Tenant | None = None,
) -> bool | None:
    """Book what a processor says of a dispute: whether that changed anything.

    None where it cannot be booked (yet): its charge or dispute is unknown or named twice, the
    order is in no state for it, the bank took more than we know of. It is never booked otherwise
    than it was told. now: real time. tenant: whose processor it was, where that is known: it
    tells of nobody else's.
    """
    try:
        if notification.type == "dispute.opened":
            return await _hear_opened(database, notification.data, tenant, live=live, now=now)
        return await _hear_resolved(database, notification, tenant, live=live, now=now)
    except Refused as refused:
        log.warning("dispute_not_booked", id=notification.id, why=type(refused.refusal).__name__)
        return None


async def _hear_opened(
    database: Database, data: Data, only: Tenant | None, *, live: bool, now: datetime
) -> bool | None:
    found = await find_charges(database, required(data.charge_id), live=live)
    found = [each for each in found if only in (None, each[0])]
    if len(found) != 1:
        return None
    tenant, order_id = found[0]
    request = DisputeRequest(
        charge_id=data.charge_id,
        amount=Decimal(data.amount) if data.amount else None,
        reason=data.reason,
        processor_reference=data.processor_reference,
        sent_amount=data.amount or "",
    )
    return await hear_of_dispute(database, await _told(database, tenant, now), order_id, request)


async def _hear_resolved(
    database: Database, notification: Notification, only: Tenant | None, *, live: bool,
    now: datetime,
) -> bool | None:  # fmt: skip
    data = notification.data
    reference = required(data.processor_reference)
    account_id = only and only.account_id
    found = await find_by_reference(database, reference, live=live, account_id=account_id)
    if len(found) != 1:
        return None
    tenant, _, dispute_id = found[0]
    resolution = Resolution(
        lost=notification.type == "dispute.lost",
        amount=Decimal(data.amount) if data.amount else None,
        fraud=bool(data.fraud),
        sent_amount=data.amount or "",
    )
    try:
        await resolve_dispute(database, await _told(database, tenant, now), dispute_id, resolution)
    except Refused as refused:
        if isinstance(refused.refusal, DisputeClosed):
            return False
        raise
    return True


async def _told(database: Database, tenant: Tenant, now: datetime) -> Told:
    return Told(tenant, now + await clock_shift(database, tenant))
