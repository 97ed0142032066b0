"""Books what a processor says of operations, whoever brings the word."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from refundry.db.database import Database, Tx
from refundry.domain import settlement
from refundry.domain.another_way import is_paid_after_all
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
from refundry.errors import required
from refundry.ids import new_ordered_uuid, new_uuid
from refundry.metrics import observe_refund
from refundry.operations.twice import note_paid_after_all, stop_if_paid
from refundry.orders.recording import Recording, Rendered
from refundry.orders.store import OrderKey, StoredOrder, lock_order, lock_orders, order_key
from refundry.processors.contract import Declined, NeedsInformation, Settled
from refundry.refunds import store as refunds_store
from refundry.refunds.saving import RefundSaving, save_refunds
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


@dataclass(frozen=True, slots=True)
class Booking:
    """An outcome of an operation, to be booked. now: on the clock of its mode.

    report_of: the kind of operation that somebody reports on by himself. Without it the word is
    the answer to a call of ours, which never takes back a success: a repeated call may well be
    answered "refunded already".
    """

    tenant: Tenant
    order_id: str
    operation_id: str
    word: Word
    now: datetime
    report_of: OperationKind | None = None

    @property
    def key(self) -> OrderKey:
        """The key of its order."""
        return order_key(self.tenant, self.order_id)


class Ledger:
    """What one transaction does to orders that it has locked, and to their refunds."""

    def __init__(self, books: Books, orders: dict[OrderKey, StoredOrder]) -> None:
        self._books = books
        self.orders = orders
        self._recording = Recording()
        self._savings: dict[str, RefundSaving] = {}

    def now(self, refund: StoredRefund) -> StoredRefund:
        """A refund as it is after what was done before."""
        saving = self._savings.get(refund.refund.id)
        return replace(refund, refund=saving.after) if saving else refund

    def record(self, key: OrderKey, change: Change, refunds: Sequence[StoredRefund]) -> None:
        """Note a change to an order; refunds: those that it may have changed, as they were."""
        tenant = Tenant(key[0], key[1])
        known = {each.refund.id: each for each in refunds}
        render = _renderer(self._books.vault, tenant, known)
        after = self._recording.record(tenant, self.orders[key], change, render=render)
        if after.order.over_refunded and not self.orders[key].order.over_refunded:
            log.error("order_over_refunded", order_id=after.order.id)
        self.orders[key] = after
        for refund in change.refunds.values():
            earlier = self._savings.get(refund.id)
            before = earlier.before if earlier else known[refund.id].refund
            self._savings[refund.id] = RefundSaving(tenant, before, refund, change.order)

    async def write(self, tx: Tx) -> None:
        """Write everything."""
        await self._recording.write(tx)
        await save_refunds(tx, list(self._savings.values()), self._books.vault)

    def observe(self) -> None:
        """Count the refunds that came into another state, once that is committed."""
        for saving in self._savings.values():
            if saving.after.state is not saving.before.state:
                observe_refund(saving.after, live=saving.tenant.live)


async def book_outcome(books: Books, booking: Booking) -> bool:
    """Book an outcome in one transaction; False if it changes nothing.

    What contradicts a final state is ignored and logged, but for the late failure of a refund.
    """

    async def work(tx: Tx) -> tuple[bool, Ledger]:
        stored = required(await lock_order(tx, booking.tenant, booking.order_id))
        ledger = Ledger(books, {booking.key: stored})
        (changed,) = await _book_all(tx, ledger, [booking])
        return bool(changed), ledger

    changed, ledger = await books.database.run(work)
    ledger.observe()
    return changed


async def book_outcomes(books: Books, bookings: Sequence[Booking]) -> list[bool | None]:
    """Book outcomes of any number of orders in one transaction, in their order.

    For each: whether it changed anything; None if somebody else holds its order now, so that
    nothing was done.
    """

    async def work(tx: Tx) -> tuple[list[bool | None], Ledger]:
        ledger = Ledger(books, await lock_orders(tx, {booking.key for booking in bookings}))
        return await _book_all(tx, ledger, bookings), ledger

    results, ledger = await books.database.run(work)
    ledger.observe()
    return results


async def _book_all(tx: Tx, ledger: Ledger, bookings: Sequence[Booking]) -> list[bool | None]:
    mine = [booking for booking in bookings if booking.key in ledger.orders]
    refunds = await refunds_store.refunds_of_operations(
        tx, [(booking.key, booking.operation_id) for booking in mine]
    )
    results = [
        _book(ledger, booking, refunds.get(booking.operation_id, []))
        if booking.key in ledger.orders
        else None
        for booking in bookings
    ]
    await ledger.write(tx)
    for booking, result in zip(bookings, results, strict=True):
        if result is False:
            await _heed(tx, ledger, booking, refunds.get(booking.operation_id, []))
    return results


async def _heed(tx: Tx, ledger: Ledger, booking: Booking, refunds: Sequence[StoredRefund]) -> None:
    """Of a word that changes no books: see whether it tells of a payout that is not in them."""
    operation = _find(ledger.orders[booking.key], booking.operation_id)
    if is_paid_after_all(operation, paid=isinstance(booking.word, Settled)):
        for stored in refunds:
            refund = ledger.now(stored).refund
            await note_paid_after_all(tx, booking.tenant, refund, operation.id, booking.now)


def _book(ledger: Ledger, booking: Booking, refunds: Sequence[StoredRefund]) -> bool:
    operation = _find(ledger.orders[booking.key], booking.operation_id)
    # What was asked before the shopper answered may be answered after it.
    answered = isinstance(booking.word, NeedsInformation) and any(r.token_spent for r in refunds)
    fits = booking.report_of in (None, operation.kind) and not answered
    if not fits or not _changes(operation, booking.word, reported=booking.report_of is not None):
        log.info("outcome_ignored", operation_id=operation.id, state=operation.state.value,
                 outcome=type(booking.word).__name__)  # fmt: skip
        return False
    now = [ledger.now(each) for each in refunds]
    change = Change(ledger.orders[booking.key].order, booking.now)
    _apply(change, operation, [each.refund for each in now], booking.word)
    ledger.record(booking.key, change, now)
    return True


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
    books: Books, orders: Mapping[OrderKey, datetime], window: timedelta
) -> int:
    """Make the charge-level records of refunds that are due, in one transaction; gives how many.

    orders: those that have any, with the time on the clock of each. window: refunds that wait for
    this long at most go along (0: only what is due now). Orders that somebody else holds are
    passed over: their turn comes again.
    """

    async def work(tx: Tx) -> tuple[int, Ledger]:
        ledger = Ledger(books, await lock_orders(tx, orders))
        due = await refunds_store.unsubmitted_refunds(
            tx, {key: orders[key] + window for key in ledger.orders}
        )
        for key, refunds in due.items():
            for group in [refunds] if window else [[refund] for refund in refunds]:
                _submit(ledger, key, group, orders[key])
        await ledger.write(tx)
        for key, refunds in due.items():
            for each in refunds:
                tenant = Tenant(key[0], key[1])
                await stop_if_paid(tx, tenant, ledger.now(each).refund, orders[key])
        return sum(map(len, due.values())), ledger

    count, ledger = await books.database.run(work)
    ledger.observe()
    return count


def _submit(ledger: Ledger, key: OrderKey, refunds: Sequence[StoredRefund], now: datetime) -> None:
    change = Change(ledger.orders[key].order, now)
    settlement.submit(change, [each.refund for each in refunds], new_ordered_uuid)
    ledger.record(key, change, refunds)


async def expire_refund(
    books: Books, tenant: Tenant, order_id: str, refund_id: str, now: datetime
) -> bool:
    """Expire a refund whose bank details did not come; False if that is not so any more."""

    async def work(tx: Tx) -> Ledger | None:
        stored = await lock_order(tx, tenant, order_id, skip_locked=True)
        found = await refunds_store.find_refund(tx, tenant, refund_id)
        if stored is None or found is None:
            return None
        token = found.refund.token
        waiting = found.refund.state is RefundState.PENDING_INFORMATION
        if not waiting or token is None or token.expires_at > now:
            return None
        change = Change(stored.order, now)
        members = await waiting_members(tx, tenant, found)
        for member in members:
            settlement.expire(change, change.refunds.get(member.refund.id, member.refund))
        key = order_key(tenant, order_id)
        ledger = Ledger(books, {key: stored})
        ledger.record(key, change, members)
        await ledger.write(tx)
        return ledger

    ledger = await books.database.run(work)
    if ledger is not None:
        ledger.observe()
    return ledger is not None


async def waiting_members(tx: Tx, tenant: Tenant, found: StoredRefund) -> list[StoredRefund]:
    """A refund that waits for bank details, and those that share a record with it and wait too."""
    members = {found.refund.id: found}
    for part in found.refund.parts:
        for each in await refunds_store.refunds_of_operation(
            tx, tenant, found.refund.order_id, part.operation_id
        ):
            if each.refund.state is RefundState.PENDING_INFORMATION:
                members[each.refund.id] = each
    return list(members.values())


def _renderer(
    vault: Vault, tenant: Tenant, known: dict[str, StoredRefund]
) -> Callable[[Draft], Rendered | None]:
    def render(draft: Draft) -> Rendered | None:
        if draft.refund is None:
            return None
        sealed = known[draft.refund.id].sealed_token
        return render_draft(draft, live=tenant.live, vault=vault, sealed_token=sealed)

    return render
