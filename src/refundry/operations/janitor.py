"""The janitor: asks processors what became of operations without an outcome.

A look-up never makes a processor do anything. What it gives is booked like the answer to a call, if
it is about what was asked; else the operation waits for a person.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from refundry.clock import Clock
from refundry.db.database import Database
from refundry.domain.checking import Rhythm, disagreement
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import BadCredentials
from refundry.metrics import CHECKS
from refundry.operations import check_store
from refundry.operations.bookkeeping import Bookkeeper
from refundry.operations.check_store import Checked
from refundry.operations.commands import Booking
from refundry.operations.store import Claimed
from refundry.processors.contract import (
    Found,
    InProgress,
    NotFound,
    Outcome,
    Submission,
    Unknown,
)
from refundry.refunds import store as refunds_store
from refundry.settings import Settings

# What a look-up may take besides the processor's own time before its lease runs out.
_LEASE_MARGIN = timedelta(seconds=5)
_GONE = "the processor accepted it and does not know it now"
log = structlog.get_logger("refundry.janitor")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the janitor works with."""

    database: Database
    settings: Settings
    clock: Clock
    bookkeeper: Bookkeeper
    connectors: Connectors


async def check_due(desk: Desk, account_id: str | None, limit: int) -> int:
    """Look up what is due; gives how many operations that were."""
    lease = timedelta(seconds=desk.settings.processor_timeout) + _LEASE_MARGIN
    claimed = await check_store.claim_checks(
        desk.database, now=desk.clock.now(), lease=lease, account_id=account_id, limit=limit
    )
    results = await asyncio.gather(
        *(_check(desk, each) for each in claimed), return_exceptions=True
    )
    for checked, result in zip(claimed, results, strict=True):
        if isinstance(result, Exception):
            # Its lease runs out, and it is looked up again.
            log.error("check_failed", operation_id=checked.submission.key, exc_info=result)
        elif isinstance(result, BaseException):
            raise result
    return len(claimed)


async def check_siblings(desk: Desk, group: Sequence[Claimed]) -> None:
    """Before operations of an order are asked for: look up what is open on the same charges."""
    first = group[0]
    tenant = first.submission.tenant
    keys = [claimed.submission.key for claimed in group]
    lease = timedelta(seconds=desk.settings.processor_timeout) + _LEASE_MARGIN
    siblings = await check_store.claim_siblings(
        desk.database, tenant, first.order_id, keys, now=desk.clock.now(), shift=first.shift,
        lease=lease,
    )  # fmt: skip
    for sibling in siblings:
        await _check(desk, sibling)


async def rhythm_of(desk: Desk, gateway_id: str) -> Rhythm:
    """When operations of a gateway are looked up."""
    try:
        connector = await desk.connectors.find(gateway_id)
    except BadCredentials:
        return desk.settings.rhythm("")
    return desk.settings.rhythm(connector.name)


async def keep_receipt(
    database: Database, order_id: str, submission: Submission, outcome: Outcome, now: datetime
) -> bool:
    """Keep what a processor said besides the outcome; False where it is not about what was asked,
    so that the outcome must not be booked: then the operation waits for a person."""
    if isinstance(outcome, Unknown):
        return True
    receipt = outcome.receipt
    await check_store.note_receipt(database, submission.tenant, order_id, submission.key, receipt)
    why = disagreement(submission.currency, submission.amount, receipt.amount, receipt.currency)
    if why is None:
        return True
    await _park(database, order_id, submission, why, now)
    return False


async def _park(
    database: Database, order_id: str, submission: Submission, why: str, now: datetime
) -> None:
    tenant = submission.tenant
    if await check_store.park(database, tenant, order_id, submission.key, why, now):
        log.error("operation_parked", operation_id=submission.key, why=why)
        await refunds_store.flag_attention(database, tenant, order_id, submission.key, now)


async def _check(desk: Desk, checked: Checked) -> None:
    rhythm = await rhythm_of(desk, checked.gateway_id)
    found = await _found(desk, checked)
    now = desk.clock.now() + checked.shift
    submission = checked.submission
    match found:
        case NotFound() if checked.accepted:
            await _park(desk.database, checked.order_id, submission, _GONE, now)
        case NotFound():
            # Nobody did it, so it is asked for again, under the same key.
            at = rhythm.next_check(checked.checks, now, accepted=False)
            await check_store.note_check(
                desk.database, checked, "not known there", check_due_at=at, repeat_at=now
            )
        case Unknown(error):
            at = rhythm.next_check(checked.checks, now, accepted=checked.accepted)
            await check_store.note_check(
                desk.database, checked, f"no telling: {error}", check_due_at=at
            )
        case _ if not await keep_receipt(desk.database, checked.order_id, submission, found, now):
            pass
        case InProgress(ask_again):
            at = now + ask_again if ask_again else None
            at = at or rhythm.next_check(checked.checks, now, accepted=True)
            await check_store.note_check(
                desk.database, checked, "under way", check_due_at=at, accepted=True
            )
        case _:
            await desk.bookkeeper.book(
                Booking(submission.tenant, checked.order_id, submission.key, found, now)
            )


async def _found(desk: Desk, checked: Checked) -> Found:
    try:
        connector = await desk.connectors.find(checked.gateway_id)
    except BadCredentials as error:
        return Unknown(str(error))
    found = await connector.look_up(checked.submission)
    CHECKS.labels(connector.name, type(found).__name__).inc()
    return found
