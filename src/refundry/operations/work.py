"""The steps of a worker: each takes some due work, does it, and says how much it was."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg
import structlog

from refundry import idempotency
from refundry.clock import Clock
from refundry.db.database import Database
from refundry.domain.charge import OperationKind
from refundry.domain.retry import needs_attention, next_attempt
from refundry.gateways.connectors import Connectors
from refundry.gateways.kinds import BadCredentials
from refundry.metrics import ATTEMPTS, WORKER_LAG
from refundry.operations import gateway_calls, janitor, notifications
from refundry.operations import store as operations_store
from refundry.operations.agreement import asked_for, keep_receipt
from refundry.operations.bookkeeping import Bookkeeper
from refundry.operations.commands import (
    Booking,
    Books,
    expire_refund,
    submit_refunds,
)
from refundry.operations.gateway_notices import Inbox
from refundry.operations.information import open_details
from refundry.operations.store import Claimed
from refundry.orders.store import order_key
from refundry.processors.contract import (
    InProgress,
    NeedsInformation,
    Outcome,
    Submission,
    Unknown,
)
from refundry.processors.registry import Registry
from refundry.refunds import store as refunds_store
from refundry.sealing import Vault
from refundry.settings import Settings
from refundry.tenant import Tenant
from refundry.webhooks import deliveries, mailing
from refundry.webhooks.delivery import Deliverer
from refundry.webhooks.store import drop_deliveries

_BATCH = 200
# What a call may take besides the processor's own time before its lease runs out.
_LEASE_MARGIN = timedelta(seconds=5)
# Calls under way at once, until they are booked: with a processor that answers nothing for ten
# seconds, 40 a second.
_MOST_CALLS = 400
_ATTEMPTS_KEPT = timedelta(days=30)
_PURGED_AT_ONCE = 1000
log = structlog.get_logger("refundry.worker")


class Stalled(Exception):
    """Work that is due, and that nobody gets done."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What the steps work with."""

    database: Database
    settings: Settings
    clock: Clock
    vault: Vault
    registry: Registry
    deliverer: Deliverer
    bookkeeper: Bookkeeper
    connectors: Connectors

    @property
    def books(self) -> Books:
        """Where outcomes are booked."""
        return Books(self.database, self.vault)


class Calls:
    """Calls to processors that nobody waits for: a slow one keeps only its own order waiting.

    done: called after each group of calls that has ended, when its outcomes are booked.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._groups: dict[asyncio.Task[int], str] = {}
        self._sizes: dict[asyncio.Task[int], int] = {}

    @property
    def orders(self) -> list[str]:
        """The orders whose operations are being asked for: they take turns."""
        return list(self._groups.values())

    @property
    def room(self) -> int:
        """How many operations more may be asked for."""
        return max(0, _MOST_CALLS - sum(self._sizes.values()))

    def begin(self, worker: Worker, group: list[Claimed]) -> None:
        """Ask for operations of one order, without waiting for the answers."""
        task = asyncio.create_task(operate(worker, group))
        self._groups[task] = group[0].order_id
        self._sizes[task] = len(group)
        task.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Wait for all answers, and until they are booked."""
        while self._groups:
            await asyncio.wait(self._groups)

    def _ended(self, task: asyncio.Task[int]) -> None:
        del self._groups[task], self._sizes[task]
        if not task.cancelled() and (error := task.exception()):
            # Its rows are due again when their leases end, so nothing is lost.
            log.error("step_failed", exc_info=error)
        self._done()


async def step(worker: Worker, account_id: str | None = None, calls: Calls | None = None) -> int:
    """One round over all due work, or over an account's; gives how much was done.

    calls: takes over the calls to processors, so that the round does not wait for them.
    """
    done = await submit_due(worker, account_id)
    done += await operate_due(worker, account_id, calls)
    done += await expire_due(worker, account_id)
    if account_id is None:
        now = worker.clock.now()
        done += await notifications.retry_due(_inbox(worker), now, gateways=False)
    return done


async def drain(worker: Worker, account_id: str | None) -> int:
    """Run an account's due work, or all, until none is left, work that others hold included; gives
    the steps. Raises Stalled.

    Events are delivered and mails sent, too.
    """
    steps, moved_at = 0, time.monotonic()
    while True:
        if done := await _step_and_tell(worker, account_id):
            steps, moved_at = steps + done, time.monotonic()
            continue
        if not await operations_store.outstanding(worker.database, worker.clock.now(), account_id):
            return steps
        if time.monotonic() - moved_at > stalled_after(worker.settings).total_seconds():
            raise Stalled("something is due that does not get done; the log says why")
        await asyncio.sleep(0.02)


