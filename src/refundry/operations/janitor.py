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
from refundry.domain.checking import Rhythm
from refundry.gateways import store as gateways_store
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import BadCredentials
from refundry.gateways.store import Gateway
from refundry.metrics import CHECKS
from refundry.operations import check_store
from refundry.operations.adopting import hear_refund
from refundry.operations.agreement import asked_for, keep_receipt, park, settles_difference
from refundry.operations.bookkeeping import Bookkeeper
from refundry.operations.check_store import Checked
from refundry.operations.commands import Booking, Books
from refundry.operations.store import Claimed
from refundry.processors.contract import (
    Found,
    InProgress,
    NotFound,
    Unknown,
)
from refundry.settings import Settings

# What a look-up may take besides the processor's own time before its lease runs out.
_LEASE_MARGIN = timedelta(seconds=5)
# How long a listing may take before another worker tries it.
_LISTING_LEASE = timedelta(minutes=5)
# Of a gateway that is closed: its credentials may be revoked, and little happens there any more.
_CLOSED_LISTING = timedelta(days=1)
_CLOSED_LEASE = timedelta(hours=1)
# Clocks differ, and what was pending at the last listing may have ended since.
_OVERLAP = timedelta(days=1)
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
    """Look up what is due; gives how many operations could be."""
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
    return sum(result is None for result in results)


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


async def _check(desk: Desk, checked: Checked) -> None:
    rhythm = await rhythm_of(desk, checked.gateway_id)
    found = await _found(desk, checked)
    now = desk.clock.now() + checked.shift
    submission = checked.submission
    asked = asked_for(checked.order_id, submission)
    match found:
        case NotFound() if checked.parked is not None:
            await check_store.note_check(
                desk.database, checked, "not known there", check_due_at=now
            )
        case NotFound() if checked.accepted:
            await park(desk.database, asked, _GONE, now)
        case NotFound():
            # It is asked for again when its repeat is due: a call that we gave up may yet arrive.
            at = rhythm.next_check(checked.checks, now, accepted=False)
            await check_store.note_check(desk.database, checked, "not known there", check_due_at=at)
        case Unknown(error):
            at = rhythm.next_check(checked.checks, now, accepted=checked.accepted)
            await check_store.note_check(
                desk.database, checked, f"no telling: {error}", check_due_at=at
            )
        case _ if not settles_difference(checked.parked, found):
            await check_store.note_check(
                desk.database, checked, "no telling: it names no amount", check_due_at=now
            )
        case _ if not await keep_receipt(desk.database, asked, found, now):
            pass
        case InProgress(ask_again):
            at = now + ask_again if ask_again else None
            at = at or rhythm.next_check(checked.checks, now, accepted=True)
            await check_store.note_check(
                desk.database, checked, "under way", check_due_at=at, accepted=True
            )
        case _:
            booking = Booking(submission.tenant, checked.order_id, submission.key, found, now)
            if not await desk.bookkeeper.book(booking):
                at = rhythm.next_check(checked.checks, now, accepted=checked.accepted)
                said = "its answer changes nothing"
                await check_store.note_check(desk.database, checked, said, check_due_at=at)


async def _found(desk: Desk, checked: Checked) -> Found:
    try:
        connector = await desk.connectors.find(checked.gateway_id)
    except BadCredentials as error:
        return Unknown(str(error))
    found = await connector.look_up(checked.submission)
    CHECKS.labels(connector.name, type(found).__name__).inc()
    return found


async def list_due(desk: Desk, books: Books) -> int:
    """List the refunds of gateways whose turn it is, and take in what we do not know; gives how
    many gateways were listed."""
    count = 0
    for gateway in await gateways_store.list_all(desk.database):
        now = desk.clock.now()
        rhythm = await rhythm_of(desk, gateway.id)
        every, lease = rhythm.listing, _LISTING_LEASE
        if gateway.closed_at is not None:
            every, lease = max(every, _CLOSED_LISTING), _CLOSED_LEASE
        if not await gateways_store.claim_listing(
            desk.database, gateway, now, now - every, now + lease
        ):
            continue
        try:
            await _list(desk, books, gateway, rhythm, now)
        except (OSError, TimeoutError, BadCredentials) as error:
            # It is tried again when the lease has run out.
            log.warning("listing_failed", gateway=gateway.name, error=str(error)[:500])
        else:
            await gateways_store.note_listed(desk.database, gateway, now)
            count += 1
    return count


async def _list(desk: Desk, books: Books, gateway: Gateway, rhythm: Rhythm, now: datetime) -> None:
    connector = await desk.connectors.find(gateway.id)
    if not connector.abilities.lists:
        return
    since = (gateway.listed_until or gateway.created_at) - _OVERLAP
    async for refund in connector.refunds_since(since):
        try:
            await hear_refund(books, gateway, refund, rhythm.pending[0], now)
        except Exception as error:  # the others are taken in all the same
            log.error("listed_refund_failed", reference=refund.reference, exc_info=error)
