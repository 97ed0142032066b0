"""Books what a processor says of an operation, whoever brings the word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from refundry.db.database import Database, Tx
from refundry.domain import settlement
from refundry.domain.charge import (
    OPEN_STATES,
    Failure,
    Operation,
    OperationKind,
    OperationState,
)
from refundry.domain.event import Change, Draft
from refundry.domain.fulfillment import settle_authorization, settle_capture
from refundry.domain.refund import Refund, RefundState
from refundry.ids import new_uuid
from refundry.metrics import observe_refund
from refundry.orders.recording import Rendered, record
from refundry.orders.store import StoredOrder, lock_order
from refundry.processors.contract import Declined, NeedsInformation, Settled
from refundry.refunds import store as refunds_store
from refundry.refunds.store import StoredRefund
from refundry.refunds.wire import render_draft
from refundry.sealing import Vault
from refundry.tenant import Tenant

log = structlog.get_logger("refundry.operations")


@dataclass(frozen=True, slots=True)
class Books:
    """Where outcomes are booked."""

    database: Database
    vault: Vault


Word = Settled | Declined | NeedsInformation
"""An outcome that changes the books."""


async def book_outcome(
    books: Books,
    tenant: Tenant,
    order_id: str,
    operation_id: str,
    word: Word,
    now: datetime,
    *,
    report_of: OperationKind | None = None,
) -> bool:
    """Book an outcome in one transaction; False if it changes nothing.

    What contradicts a final state is ignored and logged, but for the late failure of a refund.
    report_of: the kind of operation that somebody reports on by himself. Without it the word is
    the answer to a call of ours, which never takes back a success: a repeated call may well be
    answered "refunded already".
    """

    async def work(tx: Tx) -> bool:
        stored = await lock_order(tx, tenant, order_id)
        assert stored is not None
        operation = _find(stored, operation_id)
        fits = report_of in (None, operation.kind)
        if not fits or not _changes(operation, word, reported=report_of is not None):
            log.info("outcome_ignored", operation_id=operation_id, state=operation.state.value,
                     outcome=type(word).__name__)  # fmt: skip
            return False
        refunds = await refunds_store.refunds_of_operation(tx, tenant, order_id, operation_id)
        change = Change(stored.order, now)
        _apply(change, operation, [each.refund for each in refunds], word)
        after = await _save(tx, books, tenant, stored, change, refunds)
        if after.order.over_refunded and not stored.order.over_refunded:
            log.error("order_over_refunded", order_id=order_id, operation_id=operation_id)
        return True

    return await books.database.run(work)


def _find(stored: StoredOrder, operation_id: str) -> Operation:
    return next(
        operation
        for charge in stored.order.charges
        for operation in charge.operations
        if operation.id == operation_id
    )


def _changes(operation: Operation, word: Word, *, reported: bool) -> bool:
    if isinstance(word, NeedsInformation):
        return operation.kind is OperationKind.REFUND and operation.state is OperationState.PENDING
    if operation.state in OPEN_STATES:
        return True
    late = reported and operation.kind is OperationKind.REFUND and operation.shares is None
    return late and isinstance(word, Declined) and operation.state is OperationState.COMPLETE


def _apply(change: Change, operation: Operation, refunds: Sequence[Refund], word: Word) -> None:
    failure = word.failure if isinstance(word, Declined) else None
    match operation.kind:
        case OperationKind.AUTHORIZE:
            settle_authorization(change, operation, failure)
        case OperationKind.CAPTURE | OperationKind.CANCEL:
            settle_capture(change, operation, failure)
        case OperationKind.REFUND:
            _apply_refund(change, operation, refunds, word, failure)


def _apply_refund(
    change: Change,
    operation: Operation,
    refunds: Sequence[Refund],
    word: Word,
    failure: Failure | None,
) -> None:
    if isinstance(word, NeedsInformation):
        settlement.ask_for_information(change, operation, refunds, new_uuid)
    elif operation.state is OperationState.COMPLETE:
        assert failure is not None
        settlement.fail_late(change, operation, refunds, failure)
    else:
        settlement.settle(change, operation, refunds, failure)


async def submit_refunds(
    books: Books, tenant: Tenant, order_id: str, now: datetime, window: timedelta
) -> int:
    """Make the charge-level records of an order's refunds that are due; gives how many refunds.

    window: refunds that wait for this long at most go along (0: only what is due now). 0 also
    if somebody else holds the order: its turn comes again.
    """

    async def work(tx: Tx) -> int:
        stored = await lock_order(tx, tenant, order_id, skip_locked=True)
        if stored is None:
            return 0
        refunds = await refunds_store.unsubmitted_refunds(tx, tenant, order_id, now + window)
        if not refunds or not stored.order.charges:
            return 0
        if window:
            await _submit(tx, books, tenant, stored, refunds, now)
            return len(refunds)
        for refund in refunds:
            stored = await _submit(tx, books, tenant, stored, [refund], now)
        return len(refunds)

    return await books.database.run(work)


async def _submit(
    tx: Tx,
    books: Books,
    tenant: Tenant,
    stored: StoredOrder,
    refunds: Sequence[StoredRefund],
    now: datetime,
) -> StoredOrder:
    change = Change(stored.order, now)
    settlement.submit(change, [each.refund for each in refunds], new_uuid)
    return await _save(tx, books, tenant, stored, change, refunds)


async def expire_refund(
    books: Books, tenant: Tenant, order_id: str, refund_id: str, now: datetime
) -> bool:
    """Expire a refund whose bank details did not come; False if that is not so any more."""

    async def work(tx: Tx) -> bool:
        stored = await lock_order(tx, tenant, order_id, skip_locked=True)
        found = await refunds_store.find_refund(tx, tenant, refund_id)
        if stored is None or found is None:
            return False
        token = found.refund.token
        waiting = found.refund.state is RefundState.PENDING_INFORMATION
        if not waiting or token is None or token.expires_at > now:
            return False
        change = Change(stored.order, now)
        members = await _members(tx, tenant, found)
        for member in members:
            settlement.expire(change, change.refunds.get(member.refund.id, member.refund))
        await _save(tx, books, tenant, stored, change, members)
        return True

    return await books.database.run(work)


async def _members(tx: Tx, tenant: Tenant, found: StoredRefund) -> list[StoredRefund]:
    """The refund and those that share a record with it."""
    members = {found.refund.id: found}
    for part in found.refund.parts:
        for each in await refunds_store.refunds_of_operation(
            tx, tenant, found.refund.order_id, part.operation_id
        ):
            if each.refund.state is RefundState.PENDING_INFORMATION:
                members[each.refund.id] = each
    return list(members.values())


async def _save(
    tx: Tx,
    books: Books,
    tenant: Tenant,
    stored: StoredOrder,
    change: Change,
    refunds: Sequence[StoredRefund],
) -> StoredOrder:
    """Write a change to an order and its refunds."""
    known = {each.refund.id: each for each in refunds}
    after = await record(tx, tenant, stored, change, render=_renderer(books.vault, tenant, known))
    for refund in change.refunds.values():
        before = known[refund.id].refund
        await refunds_store.save_refund(tx, tenant, before, refund, change.order, books.vault)
        if refund.state is not before.state:
            observe_refund(refund, live=tenant.live)
    return after


def _renderer(
    vault: Vault, tenant: Tenant, known: dict[str, StoredRefund]
) -> Callable[[Draft], Rendered | None]:
    def render(draft: Draft) -> Rendered | None:
        if draft.refund is None:
            return None
        sealed = known[draft.refund.id].sealed_token
        return render_draft(draft, live=tenant.live, vault=vault, sealed_token=sealed)

    return render