def stalled_after(settings: Settings) -> timedelta:
    """After which time what others held is done, or free to be taken."""
    return 2 * gateway_calls.longest_lease(settings)


async def _step_and_tell(worker: Worker, account_id: str | None) -> int:
    """One round over due work, what came of it delivered; gives how much was done."""
    done = await step(worker, account_id)
    done += await check_due(worker, account_id)
    if account_id is None:
        done += await retry_notices(worker)
    done += await worker.deliverer.drain(account_id)
    now = worker.clock.now()
    return done + await mailing.send_due(worker.database, worker.settings, now, account_id)


async def submit_due(worker: Worker, account_id: str | None) -> int:
    """Make the charge-level records of refunds that are due."""
    due = await refunds_store.due_refunds(
        worker.database, "submit_due_at", worker.clock.now(), account_id, _BATCH
    )
    if not due:
        return 0
    orders = {order_key(each.tenant, each.order_id): each.now for each in due}
    window = timedelta(seconds=worker.settings.refund_batch_window)
    try:
        return await submit_refunds(worker.books, orders, window)
    except (asyncpg.PostgresError, AssertionError) as error:
        # Nothing was written: one bad order must not keep the others waiting.
        log.warning("submissions_split", orders=len(orders), error=type(error).__name__)
    counts = await _all(
        [
            lambda key=key, now=now: submit_refunds(worker.books, {key: now}, window)
            for key, now in orders.items()
        ]
    )
    return sum(counts)


async def operate_due(worker: Worker, account_id: str | None, calls: Calls | None = None) -> int:
    """Ask the processors for what is due, and book their answers; gives how much was begun."""
    limit = _BATCH if calls is None else min(_BATCH, calls.room)
    if not limit:
        return 0
    lease = timedelta(seconds=worker.settings.processor_timeout) + _LEASE_MARGIN
    claimed = await operations_store.claim_operations(
        worker.database, now=worker.clock.now(), lease=lease, account_id=account_id, limit=limit,
        without_orders=calls.orders if calls else [],
    )  # fmt: skip
    by_order: dict[tuple[Tenant, str], list[Claimed]] = {}
    for each in sorted(claimed, key=lambda each: each.seq):
        by_order.setdefault((each.submission.tenant, each.order_id), []).append(each)
    if calls is not None:
        for group in by_order.values():
            calls.begin(worker, group)
        return len(claimed)
    counts = await _all([lambda group=group: operate(worker, group) for group in by_order.values()])
    return sum(counts)


async def operate(worker: Worker, group: list[Claimed]) -> int:
    """Ask the processor for operations of one order whose attempts are committed; gives how many.

    They are asked for at the same time and booked in the order in which they were made.
    """
    size = len(group)
    if any(claimed.gateway_id is not None for claimed in group):
        await janitor.check_siblings(_desk(worker), group)
        group = await gateway_calls.still_ours(_desk(worker), group)
    calls = [asyncio.create_task(_ask(worker, claimed)) for claimed in group]
    try:
        for claimed, call in zip(group, calls, strict=True):
            await _note(worker, claimed, await call)
    finally:
        for call in calls:
            call.cancel()
    return size


async def _ask(worker: Worker, claimed: Claimed) -> Outcome:
    submission = _with_details(worker.vault, claimed)
    WORKER_LAG.observe(max(0.0, claimed.waited.total_seconds()))
    if claimed.gateway_id is None:
        connector = worker.registry.connector(live=submission.tenant.live)
        outcome = await connector.submit(submission)
    else:
        try:
            connector = await worker.connectors.find(claimed.gateway_id)
        except BadCredentials as error:
            return Unknown(str(error))
        outcome = await gateway_calls.submit(
            _desk(worker), connector, claimed.gateway_id, submission
        )
    ATTEMPTS.labels(connector.name, submission.kind.value, type(outcome).__name__).inc()
    return outcome


def _inbox(worker: Worker) -> Inbox:
    return Inbox(worker.books, worker.settings, worker.connectors)


def _desk(worker: Worker) -> janitor.Desk:
    return janitor.Desk(
        worker.database, worker.settings, worker.clock, worker.bookkeeper, worker.connectors
    )


def _with_details(vault: Vault, claimed: Claimed) -> Submission:
    if claimed.sealed_bank_details is None:
        return claimed.submission
    details = open_details(vault, claimed.sealed_bank_details)
    return replace(claimed.submission, bank_details=details)


