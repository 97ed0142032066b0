"""Asking for operations through gateways: under leases that outlast the call, within a time."""

import asyncio
from datetime import datetime, timedelta

from refundry.domain.charge import Failure, OperationKind
from refundry.gateways.abilities import captured_once
from refundry.gateways.kinds import BadCredentials
from refundry.operations import store as operations_store
from refundry.operations.janitor import Desk
from refundry.operations.store import Claimed
from refundry.processors.contract import Declined, Outcome, Processor, Submission, Unknown
from refundry.settings import Settings

# What a call may take besides the processor's own time before its lease runs out.
_LEASE_MARGIN = timedelta(seconds=5)
# How many answers of the processor a submission may wait for; and where it keeps no keys, so that
# its refunds are read one by one before a repeat.
_QUESTIONS = 3
_MOST_QUESTIONS = 12
# A processor carries out what we gave up waiting for within this time, or never.
_GIVEN_TIME = timedelta(minutes=2)
_CAPTURED_ONCE = Failure(
    "captured_once",
    "This processor captures a payment once, and an earlier capture released the rest",
    "declined",
)


async def still_ours(desk: Desk, group: list[Claimed]) -> list[Claimed]:
    """Those operations of an order that nobody ended, parked or took meanwhile, with leases for a
    whole call: until a lease ends, nobody else asks."""
    first = group[0]
    keyless = any([await _is_keyless(desk, claimed.gateway_id) for claimed in group])
    until = desk.clock.now() + _call_time(desk, keyless=keyless) + _LEASE_MARGIN
    if keyless:
        # What a killed worker has sent must have been carried out when somebody looks for it.
        until += _GIVEN_TIME
    kept = await operations_store.renew_leases(
        desk.database, first.submission.tenant, first.order_id,
        {claimed.submission.key: claimed.submission.attempt for claimed in group}, until,
    )  # fmt: skip
    return [claimed for claimed in group if claimed.submission.key in kept]


async def submit(
    desk: Desk, connector: Processor, gateway_id: str, submission: Submission
) -> Outcome:
    """The outcome, or that there is no telling, before the lease ends."""
    if await _is_too_late(desk, connector, submission):
        return Declined(_CAPTURED_ONCE)
    limit = _call_time(desk, keyless=await _is_keyless(desk, gateway_id))
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await connector.submit(submission)
    except TimeoutError:
        return Unknown("no answer in time")


async def _is_too_late(desk: Desk, connector: Processor, submission: Submission) -> bool:
    """Whether it is the second capture of a payment that is captured once. One that was asked for
    before may have been carried out: only its processor can tell."""
    if (
        submission.kind is not OperationKind.CAPTURE
        or submission.attempt > 1
        or not captured_once(connector.abilities)
    ):
        return False
    return await operations_store.is_captured(
        desk.database, submission.tenant, submission.charge_id, submission.key
    )


async def repeat_at(desk: Desk, gateway_id: str, due_at: datetime, now: datetime) -> datetime:
    """When an operation may be repeated. A processor that keeps no keys must have had the time to
    carry out what we gave up waiting for: the look-up before the repeat would miss it."""
    return max(due_at, now + _GIVEN_TIME) if await _is_keyless(desk, gateway_id) else due_at


async def _is_keyless(desk: Desk, gateway_id: str | None) -> bool:
    if gateway_id is None:
        return False
    try:
        connector = await desk.connectors.find(gateway_id)
    except BadCredentials:
        return False
    return not connector.abilities.repeats_for


def longest_lease(settings: Settings) -> timedelta:
    """How long an operation may be held for a call, at the most."""
    return _MOST_QUESTIONS * timedelta(seconds=settings.processor_timeout) + (
        _LEASE_MARGIN + _GIVEN_TIME
    )


def _call_time(desk: Desk, *, keyless: bool) -> timedelta:
    """How long a submission may take, look-ups before it included."""
    questions = _MOST_QUESTIONS if keyless else _QUESTIONS
    return timedelta(seconds=questions * desk.settings.processor_timeout)
