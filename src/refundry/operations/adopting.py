"""Refunds that somebody made at the processor itself, taken into the books.

The money is gone already, so nothing is sent: a refund is made that says so, allocated like one of
its amount, with the processor's reference. Where the books do not allow it, a person decides.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from refundry.access.store import clock_shift
from refundry.db.database import Tx
from refundry.domain import settlement
from refundry.domain.charge import Operation
from refundry.domain.event import Change
from refundry.domain.money import find_currency, major_text
from refundry.domain.refund import RefundAsk
from refundry.errors import Refused, required
from refundry.gateways.store import Gateway
from refundry.http.document import to_json_text
from refundry.http.problems import message_of
from refundry.ids import new_ordered_uuid
from refundry.operations import external_store
from refundry.operations.agreement import find_asked, keep_receipt, settles_difference
from refundry.operations.commands import Booking, Books, Ledger, book_outcome
from refundry.operations.external_store import ChargeOfPayment, Known
from refundry.orders.store import OrderKey, lock_order, order_key
from refundry.processors.contract import (
    Declined,
    NeedsInformation,
    Outcome,
    ProcessorRefund,
    Settled,
    is_operation_id,
)
from refundry.refunds import store as refunds_store
from refundry.refunds.commands import RefundRequest, planned
from refundry.refunds.store import StoredRefund

REASON = "refunded_at_processor"
log = structlog.get_logger("refundry.external")


class _Conflict(Exception):
    """What keeps a refund from being adopted, in words for people."""


async def hear_refund(
    books: Books, gateway: Gateway, refund: ProcessorRefund, first_check: timedelta, now: datetime
) -> bool | None:
    """Take in what a processor tells of a refund, ours or made there: whether that changed
    anything; None where it is of a payment that we do not know (yet).

    now: real time. Hearing it again changes nothing.
    """
    known = await external_store.find_operation(
        books.database, gateway, refund.key, refund.reference
    )
    if known is not None and known.is_other_than(refund.reference):
        return await _hear_second(books, gateway, refund, known, now)
    if known is not None:
        return await hear_outcome(books, gateway, known, refund.outcome, now)
    if isinstance(refund.outcome, Declined):
        return False  # It moved nothing.
    if await external_store.is_known(books.database, gateway.tenant, refund):
        return False  # Another gateway leads to the same account there.
    charges = await external_store.charges_of_payment(
        books.database, gateway.tenant, refund.payments
    )
    if not charges:
        return None
    if len(charges) == 1:
        refund = replace(refund, payment=charges[0].payment, other_names=())
    return await _adopt(books, gateway, refund, charges, first_check, now)


async def hear_outcome(
    books: Books, gateway: Gateway, known: Known, outcome: Outcome, now: datetime
) -> bool:
    """Book what a processor says by itself of an operation of ours; False if nothing changed."""
    tenant = gateway.tenant
    shifted = now + await clock_shift(books.database, tenant)
    asked = await find_asked(books.database, tenant, known.operation_id)
    paid_after_all = known.failed and isinstance(outcome, Settled)
    if not settles_difference(known.parked, outcome):
        return False
    if not await keep_receipt(books.database, asked, outcome, shifted) and not paid_after_all:
        return True
    if not isinstance(outcome, Settled | Declined | NeedsInformation):
        return False
    booking = Booking(tenant, known.order_id, known.operation_id, outcome, shifted, known.kind)
    return await book_outcome(books, booking)


async def _hear_second(
    books: Books, gateway: Gateway, refund: ProcessorRefund, known: Known, now: datetime
) -> bool:
    """Hear of a second refund there that carries an operation of ours: a person must look."""
    if isinstance(refund.outcome, Declined):
        return False  # One of them moved nothing, and that is not the one that we know.
    why = f"it carries {known.operation_id}, which is {known.reference} there"
    fresh = await external_store.claim_external(books.database, gateway, refund, why, now)
    if fresh:
        log.error("refund_maybe_paid_twice", operation_id=known.operation_id,
                  references=[known.reference, refund.reference])  # fmt: skip
    return fresh


async def _adopt(
    books: Books,
    gateway: Gateway,
    refund: ProcessorRefund,
    charges: list[ChargeOfPayment],
    first_check: timedelta,
    now: datetime,
) -> bool:
    """Make a refund of ours for it, once; a conflict where that cannot be."""
    database = books.database
    fresh = await external_store.claim_external(database, gateway, refund, "being read", now)
    noted = required(await external_store.find(database, gateway, refund.reference))
    if noted.state != "conflict":
        return False
    order_id = charges[0].order_id
    try:
        if is_operation_id(refund.key):
            raise _Conflict(f"it carries {refund.key}, an operation that is not known here")
        if len(charges) > 1:
            raise _Conflict(f"{len(charges)} charges have the payment {refund.payment}")
        await _make(books, gateway, refund, charges[0], first_check, now)
    except (_Conflict, Refused) as error:
        why = message_of(error.refusal) if isinstance(error, Refused) else str(error)
        await external_store.note_conflict(database, gateway, refund.reference, why, order_id)
        if fresh:
            log.error("external_refund_conflict", reference=refund.reference, why=why)
        return fresh
    log.info("external_refund_adopted", reference=refund.reference, order_id=order_id)
    return True


async def _make(
    books: Books,
    gateway: Gateway,
    refund: ProcessorRefund,
    charge: ChargeOfPayment,
    first_check: timedelta,
    now: datetime,
) -> None:
    order_id, charge_id = charge.order_id, charge.charge_id
    shifted = now + await clock_shift(books.database, gateway.tenant)

    async def work(tx: Tx) -> Ledger | None:
        stored = required(await lock_order(tx, gateway.tenant, order_id))
        # Somebody else may have adopted it while we waited for the order.
        if await external_store.is_known(tx, gateway.tenant, refund):
            return None
        if stored.order.charge(charge_id).refundable < refund.amount:
            raise _Conflict("the charge has less left to be refunded, or refunds of it are open")
        request = RefundRequest(_ask(gateway, refund, order_id), shifted, timedelta(), None)
        order = await refunds_store.find_refundable(tx, gateway.tenant, order_id)
        new = planned(gateway.tenant, order, request)
        assert await refunds_store.insert_refunds(tx, [new])
        stored = required(await lock_order(tx, gateway.tenant, order_id))
        key = order_key(gateway.tenant, order_id)
        ledger = Ledger(books, {key: stored})
        found = required(await refunds_store.find_refund(tx, gateway.tenant, new.refund.id))
        operation = _submitted(ledger, key, found, charge_id, shifted)
        paid = isinstance(refund.outcome, Settled)
        if paid:
            _settled(ledger, key, found, operation, shifted)
        await ledger.write(tx)
        await external_store.give_to_processor(
            tx, gateway, order_id, operation.id, refund, None if paid else shifted + first_check
        )
        await external_store.note_adopted(tx, gateway, refund.reference, order_id, new.refund.id)
        return ledger

    ledger = await books.database.run(work)
    if ledger is not None:
        ledger.observe()


def _ask(gateway: Gateway, refund: ProcessorRefund, order_id: str) -> RefundAsk:
    currency = find_currency(refund.currency)
    if currency is None:
        raise _Conflict(f"{refund.currency} is no currency that we know")
    amount = major_text(refund.amount, currency.exponent)
    told = {"external": f"{gateway.name} {refund.reference}"}
    return RefundAsk(
        order_id, None, currency.code, Decimal(amount), reason=REASON,
        metadata=to_json_text(told), sent_amount=amount,
    )  # fmt: skip


def _submitted(
    ledger: Ledger, key: OrderKey, found: StoredRefund, charge_id: str, now: datetime
) -> Operation:
    change = Change(ledger.orders[key].order, now)
    (operation,) = settlement.submit(change, [found.refund], new_ordered_uuid, only=charge_id)
    ledger.record(key, change, [found])
    return operation


def _settled(
    ledger: Ledger, key: OrderKey, found: StoredRefund, operation: Operation, now: datetime
) -> None:
    submitted = ledger.now(found)
    change = Change(ledger.orders[key].order, now)
    settlement.settle(change, operation, [submitted.refund], None)
    ledger.record(key, change, [submitted])