async def _note(worker: Worker, claimed: Claimed, outcome: Outcome) -> None:
    submission = claimed.submission
    # The clock of the mode, as far from real time as it was when the operation was claimed.
    now = worker.clock.now() + claimed.shift
    if claimed.gateway_id is not None and not await keep_receipt(
        worker.database, asked_for(claimed.order_id, submission), outcome, now
    ):
        return
    match outcome:
        case InProgress(ask_again):
            due_at, check_at = await _when(worker, claimed, now, ask_again)
            await operations_store.wait_for_processor(worker.database, claimed, due_at, check_at)
        case Unknown(error):
            await _note_unknown(worker, claimed, error, now)
        case NeedsInformation() if submission.kind is not OperationKind.REFUND:
            error = f"asked for bank details of a {submission.kind}"
            await _note_unknown(worker, claimed, error, now)
        case NeedsInformation() if claimed.sealed_bank_details is not None:
            # It has them. Whether it pays is anybody's guess, so it is asked again.
            error = "asked for bank details that it was given"
            await _note_unknown(worker, claimed, error, now)
        case _:
            await worker.bookkeeper.book(
                Booking(submission.tenant, claimed.order_id, submission.key, outcome, now)
            )


async def _when(
    worker: Worker, claimed: Claimed, now: datetime, ask_again: timedelta | None
) -> tuple[datetime | None, datetime | None]:
    """When what was accepted is asked for again, and when it is looked up."""
    if claimed.gateway_id is None:
        return (now + ask_again if ask_again else None), None
    if ask_again is not None:
        return None, now + ask_again
    rhythm = await janitor.rhythm_of(_desk(worker), claimed.gateway_id)
    return None, rhythm.next_check(0, now, accepted=True)


async def _note_unknown(worker: Worker, claimed: Claimed, error: str, now: datetime) -> None:
    submission = claimed.submission
    flagged = needs_attention(submission.first_attempt_at, now)
    due_at = next_attempt(submission.attempt, submission.first_attempt_at, now)
    check_at = None
    if claimed.gateway_id is not None:
        desk = _desk(worker)
        rhythm = await janitor.rhythm_of(desk, claimed.gateway_id)
        check_at = rhythm.next_check(0, submission.first_attempt_at, accepted=False)
        due_at = await gateway_calls.repeat_at(desk, claimed.gateway_id, due_at, now)
    await operations_store.ask_again_later(
        worker.database, claimed, due_at, error, now if flagged else None, check_at
    )
    log.warning(
        "outcome_unknown",
        operation_id=submission.key,
        kind=submission.kind.value,
        attempt=submission.attempt,
        error=error,
        next_attempt=due_at.isoformat(),
    )
    if flagged and await refunds_store.flag_attention(
        worker.database, submission.tenant, claimed.order_id, submission.key, now
    ):
        log.error("refund_needs_attention", operation_id=submission.key, error=error)


async def check_due(worker: Worker, account_id: str | None) -> int:
    """Look up operations without an outcome that are due for it; gives how many."""
    return await janitor.check_due(_desk(worker), account_id, _BATCH)


async def retry_notices(worker: Worker) -> int:
    """Try again what gateways told and what fitted nothing; gives how many notifications."""
    return await notifications.retry_due(_inbox(worker), worker.clock.now(), gateways=True)


async def list_due(worker: Worker) -> int:
    """List the refunds of gateways whose turn it is; gives how many gateways."""
    return await janitor.list_due(_desk(worker), worker.books)


async def expire_due(worker: Worker, account_id: str | None) -> int:
    """Expire refunds whose bank details did not come in time."""
    due = await refunds_store.due_refunds(
        worker.database, "token_expires_at", worker.clock.now(), account_id, _BATCH
    )
    counts = await _all(
        [
            lambda each=each: expire_refund(
                worker.books, each.tenant, each.order_id, each.id, each.now
            )
            for each in due
        ]
    )
    return sum(counts)


async def tidy(worker: Worker) -> None:
    """Delete what has outlived its use."""
    while await idempotency.purge(worker.database, worker.clock.now()):
        await asyncio.sleep(0)
    # Of a worker that died while it dropped them, and of events written while a webhook ended.
    for tenant, webhook_id in await deliveries.forsaken(worker.database):
        await drop_deliveries(worker.database, tenant, webhook_id)
    old = worker.clock.now() - _ATTEMPTS_KEPT
    while await deliveries.purge(worker.database, old, _PURGED_AT_ONCE):
        await asyncio.sleep(0)


async def _all(jobs: list[Callable[[], Awaitable[int]]]) -> list[int]:
    """Run jobs side by side; one that breaks is logged and does not take the others along.

    Its row is due again when its lease ends, so nothing is lost.
    """
    results = await asyncio.gather(*(job() for job in jobs), return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            log.error("step_failed", exc_info=result)
        elif isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, int)]
